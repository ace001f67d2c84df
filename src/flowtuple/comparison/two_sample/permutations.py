"""The interface of a test: a statistic of every permutation of the events' labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress

Statistics: TypeAlias = "Callable[[Permutations], Array]"


@dataclass(frozen=True)
class Test:
    """One test: a large statistic speaks against equal distributions.

    Attributes:
        name: Name in `tests`.
        about: The statistic in words.
        negative: True if it is defined for negative weights; all are for positive ones.
        least: Rows that each sample needs.
    """

    name: str
    about: str
    negative: bool = False
    least: int = 20


@dataclass(frozen=True)
class Permutations:
    """Random label permutations of E events, P of them.

    Attributes:
        other: 1 where an event counts to the second sample, uint8 of shape (E, P).
    """

    other: Array

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


@dataclass(frozen=True)
class PreparedTest:
    """A family of tests on one pair of samples, ready for any labels.

    Attributes:
        keys: Test and column of each of K statistics; the column of a joint test is empty.
        statistics: Computes float64 of shape (K, P) from P permutations.
        details: By test, figures for the reader such as hyperparameters.
    """

    keys: Sequence[tuple[str, str]]
    statistics: Statistics
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def joint(
        cls, statistics: Statistics, details: Mapping[str, Mapping[str, Any]]
    ) -> PreparedTest:
        """Return tests of all columns together, named as in the details."""
        return cls([(name, "") for name in details], statistics, details)


@dataclass(frozen=True)
class Family:
    """Tests that share their work.

    Attributes:
        tests: The tests.
        prepare: Prepares both samples for the tests of some names, with a seed and a progress.
    """

    tests: tuple[Test, ...]
    prepare: Callable[[Pooled, Sequence[str], int, Progress], PreparedTest]


def extra(module: str) -> Any:
    """Import a module of the extra 'compare'.

    Raises:
        MissingExtra: It is not installed.
    """
    return require(module, "compare", "comparing samples")
