"""A sample of a table, encoded and decoded, in which relations between columns are searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Context, Parent, coding_order, collection_of, make_context
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import Prediction

SAMPLE_ROWS = 8192


@dataclass(frozen=True, eq=False)
class RowSample:
    """The first events of a table, encoded and decoded.

    Attributes:
        columns: The columns of numbers that vary and are no ids, in coding order.
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
        """Sample about `SAMPLE_ROWS` rows of the largest collection."""
        most = max((v.size for v in table.data.values()), default=0)
        events = -(-table.num_entries * SAMPLE_ROWS // max(most, SAMPLE_ROWS))
        part = table.read([c.name for c in table.columns], 0, events)
        context = make_context(part.columns, part.num_entries, part.data)
        q: dict[str, Array] = {}
        columns = []
        for column in coding_order(part.columns):
            values, rows = part.data[column.name].reshape(-1), context.rows(collection_of(column))
            values, lattice = rows.sort(values), lattices[column.name]
            indices = lattice.encode(values)
            if column.role == "id" or not len(indices) or (indices == indices[0]).all():
                continue
            q[column.name] = indices
            context.values[column.name] = lattice.decode(indices, values[indices == ESCAPE])
            columns.append(column)
        return cls(tuple(columns), lattices, q, context)

    def values(self, parent: Parent, reader: Column) -> tuple[Array, Array]:
        """Return a parent's value for every row of the reader's collection, and where it exists."""
        key = self.context.collection[reader.name]
        return self.context.fetch(parent, key, slice(0, len(self.context.rows(key))))

    def predicted(self, prediction: Prediction, column: Column) -> Array:
        """Return the indices that a relation predicts for a column: int64, shape (n,)."""
        lattice = self.lattices[column.name]
        indices = prediction.index(lambda parent: self.values(parent, column), lattice)
        return np.broadcast_to(indices, len(self.q[column.name]))

    def classes(self, column: Column) -> Array:
        """Return the object number of every row, cut off at 3: int64, shape (n,)."""
        return np.minimum(self.context.rows(collection_of(column)).number, 3)


def as_floats(values: Array) -> Array:
    """Return values in float64 without a warning for signalling NaNs."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)
