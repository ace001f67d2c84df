"""The program of a simulation, written once: the order of the steps, and what each may read.

The same program runs to learn and to simulate. A `DrawSource` decides the rows of a step: one knows
the true events and records what was requested of it (`training_targets.py`), the other draws from
the densities that learned these records (`sampler.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.flat_events import unfold
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block, take
from flowtuple.simulation.conditions import (
    event_conditions,
    nearest_own,
    neighbour_conditions,
)
from flowtuple.simulation.contents import content_columns, without_contents
from flowtuple.simulation.made import Made
from flowtuple.simulation.making import Making, Objects
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import recoil_conditions, restore
from flowtuple.simulation.shares import complete
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.step import Conditions, DrawSource, Step
from flowtuple.simulation.visible import visible

_CANDIDATES = 2  # nearest objects whose distances decide which one a reference points to


def property_steps(spec: SimulationSpec) -> tuple[str, ...]:
    """Return the names of the steps that draw properties; all others draw counts and references."""
    objects = [
        f"{target.objects.name} {step}"
        for target in spec.targets
        for step in ("response", "properties", "extra axes", "extra properties")
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
        program.make(target, spec.targets[:k], events)
    for target in spec.targets:
        program.point_to_others(target)
    program.fill_events()


@dataclass(frozen=True, eq=False)
class _Program:
    block: Block
    spec: SimulationSpec
    source: DrawSource

    def make(self, target: Target, before: Sequence[Target], events: Conditions) -> None:
        """Make the objects of a collection: first where all of them are, then what they are."""
        making = Making(
            self.block, self.spec, target, self.source, Made(self.block.events)
        )
        parts = []
        if target.through:
            parts = [("properties", making.matched(events), target.properties)]
            events = events | making.made.summary()
        extras = making.unmatched(events)
        parts.append(("extra properties", extras, target.extra_properties))
        own = nearest_own(
            self.block,
            target,
            [(objects.event, objects.values) for _, objects, _ in parts],
        )
        self.merge(
            target,
            [
                self._complete(target, before, *part, near)
                for part, near in zip(parts, own, strict=True)
            ],
        )

    def _complete(
        self,
        target: Target,
        before: Sequence[Target],
        name: str,
        objects: Objects,
        columns: Sequence[str],
        near: Conditions,
    ) -> Objects:
        """Return objects with all columns, from objects with those that place them."""
        event, values = objects.event, objects.values
        seen = {**objects.seen, **values, **near}
        seen |= neighbour_conditions(self.block, target.objects, event, values, before)
        contents = content_columns(
            visible(self.block, self.spec, target), self.spec, target, event, values
        )
        seen |= contents
        seen |= without_contents(target, self.spec, seen)
        step = Step(
            f"{target.objects.name} {name}",
            seen,
            event,
            objects.number,
            self.spec.counts_first(columns),
        )
        whole = complete(self.spec, target, {**values, **contents, **self.source(step)})
        return replace(objects, values=whole)

    def merge(self, target: Target, parts: Sequence[Objects]) -> None:
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
            ready = seen | recoil_conditions(block, spec, recoil)
            learned = self.source(
                self._of_events(f"event {recoil.pt}", ready, recoil.learned)
            )
            vector = restore(block, spec, recoil, learned)
            for name, content in zip((recoil.pt, recoil.phi), vector, strict=True):
                block.values[name] = content.astype(spec.dtype(name))
            seen = seen | {recoil.pt: block.values[recoil.pt]}
        block.values |= self.source(self._of_events("event", seen, spec.drawn_event))
        targets = [target.objects for target in spec.targets]
        for rule in spec.rules:
            flag = rule.apply(block, targets)
            block.values[rule.flag] = flag.astype(spec.dtype(rule.flag))

    def _of_events(self, name: str, seen: Conditions, columns: Sequence[str]) -> Step:
        """Return a step with one row for each event."""
        event = np.arange(self.block.events)
        return Step(name, seen, event, np.zeros_like(event), columns)


def falling_order(event: Array, pt: Array | None) -> Array:
    """Return the order of objects by event, and by falling p_T where they have one."""
    return np.lexsort((np.zeros(len(event)) if pt is None else -pt, event))
