"""Distances of two samples column by column: Wasserstein-1, and Kolmogorov and Smirnov's."""

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
    """Distances of one column in two samples.

    Attributes:
        column: Name of the column.
        w1: Wasserstein-1 in units of the reference's standard deviation.
        ks: Largest distance of the distribution functions.
    """

    column: str
    w1: float
    ks: float


def find_distances(
    reference: Rows, other: Rows, absent: float = np.nan
) -> tuple[Distance, ...]:
    """Return the distances of every column with 20 values or more, and more than one value.

    Args:
        reference: One sample; rows may hold NaN for no value.
        other: Another with the same columns.
        absent: A number that stands for no value, too.

    Raises:
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> x, event = np.arange(100.0)[:, None], np.arange(100)
        >>> a, b = (Rows("toy", ("x",), x + shift, event, 100) for shift in (0, 50))
        >>> [(d.column, round(d.w1, 3), round(d.ks, 3)) for d in find_distances(a, b)]
        [('x', 1.732, 0.5)]
    """
    out = []
    for name in reference.columns:
        before, after = (
            _present(sample.only((name,)), absent) for sample in (reference, other)
        )
        if min(len(before), len(after)) < LEAST or not (deviation := _deviation(before)) > 0:
            continue
        pooled = pool(before, after, seed=0)
        prepared = one_column.prepare(pooled, ("w1", "ks"), 0, silent)
        true_labels = Permutations(pooled.other.astype(np.uint8)[:, None])
        w1, ks = prepared.statistics(true_labels)[:, 0]
        out.append(Distance(name, float(w1) / deviation, float(ks)))
    return tuple(out)


def _present(rows: Rows, absent: float) -> Rows:
    values: Array = rows.values[:, 0]
    return rows.some(np.isfinite(values) & (values != absent))


def _deviation(rows: Rows) -> float:
    values = rows.values[:, 0]
    mean = np.average(values, weights=rows.weights)
    return float(np.sqrt(np.average(np.square(values - mean), weights=rows.weights)))
