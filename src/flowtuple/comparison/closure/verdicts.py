"""The work of a closure: both samples, and real events beside them, collection by collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowtuple.comparison.closure.curves import Grids, find_curves, find_grids
from flowtuple.comparison.closure.distances import find_distances
from flowtuple.comparison.closure.layout import ClosureLayout
from flowtuple.comparison.closure.result import Agreement, Closure, Counted, ObjectClosure, Spectrum
from flowtuple.comparison.closure.samples import ClosureSample
from flowtuple.comparison.folds import fold_histogram
from flowtuple.comparison.two_sample.auc import Area
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS
from flowtuple.comparison.two_sample.cross_fitting import LEAST_EVENTS, joint_area
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
    given: Sequence[str],
    *,
    beside: str,
    cuts: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Closure:
    """Hold a sample against the reference, and real events against real ones.

    Args:
        reference: What is right.
        other: What is judged, of other events.
        real: Two samples of real events without any in common.
        layout: From the reference.
        given: Names and globs of what all have in common.
        beside: What `real` is, in words.
        cuts: Conditions on columns of objects, partners and events, or on derived quantities.
        seed: Of bootstraps and classifiers.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A cut names what no collection has.
        MissingExtra: The extra 'compare' is not installed.
    """
    found: list[ObjectClosure] = []
    owners = [_owner(expression, reference) for expression in cuts]
    for k, link in enumerate(layout.links):
        grids = find_grids(reference.pairs[k], layout.against)
        own = [expression for expression, owner in zip(cuts, owners, strict=True) if owner == k]
        agreements: list[Agreement] = []
        for what, pair in (("simulated", (reference, other)), ("real", real)):
            progress(
                "closure",
                (k + len(agreements) / 2) / len(layout.links),
                f"{link.objects.name}, {what}",
            )
            agreements.append(_agreement(pair, k, grids, own, seed))
        names = link.objects.name, link.partners.name, link.through
        found.append(ObjectClosure(*names, other=agreements[0], real=agreements[1]))
    counted = [Counted(s.source, s.events, s.folds) for s in (reference, other)]
    notes = [
        f"{closure.objects}: too few objects for a classifier, which needs {LEAST_ROWS} in {LEAST_EVENTS} events of each sample"
        for closure in found
        if closure.other.area is None or closure.real.area is None
    ]
    return Closure(counted[0], counted[1], beside, tuple(given), seed, tuple(found), tuple(notes))


def _agreement(
    samples: tuple[ClosureSample, ClosureSample],
    k: int,
    grids: Grids,
    cuts: Sequence[str],
    seed: int,
) -> Agreement:
    """The objects of link k in two samples."""
    before, after = (sample.pairs[k] for sample in samples)
    rows = before.joint(), after.joint()
    first, second = (sample.derived[k] for sample in samples)
    derived = None if first is None or second is None else (first, second)
    return Agreement(
        _area(*rows, seed),
        find_distances(*rows),
        () if derived is None else find_distances(*derived, absent=ABSENT),
        find_curves(before, after, grids, seed),
        tuple(_cut(expression, rows, derived) for expression in cuts),
        () if derived is None else _spectra(*derived),
    )


def _area(reference: Rows, other: Rows, seed: int) -> Area | None:
    samples = (reference, other)
    if any(len(s) < LEAST_ROWS or len(np.unique(s.event)) < LEAST_EVENTS for s in samples):
        return None
    return joint_area(reference, other, seed)


def _owner(expression: str, sample: ClosureSample) -> int:
    """The first link whose objects, or whose quantities of events, have all columns of a cut.

    Raises:
        InvalidArgument: None has.
    """
    wanted, known = cut_columns(expression), list[str]()
    for k, tables in enumerate(zip(sample.pairs, sample.derived, strict=True)):
        columns = [tables[0].joint().columns, () if tables[1] is None else tables[1].columns]
        if any(wanted <= set(names) for names in columns):
            return k
        known += [name for names in columns for name in names]
    missing = next((name for name in sorted(wanted) if name not in known), None)
    if missing is None:
        raise InvalidArgument(
            f"the cut {expression!r} mixes columns of several kinds of objects; cut on one kind at a time"
        )
    raise InvalidArgument(
        f"{sample.source}: the cut names column {missing!r}, which is not there; {nearest(missing, known)}"
    )


def _cut(expression: str, objects: tuple[Rows, Rows], events: tuple[Rows, Rows] | None) -> Cut:
    """Of events where a cut names their quantities alone, else of objects."""
    of_events = events is not None and cut_columns(expression) <= set(events[0].columns)
    return apply_cut(
        expression, *(events if events is not None and of_events else objects), paired=False
    )


def _spectra(reference: Rows, other: Rows) -> tuple[Spectrum, ...]:
    found = []
    for name in reference.columns:
        if name.rpartition("_")[2] in _SPECTRA:
            samples = [
                (s.values[:, s.columns.index(name)], s.event, s.weights) for s in (reference, other)
            ]
            there = samples[0][0][samples[0][0] != ABSENT]
            if len(there):
                edges = find_binning(there).edges
                made = [
                    fold_histogram(values, edges, event, weights)
                    for values, event, weights in samples
                ]
                numbers = [c for h in made for c in (h.shares, np.sqrt(h.share_variances))]
                found.append(
                    Spectrum(name, tuple(edges.tolist()), *(tuple(c.tolist()) for c in numbers))
                )
    return tuple(found)
