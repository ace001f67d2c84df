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
from flowtuple.simulation.spec import Recoil, SimulationSpec


def residual(block: Block, spec: SimulationSpec, recoil: Recoil) -> dict[str, Array]:
    """Return the vector less its sum: float32 of shape (events,) by the names that are learned."""
    rest = _measured(block, recoil) - _expected(block, spec, recoil)
    return dict(zip(recoil.learned, rest.astype(np.float32), strict=True))


def restore(
    block: Block, spec: SimulationSpec, recoil: Recoil, learned: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Return magnitude and direction of the vector: the inverse of `residual`."""
    rest = np.stack([learned[name] for name in recoil.learned])
    x, y = _expected(block, spec, recoil) + rest
    return np.sqrt(x * x + y * y), as_angle(arctangent(y, x))


def fit_coefficients(
    block: Block, spec: SimulationSpec, recoil: Recoil
) -> tuple[float, ...]:
    """Return the coefficients of least squares; those of terms that are always zero are 0."""
    terms = [term.reshape(-1) for term in _terms(block, spec, recoil)]
    if not terms:
        return ()
    measured = _measured(block, recoil).reshape(-1)
    solution = np.linalg.lstsq(np.stack(terms).T, measured, rcond=None)[0]
    return tuple(solution.tolist())


def _measured(block: Block, recoil: Recoil) -> Array:
    return _vector(block.values[recoil.pt], block.values[recoil.phi])


def _expected(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    total = np.zeros((2, block.events))
    for coefficient, term in zip(
        recoil.coefficients, _terms(block, spec, recoil), strict=True
    ):
        total += coefficient * term
    return total


def _terms(block: Block, spec: SimulationSpec, recoil: Recoil) -> list[Array]:
    """Return the terms of the sum in the order of the coefficients, each of shape (2, events).

    After the generated vector come, for each target, the sum of p_T less the partner's over objects
    with a partner, and the sum of p_T over the others.
    """
    terms = []
    if recoil.generated:
        terms.append(_vector(*(block.values[n] for n in recoil.generated)))
    for target in spec.targets:
        objects = target.objects
        if not objects.axes:
            continue
        event, (pt, _, phi) = block.event(objects.name), block.axes(objects)
        change = _vector(pt, phi)
        parts = [np.full(len(event), True)]
        if target.through:
            partner = block.positions(target.through, objects.name, target.partners)
            parts = [partner >= 0, partner < 0]
            axes = block.axes(spec.collection(target.partners))
            if axes:
                matched = parts[0]
                pt, _, phi = (content[partner[matched]] for content in axes)
                change[:, matched] -= _vector(pt, phi)
        for part in parts:
            sums = [np.bincount(event[part], c[part], block.events) for c in change]
            terms.append(np.stack(sums))
    return terms


def _vector(pt: Array, phi: Array) -> Array:
    sine, cosine = sine_cosine(phi.astype(np.float64))
    return np.stack([pt * cosine, pt * sine])
