"""Tests by means and covariances: rank correlations, and the Frechet physics distance."""

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

_PRODUCTS = 4_000_000  # numbers in the matrix of products that every permutation is multiplied with
_MOST_COLUMNS = 32
_TINY = 1e-12


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Sum products of columns over events, once; each permutation is then a product of matrices.

    The Frechet distance of two samples is that of two normal distributions with their moments,
    Dowson and Landau (1982), as in Kansal et al., "Evaluating generative models in high energy
    physics" (2023), but without extrapolation to infinite samples: the permutations show the
    effect of size. Of more than 32 columns the correlation takes the first 32, and the distance the
    32 principal components of both samples together.
    """
    d = min(_MOST_COLUMNS, len(pooled.columns))
    events, inside, place = pooled.some(_PRODUCTS // (1 + d + d * (d + 1) // 2), seed)
    matrices, details = {}, {}
    for name in names:
        if name == "correlation":
            z, kind = _ranks(pooled.values[inside, :d]), "columns"
        else:
            z, kind = _components(pooled.standardised, d)[inside], "components"
        matrices[name] = _by_event(z, pooled.weight[inside], place, len(events))
        details[name] = subsample(inside)
        if d < len(pooled.columns):
            details[name] |= {kind: d, "of_columns": len(pooled.columns)}

    def statistics(labels: Permutations) -> Array:
        chosen = labels.other[events].astype(np.float64)
        values = []
        for name, matrix in matrices.items():
            other = matrix @ chosen
            rest = matrix.sum(axis=1)[:, None] - other
            distance = _correlation_distance if name == "correlation" else _frechet
            values.append(distance(other, rest, d))
        return np.stack(values)

    return PreparedTest(statistics, details)


def _components(z: Array, d: int) -> Array:
    """Return the d principal components of widest spread, or all columns if there are no more."""
    if z.shape[1] <= d:
        return z
    return np.asarray(z @ np.linalg.eigh(z.T @ z)[1][:, -d:])


def _ranks(values: Array) -> Array:
    ranks = extra("scipy.stats").rankdata(values, axis=0)
    return np.asarray((ranks - ranks.mean(axis=0)) / np.maximum(ranks.std(axis=0), _TINY))


def _by_event(z: Array, weight: Array, place: Array, events: int) -> Array:
    """Sum 1, z, z z' over the rows of each event: shape (1 + d + d (d + 1) / 2, E)."""
    left, right = np.triu_indices(z.shape[1])
    products = np.concatenate([np.ones((len(z), 1)), z, z[:, left] * z[:, right]], axis=1)
    by_event = np.zeros((events, products.shape[1]))
    np.add.at(by_event, place, products * weight[:, None])
    return np.ascontiguousarray(by_event.T)


def _moments(sums: Array, d: int) -> tuple[Array, Array]:
    """Return means (d, P) and covariances (d (d + 1) / 2, P) from sums of 1, z and z z'."""
    left, right = np.triu_indices(d)
    means, second = sums[1 : d + 1] / sums[0], sums[d + 1 :] / sums[0]
    return means, second - means[left] * means[right]


def _correlation_distance(other: Array, rest: Array, d: int) -> Array:
    """Return the largest difference of correlations, shape (P,)."""
    return np.asarray(
        np.abs(_correlations(other, d) - _correlations(rest, d)).max(axis=0)
    )


def _correlations(sums: Array, d: int) -> Array:
    left, right = np.triu_indices(d)
    _, covariance = _moments(sums, d)
    deviation = np.sqrt(np.maximum(covariance[left == right], _TINY))
    return np.asarray(covariance / (deviation[left] * deviation[right]))


def _frechet(other: Array, rest: Array, d: int) -> Array:
    """Return |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), shape (P,).

    The trace of the root is the sum of the roots of the eigenvalues.
    """
    (mean, covariance), (mean_rest, covariance_rest) = (
        _moments(other, d),
        _moments(rest, d),
    )
    a, b = _square(covariance, d), _square(covariance_rest, d)
    # A permutation may leave a sample without events.
    defined = np.isfinite(a).all(axis=(1, 2)) & np.isfinite(b).all(axis=(1, 2))
    a[~defined] = b[~defined] = 0
    values, vectors = np.linalg.eigh(a)
    half = (
        vectors * np.sqrt(np.maximum(values, 0))[:, None, :] @ np.swapaxes(vectors, 1, 2)
    )
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ b @ half), 0)).sum(axis=1)
    traces = np.trace(a, axis1=1, axis2=2) + np.trace(b, axis1=1, axis2=2)
    distance = np.square(mean - mean_rest).sum(axis=0) + traces - 2 * roots
    return np.where(defined, distance, np.nan)


def _square(covariance: Array, d: int) -> Array:
    """Return symmetric matrices (P, d, d) from upper triangles (d (d + 1) / 2, P)."""
    matrices = np.empty((covariance.shape[1], d, d))
    left, right = np.triu_indices(d)
    matrices[:, left, right] = matrices[:, right, left] = covariance.T
    return matrices


TESTS = {
    "correlation": Test("largest difference of rank correlations", prepare),
    "fpd": Test(
        "Frechet physics distance: of normal distributions with the samples' moments",
        prepare,
    ),
}
