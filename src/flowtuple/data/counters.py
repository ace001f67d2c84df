"""Hidden counters made one per collection: sources that count lists by their lengths let equal ones share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Table, TableSource


class OwnCounters:
    """A table seen with a hidden counter for each collection, by what the columns' names begin with.

    `Jet_pt` and `GenJet_pt` of events with as many jets of both kinds are collections of their own all the same.
    """

    def __init__(self, source: TableSource) -> None:
        self._source = source
        self.name, self.num_entries = source.name, source.num_entries
        hidden = {c.name: c for c in source.columns if c.hidden}
        columns: dict[str, Column] = {}
        names: dict[tuple[str, str], str] = {}
        for column in source.columns:
            if column.counter in hidden and "_" in column.name:
                stem = column.name.partition("_")[0]
                own = names.setdefault(
                    (column.counter, stem), f"n({column.name if f'n({stem})' in columns else stem})"
                )
                columns.setdefault(own, replace(hidden[column.counter], name=own))
                columns[column.name] = replace(column, counter=own)
            elif column.counter in hidden:
                columns.setdefault(column.counter, hidden[column.counter])
                columns[column.name] = column
            elif not column.hidden:
                columns[column.name] = column
        self.columns = tuple(columns.values())

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events of the table."""
        wanted = {*columns, *(c.counter for c in self.columns if c.name in columns)}
        counted = {c.counter for c in self.columns if c.name in columns and not c.hidden}
        alone = [c.name for c in self.columns if c.hidden and c.name in wanted - counted]
        helpers = {next(c.name for c in self.columns if c.counter == name) for name in alone}
        kept = tuple(c for c in self.columns if c.name in wanted | helpers)
        table = read_like(self._source, kept, start, stop)
        shown = tuple(c for c in kept if c.name in wanted)
        return Table(
            self.name, shown, table.num_entries, {c.name: table.data[c.name] for c in shown}
        )
