"""One walk along a sorted column sums up both samples for many arrangements of labels at once.

Sorting is done once; an arrangement only changes to which sample a row counts.
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
        stops: The last row of each bin, int64; bins hold about equal numbers of rows, and never part ties.
    """

    event: Array
    weight: Array
    below: Array
    gap: Array
    stops: Array


def sort_column(values: Array, pooled: Pooled, bins: int) -> SortedColumn:
    """A column of shape (N,), sorted, with at most `bins` bins between quantiles of both samples together."""
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
    """Distances between the distribution functions F of the samples, and the second sample's histogram.

    Args:
        column: In ascending order.
        labels: P arrangements.
        totals: Weight of the second sample under each, shape (P,).

    Returns:
        max |F - F'| of shape (P,), the integral of |F - F'| in the column's unit, likewise, and weight up to the
        end of each bin, shape (bins, P).
    """
    width = labels.other.shape[1]
    largest, area, filled = np.zeros(width), np.zeros(width), np.zeros((len(column.stops), width))
    rest = 1 / (column.below[-1] - totals)
    arguments = column.event, column.weight, column.below, column.gap, column.stops
    for k in range(0, width, _ABREAST):
        some = slice(k, k + _ABREAST)
        scale = (1 / totals + rest)[some], rest[some]
        _walk(*arguments, labels.other[:, some], *scale, largest[some], area[some], filled[:, some])
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
    largest: Any,
    area: Any,
    filled: Any,
) -> None:
    """F' - F is c / C' - (b - c) / C: c of the second sample's weight C' lies below, b of both."""
    c = np.zeros(labels.shape[1])
    k = 0
    for i in range(len(event)):
        row, w, step, b = labels[event[i]], weight[i], gap[i], below[i]
        for p in range(len(c)):
            c[p] += w * row[p]
        if step > 0:
            for p in range(len(c)):
                distance = abs(c[p] * scale[p] - b * rest[p])
                largest[p] = max(largest[p], distance)
                area[p] += step * distance
        if i == stops[k]:
            filled[k] = c
            k += 1
