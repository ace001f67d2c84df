"""Views of tables: some columns, a range of events, other roles; nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from flowtuple.data.globs import Hit, NamedColumns, is_glob, select_columns
from flowtuple.data.schema import ROLES, Column, Role
from flowtuple.data.table import Dataset, Table, TableSource
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress


class SelectedTable:
    """View of some columns and a range of events of a table source.

    Args:
        source: The table to view.
        columns: Columns of the view, each also in the source, perhaps with another role.
        start: First event of the view.
        stop: Event after the last one of the view; `None` for the end.
    """

    def __init__(
        self,
        source: TableSource,
        columns: Sequence[Column],
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        self._source = source
        self._start = min(max(0, start), source.num_entries)
        end = source.num_entries if stop is None else min(stop, source.num_entries)
        self.name = source.name
        self.columns = tuple(columns)
        self.num_entries = max(0, end - self._start)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events of the view, counted from its own start."""
        stop = min(stop, self.num_entries)
        table = self._source.read(
            columns, self._start + max(0, start), self._start + stop
        )
        shown = {c.name: c for c in self.columns}
        return Table(
            table.name,
            tuple(shown[c.name] for c in table.columns),
            table.num_entries,
            table.data,
        )


class ProgressTable:
    """Table source that reports the progress of reading it."""

    def __init__(self, source: TableSource, stage: str, progress: Progress) -> None:
        self._source = source
        self._stage = stage
        self._progress = progress
        self.name = source.name
        self.columns = source.columns
        self.num_entries = source.num_entries

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events of the table."""
        table = self._source.read(columns, start, stop)
        if table.num_entries:
            self._progress(
                self._stage, min(stop, self.num_entries) / self.num_entries, ""
            )
        return table


@contextmanager
def prefix_errors(description: str) -> Iterator[None]:
    """Put the name of the input before errors about its columns, which name the columns only."""
    try:
        yield
    except InvalidArgument as error:
        raise InvalidArgument(f"{description}: {error}") from None


def select(
    dataset: Dataset,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    entries: tuple[int | None, int | None] = (None, None),
) -> Dataset:
    """Return a data set with the columns of the globs and, of every table, the events of a range.

    Args:
        dataset: The data set to view.
        include: Globs of the columns to view; none means all.
        exclude: Globs of columns to leave out.
        entries: First event, and event after the last; `None` for the beginning and the end.

    Raises:
        InvalidArgument: A glob matches nothing, or the range is empty, backwards or beyond the
            end of every table.
    """
    start, stop = entries[0] or 0, entries[1]
    if start < 0 or (stop is not None and stop <= start):
        raise InvalidArgument(
            f"the range {start}:{stop} holds no events; write START:STOP with START below STOP"
        )
    events = max((t.num_entries for t in dataset.tables.values()), default=0)
    if start and start >= events:
        raise InvalidArgument(
            f"{dataset.description}: the range begins at event {start} of {events}; "
            f"begin below {events}"
        )
    with prefix_errors(dataset.description):
        schemas = {name: t.columns for name, t in dataset.tables.items()}
        selected = select_columns(schemas, include, exclude)
    tables: dict[str, TableSource] = {
        name: SelectedTable(dataset.tables[name], columns, start, stop)
        for name, columns in selected.items()
    }
    is_part = dataset.is_part or any(
        name not in tables
        or len(tables[name].columns) < len(table.columns)
        or tables[name].num_entries < table.num_entries
        for name, table in dataset.tables.items()
    )
    return replace(dataset, tables=tables, is_part=is_part)


def table_with(dataset: Dataset, patterns: Iterable[str], what: str) -> TableSource:
    """Return the only table with a column that some names or globs match, else the first table.

    Args:
        dataset: The data set with the tables.
        patterns: Names or globs of columns.
        what: Meaning of the columns, for the message.

    Raises:
        InvalidArgument: Several tables have such a column.
    """
    named = NamedColumns({name: t.columns for name, t in dataset.tables.items()})
    matching: set[str] = set()
    for pattern in patterns:
        with suppress(InvalidArgument):
            matching |= {table for table, _ in named.matching(pattern)}
    holders = [table for name, table in dataset.tables.items() if name in matching]
    if len(holders) > 1:
        raise InvalidArgument(
            f"{dataset.description}: several trees hold {what}; "
            f"choose one, such as FILE:{holders[0].name}"
        )
    return (holders or list(dataset.tables.values()))[0]


def with_roles(dataset: Dataset, roles: Mapping[str, str]) -> Dataset:
    """Return the data set with the roles that the globs assign; the last match wins.

    Raises:
        InvalidArgument: A role does not exist, a glob matches nothing, or a counter would get
            another role.
    """
    named = NamedColumns({name: t.columns for name, t in dataset.tables.items()})
    assigned: dict[Hit, Role] = {}
    for pattern, role in roles.items():
        if role not in ROLES or role == "counter":
            choices = ", ".join(r for r in ROLES if r != "counter")
            raise InvalidArgument(
                f"the role {role!r} for {pattern!r} is not one of {choices}"
            )
        with prefix_errors(dataset.description):
            hits = named.matching(pattern)
        if not is_glob(pattern) and any(column.role == "counter" for _, column in hits):
            raise InvalidArgument(
                f"{dataset.description}: column {pattern!r} is a counter and has no other role"
            )
        assigned |= {hit: role for hit in hits if hit[1].role != "counter"}
    tables: dict[str, TableSource] = {
        name: SelectedTable(
            t, [replace(c, role=assigned.get((name, c), c.role)) for c in t.columns]
        )
        for name, t in dataset.tables.items()
    }
    return replace(dataset, tables=tables)
