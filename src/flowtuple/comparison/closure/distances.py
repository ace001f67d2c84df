"""How far apart two samples lie column by column: Wasserstein-1 in standard deviations, Kolmogorov and Smirnov's distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.comparison.two_sample import one_column
from flowtuple.comparison.two_sample.permutations import Permutations
from flowtuple.comparison.two_sample.pooled import pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import silent

LEAST = 20  # rows


@dataclass(frozen=True)
class Distance:
    """Of one column in two samples.

    Attributes:
        column: Its name.
        w1: Wasserstein-1 in units of the reference's standard deviation.
        ks: Largest distance of the distribution functions.
    """

    column: str
    w1: float
    ks: float


def find_distances(reference: Rows, other: Rows, absent: float = np.nan) -> tuple[Distance, ...]:
    """Of every column, where there is a value; columns with fewer than 20 values, or of one value, are left out.

    Args:
        reference: One sample; rows may hold NaN.
        other: Another with the same columns.
        absent: What stands for no value, beside NaN.

    Raises:
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> a, b = (Rows("a", ("x",), np.arange(100.0)[:, None] + k, np.arange(100), 100) for k in (0, 50))
        >>> [(d.column, round(d.w1, 3), round(d.ks, 3)) for d in find_distances(a, b)]
        [('x', 1.732, 0.5)]
    """
    found = []
    for name in reference.columns:
        before, after = (_there(sample.only((name,)), absent) for sample in (reference, other))
        if min(len(before), len(after)) < LEAST or not (deviation := _deviation(before)) > 0:
            continue
        pooled = pool(before, after, seed=0)
        prepared = one_column.prepare(pooled, ("w1", "ks"), 0, silent)
        w1, ks = prepared.statistics(Permutations(pooled.other.astype(np.uint8)[:, None]))[:, 0]
        found.append(Distance(name, float(w1) / deviation, float(ks)))
    return tuple(found)


def _there(rows: Rows, absent: float) -> Rows:
    keep: Array = np.isfinite(rows.values[:, 0]) & (rows.values[:, 0] != absent)
    return rows.some(keep)


def _deviation(rows: Rows) -> float:
    values = rows.values[:, 0]
    mean = np.average(values, weights=rows.weights)
    return float(np.sqrt(np.average(np.square(values - mean), weights=rows.weights)))
