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

from flowtuple.baseline.packing import join, split
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.runtime.progress import Progress, silent

Promise: TypeAlias = Literal["lossless", "bounded", "none"]


@dataclass(frozen=True)
class Settings:
    """The options of all codecs.

    Attributes:
        effort: Effort of flowtuple's training.
        threads: Threads of a codec that can use several.
        unit: Unit of energies, for published methods: GeV or MeV.
        model: A compressed file whose flow flowtuple takes instead of training one.
        progress: Called with each stage of flowtuple.
    """

    effort: str = "default"
    threads: int = 1
    unit: str = "GeV"
    model: Path | None = None
    progress: Progress = silent


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
class PiecesCodec(TableCodec):
    """A codec that compresses groups of columns, each into one piece of its file."""

    def groups(self, columns: Sequence[Column]) -> list[tuple[Column, ...]]:
        """Return the columns that are compressed together: here each alone."""
        return [(column,) for column in columns]

    @abstractmethod
    def encode_group(
        self, values: Sequence[Array], layout: TableLayout, *group: Column
    ) -> bytes:
        """Return the piece of flat values of each column."""

    @abstractmethod
    def decode_group(
        self, data: bytes, layout: TableLayout, *group: Column
    ) -> Sequence[Array]:
        """Return the flat values of each column, in a type that holds them."""

    def encode(
        self, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
    ) -> None:
        """Write one piece for each group."""
        pieces = [
            self.encode_group([flat(table, column) for column in group], layout, *group)
            for table, layout in zip(tables, layouts, strict=True)
            for group in self.groups(layout.columns)
        ]
        path.write_bytes(join(pieces))

    def decode(self, path: Path, layouts: Sequence[TableLayout]) -> list[Table]:
        """Read the pieces in the order in which they were written."""
        pieces = iter(split(path.read_bytes()))
        tables = []
        for layout in layouts:
            data = {}
            for group in self.groups(layout.columns):
                decoded = self.decode_group(next(pieces), layout, *group)
                for column, values in zip(group, decoded, strict=True):
                    typed = values.astype(column.dtype, copy=False)
                    data[column.name] = typed.reshape(-1, *column.shape)
            tables.append(layout.table(data))
        return tables


@dataclass(frozen=True)
class ColumnCodec(PiecesCodec):
    """A codec that compresses each column alone.

    Attributes:
        compress: Return the bytes of flat values, shape (n,), under a bound.
        decompress: The inverse, given bytes, dtype and bound.
    """

    compress: Callable[[Array, Bound], bytes]
    decompress: Callable[[bytes, np.dtype[np.generic], Bound], Array]

    def encode_group(
        self, values: Sequence[Array], layout: TableLayout, *group: Column
    ) -> bytes:
        """Compress one column."""
        return self.compress(values[0], layout.bound(group[0]))

    def decode_group(
        self, data: bytes, layout: TableLayout, *group: Column
    ) -> Sequence[Array]:
        """Decompress one column."""
        return [self.decompress(data, stored_dtype(group[0]), layout.bound(group[0]))]


def is_available(codec: TableCodec) -> bool:
    """Return whether the required module is installed; nothing is imported."""
    return (
        codec.requires is None or importlib.util.find_spec(codec.requires[0]) is not None
    )


def may_move(column: Column) -> bool:
    """Return whether a codec may change values of the column: a float, no id and no weight.

    Example:
        >>> weight = Column("genWeight", "float32", "weight")
        >>> may_move(Column("Jet_pt", "float32")), may_move(weight)
        (True, False)
    """
    return column.is_float and column.role not in ("id", "weight")


def stored_dtype(column: Column) -> np.dtype[np.generic]:
    """Return the type of a column in files, where hidden counters are int32."""
    return np.dtype("int32" if column.hidden else column.dtype)


def flat(table: Table, column: Column) -> Array:
    """Return the values of a column in one dimension, in their type in files."""
    values = np.ascontiguousarray(table.data[column.name]).reshape(-1)
    return values.astype(stored_dtype(column), copy=False)


def raw_bytes(tables: Sequence[Table]) -> int:
    """Return the bytes of all values in their types in files."""
    return sum(flat(table, column).nbytes for table in tables for column in table.columns)
