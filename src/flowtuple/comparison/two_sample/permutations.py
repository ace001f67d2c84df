"""What a test of two samples is to the referee: a statistic of every arrangement of labels over the events."""

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
    """One test: large statistics speak against equal distributions.

    Attributes:
        name: As in `--tests`.
        about: The statistic in words.
        negative: Whether it is defined for negative weights; all are for positive ones.
        least: Rows that each sample needs.
    """

    name: str
    about: str
    negative: bool = False
    least: int = 20


@dataclass(frozen=True)
class Permutations:
    """Some ways to call as many events "other" as there are.

    Attributes:
        other: 1 where an event is called so, uint8 of shape (E, P), one arrangement a column.
    """

    other: Array

    def sums(self, by_event: Array) -> Array:
        """Sums over the events called other: float64 of shape (K, P) from values of shape (E, K)."""
        sums = np.zeros((by_event.shape[1], self.other.shape[1]))
        _sum(by_event, self.other, sums)
        return sums


@compiled()
def _sum(by_event: Any, labels: Any, sums: Any) -> None:
    """A product of matrices, without the labels as floating-point numbers in memory."""
    for e in range(len(by_event)):
        for k in range(len(sums)):
            value = by_event[e, k]
            if value != 0:
                for p in range(labels.shape[1]):
                    sums[k, p] += value * labels[e, p]


@dataclass(frozen=True)
class PreparedTest:
    """A family ready for any arrangement.

    Attributes:
        keys: Test and column of each statistic, K of them; the column of a joint test is empty.
        statistics: Float64 of shape (K, P) from P arrangements.
        details: By test what a reader wants to know beside the statistic, such as hyperparameters.
    """

    keys: Sequence[tuple[str, str]]
    statistics: Statistics
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """Tests that share their work.

    Attributes:
        tests: The tests.
        prepare: Given both samples, the names of the tests wanted, a seed and who is told of progress.
    """

    tests: tuple[Test, ...]
    prepare: Callable[[Pooled, Sequence[str], int, Progress], PreparedTest]


def extra(module: str) -> Any:
    """A module of the extra 'compare'.

    Raises:
        MissingExtra: It is not installed.
    """
    return require(module, "compare", "comparing samples")
