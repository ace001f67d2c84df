"""Models fitted to events: lattice flows, which compress, and flows over rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from flowtuple.api.bounds_on_events import decide_bounds
from flowtuple.api.inputs import (
    EVERYTHING,
    FilePath,
    Selection,
    Tolerance,
    Weighted,
    check_flow,
    check_request,
    check_seed,
    is_of_rows,
    left_out_notes,
    refuse_rows,
    resolved,
)
from flowtuple.api.old_train import takes_all_jobs
from flowtuple.data.event_weights import Weighting, check_sum
from flowtuple.data.mapped_rows import gather_rows
from flowtuple.data.resources import Resources
from flowtuple.data.row_source import row_source
from flowtuple.data.rows import Rows
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.flows.options import RowFlow
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source, check_stored_name
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.progress import losses
from flowtuple.training.fit import with_flows
from flowtuple.training.write_events import write_model


def train_flow(
    source: Source | Weighted,
    output: FilePath,
    flow: RowFlow = RowFlow(),
    *,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    seed: int = 0,
    like: FilePath | None = None,
    resources: Resources = Resources(),
) -> tuple[str, ...]:
    """Fit a flow over rows, to `sample` and `score` with; it compresses nothing.

    Processes that torchrun started train it together, and the first one writes it.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame, or any of
            them `Weighted`.
        output: The model, usually `NAME.flow`; it appears whole or not at all.
        flow: Kind and size of the flow, and how it is trained.
        selection: Part of the input to take: event columns, or columns of one collection, whose
            objects are the rows.
        given: Names or globs of columns of the same objects, or of their events, that the density
            depends on.
        seed: The same input, options and seed give the same model on one machine.
        like: A flow over rows whose transforms this one takes over, so that `score` can divide the
            two.
        resources: Memory, progress, and a checkpoint folder to resume from. Rows that the memory
            has no room for are read from a file.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        InvalidArgument: A name or path is wrong, or there are too few rows.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.flow"
        >>> events = {"x": [0.1 * k for k in range(300)]}
        >>> ft.train_flow(events, path, ft.RowFlow("maf", training=ft.Training(epochs=1)))
        ()
        >>> len(ft.sample(path, 5))
        5
    """
    check_seed(seed)
    check_stored_name(output)
    check_flow(flow)
    if like is not None and not is_of_rows(like):
        raise InvalidArgument(
            f"{os.fspath(like)}: is not a flow over rows; use `train()`, or name one that is"
        )
    require_torch("training a flow")
    events, given = Weighted.of(source), tuple(given)
    dataset, lengths = events.read(selection, given)
    from flowtuple.flows.stored import load_model, save_model
    from flowtuple.flows.train import train_rows

    folder = resources.folder
    selected = row_source(dataset, (), events.weight, conditions=given)
    rows = gather_rows(selected, resources.memory, folder)
    if events.mix:
        rows = _mixed(rows, dataset, events, lengths)
    if rows.weights is not None and len(rows):
        check_sum(rows.weights, dataset.description, events.weight or "mix")
    known = None if like is None else load_model(like)
    stage = f"train {flow.kind}"

    report = losses(resources.progress, stage)
    model, fitted = train_rows(rows, flow, seed, report, folder, known)
    if Process.here().is_main:
        save_model(model, output)
        loss = fitted.history[fitted.best_epoch - 1][2]
        waited = f"waited for data {100 * fitted.waited:.1f} % of the time"
        resources.progress(stage, 1.0, f"held-out loss {loss:.4f} per row, {waited}")
    notes = left_out_notes(dataset)
    if not rows.dropped:
        return notes
    dropped = f"{rows.dropped} rows with NaN or infinite values were dropped"
    return (*notes, f"{dataset.description}: {dropped}")


def _mixed(
    rows: Rows, dataset: Dataset, events: Weighted, lengths: dict[str, tuple[int, ...]]
) -> Rows:
    """Multiply the weights of rows by the factor of the path that each comes from."""
    name, table = next(iter(dataset.tables.items()))
    factors = Weighting(table, "", lengths[name], tuple(events.mix)).read(0, rows.events)
    weights = 1.0 if rows.weights is None else rows.weights
    return replace(rows, weights=factors[rows.event] * weights)


@partial(takes_all_jobs, train_flow=train_flow)
def train(
    source: Source | Weighted,
    output: FilePath,
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    seed: int = 0,
    lean: bool = False,
    like: FilePath | None = None,
    resources: Resources = Resources(),
) -> tuple[str, ...]:
    """Fit a model of events, and write it without events: to compress, sample, score and share.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame, or any of
            them `Weighted`.
        output: The model, usually `NAME.flow`; it appears whole or not at all.
        tolerance: Bound by column name or glob, or one for all, as in `compress`; the model fixes
            it.
        selection: Part of the input to take.
        given: Names or globs of external columns. Files of this model store only their hash, and
            readers supply them.
        effort: `fast`, `default` or `best`.
        seed: The same input, options and seed give the same model on one machine.
        lean: Leave out what saves no bytes. Such a model can neither `sample` nor `score` all
            columns.
        like: A model whose lattices this one takes over, so that `score` can divide the two.
        resources: Threads, memory, progress, and a checkpoint folder to resume from. In a small
            memory a long input is learned in part.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        InvalidArgument: A name, bound or path is wrong, or there is too little to learn from.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        ()
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    check_request(output, effort, seed)
    if Process.here().size > 1:
        raise InvalidArgument(
            "torchrun is for flows over rows; use `train_flow()`, or start without torchrun"
        )
    events, given = Weighted.of(source), tuple(given)
    if like is not None:
        refuse_rows(like)
    if like is not None and given:
        raise InvalidArgument(
            f"{like}: fixes which columns are given; leave out `given=`"
        )
    dataset, lengths = events.read(selection, given)
    weightings = _weightings(dataset, events, lengths)
    if events.weight:
        dataset = select(dataset, (), (events.weight,))
    with create(output) as writer:
        decided = decide_bounds(
            tolerance, dataset, events.source, selection, given, resources
        )
        prepared = resolved(
            dataset, decided.by_pattern, given, like, resources, decided.rounded
        )
        prepared = with_flows(
            prepared, effort, seed, resources, complete=not lean, weightings=weightings
        )
        write_model(writer, prepared, provenance(effort, seed, events.source))
    warnings = [warning for table in prepared for warning in table.warnings]
    return (*left_out_notes(dataset), *decided.notes, *warnings)


def _weightings(
    dataset: Dataset, events: Weighted, lengths: Mapping[str, tuple[int, ...]]
) -> dict[str, Weighting] | None:
    """Return the weights of each table's events; `None` where all events count for 1."""
    if events.weight and len(dataset.tables) > 1:
        trees = list(dataset.tables)
        raise InvalidArgument(
            f"{dataset.description}: `weight=` goes with one tree, not with {', '.join(trees)};"
            f" choose one, such as FILE:{trees[0]}"
        )
    if not events.weight and not events.mix:
        return None
    return {
        name: Weighting(
            table,
            events.weight or "",
            lengths[name],
            tuple(events.mix),
            dataset.description,
        )
        for name, table in dataset.tables.items()
    }
