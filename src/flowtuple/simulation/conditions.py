"""Conditions: the columns that a step's density may read about events, partners and objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.neighbours import NEIGHBOURS, nearest_columns
from flowtuple.simulation.response import partner_name
from flowtuple.simulation.spec import SimulationSpec, Target, transverse
from flowtuple.simulation.step import Conditions
from flowtuple.simulation.visible import visible


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
        out |= _summary(block, collection, collection.axes[:1])
    for target in simulated:
        names = target.objects.columns
        known = [n for n in names if n in block.values and n != target.through]
        out |= _summary(block, target.objects, known)
    return out


def of_the_process(spec: SimulationSpec, step: str) -> frozenset[str]:
    """Return the conditions that a step does not learn from, since they say what process it is.

    How a detector responds to a jet depends on the jet and what is near it. In a training sample
    the number of jets, their sum or the place of a jet among them also tell one process from
    another, and what is learned from that is wrong for a third. Models of earlier versions learned
    from them, so every step still has them.

    Args:
        spec: The simulation.
        step: Name of the step.
    """
    own = [
        (k, t)
        for k in _OF_OBJECTS
        for t in spec.targets
        if step == f"{t.objects.name} {k}"
    ]
    if not own:
        return frozenset()
    (kind, target), *_ = own
    names = {f"n_{c.name}" for c in spec.generated}
    for pt in (c.axes[0] for c in spec.generated if c.axes):
        names |= {f"sum_{pt}", f"first_{pt}"}
    if kind == "properties":
        names |= _simulated_partners(spec, target)
    return frozenset(names | transverse(spec) | _OF_OBJECTS[kind])


def _simulated_partners(spec: SimulationSpec, target: Target) -> set[str]:
    """Return the conditions about near objects that are simulated from generated ones.

    What is generated near an object with a partner says as much, and says the same where one
    process has jets that hold muons and another has jets that do not.
    """
    others = [t for t in spec.targets if t.through and t.objects.axes and t != target]
    flags = [n for t in others for n in t.objects.columns if spec.dtype(n) == "bool"]
    return {
        f"{target.objects.name}_{t.objects.name}_{end}"
        for t in others
        for end in (*NEIGHBOURS, *flags)
    }


_SUMS = frozenset({"gain", "size of gain", "made pt"})
_OF_OBJECTS: dict[str, frozenset[str]] = {
    "found": frozenset({"number of partner"}),
    "response": frozenset({"number of partner", "made"}),
    "properties": frozenset({"number of partner"}),
    "extras": _SUMS | {"size of sum", "made"},
    "extra axes": _SUMS | {"made", "mean pull", "sum pt"},
    "extra properties": _SUMS | {"size of sum", "made", "mean pull", "extras"},
}
"""By kind of step, what it does not learn from beyond numbers of the generated event."""


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
    block = visible(block, spec, target)
    columns = partner_columns(block, own)
    out: Conditions = {name: content[event] for name, content in events.items()} | columns
    out["number of partner"] = block.number(own.name).astype(np.int32)
    if target.efficiency is not None:
        out["copies expected"] = target.efficiency.figure(columns)[:, 0].astype(
            np.float32
        )
    for other in spec.generated:
        if own.axes and other.axes:
            out |= nearest_columns(block, own, event, block.axes(own), other)
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
    axes = [values[name] for name in objects.axes if name in values]
    if len(axes) < 3:
        return {}
    out: Conditions = {f"|{objects.axes[1]}|": np.abs(axes[1])}
    for other in (t.objects for t in others if t.objects.axes):
        out |= nearest_columns(block, objects, event, axes, other)
    return out


def nearest_own(
    block: Block, target: Target, parts: Sequence[tuple[Array, Mapping[str, Array]]]
) -> list[Conditions]:
    """Return distance and p_T of the nearest object of the same collection, part by part.

    Args:
        block: The events.
        target: The collection; nothing is returned for one that is not ordered.
        parts: Event and columns of objects that are not sorted yet.
    """
    axes = target.objects.axes
    if not (target.ordered and axes and all(set(axes) <= set(v) for _, v in parts)):
        return [{} for _ in parts]
    event = np.concatenate([event for event, _ in parts])
    columns = {n: np.concatenate([v[n] for _, v in parts]) for n in axes}
    order = np.argsort(event, kind="stable")
    ordered = {n: content[order] for n, content in columns.items()}
    counts = {target.objects.name: np.bincount(event, minlength=block.events)}
    alone = Block(block.events, counts, ordered)
    near = nearest_columns(
        alone, target.objects, event[order], list(ordered.values()), target.objects
    )
    back = np.argsort(order)
    ends = np.cumsum([len(event) for event, _ in parts])[:-1]
    split = {n: np.split(content[back], ends) for n, content in near.items()}
    return [{n: pieces[k] for n, pieces in split.items()} for k in range(len(parts))]


def _summary(block: Block, collection: Collection, names: Iterable[str]) -> Conditions:
    """Return size, scalar p_T sum and columns of the first object, each of shape (events,).

    The columns are 0 in events without objects.
    """
    counts = block.counts[collection.name]
    out: Conditions = {f"n_{collection.name}": counts.astype(np.int32)}
    if collection.axes:
        pt = block.axes(collection)[0].astype(np.float64)
        total = np.bincount(block.event(collection.name), pt, block.events)
        out[f"sum_{collection.axes[0]}"] = total.astype(np.float32)
    some = counts > 0
    for name in names:
        content = block.values[name]
        first = out[f"first_{name}"] = np.zeros(block.events, content.dtype)
        first[some] = content[block.begin(collection.name)[some]]
    return out
