"""Encoded tables: indices and decoded values of columns, and what relations predict for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import Parent, coding_order, collection_of, make_context
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice, resolutions_of
from flowtuple.lattice.prediction import Prediction

SAMPLE_ROWS = 8192


class EncodedTable:
    """A table whose columns are encoded one by one.

    Attributes:
        lattices: Lattice by column name.
        q: Indices of the columns encoded so far, in row order.
        context: Their decoded values, in row order.

    Args:
        table: The table.
        lattices: Lattice by column name.
    """

    def __init__(self, table: Table, lattices: Mapping[str, Lattice]) -> None:
        self._table = table
        self.lattices = lattices
        self.q: dict[str, Array] = {}
        self.context = make_context(table.columns, table.num_entries, table.data)

    def lattice(self, column: Column) -> Lattice:
        """Return the lattice of a column, of these rows; its resolution is encoded before."""
        return self.lattices[column.name].at(self.context.values)

    def encode(self, column: Column) -> Array:
        """Encode a column and return its indices: int64, shape (n,)."""
        name, lattice = column.name, self.lattice(column)
        rows = self.context.rows(collection_of(column))
        values = rows.sort(self._table.data[name].reshape(-1))
        q = self.q[name] = lattice.encode(values)
        self.context.values[name] = lattice.decode(q, values[q == ESCAPE])
        return q

    def values(self, parent: Parent, reader: Column) -> tuple[Array, Array]:
        """Return a parent's value for every row of the reader's collection, and where it exists."""
        key = self.context.collection[reader.name]
        return self.context.fetch(parent, key, slice(0, len(self.context.rows(key))))

    def predicted(self, prediction: Prediction, column: Column) -> Array:
        """Return the indices that a relation predicts for a column: int64, shape (n,)."""
        lattice = self.lattice(column)
        indices = prediction.index(lambda parent: self.values(parent, column), lattice)
        return np.broadcast_to(indices, len(self.q[column.name]))

    def classes(self, column: Column) -> Array:
        """Return the object number of every row, cut off at 3: int64, shape (n,)."""
        return np.minimum(self.context.rows(collection_of(column)).number, 3)


class RowSample(EncodedTable):
    """The first events of a table, encoded; about `SAMPLE_ROWS` rows of the largest collection.

    Attributes:
        columns: The columns of numbers that vary and are no ids, in coding order.
    """

    def __init__(self, table: Table, lattices: Mapping[str, Lattice]) -> None:
        most = max((v.size for v in table.data.values()), default=0)
        events = -(-table.num_entries * SAMPLE_ROWS // max(most, SAMPLE_ROWS))
        super().__init__(table.read([c.name for c in table.columns], 0, events), lattices)
        self.columns = tuple(c for c in self._in_order() if self._varies(c))

    def _in_order(self) -> list[Column]:
        resolutions = resolutions_of(self.lattices)
        return coding_order(self._table.columns, (), resolutions)

    def _varies(self, column: Column) -> bool:
        q = self.encode(column)
        return column.role != "id" and len(q) > 0 and bool((q != q[0]).any())


def as_floats(values: Array) -> Array:
    """Return values in float64 without a warning for signalling NaNs."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)
