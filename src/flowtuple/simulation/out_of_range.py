"""Generated values outside of what was met in training: how many there are, and flags of the objects that hold them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.simulation.block import Block
from flowtuple.simulation.spec import SimulationSpec

OUTSIDE = "outside"
"""The flag of events; those of objects are called like `GenJet_outside`."""


def out_of_range(block: Block, spec: SimulationSpec) -> dict[str, Array]:
    """By given column, which values lie outside of what was met in training: bool of its shape."""
    return {name: _outside(block.values[name], seen) for name, seen in spec.seen.items()}


def flag_columns(spec: SimulationSpec) -> tuple[Column, ...]:
    """The columns that flags fill: one for each given collection, and one for events."""
    counters = {c.name: spec.column(c.columns[0]).counter for c in spec.given}
    return (
        *(Column(f"{name}_{OUTSIDE}", "bool", counter=counters[name]) for name in counters),
        Column(OUTSIDE, "bool"),
    )


def flags(block: Block, spec: SimulationSpec, found: Mapping[str, Array]) -> dict[str, Array]:
    """Objects with a value outside, and events with such a value or object, by name of their column."""
    out, events = {}, np.zeros(block.events, bool)
    for collection in spec.given:
        objects = np.zeros(len(block.event(collection.name)), bool)
        for name in collection.columns:
            objects |= found.get(name, False)
        out[f"{collection.name}_{OUTSIDE}"] = objects
        events[block.event(collection.name)[objects]] = True
    ragged = {name for collection in spec.given for name in collection.columns}
    for name in found.keys() - ragged:
        events |= found[name]
    return out | {OUTSIDE: events}


def _outside(values: Array, seen: Mapping[str, list[float]]) -> Array:
    if "values" in seen:
        return ~np.isin(values, np.array(seen["values"], np.int64))
    if not seen["range"]:
        return np.isfinite(values)
    low, high = seen["range"]
    return ~((values >= low) & (values <= high))
