"""Transverse vectors of the event, such as missing p_T, learned as the difference from a sum.

The sum is fitted: the generated vector, the changes of p_T from generated to reconstructed objects,
and the p_T of objects without a partner, each with a coefficient. The difference is counted along
and across the leading simulated object, in units of its half-width in events of the same kind:
what a sum cannot say, such as a response that is not linear, has a direction then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import arctangent, sine_cosine
from flowtuple.simulation.block import Block
from flowtuple.simulation.cells import find_cells
from flowtuple.simulation.response import as_angle
from flowtuple.simulation.spec import Recoil, SimulationSpec


def residual(block: Block, spec: SimulationSpec, recoil: Recoil) -> dict[str, Array]:
    """Return the vector less its sum: float32 of shape (events,) by the names that are learned."""
    rest = _measured(block, recoil) - _expected(block, spec, recoil)
    if recoil.turned:
        rest = _turned(rest, -_direction(block, spec))
    rest = rest / _width(block, recoil)
    return dict(zip(recoil.learned, rest.astype(np.float32), strict=True))


def restore(
    block: Block, spec: SimulationSpec, recoil: Recoil, learned: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Return magnitude and direction of the vector: the inverse of `residual`."""
    rest = np.stack([learned[name] for name in recoil.learned]).astype(np.float64)
    rest = rest * _width(block, recoil)
    if recoil.turned:
        rest = _turned(rest, _direction(block, spec))
    x, y = _expected(block, spec, recoil) + rest
    return np.sqrt(x * x + y * y), as_angle(arctangent(y, x))


def recoil_conditions(
    block: Block, spec: SimulationSpec, recoil: Recoil
) -> dict[str, Array]:
    """Return the terms of the sum along and across the leading object, float32."""
    if not recoil.turned:
        return {}
    back = -_direction(block, spec)
    out: dict[str, Array] = {}
    vectors = [_expected(block, spec, recoil), *_terms(block, spec, recoil)]
    for k, vector in enumerate(vectors):
        along, across = _turned(vector, back).astype(np.float32)
        out |= {f"term{k} along": along, f"term{k} across": across}
    return out


def fit_recoil(block: Block, spec: SimulationSpec, recoil: Recoil) -> Recoil:
    """Return the recoil with coefficients and half-widths that are fitted to events.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
        recoil: The vector.
    """
    recoil = replace(recoil, coefficients=fit_coefficients(block, spec, recoil))
    recoil = replace(recoil, turned=any(t.objects.axes for t in spec.targets))
    rest = np.stack(list(residual(block, spec, recoil).values())).astype(np.float64)
    events = _kinds(block, [*spec.conditions, *(c.name for c in spec.generated)])
    size = np.sqrt((rest * rest).sum(axis=0))
    cells = (
        find_cells(events, np.log(size + np.finfo(np.float32).tiny)) if events else None
    )
    if cells is None:
        return recoil
    cells = cells.with_figures(events, size, lambda part: (float(np.median(part)),))
    wide = all(figures[0] > 0 for figures in cells.figures if figures)
    return replace(recoil, cells=cells) if wide else recoil


def _kinds(block: Block, names: Iterable[str]) -> dict[str, Array]:
    """Return what cells of events are cut in: generated numbers and sizes of collections."""
    return {n: block.values[n] if n in block.values else block.counts[n] for n in names}


def _width(block: Block, recoil: Recoil) -> Array | float:
    """Return the unit of the difference in each event."""
    if recoil.cells is None:
        return 1.0
    return recoil.cells.figure(_kinds(block, recoil.cells.columns))[:, 0]


def _direction(block: Block, spec: SimulationSpec) -> Array:
    """Return the direction of the leading simulated object, 0 in events without any."""
    out = np.zeros(block.events)
    for objects in (t.objects for t in reversed(spec.targets) if t.objects.axes):
        some = block.counts[objects.name] > 0
        phi = block.values[objects.axes[2]]
        out[some] = phi[block.begin(objects.name)[some]]
    return out


def _turned(vector: Array, angle: Array) -> Array:
    """Return a vector of shape (2, events), turned by an angle."""
    sine, cosine = sine_cosine(angle)
    x, y = vector
    return np.stack([x * cosine - y * sine, x * sine + y * cosine])


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
