"""Tests of all columns together that need no training: sliced Wasserstein distance, MMD, correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.execute import ordered_map
from flowtuple.progress import Progress
from flowtuple.referee.family import Arrangements, Family, Prepared, Test, extra
from flowtuple.referee.pooled import Pooled
from flowtuple.referee.walk import ordered, walked
from flowtuple.schema import Array

_DIRECTIONS = 32
_MMD_ROWS = 2000
_PRODUCTS = 4_000_000  # numbers in the matrix of products of columns, which every arrangement is multiplied with
_TINY = 1e-12


def directions(columns: int, seed: int) -> Array:
    """Unit vectors along every column and in 32 random directions: float64 of shape (columns, columns + 32)."""
    vectors = np.random.default_rng(seed).normal(size=(columns, _DIRECTIONS))
    return np.concatenate([np.eye(columns), vectors / np.linalg.norm(vectors, axis=0)], axis=1)


def sliced(pooled: Pooled, names: Sequence[str], seed: int, progress: Progress) -> Prepared:
    """Wasserstein-1 along columns and random directions: mean and maximum, the numbers that POT gives for p=1.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015); the maximum, which sees a shift of one
    column among many: Deshpande et al., "Max-sliced Wasserstein distance and its use for GANs" (2019).
    """
    projections = (pooled.standardised @ directions(len(pooled.columns), seed)).T
    columns = [ordered(values, pooled, bins=1) for values in projections]
    weight = pooled.by_event(pooled.weight)[:, None]

    def statistics(labels: Arrangements) -> Array:
        totals = labels.sums(weight)[0]
        areas = np.stack(list(ordered_map(lambda column: walked(column, labels, totals)[1], columns)))
        found = {"sliced-w1": areas.mean(axis=0), "max-sliced-w1": areas.max(axis=0)}
        return np.stack([found[name] for name in names])

    return Prepared([(name, "") for name in names], statistics, {name: {"directions": len(columns)} for name in names})


def mmd(pooled: Pooled, names: Sequence[str], seed: int, progress: Progress) -> Prepared:
    """Squared maximum mean discrepancy (V-statistic), Gaussian kernel as wide as the median distance, on 2,000 rows at most.

    Gretton et al., "A kernel two-sample test" (2012).
    """
    events = pooled.some(_MMD_ROWS, seed)
    inside = np.isin(pooled.event, events)
    rows, place = pooled.standardised[inside], np.searchsorted(events, pooled.event[inside])
    squared = extra("scipy.spatial.distance").pdist(rows, "sqeuclidean")
    width = float(np.median(squared)) or 1.0
    kernel = extra("sklearn.metrics.pairwise").rbf_kernel(rows, gamma=0.5 / width)
    weight = np.zeros((len(events), len(rows)))
    weight[place, np.arange(len(rows))] = pooled.weight[inside]
    gram, size = weight @ kernel @ weight.T, weight.sum(axis=1)

    def statistics(labels: Arrangements) -> Array:
        other = labels.other[events].astype(np.float64)
        total, cross = size @ other, gram.sum(axis=0) @ other
        within = np.einsum("ep,ep->p", other, gram @ other)
        rest = size.sum() - total
        reference = gram.sum() - 2 * cross + within
        found: Array = within / total**2 + reference / rest**2 - 2 * (cross - within) / (total * rest)
        return found[None, :]

    return Prepared([("mmd", "")], statistics, {"mmd": {"rows": len(rows), "kernel_width": width**0.5}})


def correlation(pooled: Pooled, names: Sequence[str], seed: int, progress: Progress) -> Prepared:
    """Largest difference between the samples' correlations of two columns' ranks among both samples."""
    d = len(pooled.columns)
    left, right = np.triu_indices(d)
    events = pooled.some(_PRODUCTS // (1 + d + len(left)), seed)
    inside = np.isin(pooled.event, events)
    ranks = extra("scipy.stats").rankdata(pooled.values[inside], axis=0)
    z = (ranks - ranks.mean(axis=0)) / np.maximum(ranks.std(axis=0), _TINY)
    products = np.concatenate([np.ones((len(z), 1)), z, z[:, left] * z[:, right]], axis=1)
    by_event = np.zeros((len(events), products.shape[1]))
    np.add.at(by_event, np.searchsorted(events, pooled.event[inside]), products * pooled.weight[inside, None])
    everything = by_event.sum(axis=0)[:, None]
    matrix = by_event.T.astype(np.float32)  # ranks are bounded, so that float32 is enough, at twice the speed

    def statistics(labels: Arrangements) -> Array:
        other = (matrix @ labels.other[events].astype(np.float32)).astype(np.float64)
        difference = _correlations(other, d) - _correlations(everything - other, d)
        largest: Array = np.abs(difference).max(axis=0, keepdims=True)
        return largest

    return Prepared([("correlation", "")], statistics, {"correlation": {"rows": int(inside.sum())}})


def _correlations(sums: Array, d: int) -> Array:
    """Of every pair of columns, shape (d (d + 1) / 2, P), from sums of 1, z and z z'."""
    left, right = np.triu_indices(d)
    means, second = sums[1 : d + 1] / sums[0], sums[d + 1 :] / sums[0]
    covariance = second - means[left] * means[right]
    deviation = np.sqrt(np.maximum(covariance[left == right], _TINY))
    correlations: Array = covariance / (deviation[left] * deviation[right])
    return correlations


FAMILIES = (
    Family(
        (
            Test("sliced-w1", "Wasserstein-1 distance of standardised columns, averaged over directions", negative=True),
            Test("max-sliced-w1", "the same, largest over directions", negative=True),
        ),
        sliced,
    ),
    Family((Test("mmd", "squared maximum mean discrepancy, Gaussian kernel", negative=True),), mmd),
    Family((Test("correlation", "largest difference of rank correlations"),), correlation),
)
