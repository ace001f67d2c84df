"""Sums over events that stand in other trees, where events are simulated several times and have no weight to divide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.table import Table, TableSource

_SUMS = "genEvent"
"""What the names of sums over events begin with, as in NanoAOD: genEventCount, genEventSumw, genEventSumw2."""


class _Multiplied:
    """A table seen with its sums multiplied."""

    def __init__(self, source: TableSource, factor: int) -> None:
        self._source, self._factor = source, factor
        self.name, self.columns, self.num_entries = source.name, source.columns, source.num_entries

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Rows of the table."""
        table = self._source.read(columns, start, stop)
        sums = [c for c in table.columns if c.name.startswith(_SUMS) and not c.is_opaque]
        data = {c.name: (table.data[c.name] * self._factor).astype(np.dtype(c.dtype)) for c in sums}
        return replace(table, data={**table.data, **data})


def with_sums(tables: Mapping[str, TableSource], factor: int) -> dict[str, TableSource]:
    """Tables with all sums over events multiplied by how often each event was simulated."""
    return {
        name: _Multiplied(table, factor)
        if any(c.name.startswith(_SUMS) for c in table.columns)
        else table
        for name, table in tables.items()
    }
