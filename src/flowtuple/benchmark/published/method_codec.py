"""A published method as a codec: floats through the method by collection, everything else exact.

A method codes rows of finite floats. Integers, booleans, ids, weights, counters, fixed arrays,
collections of few objects and rows with a NaN or an infinity go through pcodec as they are, and
are counted, as those of SZ3 and ZFP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.benchmark.codecs.table_codec import (
    ON_DISK,
    TableCodec,
    TableLayout,
    flat,
    may_move,
)
from flowtuple.benchmark.published.methods import PublishedMethod
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

_FEWEST = 500  # rows that a method is fitted to


@dataclass(frozen=True)
class MethodCodec(TableCodec):
    """A codec that promises nothing: its errors are measured, and have no limit.

    Attributes:
        method: The method that codes rows.
    """

    method: PublishedMethod

    def load(self) -> None:
        self.method.load()

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
            rows = np.stack(exact, axis=1).astype(np.float64)
            finite = np.isfinite(rows).all(axis=1)
            if finite.sum() >= _FEWEST:
                data, model = self.method.pack(_rows(table.name, columns, rows[finite]))
                mask, exact = zstd(np.packbits(finite).tobytes()), [x[~finite] for x in exact]
        return join([write_unsigned([model]), data, mask, *map(pcodec_bytes, exact)])

    def _decode(self, layout: TableLayout, table: bytes) -> Table:
        data: dict[str, Array] = {}
        for columns, piece in zip(collections(layout.columns), split(table), strict=True):
            _, coded, mask, *packed = split(piece)
            values = [_exact(c, x) for c, x in zip(columns, packed, strict=True)]
            if coded:
                values = _merged(self.method.unpack(coded), mask, values)
            for column, x in zip(columns, values, strict=True):
                data[column.name] = x.astype(column.dtype).reshape(-1, *column.shape)
        ordered = {c.name: data[c.name] for c in layout.columns}
        return Table(layout.name, layout.columns, layout.num_entries, ordered)


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


def _rows(source: str, columns: Sequence[Column], values: Array) -> Rows:
    """Return rows as if they were events: numbers of objects are a column of their own here."""
    count, dtypes = len(values), tuple(c.dtype for c in columns)
    names = tuple(c.name for c in columns)
    return Rows(source, names, values, np.arange(count), count, dtypes=dtypes)


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
