"""Rows drawn by a flow half trained beside rows held out: the loss alone shows neither shapes nor conditioning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.flows.bijection import Bijection

ROWS = 4096  # at most, drawn and held out
CONDITIONS = 2  # columns of the context that are looked at
BINS = 4  # of each, with equal numbers of rows
_FAR = (
    100  # standard deviations outside of the rows held out, where a value is as far as one can be
)
_MIDDLE = (0.16, 0.5, 0.84)  # of a column's distribution: its median, and the width that holds 68 %


@dataclass(frozen=True, eq=False)
class Validation:
    """Distances between rows drawn and rows held out, in standard deviations of each column.

    Attributes:
        columns: Names of d columns.
        true: Rows held out, shape (n, d), in units of the columns.
        weight: Of each, shape (n,); negative ones are allowed where the sum is above 0.
        drawn: Rows that a flow draws, shape (m, d); under a context as many, one for each.
        context: Conditions of the rows held out, shape (n, c), or `None`.
    """

    columns: Sequence[str]
    true: Array
    weight: Array
    drawn: Callable[[Bijection], Array]
    context: Array | None = None

    def __call__(self, flow: Bijection) -> dict[str, float]:
        """Numbers by name: `wasserstein/COLUMN`, and under a context `median/COLUMN` and `width/COLUMN`.

        The latter two are how far median and 68 % half-width in a bin of the context lie off where that is worst.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of a flow that has learned little yet
            drawn, found = self.drawn(flow), {}
        for k, name in enumerate(self.columns):
            true = self.true[:, k]
            unit = float(np.std(true)) or 1.0
            low, high = float(true.min()) - _FAR * unit, float(true.max()) + _FAR * unit
            made = np.clip(np.nan_to_num(drawn[:, k], nan=high), low, high)
            weight = np.ones(len(made)) if self.context is None else self.weight
            found[f"wasserstein/{name}"] = wasserstein(made, true, weight, self.weight) / unit
            if self.context is not None:
                off = [self._off(rows, made, true) for rows in _bins(self.context)]
                median, width = np.max(off, axis=0) / unit
                found |= {f"median/{name}": float(median), f"width/{name}": float(width)}
        return found

    def _off(self, rows: Array, made: Array, true: Array) -> tuple[float, float]:
        """How far median and half-width of some rows lie off."""
        low, middle, high = quantiles(made[rows], self.weight[rows]) - quantiles(
            true[rows], self.weight[rows]
        )
        return abs(float(middle)), abs(float(high - low)) / 2


def wasserstein(x: Array, y: Array, weight_x: Array, weight_y: Array) -> float:
    """Wasserstein-1 distance of two weighted samples, the area between their distribution functions.

    SciPy's `wasserstein_distance` is the same but refuses negative weights.

    Example:
        >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.ones(2), np.ones(2))
        2.0
    """
    values = np.concatenate([x, y])
    order = np.argsort(values, kind="stable")
    steps = np.concatenate([weight_x / weight_x.sum(), -weight_y / weight_y.sum()])[order]
    return float(np.abs(np.cumsum(steps)[:-1]) @ np.diff(values[order]))


def quantiles(x: Array, weight: Array) -> Array:
    """The 16 %, 50 % and 84 % points of a weighted sample, shape (3,)."""
    order = np.argsort(x, kind="stable")
    share = np.maximum.accumulate(np.cumsum(weight[order]))  # negative weights would make it fall
    found: Array = x[order][
        np.searchsorted(share, np.array(_MIDDLE) * share[-1]).clip(0, len(x) - 1)
    ]
    return found


def _bins(context: Array) -> list[Array]:
    """Rows of each bin, by number; a condition of few values has fewer bins."""
    found = []
    for column in context[:, :CONDITIONS].T:
        edges = np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
        number = np.searchsorted(edges, column, side="right")
        found += [np.flatnonzero(number == k) for k in np.unique(number)]
    return found
