"""Generated values outside of the training: the values of the training, and flags of other ones.

The values of a column are described by `{"values": [...]}` where they are whole and few, and by
`{"range": [smallest, largest]}` otherwise; an empty range where none is finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.simulation.block import Block
from flowtuple.simulation.spec import SimulationSpec

OUTSIDE = "outside"
"""Name of the flag of events; flags of objects are named like `GenJet_outside`."""
_FEW = 64  # values that are listed


NOTHING_SEEN: Mapping[str, Any] = {"values": []}


def merge_seen(before: Mapping[str, Any], values: Array) -> dict[str, Any]:
    """Return the description of the values described before and further ones.

    Args:
        before: An entry of `SimulationSpec.seen`, or `NOTHING_SEEN`.
        values: Further values of the same column, any shape.

    Example:
        >>> merge_seen({"values": [1, 3]}, np.array([7, 7]))
        {'values': [1, 3, 7]}
        >>> merge_seen(NOTHING_SEEN, np.array([0.5, np.nan, 2.5]))
        {'range': [0.5, 2.5]}
    """
    if values.dtype.kind in "iub" and "values" in before:
        both = sorted({*before["values"], *np.unique(values).astype(np.int64).tolist()})
        if len(both) <= _FEW:
            return {"values": both}
    finite = values[np.isfinite(values)]
    ends = before.get("range", before.get("values", []))
    ends = [*ends, *([finite.min(), finite.max()] if len(finite) else [])]
    return {"range": [float(min(ends)), float(max(ends))] if ends else []}


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
