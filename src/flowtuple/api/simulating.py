"""Generated events simulated with a learned model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TypeAlias

import awkward as ak

from flowtuple.api.engines import load_rows, single_torch_thread
from flowtuple.api.inputs import check_seed, left_out_notes
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.resources import Resources
from flowtuple.data.selection import ProgressTable, prefix_errors
from flowtuple.data.table import LeftOut, TableSource, read_all
from flowtuple.errors import Corrupt, InvalidArgument, nearest
from flowtuple.file.file import File
from flowtuple.io.source import Source, WriteOptions, open_dataset, write_dataset
from flowtuple.runtime.old_names import accepts_old
from flowtuple.simulation.sampler import Sampler
from flowtuple.simulation.simulator import SimulatedTable
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.sums import multiply_sums

SPEC, FLOWS = "simulation", "flows"  # keys of a model's description
Path: TypeAlias = "str | os.PathLike[str]"


def refuse_simulation(file: File) -> None:
    """Raise if a model that has to describe whole events is a simulation.

    Raises:
        InvalidArgument: It simulates some columns given others.
    """
    if SPEC in file.meta:
        raise InvalidArgument(
            f"{file.path}: simulates events from generated ones; use `simulate()`"
        )


@accepts_old(resources=Resources)
def simulate(
    model: Path,
    source: Source,
    output: Path | None = None,
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
        The events; with an output instead notes for the user, one sentence each.

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
            return table_to_awkward(read_all(events))
    tables: dict[str, TableSource] = {
        n: events if t is generated else t for n, t in dataset.tables.items()
    }
    if oversample > 1 and not column:
        tables = multiply_sums(tables, oversample)
    shown = ProgressTable(events, "simulate", resources.progress)
    tables = {name: shown if table is events else table for name, table in tables.items()}
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
