"""p-values from permuting events: how often do labels dealt out at random give as large a statistic.

Objects of one event move together. An arrangement keeps how many events of each half (trained on, held out) are of which
sample, so that it is as fair to a classifier, which saw the labels of one half, as to any other statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.permutations import Permutations
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled

MOST = 20_000
_ABREAST = 256
_LABELS = 2**25  # bytes of labels at a time
_EVENTS = 4096  # random numbers at a time
_SAME = 1e-9  # sums in another order differ by less


def permutations_for(tests: int, level: float) -> int:
    """How many arrangements let the smallest p-value, adjusted for so many tests, fall below the level.

    Example:
        >>> permutations_for(10, 0.01)
        1000
    """
    return math.ceil(round(tests / level, 6))


def draw_permutations(pooled: Pooled, count: int, seed: int) -> Iterator[Permutations]:
    """The labels as they are, then `count` random arrangements of them, some at a time."""
    draw = np.random.default_rng([seed, 1])
    step = int(np.clip(_LABELS // len(pooled.other) // 64 * 64, 64, _ABREAST))
    for start in range(0, count + 1, step):
        labels = _label_batches(pooled, min(step, count + 1 - start), draw)
        if start == 0:
            labels[:, 0] = pooled.other
        yield Permutations(labels)


def _label_batches(pooled: Pooled, width: int, draw: np.random.Generator) -> Array:
    """Random labels, as many of each half as there are: uint8 of shape (E, width)."""
    half = pooled.held_out.astype(np.int64)
    labels = np.empty((len(half), width), np.uint8)
    events = np.bincount(half, minlength=2)
    wanted = np.tile(np.bincount(half, weights=pooled.other, minlength=2)[:, None], width)
    for start in range(0, len(half), _EVENTS):
        some = slice(start, start + _EVENTS)
        _sample_labels(
            draw.random((len(half[some]), width)), half[some], events, wanted, labels[some]
        )
    return labels


@compiled()
def _sample_labels(uniform: Any, half: Any, events: Any, wanted: Any, labels: Any) -> None:
    """Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2 S): `wanted` of the `events` still to come."""
    for e in range(len(half)):
        h = half[e]
        for p in range(labels.shape[1]):
            taken = uniform[e, p] * events[h] < wanted[h, p]
            labels[e, p] = taken
            wanted[h, p] -= taken
        events[h] -= 1


class PermutationPValues:
    """Counts arrangements whose statistics are larger than those found, and as large."""

    def __init__(self, found: Array) -> None:
        self.found = _finite(found)
        self._larger = np.zeros(len(found), np.int64)
        self._same = np.zeros(len(found), np.int64)
        self._count = 0

    def add(self, statistics: Array) -> None:
        """Count statistics of random arrangements: shape (K, P)."""
        values, found = _finite(statistics), self.found[:, None]
        with np.errstate(invalid="ignore"):
            near = np.where(np.isfinite(found), _SAME * np.abs(found), 0.0)
            same = (values == found) | (np.abs(values - found) <= near)
        self._larger += ((values > found) & ~same).sum(axis=1)
        self._same += same.sum(axis=1)
        self._count += values.shape[1]

    def p_values(self, seed: int) -> Array:
        """The place among all arrangements, its own included, over their number; places of ties are drawn at random."""
        place = np.random.default_rng([seed, 2]).integers(0, self._same + 1)
        p: Array = (1 + self._larger + place) / (1 + self._count)
        return p


def _finite(statistics: Array) -> Array:
    """What is undefined counts as infinitely large, for the labels as they are and for any other."""
    return np.where(np.isnan(statistics), np.inf, statistics)


def holm(p: Array) -> Array:
    """p-values adjusted for their number: one below a level at all means a false rejection with at most that probability.

    Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Example:
        >>> holm(np.array([0.01, 0.04, 0.02])).tolist()
        [0.03, 0.04, 0.04]
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
