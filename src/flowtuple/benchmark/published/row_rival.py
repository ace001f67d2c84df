"""A reference method as a rival: floats through the method, collection by collection, everything else exactly.

A method codes rows of finite floats. Integers, booleans, ids, weights, counters, fixed arrays, collections of few objects and
rows with a NaN or an infinity go through pcodec as they are, and are counted, as SZ3 and ZFP have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.benchmark.codecs.rival import ON_DISK, Promise, TableLayout, flat, may_move
from flowtuple.benchmark.published.methods import PublishedMethod
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

_FEWEST = 500  # rows that a method is fitted to


@dataclass(frozen=True)
class RowRival:
    """A rival that promises nothing: its errors are measured, and have no limit.

    Attributes:
        name: As it is asked for and shown.
        method: What codes rows.
    """

    name: str
    method: PublishedMethod
    promise: Promise = "none"
    suffix: str = ".bin"

    @property
    def requires(self) -> tuple[str, str] | None:
        return self.method.requires

    def load(self) -> None:
        self.method.load()

    def encode(self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path) -> None:
        """For each table a piece with a piece for each collection."""
        path.write_bytes(
            join(
                [
                    join([self._encode(table, c) for c in collections(table.columns)])
                    for table in tables
                ]
            )
        )

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Tables as they come back."""
        return [
            self._decode(layout, data)
            for layout, data in zip(layouts, split(path.read_bytes()), strict=True)
        ]

    def overhead(self, path: Path) -> tuple[int, int]:
        """Bytes of all models; there is no index."""
        sizes = (split(piece)[0] for table in split(path.read_bytes()) for piece in split(table))
        return sum(Reader(size).unsigned() for size in sizes), 0

    def _encode(self, table: Table, columns: Sequence[Column]) -> bytes:
        """How large the model is, what the method made of rows, which rows it saw, and the others as they are."""
        values = [flat(table, c) for c in columns]
        model, data, mask, kept = 0, b"", b"", values
        if is_row(columns[0]):
            rows = np.stack(values, axis=1).astype(np.float64)
            finite = np.isfinite(rows).all(axis=1)
            if finite.sum() >= _FEWEST:
                data, model = self.method.pack(_rows(table.name, columns, rows[finite]))
                mask, kept = zstd(np.packbits(finite).tobytes()), [x[~finite] for x in values]
        return join([write_unsigned([model]), data, mask, *map(pcodec_bytes, kept)])

    def _decode(self, layout: TableLayout, table: bytes) -> Table:
        found: dict[str, Array] = {}
        for columns, piece in zip(collections(layout.columns), split(table), strict=True):
            _, data, mask, *kept = split(piece)
            exact = [_exact(c, k) for c, k in zip(columns, kept, strict=True)]
            values = _merged(self.method.unpack(data), mask, exact) if data else exact
            found |= {
                c.name: x.astype(c.dtype).reshape(-1, *c.shape)
                for c, x in zip(columns, values, strict=True)
            }
        return Table(
            layout.name,
            layout.columns,
            layout.num_entries,
            {c.name: found[c.name] for c in layout.columns},
        )


def is_row(column: Column) -> bool:
    """Whether a column goes through the method: floats that may move, one for each object or event."""
    return may_move(column) and not column.shape


def collections(columns: Sequence[Column]) -> list[tuple[Column, ...]]:
    """Columns that are coded together: floats of one collection, every other column by itself.

    Example:
        >>> from flowtuple.data.schema import Column
        >>> found = collections([Column("nJet", "int32"), Column("Jet_pt", "float32", counter="nJet"), Column("x", "float32")])
        >>> [[column.name for column in columns] for columns in found]
        [['Jet_pt'], ['x'], ['nJet']]
    """
    moving = [c for c in columns if is_row(c)]
    counters = dict.fromkeys(c.counter for c in moving)
    return [
        *(tuple(c for c in moving if c.counter == counter) for counter in counters),
        *((c,) for c in columns if not is_row(c)),
    ]


def _rows(source: str, columns: Sequence[Column], values: Array) -> Rows:
    """Rows as if they were events: how many of them an event has is a column of its own here."""
    count, dtypes = len(values), tuple(c.dtype for c in columns)
    return Rows(
        source, tuple(c.name for c in columns), values, np.arange(count), count, dtypes=dtypes
    )


def _exact(column: Column, data: bytes) -> Array:
    return pcodec_values(data).astype(ON_DISK if column.hidden else column.dtype, copy=False)


def _merged(decoded: Array, mask: bytes, exact: Sequence[Array]) -> list[Array]:
    """Columns of decoded rows, and of the others in their places between them."""
    bits = np.unpackbits(
        np.frombuffer(unzstd(mask), np.uint8), count=len(decoded) + len(exact[0])
    ).astype(bool)
    merged = []
    for k, kept in enumerate(exact):
        values = np.empty(len(bits), kept.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            values[bits] = decoded[:, k]
        values[~bits] = kept
        merged.append(values)
    return merged
