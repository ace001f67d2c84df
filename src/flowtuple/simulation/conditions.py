"""Conditions: the columns that a step's density may read about events, partners and objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.neighbours import find_neighbours, nearest_columns
from flowtuple.simulation.response import partner_name
from flowtuple.simulation.spec import SimulationSpec, Target

Conditions = dict[str, Array]


def event_conditions(
    block: Block, spec: SimulationSpec, simulated: Iterable[Target] = ()
) -> Conditions:
    """Return the conditions of events, each of shape (events,).

    Args:
        block: The events.
        spec: The simulation.
        simulated: Collections that are simulated already.

    Returns:
        Generated numbers of the event; size and scalar p_T sum of every collection; p_T of the
        first generated object, all columns of the first simulated one.
    """
    out: Conditions = {name: block.values[name] for name in spec.conditions}
    for collection in spec.generated:
        out |= _totals(block, collection)
        if collection.axes:
            out |= _first(block, collection, collection.axes[:1])
    for target in simulated:
        out |= _totals(block, target.objects)
        names = [
            n for n in target.objects.columns if n in block.values and n != target.through
        ]
        out |= _first(block, target.objects, names)
    return out


def partner_conditions(
    block: Block, spec: SimulationSpec, target: Target, events: Mapping[str, Array]
) -> Conditions:
    """Return the conditions of generated objects, each of shape (objects,).

    Args:
        block: The events.
        spec: The simulation.
        target: The collection whose partners these objects may become.
        events: Conditions of the events.

    Returns:
        Conditions of the object's event, its own columns, its number in the event, how often
        objects of its cell are reconstructed, and the nearest object of each generated collection.
    """
    own = spec.collection(target.partners)
    event = block.event(own.name)
    columns = partner_columns(block, own)
    out: Conditions = {name: content[event] for name, content in events.items()} | columns
    out["number of partner"] = block.number(own.name).astype(np.int32)
    if target.efficiency is not None:
        out["copies expected"] = target.efficiency.figure(columns)[:, 0].astype(np.float32)
    if own.axes:
        _, eta, phi = (block.values[name] for name in own.axes)
        for other in (c for c in spec.generated if c.axes):
            itself = np.arange(len(event)) if other.name == own.name else None
            pairs = find_neighbours(block, event, eta, phi, other, itself)
            out |= nearest_columns(pairs, block, other, f"{own.name}_{other.name}")
    return out


def partner_columns(block: Block, own: Collection) -> Conditions:
    """Return the columns of generated objects, and |eta|, since detectors are symmetric."""
    out = {partner_name(name): block.values[name] for name in own.columns}
    if own.axes:
        eta = own.axes[1]
        out[partner_name(f"|{eta}|")] = np.abs(block.values[eta])
    return out


def neighbour_conditions(
    block: Block,
    objects: Collection,
    event: Array,
    values: Mapping[str, Array],
    others: Iterable[Target],
) -> Conditions:
    """Return |eta| of objects and the nearest object of each collection simulated before.

    Args:
        block: The events.
        objects: The collection that the objects belong to.
        event: Event of each object, shape (n,).
        values: Columns of the objects so far, each of shape (n,); without axes nothing is returned.
        others: The collections simulated before.
    """
    out: Conditions = {}
    if objects.axes and all(name in values for name in objects.axes):
        _, eta, phi = (values[name] for name in objects.axes)
        out[f"|{objects.axes[1]}|"] = np.abs(eta)
        for other in (t.objects for t in others if t.objects.axes):
            pairs = find_neighbours(block, event, eta, phi, other)
            out |= nearest_columns(pairs, block, other, f"{objects.name}_{other.name}")
    return out


def _totals(block: Block, collection: Collection) -> Conditions:
    """Return size and scalar p_T sum of a collection, each of shape (events,)."""
    out: Conditions = {f"n_{collection.name}": block.counts[collection.name].astype(np.int32)}
    if collection.axes:
        pt = block.values[collection.axes[0]].astype(np.float64)
        total = np.bincount(block.event(collection.name), pt, block.events)
        out[f"sum_{collection.axes[0]}"] = total.astype(np.float32)
    return out


def _first(block: Block, collection: Collection, names: Iterable[str]) -> Conditions:
    """Return columns of the first object of each event, 0 in events without objects."""
    some = block.counts[collection.name] > 0
    first = block.begin(collection.name)[some]
    out: Conditions = {}
    for name in names:
        content = block.values[name]
        out[f"first_{name}"] = np.zeros(block.events, content.dtype)
        out[f"first_{name}"][some] = content[first]
    return out
