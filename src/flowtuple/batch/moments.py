"""What adds up over the files of a sample: moments and histograms of its columns; no value of theirs travels.

Entries of one event are not independent: the variance of a bin is the sum over events of the square of what an event adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flowtuple.batch.jobs import Facts
from flowtuple.batch.tasks import Task
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Table, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset

_STEP = 65536  # events at a time


@dataclass(frozen=True)
class Moments:
    """Number, mean, sum of squared distances from it, smallest and largest of some finite values; how many were not finite.

    Example:
        >>> both = Moments.of(np.array([1.0, 3.0])) + Moments.of(np.array([5.0, np.nan]))
        >>> both.count, both.mean, both.std, both.undefined
        (3, 3.0, 1.632993161855452, 1)
    """

    count: int
    mean: float
    squares: float
    low: float
    high: float
    undefined: int

    @classmethod
    def of(cls, values: Array) -> Moments:
        """The moments of values."""
        x = np.asarray(values, np.float64).ravel()
        finite = x[np.isfinite(x)]
        if not len(finite):
            return cls(0, 0.0, 0.0, np.inf, -np.inf, len(x))
        mean, undefined = float(finite.mean()), len(x) - len(finite)
        squares = float(np.square(finite - mean).sum())
        return cls(len(finite), mean, squares, float(finite.min()), float(finite.max()), undefined)

    def __add__(self, other: Moments) -> Moments:
        """Of both together (Chan, Golub, LeVeque 1983)."""
        count, apart = self.count + other.count, other.mean - self.mean
        share = other.count / count if count else 0.0
        return Moments(
            count,
            self.mean + apart * share,
            self.squares + other.squares + apart * apart * self.count * share,
            min(self.low, other.low),
            max(self.high, other.high),
            self.undefined + other.undefined,
        )

    @property
    def std(self) -> float:
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0


@dataclass(frozen=True)
class TakeMoments:
    """A job: the moments of each column of a file that is a number."""

    writes: ClassVar[bool] = False
    columns: tuple[str, ...] = ()

    def __call__(self, task: Task) -> Facts:
        """By column."""
        parts = _parts(task.source, self.columns)
        return summed(
            {c.name: Moments.of(np.asarray(t.data[c.name])) for c in kept} for t, kept in parts
        )


@dataclass(frozen=True)
class TakeHistograms:
    """A job: counts and variances of each column's bins."""

    writes: ClassVar[bool] = False
    edges: Mapping[str, Array]

    def __call__(self, task: Task) -> Facts:
        """By column, shape (2, bins)."""
        parts = _parts(task.source, tuple(self.edges))
        return summed(
            {c.name: _histogram(t, c, self.edges[c.name]) for c in kept} for t, kept in parts
        )


def summed(parts: Iterable[Facts]) -> Facts:
    """The sums of what parts hold by name."""
    total: Facts = {}
    for part in parts:
        total |= {
            name: total[name] + value if name in total else value for name, value in part.items()
        }
    return total


def _parts(source: str, columns: Sequence[str]) -> Iterator[tuple[Table, list[Column]]]:
    """Tables of a file, a range of events at a time, and the columns of numbers that are asked for."""
    tables = select(open_dataset(source), columns).tables
    if len(tables) != 1:
        raise InvalidArgument(
            f"{source}: holds the trees {', '.join(tables)}; choose one, such as FILE:{next(iter(tables))}"
        )
    table = next(iter(tables.values()))
    kept = [c for c in table.columns if not (c.hidden or c.is_opaque or c.role == "id")]
    for start, stop in list(ranges(table.num_entries, _STEP)) or [
        (0, 0)
    ]:  # a file without events has columns, too
        yield table.read([c.name for c in kept], start, stop), kept


def _histogram(table: Table, column: Column, edges: Array) -> Array:
    """Counts and their variances, shape (2, bins); what lies beyond the edges counts in the bins at the ends."""
    values = np.asarray(table.data[column.name], np.float64)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    event = np.arange(len(values))
    if column.counter is not None:
        event = np.repeat(np.arange(table.num_entries), np.asarray(table.data[column.counter]))
    event, values = np.repeat(event, values.shape[1]), values.ravel()
    event, values = event[np.isfinite(values)], values[np.isfinite(values)]
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    cells, entries = np.unique(event * bins + place, return_counts=True)
    counts = np.bincount(cells % bins, entries, bins)
    return np.stack(
        [counts, np.bincount(cells % bins, np.square(entries.astype(np.float64)), bins)]
    )
