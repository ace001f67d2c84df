"""What the densities of a simulation may read: of an event, of a generated object, of an object about to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.neighbours import find_neighbours, nearest_columns
from flowtuple.simulation.response import of_partner
from flowtuple.simulation.spec import SimulationSpec, Target

Conditions = dict[str, Array]


def of_events(block: Block, spec: SimulationSpec, done: Iterable[Target] = ()) -> Conditions:
    """One row an event: given numbers, size and scalar p_T sum of every collection, all of the first object simulated."""
    out: Conditions = {name: block.values[name] for name in spec.conditions}
    for collection in spec.given:
        out |= _totals(block, collection)
        if collection.axes:
            out[f"first_{collection.axes[0]}"] = _first(block, collection, collection.axes[0])
    for target in done:
        out |= _totals(block, target.objects)
        known = [n for n in target.objects.columns if n in block.values and n != target.through]
        out |= {f"first_{name}": _first(block, target.objects, name) for name in known}
    return out


def of_partners(
    block: Block, spec: SimulationSpec, target: Target, events: Mapping[str, Array]
) -> Conditions:
    """One row a generated object: its columns and number, the nearest of each given collection, what is known of its event."""
    own = spec.collection(target.partners)
    event = block.event(own.name)
    themselves = of_themselves(block, own)
    out: Conditions = {name: content[event] for name, content in events.items()} | themselves
    out["number of partner"] = block.number(own.name).astype(np.int32)
    if target.efficiency is not None:
        out["copies expected"] = target.efficiency.figure(themselves)[:, 0].astype(np.float32)
    if own.axes:
        _, eta, phi = (block.values[name] for name in own.axes)
        for other in (c for c in spec.given if c.axes):
            itself = np.arange(len(event)) if other.name == own.name else None
            found = find_neighbours(block, event, eta, phi, other, itself)
            out |= nearest_columns(found, block, other, f"{own.name}_{other.name}")
    return out


def of_themselves(block: Block, own: Collection) -> Conditions:
    """One row a generated object: its columns, and |eta|, for detectors are symmetric."""
    out = {of_partner(name): block.values[name] for name in own.columns}
    return out | (
        {of_partner(f"|{own.axes[1]}|"): np.abs(block.values[own.axes[1]])} if own.axes else {}
    )


def of_neighbours(
    block: Block,
    objects: Collection,
    event: Array,
    values: Mapping[str, Array],
    others: Iterable[Target],
) -> Conditions:
    """One row an object with known axes: the nearest of each collection that was simulated before."""
    out: Conditions = {}
    if objects.axes and all(name in values for name in objects.axes):
        _, eta, phi = (values[name] for name in objects.axes)
        out[f"|{objects.axes[1]}|"] = np.abs(eta)
        for other in (t.objects for t in others if t.objects.axes):
            found = find_neighbours(block, event, eta, phi, other)
            out |= nearest_columns(found, block, other, f"{objects.name}_{other.name}")
    return out


def _totals(block: Block, collection: Collection) -> Conditions:
    out: Conditions = {f"n_{collection.name}": block.counts[collection.name].astype(np.int32)}
    if collection.axes:
        pt = block.values[collection.axes[0]].astype(np.float64)
        total = np.bincount(block.event(collection.name), pt, block.events)
        out[f"sum_{collection.axes[0]}"] = total.astype(np.float32)
    return out


def _first(block: Block, collection: Collection, name: str) -> Array:
    """A column of the first object of each event, 0 where there is none."""
    content, there = block.values[name], block.counts[collection.name] > 0
    if not len(content):
        return np.zeros(block.events, content.dtype)
    return np.where(
        there, content[np.where(there, block.begin(collection.name), 0)], np.zeros(1, content.dtype)
    )
