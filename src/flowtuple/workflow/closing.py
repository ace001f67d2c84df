"""Simulated events before a referee: are reconstructed objects right, given the generated ones."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from flowtuple.atomic import atomic_path, new_folder
from flowtuple.closure.judge import judge_closure
from flowtuple.closure.result import Closure
from flowtuple.closure.samples import layout_of, read_sample
from flowtuple.evaluate.closure_page import write_closure
from flowtuple.evaluate.plots import require_plots
from flowtuple.events.source import ReadOptions, Source, open_dataset
from flowtuple.progress import Progress, silent


def compare_given(
    reference: Source,
    other: Source,
    folder: str | os.PathLike[str] | None = None,
    *,
    given: Iterable[str],
    match: Iterable[str] = (),
    against: Iterable[str] = (),
    real: Source | None = None,
    cuts: Iterable[str] = (),
    weights: str | None = None,
    names: tuple[str, ...] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Closure:
    """What `flowtuple.compare` does where generated columns are given; the arguments are its own.

    Raises:
        InvalidArgument: A name matches nothing, nothing points to given objects, a sample lacks a column, or given columns
            are not finite.
        MissingExtra: The extra 'compare' is not installed, or 'plots' where a folder is given.
    """
    globs, options = tuple(given), ReadOptions(names=names)
    if folder is not None:
        require_plots()
    with contextlib.nullcontext() if folder is None else new_folder(Path(folder)):
        opened = open_dataset(reference, options)
        layout = layout_of(opened, globs, match, against, weights)
        right, judged = (
            read_sample(dataset, layout, globs, opened.description) for dataset in (opened, open_dataset(other, options))
        )
        if real is None:
            pair, beside = right.halves(), f"one half of {right.source} against the other"
        else:
            third = read_sample(open_dataset(real, options), layout, globs, opened.description)
            pair, beside = (right, third), f"{third.source} against {right.source}"
        found = judge_closure(right, judged, pair, layout, globs, beside=beside, cuts=tuple(cuts), seed=seed, progress=progress)
        if folder is not None:
            progress("closure", 1.0, "drawing")
            _write(found, Path(folder))
    return found


def _write(found: Closure, folder: Path) -> None:
    content = found.to_json()
    write_closure(content, folder)
    with atomic_path(folder / "compare.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
