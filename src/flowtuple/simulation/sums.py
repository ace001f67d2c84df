"""Sums over events in other trees, for events that are simulated several times without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.table import Table, TableSource

_SUMS = "genEvent"
"""Prefix of sums over events, as in NanoAOD: genEventCount, genEventSumw, genEventSumw2."""


class _Multiplied:
    """A table with its sums multiplied."""

    def __init__(self, source: TableSource, factor: int) -> None:
        self._source, self._factor = source, factor
        self.name, self.columns, self.num_entries = (
            source.name,
            source.columns,
            source.num_entries,
        )

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return rows of the table."""
        table = self._source.read(columns, start, stop)
        data = dict(table.data)
        for column in table.columns:
            if column.name.startswith(_SUMS) and not column.is_opaque:
                product = data[column.name] * self._factor
                data[column.name] = product.astype(np.dtype(column.dtype))
        return replace(table, data=data)


def multiply_sums(
    tables: Mapping[str, TableSource], factor: int
) -> dict[str, TableSource]:
    """Return tables with their sums over events multiplied.

    Args:
        tables: All tables of a file, by name.
        factor: Number of times that each event is simulated.
    """
    return {
        name: _Multiplied(table, factor)
        if any(c.name.startswith(_SUMS) for c in table.columns)
        else table
        for name, table in tables.items()
    }
