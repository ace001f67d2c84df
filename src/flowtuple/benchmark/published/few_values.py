"""Columns of few values, rounded to the values of the training, which no network gives exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array

FEW = 256  # different values, at most
_TIMES = (
    8  # rows a value, at least: else every value of a small sample would count as one of few
)


@dataclass(frozen=True, eq=False)
class FewValues:
    """Values of the columns that have few.

    Attributes:
        values: Ascending, by the column's number.

    Example:
        >>> few = FewValues({0: np.array([0.0, 5.0])})
        >>> few.rounded(np.array([[1.0, 7.3], [4.0, 7.4]])).tolist()
        [[0.0, 7.3], [5.0, 7.4]]
    """

    values: Mapping[int, Array]

    def rounded(self, rows: Array) -> Array:
        """Return rows of shape (n, d) with these columns at their nearest values."""
        out = rows.copy()
        for k, values in self.values.items():
            middles = (values[1:] + values[:-1]) / 2
            out[:, k] = values[np.searchsorted(middles, rows[:, k])]
        return out


def few_values(rows: Rows) -> FewValues:
    """Return the values of each column that has few.

    Example:
        >>> rows = Rows("x", ("n",), np.repeat([[3.0], [1.0]], 10, axis=0), np.arange(20), 20)
        >>> few_values(rows).values[0].tolist()
        [1.0, 3.0]
    """
    most = min(FEW, len(rows) // _TIMES)
    values = {k: np.unique(column) for k, column in enumerate(rows.values.T)}
    return FewValues(
        {k: different for k, different in values.items() if len(different) <= most}
    )
