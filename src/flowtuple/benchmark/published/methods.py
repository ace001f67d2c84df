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

from flowtuple.baseline.packing import join, pcodec_bytes, pcodec_values, split
from flowtuple.benchmark.codecs.table_codec import (
    PiecesCodec,
    Promise,
    TableLayout,
    may_move,
    stored_dtype,
)
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column

_FEWEST = 500  # rows that a method is fitted to


@dataclass(frozen=True)
class MethodCodec(PiecesCodec):
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

    def overhead(self, path: Path) -> tuple[int, int]:
        """Return the bytes of all models; there is no index."""
        sizes = (split(piece)[0] for piece in split(path.read_bytes()))
        return sum(Reader(size).unsigned() for size in sizes), 0

    def groups(self, columns: Sequence[Column]) -> list[tuple[Column, ...]]:
        """Return the floats of each collection together, every other column alone."""
        return collections(columns)

    def encode_group(
        self, values: Sequence[Array], layout: TableLayout, *group: Column
    ) -> bytes:
        """Return bytes of the model, coded rows, the mask of these rows, and the others exactly."""
        model, data, mask = 0, b"", b""
        if is_row(group[0]):
            table = np.stack(values, axis=1).astype(np.float64)
            finite = np.isfinite(table).all(axis=1)
            count = int(finite.sum())
            if count >= _FEWEST:
                names, dtypes = zip(*((c.name, c.dtype) for c in group), strict=True)
                # as if they were events: numbers of objects are a column of their own here
                event = np.arange(count)
                rows = Rows(
                    layout.name, names, table[finite], event, count, dtypes=dtypes
                )
                data, model = self.pack(rows)
                mask, values = (
                    zstd(np.packbits(finite).tobytes()),
                    [x[~finite] for x in values],
                )
        return join([write_unsigned([model]), data, mask, *map(pcodec_bytes, values)])

    def decode_group(
        self, data: bytes, layout: TableLayout, *group: Column
    ) -> Sequence[Array]:
        """Return decoded rows, with the exact values in their places."""
        _, coded, mask, *packed = split(data)
        exact = [
            pcodec_values(x).astype(stored_dtype(column), copy=False)
            for column, x in zip(group, packed, strict=True)
        ]
        return _merged(self.unpack(coded), mask, exact) if coded else exact


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
