"""A closure test of a simulation: reconstructed objects, given the generated ones."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowtuple.comparison.closure.result import Closure
from flowtuple.comparison.closure.samples import ClosureSample, layout_of, read_sample
from flowtuple.comparison.closure.verdicts import measure_closure
from flowtuple.data.resources import Resources
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.comparison_pages import write_closure
from flowtuple.reporting.plots import require_plots
from flowtuple.runtime.atomic import atomic_path, new_folder
from flowtuple.runtime.old_names import accepts_old


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
    folder: str | os.PathLike[str] | None = None,
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
    target = None if folder is None else Path(folder)
    if target is not None:
        require_plots()
    with contextlib.nullcontext() if target is None else new_folder(target):
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
