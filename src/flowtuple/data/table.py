"""Events: `Table`, NumPy columns with shared counters, and `Dataset`, the tables of one input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from flowtuple.data.awkward import same_values
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.lazy_packages import awkward as ak

Content: TypeAlias = "Array | ak.Array"


class TableSource(Protocol):
    """Interface of a table whose events are read a range at a time."""

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def num_entries(self) -> int: ...

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of the named columns, and of their counters.

        The columns of the result are in the order of the schema.
        """
        ...


@dataclass(frozen=True)
class Table:
    """Events of one tree in memory; it is its own `TableSource`.

    Attributes:
        name: The tree's name.
        columns: The schema, in the order of the branches.
        num_entries: Number of events n.
        data: Contents by column name. A scalar column has shape (n,), a fixed array (n, *shape); a
            counted column has shape (N,), the objects of all events one after another, with N the
            sum of its counter; an opaque column is an awkward array of length n.

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
                raise InvalidArgument(
                    f"{where} has {len(content)} values, not {expected}"
                )
            if column.is_opaque:
                continue
            if (
                content.dtype != np.dtype(column.dtype)
                or content.shape[1:] != column.shape
            ):
                raise InvalidArgument(
                    f"{where} holds {content.dtype}{content.shape[1:]}, "
                    f"not {column.dtype}{column.shape}"
                )

    def _expected_length(self, column: Column, where: str) -> int:
        if column.counter is None:
            return self.num_entries
        if column.counter not in self.data:
            raise InvalidArgument(
                f"{where} is counted by {column.counter!r}, absent here"
            )
        counts = self.data[column.counter]
        if counts.dtype.kind not in "iu" or (counts.size and counts.min() < 0):
            raise InvalidArgument(
                f"{where} is counted by {column.counter!r}, "
                "which holds other than whole numbers from 0 on"
            )
        return int(counts.sum())

    def __getitem__(self, name: str) -> Any:
        return self.data[self.column(name).name]

    def column(self, name: str) -> Column:
        """Return the schema of one column.

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
        """Return the first object of each event, and the end: int64, shape (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.data[counter], dtype=np.int64)])

    def offsets_of(self, columns: Iterable[Column]) -> dict[str, Array]:
        """Return the offsets of some columns, by counter."""
        counters = {column.counter for column in columns}
        return {name: self.offsets(name) for name in counters if name is not None}

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events `start` to `stop` of some columns, and of their counters.

        Contents are views where possible.
        """
        start, stop = bounded(start, stop, self.num_entries)
        selected = with_counters(self.columns, columns)
        offsets = self.offsets_of(selected)
        data = {}
        for column in selected:
            first, last = start, stop
            if column.counter is not None:
                first, last = offsets[column.counter][[start, stop]]
            data[column.name] = self.data[column.name][first:last]
        return Table(self.name, selected, stop - start, data)

    @property
    def nbytes(self) -> int:
        """Bytes of the contents at their own types."""
        return column_bytes(self, self.columns)


def column_bytes(table: Table, columns: Iterable[Column]) -> int:
    """Return the bytes of some of a table's contents at their own types."""
    contents = (
        ak.to_packed(table.data[c.name]) if c.is_opaque else table.data[c.name]
        for c in columns
    )
    return sum(int(content.nbytes) for content in contents)


def with_counters(columns: Iterable[Column], names: Iterable[str]) -> tuple[Column, ...]:
    """Return the named columns and their counters, in the order of `columns`."""
    columns = tuple(columns)
    wanted = set(names)
    wanted |= {c.counter for c in columns if c.name in wanted and c.counter is not None}
    return tuple(c for c in columns if c.name in wanted)


@dataclass(frozen=True)
class LeftOut:
    """One part of an input that the output does not contain.

    Attributes:
        name: `TREE/COLUMN`, the name of a tree, or that of an object.
        reason: The reason for leaving it out.

    Example:
        >>> import flowtuple as ft
        >>> ft.LeftOut("Events/a", "no numbers").to_json()
        {'name': 'Events/a', 'reason': 'no numbers'}
    """

    name: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return a JSON object with `name` and `reason`."""
        return asdict(self)


@dataclass(frozen=True)
class Dataset:
    """Contents of one input: tables, and objects that are carried along unread.

    Attributes:
        description: Name of the input in messages, usually the path.
        tables: Its tables by name, in order.
        carried: ROOT objects (histograms) by name, each as the bytes of a ROOT file with this
            object.
        refused: Reasons by the name of a part that cannot be carried: `TREE/COLUMN`, or `/NAME`
            for a part of the file that belongs to no table but comes with each.
        nbytes: Size of the input file, or of all of them; 0 where it is unknown or there is none.
        storage: Notes by table, as JSON, on how the input stored it; a writer of the same format
            needs them to restore it alike.
        left_out: Parts of the original that an earlier step left out.
        format: The suffix of the input's format, such as `.root`; empty for events in memory and
            for compressed files.
        files: Number of input files.
        is_part: True where the input holds more than this: other tables, columns, events, or parts
            that were refused or left out.
        quantization: Attributes of columns whose values were moved within a bound, by table and
            column.
    """

    description: str
    tables: dict[str, TableSource]
    carried: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    nbytes: int = 0
    storage: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    format: str = ""
    files: int = 1
    is_part: bool = False
    quantization: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def table(self, name: str) -> TableSource:
        """Return one table by name.

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

    def only_table(self) -> TableSource:
        """Return the only table.

        Raises:
            InvalidArgument: There are none, or several.
        """
        if len(self.tables) != 1:
            raise InvalidArgument(
                f"{self.description}: holds the trees {', '.join(self.tables) or '(none)'}; "
                f"choose one, such as FILE:{next(iter(self.tables), 'Events')}"
            )
        return next(iter(self.tables.values()))

    def only(self, name: str) -> Dataset:
        """Return the data set with one of its tables and without carried objects.

        Parts of that table that are refused or left out stay, and so do parts of no table
        (`/NAME`).
        """
        stays = (f"{name}/", f"{name};", "/")
        others = [part for part in self.refused if not part.startswith(stays)]
        return replace(
            self,
            tables={name: self.table(name)},
            carried={},
            refused={k: reason for k, reason in self.refused.items() if k not in others},
            storage={k: notes for k, notes in self.storage.items() if k == name},
            left_out=tuple(part for part in self.left_out if part.name.startswith(stays)),
            is_part=bool(self.is_part or others or self.carried or len(self.tables) > 1),
        )

    def renamed(self, name: str) -> Dataset:
        """Return the data set, which has one table, with that table under another name."""
        old = next(iter(self.tables))
        if old == name:
            return self

        def moved(part: str) -> str:
            belongs = part.startswith((f"{old}/", f"{old};"))
            return f"{name}{part.removeprefix(old)}" if belongs else part

        return replace(
            self,
            tables={name: self.tables[old]},
            refused={moved(part): reason for part, reason in self.refused.items()},
            storage={name: self.storage[old]} if old in self.storage else {},
            left_out=tuple(
                LeftOut(moved(part.name), part.reason) for part in self.left_out
            ),
        )


def read_all(source: TableSource, columns: Sequence[str] | None = None) -> Table:
    """Read every event of a table, of some columns or of all."""
    names = [c.name for c in source.columns] if columns is None else columns
    return source.read(names, 0, source.num_entries)


def bounded(start: int, stop: int, num_entries: int) -> tuple[int, int]:
    """Return the part of a range of events that a table has, which may be empty.

    Example:
        >>> bounded(-3, 9, 5), bounded(7, 9, 5)
        ((0, 5), (5, 5))
    """
    stop = max(0, min(stop, num_entries))
    return min(max(0, start), stop), stop


def ranges(num_entries: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive (start, stop) pairs that cover `num_entries`, each at most `step` long.

    Example:
        >>> list(ranges(5, 2))
        [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, num_entries, step):
        yield start, min(start + step, num_entries)


def concatenate(tables: Sequence[Table]) -> Table:
    """Join consecutive pieces of one schema, of which there is at least one, to one table."""
    first = tables[0]
    data: dict[str, Content] = {}
    for column in first.columns:
        parts = [t.data[column.name] for t in tables]
        data[column.name] = (
            ak.concatenate(parts) if column.is_opaque else np.concatenate(parts)
        )
    return Table(first.name, first.columns, sum(t.num_entries for t in tables), data)


def difference(left: Table, right: Table) -> str | None:
    """Return the first difference between two tables in words, `None` if all bits are the same."""
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
            return (
                f"column {column.name!r} is {a.dtype}{a.shape} against {b.dtype}{b.shape}"
            )
        elif not np.array_equal(bit_patterns(a), bit_patterns(b)):
            return f"column {column.name!r} differs"
    return None
