"""Two samples before a referee: are they of one kind, and does one hold copies of the other's training rows."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowtuple.api.closure import ClosureOptions
from flowtuple.comparison.closure.result import Closure
from flowtuple.comparison.two_sample.compare_samples import compare_samples
from flowtuple.comparison.two_sample.copies import find_copies
from flowtuple.comparison.two_sample.ratio import Ratio, density_ratio
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.expressions import Cut, apply_cut
from flowtuple.data.kinematics import derived_rows
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import ReadOptions, Source, open_dataset, write_dataset
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.two_samples import write_comparison
from flowtuple.runtime.atomic import atomic_path, new_folder
from flowtuple.runtime.progress import Progress, silent


def compare(
    reference: Source,
    other: Source,
    folder: str | os.PathLike[str] | None = None,
    *,
    columns: Iterable[str] = (),
    weights: str | None = None,
    tests: Iterable[str] = (),
    train: Source | None = None,
    names: tuple[str, ...] | None = None,
    level: float = 0.01,
    permutations: int | None = None,
    seed: int = 0,
    derived: str | None = None,
    cuts: Iterable[str] = (),
    paired: bool = False,
    ratio: bool = False,
    given: Iterable[str] = (),
    match: Iterable[str] = (),
    against: Iterable[str] = (),
    real: Source | None = None,
    progress: Progress = silent,
) -> Comparison | Closure:
    """Test whether two samples are of one kind, column by column and all columns together.

    Every p-value comes from permuting events between the samples; the verdict is adjusted for the number of tests.
    With generated columns `given` it is a closure: are reconstructed objects right, given the generated ones.

    Args:
        reference: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        other: Another with the same columns.
        folder: Where `compare.json` and `compare.html` go, if anywhere.
        columns: Names or globs of event columns, or of columns of one collection, whose objects then are the rows.
        weights: Name of the column of weights in both; each sample's are divided by their mean.
        tests: Names of tests; none means all.
        train: What the model behind `other` was trained on, to look for copies; `reference` then is what it has not seen.
        names: Column names for inputs that have none.
        level: Probability of a wrong rejection that is accepted.
        permutations: For each p-value; `None` for as many as the number of tests asks for, at most 20,000.
        seed: The same inputs, options and seed give the same result on one machine.
        derived: A collection, such as `Jet`, whose H_T, missing H_T, dijet mass, p_T and Delta R are compared.
        cuts: Conditions such as `Jet_pt > 30 and abs(Jet_eta) < 2.4`, of which the shares that pass are compared.
        paired: Row k of the one is row k of the other, as before and after compression: cuts then count rows gained and lost.
        ratio: Learn the density ratio, fold by fold, and say at which columns and rows it fails.
        given: Names or globs of generated columns, such as `GenJet_*`: compared are efficiency, objects without a partner and
            response, and objects together with their partners. Beside the next three, `folder`, `cuts`, `weights`, `names`
            and `seed` go with it.
        match: Columns that point to partners, as `COL` or `COL=COLLECTION`; none means those whose names say so.
        against: Event columns to draw figures against; none means the given whole numbers, such as pile-up.
        real: Real events, none of them in `reference`, to hold against it; `None` for its one half against the other.
        progress: Told of each stage.

    Returns:
        A `Comparison`, or with `given` a `Closure`.

    Raises:
        InvalidArgument: Columns differ, a sample is too small, or a test or glob is not known.
        MissingExtra: The extra 'compare' is not installed, or 'plots' where a folder is given.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> found = compare({"x": draw.normal(0, 1, 400)}, {"x": draw.normal(1, 1, 400)}, tests=["ks"])
        >>> found.rejected, found.outcomes[0].column
        (True, 'x')
    """
    if not 0 < level < 1:
        raise InvalidArgument(f"the level {level} is not between 0 and 1; 0.01 is usual")
    globs, givens, asked, options = (
        tuple(columns),
        tuple(given),
        tuple(tests),
        ReadOptions(names=names),
    )
    closing = ClosureOptions(givens, tuple(match), tuple(against), real, tuple(cuts), weights, seed)
    of_rows = {"columns": globs, "tests": asked, "train": train, "permutations": permutations}
    _check_together(closing, of_rows | {"derived": derived, "paired": paired, "ratio": ratio})
    if folder is not None:
        require_plots()
    with contextlib.nullcontext() if folder is None else new_folder(Path(folder)):
        if givens:
            return closing.compare(
                reference, other, options, None if folder is None else Path(folder), progress
            )

        def rows_of(source: Source) -> Rows:
            dataset = open_dataset(source, options)
            return (
                read_rows(dataset, globs, weights)
                if derived is None
                else derived_rows(dataset, derived, weights)
            )

        if derived is not None and globs:
            raise InvalidArgument("--derived compares quantities of its own; leave out --columns")
        samples = [rows_of(reference), rows_of(other)]
        samples[0].like(samples[1])  # a column that only the second has is refused as well
        samples[1] = samples[1].like(samples[0])
        cut = _cuts(samples, closing.cuts, paired)
        found = compare_samples(
            *samples,
            tests=asked,
            level=level,
            permutations=permutations,
            weights=weights,
            seed=seed,
            progress=progress,
        )
        if train is not None:
            progress("compare", 1.0, "looking for copies")
            found = replace(
                found,
                copies=find_copies(rows_of(train).like(samples[0]), samples[0], samples[1], seed),
            )
        learned = density_ratio(samples[0], samples[1], seed, progress=progress) if ratio else None
        found = replace(found, cuts=cut, ratio=learned)
        if folder is not None:
            progress("compare", 1.0, "drawing")
            _write(found, samples, Path(folder))
        return found


def _check_together(closing: ClosureOptions, of_rows: Mapping[str, object]) -> None:
    """Refuse options of the one kind of comparison where the other is asked for."""
    if closing.given:
        for name, value in of_rows.items():
            if value:
                raise InvalidArgument(
                    f"--{name} does not go with --given; leave it out, or compare twice"
                )
        return
    for name in ("match", "against", "real"):
        if getattr(closing, name):
            raise InvalidArgument(
                f"--{name} needs generated columns; name them with --given, such as 'GenJet_*'"
            )


def _cuts(samples: list[Rows], expressions: tuple[str, ...], paired: bool) -> tuple[Cut, ...]:
    reference, other = samples
    if paired and not expressions:
        raise InvalidArgument("--paired says how rows of a --cut are counted; give one")
    if paired and (reference.dropped or other.dropped):
        rows = reference.dropped + other.dropped
        raise InvalidArgument(
            f"{other.source}: {rows} rows with NaN or infinite values were dropped; leave out --paired"
        )
    if paired and not np.array_equal(reference.event, other.event):
        raise InvalidArgument(
            f"{other.source}: does not hold the rows of {reference.source}; leave out --paired"
        )
    return tuple(
        apply_cut(expression, reference, other, paired=paired) for expression in expressions
    )


def _write(found: Comparison, samples: list[Rows], folder: Path) -> None:
    content = found.to_json()
    kept = [sample.only(found.columns) for sample in samples]
    if found.ratio is not None:
        write_dataset(_ratios(found.ratio, samples), folder / "ratio.npz")
    write_comparison(
        content,
        [(s.values, np.ones(len(s)) if s.weights is None else s.weights) for s in kept],
        folder,
    )
    with atomic_path(folder / "compare.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _ratios(ratio: Ratio, samples: list[Rows]) -> Dataset:
    """Ln r of every row, with the number of its event."""
    columns = (Column("event", "int64"), Column("log_ratio", "float64"))
    tables = {
        name: Table(
            name, columns, len(rows), {"event": rows.event.astype(np.int64), "log_ratio": values}
        )
        for name, rows, values in zip(
            ("reference", "other"), samples, (ratio.reference, ratio.other), strict=True
        )
    }
    return Dataset("density ratio", dict(tables))
