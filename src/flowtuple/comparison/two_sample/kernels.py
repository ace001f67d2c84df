"""Tests by kernels: maximum mean discrepancy, Gaussian, and kernel physics distance, polynomial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    PreparedTest,
    Test,
    extra,
)
from flowtuple.comparison.two_sample.pooled import Pooled, subsample
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress

_ROWS = 2000
_DEGREE = 4


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Compute kernels of at most 2,000 standardised rows, for squared mean discrepancies.

    These are V-statistics. Gretton et al., "A kernel two-sample test" (2012), with a Gaussian
    kernel as wide as the median distance; Kansal et al., "Evaluating generative models in high
    energy physics" (2023), with the kernel (x y / d + 1)^4.
    """
    events, inside, place = pooled.some(_ROWS, seed)
    rows = pooled.standardised[inside]
    weight = np.zeros((len(events), len(rows)))
    weight[place, np.arange(len(rows))] = pooled.weight[inside]
    grams, details = [], {}
    for name in names:
        kernel, about = _gaussian(rows) if name == "mmd" else _polynomial(rows)
        grams.append(weight @ kernel @ weight.T)
        details[name] = {**subsample(inside), **about}
    size = weight.sum(axis=1)

    def statistics(labels: Permutations) -> Array:
        other = labels.other[events].astype(np.float64)
        return np.stack([_discrepancy(gram, size, other) for gram in grams])

    return PreparedTest(statistics, details)


def _gaussian(rows: Array) -> tuple[Array, dict[str, float]]:
    width = (
        float(np.median(extra("scipy.spatial.distance").pdist(rows, "sqeuclidean")))
        or 1.0
    )
    kernel = extra("sklearn.metrics.pairwise").rbf_kernel(rows, gamma=0.5 / width)
    return kernel, {"kernel_width": width**0.5}


def _polynomial(rows: Array) -> tuple[Array, dict[str, float]]:
    kernel = extra("sklearn.metrics.pairwise").polynomial_kernel(rows, degree=_DEGREE)
    return kernel, {"degree": _DEGREE}


def _discrepancy(gram: Array, size: Array, other: Array) -> Array:
    """Return the squared discrepancy of each permutation, shape (P,).

    Args:
        gram: Kernel sums of pairs of events, shape (E, E).
        size: Weights of events, shape (E,).
        other: Labels of events, shape (E, P).
    """
    total, cross = size @ other, gram.sum(axis=0) @ other
    within = np.einsum("ep,ep->p", other, gram @ other)
    rest = size.sum() - total
    reference = gram.sum() - 2 * cross + within
    mixed = (cross - within) / (total * rest)
    return np.asarray(within / total**2 + reference / rest**2 - 2 * mixed)


TESTS = {
    "mmd": Test(
        "squared maximum mean discrepancy, Gaussian kernel", prepare, negative=True
    ),
    "kpd": Test(
        "kernel physics distance: the same, polynomial kernel of degree 4",
        prepare,
        negative=True,
    ),
}
