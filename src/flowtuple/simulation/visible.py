"""Part of generated objects that simulated ones can hold.

Some reconstructed objects are cleaned: jets do not hold prompt muons, while generated jets do. How
such a jet is reconstructed depends on what is left of the generated one.
"""

from __future__ import annotations

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.neighbours import CONE, find_neighbours
from flowtuple.simulation.spec import SimulationSpec, Target

_LEAST_LEFT = (
    0.02  # share of the p_T that is left at least, so that a ratio has a denominator
)
_MASS = 0.2  # mass of a jet as a share of its p_T, about
_LEAST = 100  # objects that have to show it
_SHARES = (0.1, 0.7)  # of p_T that hidden objects have where responses are compared
_NARROWER = 0.8  # the response to what is left is this much narrower


def visible(block: Block, spec: SimulationSpec, target: Target) -> Block:
    """Return generated events as the objects of a target see them.

    Hidden objects are no longer there, and p_T of the partners is without that of the hidden ones
    within them. The mass of what is left is not known: it becomes that of a usual jet, or else jets
    of a small mass would seem to be lost because muons are.

    Args:
        block: The events.
        spec: The simulation.
        target: The collection.
    """
    if not target.hidden:
        return block
    name, flag = target.hidden
    collection = spec.collection(name)
    hidden = block.values[flag].astype(bool)
    shown = np.flatnonzero(~hidden)
    event = block.event(name)
    counts = np.bincount(event[shown], minlength=block.events)
    values = {n: block.values[n][shown] for n in collection.columns}
    own = spec.collection(target.partners)
    left = _left(block, own, collection, hidden).astype(block.values[own.axes[0]].dtype)
    before = block.values[own.axes[0]]
    for mass in (n for n in own.columns if n.rpartition("_")[2] == "mass"):
        content = block.values[mass]
        values[mass] = np.where(left < before, _MASS * before, content).astype(
            content.dtype
        )
    return Block(
        block.events,
        {**block.counts, name: counts},
        {**block.values, **values, own.axes[0]: left},
    )


def find_hidden(block: Block, spec: SimulationSpec, target: Target) -> tuple[str, ...]:
    """Return a collection and its flag that marks objects which a target does not hold, or nothing.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
        target: A collection with partners.
    """
    own, pt = spec.collection(target.partners), target.objects.axes[:1]
    if not own.axes or not pt:
        return ()
    partner = block.positions(target.through, target.objects.name, own.name)
    some = np.flatnonzero(partner >= 0)
    before = block.values[own.axes[0]].astype(np.float64)
    made = np.maximum(block.values[pt[0]][some].astype(np.float64), 1e-9)
    partner = partner[some]
    for collection in (c for c in spec.generated if c.axes and c.name != own.name):
        for flag in (n for n in collection.columns if block.values[n].dtype == bool):
            left = _left(block, own, collection, block.values[flag])
            share = 1 - left[partner] / before[partner]
            rows = (share > _SHARES[0]) & (share < _SHARES[1])
            if rows.sum() < _LEAST:
                continue
            widths = [
                np.ptp(np.quantile(np.log(made[rows] / gen[partner[rows]]), [0.16, 0.84]))
                for gen in (before, left)
            ]
            if widths[1] < _NARROWER * widths[0]:
                return collection.name, flag
    return ()


def _left(block: Block, own: Collection, others: Collection, hidden: Array) -> Array:
    """Return p_T of generated objects without that of hidden ones within them: float64."""
    axes = block.axes(own)
    pairs = find_neighbours(block, block.event(own.name), axes, others)
    _, taken = pairs.within(CONE, block.axes(others)[0] * hidden)
    pt = axes[0].astype(np.float64)
    return np.asarray(np.maximum(pt - taken, _LEAST_LEFT * pt))
