"""p-values of many statistics, adjusted for their number.

A test of columns has a statistic for each of them. Within it the largest standardised statistic of
each permutation is what a column has to exceed: Westfall and Young, "Resampling-based multiple
testing" (1993). Columns that say the same then cost nothing. Between tests it is Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.comparison.two_sample.permutations import holm, ranked
from flowtuple.data.schema import Array


@dataclass(frozen=True, eq=False)
class PValues:
    """p-values of K statistics, each of shape (K,).

    Attributes:
        statistic: The statistics of the true labels.
        p: Shares of permutations with a statistic as large.
        adjusted: The same, adjusted for the number of columns and of tests.
        deviations: Standard deviations by which the statistic exceeds the mean of the permutations.
    """

    statistic: Array
    p: Array
    adjusted: Array
    deviations: Array


def adjusted_p_values(values: Array, tests: Sequence[str], seed: int) -> PValues:
    """Return p-values of statistics that each belong to a test.

    Args:
        values: Statistics of the true labels, then of permutations, shape (K, 1 + count).
        tests: The test of each statistic.
        seed: Seed of the ranks among equal statistics.

    Example:
        >>> values = np.array([[9.0, 1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 3.0]])
        >>> adjusted_p_values(values, ["a", "b"], 0).adjusted.tolist()
        [0.5, 0.75]
    """
    names = np.array(tests)
    families = [np.flatnonzero(names == name) for name in dict.fromkeys(tests)]
    standard = _standardised(values)
    largest = np.stack([standard[rows].max(axis=0) for rows in families])
    smallest = ranked(largest, seed)
    by_family = holm(smallest)
    order = np.argsort(np.argsort(smallest, kind="stable"), kind="stable")
    adjusted = np.empty(len(values))
    for rows, least, whole, place, top in zip(
        families, smallest, by_family, order, largest, strict=True
    ):
        sorted_top = np.sort(top)
        reached = len(top) - np.searchsorted(sorted_top, standard[rows, 0], side="left")
        own = np.where(standard[rows, 0] == top[0], least, reached / len(top))
        factor = len(families) - place
        adjusted[rows] = np.maximum(
            whole, np.minimum(1.0, factor * np.maximum(own, least))
        )
    return PValues(values[:, 0], ranked(values, seed), adjusted, _excess(values))


def _excess(values: Array) -> Array:
    """Return the deviations of the first of each row from the others, NaN where these are equal."""
    others = np.where(np.isfinite(values[:, 1:]), values[:, 1:], np.nan)
    known = np.isfinite(others).sum(axis=1) > 1
    out = np.full(len(values), np.nan)
    mean, spread = (f(others[known], axis=1) for f in (np.nanmean, np.nanstd))
    flat = spread <= 1e-12 * np.abs(mean)
    out[known] = (values[known, 0] - mean) / np.where(flat, np.nan, spread)
    return out


def _standardised(values: Array) -> Array:
    """Return each row with mean 0 and standard deviation 1; infinities stay."""
    finite = np.isfinite(values)
    number = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    known = np.where(finite, values, 0.0)
    mean = known.sum(axis=1, keepdims=True) / number
    off = np.where(finite, values - mean, 0.0)
    spread = np.sqrt(np.square(off).sum(axis=1, keepdims=True) / number)
    # Rounding alone is no spread.
    flat = spread <= 1e-12 * np.abs(mean)
    return np.where(finite, off / np.where(flat, np.inf, spread), np.inf)
