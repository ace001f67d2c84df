"""Events in memory: `Table`, NumPy columns with shared counters, and `Dataset`, the named tables of one input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import awkward as ak
import numpy as np

from flowtuple.data.awkward import same_values
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.errors import InvalidArgument, nearest

Content: TypeAlias = "Array | ak.Array"


class TableSource(Protocol):
    """Anything that can hand out the events of one table, a range at a time."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def num_entries(self) -> int: ...

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of the named columns and of their counters, in the order of the schema."""
        ...


@dataclass(frozen=True)
class Table:
    """Events of one tree held in memory; it is its own `TableSource`.

    Attributes:
        name: The tree's name.
        columns: The schema, in the order of the branches.
        num_entries: Number of events n.
        data: Contents by column name. A scalar column has shape (n,), a fixed array (n, *shape); a counted column
            has shape (N,), the objects of all events one after another, with N the sum of its counter;
            an opaque column is an awkward array of length n.

    Raises:
        InvalidArgument: Contents and schema do not fit each other.
    """

    name: str
    columns: tuple[Column, ...]
    num_entries: int
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        for column in self.columns:
            where = f"table {self.name!r}: column {column.name!r}"
            if column.name not in self.data:
                raise InvalidArgument(f"{where} is in the schema but has no data")
            content = self.data[column.name]
            expected = self._expected_length(column, where)
            if expected != len(content):
                raise InvalidArgument(f"{where} has {len(content)} values, not {expected}")
            if column.is_opaque:
                continue
            if content.dtype != np.dtype(column.dtype) or content.shape[1:] != column.shape:
                raise InvalidArgument(
                    f"{where} holds {content.dtype}{content.shape[1:]}, not {column.dtype}{column.shape}"
                )

    def _expected_length(self, column: Column, where: str) -> int:
        if column.counter is None:
            return self.num_entries
        if column.counter not in self.data:
            raise InvalidArgument(f"{where} is counted by {column.counter!r}, absent here")
        counts = self.data[column.counter]
        if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
            raise InvalidArgument(
                f"{where} is counted by {column.counter!r}, which holds other than whole numbers from 0 on"
            )
        return int(counts.sum())

    def __getitem__(self, name: str) -> Any:
        return self.data[self.column(name).name]

    def column(self, name: str) -> Column:
        """The schema of one column.

        Raises:
            InvalidArgument: There is no such column; the message names the nearest.
        """
        column = self._by_name.get(name)
        if column is None:
            raise InvalidArgument(
                f"table {self.name!r} has no column {name!r}; {nearest(name, self._by_name)}"
            )
        return column

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def offsets(self, counter: str) -> Array:
        """Where each event's objects begin and end: int64, shape (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.data[counter], dtype=np.int64)])

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns, their counters included; contents are views where possible."""
        stop = max(0, min(stop, self.num_entries))
        start = min(max(0, start), stop)
        kept = with_counters(self.columns, columns)
        offsets = {c: self.offsets(c) for c in {k.counter for k in kept} if c is not None}
        data = {}
        for column in kept:
            bounds = (
                (start, stop) if column.counter is None else offsets[column.counter][[start, stop]]
            )
            data[column.name] = self.data[column.name][bounds[0] : bounds[1]]
        return Table(self.name, kept, stop - start, data)

    @property
    def nbytes(self) -> int:
        """Bytes of the contents at their own types."""
        return column_bytes(self, self.columns)


def column_bytes(table: Table, columns: Iterable[Column]) -> int:
    """Bytes of some of a table's contents at their own types."""
    contents = (
        ak.to_packed(table.data[c.name]) if c.is_opaque else table.data[c.name] for c in columns
    )
    return sum(int(content.nbytes) for content in contents)


def with_counters(columns: Iterable[Column], names: Iterable[str]) -> tuple[Column, ...]:
    """The named columns and the counters they need, in the order of `columns`."""
    columns, wanted = tuple(columns), set(names)
    wanted |= {c.counter for c in columns if c.name in wanted and c.counter is not None}
    return tuple(c for c in columns if c.name in wanted)


@dataclass(frozen=True)
class LeftOut:
    """One part of an input that the output does not hold.

    Attributes:
        name: `TREE/COLUMN`, the name of a tree, or that of an object.
        reason: Why it is left out.
    """

    name: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """A JSON object with `name` and `reason`."""
        return {"name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class Dataset:
    """All that one input holds: tables, and objects that travel along unread.

    Attributes:
        description: What to call it in messages, usually the path.
        tables: Its tables by name, in order.
        carried: ROOT objects (histograms) by name, each as the bytes of a ROOT file that holds just it.
        refused: What cannot be carried, by name (`TREE/COLUMN`; `/NAME` for a part of the file that is of no table but
            comes with each), with the reason.
        nbytes: Size of the input on disk, 0 where it has none.
        storage: By table, how the input stored it, as JSON: what a writer of the same format needs to give it back alike.
        left_out: Parts of the original that an earlier step left out, for a file that was made so.
        format: The suffix of the input's format, such as `.root`; empty for events in memory and for compressed files.
    """

    description: str
    tables: dict[str, TableSource]
    carried: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    nbytes: int = 0
    storage: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    format: str = ""

    def table(self, name: str) -> TableSource:
        """One table by name.

        Raises:
            InvalidArgument: There is no such table.
        """
        if name in self.refused and name not in self.tables:
            raise InvalidArgument(
                f"{self.description}: tree {name!r} cannot be read: {self.refused[name]}"
            )
        if name not in self.tables:
            raise InvalidArgument(
                f"{self.description}: no tree {name!r}; {nearest(name, self.tables)}"
            )
        return self.tables[name]

    def only(self, name: str) -> Dataset:
        """The same data set with one of its tables and nothing carried.

        What is refused or left out of that table stays, and so does what belongs to no table (`/NAME`).
        """
        return replace(
            self,
            tables={name: self.table(name)},
            carried={},
            refused={
                key: reason
                for key, reason in self.refused.items()
                if key.startswith((f"{name}/", "/"))
            },
            storage={key: stored for key, stored in self.storage.items() if key == name},
            left_out=tuple(
                part
                for part in self.left_out
                if part.name.startswith((f"{name}/", f"{name};", "/"))
            ),
        )

    def renamed(self, name: str) -> Dataset:
        """The same data set, of one table, with that table under another name."""
        old = next(iter(self.tables))
        if old == name:
            return self
        refused = {_moved(key, old, name): reason for key, reason in self.refused.items()}
        parts = tuple(LeftOut(_moved(part.name, old, name), part.reason) for part in self.left_out)
        stored = {name: self.storage[old]} if old in self.storage else {}
        return replace(
            self, tables={name: self.tables[old]}, refused=refused, storage=stored, left_out=parts
        )


def _moved(part: str, old: str, new: str) -> str:
    """The name of a part of a table that is called otherwise now; that of another part as it is."""
    return f"{new}{part.removeprefix(old)}" if part.startswith((f"{old}/", f"{old};")) else part


def read_all(source: TableSource, columns: Sequence[str] | None = None) -> Table:
    """Every event of a table, of some columns or of all."""
    names = [c.name for c in source.columns] if columns is None else columns
    return source.read(names, 0, source.num_entries)


def ranges(num_entries: int, step: int) -> Iterator[tuple[int, int]]:
    """Consecutive (start, stop) pairs that cover `num_entries`, each at most `step` long.

    Example:
        >>> list(ranges(5, 2))
        [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, num_entries, step):
        yield start, min(start + step, num_entries)


def concatenate(tables: Sequence[Table]) -> Table:
    """One table from consecutive pieces of one schema; at least one piece."""
    first = tables[0]
    data: dict[str, Content] = {}
    for column in first.columns:
        parts = [t.data[column.name] for t in tables]
        data[column.name] = ak.concatenate(parts) if column.is_opaque else np.concatenate(parts)
    return Table(first.name, first.columns, sum(t.num_entries for t in tables), data)


def difference(left: Table, right: Table) -> str | None:
    """The first difference between two tables in words, `None` where they are the same bit for bit (NaN included)."""
    if left.num_entries != right.num_entries:
        return f"{left.num_entries} events against {right.num_entries}"
    if [c.name for c in left.columns] != [c.name for c in right.columns]:
        return "the columns differ"
    for column in left.columns:
        a, b = left.data[column.name], right.data[column.name]
        if column.is_opaque:
            if not same_values(a, b):
                return f"column {column.name!r} differs"
        elif a.dtype != b.dtype or a.shape != b.shape:
            return f"column {column.name!r} is {a.dtype}{a.shape} against {b.dtype}{b.shape}"
        elif not np.array_equal(bit_patterns(a), bit_patterns(b)):
            return f"column {column.name!r} differs"
    return None
