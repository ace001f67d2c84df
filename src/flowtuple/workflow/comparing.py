"""Two samples before a referee: are they of one kind, and does one hold copies of the other's training rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowtuple.atomic import atomic_path, make_folder
from flowtuple.errors import InvalidArgument
from flowtuple.evaluate.plots import require_plots
from flowtuple.evaluate.two_samples import write_page
from flowtuple.events.source import ReadOptions, Source, open_dataset
from flowtuple.progress import Progress, silent
from flowtuple.referee.copies import find_copies
from flowtuple.referee.judge import judge
from flowtuple.referee.result import Comparison
from flowtuple.rows import Rows, read_rows


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
    progress: Progress = silent,
) -> Comparison:
    """Test whether two samples are of one kind, column by column and all columns together.

    Every p-value comes from permuting events between the samples; the verdict is adjusted for the number of tests.

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
        progress: Told of each stage.

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
    if folder is not None:
        require_plots()
        make_folder(Path(folder))
    globs, options = tuple(columns), ReadOptions(names=names)
    samples = [read_rows(open_dataset(source, options), globs, weights) for source in (reference, other)]
    samples[0].like(samples[1])  # a column that only the second has is refused as well
    found = judge(
        *samples,
        tests=tuple(tests),
        level=level,
        permutations=permutations,
        weights=weights,
        seed=seed,
        progress=progress,
    )
    if train is not None:
        progress("compare", 1.0, "looking for copies")
        trained = read_rows(open_dataset(train, options), globs).like(samples[0])
        found = replace(found, copies=find_copies(trained, samples[0], samples[1].like(samples[0]), seed))
    if folder is not None:
        progress("compare", 1.0, "drawing")
        _write(found, samples, Path(folder))
    return found


def _write(found: Comparison, samples: list[Rows], folder: Path) -> None:
    content = found.to_json()
    kept = [sample.only(found.columns) for sample in samples]
    write_page(content, [(s.values, np.ones(len(s)) if s.weights is None else s.weights) for s in kept], folder)
    with atomic_path(folder / "compare.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
