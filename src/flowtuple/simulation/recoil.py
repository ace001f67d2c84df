"""Transverse vectors of the event, such as missing p_T, learned as the difference from a sum.

The sum is fitted: the generated vector, the changes of p_T from generated to reconstructed objects,
and the p_T of objects without a partner, each with a coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import arctangent, sine_cosine
from flowtuple.simulation.block import Block
from flowtuple.simulation.response import as_angle
from flowtuple.simulation.spec import Recoil, SimulationSpec, Target


def residual(block: Block, spec: SimulationSpec, recoil: Recoil) -> dict[str, Array]:
    """Return the vector less its sum: float32 of shape (events,) by the names that are learned."""
    rest = _measured(block, recoil) - _expected(block, spec, recoil)
    return {
        name: part.astype(np.float32) for name, part in zip(recoil.learned, rest, strict=True)
    }


def restore(
    block: Block, spec: SimulationSpec, recoil: Recoil, learned: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Return magnitude and direction of the vector: the inverse of `residual`."""
    x, y = _expected(block, spec, recoil) + np.stack(
        [learned[name] for name in recoil.learned]
    )
    return np.sqrt(x * x + y * y), as_angle(arctangent(y, x))


def fit_coefficients(block: Block, spec: SimulationSpec, recoil: Recoil) -> tuple[float, ...]:
    """Return the coefficients of least squares; those of terms that are always zero are 0."""
    terms = _terms(block, spec, recoil)
    if not len(terms):
        return ()
    matrix = terms.reshape(len(terms), 2 * block.events).T
    solution = np.linalg.lstsq(matrix, _measured(block, recoil).reshape(-1), rcond=None)[0]
    return tuple(solution.tolist())


def _measured(block: Block, recoil: Recoil) -> Array:
    return _vector(block.values[recoil.pt], block.values[recoil.phi])


def _expected(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    total = np.zeros((2, block.events))
    for coefficient, term in zip(
        recoil.coefficients, _terms(block, spec, recoil), strict=True
    ):
        total = total + coefficient * term
    return total


def _terms(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    """Return the terms of the sum in the order of the coefficients: shape (terms, 2, events)."""
    terms = (
        [_vector(*(block.values[n] for n in recoil.generated))] if recoil.generated else []
    )
    for target in spec.targets:
        if target.objects.axes:
            terms += _object_terms(block, spec, target)
    return np.stack(terms) if terms else np.zeros((0, 2, block.events))


def _object_terms(block: Block, spec: SimulationSpec, target: Target) -> list[Array]:
    """Sum p_T less the partner's over objects with a partner, and p_T over the others."""
    objects = target.objects
    event = block.event(objects.name)
    pt, _, phi = (block.values[name] for name in objects.axes)
    vectors = _vector(pt, phi)
    if not target.through:
        return [_sum_by_event(vectors, event, block.events)]
    position = block.positions(target.through, objects.name, target.partners)
    matched = position >= 0
    change = vectors[:, matched]
    axes = spec.collection(target.partners).axes
    if axes:
        change = change - _vector(*(block.values[axes[k]][position[matched]] for k in (0, 2)))
    return [
        _sum_by_event(change, event[matched], block.events),
        _sum_by_event(vectors[:, ~matched], event[~matched], block.events),
    ]


def _vector(pt: Array, phi: Array) -> Array:
    sine, cosine = sine_cosine(phi.astype(np.float64))
    return np.stack([pt * cosine, pt * sine])


def _sum_by_event(vectors: Array, event: Array, events: int) -> Array:
    return np.stack([np.bincount(event, part, events) for part in vectors])
