"""p-values from permuting events: the share of random label permutations with a statistic as large.

Objects of one event move together. A permutation leaves unchanged how many events of each half (for
training, for tests) are of which sample, so that it is as fair to a classifier, which saw the
labels of one half, as to any other statistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress, silent

MOST = 20_000
_ABREAST = 256
_LABELS = 2**25  # bytes of labels at a time
_EVENTS = 4096  # random numbers at a time
_SAME = 1e-9  # sums in another order differ by less


@dataclass(frozen=True)
class Permutations:
    """Random label permutations of E events, P of them.

    Attributes:
        other: 1 where an event counts to the second sample, uint8 of shape (E, P).
    """

    other: Array

    @cached_property
    def packed(self) -> Array:
        """The labels as bits, the first permutation lowest: uint8 of shape (E, P / 8)."""
        return np.packbits(self.other, axis=1, bitorder="little")

    def sums(self, by_event: Array) -> Array:
        """Sum over the events of the second sample: float64 of shape (K, P) from (E, K)."""
        sums = np.zeros((by_event.shape[1], self.other.shape[1]))
        _sum(by_event, self.other, sums)
        return sums


@compiled()
def _sum(by_event: Any, labels: Any, sums: Any) -> None:
    """Multiply two matrices, without a copy of the labels as floating-point numbers."""
    for e in range(len(by_event)):
        for k in range(len(sums)):
            value = by_event[e, k]
            # Most events have no row in most bins.
            if value != 0:
                for p in range(labels.shape[1]):
                    sums[k, p] += value * labels[e, p]


Statistics: TypeAlias = Callable[[Permutations], Array]
"""Computes K statistics, float64 of shape (K, P), from P permutations."""


@dataclass(frozen=True)
class PreparedTest:
    """Tests on one pair of samples that share their work, ready for any labels.

    Attributes:
        statistics: Computes a statistic for each test of each column, column by column.
        details: By test, figures for the reader such as hyperparameters.
        columns: The columns; one empty name for tests of all columns together.
        of_column: By column, further figures.
        pictures: By column, a function that returns what a picture shows of it: a label, values and
            their events.
    """

    statistics: Statistics
    details: Mapping[str, Mapping[str, Any]]
    columns: Sequence[str] = ("",)
    of_column: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Mapping[str, Callable[[], tuple[str, Array, Array]]] = field(
        default_factory=dict
    )

    @property
    def keys(self) -> list[tuple[str, str]]:
        """Test and column of each statistic."""
        return [(name, column) for column in self.columns for name in self.details]


Prepare: TypeAlias = Callable[[Pooled, Sequence[str], int, Progress], PreparedTest]
"""Prepares both samples for the tests of some names, with a seed."""


@dataclass(frozen=True)
class Test:
    """One test: a large statistic speaks against equal distributions.

    Attributes:
        about: The statistic in words.
        prepare: Prepares it, together with other tests of the same function.
        negative: True if it is defined for negative weights; all are for positive ones.
        least: Rows that each sample needs.
    """

    about: str
    prepare: Prepare
    negative: bool = False
    least: int = 20


def extra(module: str) -> Any:
    """Import a module of the extra 'compare'.

    Raises:
        MissingExtra: It is not installed.
    """
    return require(module, "compare", "comparing samples")


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
    half, total = pooled.test_half.astype(np.int64), len(pooled.other)
    step = int(np.clip(_LABELS // total // 64 * 64, 64, _ABREAST))
    for first in range(0, count + 1, step):
        width = min(step, count + 1 - first)
        labels = np.empty((total, width), np.uint8)
        events = np.bincount(half, minlength=2)
        wanted = np.bincount(half, weights=pooled.other, minlength=2)
        left = np.tile(wanted[:, None], width)
        for start in range(0, total, _EVENTS):
            some = slice(start, start + _EVENTS)
            uniform = draw.random((len(half[some]), width))
            _sample_labels(uniform, half[some], events, left, labels[some])
        if first == 0:
            labels[:, 0] = pooled.other
        yield Permutations(labels)


@compiled()
def _sample_labels(
    uniform: Any, half: Any, events: Any, wanted: Any, labels: Any
) -> None:
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


def permuted_statistics(
    pooled: Pooled,
    statistics: Statistics,
    count: int,
    seed: int,
    progress: Progress = silent,
) -> Array:
    """Return statistics of the true labels, then of random permutations: shape (K, 1 + count).

    Args:
        pooled: Both samples.
        statistics: Computes K statistics from permutations.
        count: Random permutations.
        seed: Seed of the permutations.
        progress: Receives the share of the permutations that is done.

    Returns:
        The statistics; undefined ones are infinite, so that they count as the largest. Those that
        differ from the true one by rounding only are equal to it.
    """
    parts: list[Array] = []
    done = 0
    for labels in draw_permutations(pooled, count, seed):
        # A permutation may leave a sample without weight.
        with np.errstate(divide="ignore", invalid="ignore"):
            values = statistics(labels)
        parts.append(np.where(np.isnan(values), np.inf, values))
        done += labels.other.shape[1]
        progress("compare", done / (count + 1), f"{done} of {count + 1} permutations")
    whole = np.concatenate(parts, axis=1)
    true = whole[:, :1]
    near = np.where(np.isfinite(true), _SAME * np.abs(true), 0.0)
    with np.errstate(invalid="ignore"):
        equal = np.abs(whole - true) <= near
    return np.where(equal, true, whole)


def ranked(values: Array, seed: int) -> Array:
    """Return p-values of the first of each row of statistics, shape (K,) from (K, 1 + count).

    A p-value is the first statistic's rank among all of them over their number. The rank among
    equal statistics is drawn at random.
    """
    larger = (values > values[:, :1]).sum(axis=1)
    same = (values == values[:, :1]).sum(axis=1)
    # the true labels are one of them
    rank = np.random.default_rng([seed, 2]).integers(0, same)
    return np.asarray((1 + larger + rank) / values.shape[1])


def permutation_p_values(
    pooled: Pooled, statistics: Statistics, count: int, seed: int
) -> tuple[Array, Array]:
    """Return the statistics of two samples and their p-values, each of shape (K,).

    Args:
        pooled: Both samples.
        statistics: Computes K statistics from permutations.
        count: Random permutations.
        seed: Seed of the permutations and of the ranks among equal statistics.
    """
    values = permuted_statistics(pooled, statistics, count, seed)
    return values[:, 0], ranked(values, seed)


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
