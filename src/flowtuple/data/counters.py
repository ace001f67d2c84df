"""Hidden counters for each collection, where a source shares them between equal lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import read_like
from flowtuple.data.table import Table, TableSource, with_counters


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
            if column.hidden:
                continue
            shared = hidden.get(column.counter or "")
            if shared is None:
                columns[column.name] = column
                continue
            own = shared.name
            stem, underscore, _ = column.name.partition("_")
            if underscore:
                free = column.name if f"n({stem})" in columns else stem
                own = own_names.setdefault((shared.name, stem), f"n({free})")
            columns.setdefault(own, replace(shared, name=own))
            columns[column.name] = replace(column, counter=own)
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
