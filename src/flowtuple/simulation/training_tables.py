"""From events that hold both, generated and reconstructed, to the tables that the densities of a simulation learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.table import Table, TableSource, concatenate, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress
from flowtuple.simulation.block import Block
from flowtuple.simulation.fitted import fitted_spec, seen_too
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_targets import TrainingTargets, training_targets

STEP = 16384  # events at a time
FITTED = 65536  # events that thresholds and coefficients are taken from


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """What one step learns from: rows with conditions and what is to be drawn given these.

    Attributes:
        table: Conditions, then the columns to be drawn.
        given: Names of the conditions.
    """

    table: Table
    given: tuple[str, ...]


def training_tables(
    source: TableSource, spec: SimulationSpec, progress: Progress
) -> tuple[SimulationSpec, list[TrainingTable], list[str]]:
    """The recipe with what only events tell, the rows of each step, and what a person should know.

    Raises:
        InvalidArgument: A value of a generated object's axes is not finite.
    """
    names = [c.name for c in spec.columns]
    collections = [*spec.given, *(t.objects for t in spec.targets)]
    if not source.num_entries:
        raise InvalidArgument(f"table {source.name!r} holds no events to learn from")
    first = Block.of(source.read(names, 0, min(FITTED, source.num_entries)), collections)
    check_finite(first, spec, 0, also_simulated=True)
    spec = fitted_spec(spec, first)
    parts: dict[str, list[Table]] = {}
    asked: dict[str, set[str]] = {}
    astray: dict[str, int] = {}
    for start, stop in ranges(source.num_entries, STEP):
        true = Block.of(source.read(names, start, stop), collections)
        check_finite(true, spec, start, also_simulated=True)
        spec = replace(
            spec, seen={n: seen_too(seen, true.values[n]) for n, seen in spec.seen.items()}
        )
        count_dangling(true, spec, astray)
        truth = TrainingTargets(true, spec)
        given = [name for name in true.values if name not in spec.simulated]
        counts = {c.name: true.counts[c.name] for c in spec.given}
        run(Block(true.events, counts, {name: true.values[name] for name in given}), spec, truth)
        for name, table in truth.tables.items():
            parts.setdefault(name, []).append(table)
        asked = {step: set(columns) for step, columns in training_targets(true, spec).items()}
        progress("arrange events", stop / source.num_entries, "")
    found = []
    for name, tables in parts.items():
        table = concatenate(tables)
        if asked[name] and table.num_entries:
            found.append(
                TrainingTable(
                    table, tuple(c.name for c in table.columns if c.name not in asked[name])
                )
            )
    notes = [
        f"column {name!r} is none that can be simulated and is left out" for name in spec.left_out
    ]
    notes += [
        f"column {name!r}: {count} values point to no object of their event and count as without a partner"
        for name, count in astray.items()
    ]
    return spec, found, notes


def check_finite(
    block: Block, spec: SimulationSpec, first: int, *, also_simulated: bool = False
) -> None:
    """Refuse objects without a place, and vectors without a direction.

    Args:
        block: The events.
        spec: What is simulated from what.
        first: Number of the first event.
        also_simulated: Look at what is to be learned, too.

    Raises:
        InvalidArgument: An axis, or what a response is counted from, is NaN or infinite; a ratio is to be one of 0.
    """
    collections = [*spec.given, *((t.objects for t in spec.targets) if also_simulated else ())]
    needed = {name: c.name for c in collections for name in c.axes}
    needed |= {r.partner: t.partners for t in spec.targets for r in t.responses}
    needed |= {
        name: ""
        for r in spec.recoils
        for name in (*r.given, *((r.pt, r.phi) if also_simulated else ()))
    }
    divided = {r.partner for t in spec.targets for r in t.responses if r.kind == "ratio"}
    for name, collection in needed.items():
        fine = np.isfinite(block.values[name]) & (
            (block.values[name] > 0) if name in divided else True
        )
        bad = np.flatnonzero(~fine)
        if len(bad):
            event = first + int(block.event(collection)[bad[0]] if collection else bad[0])
            what = "NaN, infinite or not above 0" if name in divided else "NaN or infinite"
            raise InvalidArgument(
                f"column {name!r}: {len(bad)} values are {what}, the first in event {event}; leave them out"
            )


def count_dangling(block: Block, spec: SimulationSpec, counts: dict[str, int]) -> None:
    """Add up the references to partners that point outside."""
    for target in spec.targets:
        if target.through:
            number, event = (
                block.values[target.through].astype(np.int64),
                block.event(target.objects.name),
            )
            outside = int(((number < -1) | (number >= block.counts[target.partners][event])).sum())
            if outside:
                counts[target.through] = counts.get(target.through, 0) + outside
