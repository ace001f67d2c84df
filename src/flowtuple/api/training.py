"""A model fitted to events: the lattice flow, or one of the flows over rows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    Tolerance,
    check_request,
    is_of_rows,
    left_out_notes,
    read,
    refuse_rows,
)
from flowtuple.api.simulating import learn
from flowtuple.api.training_summary import of_events, of_rows
from flowtuple.data.event_weights import Weighting
from flowtuple.data.mapped_rows import gather_rows
from flowtuple.data.memory import MEMORY
from flowtuple.data.row_source import row_source
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.flows.options import RowFlow
from flowtuple.flows.processes import Process
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.plots import require_plots
from flowtuple.reporting.training_page import write_training
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.progress import Progress, silent
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import add_models, description

if TYPE_CHECKING:
    from flowtuple.flows.model import RowModel


def train(
    source: Source,
    path: str | os.PathLike[str],
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    memory: int = MEMORY,
    lean: bool = False,
    flow: RowFlow | None = None,
    like: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    mix: Sequence[float] = (),
    report: str | os.PathLike[str] | None = None,
    target: Iterable[str] = (),
    match: Iterable[str] = (),
    derived: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> tuple[str, ...]:
    """Fit a model to events and write it alone, to be shared by many files.

    With `target` the model simulates: it learns these columns given others, object by object; see `flowtuple.simulate`.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        path: Where the model goes, by custom ending in `.flow`.
        tolerance: Bound by column name or glob, as in `compress`; the model fixes it.
        selection: Part of the input to take.
        given: Names or globs of columns that are not stored: whoever reads a file of this model supplies them. Of a flow over
            rows they are columns of the same objects, or of their events, that the density of the others depends on.
        effort: `fast`, `default` or `best`.
        seed: The same input, options and seed give the same model on one machine.
        checkpoint: A folder that keeps finished parts of the training; a second run takes up from there, to the same model.
        memory: Bytes to keep within; a long input is trained on in part, or by a flow over rows in full and out of a file.
        lean: Leave out what gains no bytes in compression; such a model can neither `sample` nor `score` all columns.
        flow: A flow over rows in place of the lattice flow, to `sample` and `score` with; it compresses nothing. With `target`
            such flows draw properties of objects and events, lattice flows all counts and references. Processes that
            torchrun started train it together, and the first one writes it.
        like: A model whose lattices, or transforms, this one takes over, so that the two can be divided (`score`).
        weights: Name of a column of weights, one an event (of a flow over rows: or one an object); it is not itself learned.
            Negative ones are allowed where they sum to more than 0.
        mix: What the events of each path in `source` count for.
        report: A folder for `train.html`: what was learned of each column, or how the loss fell.
        target: Names or globs of what is to be simulated from the `given` columns: collections, and numbers of the event.
        match: With `target`: columns of references from simulated to given objects, as `Jet_genJetIdx` or
            `Jet_genJetIdx=GenJet`; none means those whose names say so.
        derived: With `target`: how columns of matched objects are learned, relative to the partner's `ratio`, `difference` or
            `turn` (of angles), or `none`. Without it p_T is learned as a ratio, eta and phi as differences.
        progress: Told of each stage.

    Returns:
        What a person should know, one sentence each.

    Raises:
        InvalidArgument: A name, bound or path is not what it should be, or there is too little to learn from.
    """
    check_request(path, effort, seed)
    if report is not None:
        require_plots()
    given, target = tuple(given), tuple(target)
    if flow is None and Process.here().size > 1:
        raise InvalidArgument(
            "torchrun is for flows over rows; name one with --flow, or start flowtuple without torchrun"
        )
    if target:
        refused = {
            "tolerance": tolerance,
            "like": like,
            "weights": weights,
            "mix": mix,
            "report": report,
        }
        _refuse(
            {f"--{name}": bool(asked) for name, asked in refused.items()} | {"--lean": lean},
            "learns no simulation",
        )
        dataset, origin = read(source, selection, given), provenance(effort, seed, source)
        notes = learn(
            dataset,
            path,
            target,
            given,
            match,
            derived or {},
            effort,
            seed,
            checkpoint,
            memory,
            flow,
            origin,
            progress,
        )
        return (*left_out_notes(dataset), *notes)
    _refuse(
        {"--match": bool(match), "--derived": bool(derived)},
        "is for simulations; name what to simulate with --target",
    )
    dataset, lengths = _mixed(source, selection, (*given, *([weights] if weights else [])), mix)
    if flow is not None:
        asked = {"--tolerance": bool(tolerance), "--lean": lean}
        _refuse(asked, "is for the lattice flow; leave it out, or --flow")
        name, table = next(iter(dataset.tables.items()))
        factors = Weighting(table, "", lengths[name], tuple(mix)) if mix else None
        model, notes = _train_rows(
            dataset, flow, seed, checkpoint, memory, like, weights, factors, given, path, progress
        )
        if report is not None and Process.here().is_main:
            write_training(
                of_rows(dataset.description, os.fspath(path), Path(path).stat().st_size, model),
                Path(report),
            )
        return (*left_out_notes(dataset), *notes)
    if weights is not None and len(dataset.tables) > 1:
        trees = list(dataset.tables)
        hint = f"choose one, such as FILE:{trees[0]}"
        raise InvalidArgument(
            f"{dataset.description}: --weights goes with one tree, not with {', '.join(trees)}; {hint}"
        )
    weightings = {
        name: Weighting(table, weights or "", lengths[name], tuple(mix))
        for name, table in dataset.tables.items()
    }
    if weights is not None:
        dataset = select(dataset, (), (weights,))
    with create(path) as writer:
        prepared = _prepared(dataset, tolerance or {}, given, like, memory, progress)
        prepared = with_flows(
            prepared,
            effort,
            seed,
            progress,
            checkpoint,
            memory=memory,
            complete=not lean,
            weightings=weightings if weights or mix else None,
        )
        writer.describe(description(prepared, [], provenance(effort, seed, source), entries=False))
        add_models(writer, prepared)
        writer.finish()
    if report is not None:
        trained = of_events(
            dataset.description, os.fspath(path), Path(path).stat().st_size, effort, prepared
        )
        write_training(trained, Path(report))
    return (
        *left_out_notes(dataset),
        *(warning for table in prepared for warning in table.warnings),
    )


def _mixed(
    source: Source, selection: Selection, given: tuple[str, ...], mix: Sequence[float]
) -> tuple[Dataset, dict[str, tuple[int, ...]]]:
    """The events, and by table how many each path brings, where these count for different numbers."""
    dataset = read(source, selection, given)
    if not mix:
        return dataset, dict.fromkeys(dataset.tables, ())
    paths = list(source) if isinstance(source, (list, tuple)) else [source]
    if len(paths) != len(mix) or not all(math.isfinite(factor) for factor in mix):
        raise InvalidArgument(
            f"{dataset.description}: {len(paths)} sources are mixed by {len(mix)} numbers; give one for each"
        )
    parts = [open_dataset(part, ReadOptions(names=selection.names)) for part in paths]
    return dataset, {
        name: tuple(part.tables[name].num_entries for part in parts) for name in dataset.tables
    }


def _prepared(
    dataset: Dataset,
    tolerance: Tolerance,
    given: tuple[str, ...],
    like: str | os.PathLike[str] | None,
    memory: int,
    progress: Progress,
) -> list[ResolvedTable]:
    if like is None:
        return resolve_tables(dataset, tolerance, progress, given, memory)
    if given:
        raise InvalidArgument(f"{like}: fixes which columns are given; leave out --given")
    refuse_rows(like)
    with File(like) as model:
        return resolve_tables(dataset, tolerance, progress, memory=memory, model=model)


def _refuse(options: Mapping[str, bool], reason: str) -> None:
    for name, asked in options.items():
        if asked:
            raise InvalidArgument(f"{name} {reason}")


def _train_rows(
    dataset: Dataset,
    flow: RowFlow,
    seed: int,
    checkpoint: str | os.PathLike[str] | None,
    memory: int,
    like: str | os.PathLike[str] | None,
    weights: str | None,
    factors: Weighting | None,
    given: Sequence[str],
    path: str | os.PathLike[str],
    progress: Progress,
) -> tuple[RowModel, tuple[str, ...]]:
    require_torch("training a flow")
    from flowtuple.flows.stored import load_model, save_model
    from flowtuple.flows.train import train_rows

    folder = None if checkpoint is None else Path(checkpoint)
    rows = gather_rows(row_source(dataset, (), weights, conditions=given), memory, folder)
    if factors is not None:
        by_event = factors.read(0, rows.events)
        rows = replace(
            rows, weights=by_event[rows.event] * (1.0 if rows.weights is None else rows.weights)
        )
    if like is not None and not is_of_rows(like):
        raise InvalidArgument(
            f"{os.fspath(like)}: is no flow over rows; leave out --flow, or name one that is"
        )
    known = None if like is None else load_model(like)

    def report(share: float, loss: float) -> None:
        progress(f"train {flow.kind}", share, f"held-out loss {loss:.4f} per row")

    model, fitted = train_rows(rows, flow, seed, report, folder, known)
    if Process.here().is_main:
        save_model(model, path)
        held, waited = (
            fitted.history[fitted.best_epoch - 1][2],
            f"waited for data {100 * fitted.waited:.1f} % of the time",
        )
        progress(f"train {flow.kind}", 1.0, f"held-out loss {held:.4f} per row, {waited}")
    dropped = f"{dataset.description}: {rows.dropped} rows with NaN or infinite values were dropped"
    return model, (dropped,) if rows.dropped else ()
