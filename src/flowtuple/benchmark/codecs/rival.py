"""What a codec has to do to be measured: tables into one file and back, with what it promises and what it needs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

Promise: TypeAlias = Literal["lossless", "bounded", "none"]
ON_DISK = np.dtype("int32")  # what files store a hidden counter as


@dataclass(frozen=True)
class TableLayout:
    """What a decoder is told for free: everything about a table but its values, which favours those without a header.

    Attributes:
        name: Name of the table.
        columns: Its schema, without opaque columns.
        num_entries: Number of events.
        bounds: Bound by column name, `std` resolved to `abs`; a column that is not named is lossless.
    """

    name: str
    columns: tuple[Column, ...]
    num_entries: int
    bounds: Mapping[str, Bound]

    def bound(self, column: Column) -> Bound:
        return self.bounds.get(column.name, Bound())


class Rival(Protocol):
    """A codec that can be measured.

    Attributes:
        name: As it is asked for and shown.
        promise: `lossless` for the raw columns whatever the bound, `bounded` for floats within their bounds and
            everything else exact, `none` for neither.
        suffix: What its files end in.
    """

    @property
    def name(self) -> str: ...

    @property
    def promise(self) -> Promise: ...

    @property
    def suffix(self) -> str: ...

    @property
    def requires(self) -> tuple[str, str] | None:
        """The module that has to be installed and the extra that brings it."""
        ...

    def load(self) -> None:
        """Import what is needed, before the clock starts."""
        ...

    def encode(self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path) -> None:
        """Write tables without opaque columns as one file."""
        ...

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the tables back."""
        ...

    def overhead(self, path: Path) -> tuple[int, int]:
        """Bytes of the model, and of header and index, within a file that it wrote."""
        ...


def is_available(rival: Rival) -> bool:
    """Whether what a rival requires is installed; nothing is imported."""
    return rival.requires is None or importlib.util.find_spec(rival.requires[0]) is not None


@dataclass(frozen=True)
class PerColumn:
    """A rival that codes each column alone, as most do.

    Attributes:
        name: As it is asked for and shown.
        promise: What becomes of the values.
        encode_column: Bytes of flat values, shape (n,), under a bound.
        decode_column: The inverse, given bytes, dtype and bound.
        requires: Module and extra that it needs.
        suffix: What its files end in.
    """

    name: str
    promise: Promise
    encode_column: Callable[[Array, Bound], bytes]
    decode_column: Callable[[bytes, np.dtype[np.generic], Bound], Array]
    requires: tuple[str, str] | None = None
    suffix: str = ".bin"

    def load(self) -> None:
        if self.requires is not None:
            importlib.import_module(self.requires[0])

    def encode(self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path) -> None:
        """One piece a column, nothing else."""
        pairs = (
            (table, layout, c)
            for table, layout in zip(tables, layouts, strict=True)
            for c in layout.columns
        )
        path.write_bytes(
            join([self.encode_column(flat(t, c), layout.bound(c)) for t, layout, c in pairs])
        )

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Pieces in the order in which they were written."""
        pieces = iter(split(path.read_bytes()))
        return [
            self._decode_table(layout, {c.name: next(pieces) for c in layout.columns})
            for layout in layouts
        ]

    def overhead(self, path: Path) -> tuple[int, int]:
        return 0, 0

    def _decode_table(self, layout: TableLayout, pieces: Mapping[str, bytes]) -> Table:
        data = {}
        for column in layout.columns:
            dtype = ON_DISK if column.hidden else np.dtype(column.dtype)
            values = self.decode_column(pieces[column.name], dtype, layout.bound(column))
            data[column.name] = values.astype(column.dtype, copy=False).reshape(-1, *column.shape)
        return Table(layout.name, layout.columns, layout.num_entries, data)


def may_move(column: Column) -> bool:
    """Whether a codec may ever give values of the column that differ: floats that are no ids and no weights.

    Example:
        >>> may_move(Column("Jet_pt", "float32")), may_move(Column("genWeight", "float32", "weight"))
        (True, False)
    """
    return column.is_float and column.role not in ("id", "weight")


def flat(table: Table, column: Column) -> Array:
    """The values of a column in one dimension, at the type that files store."""
    values = np.ascontiguousarray(table.data[column.name]).reshape(-1)
    return values.astype(ON_DISK) if column.hidden else values


def raw_bytes(tables: Sequence[Table]) -> int:
    """Bytes of all values at the types that files store."""
    return sum(flat(table, column).nbytes for table in tables for column in table.columns)
