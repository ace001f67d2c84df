"""The closure of a simulation: both samples, and real events, collection by collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.comparison.closure.curves import Grids, find_curves, find_grids
from flowtuple.comparison.closure.distances import find_distances
from flowtuple.comparison.closure.layout import ClosureLayout
from flowtuple.comparison.closure.result import (
    Agreement,
    Closure,
    Counted,
    ObjectClosure,
    Spectrum,
)
from flowtuple.comparison.closure.samples import ClosureSample
from flowtuple.comparison.folds import fold_histogram
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS
from flowtuple.comparison.two_sample.cross_fitting import (
    LEAST_EVENTS,
    enough_for_classifier,
    joint_area,
)
from flowtuple.data.binning import find_binning
from flowtuple.data.expressions import Cut, apply_cut, cut_columns
from flowtuple.data.kinematics import ABSENT
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.progress import Progress, silent

_SPECTRA = ("mjj", "HT")


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
        _counted(reference),
        _counted(other),
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


def _counted(sample: ClosureSample) -> Counted:
    return Counted(sample.source, sample.events, sample.folds)


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
    first, second = (sample.derived[k] for sample in samples)
    derived = None if first is None or second is None else (first, second)
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
    for k, (pairs, derived) in enumerate(zip(sample.pairs, sample.derived, strict=True)):
        for names in (pairs.joint().columns, () if derived is None else derived.columns):
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
    if events is not None and cut_columns(expression) <= set(events[0].columns):
        return apply_cut(expression, *events, paired=False)
    return apply_cut(expression, *objects, paired=False)


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
