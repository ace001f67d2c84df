"""Tests by distribution functions: of one column at a time, and of all along many directions.

A column is sorted once; a permutation only changes which sample a row counts to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample import divergences
from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    PreparedTest,
    Test,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.threads import ordered_map

_ABREAST = 64  # permutations at a time, whose labels of one event are 8 bytes
_BITS = np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.float64)
_BINS = 20
_ROWS_PER_BIN = 10
_EXACT = ("ks", "w1")  # tests of columns without a histogram
_DIRECTIONS = 32
_MOST_AXES = 64  # columns; of more only random directions are taken, three times as many


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

    @classmethod
    def of(cls, values: Array, pooled: Pooled, bins: int = 1) -> SortedColumn:
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
        return cls(pooled.event[order], weight, np.cumsum(weight), gap, stops)

    def per_bin(self, values: Array) -> Array:
        """Return sums over the rows of each bin, shape (bins,)."""
        return np.diff(np.cumsum(values)[self.stops], prepend=0)

    def distances(
        self, labels: Permutations, totals: Array
    ) -> tuple[Array, Array, Array]:
        """Compare the distribution functions F of two samples, and fill the second's histogram.

        Args:
            labels: P permutations.
            totals: Weight of the second sample under each, shape (P,).

        Returns:
            max |F - F'| of shape (P,), the integral of |F - F'| in the column's unit, likewise, and
            the weight in each bin, shape (bins, P).
        """
        width = labels.other.shape[1]
        largest, area = np.zeros((2, width))
        filled = np.zeros((len(self.stops), width))
        rest = 1 / (self.below[-1] - totals)
        scale = 1 / totals + rest
        rows = self.event, self.weight, self.below, self.gap, self.stops
        for k in range(0, width, _ABREAST):
            some = slice(k, k + _ABREAST)
            packed = labels.packed[:, k // 8 : (k + _ABREAST) // 8]
            pair = np.zeros((2, 8 * packed.shape[1]))
            pair[:, : len(scale[some])] = scale[some], rest[some]
            sums = np.zeros((len(self.stops), pair.shape[1]))
            one, other = _walk(*rows, packed, _BITS, pair[0], pair[1], sums)
            largest[some], area[some] = one[: len(scale[some])], other[: len(scale[some])]
            filled[:, some] = sums[:, : len(scale[some])]
        return largest, area, np.diff(filled, axis=0, prepend=0)


@compiled(fastmath={"nnan", "nsz", "contract"})
def _walk(
    event: Any,
    weight: Any,
    below: Any,
    gap: Any,
    stops: Any,
    packed: Any,
    bits: Any,
    scale: Any,
    rest: Any,
    filled: Any,
) -> Any:
    """Return max |F' - F| and the integral of |F' - F|, and sum the second sample up to each stop.

    F' - F is c / C' - (b - c) / C, where the weight c of the second sample's C' lies below, and b
    of both. With scale = 1 / C' + 1 / C and rest = 1 / C that is c scale - b rest. The labels are
    bits, so that those of all events stay near to the processor: rows come in the order of values.
    """
    c = np.zeros(len(scale))
    largest, area = np.zeros(len(c)), np.zeros(len(c))
    k = 0
    for i in range(len(event)):
        w, step, b = weight[i], gap[i], below[i]
        for j in range(packed.shape[1]):
            row = bits[packed[event[i], j]]
            for p in range(8):
                c[8 * j + p] += w * row[p]
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


def prepare_columns(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Sort each column once.

    The statistics equal scipy's `ks_2samp`, `wasserstein_distance` and `chi2_contingency`.
    """
    fewer = min(np.bincount(pooled.other[pooled.event], minlength=2))
    bins = int(np.clip(fewer // _ROWS_PER_BIN, 2, _BINS))
    columns = [SortedColumn.of(values, pooled, bins) for values in pooled.values.T]
    histogram = {name: divergences.by_name(name) for name in names if name not in _EXACT}
    weight = pooled.by_event(pooled.weight)[:, None]

    def statistics(labels: Permutations) -> Array:
        totals = labels.sums(weight)[0]

        def of_column(column: SortedColumn) -> Array:
            largest, area, other = column.distances(labels, totals)
            reference = column.per_bin(column.weight)[:, None] - other
            squares = column.per_bin(np.square(column.weight))
            values = {"ks": largest, "w1": area}
            for name, distance in histogram.items():
                values[name] = distance(reference, other, squares)
            return np.stack([values[name] for name in names])

        return np.concatenate(list(ordered_map(of_column, columns)))

    details = {name: {"bins": bins} if name in histogram else {} for name in names}
    return PreparedTest(statistics, details, pooled.columns)


def directions(columns: int, seed: int) -> Array:
    """Return unit vectors along every column and 32 random ones: shape (columns, columns + 32).

    Of more than 64 columns there are 96 random ones only.
    """
    number = _DIRECTIONS if columns <= _MOST_AXES else 3 * _DIRECTIONS
    vectors = np.random.default_rng(seed).normal(size=(columns, number))
    if columns > _MOST_AXES:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=0))
    return np.concatenate(
        [np.eye(columns), vectors / np.linalg.norm(vectors, axis=0)], axis=1
    )


def prepare_directions(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Sort both samples along each direction, for distances as POT gives them for p=1.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015). The maximum,
    which sees a shift of one column among many: Deshpande et al., "Max-sliced Wasserstein distance
    and its use for GANs" (2019).
    """
    projections = (pooled.standardised @ directions(len(pooled.columns), seed)).T
    columns = [SortedColumn.of(values, pooled) for values in projections]
    weight = pooled.by_event(pooled.weight)[:, None]

    def statistics(labels: Permutations) -> Array:
        totals = labels.sums(weight)[0]
        parts = ordered_map(lambda column: column.distances(labels, totals)[1], columns)
        areas = np.stack(list(parts))
        values = {"sliced-w1": areas.mean(axis=0), "max-sliced-w1": areas.max(axis=0)}
        return np.stack([values[name] for name in names])

    return PreparedTest(
        statistics, {name: {"directions": len(columns)} for name in names}
    )


def alpha_test(name: str) -> tuple[str, Test]:
    """Return the name, in its shortest form, and the test of an alpha-divergence.

    Args:
        name: Such as `alpha:0.5`.

    Raises:
        InvalidArgument: The number is none, or out of range.

    Example:
        >>> alpha_test("alpha:.50")[0]
        'alpha:0.5'
    """
    alpha = divergences.read_alpha(name)
    about = f"alpha-divergence of the histograms, alpha = {alpha:.12g}"
    return f"{divergences.ALPHA}:{alpha:.12g}", Test(about, prepare_columns)


TESTS = {
    "ks": Test(
        "largest distance of the distribution functions (Kolmogorov, Smirnov)",
        prepare_columns,
        negative=True,
    ),
    "w1": Test(
        "Wasserstein-1 distance, in the column's unit", prepare_columns, negative=True
    ),
    "chi2": Test(
        "chi2 of quantile bins of both samples, variances from the sum of w^2",
        prepare_columns,
        negative=True,
    ),
    "kl": Test("Kullback-Leibler divergence of the histograms, nats", prepare_columns),
    "chi2-div": Test("chi2 divergence of the histograms", prepare_columns),
    "hellinger": Test("Hellinger distance of the histograms", prepare_columns),
    "sliced-w1": Test(
        "Wasserstein-1 distance of standardised columns, averaged over directions",
        prepare_directions,
        negative=True,
    ),
    "max-sliced-w1": Test(
        "the same, largest over directions", prepare_directions, negative=True
    ),
}
