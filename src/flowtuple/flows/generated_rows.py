"""Rows that a flow draws while they are read: a `TableSource` of any length in little memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table, ranges
from flowtuple.flows.model import BLOCK


class GeneratedRows:
    """Drawn rows in the types of their columns, with the conditions that they were drawn under.

    Args:
        name: Name of the table.
        columns: The d columns that are drawn.
        n: Number of rows.
        make: Returns rows from one number to another, float64 of shape (m, d).
        context_columns: Columns of the conditions.
        context: Values of the conditions by name, shape (n,).

    Example:
        >>> x = Column("x", "float32")
        >>> table = GeneratedRows("rows", (x,), 5, lambda a, b: np.arange(a, b)[:, None] / 2)
        >>> table.read(["x"], 3, 9).data["x"].tolist()
        [1.5, 2.0]
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        n: int,
        make: Callable[[int, int], Array],
        context_columns: Sequence[Column] = (),
        context: Mapping[str, Array] | None = None,
    ) -> None:
        self.name = name
        self.num_entries = n
        self.columns = (*columns, *context_columns)
        self._drawn = tuple(columns)
        self._make = make
        self._context = dict(context or {})

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return a range of the rows."""
        stop = min(stop, self.num_entries)
        parts = [
            self._make(start + a, start + b) for a, b in ranges(max(0, stop - start), BLOCK)
        ]
        values = np.concatenate(parts) if parts else np.empty((0, len(self._drawn)))
        data = {c.name: values[:, k].astype(c.dtype) for k, c in enumerate(self._drawn)}
        data |= {name: x[start:][: len(values)] for name, x in self._context.items()}
        shown = tuple(c for c in self.columns if c.name in columns)
        return Table(self.name, shown, len(values), {c.name: data[c.name] for c in shown})
