"""Transverse vectors of the event, such as missing p_T, from what recoils against them: generated vector, objects found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.collections import positions_of
from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import arctangent, sine_cosine
from flowtuple.simulation.block import Block
from flowtuple.simulation.response import as_angle
from flowtuple.simulation.spec import Recoil, SimulationSpec, Target


def sums(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    """What a recoil is made of: float64 of shape (terms, 2, events), in the order of its coefficients."""
    terms = (
        [_vector(block.values[recoil.given[0]], block.values[recoil.given[1]])]
        if recoil.given
        else []
    )
    for target in spec.targets:
        if target.objects.axes:
            terms += _of_objects(block, spec, target)
    return np.stack(terms) if terms else np.zeros((0, 2, block.events))


def left(block: Block, spec: SimulationSpec, recoil: Recoil) -> dict[str, Array]:
    """What the sums leave of the vector: float32 by the names that are learned."""
    rest = _vector(block.values[recoil.pt], block.values[recoil.phi]) - _expected(
        block, spec, recoil
    )
    return {name: part.astype(np.float32) for name, part in zip(recoil.learned, rest, strict=True)}


def restored(
    block: Block, spec: SimulationSpec, recoil: Recoil, learned: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Magnitude and direction: the inverse of `left`."""
    x, y = _expected(block, spec, recoil) + np.stack([learned[name] for name in recoil.learned])
    return np.sqrt(x * x + y * y), as_angle(arctangent(y, x))


def fitted(block: Block, spec: SimulationSpec, recoil: Recoil) -> tuple[float, ...]:
    """Coefficients of least squares; those of sums that are always zero are 0."""
    terms = sums(block, spec, recoil)
    terms = terms.reshape(len(terms), 2 * block.events)
    wanted = _vector(block.values[recoil.pt], block.values[recoil.phi]).reshape(-1)
    return tuple(np.linalg.lstsq(terms.T, wanted, rcond=None)[0].tolist()) if len(terms) else ()


def _expected(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    total = np.zeros((2, block.events))
    for coefficient, term in zip(recoil.coefficients, sums(block, spec, recoil), strict=True):
        total = total + coefficient * term
    return total


def _of_objects(block: Block, spec: SimulationSpec, target: Target) -> list[Array]:
    """Sums over the objects with a partner, of their p_T vectors less the partners', and over those without."""
    objects = target.objects
    event = block.event(objects.name)
    pt, _, phi = (block.values[name] for name in objects.axes)
    vectors = _vector(pt, phi)
    if not target.through:
        return [_added(vectors, event, block.events)]
    position = positions(block, target.through, event, target.partners)
    has = position >= 0
    axes = spec.collection(target.partners).axes
    partner = (
        _vector(*(block.values[axes[k]][position[has]] for k in (0, 2)))
        if axes
        else np.zeros((2, int(has.sum())))
    )
    return [
        _added(vectors[:, has] - partner, event[has], block.events),
        _added(vectors[:, ~has], event[~has], block.events),
    ]


def positions(block: Block, through: str, event: Array, collection: str) -> Array:
    """Positions of the objects that a column of numbers points to, -1 where it points to none of its event."""
    return positions_of(block.values[through], event, block.counts[collection])


def _vector(pt: Array, phi: Array) -> Array:
    sine, cosine = sine_cosine(phi.astype(np.float64))
    return np.stack([pt * cosine, pt * sine])


def _added(vectors: Array, event: Array, events: int) -> Array:
    return np.stack([np.bincount(event, part, events) for part in vectors])
