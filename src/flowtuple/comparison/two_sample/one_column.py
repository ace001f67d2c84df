"""Tests of one column at a time: distribution functions and histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flowtuple.comparison.two_sample.ecdf import SortedColumn, distances, sort_column
from flowtuple.comparison.two_sample.permutations import (
    Family,
    Permutations,
    PreparedTest,
    Test,
    extra,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.threads import ordered_map

_BINS = 20
_ROWS_PER_BIN = 10
_TINY = np.finfo(np.float64).tiny


def chi2(a: Array, b: Array, squares: Array) -> Array:
    """Return A B sum (a/A - b/B)^2 / sum w^2 over bins, shape (P,).

    Without weights this is Pearson's sum (sqrt(B/A) a - sqrt(A/B) b)^2 / (a + b).

    Args:
        a: Histogram of the reference with total A, shape (bins, P).
        b: Histogram of the second sample with total B, shape (bins, P).
        squares: Sum of squared weights in each bin, shape (bins,).
    """
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    distance = np.square(a / total_a - b / total_b) / np.maximum(squares, _TINY)[:, None]
    return np.asarray(total_a * total_b * distance.sum(axis=0))


def _shares(counts: Array) -> Array:
    """Return shares with half an entry more in each bin, so that no empty one gives an infinity.

    Krichevsky and Trofimov (1981).
    """
    return np.asarray((counts + 0.5) / (counts + 0.5).sum(axis=0))


def kullback_leibler(a: Array, b: Array, squares: Array) -> Array:
    """Return the sum of p log(p / q) over bins in nats, p of the reference."""
    return np.asarray(extra("scipy.special").rel_entr(_shares(a), _shares(b)).sum(axis=0))


def chi2_divergence(a: Array, b: Array, squares: Array) -> Array:
    """Return half of the sum of (p - q)^2 / q over bins, p of the reference."""
    p, q = _shares(a), _shares(b)
    return np.asarray(0.5 * (np.square(p - q) / q).sum(axis=0))


def hellinger(a: Array, b: Array, squares: Array) -> Array:
    """Return the root of half of the sum of (sqrt p - sqrt q)^2 over bins, from 0 to 1."""
    p, q = a / a.sum(axis=0), b / b.sum(axis=0)
    return np.asarray(np.sqrt(0.5 * np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=0)))


_HISTOGRAM: dict[str, Callable[[Array, Array, Array], Array]] = {
    "chi2": chi2,
    "kl": kullback_leibler,
    "chi2-div": chi2_divergence,
    "hellinger": hellinger,
}


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Sort each column once.

    The statistics equal scipy's `ks_2samp`, `wasserstein_distance` and `chi2_contingency`.
    """
    fewer = min(np.bincount(pooled.other[pooled.event], minlength=2))
    bins = int(np.clip(fewer // _ROWS_PER_BIN, 2, _BINS))
    columns = [sort_column(values, pooled, bins) for values in pooled.values.T]
    weight = pooled.by_event(pooled.weight)[:, None]

    def statistics(labels: Permutations) -> Array:
        totals = labels.sums(weight)[0]
        parts = ordered_map(
            lambda column: _statistics(column, names, labels, totals), columns
        )
        return np.concatenate(list(parts))

    keys = [(name, column) for column in pooled.columns for name in names]
    return PreparedTest(
        keys, statistics, {n: {"bins": bins} for n in names if n in _HISTOGRAM}
    )


def _statistics(
    column: SortedColumn, names: Sequence[str], labels: Permutations, totals: Array
) -> Array:
    """Return the statistics of one column, shape (len(names), P)."""
    largest, area, filled = distances(column, labels, totals)
    both = _per_bin(np.cumsum(column.weight)[column.stops])[:, None]
    squares = _per_bin(np.cumsum(np.square(column.weight))[column.stops])
    other = _per_bin(filled)
    values = {"ks": largest, "w1": area}
    return np.stack(
        [
            values[n] if n in values else _HISTOGRAM[n](both - other, other, squares)
            for n in names
        ]
    )


def _per_bin(cumulated: Array) -> Array:
    return np.diff(cumulated, axis=0, prepend=0)


FAMILY = Family(
    (
        Test(
            "ks",
            "largest distance of the distribution functions (Kolmogorov, Smirnov)",
            negative=True,
        ),
        Test("w1", "Wasserstein-1 distance, in the column's unit", negative=True),
        Test(
            "chi2",
            "chi2 of quantile bins of both samples, variances from the sum of w^2",
            negative=True,
        ),
        Test("kl", "Kullback-Leibler divergence of the histograms, nats"),
        Test("chi2-div", "chi2 divergence of the histograms"),
        Test("hellinger", "Hellinger distance of the histograms"),
    ),
    prepare,
)
