"""Events in memory: `Table`, NumPy columns with shared counters, and `Dataset`, the named tables of one input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import awkward as ak
import numpy as np

from flowtuple.data.awkward import from_block, kind_of, leaves, same_values
from flowtuple.data.schema import OPAQUE, Array, Column, bit_patterns, infer_role, unused
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


def check_same_columns(wanted: Iterable[Column], found: Iterable[Column], where: str) -> None:
    """Refuse columns that are missing elsewhere or of another type there; hidden counters are known by what they count.

    Raises:
        InvalidArgument: One is; the message begins with `where`.
    """
    wanted, there = tuple(wanted), {c.name: c for c in found}
    counted = _counted(wanted)
    for column in wanted:
        if column.name in counted:
            continue
        other = there.get(column.name)
        if other is None:
            raise InvalidArgument(
                f"{where}: it lacks column {column.name!r}; {nearest(column.name, there)}"
            )
        if (other.counter is None) != (column.counter is None):
            raise InvalidArgument(
                f"{where}: column {column.name!r} holds lists in one and single values in the other"
            )
        if (other.dtype, other.shape) != (column.dtype, column.shape):
            raise InvalidArgument(
                f"{where}: column {column.name!r} is {other.dtype}, not {column.dtype}"
            )


def _counted(columns: Iterable[Column]) -> dict[str, str]:
    """For each hidden counter that counts something, the first column that it counts."""
    columns = tuple(columns)
    hidden = {c.name for c in columns if c.hidden}
    counted: dict[str, str] = {}
    for column in columns:
        if column.counter is not None and column.counter in hidden:
            counted.setdefault(column.counter, column.name)
    return counted


def read_like(source: TableSource, columns: tuple[Column, ...], start: int, stop: int) -> Table:
    """Events of a table under another schema for the same columns: hidden counters under the names that this gives them."""
    counted = _counted(columns)
    names = [c.name for c in columns if c.name not in counted]
    table = source.read(names, start, stop)
    data = {name: table.data[name] for name in names}
    for column in columns:
        if column.name in counted:
            counter = table.column(counted[column.name]).counter
            data[column.name] = table.data[counter or ""].astype(column.dtype)
    return Table(table.name, columns, table.num_entries, data)


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


def table_from_awkward(
    name: str,
    array: ak.Array,
    titles: Mapping[str, str] | None = None,
    counters: Mapping[str, str] | None = None,
) -> Table:
    """A table from a record array, one field a column.

    Args:
        name: Name of the table.
        array: One record per event. A field of numbers is a column, a field of lists of numbers a counted column, a
            field of lists of records a collection (`Jet` with `pt` becomes `Jet_pt`), a record is flattened
            the same way. Anything else is opaque; an option type counts as such only where a value is missing.
        titles: Branch titles by column name.
        counters: For counted columns, the field that counts them; columns left out share a hidden
            counter with all columns of equal counts.

    Raises:
        InvalidArgument: A field does not have as many values as the one that counts it says, or two get the same name.

    Example:
        >>> table = table_from_awkward("Events", ak.Array([{"Jet": [{"pt": 50.0}, {"pt": 20.0}]}, {"Jet": []}]))
        >>> [c.name for c in table.columns], table["Jet_pt"].tolist(), table["n(Jet_pt)"].tolist()
        (['n(Jet_pt)', 'Jet_pt'], [50.0, 20.0], [2, 0])
    """
    visible: dict[str, tuple[str, ak.Array]] = {}
    for field_name in array.fields:
        for leaf, fields, values in leaves(field_name, array[field_name]):
            origin = ".".join((field_name, *fields))
            if leaf in visible:
                raise InvalidArgument(
                    f"table {name!r}: {visible[leaf][0]!r} and {origin!r} would both be column {leaf!r}; rename one"
                )
            visible[leaf] = (origin, values)
    builder = _Builder(titles or {}, counters or {}, visible)
    for leaf, (_, values) in visible.items():
        builder.add(leaf, values)
    builder.check_counters()
    return Table(name, tuple(builder.columns), len(array), builder.data)


class _Builder:
    """Collects columns and finds counters that they share."""

    def __init__(
        self, titles: Mapping[str, str], counters: Mapping[str, str], visible: Iterable[str]
    ) -> None:
        self._taken = set(visible)
        self.columns: list[Column] = []
        self.data: dict[str, Any] = {}
        self._titles = titles
        self._known = counters
        self._counting = set(counters.values())
        self._hidden: dict[bytes, str] = {}
        self._lengths: dict[str, Array] = {}

    def add(self, name: str, values: ak.Array) -> None:
        dtype, shape, is_counted = kind_of(values)
        counter = self._counter(name, values) if is_counted else None
        role = (
            "counter"
            if name in self._counting
            else "value"
            if dtype == OPAQUE
            else infer_role(name, dtype)
        )
        self.columns.append(Column(name, dtype, role, self._titles.get(name, ""), counter, shape))
        flat = ak.flatten(values) if is_counted else values
        self.data[name] = values if dtype == OPAQUE else np.ascontiguousarray(ak.to_numpy(flat))

    def check_counters(self) -> None:
        for name, lengths in self._lengths.items():
            counter = self._known[name]
            if counter not in self.data or not np.array_equal(lengths, self.data[counter]):
                raise InvalidArgument(
                    f"column {name!r} does not have as many values as {counter!r} says; name its own counter"
                )

    def _unused(self, name: str) -> str:
        """A name for a hidden counter; visible columns keep theirs."""
        free = unused(name, self._taken)
        self._taken.add(free)
        return free

    def _counter(self, name: str, values: ak.Array) -> str:
        lengths = np.asarray(ak.to_numpy(ak.num(values)), dtype=np.int64)
        if name in self._known:
            self._lengths[name] = lengths
            return self._known[name]
        key = lengths.tobytes()
        if key not in self._hidden:
            hidden = self._hidden[key] = self._unused(f"n({name})")
            self.columns.append(Column(hidden, "int64", "counter", hidden=True))
            self.data[hidden] = lengths
        return self._hidden[key]


def table_to_awkward(table: Table) -> ak.Array:
    """A record array with one field per visible column: lists for counted columns, regular arrays for fixed ones."""
    offsets = {c: table.offsets(c) for c in {k.counter for k in table.columns} if c is not None}
    fields: dict[str, Any] = {}
    for column in table.columns:
        content = table.data[column.name]
        if column.hidden:
            continue
        if column.counter is not None:
            layout = ak.contents.ListOffsetArray(
                ak.index.Index64(offsets[column.counter]), ak.contents.NumpyArray(content)
            )
            fields[column.name] = ak.Array(layout)
        else:
            fields[column.name] = content if column.is_opaque else from_block(content)
    if not fields:
        return ak.Array(ak.contents.RecordArray([], [], length=table.num_entries))
    return ak.zip(fields, depth_limit=1)


def tables_to_awkward(tables: Mapping[str, Table]) -> ak.Array | dict[str, ak.Array]:
    """A record array, or a dict of them by table name where there are several."""
    arrays = {name: table_to_awkward(table) for name, table in tables.items()}
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
