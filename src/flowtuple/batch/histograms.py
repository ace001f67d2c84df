"""Comparison of two samples of many files by moments and histograms, which add up over files.

Workers return these sums and no values; the bins take a pass of their own. Entries of one event are
not independent: the variance of a bin is the sum, over events, of the squared number of entries of
an event.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flowtuple.batch.jobs import Facts, Job
from flowtuple.batch.run import Cluster, connected, outcomes
from flowtuple.batch.tasks import Task
from flowtuple.comparison.fidelity import Spread
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import select
from flowtuple.data.table import Table, ranges
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.io.source import open_dataset
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from distributed import Client

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
class TakeMoments(Job):
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
class TakeHistograms(Job):
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
    numbers = [
        c for c in table.columns if not (c.hidden or c.is_opaque or c.role == "id")
    ]
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


BINS = 60
_REACH = 5.0  # standard deviations about the mean that the bins cover
_LEAST = 10.0  # entries, in both samples together, of a bin that is compared


@dataclass(frozen=True)
class Difference:
    """Difference of two samples in one column.

    Attributes:
        column: Name of the column.
        moments: Moments of the reference and of the other sample.
        edges: Edges of the bins.
        shares: Shares of the entries in each bin, shape (2, bins).
        chi2: Chi-square of the difference of shares, over the bins that are filled well enough.
        ndf: Number of these bins, less one.
        p_value: p-value of chi2; approximate, because correlations between bins by the objects of
            one event are neglected.
        wasserstein: Distance of the two histograms, in standard deviations of the reference.
    """

    column: str
    moments: tuple[Moments, Moments]
    edges: Array
    shares: Array
    chi2: float
    ndf: int
    p_value: float
    wasserstein: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object of numbers and lists."""
        return {
            "column": self.column,
            "mean": [m.mean for m in self.moments],
            "std": [m.std for m in self.moments],
            "entries": [m.count for m in self.moments],
            "undefined": [m.undefined for m in self.moments],
            "chi2": self.chi2,
            "ndf": self.ndf,
            "p_value": self.p_value,
            "wasserstein": self.wasserstein,
            "edges": self.edges.tolist(),
            "shares": self.shares.tolist(),
        }


def compare_histograms(
    reference: Sequence[Task],
    other: Sequence[Task],
    columns: tuple[str, ...] = (),
    cluster: Cluster = None,
    progress: Progress = silent,
) -> list[Difference]:
    """Compare two samples of many files column by column.

    Args:
        reference: Files of the reference.
        other: Files of the other sample.
        columns: Globs of columns; none means all columns of numbers.
        cluster: Cluster, as in `run`.
        progress: Reports each file.

    Raises:
        InvalidArgument: A file cannot be read, or the samples have different columns.
        MissingExtra: SciPy is not installed.
    """
    chi2 = require("scipy.stats", "compare", "comparing samples").chi2
    # Tasks are named by number, for a file may be in both samples.
    tasks = [replace(task, name=str(k)) for k, task in enumerate((*reference, *other))]
    with connected(cluster) as client:
        by_file = dict(_gathered(TakeMoments(columns), tasks, client, progress))
        # The sums of floats depend on the order, so it is that of the files.
        moments = [by_file[k] for k in range(len(tasks))]
        for task, facts in zip(tasks, moments, strict=True):
            _check_columns(facts, task, moments[0], tasks[0])
        first = summed(moments[: len(reference)])
        second = summed(moments[len(reference) :])
        both = summed([first, second])
        edges = {name: _edges(m) for name, m in both.items() if m.count}
        counts: list[Facts] = [{}, {}]
        for number, facts in _gathered(TakeHistograms(edges), tasks, client, progress):
            side = int(number >= len(reference))
            counts[side] = summed([counts[side], facts])
    return [
        _difference(
            name,
            (first[name], second[name]),
            edges[name],
            np.stack([side[name] for side in counts]),
            chi2,
        )
        for name in edges
    ]


def _check_columns(facts: Facts, task: Task, first: Facts, first_task: Task) -> None:
    """Raise if a file and the first file have different columns."""
    for columns, here, others, there in (
        (facts, task, first, first_task),
        (first, first_task, facts, task),
    ):
        for name in others:
            if name not in columns:
                raise InvalidArgument(
                    f"{here.source}: lacks column {name!r} of {there.source}; "
                    f"{nearest(name, columns)}; leave it out with `columns=`"
                )


def _gathered(
    job: Job, tasks: Sequence[Task], client: Client | None, progress: Progress
) -> Iterator[tuple[int, Facts]]:
    """Yield the facts of each file, with its number, when its task ends."""
    for done, (task, facts, reason) in enumerate(outcomes(job, tasks, client), 1):
        if reason:
            raise InvalidArgument(
                f"{task.source}: {reason.removeprefix(f'{task.source}: ')}"
            )
        progress(type(job).__name__, done / len(tasks), f"{done} of {len(tasks)} files")
        yield int(task.name), facts


def _difference(
    name: str,
    moments: tuple[Moments, Moments],
    edges: Array,
    filled: Array,
    chi2: Any,
) -> Difference:
    """Compare two histograms, from counts and variances of shape (2 samples, 2, bins)."""
    totals = np.maximum(filled[:, 0].sum(axis=1), 1.0)
    shares = filled[:, 0] / totals[:, None]
    variance = (filled[:, 1] / totals[:, None] ** 2).sum(axis=0)
    compared = (filled[:, 0].sum(axis=0) >= _LEAST) & (variance > 0)
    shift = shares[0] - shares[1]
    ndf = max(int(compared.sum()) - 1, 0)
    statistic = float((shift[compared] ** 2 / variance[compared]).sum())
    p_value = float(chi2.sf(statistic, ndf)) if ndf else 1.0
    distance = float(np.abs(np.cumsum(shift) * np.diff(edges)).sum()) / (
        moments[0].std or 1.0
    )
    return Difference(name, moments, edges, shares, statistic, ndf, p_value, distance)


def _edges(moments: Moments) -> Array:
    """Return edges of equal bins about the mean, within the range of the values."""
    low = max(moments.low, moments.mean - _REACH * moments.std)
    high = min(moments.high, moments.mean + _REACH * moments.std)
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)
