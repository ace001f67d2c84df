"""Generated values outside of the training's range: which they are, and flags of their objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.simulation.block import Block
from flowtuple.simulation.spec import SimulationSpec

OUTSIDE = "outside"
"""Name of the flag of events; flags of objects are named like `GenJet_outside`."""


def out_of_range(block: Block, spec: SimulationSpec) -> dict[str, Array]:
    """Return by generated column which values lie outside of the training: bool of its shape."""
    return {name: _outside(block.values[name], seen) for name, seen in spec.seen.items()}


def flag_columns(spec: SimulationSpec) -> tuple[Column, ...]:
    """Return the columns that flags fill: one for each generated collection, one for events."""
    objects = (
        Column(f"{c.name}_{OUTSIDE}", "bool", counter=spec.column(c.columns[0]).counter)
        for c in spec.generated
    )
    return (*objects, Column(OUTSIDE, "bool"))


def flags(block: Block, spec: SimulationSpec) -> dict[str, Array]:
    """Return the flags of objects with a value outside, and of events with such a value or object.

    Args:
        block: The events, with all generated columns.
        spec: The simulation.

    Returns:
        bool by the names of `flag_columns`.
    """
    outside = out_of_range(block, spec)
    out = {}
    events = np.zeros(block.events, bool)
    for collection in spec.generated:
        event = block.event(collection.name)
        objects = np.zeros(len(event), bool)
        for name in collection.columns:
            objects |= outside.pop(name, False)
        out[f"{collection.name}_{OUTSIDE}"] = objects
        events[event[objects]] = True
    for values in outside.values():
        events |= values
    return out | {OUTSIDE: events}


def _outside(values: Array, seen: Mapping[str, list[float]]) -> Array:
    if "values" in seen:
        return ~np.isin(values, np.array(seen["values"], np.int64))
    if not seen["range"]:
        return np.isfinite(values)
    low, high = seen["range"]
    return ~((values >= low) & (values <= high))
