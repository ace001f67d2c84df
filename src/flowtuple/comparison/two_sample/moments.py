"""Tests by means and covariances: rank correlations, and the Frechet physics distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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

_PRODUCTS = 4_000_000  # numbers in the matrix of products of columns, which every arrangement is multiplied with
_TINY = 1e-12


def prepare(pooled: Pooled, names: Sequence[str], seed: int, progress: Progress) -> PreparedTest:
    """Sums of products of columns over events, once; every arrangement is then a product of matrices.

    The Frechet distance of two samples is that of two normal distributions with their moments, Dowson and Landau (1982), as
    in Kansal et al., "Evaluating generative models in high energy physics" (2023), but without extrapolation to endless
    samples: the permutations know what finite ones give.
    """
    d = len(pooled.columns)
    events = pooled.some(_PRODUCTS // (1 + d + d * (d + 1) // 2), seed)
    inside = np.isin(pooled.event, events)
    place = np.searchsorted(events, pooled.event[inside])
    used = {}
    for name in names:
        z = _ranks(pooled.values[inside]) if name == "correlation" else pooled.standardised[inside]
        used[name] = _by_event(z, pooled.weight[inside], place, len(events))

    def statistics(labels: Permutations) -> Array:
        chosen = labels.other[events].astype(np.float32)
        found = []
        for name, matrix in used.items():
            other = (matrix @ chosen).astype(np.float64)
            rest = matrix.sum(axis=1, dtype=np.float64)[:, None] - other
            found.append(
                _largest(other, rest, d) if name == "correlation" else _frechet(other, rest, d)
            )
        return np.stack(found)

    rows = {"rows": int(inside.sum())}
    return PreparedTest([(name, "") for name in names], statistics, dict.fromkeys(names, rows))


def _ranks(values: Array) -> Array:
    ranks = extra("scipy.stats").rankdata(values, axis=0)
    z: Array = (ranks - ranks.mean(axis=0)) / np.maximum(ranks.std(axis=0), _TINY)
    return z


def _by_event(z: Array, weight: Array, place: Array, events: int) -> Array:
    """Sums of 1, z and z z' over the rows of each event: float32, which is enough, of shape (1 + d + d (d + 1) / 2, E)."""
    left, right = np.triu_indices(z.shape[1])
    products = np.concatenate([np.ones((len(z), 1)), z, z[:, left] * z[:, right]], axis=1)
    by_event = np.zeros((events, products.shape[1]))
    np.add.at(by_event, place, products * weight[:, None])
    return np.ascontiguousarray(by_event.T.astype(np.float32))


def _moments(sums: Array, d: int) -> tuple[Array, Array]:
    """Means (d, P) and covariances (d (d + 1) / 2, P) of every pair of columns, from sums of 1, z and z z'."""
    left, right = np.triu_indices(d)
    means, second = sums[1 : d + 1] / sums[0], sums[d + 1 :] / sums[0]
    return means, second - means[left] * means[right]


def _largest(other: Array, rest: Array, d: int) -> Array:
    """Largest difference of correlations, shape (P,)."""
    found: Array = np.abs(_correlations(other, d) - _correlations(rest, d)).max(axis=0)
    return found


def _correlations(sums: Array, d: int) -> Array:
    left, right = np.triu_indices(d)
    _, covariance = _moments(sums, d)
    deviation = np.sqrt(np.maximum(covariance[left == right], _TINY))
    correlations: Array = covariance / (deviation[left] * deviation[right])
    return correlations


def _frechet(other: Array, rest: Array, d: int) -> Array:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), shape (P,); the trace of the root is the sum of roots of eigenvalues."""
    (mean, covariance), (mean_rest, covariance_rest) = _moments(other, d), _moments(rest, d)
    a, b = _square(covariance, d), _square(covariance_rest, d)
    defined = np.isfinite(a).all(axis=(1, 2)) & np.isfinite(b).all(
        axis=(1, 2)
    )  # a sample may be left without events
    a[~defined] = b[~defined] = 0
    values, vectors = np.linalg.eigh(a)
    half = vectors * np.sqrt(np.maximum(values, 0))[:, None, :] @ np.swapaxes(vectors, 1, 2)
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ b @ half), 0)).sum(axis=1)
    traces = np.trace(a, axis1=1, axis2=2) + np.trace(b, axis1=1, axis2=2)
    found: Array = np.square(mean - mean_rest).sum(axis=0) + traces - 2 * roots
    return np.where(defined, found, np.nan)


def _square(covariance: Array, d: int) -> Array:
    """Symmetric matrices (P, d, d) from their upper triangles (d (d + 1) / 2, P)."""
    matrices = np.empty((covariance.shape[1], d, d))
    left, right = np.triu_indices(d)
    matrices[:, left, right] = matrices[:, right, left] = covariance.T
    return matrices


FAMILY = Family(
    (
        Test("correlation", "largest difference of rank correlations"),
        Test("fpd", "Frechet physics distance: of normal distributions with the samples' moments"),
    ),
    prepare,
)
