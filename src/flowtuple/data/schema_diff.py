"""Schemas in comparison: how two lists of columns differ, and hidden counters under other names."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Column
from flowtuple.data.table import Table, TableSource, with_counters
from flowtuple.errors import InvalidArgument, nearest


def schema_diff(
    expected: Iterable[Column],
    actual: Iterable[Column],
    *,
    counters: bool = False,
    hidden: bool = False,
    roles: bool = False,
    additional: bool = False,
) -> Iterator[tuple[str, str]]:
    """Yield the differences between two schemas: the name of a column, and the difference in words.

    Columns are compared by name, in type, in shape, and in being lists or single values. Titles and
    the order of the columns do not count.

    Args:
        expected: Columns that have to be in the other schema.
        actual: The other schema.
        counters: Compare the names of counters, too; all hidden counters count as one name.
        hidden: Compare hidden counters by their names. Otherwise those that count a column are left
            out, because another format may give them other names.
        roles: Compare roles, too.
        additional: Columns of `actual` that are not expected are differences as well.

    Example:
        >>> jets = [Column("nJet", "int32"), Column("Jet_pt", "float32", counter="nJet")]
        >>> list(schema_diff(jets, [Column("nJet", "int64"), Column("Jet_pt", "float32")]))
        [('nJet', 'is int64, not int32'), ('Jet_pt', 'is float32, not float32 lists')]
        >>> list(schema_diff(jets, jets[:1]))
        [('Jet_pt', 'is missing; nearest: nJet')]
    """
    expected = tuple(expected)
    actual = tuple(actual)
    there = {c.name: c for c in actual}
    implicit = {} if hidden else counted_columns(expected)
    implicit_there = {} if hidden else counted_columns(actual)
    for column in expected:
        if column.name in implicit:
            continue
        if column.name not in there:
            yield column.name, f"is missing; {nearest(column.name, there)}"
            continue
        kind = _kind(column, implicit, counters, roles)
        other = _kind(there[column.name], implicit_there, counters, roles)
        if other != kind:
            yield column.name, f"is {other}, not {kind}"
    if additional:
        names = {c.name for c in expected}
        for column in actual:
            if column.name not in names and column.name not in implicit_there:
                yield column.name, f"is additional; {nearest(column.name, names)}"


def _kind(column: Column, implicit: Container[str], counters: bool, roles: bool) -> str:
    """Return the type of a column in words."""
    words = column.dtype
    if column.shape:
        words += f" {list(column.shape)}"
    if column.counter is not None:
        words += " lists"
        if counters:
            own = column.counter in implicit
            words += f" counted by {'their own lengths' if own else repr(column.counter)}"
    if roles:
        words += f" of role {column.role!r}"
        words += " and hidden" if column.hidden else ""
    return words


def check_same_columns(
    expected: Iterable[Column], actual: Iterable[Column], where: str
) -> None:
    """Raise if a column is missing or is of another type; the message begins with `where`.

    Raises:
        InvalidArgument: The message names the first column that differs.
    """
    for name, words in schema_diff(expected, actual):
        raise InvalidArgument(f"{where}: column {name!r} {words}")


def counted_columns(columns: Iterable[Column]) -> dict[str, str]:
    """Return, for each hidden counter that counts something, the first column that it counts."""
    columns = tuple(columns)
    hidden = {c.name for c in columns if c.hidden}
    counted: dict[str, str] = {}
    for column in columns:
        if column.counter is not None and column.counter in hidden:
            counted.setdefault(column.counter, column.name)
    return counted


def read_like(
    source: TableSource, columns: tuple[Column, ...], start: int, stop: int
) -> Table:
    """Read events under another schema of the same columns, with its names of hidden counters.

    Args:
        source: Table with the columns, under the same names but for hidden counters.
        columns: The schema of the result.
        start: First event.
        stop: Event after the last.
    """
    counted = counted_columns(columns)
    names = [c.name for c in columns if c.name not in counted]
    table = source.read(names, start, stop)
    data = {name: table.data[name] for name in names}
    for column in columns:
        if column.name in counted:
            counter = table.column(counted[column.name]).counter
            data[column.name] = table.data[counter or ""].astype(column.dtype)
    return Table(table.name, columns, table.num_entries, data)


def counted_like(table: Table, columns: Iterable[Column]) -> Table:
    """Return a table whose lists have the counters of another schema, where they count the same.

    Lists in memory have hidden counters, though `nJet` may stand beside `Jet_pt`, as uproot reads
    both.

    Args:
        table: Events in memory.
        columns: The other schema.

    Example:
        >>> lists = (Column("h", "int64", "counter", hidden=True), Column("x", "f4", counter="h"))
        >>> data = {"n": np.array([1]), "h": np.array([1]), "x": np.zeros(1, "f4")}
        >>> table = Table("t", (Column("n", "int64"), *lists), 1, data)
        >>> [c.name for c in counted_like(table, [Column("x", "f4", counter="n")]).columns]
        ['n', 'x']
    """
    wanted = {c.name: c.counter for c in columns if c.counter is not None}
    visible = {c.name for c in table.columns if not c.hidden and c.counter is None}
    hidden = {c.name for c in table.columns if c.hidden}
    counters = {
        c.name: wanted[c.name]
        for c in table.columns
        if c.counter in hidden
        and wanted.get(c.name) in visible
        and np.array_equal(table.data[c.counter], table.data[wanted[c.name]])
    }
    counted = [replace(c, counter=counters.get(c.name, c.counter)) for c in table.columns]
    used = {c.counter for c in counted}
    named = set(counters.values())
    return replace(
        table,
        columns=tuple(
            replace(c, role="counter") if c.name in named else c
            for c in counted
            if c.name in used or not c.hidden
        ),
    )


class OwnCounters:
    """View of a table with a hidden counter for each collection, by the first part of column names.

    `Jet_pt` and `GenJet_pt` are collections of their own even if each event has as many jets of
    both kinds.
    """

    def __init__(self, source: TableSource) -> None:
        self._source = source
        self.name, self.num_entries = source.name, source.num_entries
        hidden = {c.name: c for c in source.columns if c.hidden}
        columns: dict[str, Column] = {}
        own_names: dict[tuple[str, str], str] = {}
        for column in source.columns:
            shared = hidden.get(column.counter or "")
            if shared is not None:
                own = shared.name
                stem, underscore, _ = column.name.partition("_")
                if underscore:
                    free = column.name if f"n({stem})" in columns else stem
                    own = own_names.setdefault((shared.name, stem), f"n({free})")
                columns.setdefault(own, replace(shared, name=own))
                columns[column.name] = replace(column, counter=own)
            elif not column.hidden:
                columns[column.name] = column
        self.columns = tuple(columns.values())

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events of the table."""
        shown = with_counters(self.columns, columns)
        # A hidden counter is read through a column that it counts, even if no such column is shown.
        counted = {c.counter for c in shown}
        alone = {c.name for c in shown if c.hidden} - counted
        first = {c.counter: c.name for c in reversed(self.columns) if c.counter in alone}
        names = {c.name for c in shown} | set(first.values())
        columns_read = tuple(c for c in self.columns if c.name in names)
        table = read_like(self._source, columns_read, start, stop)
        data = {c.name: table.data[c.name] for c in shown}
        return Table(self.name, shown, table.num_entries, data)
