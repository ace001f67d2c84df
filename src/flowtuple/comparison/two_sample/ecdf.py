"""Distances of empirical distribution functions, for many label permutations in one walk.

A column is sorted once; a permutation only changes which sample a row counts to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.permutations import Permutations
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled

_ABREAST = 64  # labels of one event in one cache line


@dataclass(frozen=True)
class SortedColumn:
    """A column in ascending order.

    Attributes:
        event: The event of each row, int64 of shape (N,).
        weight: float64, shape (N,).
        below: Weight up to and with each row, both samples together, shape (N,).
        gap: Distance to the next value, 0 among ties and at the end, shape (N,).
        stops: The last row of each bin, int64; bins hold about equal numbers of rows, ties
            undivided.
    """

    event: Array
    weight: Array
    below: Array
    gap: Array
    stops: Array


def sort_column(values: Array, pooled: Pooled, bins: int) -> SortedColumn:
    """Sort a column and choose bins between quantiles of both samples together.

    Args:
        values: The column, shape (N,).
        pooled: Both samples.
        bins: Bins at most.
    """
    order = np.argsort(values, kind="stable")
    gap = np.append(np.diff(values[order]), 0.0)
    ends = np.append(np.flatnonzero(gap > 0), len(values) - 1)
    wanted = np.linspace(0, len(values), bins + 1)[1:-1] - 1
    stops = np.unique(np.append(ends[np.searchsorted(ends, wanted)], len(values) - 1))
    weight = pooled.weight[order]
    return SortedColumn(pooled.event[order], weight, np.cumsum(weight), gap, stops)


def distances(
    column: SortedColumn, labels: Permutations, totals: Array
) -> tuple[Array, Array, Array]:
    """Compare the distribution functions F of two samples, and sum the second one's histogram.

    Args:
        column: The sorted column.
        labels: P permutations.
        totals: Weight of the second sample under each, shape (P,).

    Returns:
        max |F - F'| of shape (P,), the integral of |F - F'| in the column's unit, likewise, and
        weight up to the end of each bin, shape (bins, P).
    """
    width = labels.other.shape[1]
    largest, area, filled = (
        np.zeros(width),
        np.zeros(width),
        np.zeros((len(column.stops), width)),
    )
    rest = 1 / (column.below[-1] - totals)
    scale = 1 / totals + rest
    rows = column.event, column.weight, column.below, column.gap, column.stops
    for k in range(0, width, _ABREAST):
        some = slice(k, k + _ABREAST)
        largest[some], area[some] = _walk(
            *rows, labels.other[:, some], scale[some], rest[some], filled[:, some]
        )
    return largest, area, filled


@compiled(fastmath={"nnan", "nsz", "contract"})
def _walk(
    event: Any,
    weight: Any,
    below: Any,
    gap: Any,
    stops: Any,
    labels: Any,
    scale: Any,
    rest: Any,
    filled: Any,
) -> Any:
    """Return max |F' - F| and the integral of |F' - F|, and fill the second sample's histogram.

    F' - F is c / C' - (b - c) / C, where the weight c of the second sample's C' lies below, and b
    of both. With scale = 1 / C' + 1 / C and rest = 1 / C that is c scale - b rest.
    """
    c = np.zeros(labels.shape[1])
    largest, area = np.zeros(len(c)), np.zeros(len(c))
    k = 0
    for i in range(len(event)):
        row, w, step, b = labels[event[i]], weight[i], gap[i], below[i]
        for p in range(len(c)):
            c[p] += w * row[p]
        # Between equal values the functions have not yet changed.
        if step > 0:
            for p in range(len(c)):
                distance = abs(c[p] * scale[p] - b * rest[p])
                largest[p] = max(largest[p], distance)
                area[p] += step * distance
        if i == stops[k]:
            filled[k] = c
            k += 1
    return largest, area
