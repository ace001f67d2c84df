"""The first events of a table, encoded and decoded: what relations between columns are looked for in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Context, Parent, coding_order, collection_of, make_context
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice

SAMPLE_ROWS = 8192


@dataclass(frozen=True, eq=False)
class RowSample:
    """The first events of a table with all that finding relations needs, columns in coding order.

    Attributes:
        columns: The columns of numbers that vary and are no ids.
        lattices: Their lattices.
        q: Their indices in row order.
        context: Their decoded values in row order.
    """

    columns: tuple[Column, ...]
    lattices: Mapping[str, Lattice]
    q: Mapping[str, Array]
    context: Context

    @classmethod
    def of(cls, table: Table, lattices: Mapping[str, Lattice]) -> RowSample:
        """A sample of at most about `SAMPLE_ROWS` rows of the largest collection, and all of the counters."""
        most = max((v.size for v in table.data.values()), default=0)
        part = table.read(
            [c.name for c in table.columns],
            0,
            -(-table.num_entries * SAMPLE_ROWS // max(most, SAMPLE_ROWS)),
        )
        context = make_context(part.columns, part.num_entries, part.data)
        q, kept = {}, []
        for column in coding_order(part.columns):
            values, rows = part.data[column.name].reshape(-1), context.rows(collection_of(column))
            values, lattice = rows.sort(values), lattices[column.name]
            indices = lattice.encode(values)
            if column.role == "id" or not len(indices) or (indices == indices[0]).all():
                continue
            q[column.name] = indices
            context.values[column.name] = lattice.decode(indices, values[indices == ESCAPE])
            kept.append(column)
        return cls(tuple(kept), lattices, q, context)

    def values(self, parent: Parent, reader: Column) -> tuple[Array, Array]:
        """What a parent says for every row of a reader's collection, and where it exists."""
        key = self.context.collection[reader.name]
        return self.context.fetch(parent, key, slice(0, len(self.context.rows(key))))


def as_floats(values: Array) -> Array:
    """Values in float64; a signalling NaN becomes a quiet one without a word."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)
