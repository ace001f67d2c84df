"""Two samples compared: as distributions, or as a simulation and real events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flowtuple.api.inputs import FilePath, pages
from flowtuple.comparison.closure.result import Closure
from flowtuple.comparison.closure.samples import ClosureSample, layout_of, read_sample
from flowtuple.comparison.closure.verdicts import measure_closure
from flowtuple.comparison.events.event_sample import (
    EventSample,
    fill_absent,
    has_collections,
    read_events,
)
from flowtuple.comparison.two_sample.compare_samples import compare_samples
from flowtuple.comparison.two_sample.copies import find_copies
from flowtuple.comparison.two_sample.pooled import EventParts
from flowtuple.comparison.two_sample.ratio import Ratio, density_ratio
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.expressions import Cut, apply_cut
from flowtuple.data.kinematics import derived_rows
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.io.source import ReadOptions, Source, open_dataset, write_dataset
from flowtuple.reporting.comparison_pages import write_closure, write_comparison
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.old_names import accepts_old, moved

_UNITS = ("events", "rows")


@dataclass(frozen=True)
class ClosureOptions:
    """Settings of a closure test that mostly stay as they are.

    Attributes:
        match: Index columns that match objects to generated partners, as `COL` or `COL=COLLECTION`.
            Without any, the columns whose names say so.
        against: Event columns to draw figures against. Without any, the given whole numbers, such
            as pile-up.
        cuts: Conditions such as `Jet_pt > 30`. The shares of rows that pass are compared.
        names: Column names for inputs that have none.

    Example:
        >>> import flowtuple as ft
        >>> ft.ClosureOptions(match=["Jet_genJetIdx"], cuts=["Jet_pt > 30"]).cuts
        ['Jet_pt > 30']
    """

    match: Iterable[str] = ()
    against: Iterable[str] = ()
    cuts: Iterable[str] = ()
    names: tuple[str, ...] | None = None


@accepts_old(weight="weights", options=ClosureOptions, resources=Resources)
def closure(
    reference: Source,
    other: Source,
    folder: FilePath | None = None,
    *,
    given: Iterable[str],
    real: Source | None = None,
    weight: str | None = None,
    seed: int = 0,
    options: ClosureOptions = ClosureOptions(),
    resources: Resources = Resources(),
) -> Closure:
    """Compare reconstructed events with simulated ones, given the generated objects that both hold.

    The test compares efficiency, fakes and response per generated object, and trains a classifier
    on objects together with their partners. The same figures for real events against real events
    set the scale.

    Args:
        reference: Real events: a path, URL, list of paths, awkward array, dict of arrays or
            DataFrame.
        other: Simulated events with the same columns.
        folder: Folder for `compare.json` and `compare.html`; `None` writes neither.
        given: Names or globs of generated columns, such as `GenJet_*`.
        real: More real events, none of them in `reference`. `None` compares the halves of
            `reference`.
        weight: Event column of weights.
        seed: The same inputs, options and seed give the same result on one machine.
        options: Matching, figures and cuts.
        resources: Its `progress` is called at each stage.

    Returns:
        The figures of each collection with their verdicts; p_T in the unit of the input, shares
        between 0 and 1.

    Raises:
        InvalidArgument: A name matches nothing, no column points to given objects, a sample lacks a
            column, or given columns are not finite.
        MissingExtra: The extra 'compare' is not installed, or 'plots' where a folder is named.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> def events(seed):
        ...     draw = np.random.default_rng(seed)
        ...     pt, response = draw.uniform(20, 90, (400, 1)), draw.normal(1, 0.1, (400, 1))
        ...     columns = {"GenJet_pt": pt, "Jet_pt": response * pt}
        ...     columns["Jet_genJetIdx"] = 0 * pt.astype(int)
        ...     for name in ("GenJet_eta", "GenJet_phi", "Jet_eta", "Jet_phi"):
        ...         columns[name] = draw.uniform(-2, 2, (400, 1))
        ...     return {name: values.tolist() for name, values in columns.items()}
        >>> ft.closure(events(1), events(2), given=["GenJet_*"]).rejected
        False
    """
    paths = ReadOptions(names=options.names)
    patterns = tuple(given)
    with pages(folder) as target:
        opened = open_dataset(reference, paths)
        layout = layout_of(
            opened, patterns, tuple(options.match), tuple(options.against), weight
        )

        def sample(source: Source) -> ClosureSample:
            return read_sample(
                open_dataset(source, paths), layout, patterns, opened.description
            )

        right, simulated = sample(reference), sample(other)
        if real is None:
            pair = right.halves()
            about = f"one half of {right.source} against the other"
        else:
            pair = (right, sample(real))
            about = f"{pair[1].source} against {right.source}"
        result = measure_closure(
            right,
            simulated,
            pair,
            layout,
            patterns,
            real_words=about,
            cuts=tuple(options.cuts),
            seed=seed,
            progress=resources.progress,
        )
        if target is not None:
            resources.progress("closure", 1.0, "drawing")
            write_closure(result.to_json(), target)
            write_json(result.to_json(), target / "compare.json")
        return result


def write_json(content: object, path: Path) -> None:
    """Write indented JSON; the file appears whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class ComparisonOptions:
    """Settings of a comparison that mostly stay as they are.

    Attributes:
        names: Column names for inputs that have none.
        level: Accepted probability of a wrong rejection, over all tests together.
        permutations: Number for each p-value. `None` takes as many as the number of tests needs, at
            most 20,000.
        derived: A collection, such as `Jet`, whose H_T, missing H_T, dijet mass, p_T and Delta R
            are compared, and nothing else.
        cuts: Conditions such as `Jet_pt > 30 and abs(Jet_eta) < 2.4`. The shares of rows that pass
            are compared.
        paired: Row k of one sample is row k of the other, as before and after compression. Cuts
            then count the rows that are gained and lost.
        ratio: Learn the density ratio in folds, and name the columns and rows where it differs from
            1.
        unit: `events` compares numbers of whole events, `rows` the objects of one collection or the
            columns of events. `None` takes events where there are collections.
        features: Further numbers of events as `NAME=EXPRESSION`, such as
            `Jet_share=Jet_mass / Jet_pt`, a column of objects, or `fraction=Jet1_pt / Jet_HT`.

    Example:
        >>> import flowtuple as ft
        >>> ft.ComparisonOptions(cuts=["x > 1"], paired=True).level
        0.01
    """

    names: tuple[str, ...] | None = None
    level: float = 0.01
    permutations: int | None = None
    derived: str | None = None
    cuts: Iterable[str] = ()
    paired: bool = False
    ratio: bool = False
    unit: str | None = None
    features: Iterable[str] = ()


@moved(given=closure)
@accepts_old(weight="weights", options=ComparisonOptions, resources=Resources)
def compare(
    reference: Source,
    other: Source,
    folder: FilePath | None = None,
    *,
    columns: Iterable[str] = (),
    weight: str | None = None,
    tests: Iterable[str] = (),
    train: Source | None = None,
    seed: int = 0,
    options: ComparisonOptions = ComparisonOptions(),
    resources: Resources = Resources(),
) -> Comparison:
    """Test whether two samples are of one distribution, column by column and all columns together.

    Where there are collections, the rows are events, and their columns are numbers of whole events:
    leading objects, sums, pairs, and columns of events. Every p-value comes from permuting events
    between the samples. The verdict is adjusted for the number of tests.

    Args:
        reference: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        other: Another sample with the same columns.
        folder: Folder for `compare.json` and `compare.html`; `None` writes neither.
        columns: Names or globs of columns. With the unit `rows`, of event columns, or of columns of
            one collection, whose objects then are the rows.
        weight: Name of the column of weights in both samples. The weights of each sample are
            divided by their mean.
        tests: Names of tests, such as `ks`, or `alpha:0.5` for the alpha-divergence of that number;
            none means all but these.
        train: Training sample of the model that made `other`. Rows of `other` are searched for
            copies of it; `reference` then is a sample that the model has not seen.
        seed: The same inputs, options and seed give the same result on one machine.
        options: Level, permutations, unit, features, derived quantities, cuts, density ratio.
        resources: Its `progress` is called at each stage.

    Returns:
        The outcome of each test with its p-value, and one verdict.

    Raises:
        InvalidArgument: The columns differ, a sample is too small, or a test or glob is unknown.
        MissingExtra: The extra 'compare' is not installed, or 'plots' where a folder is named.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> draw = np.random.default_rng(1)
        >>> first, second = ({"x": draw.normal(mean, 1, 400)} for mean in (0, 1))
        >>> result = ft.compare(first, second, tests=["ks"])
        >>> result.rejected, result.outcomes[0].column
        (True, 'x')
    """
    if not 0 < options.level < 1:
        raise InvalidArgument(
            f"the level {options.level} is not between 0 and 1; 0.01 is usual"
        )
    globs = tuple(columns)
    if options.derived is not None and globs:
        raise InvalidArgument(
            "`derived=` compares its own quantities; leave out `columns=`"
        )
    with pages(folder) as target:
        sources = (reference, other, *([] if train is None else [train]))
        unit, samples, parts, notes = _read(sources, globs, weight, options)
        first, second = samples[:2]
        cuts = _cuts(first, second, options)
        tested = fill_absent(samples) if unit == "events" else samples
        result = compare_samples(
            tested[0],
            tested[1],
            tests=tuple(tests),
            level=options.level,
            permutations=options.permutations,
            weights=weight,
            seed=seed,
            parts=parts,
            progress=resources.progress,
        )
        result = replace(result, cuts=cuts, unit=unit, notes=(*result.notes, *notes))
        if train is not None:
            resources.progress("compare", 1.0, "looking for copies")
            copies = find_copies(tested[2], tested[0], tested[1], seed)
            result = replace(result, copies=copies)
        if options.ratio:
            ratio = density_ratio(first, second, seed, progress=resources.progress)
            result = replace(result, ratio=ratio)
        if target is not None:
            resources.progress("compare", 1.0, "drawing")
            _write(result, [first, second], target)
        return result


def _read(
    sources: Sequence[Source],
    columns: tuple[str, ...],
    weight: str | None,
    options: ComparisonOptions,
) -> tuple[str, list[Rows], tuple[EventParts, EventParts], tuple[str, ...]]:
    """Return the unit, the rows of each sample with the columns of the first, and more.

    These are the objects of the events of the first two samples, and notes.
    """
    read = ReadOptions(names=options.names)
    datasets = [open_dataset(source, read) for source in sources]
    unit = _unit(datasets[0], columns, options)
    notes: tuple[str, ...] = ()
    parts = (EventParts(), EventParts())
    if options.derived is not None:
        samples = [derived_rows(dataset, options.derived, weight) for dataset in datasets]
    elif unit == "events":
        events = [
            read_events(dataset, columns, weight, tuple(options.features))
            for dataset in datasets
        ]
        samples = [sample.rows for sample in events]
        first, second = (EventParts(e.objects, e.columns) for e in events[:2])
        parts = (first, second)
        if events[0].left_out:
            notes = (_left_out(events[0]),)
    else:
        samples = [read_rows(dataset, columns, weight) for dataset in datasets]
    # A column that only another sample has is refused as well.
    for sample in samples[1:2]:
        samples[0].like(sample)
    return unit, [sample.like(samples[0]) for sample in samples], parts, notes


def _unit(dataset: Dataset, columns: tuple[str, ...], options: ComparisonOptions) -> str:
    """Return what a row is: `events`, or `rows` of a collection or of a table without any.

    Raises:
        InvalidArgument: The unit is unknown, or features are requested of rows.
    """
    unit = options.unit
    if unit is None:
        several = options.derived is None and has_collections(dataset, columns)
        unit = "events" if several or options.features else "rows"
    if unit not in _UNITS:
        raise InvalidArgument(f"there is no unit {unit!r}; {nearest(unit, _UNITS)}")
    if options.features and (unit == "rows" or options.derived is not None):
        raise InvalidArgument(
            "`features=` are numbers of events; leave out `derived=` and the unit 'rows'"
        )
    return "rows" if options.derived is not None else unit


def _left_out(sample: EventSample) -> str:
    return (
        f"{len(sample.rows.columns)} numbers of events are compared and {sample.left_out} more "
        "are not; choose with `columns=`"
    )


def _cuts(reference: Rows, other: Rows, options: ComparisonOptions) -> tuple[Cut, ...]:
    cuts, paired = tuple(options.cuts), options.paired
    if paired and not cuts:
        raise InvalidArgument(
            "`paired=` counts the rows that cuts gain and lose; add `cuts=`"
        )
    if paired and (reference.dropped or other.dropped):
        rows = reference.dropped + other.dropped
        raise InvalidArgument(
            f"{other.source}: {rows} rows with NaN or infinite values were dropped;"
            " leave out `paired=`"
        )
    if paired and not np.array_equal(reference.event, other.event):
        raise InvalidArgument(
            f"{other.source}: does not hold the rows of {reference.source}; leave out `paired=`"
        )
    return tuple(apply_cut(cut, reference, other, paired=paired) for cut in cuts)


def _write(result: Comparison, samples: list[Rows], folder: Path) -> None:
    content = result.to_json()
    if result.ratio is not None:
        write_dataset(_ratios(result.ratio, samples), folder / "ratio.npz")
    drawn = [sample.only(result.columns) for sample in samples]
    weighted = [(s.values, s.weight) for s in drawn]
    write_comparison(content, weighted, folder)
    write_json(content, folder / "compare.json")


def _ratios(ratio: Ratio, samples: list[Rows]) -> Dataset:
    """Return ln r of every row, with the number of its event."""
    columns = (Column("event", "int64"), Column("log_ratio", "float64"))
    logs = {"reference": ratio.reference, "other": ratio.other}
    tables = {}
    for (name, values), rows in zip(logs.items(), samples, strict=True):
        data = {"event": rows.event.astype(np.int64), "log_ratio": values}
        tables[name] = Table(name, columns, len(rows), data)
    return Dataset("density ratio", dict(tables))
