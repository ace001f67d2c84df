"""The simulation of events, written once: what comes after what, and what each step may read.

The same steps run to learn and to simulate. A `Source` says what is so: one that knows the true events tells the truth and
keeps what was asked (`truth.py`), one that has densities draws from them (`drawing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block, spans
from flowtuple.simulation.conditions import Conditions, of_events, of_neighbours, of_partners
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import restored
from flowtuple.simulation.shares import energy, from_shares
from flowtuple.simulation.spec import SimulationSpec, Target

FOUND, EXTRAS = "copies", "extras"
"""Learned columns: reconstructed objects of a generated one, and objects of an event without a partner."""

_COPY = 1 << 20  # numbers of copies begin here, above those of objects
_LOOKED_AT = 2  # distances of the nearest objects that a reference may point to


@dataclass(frozen=True, eq=False)
class Step:
    """Rows of one step of the simulation, about to be told what they are.

    Attributes:
        name: Of the step, such as `Jet response`.
        conditions: What their densities may read, each of shape (n,).
        event: Event of each row in its block.
        number: Tells the rows of one event apart.
    """

    name: str
    conditions: Conditions
    event: Array
    number: Array


def property_steps(spec: SimulationSpec) -> tuple[str, ...]:
    """Names of the steps that draw what objects and events are like; all others draw counts and references."""
    objects = [
        f"{t.objects.name} {what}"
        for t in spec.targets
        for what in ("response", "properties", "extra properties")
    ]
    return (*objects, *(f"event {recoil.pt}" for recoil in spec.recoils), "event")


class Source(Protocol):
    """Whoever says what the rows of a step are."""

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        """The columns by name, each of shape (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class _Objects:
    """Objects of a collection before they are put in order: their events, partners (-1 for none) and columns."""

    event: Array
    partner: Array
    values: Mapping[str, Array]


def run(block: Block, spec: SimulationSpec, source: Source) -> None:
    """Fill the simulated columns of a block that holds the given ones."""
    events = of_events(block, spec)
    for k, target in enumerate(spec.targets):
        parts = [_without_partner(block, spec, target, events, source)]
        if target.through:
            parts.insert(0, _with_partner(block, spec, target, spec.targets[:k], events, source))
        _merge(block, spec, target, parts)
    for target in spec.targets:
        _refer(block, spec, target, source)
    _events(block, spec, source)


def _with_partner(
    block: Block,
    spec: SimulationSpec,
    target: Target,
    before: Sequence[Target],
    events: Conditions,
    source: Source,
) -> _Objects:
    """Of each generated object, how often it is found; of those found, how they differ from it, then all else."""
    name = target.objects.name
    seen = of_partners(block, spec, target, events)
    event, number = block.event(target.partners), block.number(target.partners)
    copies = source(Step(f"{name} found", seen, event, number), (FOUND,))[FOUND].astype(np.int64)
    partner, copy = np.repeat(np.arange(len(copies)), copies), spans(np.zeros_like(copies), copies)
    event, number = event[partner], number[partner] + _COPY * copy
    seen = {n: v[partner] for n, v in seen.items()} | {
        FOUND: copies[partner].astype(np.int16),
        "copy": copy.astype(np.int16),
    }
    learned = source(
        Step(f"{name} response", seen, event, number), [r.name for r in target.responses]
    )
    values = {}
    for r in target.responses:
        values[r.column] = r.inverse(learned[r.name], seen).astype(spec.column(r.column).dtype)
    seen |= learned | values | of_neighbours(block, target.objects, event, values, before)
    values |= source(
        Step(f"{name} properties", seen, event, number), spec.counts_first(target.properties)
    )
    return _Objects(event, partner, completed(spec, target, values))


def _without_partner(
    block: Block, spec: SimulationSpec, target: Target, events: Conditions, source: Source
) -> _Objects:
    """How many objects an event has that are nobody's, and what they look like."""
    name, everywhere = target.objects.name, np.arange(block.events)
    step = Step(f"{name} extras", events, everywhere, np.zeros_like(everywhere))
    extras = source(step, (EXTRAS,))[EXTRAS].astype(np.int64)
    event, number = np.repeat(everywhere, extras), spans(np.zeros_like(extras), extras)
    seen = {n: v[event] for n, v in events.items()} | {EXTRAS: extras[event].astype(np.int16)}
    values = source(
        Step(f"{name} extra properties", seen, event, number), spec.counts_first(target.alone)
    )
    return _Objects(event, np.full(len(event), -1), completed(spec, target, values))


def completed(
    spec: SimulationSpec, target: Target, values: Mapping[str, Array]
) -> dict[str, Array]:
    """The columns of objects from what was learned: parts from their shares, sums from their parts, multiples."""
    out = dict(values)
    if target.shares:
        pt, eta, _ = target.objects.axes
        shares = [out[target.learned(name)] for name in target.shares]
        parts = from_shares(shares, energy([out[name] for name in (pt, eta, target.mass)]))
        out |= {n: part.astype(spec.dtype(n)) for n, part in zip(target.shares, parts, strict=True)}
    multiples = {name: (target.learned(name), scale) for name, scale in target.scales.items()}
    waiting: dict[str, tuple[str, ...]] = {**multiples, **target.sums, **target.hypots}
    while waiting:  # a sum may be one of multiples, a multiple one of a root of squares
        name = next(name for name, inputs in waiting.items() if all(n in out for n in inputs))
        inputs = [out[n].astype(np.float64) for n in waiting.pop(name)]
        if name in target.scales:
            whole = inputs[0] * inputs[1]
        else:
            whole = (
                np.sum(inputs, axis=0)
                if name in target.sums
                else np.sqrt(np.sum(np.square(inputs), axis=0))
            )
        out[name] = whole.astype(spec.dtype(name))
    return {name: content for name, content in out.items() if name in target.objects.columns}


def falling_order(event: Array, pt: Array | None) -> Array:
    """Objects by event, and by falling p_T where they have one."""
    return np.lexsort((np.zeros(len(event)) if pt is None else -pt, event))


def _merge(block: Block, spec: SimulationSpec, target: Target, parts: Sequence[_Objects]) -> None:
    """Objects with and without partners as one collection, in the order of p_T, references to partners among them."""
    objects = target.objects
    event, partner = (np.concatenate([getattr(p, n) for p in parts]) for n in ("event", "partner"))
    values = {name: np.concatenate([p.values[name] for p in parts]) for name in parts[0].values}
    order = falling_order(event, values[objects.axes[0]] if objects.axes else None)
    block.counts[objects.name] = np.bincount(event, minlength=block.events)
    block.values |= {name: content[order] for name, content in values.items()}
    if target.through:
        dtype = spec.column(target.through).dtype
        block.values[target.through] = numbers(block, target.partners, partner[order]).astype(dtype)


def numbers(block: Block, collection: str, position: Array) -> Array:
    """Numbers within their events of objects at some positions; -1 for -1."""
    number = block.number(collection)
    return np.where(position >= 0, number[np.maximum(position, 0)], -1) if len(number) else position


def _refer(block: Block, spec: SimulationSpec, target: Target, source: Source) -> None:
    """References to objects of other collections, learned as how many of these are nearer."""
    objects = target.objects
    event, number = block.event(objects.name), block.number(objects.name)
    for column, name in target.references.items():
        _, eta, phi = (block.values[n] for n in objects.axes)
        pairs = find_neighbours(block, event, eta, phi, spec.collection(name))
        seen = {
            n: block.values[n] for n in objects.columns if n in block.values and n != target.through
        }
        for k in range(_LOOKED_AT):
            seen[f"distance{k}"] = pairs.at_rank(np.full(len(event), k))[1].astype(np.float32)
        rank = source(Step(f"{objects.name} {column}", seen, event, number), (column,))[column]
        other, _ = pairs.at_rank(rank.astype(np.int64))
        block.values[column] = numbers(block, name, other).astype(spec.column(column).dtype)


def _events(block: Block, spec: SimulationSpec, source: Source) -> None:
    """Numbers of the event: transverse vectors as what is left of a sum, then all others."""
    seen, everywhere = of_events(block, spec, spec.targets), np.arange(block.events)
    for recoil in spec.recoils:
        left = source(
            Step(f"event {recoil.pt}", seen, everywhere, np.zeros_like(everywhere)), recoil.learned
        )
        pt, phi = restored(block, spec, recoil, left)
        block.values[recoil.pt] = pt.astype(spec.column(recoil.pt).dtype)
        block.values[recoil.phi] = phi.astype(spec.column(recoil.phi).dtype)
        seen = seen | {recoil.pt: block.values[recoil.pt]}
    block.values |= source(Step("event", seen, everywhere, np.zeros_like(everywhere)), spec.event)
