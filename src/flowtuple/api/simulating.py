"""A simulation learned from events that hold both levels, and generated events simulated with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import awkward as ak

from flowtuple.api.engines import is_for_rows, learn_rows, load_rows, single_torch_thread
from flowtuple.api.inputs import check_seed, left_out_notes
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.counters import OwnCounters
from flowtuple.data.selection import ProgressTable, prefix_errors, table_with
from flowtuple.data.table import Dataset, LeftOut, TableSource, read_all
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.file.file import File
from flowtuple.file.writer import create
from flowtuple.flows.options import RowFlow
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.runtime.progress import Progress, silent
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.simulator import SimulatedTable
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import property_steps
from flowtuple.simulation.sums import multiply_sums
from flowtuple.simulation.training_tables import TrainingTable, training_tables
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import add_models, description

_KEY, _FLOWS = "simulation", "flows"
GRID = "std:1e-5"  # half-width of the cells that drawn numbers lie in: too fine to be seen, wide enough to be counted
Path: TypeAlias = "str | os.PathLike[str]"


def learn(
    dataset: Dataset,
    path: Path,
    target: Sequence[str],
    given: Sequence[str],
    match: Iterable[str],
    derived: Mapping[str, str],
    effort: str,
    seed: int,
    checkpoint: Path | None,
    memory: int,
    flow: RowFlow | None,
    origin: Mapping[str, Any],
    progress: Progress,
) -> tuple[str, ...]:
    """Learn to simulate some columns of events given others; the arguments are those of `flowtuple.train`.

    Raises:
        InvalidArgument: A name matches nothing, or there is too little to learn from.
    """
    if not given:
        raise InvalidArgument(
            f"{dataset.description}: say with --given what the events to simulate will hold, such as 'Gen*'"
        )
    table = OwnCounters(table_with(dataset, target, "targets"))
    with prefix_errors(dataset.description):
        spec = build_spec(table.name, table.columns, target, given, match, derived)
        spec, found, notes = training_tables(table, spec, progress)
    steps = () if flow is None else property_steps(spec)
    prepared = [
        prepared
        for training_table in found
        if not is_for_rows(training_table, steps)
        for prepared in _prepared(training_table)
    ]
    flows: dict[str, str] = {}
    if flow is not None:
        folder = None if checkpoint is None else FilePath(checkpoint)
        flows, told = learn_rows(
            [training_table for training_table in found if is_for_rows(training_table, steps)],
            flow,
            seed,
            folder,
            progress,
        )
        notes += told
        if not Process.here().is_main:  # the first of several processes goes on alone
            return ()
    with create(path) as writer:
        trained = with_flows(
            prepared, effort, seed, progress, checkpoint, memory=memory, complete=True
        )
        meta = description(trained, [], origin, entries=False)
        writer.describe(meta | {_KEY: spec.to_json()} | ({_FLOWS: flows} if flows else {}))
        add_models(writer, trained)
        writer.finish()
    return tuple(f"{dataset.description}: {note}" for note in notes)


def _prepared(training_table: TrainingTable) -> list[ResolvedTable]:
    """A step's rows with their lattices: what is drawn lies on even grids, on which sums of columns come out as sums."""
    single = Dataset(training_table.table.name, {training_table.table.name: training_table.table})
    drawn = [c for c in training_table.table.columns if c.name not in training_table.conditions]
    return resolve_tables(
        single, {c.name: GRID for c in drawn if c.is_float}, silent, training_table.conditions
    )


def refuse_simulation(file: File) -> None:
    """Of a model that is to speak of whole events.

    Raises:
        InvalidArgument: It simulates some columns given others.
    """
    if _KEY in file.meta:
        raise InvalidArgument(
            f"{file.path}: simulates events from generated ones; use flowtuple simulate"
        )


def simulate(
    model: Path,
    source: Source,
    output: Path | None = None,
    *,
    seed: int = 0,
    oversample: int = 1,
    weight: str | None = None,
    flag: bool = False,
    workers: int | None = None,
    options: WriteOptions | None = None,
    progress: Progress = silent,
) -> ak.Array | tuple[str, ...]:
    """Simulate generated events: reconstructed objects and event columns as the model has learned them.

    Args:
        model: From `train` with `target`.
        source: Generated events; all that they hold but the simulated columns is copied.
        output: A path whose suffix names the format; `None` to return the events.
        seed: From 0 to 2^63 - 1; the same seed gives the same events by any number of threads, on any machine where the model
            is of lattice flows; flows over rows give the same on one machine, and to rounding on others.
        oversample: How often each event is simulated; a column `fold` tells the times apart. A weight is divided by it, and
            without one the sums of the tree `Runs` are multiplied.
        weight: Column of event weights; `None` for `genWeight`, where there is one.
        flag: Add columns `GenJet_outside`, ... and `outside`: objects and events with values that the model has not seen.
        workers: Threads; `None` for one per core.
        options: For the output.
        progress: Told of the events written.

    Returns:
        The events, or with an output what a person should know, one sentence each.

    Raises:
        InvalidArgument: The model does not simulate, or the events lack a column that it reads.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> gen = [[20.0 + k % 80] for k in range(2000)]
        >>> events = {"GenJet_pt": gen, "Jet_pt": [[0.9 * pt] for [pt] in gen], "Jet_genJetIdx": [[0]] * 2000}
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train(events, path, target=["Jet_*"], given=["GenJet_*"], effort="fast")
        >>> jets = ft.simulate(path, {"GenJet_pt": [[50.0], [], [80.0]]})
        >>> jets["Jet_genJetIdx"].tolist()
        [[0], [], [0]]
    """
    check_seed(seed)
    dataset = open_dataset(source)
    with File(model) as file:
        if _KEY not in file.meta:
            raise InvalidArgument(
                f"{file.path}: does not simulate; train a model that does with --target and --given"
            )
        try:
            spec = SimulationSpec.from_json(file.meta[_KEY])
        except Corrupt as error:
            raise Corrupt(f"{file.path}: {error}; train it again") from None
        codings = {name: table.coding for name, table in file.tables.items()}
        flows = load_rows(file.meta.get(_FLOWS), file.path)
    generated = dataset.tables.get(spec.table) or next(iter(dataset.tables.values()))
    names = [c.name for c in generated.columns]
    chosen = weight if weight is not None else "genWeight" if "genWeight" in names else ""
    if chosen and chosen not in names:
        raise InvalidArgument(
            f"{dataset.description}: no column of weights {chosen!r}; {nearest(chosen, names)}"
        )
    with prefix_errors(dataset.description):
        events = SimulatedTable(
            spec, codings, flows, generated, seed, oversample, chosen, workers, flag
        )
    if output is None:
        with single_torch_thread(flows):
            return table_to_awkward(read_all(events))
    tables: dict[str, TableSource] = {
        n: events if t is generated else t for n, t in dataset.tables.items()
    }
    if oversample > 1 and not chosen:
        tables = multiply_sums(tables, oversample)
    shown = ProgressTable(events, "simulate", progress)
    tables = {name: shown if table is events else table for name, table in tables.items()}
    with single_torch_thread(flows):
        written = write_dataset(replace(dataset, tables=tables), output, options or WriteOptions())
    missing = (
        *(LeftOut(name, reason) for name, reason in dataset.refused.items()),
        *written.left_out,
    )
    return (
        *left_out_notes(replace(dataset, left_out=missing)),
        *(
            f"{dataset.description}: column {name!r} holds {count} values outside those that the model has seen"
            for name, count in events.count_out_of_range().items()
        ),
    )
