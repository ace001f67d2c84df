"""The closure of a simulation: both samples, and real events, collection by collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.comparison.closure.curves import Grids, find_curves, find_grids
from flowtuple.comparison.closure.layout import ClosureLayout
from flowtuple.comparison.closure.result import (
    Agreement,
    Closure,
    Counted,
    Distance,
    ObjectClosure,
    Spectrum,
)
from flowtuple.comparison.closure.samples import ClosureSample
from flowtuple.comparison.folds import fold_histogram
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS
from flowtuple.comparison.two_sample.distributions import prepare_columns
from flowtuple.comparison.two_sample.permutations import Permutations
from flowtuple.comparison.two_sample.pooled import pool
from flowtuple.comparison.two_sample.ratio import (
    LEAST_EVENTS,
    enough_for_classifier,
    joint_area,
)
from flowtuple.data.binning import find_binning
from flowtuple.data.expressions import Cut, apply_cut, cut_columns
from flowtuple.data.kinematics import ABSENT
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.progress import Progress, silent

_SPECTRA = ("mjj", "HT")
_LEAST = 20  # rows of a distance


def measure_closure(
    reference: ClosureSample,
    other: ClosureSample,
    real: tuple[ClosureSample, ClosureSample],
    layout: ClosureLayout,
    generated: Sequence[str],
    *,
    real_words: str,
    cuts: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Closure:
    """Compare a sample with the reference, and real events with other real events.

    Args:
        reference: The true sample.
        other: The simulated sample, of other events.
        real: Two samples of real events without a common event.
        layout: From the reference.
        generated: Names and globs of the generated columns.
        real_words: The comparison of real events in words.
        cuts: Cuts on columns of objects, partners and events, or on derived quantities.
        seed: Seed of bootstraps and classifiers.
        progress: Receives each stage.

    Raises:
        InvalidArgument: A cut names a column that no collection has.
        MissingExtra: The extra 'compare' is not installed.
    """
    closures: list[ObjectClosure] = []
    owners = [_owner(cut, reference) for cut in cuts]
    for k, link in enumerate(layout.links):
        grids = find_grids(reference.pairs[k], layout.against)
        own = [cut for cut, owner in zip(cuts, owners, strict=True) if owner == k]
        agreements: list[Agreement] = []
        for name, pair in (("simulated", (reference, other)), ("real", real)):
            share = (k + len(agreements) / 2) / len(layout.links)
            progress("closure", share, f"{link.objects.name}, {name}")
            agreements.append(_agreement(pair, k, grids, own, seed))
        names = link.objects.name, link.partners.name, link.through
        closures.append(ObjectClosure(*names, *agreements))
    return Closure(
        Counted.of(reference.pairs[0]),
        Counted.of(other.pairs[0]),
        real_words,
        tuple(generated),
        seed,
        tuple(closures),
        _notes(closures),
    )


def _notes(closures: Sequence[ObjectClosure]) -> tuple[str, ...]:
    return tuple(
        f"{closure.objects}: too few objects for a classifier, which needs {LEAST_ROWS} "
        f"in {LEAST_EVENTS} events of each sample"
        for closure in closures
        if closure.other.area is None or closure.real.area is None
    )


def _agreement(
    samples: tuple[ClosureSample, ClosureSample],
    k: int,
    grids: Grids,
    cuts: Sequence[str],
    seed: int,
) -> Agreement:
    """Compare the objects of link k in two samples."""
    before, after = (sample.pairs[k] for sample in samples)
    rows = before.joint(), after.joint()
    derived = None
    if before.derived is not None and after.derived is not None:
        derived = before.derived, after.derived
    return Agreement(
        joint_area(*rows, seed) if all(map(enough_for_classifier, rows)) else None,
        find_distances(*rows),
        () if derived is None else find_distances(*derived, absent=ABSENT),
        find_curves(before, after, grids, seed),
        tuple(_cut(expression, rows, derived) for expression in cuts),
        () if derived is None else _spectra(*derived),
    )


def _owner(expression: str, sample: ClosureSample) -> int:
    """Return the first link whose objects, or whose quantities of events, have a cut's columns.

    Raises:
        InvalidArgument: No link has all of them.
    """
    wanted = cut_columns(expression)
    known: list[str] = []
    for k, pairs in enumerate(sample.pairs):
        derived = () if pairs.derived is None else pairs.derived.columns
        for names in (pairs.joint().columns, derived):
            if wanted <= set(names):
                return k
            known += names
    missing = next((name for name in sorted(wanted) if name not in known), None)
    if missing is None:
        raise InvalidArgument(
            f"the cut {expression!r} mixes columns of several kinds of objects; "
            "cut on one kind at a time"
        )
    raise InvalidArgument(
        f"{sample.source}: the cut names column {missing!r}, which is not there; "
        f"{nearest(missing, known)}"
    )


def _cut(
    expression: str, objects: tuple[Rows, Rows], events: tuple[Rows, Rows] | None
) -> Cut:
    """Cut on events where all columns are quantities of events, else on objects."""
    of_events = events and cut_columns(expression) <= set(events[0].columns)
    return apply_cut(
        expression, *(events if events and of_events else objects), paired=False
    )


def _spectra(reference: Rows, other: Rows) -> tuple[Spectrum, ...]:
    spectra = []
    for k, name in enumerate(reference.columns):
        values = reference.values[:, k]
        values = values[values != ABSENT]
        if name.rpartition("_")[2] not in _SPECTRA or not len(values):
            continue
        edges = find_binning(values).edges
        numbers = [edges]
        for sample in (reference, other):
            content = sample.values[:, sample.columns.index(name)]
            histogram = fold_histogram(content, edges, sample.event, sample.weights)
            numbers += [histogram.shares, np.sqrt(histogram.share_variances)]
        spectra.append(Spectrum(name, *(tuple(content.tolist()) for content in numbers)))
    return tuple(spectra)


def find_distances(
    reference: Rows, other: Rows, absent: float = np.nan
) -> tuple[Distance, ...]:
    """Return the distances of every column with 20 values or more, and more than one value.

    Args:
        reference: One sample; rows may hold NaN for no value.
        other: Another with the same columns.
        absent: A number that stands for no value, too.

    Raises:
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> x, event = np.arange(100.0)[:, None], np.arange(100)
        >>> a, b = (Rows("toy", ("x",), x + shift, event, 100) for shift in (0, 50))
        >>> [(d.column, round(d.w1, 3), round(d.ks, 3)) for d in find_distances(a, b)]
        [('x', 1.732, 0.5)]
    """
    out = []
    for name in reference.columns:
        before, after = (
            _present(sample.only((name,)), absent) for sample in (reference, other)
        )
        if (
            min(len(before), len(after)) < _LEAST
            or not (deviation := _deviation(before)) > 0
        ):
            continue
        pooled = pool(before, after, seed=0)
        prepared = prepare_columns(pooled, ("w1", "ks"), 0, silent)
        true_labels = Permutations(pooled.other.astype(np.uint8)[:, None])
        w1, ks = prepared.statistics(true_labels)[:, 0]
        out.append(Distance(name, float(w1) / deviation, float(ks)))
    return tuple(out)


def _present(rows: Rows, absent: float) -> Rows:
    values: Array = rows.values[:, 0]
    return rows.some(np.isfinite(values) & (values != absent))


def _deviation(rows: Rows) -> float:
    values = rows.values[:, 0]
    mean = np.average(values, weights=rows.weights)
    return float(np.sqrt(np.average(np.square(values - mean), weights=rows.weights)))
