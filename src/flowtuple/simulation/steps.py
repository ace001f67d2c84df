"""The program of a simulation, written once: the order of the steps, and what each may read.

The same program runs to learn and to simulate. A `DrawSource` decides the rows of a step: one knows
the true events and records what was requested of it (`training_targets.py`), the other draws from
the densities that learned these records (`sampler.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block, spans
from flowtuple.simulation.conditions import (
    Conditions,
    event_conditions,
    neighbour_conditions,
    partner_conditions,
)
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import restore
from flowtuple.simulation.shares import energy, from_shares
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
    """

    name: str
    conditions: Conditions
    event: Array
    number: Array


class DrawSource(Protocol):
    """Decides the columns of a step's rows."""

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        """Return the columns by name, each of shape (n,)."""
        ...


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
        extras = program.unmatched_objects(target, events)
        if target.through:
            matched = program.matched_objects(target, spec.targets[:k], events)
            program.merge(target, (matched, extras))
        else:
            program.merge(target, (extras,))
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

    def matched_objects(
        self, target: Target, before: Sequence[Target], events: Conditions
    ) -> _Objects:
        """Reconstruct generated objects: how often each, its responses, then all other columns."""
        name, block, spec = target.objects.name, self.block, self.spec
        seen = partner_conditions(block, spec, target, events)
        event, number = block.event(target.partners), block.number(target.partners)
        counts = self.source(Step(f"{name} found", seen, event, number), (COPIES,))[COPIES]
        counts = counts.astype(np.int64)
        partner = np.repeat(np.arange(len(counts)), counts)
        copy = spans(np.zeros_like(counts), counts)
        event, number = event[partner], number[partner] + _COPY * copy
        seen = {n: v[partner] for n, v in seen.items()}
        seen |= {COPIES: counts[partner].astype(np.int16), "copy": copy.astype(np.int16)}
        # The jet's p_T given its generated jet: drawn as a ratio, and turned back at once.
        names = [r.name for r in target.responses]
        learned = self.source(Step(f"{name} response", seen, event, number), names)
        values = {
            r.column: r.inverse(learned[r.name], seen).astype(spec.dtype(r.column))
            for r in target.responses
        }
        seen |= learned | values
        seen |= neighbour_conditions(block, target.objects, event, values, before)
        step = Step(f"{name} properties", seen, event, number)
        values |= self.source(step, spec.counts_first(target.properties))
        return _Objects(event, partner, complete(spec, target, values))

    def unmatched_objects(self, target: Target, events: Conditions) -> _Objects:
        """Add objects without a partner: how many an event has, then all their columns."""
        name, event = target.objects.name, np.arange(self.block.events)
        step = Step(f"{name} extras", events, event, np.zeros_like(event))
        counts = self.source(step, (EXTRAS,))[EXTRAS].astype(np.int64)
        event, number = np.repeat(event, counts), spans(np.zeros_like(counts), counts)
        seen = {n: v[event] for n, v in events.items()} | {
            EXTRAS: counts[event].astype(np.int16)
        }
        step = Step(f"{name} extra properties", seen, event, number)
        values = self.source(step, self.spec.counts_first(target.extra_properties))
        return _Objects(event, np.full(len(event), -1), complete(self.spec, target, values))

    def merge(self, target: Target, parts: Sequence[_Objects]) -> None:
        """Put objects with and without partners into one collection, sorted by p_T."""
        objects, block = target.objects, self.block
        event = np.concatenate([p.event for p in parts])
        partner = np.concatenate([p.partner for p in parts])
        values = {
            name: np.concatenate([p.values[name] for p in parts]) for name in parts[0].values
        }
        order = falling_order(event, values[objects.axes[0]] if objects.axes else None)
        block.counts[objects.name] = np.bincount(event, minlength=block.events)
        block.values |= {name: content[order] for name, content in values.items()}
        if target.through:
            numbers = block.numbers_at(target.partners, partner[order])
            block.values[target.through] = numbers.astype(self.spec.dtype(target.through))

    def point_to_others(self, target: Target) -> None:
        """Draw references to other collections, each as the number of objects that are nearer."""
        objects, block = target.objects, self.block
        event, number = block.event(objects.name), block.number(objects.name)
        for column, other in target.references.items():
            _, eta, phi = (block.values[n] for n in objects.axes)
            pairs = find_neighbours(block, event, eta, phi, self.spec.collection(other))
            known = [n for n in objects.columns if n in block.values and n != target.through]
            seen = {n: block.values[n] for n in known}
            for k in range(_CANDIDATES):
                seen[f"distance{k}"] = pairs.at_rank(np.full(len(event), k))[1].astype(
                    np.float32
                )
            step = Step(f"{objects.name} {column}", seen, event, number)
            rank = self.source(step, (column,))[column].astype(np.int64)
            numbers = block.numbers_at(other, pairs.at_rank(rank)[0])
            block.values[column] = numbers.astype(self.spec.dtype(column))

    def fill_events(self) -> None:
        """Draw the numbers of the event: transverse vectors first, then all others."""
        block, event = self.block, np.arange(self.block.events)
        number = np.zeros_like(event)
        seen = event_conditions(block, self.spec, self.spec.targets)
        for recoil in self.spec.recoils:
            step = Step(f"event {recoil.pt}", seen, event, number)
            vector = restore(block, self.spec, recoil, self.source(step, recoil.learned))
            for name, content in zip((recoil.pt, recoil.phi), vector, strict=True):
                block.values[name] = content.astype(self.spec.dtype(name))
            seen = seen | {recoil.pt: block.values[recoil.pt]}
        block.values |= self.source(Step("event", seen, event, number), self.spec.event)


def complete(
    spec: SimulationSpec, target: Target, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the columns of objects from what was learned: shares, multiples and sums resolved.

    Args:
        spec: The simulation.
        target: The collection.
        values: Columns and what is learned in place of others, each of shape (n,).
    """
    out = dict(values)
    if target.shares:
        total = energy([out[name] for name in (*target.objects.axes[:2], target.mass)])
        parts = from_shares([out[target.learned(name)] for name in target.shares], total)
        out |= {
            n: part.astype(spec.dtype(n))
            for n, part in zip(target.shares, parts, strict=True)
        }
    multiples = {name: (target.learned(name), scale) for name, scale in target.scales.items()}
    waiting: dict[str, tuple[str, ...]] = {**multiples, **target.sums, **target.hypots}
    while waiting:
        # A sum may be one of multiples, a multiple one of a root of squares: take what is ready.
        name = next(name for name, inputs in waiting.items() if all(n in out for n in inputs))
        inputs = [out[n].astype(np.float64) for n in waiting.pop(name)]
        if name in target.scales:
            content = inputs[0] * inputs[1]
        elif name in target.sums:
            content = np.sum(inputs, axis=0)
        else:
            content = np.sqrt(np.sum(np.square(inputs), axis=0))
        out[name] = content.astype(spec.dtype(name))
    return {name: content for name, content in out.items() if name in target.objects.columns}


def falling_order(event: Array, pt: Array | None) -> Array:
    """Return the order of objects by event, and by falling p_T where they have one."""
    return np.lexsort((np.zeros(len(event)) if pt is None else -pt, event))
