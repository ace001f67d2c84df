"""Comparison of two samples of many files by histograms, whose bins take a pass of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flowtuple.batch.cluster import Cluster, connected
from flowtuple.batch.jobs import Facts, Job
from flowtuple.batch.moments import Moments, TakeHistograms, TakeMoments, summed
from flowtuple.batch.run import outcomes
from flowtuple.batch.tasks import Task
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from distributed import Client

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
            raise InvalidArgument(f"{task.source}: {reason.removeprefix(f'{task.source}: ')}")
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
