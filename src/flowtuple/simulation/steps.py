"""The program of a simulation, written once: the order of the steps, and what each may read.

The same program runs to learn and to simulate. A `DrawSource` decides the rows of a step: one knows
the true events and records what was requested of it (`training_targets.py`), the other draws from
the densities that learned these records (`sampler.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.simulation.block import Block, take, unfold
from flowtuple.simulation.conditions import (
    Conditions,
    event_conditions,
    neighbour_conditions,
    partner_conditions,
)
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import restore
from flowtuple.simulation.shares import complete
from flowtuple.simulation.spec import SimulationSpec, Target

COPIES, EXTRAS = "copies", "extras"
"""Learned counts: reconstructed objects of a generated one, objects of an event without partner."""

_COPY = 1 << 20  # row numbers of further copies begin here, above the numbers of objects
_CANDIDATES = 2  # nearest objects whose distances decide which one a reference points to


@dataclass(frozen=True, eq=False)
class Step:
    """Rows of one step of the simulation, before their columns are decided.

    Attributes:
        name: Name of the step, such as `Jet response`.
        conditions: Columns that the densities may read, each of shape (n,).
        event: Event of each row in its block, shape (n,).
        number: Number of each row, unique within its event, shape (n,).
        columns: Names of the columns to draw.
    """

    name: str
    conditions: Conditions
    event: Array
    number: Array
    columns: Sequence[str]

    def table(self, drawn: Mapping[str, Array]) -> Table:
        """Return conditions and drawn columns as a flat table without meanings of columns."""
        data = {**self.conditions, **drawn}
        columns = tuple(
            Column(name, content.dtype.name) for name, content in data.items()
        )
        return Table(self.name, columns, len(self.event), data)


DrawSource = Callable[[Step], dict[str, Array]]
"""Decides the columns of a step's rows: returns them by name, each of shape (n,)."""


def property_steps(spec: SimulationSpec) -> tuple[str, ...]:
    """Return the names of the steps that draw properties; all others draw counts and references."""
    objects = [
        f"{target.objects.name} {step}"
        for target in spec.targets
        for step in ("response", "properties", "extra properties")
    ]
    return (*objects, *(f"event {recoil.pt}" for recoil in spec.recoils), "event")


def run(block: Block, spec: SimulationSpec, source: DrawSource) -> None:
    """Fill the simulated columns of a block of generated events.

    Args:
        block: The events with all generated columns; the simulated ones are added.
        spec: The simulation.
        source: Decides the rows of each step.
    """
    program = _Program(block, spec, source)
    events = event_conditions(block, spec)
    for k, target in enumerate(spec.targets):
        parts = [program.unmatched_objects(target, events)]
        if target.through:
            matched = program.matched_objects(target, spec.targets[:k], events)
            parts.insert(0, matched)
        program.merge(target, parts)
    for target in spec.targets:
        program.point_to_others(target)
    program.fill_events()


@dataclass(frozen=True, eq=False)
class _Objects:
    """Objects of a collection before they are sorted: events, partners (-1 for none), columns."""

    event: Array
    partner: Array
    values: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class _Program:
    block: Block
    spec: SimulationSpec
    source: DrawSource

    def _count(self, step: Step) -> tuple[Array, Array, Conditions]:
        """Draw how many objects each row has.

        Returns:
            The row of each object, its number there, and its conditions: the row's and the count.
        """
        (name,) = step.columns
        counts = self.source(step)[name]
        row, number = unfold(counts.astype(np.int64))
        seen = {**step.conditions, name: counts.astype(np.int16)}
        return row, number, {n: content[row] for n, content in seen.items()}

    def matched_objects(
        self, target: Target, before: Sequence[Target], events: Conditions
    ) -> _Objects:
        """Reconstruct generated objects: how often each, its responses, then all other columns."""
        name, block, spec = target.objects.name, self.block, self.spec
        seen = partner_conditions(block, spec, target, events)
        event, number = unfold(block.counts[target.partners])
        partner, copy, seen = self._count(
            Step(f"{name} found", seen, event, number, [COPIES])
        )
        event, number = event[partner], number[partner] + _COPY * copy
        seen["copy"] = copy.astype(np.int16)
        # The jet's p_T given its generated jet: drawn as a ratio, and turned back at once.
        step = Step(
            f"{name} response", seen, event, number, [r.name for r in target.responses]
        )
        learned = self.source(step)
        values = {
            r.column: r.inverse(learned[r.name], seen).astype(spec.dtype(r.column))
            for r in target.responses
        }
        seen = seen | learned | values
        seen |= neighbour_conditions(block, target.objects, event, values, before)
        names = spec.counts_first(target.properties)
        values |= self.source(Step(f"{name} properties", seen, event, number, names))
        return _Objects(event, partner, complete(spec, target, values))

    def unmatched_objects(self, target: Target, events: Conditions) -> _Objects:
        """Add objects without a partner: how many an event has, then all their columns."""
        name, spec = target.objects.name, self.spec
        event, number, seen = self._count(
            self._of_events(f"{name} extras", events, [EXTRAS])
        )
        names = spec.counts_first(target.extra_properties)
        values = self.source(Step(f"{name} extra properties", seen, event, number, names))
        return _Objects(event, np.full(len(event), -1), complete(spec, target, values))

    def merge(self, target: Target, parts: Sequence[_Objects]) -> None:
        """Put objects with and without partners into one collection, sorted by p_T."""
        objects, block = target.objects, self.block
        event = np.concatenate([p.event for p in parts])
        partner = np.concatenate([p.partner for p in parts])
        values = {
            name: np.concatenate([p.values[name] for p in parts])
            for name in parts[0].values
        }
        order = falling_order(event, values[objects.axes[0]] if objects.axes else None)
        block.counts[objects.name] = np.bincount(event, minlength=block.events)
        block.values |= {name: content[order] for name, content in values.items()}
        if target.through:
            self._point(target.through, target.partners, partner[order])

    def point_to_others(self, target: Target) -> None:
        """Draw references to other collections, each as the number of objects that are nearer."""
        objects, block = target.objects, self.block
        event, number = unfold(block.counts[objects.name])
        for column, other in target.references.items():
            axes = block.axes(objects)
            pairs = find_neighbours(block, event, axes, self.spec.collection(other))
            known = [
                n for n in objects.columns if n in block.values and n != target.through
            ]
            seen = {n: block.values[n] for n in known}
            for k in range(_CANDIDATES):
                _, distance = pairs.at_rank(np.full(len(event), k))
                seen[f"distance{k}"] = distance.astype(np.float32)
            step = Step(f"{objects.name} {column}", seen, event, number, [column])
            rank = self.source(step)[column].astype(np.int64)
            self._point(column, other, pairs.at_rank(rank)[0])

    def _point(self, column: str, collection: str, position: Array) -> None:
        """Fill a column of references from positions in a collection, -1 for none."""
        numbers = take(self.block.number(collection), position, -1)
        self.block.values[column] = numbers.astype(self.spec.dtype(column))

    def fill_events(self) -> None:
        """Draw the numbers of the event: transverse vectors first, then all others."""
        block, spec = self.block, self.spec
        seen = event_conditions(block, spec, spec.targets)
        for recoil in spec.recoils:
            learned = self.source(
                self._of_events(f"event {recoil.pt}", seen, recoil.learned)
            )
            vector = restore(block, spec, recoil, learned)
            for name, content in zip((recoil.pt, recoil.phi), vector, strict=True):
                block.values[name] = content.astype(spec.dtype(name))
            seen = seen | {recoil.pt: block.values[recoil.pt]}
        block.values |= self.source(self._of_events("event", seen, spec.event))

    def _of_events(self, name: str, seen: Conditions, columns: Sequence[str]) -> Step:
        """Return a step with one row for each event."""
        event = np.arange(self.block.events)
        return Step(name, seen, event, np.zeros_like(event), columns)


def falling_order(event: Array, pt: Array | None) -> Array:
    """Return the order of objects by event, and by falling p_T where they have one."""
    return np.lexsort((np.zeros(len(event)) if pt is None else -pt, event))
