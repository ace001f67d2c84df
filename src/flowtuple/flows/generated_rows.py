"""Rows that a flow makes while they are read: a `TableSource` of any length in the memory of a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, ranges
from flowtuple.flows.model import BLOCK


class GeneratedRows:
    """Rows in the columns' types and what is given beside them.

    Args:
        name: Of the table.
        columns: Of the d columns that are made.
        n: How many rows there are.
        make: Gives rows from one number to another, float64 of shape (m, d).
        given: Columns beside them.
        beside: Their values by name, shape (n,).

    Example:
        >>> table = GeneratedRows("rows", (Column("x", "float32"),), 5, lambda a, b: np.arange(a, b)[:, None] / 2)
        >>> table.read(["x"], 3, 9).data["x"].tolist()
        [1.5, 2.0]
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        n: int,
        make: Callable[[int, int], Array],
        given: Sequence[Column] = (),
        beside: Mapping[str, Array] | None = None,
    ) -> None:
        self.name, self.num_entries = name, n
        self.columns = (*columns, *given)
        self._made, self._make, self._beside = tuple(columns), make, dict(beside or {})

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """A range of the rows."""
        stop = min(stop, self.num_entries)
        parts = [self._make(start + a, start + b) for a, b in ranges(max(0, stop - start), BLOCK)]
        values = np.concatenate(parts) if parts else np.empty((0, len(self._made)))
        data = {
            c.name: values[:, k].astype(c.dtype)
            for k, c in enumerate(self._made)
            if c.name in columns
        }
        data |= {
            name: content[start:][: len(values)]
            for name, content in self._beside.items()
            if name in columns
        }
        return Table(self.name, tuple(c for c in self.columns if c.name in data), len(values), data)
