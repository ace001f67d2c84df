"""Figures in bins with uncertainties from a bootstrap of events.

Each event counts a Poisson number of times of mean 1. The objects and the folds of one event count
together, in all bins and all figures of a sample alike, so that their correlation is in the
uncertainty. Efron, "Bootstrap methods: another look at the jackknife" (1979); the weights as in
Chamandy et al., "Estimating uncertainty for massive data streams" (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from flowtuple.data.schema import Array

REPLICAS = 200
_CENTRAL = (0.16, 0.5, 0.84)

Figures: TypeAlias = "Callable[[Array], Array]"
"""Computes figures of shape (k, cells) from the count of each event, shape (events,)."""


@dataclass(frozen=True, eq=False)
class Binned:
    """Rows with their cells.

    Attributes:
        values: Shape (n,).
        cell: From 0 to `cells` - 1, shape (n,); -1 outside.
        cells: Number of cells.
        event: Event of each row, shape (n,).
        weight: Weight of each row, shape (n,).
    """

    values: Array
    cell: Array
    cells: int
    event: Array
    weight: Array

    def inside(self) -> Binned:
        """Return the rows that lie in a cell, sorted by cell and value."""
        order = np.lexsort((self.values, self.cell))
        order = order[np.searchsorted(self.cell[order], 0) :]
        rows = (rows[order] for rows in (self.values, self.cell, self.event, self.weight))
        values, cell, event, weight = rows
        return Binned(values, cell, self.cells, event, weight)


def shares(rows: Binned) -> Figures:
    """Return the mean of each cell, of shape (1, cells): the share of the rows that are true.

    Example:
        >>> values, cell = np.array([True, False]), np.array([0, 0])
        >>> rows = Binned(values, cell, 1, np.array([0, 1]), np.ones(2))
        >>> shares(rows)(np.array([3.0, 1.0])).tolist()
        [[0.75]]
    """
    rows = rows.inside()

    def figures(counts: Array) -> Array:
        weight = counts[rows.event] * rows.weight
        total = np.bincount(rows.cell, weight, rows.cells)
        with np.errstate(invalid="ignore"):
            means = np.bincount(rows.cell, weight * rows.values, rows.cells) / total
        return np.asarray(means[None])

    return figures


def spreads(rows: Binned) -> Figures:
    """Return median and half of the central 68 % of each cell, of shape (2, cells).

    Each quantile is one of the values.

    Example:
        >>> values, cell = np.arange(100.0), np.zeros(100, int)
        >>> rows = Binned(values, cell, 1, np.arange(100), np.ones(100))
        >>> spreads(rows)(np.ones(100)).tolist()
        [[49.0], [34.0]]
    """
    rows = rows.inside()
    values = rows.values.astype(np.float64)
    cells = np.arange(rows.cells)
    begins = np.searchsorted(rows.cell, cells, side="left")
    ends = np.searchsorted(rows.cell, cells, side="right")

    def figures(counts: Array) -> Array:
        below = np.concatenate([[0.0], np.cumsum(counts[rows.event] * rows.weight)])
        first, total = below[begins], below[ends] - below[begins]
        wanted = first + np.multiply.outer(_CENTRAL, total)
        # Sums of many weights are rounded: without the margin a quantile may fall one value too
        # far.
        place = np.searchsorted(below[1:], wanted * (1 - 1e-12), side="left")
        place = np.clip(
            place, np.minimum(begins, len(values) - 1), np.maximum(ends - 1, 0)
        )
        low, median, high = (
            values[place] if len(values) else np.full((3, rows.cells), np.nan)
        )
        return np.where(total > 0, np.stack([median, (high - low) / 2]), np.nan)

    return figures


def with_errors(
    figures: Sequence[Figures],
    events: int,
    seed: int | Sequence[int],
    replicas: int = REPLICAS,
) -> list[tuple[Array, Array]]:
    """Return figures and their standard deviations over replicas of the sample.

    Args:
        figures: All figures of one sample.
        events: Number of its events.
        seed: Seed of the replicas.
        replicas: Number of replicas.

    Returns:
        For each figure two arrays of its own shape.
    """
    draw = np.random.default_rng(seed)
    true = [figure(np.ones(events)) for figure in figures]
    departures = [np.empty((replicas, *values.shape)) for values in true]
    for replica in range(replicas):
        # One set of counts for all figures, whose correlation it carries.
        counts = draw.poisson(1.0, events).astype(np.float64)
        for figure, values, departure in zip(figures, true, departures, strict=True):
            departure[replica] = figure(counts) - values
    return [
        (values, np.ma.masked_invalid(departure).std(axis=0).filled(0.0))
        for values, departure in zip(true, departures, strict=True)
    ]
