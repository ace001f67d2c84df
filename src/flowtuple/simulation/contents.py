"""Parts of an object that are the energy of generated objects within it, such as muons in a jet.

A part is learned as a share of the object's energy. Where it is that of generated objects near the
object's axis, its ratio to theirs is learned, in the same column: shares end at 1, and a ratio r
stands at 1 + r. So the energy of a muon in a jet follows from the generated muon, also where jets
are almost nothing but a muon and no jet of the training was.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.neighbours import CONE, find_neighbours
from flowtuple.simulation.response import partner_name
from flowtuple.simulation.spec import SimulationSpec, Target

NEAR = 0.2  # a part is that of generated objects where both differ by less
_BOUNDARY = 1.5  # between shares, which end at 1, and ratios, which begin at 2 - NEAR
_CLOSE = 0.05  # they differ by less where the part is seen to be theirs
_LEAST_LEFT = 0.02  # share of p_T that generated objects leave at least
_LEAST = 100  # objects that have to show it
_MOSTLY = 0.3  # share of the objects with generated objects within that have to show it
_RARE = 0.1  # parts of fewer objects come first, so that they are shares of the whole


def content_name(collection: str) -> str:
    """Return the name of the condition with the energy of generated objects within an object."""
    return f"energy of {collection}"


def _share_name(collection: str) -> str:
    return f"share of {collection}"


def number_name(collection: str) -> str:
    """Return the name of the condition with the number of generated objects within an object."""
    return f"number of {collection}"


def content_columns(
    block: Block,
    spec: SimulationSpec,
    target: Target,
    event: Array,
    values: Mapping[str, Array],
) -> dict[str, Array]:
    """Return the energy of generated objects within objects, and its share of theirs, float32.

    Args:
        block: The events.
        spec: The simulation.
        target: The collection of the objects.
        event: Event of each object, shape (n,).
        values: Columns of the objects with p_T, eta and phi, each of shape (n,).
    """
    out: dict[str, Array] = {}
    for name in dict.fromkeys(target.contents.values()):
        axes = [values[axis] for axis in target.objects.axes]
        number, energy = generated_within(block, spec, name, event, axes)
        own = axes[0] * np.cosh(axes[1].astype(np.float64))
        share = np.divide(energy, own, out=np.zeros(len(own)), where=own > 0)
        out |= {number_name(name): number, content_name(name): energy}
        out[_share_name(name)] = share.astype(np.float32)
    return out


def without_contents(
    target: Target, spec: SimulationSpec, seen: Mapping[str, Array]
) -> dict[str, Array]:
    """Return p_T of objects and partners without the generated objects within them, float32.

    What else an object is made of depends on that, and not on the energy of a muon in it.

    Args:
        target: The collection of the objects.
        spec: The simulation.
        seen: Conditions with those of `content_columns`, each of shape (n,).
    """
    out: dict[str, Array] = {}
    if not target.contents:
        return out
    pt = target.objects.axes[0]
    own = spec.collection(target.partners) if target.partners else None
    partners = () if own is None else own.axes[:1]
    names = dict.fromkeys(target.contents.values())
    taken = seen[pt] * sum(seen[_share_name(c)] for c in names)
    for name in (pt, *map(partner_name, partners)):
        if name in seen:
            rest = np.maximum(seen[name] - taken, _LEAST_LEFT * seen[name])
            out[name] = rest.astype(np.float32)
    return out


def generated_within(
    block: Block, spec: SimulationSpec, name: str, event: Array, axes: list[Array]
) -> tuple[Array, Array]:
    """Return number and energy of the generated objects within each object: int16, float32."""
    collection = spec.collection(name)
    pt, eta, _ = block.axes(collection)
    energy = pt.astype(np.float64) * np.cosh(eta.astype(np.float64))
    pairs = find_neighbours(block, event, axes, collection)
    number, total = pairs.within(CONE, energy)
    return number.astype(np.int16), total.astype(np.float32)


def with_ratios(share: Array, part: Array, energy: Array) -> Array:
    """Return shares with 1 + r where the part is r times the energy of generated objects."""
    energy = energy.astype(np.float64)
    ratio = np.divide(part, energy, out=np.zeros(len(part)), where=energy > 0)
    return np.where(np.abs(ratio - 1) < NEAR, 1 + ratio, share)


def as_shares(learned: Array, energy: Array, total: Array) -> Array:
    """Return shares from what `with_ratios` returned; energies are limited to the total."""
    part = (learned - 1) * energy.astype(np.float64)
    share = np.divide(part, total, out=np.zeros(len(part)), where=total > 0)
    return np.where(is_ratio(learned), np.minimum(share, 1.0), learned)


def is_ratio(learned: Array) -> Array:
    """Return which of the learned numbers are no shares."""
    return np.asarray(learned > _BOUNDARY)


def find_contents(block: Block, spec: SimulationSpec, target: Target) -> dict[str, str]:
    """Return the parts that mostly are the energy of generated objects, with their collections.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
        target: The collection with its `shares`.
    """
    out = {}
    event = block.event(target.objects.name)
    for name in (c.name for c in spec.generated if c.axes and c.name != target.partners):
        _, energy = generated_within(block, spec, name, event, block.axes(target.objects))
        some = energy > 0
        for part in target.shares:
            ratio = block.values[part][some] / energy[some]
            near = np.abs(ratio - 1) < _CLOSE
            if part not in out and near.sum() >= _LEAST and near.mean() > _MOSTLY:
                out[part] = name
    return out


def rare_first(target: Target, block: Block) -> tuple[str, ...]:
    """Return the parts of a target: those in `contents`, those that few objects have, all others.

    So the first two are shares of almost the whole, and do not take what others happen to leave.
    """
    present = {name: float(np.mean(block.values[name] > 0)) for name in target.shares}

    def rank(name: str) -> tuple[int, float]:
        if name in target.contents:
            return 0, 0.0
        return (1, present[name]) if present[name] < _RARE else (2, 0.0)

    return tuple(sorted(target.shares, key=rank))
