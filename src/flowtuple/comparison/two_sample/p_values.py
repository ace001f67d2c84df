"""p-values from permuting events: the share of random label permutations with a statistic as large.

Objects of one event move together. A permutation leaves unchanged how many events of each half (for
training, for tests) are of which sample, so that it is as fair to a classifier, which saw the
labels of one half, as to any other statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.permutations import Permutations, Statistics
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.compiled import compiled
from flowtuple.runtime.progress import Progress, silent

MOST = 20_000
_ABREAST = 256
_LABELS = 2**25  # bytes of labels at a time
_EVENTS = 4096  # random numbers at a time
_SAME = 1e-9  # sums in another order differ by less


def permutations_for(tests: int, level: float) -> int:
    """Return the permutations that let the smallest adjusted p-value fall below a level.

    Args:
        tests: Number of tests that p-values are adjusted for.
        level: Level of the verdict.

    Example:
        >>> permutations_for(10, 0.01)
        1000
    """
    return math.ceil(round(tests / level, 6))


def draw_permutations(pooled: Pooled, count: int, seed: int) -> Iterator[Permutations]:
    """Yield the true labels, then `count` random permutations of them, in batches."""
    draw = np.random.default_rng([seed, 1])
    step = int(np.clip(_LABELS // len(pooled.other) // 64 * 64, 64, _ABREAST))
    for start in range(0, count + 1, step):
        labels = _label_batches(pooled, min(step, count + 1 - start), draw)
        if start == 0:
            labels[:, 0] = pooled.other
        yield Permutations(labels)


def _label_batches(pooled: Pooled, width: int, draw: np.random.Generator) -> Array:
    """Return random labels, uint8 of shape (E, width), each half with its number of events."""
    half = pooled.test_half.astype(np.int64)
    labels = np.empty((len(half), width), np.uint8)
    events = np.bincount(half, minlength=2)
    wanted = np.tile(np.bincount(half, weights=pooled.other, minlength=2)[:, None], width)
    for start in range(0, len(half), _EVENTS):
        some = slice(start, start + _EVENTS)
        uniform = draw.random((len(half[some]), width))
        _sample_labels(uniform, half[some], events, wanted, labels[some])
    return labels


@compiled()
def _sample_labels(uniform: Any, half: Any, events: Any, wanted: Any, labels: Any) -> None:
    """Choose `wanted` of the `events` still to come, in each half and each permutation.

    Selection sampling, Knuth, The Art of Computer Programming 2, 3.4.2 S.
    """
    for e in range(len(half)):
        h = half[e]
        for p in range(labels.shape[1]):
            taken = uniform[e, p] * events[h] < wanted[h, p]
            labels[e, p] = taken
            wanted[h, p] -= taken
        events[h] -= 1


class PermutationPValues:
    """Counts of permutations whose statistics exceed the true ones, or equal them.

    Args:
        statistics: The statistics of the true labels, shape (K,).
    """

    def __init__(self, statistics: Array) -> None:
        self.statistics = _defined(statistics)
        self._larger = np.zeros(len(statistics), np.int64)
        self._same = np.zeros(len(statistics), np.int64)
        self._count = 0

    def add(self, statistics: Array) -> None:
        """Count statistics of random permutations: shape (K, P)."""
        values, true = _defined(statistics), self.statistics[:, None]
        with np.errstate(invalid="ignore"):
            near = np.where(np.isfinite(true), _SAME * np.abs(true), 0.0)
            same = (values == true) | (np.abs(values - true) <= near)
        self._larger += ((values > true) & ~same).sum(axis=1)
        self._same += same.sum(axis=1)
        self._count += values.shape[1]

    def p_values(self, seed: int) -> Array:
        """Return the true statistics' rank among all permutations over their number.

        The rank among equal statistics is drawn at random.
        """
        rank = np.random.default_rng([seed, 2]).integers(0, self._same + 1)
        return np.asarray((1 + self._larger + rank) / (1 + self._count))


def permutation_p_values(
    pooled: Pooled, statistics: Statistics, count: int, seed: int, progress: Progress = silent
) -> tuple[Array, Array]:
    """Return the statistics of two samples and their p-values.

    Args:
        pooled: Both samples.
        statistics: Computes K statistics from permutations.
        count: Random permutations, at least 1.
        seed: Seed of the permutations and of the ranks among equal statistics.
        progress: Receives the share of the permutations that is done.

    Returns:
        Statistics and p-values, each of shape (K,); an undefined statistic is infinite.

    Raises:
        InvalidArgument: There is no permutation.
    """
    counts: PermutationPValues | None = None
    done = 0
    for labels in draw_permutations(pooled, count, seed):
        # A permutation may leave a sample without weight.
        with np.errstate(divide="ignore", invalid="ignore"):
            values = statistics(labels)
        if counts is None:
            counts, values = PermutationPValues(values[:, 0]), values[:, 1:]
        counts.add(values)
        done += labels.other.shape[1]
        progress("compare", done / (count + 1), f"{done} of {count + 1} permutations")
    if counts is None:
        raise InvalidArgument("there is nothing to permute; ask for 1 permutation or more")
    return counts.statistics, counts.p_values(seed)


def _defined(statistics: Array) -> Array:
    """Return undefined statistics as infinite, so that they count as the largest."""
    return np.where(np.isnan(statistics), np.inf, statistics)


def holm(p: Array) -> Array:
    """Return p-values adjusted for their number, shape (K,).

    That any of them lies below a level although all samples are equal has at most that probability.
    Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Example:
        >>> holm(np.array([0.01, 0.04, 0.02])).tolist()
        [0.03, 0.04, 0.04]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(
        1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    )
    return adjusted
