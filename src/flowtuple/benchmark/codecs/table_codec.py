"""Codecs of whole tables: the protocol, and codecs made of two functions on one column."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

Promise: TypeAlias = Literal["lossless", "bounded", "none"]
ON_DISK = np.dtype("int32")  # type of a hidden counter in files


@dataclass(frozen=True)
class TableLayout:
    """Everything about a table but its values, which a decoder gets for free.

    Attributes:
        name: Name of the table.
        columns: Its schema, without opaque columns.
        num_entries: Number of events.
        bounds: Bound by column name, `std` resolved to `abs`; other columns are lossless.
    """

    name: str
    columns: tuple[Column, ...]
    num_entries: int
    bounds: Mapping[str, Bound]

    def bound(self, column: Column) -> Bound:
        return self.bounds.get(column.name, Bound())

    def table(self, data: Mapping[str, Array]) -> Table:
        """Return the table of this layout with some contents, by column in any order."""
        ordered = {column.name: data[column.name] for column in self.columns}
        return Table(self.name, self.columns, self.num_entries, ordered)


@dataclass(frozen=True)
class TableCodec(ABC):
    """A codec that can be measured.

    Attributes:
        name: Name in commands and tables.
        promise: `lossless` for the raw columns whatever the bound, `bounded` for floats within
            their bounds and everything else exact, `none` for neither.
        suffix: Suffix of its files.
        requires: Module that has to be installed, and the extra that brings it.
    """

    name: str
    promise: Promise
    suffix: str = field(default=".bin", kw_only=True)
    requires: tuple[str, str] | None = field(default=None, kw_only=True)

    def load(self) -> None:
        """Import the required module, before the clock starts."""
        if self.requires is not None:
            importlib.import_module(self.requires[0])

    @abstractmethod
    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write tables without opaque columns as one file."""

    @abstractmethod
    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the tables back."""

    def overhead(self, path: Path) -> tuple[int, int]:
        """Return the bytes of the model, and of header and index, within a file of this codec."""
        return 0, 0


@dataclass(frozen=True)
class ColumnCodec(TableCodec):
    """A codec that compresses each column alone.

    Attributes:
        compress: Return the bytes of flat values, shape (n,), under a bound.
        decompress: The inverse, given bytes, dtype and bound.
    """

    compress: Callable[[Array, Bound], bytes]
    decompress: Callable[[bytes, np.dtype[np.generic], Bound], Array]

    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write one piece for each column."""
        pieces = [
            self.compress(flat(table, column), layout.bound(column))
            for table, layout in zip(tables, layouts, strict=True)
            for column in layout.columns
        ]
        path.write_bytes(join(pieces))

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the pieces in the order in which they were written."""
        pieces = iter(split(path.read_bytes()))
        tables = []
        for layout in layouts:
            data = {}
            for column in layout.columns:
                dtype = ON_DISK if column.hidden else np.dtype(column.dtype)
                values = self.decompress(next(pieces), dtype, layout.bound(column))
                values = values.astype(column.dtype, copy=False)
                data[column.name] = values.reshape(-1, *column.shape)
            tables.append(layout.table(data))
        return tables


def is_available(codec: TableCodec) -> bool:
    """Return whether the required module is installed; nothing is imported."""
    return codec.requires is None or importlib.util.find_spec(codec.requires[0]) is not None


def may_move(column: Column) -> bool:
    """Return whether a codec may change values of the column: a float, no id and no weight.

    Example:
        >>> weight = Column("genWeight", "float32", "weight")
        >>> may_move(Column("Jet_pt", "float32")), may_move(weight)
        (True, False)
    """
    return column.is_float and column.role not in ("id", "weight")


def flat(table: Table, column: Column) -> Array:
    """Return the values of a column in one dimension, in their type in files."""
    values = np.ascontiguousarray(table.data[column.name]).reshape(-1)
    return values.astype(ON_DISK) if column.hidden else values


def raw_bytes(tables: Sequence[Table]) -> int:
    """Return the bytes of all values in their types in files."""
    return sum(flat(table, column).nbytes for table in tables for column in table.columns)
