"""Comparison of drawn rows with validation rows during a training.

The loss alone shows neither the shapes of distributions nor their dependence on conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.flows.bijection import Bijection

ROWS = 4096  # validation rows at most
CONDITIONS = 2  # the first columns of the context
BINS = 4  # of each condition, with equal numbers of rows
_FARTHEST = (
    100  # standard deviations beyond the validation rows, where drawn values are cut off
)
_QUANTILES = (0.16, 0.5, 0.84)  # of a column: the median, and the ends of 68 %


@dataclass(frozen=True, eq=False)
class Validation:
    """Distances between drawn rows and validation rows, in standard deviations of each column.

    Attributes:
        columns: Names of d columns.
        true: Validation rows, shape (n, d), in units of the columns.
        weight: Weight of each; negative ones are allowed if the sum is positive.
        drawn: Draws rows from a flow, shape (m, d); under conditions one for each row.
        context: Conditions of the validation rows, shape (n, c), or `None`.
    """

    columns: Sequence[str]
    true: Array
    weight: Array
    drawn: Callable[[Bijection], Array]
    context: Array | None = None

    def __call__(self, flow: Bijection) -> dict[str, float]:
        """Return `wasserstein/COLUMN`, and under conditions `median/COLUMN` and `width/COLUMN`.

        The latter two are the largest errors of median and 68 % half-width in a bin of a condition.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            # an untrained flow draws extremes
            drawn = self.drawn(flow)
        distances: dict[str, float] = {}
        for k, name in enumerate(self.columns):
            true = self.true[:, k]
            unit = float(np.std(true)) or 1.0
            low, high = (
                float(true.min()) - _FARTHEST * unit,
                float(true.max()) + _FARTHEST * unit,
            )
            column = np.clip(np.nan_to_num(drawn[:, k], nan=high), low, high)
            weight = np.ones(len(column)) if self.context is None else self.weight
            distance = wasserstein(column, true, weight, self.weight)
            distances[f"wasserstein/{name}"] = distance / unit
            if self.context is not None:
                errors = [
                    self._errors(rows, column, true) for rows in _bins(self.context)
                ]
                median, width = np.max(errors, axis=0) / unit
                distances[f"median/{name}"] = float(median)
                distances[f"width/{name}"] = float(width)
        return distances

    def _errors(self, rows: Array, drawn: Array, true: Array) -> tuple[float, float]:
        """Return the errors of median and half-width in some rows."""
        weight = self.weight[rows]
        low, middle, high = quantiles(drawn[rows], weight) - quantiles(true[rows], weight)
        return abs(float(middle)), abs(float(high - low)) / 2


def wasserstein(x: Array, y: Array, weight_x: Array, weight_y: Array) -> float:
    """Return the Wasserstein-1 distance of two weighted samples.

    It is the area between their distribution functions. SciPy's `wasserstein_distance` is the same
    but refuses negative weights.

    Example:
        >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.ones(2), np.ones(2))
        2.0
    """
    values = np.concatenate([x, y])
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([weight_x / weight_x.sum(), -weight_y / weight_y.sum()])[order]
    return float(np.abs(np.cumsum(steps)[:-1]) @ np.diff(values[order]))


def quantiles(x: Array, weight: Array) -> Array:
    """Return the 16 %, 50 % and 84 % points of a weighted sample, shape (3,)."""
    order = np.argsort(x, kind="stable")
    # Negative weights would make the distribution function fall.
    share = np.maximum.accumulate(np.cumsum(weight[order]))
    places = np.searchsorted(share, np.array(_QUANTILES) * share[-1])
    points: Array = x[order][places.clip(0, len(x) - 1)]
    return points


def _bins(context: Array) -> list[Array]:
    """Return numbers of the rows in each bin; a condition of few values has fewer bins."""
    bins = []
    for column in context[:, :CONDITIONS].T:
        edges = np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
        number = np.searchsorted(edges, column, side="right")
        bins += [np.flatnonzero(number == k) for k in np.unique(number)]
    return bins
