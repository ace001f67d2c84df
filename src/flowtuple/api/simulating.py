"""Simulations: learned from generated and reconstructed events, and applied to others.

Lattice flows draw counts; flows over rows may draw properties. A model's description holds each of
these by step: the bytes of `flows/stored.py` as base64 text.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.api.inputs import (
    EVERYTHING,
    SPEC,
    FilePath,
    Selection,
    check_flow,
    check_request,
    check_seed,
    left_out_notes,
    read,
)
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.rows import Rows
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.selection import ProgressTable, prefix_errors, table_with
from flowtuple.data.table import Dataset, LeftOut, TableSource, read_all
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.file.file import File
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.flows.options import RowFlow
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.old_names import accepts_old
from flowtuple.runtime.progress import Progress, losses, silent
from flowtuple.runtime.torch_threads import SingleTorchThread
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.fit_draws import with_scales, with_spacing
from flowtuple.simulation.sampler import Conditional, Sampler, as_matrix
from flowtuple.simulation.simulator import SimulatedTable
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import property_steps
from flowtuple.simulation.sums import multiply_sums
from flowtuple.simulation.training_tables import TrainingTable, training_tables
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import write_model

FLOWS = "flows"  # key of a model's description
GRID = "std:1e-5"  # half-width of cells: below any detector resolution, wide enough to be counted
_MIN_ROWS = 500  # of a step; with fewer rows a lattice flow learns more
_BLOCK = (
    16  # neighbouring rows are mostly of one event, so that validation takes them as one
)


@dataclass(frozen=True)
class SimulationOptions:
    """Settings of a simulation that mostly stay as they are.

    Attributes:
        match: Index columns that match simulated objects to given ones, as `Jet_genJetIdx` or
            `Jet_genJetIdx=GenJet`. Without any, the columns whose names say so.
        derived: By column of matched objects how it is learned relative to the partner: `ratio`,
            `difference`, `turn` (of angles) or `none`. Without it p_T is learned as a ratio, eta
            and phi as differences.

    Example:
        >>> import flowtuple as ft
        >>> ft.SimulationOptions(derived={"Muon_dxy": "difference"}).match
        ()
    """

    match: Iterable[str] = ()
    derived: Mapping[str, str] = field(default_factory=dict)


def train_simulation(
    source: Source,
    output: FilePath,
    *,
    target: Iterable[str],
    given: Iterable[str],
    selection: Selection = EVERYTHING,
    flow: RowFlow | None = None,
    effort: str = "default",
    seed: int = 0,
    options: SimulationOptions = SimulationOptions(),
    resources: Resources = Resources(),
) -> tuple[str, ...]:
    """Fit a simulation: it learns target columns object by object, given others; see `simulate`.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame, with target
            and given columns.
        output: The model, usually `NAME.flow`; it appears whole or not at all.
        target: Names or globs of columns to simulate: collections, and numbers of the event.
        given: Names or globs of columns that the events to simulate will hold, such as `Gen*`.
        selection: Part of the input to take.
        flow: A flow over rows for properties of objects and events; counts and references stay with
            lattice flows. `None` uses lattice flows throughout.
        effort: `fast`, `default` or `best`.
        seed: The same input, options and seed give the same model on one machine.
        options: Matching, and how columns are learned.
        resources: Threads, memory, progress, and a checkpoint folder to resume from.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        InvalidArgument: A name matches nothing, or there is too little to learn from.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> gen = [[20.0 + k % 80] for k in range(2000)]
        >>> jets = {"Jet_pt": [[0.9 * pt] for [pt] in gen], "Jet_genJetIdx": [[0]] * 2000}
        >>> events = {"GenJet_pt": gen, **jets}
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "sim.flow"
        >>> ft.train_simulation(events, path, target=["Jet_*"], given=["GenJet_*"], effort="fast")
        ()
        >>> ft.simulate(path, {"GenJet_pt": [[50.0], []]})["Jet_genJetIdx"].tolist()
        [[0], []]
    """
    check_request(output, effort, seed)
    if flow is not None:
        check_flow(flow)
    given, target = tuple(given), tuple(target)
    dataset = read(source, selection, given)
    where = dataset.description
    if not given:
        raise InvalidArgument(
            f"{where}: name with `given=` what the events to simulate will hold, such as 'Gen*'"
        )
    table = OwnCounters(table_with(dataset, target, "targets"))
    with prefix_errors(where):
        spec = build_spec(
            table.name, table.columns, target, given, options.match, options.derived
        )
        spec, learned, notes = training_tables(table, spec, resources.progress)
    steps = () if flow is None else property_steps(spec)
    on_lattices = [rows for rows in learned if not is_for_rows(rows, steps)]
    flows: dict[str, str] = {}
    if flow is not None:
        on_rows = [rows for rows in learned if is_for_rows(rows, steps)]
        flows, more = learn_rows(
            on_rows, flow, seed, resources.folder, resources.progress
        )
        notes += more
        if not Process.here().is_main:  # the first of several processes goes on alone
            return ()
    with create(output) as writer:
        prepared = [table for rows in on_lattices for table in _prepared(rows)]
        trained = with_flows(prepared, effort, seed, resources, complete=True)
        codings = {rows.source.name: rows.coding for rows in trained}
        sampler = Sampler(spec, codings, load_rows(flows, where), seed)
        spec = with_spacing(spec, table, sampler)
        spec = with_scales(spec, table, sampler)
        extra = {SPEC: spec.to_json()} | ({FLOWS: flows} if flows else {})
        write_model(writer, trained, provenance(effort, seed, source), extra)
    return (*left_out_notes(dataset), *(f"{where}: {note}" for note in notes))


def _prepared(rows: TrainingTable) -> list[ResolvedTable]:
    """Return a step's rows on even grids, on which sums of columns come out as sums."""
    table = rows.table
    drawn = [c for c in table.columns if c.name not in rows.conditions]
    bounds = {c.name: GRID for c in drawn if c.is_float}
    return resolve_tables(
        Dataset(table.name, {table.name: table}), bounds, silent, rows.conditions
    )


@accepts_old(resources=Resources)
def simulate(
    model: FilePath,
    source: Source,
    output: FilePath | None = None,
    *,
    seed: int = 0,
    oversample: int = 1,
    weight: str | None = None,
    flag: bool = False,
    options: WriteOptions | None = None,
    resources: Resources = Resources(),
) -> ak.Array | tuple[str, ...]:
    """Simulate reconstructed objects and event columns for generated events.

    Args:
        model: From `train_simulation`.
        source: Generated events; all their columns but the simulated ones are copied.
        output: A path whose suffix names the format; `None` to return the events.
        seed: From 0 to 2^63 - 1. The same seed gives the same events with any number of threads,
            and on any machine for a model of lattice flows. Flows over rows repeat bit by bit on
            one machine, and to rounding on others.
        oversample: Number of simulations of each event, which a column `fold` numbers. A weight is
            divided by it; without a weight the sums of the tree `Runs` are multiplied.
        weight: Column of event weights; `None` for `genWeight`, where there is one.
        flag: Add columns `GenJet_outside`, ... and `outside` for values outside the range of the
            training sample.
        options: For the output.
        resources: Threads, and progress over the events written.

    Returns:
        The events, and warnings of values outside those of the training sample; with an output
        instead notes for the user, one sentence each.

    Raises:
        InvalidArgument: The model does not simulate, or the events lack a column that it reads.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> gen = [[20.0 + k % 80] for k in range(2000)]
        >>> jets = {"Jet_pt": [[0.9 * pt] for [pt] in gen], "Jet_genJetIdx": [[0]] * 2000}
        >>> events = {"GenJet_pt": gen, **jets}
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> columns = {"target": ["Jet_*"], "given": ["GenJet_*"]}
        >>> notes = ft.train_simulation(events, path, **columns, effort="fast")
        >>> jets = ft.simulate(path, {"GenJet_pt": [[50.0], [], [80.0]]})
        >>> jets["Jet_genJetIdx"].tolist()
        [[0], [], [0]]
    """
    check_seed(seed)
    dataset = open_dataset(source)
    where = dataset.description
    with File(model) as file:
        spec = _spec(file)
        codings = {name: table.coding for name, table in file.tables.items()}
        flows = load_rows(file.meta.get(FLOWS), file.path)
    generated = dataset.tables.get(spec.table) or next(iter(dataset.tables.values()))
    column = _weight_column(weight, generated, where)
    with prefix_errors(where):
        sampler = Sampler(spec, codings, flows, seed)
        events = SimulatedTable(
            sampler, generated, oversample, column, resources.workers, flag
        )
    if output is None:
        with single_torch_thread(flows):
            simulated = table_to_awkward(read_all(events))
        for note in _range_notes(events, where):
            warnings.warn(note, stacklevel=3)
        return simulated
    shown = ProgressTable(events, "simulate", resources.progress)
    tables: dict[str, TableSource] = {
        n: shown if t is generated else t for n, t in dataset.tables.items()
    }
    if oversample > 1 and not column:
        tables = multiply_sums(tables, oversample)
    with single_torch_thread(flows):
        written = write_dataset(
            replace(dataset, tables=tables), output, options or WriteOptions()
        )
    refused = [LeftOut(name, reason) for name, reason in dataset.refused.items()]
    missing = replace(dataset, left_out=(*refused, *written.left_out))
    return (*left_out_notes(missing), *_range_notes(events, where))


def _spec(file: File) -> SimulationSpec:
    if SPEC not in file.meta:
        raise InvalidArgument(
            f"{file.path}: does not simulate; train a model that does with `train_simulation()`"
        )
    try:
        return SimulationSpec.from_json(file.meta[SPEC])
    except Corrupt as error:
        raise Corrupt(f"{file.path}: {error}; train it again") from None


def _weight_column(weight: str | None, generated: TableSource, where: str) -> str:
    """Return the name of the column of weights; empty where there is none."""
    names = [c.name for c in generated.columns]
    if weight is None:
        return "genWeight" if "genWeight" in names else ""
    if weight and weight not in names:
        raise InvalidArgument(
            f"{where}: no column of weights {weight!r}; {nearest(weight, names)}"
        )
    return weight


def _range_notes(events: SimulatedTable, where: str) -> list[str]:
    """Return a note for each column with values outside the range of the training sample."""
    return [
        f"{where}: column {name!r} holds {count} values outside those that the model has seen"
        for name, count in events.count_out_of_range().items()
    ]


def is_for_rows(training_table: TrainingTable, steps: Sequence[str]) -> bool:
    """Return whether a flow over rows is to learn a step's columns, where the user wants one.

    Args:
        training_table: The step's rows.
        steps: Names of the steps that draw properties, and not counts or references.
    """
    return training_table.table.name in steps and len(_rows(training_table)) >= _MIN_ROWS


def learn_rows(
    tables: Sequence[TrainingTable],
    flow: RowFlow,
    seed: int,
    checkpoint: Path | None,
    progress: Progress,
) -> tuple[dict[str, str], list[str]]:
    """Train a flow for each step; return them as text, with notes for the user.

    Raises:
        InvalidArgument: Transforms are named: a step's columns are not those of the events.
        MissingExtra: PyTorch is not installed.
    """
    if flow.transforms:
        raise InvalidArgument(
            "`transforms=` is for flows of rows by themselves; "
            "a simulation chooses its own, leave it out"
        )
    require_torch("training a flow")
    from flowtuple.flows.stored import pack_model
    from flowtuple.flows.train import train_rows

    flows, notes = {}, []
    for training_table in tables:
        name, rows = training_table.table.name, _rows(training_table)
        own = replace(flow, log=None if flow.log is None else str(Path(flow.log) / name))
        folder = None if checkpoint is None else checkpoint / name
        model, _ = train_rows(rows, own, seed, losses(progress, f"train {name}"), folder)
        flows[name] = base64.b64encode(pack_model(model)).decode("ascii")
        if rows.dropped:
            notes.append(
                f"{rows.dropped} rows of step {name!r} hold NaN or infinite values"
                " and were left out"
            )
    return flows, notes


def _rows(training_table: TrainingTable) -> Rows:
    """Return a step's rows with finite values in all drawn columns, and their conditions."""
    table, given = training_table.table, training_table.conditions
    drawn = tuple(c.name for c in table.columns if c.name not in given)
    keep = np.all([np.isfinite(table.data[name]) for name in drawn], axis=0)
    event = np.arange(table.num_entries) // _BLOCK

    def rows(names: tuple[str, ...], conditions: Rows | None = None) -> Rows:
        return Rows(
            table.name,
            names,
            as_matrix(table.data, names, table.num_entries)[keep],
            event[keep],
            int(event[-1]) + 1,
            dropped=int((~keep).sum()),
            dtypes=tuple(table.data[name].dtype.name for name in names),
            conditions=conditions,
        )

    return rows(drawn, rows(tuple(given)))


def load_rows(described: Any, path: str) -> dict[str, Conditional]:
    """Return the flows over rows of a simulation by step, from the description of its model.

    Raises:
        MissingExtra: It has some, and PyTorch is not installed.
        Corrupt: One of them is damaged.
    """
    if not described:
        return {}
    try:
        packed = {
            str(name): base64.b64decode(text, validate=True)
            for name, text in described.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise Corrupt(
            f"{path}: its flows over rows are no text of base64 ({error}); train it again"
        ) from None
    require_torch(f"simulating with the flows over rows of {path}")
    from flowtuple.flows.stored import unpack_model

    return {
        name: unpack_model(content, f"{path}: {name}") for name, content in packed.items()
    }


_ONE_THREAD = SingleTorchThread()


def single_torch_thread(flows: Mapping[str, Conditional]) -> AbstractContextManager[None]:
    """Return a context in which PyTorch draws rows on one thread.

    The number of threads decides the last bits of a product. Threads that start inside inherit it.
    """
    return _ONE_THREAD if flows else nullcontext()
