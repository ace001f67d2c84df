"""The objects of a collection, made so that each may read those made before it.

Matched objects follow their partners by falling p_T, then come the others by falling p_T. Where
all objects are is decided first (p_T, eta, phi), what else they are afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from flowtuple.data.flat_events import begin_of, unfold
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.conditions import partner_conditions
from flowtuple.simulation.made import Made, rounds
from flowtuple.simulation.response import as_angle, partner_name
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.step import (
    COPIES,
    EXTRAS,
    Conditions,
    DrawSource,
    Step,
    count_objects,
)

_COPY = 1 << 20  # row numbers of further copies begin here, above the numbers of objects


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of a collection before they are sorted, each array of shape (objects,).

    Attributes:
        event: Event of each object.
        number: Number of its row, unique within its event.
        partner: Position of its partner, -1 for none.
        seen: Conditions of the next step.
        values: Columns that are decided.
    """

    event: Array
    number: Array
    partner: Array
    seen: Conditions
    values: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Making:
    """The making of the objects of one collection.

    Attributes:
        block: The events.
        spec: The simulation.
        target: The collection.
        source: Decides the rows of each step.
        made: The objects that are made already.
    """

    block: Block
    spec: SimulationSpec
    target: Target
    source: DrawSource
    made: Made

    def matched(self, events: Conditions) -> Objects:
        """Return the reconstructed generated objects: how often each, then its responses.

        Args:
            events: Conditions of the events.
        """
        block, target, name = self.block, self.target, self.target.objects.name
        seen = partner_conditions(block, self.spec, target, events)
        event, number = unfold(block.counts[target.partners])
        step = Step(f"{name} found", seen, event, number, [COPIES])
        partner, copy, seen = count_objects(self.source, step)
        event, number = event[partner], number[partner] + _COPY * copy
        seen["copy"] = copy.astype(np.int16)
        objects = Objects(event, number, partner, seen, {})
        parts = [(rows, self._respond(objects, rows)) for rows in self._rounds(objects)]
        return Objects(
            event, number, partner, seen | _joined(parts, 0), _joined(parts, 1)
        )

    def _rounds(self, objects: Objects) -> Iterator[Array]:
        """Yield the rows of each round: in the order of the partners' p_T."""
        own = self.spec.collection(self.target.partners)
        event = objects.event
        if not self.target.ordered:
            yield np.arange(len(event))
            return
        key = np.zeros(len(event))
        if own.axes:
            key = -self.block.axes(own)[0][objects.partner].astype(np.float64)
        order = np.lexsort((key, event))
        place = np.empty(len(event), np.int64)
        place[order] = _places(event[order], self.block.events)
        yield from rounds(place)

    def _respond(self, objects: Objects, rows: Array) -> list[dict[str, Array]]:
        """Return what is learned of the responses of some objects, and their columns."""
        target, event = self.target, objects.event[rows]
        if not target.responses:
            return [{}, {}]
        seen = {name: content[rows] for name, content in objects.seen.items()}
        own = self.spec.collection(target.partners)
        partners = [seen[partner_name(name)] for name in own.axes]

        place = {name: np.zeros(len(rows)) for name in target.objects.axes[1:]}

        def distance(learned: Mapping[str, Array], proposed: Array) -> Array:
            # Places of others are those of the call before.
            index = np.flatnonzero(proposed)
            known = {name: seen[name][index] for name in self._read_by_responses()}
            some = {name: content[index] for name, content in learned.items()}
            values = self._columns(some, known)
            for name, content in place.items():
                content[index] = values[name]
            return self.made.nearest(event, list(place.values()), proposed)

        placed = _has_axes(target, {r.column for r in target.responses})
        ready = self.made.responses(event, partners[2] if partners and placed else None)
        step = Step(
            f"{target.objects.name} response",
            seen | (ready if target.ordered else {}),
            event,
            objects.number[rows],
            [r.name for r in target.responses],
            rows,
            distance if placed and target.ordered else None,
        )
        learned = self.source(step)
        values = self._columns(learned, seen)
        self.made.add_pulls(event, learned[target.responses[0].name])
        if placed:
            axes = [values[name] for name in target.objects.axes]
            self.made.add_vectors(event, axes)
            if partners:
                self.made.add_changes(event, axes, partners)
        return [learned, values]

    def _read_by_responses(self) -> set[str]:
        """Return the conditions that responses are inverted with."""
        names = {partner_name(r.partner) for r in self.target.responses}
        return names.union(*(r.cells.columns for r in self.target.responses if r.cells))

    def _columns(
        self, learned: Mapping[str, Array], seen: Conditions
    ) -> dict[str, Array]:
        """Return columns of matched objects from what is learned in their place.

        The jet's p_T given its generated jet is drawn as a ratio, and turned back at once.
        """
        return {
            r.column: r.inverse(learned[r.name], seen).astype(self.spec.dtype(r.column))
            for r in self.target.responses
        }

    def unmatched(self, events: Conditions) -> Objects:
        """Return objects without a partner: how many an event has, then where each is.

        Args:
            events: Conditions of the events.
        """
        target, name = self.target, self.target.objects.name
        every = np.arange(self.block.events)
        step = Step(f"{name} extras", events, every, np.zeros_like(every), [EXTRAS])
        event, number, seen = count_objects(self.source, step)
        partner = np.full(len(event), -1)
        seen["number of extra"] = number.astype(np.int16)
        if not target.extra_axes:
            return Objects(event, number, partner, seen, {})
        parts = [
            (rows, [self._place(seen, event[rows], number[rows], rows)])
            for rows in rounds(number)
        ]
        return Objects(event, number, partner, seen, _joined(parts, 0))

    def _place(
        self, seen: Conditions, event: Array, number: Array, rows: Array
    ) -> dict[str, Array]:
        """Return p_T, eta and phi of some objects without a partner."""
        target, ahead = self.target, self.made.directions(event)
        pt, eta, phi = target.objects.axes
        turn = target.extra_axes[2]

        def direction(learned: Mapping[str, Array]) -> Array:
            return as_angle(ahead + learned[turn]).astype(self.spec.dtype(phi))

        def distance(learned: Mapping[str, Array], proposed: Array) -> Array:
            return self.made.nearest(event, [learned[eta], direction(learned)], proposed)

        step = Step(
            f"{target.objects.name} extra axes",
            {n: content[rows] for n, content in seen.items()} | self.made.extras(event),
            event,
            number,
            target.extra_axes,
            rows,
            distance,
            ahead,
        )
        learned = self.source(step)
        values = {pt: learned[pt], eta: learned[eta], phi: direction(learned)}
        self.made.add_vectors(event, list(values.values()))
        self.made.add_extras(event, list(values.values()))
        return values


def _has_axes(target: Target, columns: set[str]) -> bool:
    return bool(target.objects.axes) and set(target.objects.axes) <= columns


def _places(event: Array, events: int) -> Array:
    """Return the number of each object in its event, from sorted events."""
    counts = np.bincount(event, minlength=events)
    return np.arange(len(event)) - begin_of(counts)[event]


def _joined(
    parts: list[tuple[Array, list[dict[str, Array]]]], which: int
) -> dict[str, Array]:
    """Return columns of all rows from those of rounds."""
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    names = parts[0][1][which]
    return {
        name: np.concatenate([columns[which][name] for _, columns in parts])[order]
        for name in names
    }
