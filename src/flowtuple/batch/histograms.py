"""Two samples of many files compared by their histograms, in two passes: the first finds where the bins are to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
_REACH = 5.0  # standard deviations about the mean that the bins cover; the first and the last hold all beyond
_LEAST = 10.0  # entries, in both samples together, below which a bin says nothing


@dataclass(frozen=True)
class Difference:
    """One column of two samples.

    Attributes:
        column: Its name.
        moments: Of the reference and of the other sample.
        edges: Of the bins.
        shares: Of the entries in each bin, shape (2, bins).
        chi2: Of the difference of shares, over those of `ndf` bins that both samples together fill.
        ndf: Bins less one.
        p_value: Of chi2; approximate, for what bins have in common by the objects of one event is left out.
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
        """Numbers and lists."""
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
    """Compare two samples of many files column by column: a pass for the moments, a pass for the histograms.

    Args:
        reference: Its files.
        other: Those of the other sample.
        columns: Globs; none means all that are numbers.
        cluster: As in `run`.
        progress: Told of each file.

    Raises:
        InvalidArgument: A file cannot be read, or the samples have different columns.
        MissingExtra: SciPy is not installed.
    """
    chi2 = _chi2()
    tasks = [
        replace(task, name=str(k)) for k, task in enumerate((*reference, *other))
    ]  # a file may be in both samples
    with connected(cluster) as client:
        by_file = dict(_gathered(TakeMoments(columns), tasks, client, progress))
        for k, task in enumerate(tasks):
            _check_columns(by_file[k], task, by_file[0], tasks[0])
        sides = range(len(reference)), range(len(reference), len(tasks))
        first, second = (
            summed(by_file[k] for k in part) for part in sides
        )  # in order, for sums of floats depend on it
        edges = {
            name: _edges(m + second[name]) for name, m in first.items() if (m + second[name]).count
        }
        filled: list[Facts] = [{}, {}]
        for number, facts in _gathered(TakeHistograms(edges), tasks, client, progress):
            side = int(number >= len(reference))
            filled[side] = summed([filled[side], facts])
    return [
        _difference(n, (first[n], second[n]), edges[n], np.stack([s[n] for s in filled]), chi2)
        for n in edges
    ]


def _chi2() -> Callable[[float, int], float]:
    """The upper tail of chi-square."""
    chi2 = require("scipy.stats", "compare", "comparing samples").chi2
    return lambda statistic, ndf: float(chi2.sf(statistic, ndf))


def _check_columns(found: Facts, task: Task, first: Facts, other: Task) -> None:
    """Files of both samples hold the same columns."""
    for name in (*first, *found):  # in order, for the first that differs is named
        if name in first and name in found:
            continue
        lacking, there = (task, other) if name in first else (other, task)
        close = nearest(name, found if lacking is task else first)
        raise InvalidArgument(
            f"{lacking.source}: lacks column {name!r} of {there.source}; {close}; leave it out with --columns"
        )


def _gathered(
    job: Job, tasks: Sequence[Task], client: Client | None, progress: Progress
) -> Iterator[tuple[int, Facts]]:
    """What a job says of each file, with the file's number, as it comes."""
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
    chi2: Callable[[float, int], float],
) -> Difference:
    """Of two histograms, from counts and variances of shape (2 samples, 2, bins)."""
    totals = np.maximum(filled[:, 0].sum(axis=1), 1.0)
    shares = filled[:, 0] / totals[:, None]
    variance = (filled[:, 1] / totals[:, None] ** 2).sum(axis=0)
    kept = (filled[:, 0].sum(axis=0) >= _LEAST) & (variance > 0)
    apart, ndf = shares[0] - shares[1], max(int(kept.sum()) - 1, 0)
    statistic = float((apart[kept] ** 2 / variance[kept]).sum())
    distance = float(np.abs(np.cumsum(apart) * np.diff(edges)).sum()) / (moments[0].std or 1.0)
    return Difference(
        name, moments, edges, shares, statistic, ndf, chi2(statistic, ndf) if ndf else 1.0, distance
    )


def _edges(moments: Moments) -> Array:
    """Of equal bins about the mean, within what there is."""
    low = max(moments.low, moments.mean - _REACH * moments.std)
    high = min(moments.high, moments.mean + _REACH * moments.std)
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)
