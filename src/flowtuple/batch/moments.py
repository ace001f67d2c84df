"""Moments and histograms of columns, which add up over the files of a sample.

Workers return these sums and no values. Entries of one event are not independent: the variance of a
bin is the sum, over events, of the squared number of entries of an event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flowtuple.batch.jobs import Facts
from flowtuple.batch.tasks import Task
from flowtuple.comparison.fidelity import Spread
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Table, ranges
from flowtuple.io.source import open_dataset

_STEP = 65536  # events at a time


@dataclass(frozen=True)
class Moments:
    """Moments and range of some values, which add up over files.

    Attributes:
        spread: Number, mean and variance of the finite values.
        low: Smallest finite value; infinity for none.
        high: Largest finite value; minus infinity for none.
        undefined: Number of values that are not finite.

    Example:
        >>> both = Moments.of(np.array([1.0, 3.0])) + Moments.of(np.array([5.0, np.nan]))
        >>> both.count, both.mean, both.std, both.undefined
        (3, 3.0, 1.632993161855452, 1)
    """

    spread: Spread
    low: float
    high: float
    undefined: int

    @classmethod
    def of(cls, values: Array) -> Moments:
        """Return the moments of values of any shape."""
        x = np.asarray(values, np.float64).ravel()
        finite = x[np.isfinite(x)]
        low = float(finite.min(initial=np.inf))
        high = float(finite.max(initial=-np.inf))
        return cls(Spread.of(finite), low, high, len(x) - len(finite))

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both together."""
        return Moments(
            self.spread.merge(other.spread),
            min(self.low, other.low),
            max(self.high, other.high),
            self.undefined + other.undefined,
        )

    @property
    def count(self) -> int:
        """Number of finite values."""
        return self.spread.count

    @property
    def mean(self) -> float:
        """Mean of the finite values, 0 for none."""
        return self.spread.mean

    @property
    def std(self) -> float:
        """Population standard deviation of the finite values, 0 for none."""
        return self.spread.std if self.count else 0.0


@dataclass(frozen=True)
class TakeMoments:
    """Job that takes the moments of each column of numbers of a file."""

    writes: ClassVar[bool] = False
    columns: tuple[str, ...] = ()

    def __call__(self, task: Task) -> Facts:
        """Return the moments by column."""
        parts = _parts(task.source, self.columns)
        return summed(
            {c.name: Moments.of(np.asarray(t[c.name])) for c in cs} for t, cs in parts
        )


@dataclass(frozen=True)
class TakeHistograms:
    """Job that takes counts and variances of the bins of each column of a file."""

    writes: ClassVar[bool] = False
    edges: Mapping[str, Array]

    def __call__(self, task: Task) -> Facts:
        """Return counts and variances by column, shape (2, bins)."""
        parts = _parts(task.source, tuple(self.edges))
        return summed(
            {c.name: _histogram(t, c, self.edges[c.name]) for c in cs} for t, cs in parts
        )


def summed(parts: Iterable[Facts]) -> Facts:
    """Return the sums of the values of each name."""
    total: Facts = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def _parts(source: str, columns: Sequence[str]) -> Iterator[tuple[Table, list[Column]]]:
    """Yield tables of a file, a range of events at a time, with the columns of numbers."""
    table = select(open_dataset(source), columns).only_table()
    numbers = [c for c in table.columns if not (c.hidden or c.is_opaque or c.role == "id")]
    # A file without events has columns, too: it gets one empty range.
    for start, stop in list(ranges(table.num_entries, _STEP)) or [(0, 0)]:
        yield table.read([c.name for c in numbers], start, stop), numbers


def _histogram(table: Table, column: Column, edges: Array) -> Array:
    """Return counts and their variances, shape (2, bins).

    The first and the last bin count the values beyond the edges as well.
    """
    values = np.asarray(table.data[column.name], np.float64)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    event = np.arange(len(values))
    if column.counter is not None:
        event = np.repeat(
            np.arange(table.num_entries), np.asarray(table.data[column.counter])
        )
    event = np.repeat(event, values.shape[1])
    values = values.ravel()
    finite = np.isfinite(values)
    event = event[finite]
    values = values[finite]
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    cells, entries = np.unique(event * bins + place, return_counts=True)
    squares = np.square(entries.astype(np.float64))
    return np.stack(
        [np.bincount(cells % bins, weights, bins) for weights in (entries, squares)]
    )
