"""Published methods as codecs: floats through a method by collection, everything else exact.

A method is fitted to the rows of finite floats that it codes. Integers, booleans, ids, weights,
counters, fixed arrays, collections of few objects and rows with a NaN or an infinity go through
pcodec as they are, and are counted, as those of SZ3 and ZFP. PyTorch is loaded where rows are
coded, not where a method is named.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.benchmark.codecs.table_codec import (
    ON_DISK,
    Promise,
    TableCodec,
    TableLayout,
    flat,
    may_move,
)
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

_FEWEST = 500  # rows that a method is fitted to


@dataclass(frozen=True)
class MethodCodec(TableCodec):
    """A codec that promises nothing: its errors are measured, and have no limit."""

    promise: Promise = "none"

    @abstractmethod
    def pack(self, rows: Rows) -> tuple[bytes, int]:
        """Train on rows and code them.

        Returns:
            Bytes with everything that decoding needs, and the number of them that are the model's.

        Raises:
            InvalidArgument: Too few rows, or values outside the domain of their preprocessing.
        """

    @abstractmethod
    def unpack(self, data: bytes) -> Array:
        """Return rows of shape (n, d), float64.

        Raises:
            Corrupt: The bytes are not those of `pack`.
        """

    def in_unit(self, unit: str) -> MethodCodec:
        """Return the same method for energies in GeV or MeV."""
        return self

    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write for each table a piece with a piece for each collection."""
        pieces = [
            join([self._encode(table, columns) for columns in collections(table.columns)])
            for table in tables
        ]
        path.write_bytes(join(pieces))

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the pieces of each table."""
        pieces = split(path.read_bytes())
        return [
            self._decode(layout, data) for layout, data in zip(layouts, pieces, strict=True)
        ]

    def overhead(self, path: Path) -> tuple[int, int]:
        """Return the bytes of all models; there is no index."""
        sizes = (
            split(piece)[0] for table in split(path.read_bytes()) for piece in split(table)
        )
        return sum(Reader(size).unsigned() for size in sizes), 0

    def _encode(self, table: Table, columns: Sequence[Column]) -> bytes:
        """Return bytes of the model, coded rows, the mask of these rows, and the others exactly."""
        exact = [flat(table, c) for c in columns]
        model, data, mask = 0, b"", b""
        if is_row(columns[0]):
            values = np.stack(exact, axis=1).astype(np.float64)
            finite = np.isfinite(values).all(axis=1)
            count = int(finite.sum())
            if count >= _FEWEST:
                names, dtypes = zip(*((c.name, c.dtype) for c in columns), strict=True)
                # as if they were events: numbers of objects are a column of their own here
                event = np.arange(count)
                rows = Rows(table.name, names, values[finite], event, count, dtypes=dtypes)
                data, model = self.pack(rows)
                mask, exact = zstd(np.packbits(finite).tobytes()), [x[~finite] for x in exact]
        return join([write_unsigned([model]), data, mask, *map(pcodec_bytes, exact)])

    def _decode(self, layout: TableLayout, table: bytes) -> Table:
        data: dict[str, Array] = {}
        for columns, piece in zip(collections(layout.columns), split(table), strict=True):
            _, coded, mask, *packed = split(piece)
            values = [_exact(c, x) for c, x in zip(columns, packed, strict=True)]
            if coded:
                values = _merged(self.unpack(coded), mask, values)
            for column, x in zip(columns, values, strict=True):
                data[column.name] = x.astype(column.dtype).reshape(-1, *column.shape)
        return layout.table(data)


@dataclass(frozen=True)
class Stored(MethodCodec):
    """The latent codec or an autoencoder, in the file that `flowtuple reference encode` writes."""

    options: Latent | Autoencoder = field(kw_only=True)
    seed: int = field(default=0, kw_only=True)
    requires: tuple[str, str] | None = field(default=("zuko", "train"), kw_only=True)

    def load(self) -> None:
        importlib.import_module("flowtuple.benchmark.published.stored")
        # which the first optimiser of a process imports
        importlib.import_module("torch._dynamo")

    def pack(self, rows: Rows) -> tuple[bytes, int]:
        from flowtuple.benchmark.published.stored import fit_codec, pack

        codec, _ = fit_codec(rows, self.options, self.seed, lambda share, loss: None)
        return pack(codec, rows)

    def unpack(self, data: bytes) -> Array:
        from flowtuple.benchmark.published.stored import unpack

        return unpack(data, "rows").values

    def in_unit(self, unit: str) -> Stored:
        return replace(self, options=replace(self.options, unit=unit))


def is_row(column: Column) -> bool:
    """Return whether a column goes through the method: floats that may move, one for each row."""
    return may_move(column) and not column.shape


def collections(columns: Sequence[Column]) -> list[tuple[Column, ...]]:
    """Group columns that are coded together: floats of a collection, every other column alone.

    Example:
        >>> jet = Column("Jet_pt", "float32", counter="nJet")
        >>> groups = collections([Column("nJet", "int32"), jet, Column("x", "float32")])
        >>> [[column.name for column in columns] for columns in groups]
        [['Jet_pt'], ['x'], ['nJet']]
    """
    moving = [c for c in columns if is_row(c)]
    counters = dict.fromkeys(c.counter for c in moving)
    return [
        *(tuple(c for c in moving if c.counter == counter) for counter in counters),
        *((c,) for c in columns if not is_row(c)),
    ]


def _exact(column: Column, data: bytes) -> Array:
    return pcodec_values(data).astype(ON_DISK if column.hidden else column.dtype, copy=False)


def _merged(decoded: Array, mask: bytes, exact: Sequence[Array]) -> list[Array]:
    """Return columns of decoded rows, with the exact ones in their places."""
    count = len(decoded) + len(exact[0])
    bits = np.unpackbits(np.frombuffer(unzstd(mask), np.uint8), count=count).astype(bool)
    merged = []
    for k, others in enumerate(exact):
        values = np.empty(count, others.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            values[bits] = decoded[:, k]
        values[~bits] = others
        merged.append(values)
    return merged
