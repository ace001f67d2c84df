"""Simulations learned from events that hold generated and reconstructed objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowtuple.api.engines import is_for_rows, learn_rows
from flowtuple.api.inputs import (
    EVERYTHING,
    Selection,
    check_flow,
    check_request,
    left_out_notes,
    read,
)
from flowtuple.api.simulating import FLOWS, SPEC
from flowtuple.data.resources import Resources
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.selection import prefix_errors, table_with
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.flows.options import RowFlow
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source
from flowtuple.runtime.progress import silent
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.steps import property_steps
from flowtuple.simulation.training_tables import TrainingTable, training_tables
from flowtuple.training.fit import with_flows
from flowtuple.training.lattices import ResolvedTable, resolve_tables
from flowtuple.training.write_events import write_model

GRID = "std:1e-5"  # half-width of cells: below any detector resolution, wide enough to be counted


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
    output: str | os.PathLike[str],
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
        flows, more = learn_rows(on_rows, flow, seed, resources.folder, resources.progress)
        notes += more
        if not Process.here().is_main:  # the first of several processes goes on alone
            return ()
    with create(output) as writer:
        prepared = [table for rows in on_lattices for table in _prepared(rows)]
        trained = with_flows(prepared, effort, seed, resources, complete=True)
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
