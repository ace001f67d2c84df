"""Sliced Wasserstein distances: all columns together, direction by direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.comparison.two_sample.ecdf import distances, sort_column
from flowtuple.comparison.two_sample.permutations import (
    Family,
    Permutations,
    PreparedTest,
    Test,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.threads import ordered_map

_DIRECTIONS = 32


def directions(columns: int, seed: int) -> Array:
    """Return unit vectors along every column and 32 random ones: shape (columns, columns + 32)."""
    vectors = np.random.default_rng(seed).normal(size=(columns, _DIRECTIONS))
    return np.concatenate(
        [np.eye(columns), vectors / np.linalg.norm(vectors, axis=0)], axis=1
    )


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Sort both samples along each direction, for distances as POT gives them for p=1.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015). The maximum,
    which sees a shift of one column among many: Deshpande et al., "Max-sliced Wasserstein distance
    and its use for GANs" (2019).
    """
    projections = (pooled.standardised @ directions(len(pooled.columns), seed)).T
    columns = [sort_column(values, pooled, bins=1) for values in projections]
    weight = pooled.by_event(pooled.weight)[:, None]

    def statistics(labels: Permutations) -> Array:
        totals = labels.sums(weight)[0]
        parts = ordered_map(lambda column: distances(column, labels, totals)[1], columns)
        areas = np.stack(list(parts))
        values = {"sliced-w1": areas.mean(axis=0), "max-sliced-w1": areas.max(axis=0)}
        return np.stack([values[name] for name in names])

    return PreparedTest.joint(
        statistics, {name: {"directions": len(columns)} for name in names}
    )


FAMILY = Family(
    (
        Test(
            "sliced-w1",
            "Wasserstein-1 distance of standardised columns, averaged over directions",
            negative=True,
        ),
        Test("max-sliced-w1", "the same, largest over directions", negative=True),
    ),
    prepare,
)
