"""Transverse vectors of the event, such as missing p_T, learned as the difference from a sum.

The sum is fitted: the generated vector, the changes of p_T from generated to reconstructed objects,
the p_T of objects without a partner, and what is generated, each with a coefficient, which differs
between kinds of events (`blend.py`). The difference is counted along
and across the leading simulated object, in units of its half-width in events of the same kind:
what a sum cannot say, such as a response that is not linear, has a direction then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import arctangent, sine_cosine
from flowtuple.simulation.blend import fit_blend, least_squares
from flowtuple.simulation.block import Block
from flowtuple.simulation.cells import find_cells
from flowtuple.simulation.response import as_angle
from flowtuple.simulation.spec import Recoil, SimulationSpec, transverse
from flowtuple.simulation.visible import visible

_ENOUGH = 2000  # events that widths are compared in
_MOST = 1.2  # a scale beyond this is no correction


def residual(block: Block, spec: SimulationSpec, recoil: Recoil) -> dict[str, Array]:
    """Return the vector less its sum: float32 of shape (events,) by the names that are learned."""
    rest = _measured(block, recoil) - _expected(block, spec, recoil)
    if recoil.turned:
        rest = _turned(rest, -_direction(block, spec))
    rest = rest / _width(block, spec, recoil)
    return dict(zip(recoil.learned, rest.astype(np.float32), strict=True))


def restore(
    block: Block, spec: SimulationSpec, recoil: Recoil, learned: Mapping[str, Array]
) -> tuple[Array, Array]:
    """Return magnitude and direction of the vector: the inverse of `residual`."""
    rest = np.stack([learned[name] for name in recoil.learned]).astype(np.float64)
    rest = rest * _width(block, spec, recoil)
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
    kinds = _kinds(block, spec)
    names = () if recoil.blend is None else recoil.blend.columns
    out: dict[str, Array] = {n: kinds[n].astype(np.float32) for n in names}
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
    recoil = replace(recoil, turned=any(t.objects.axes for t in spec.targets))
    terms, measured = _terms(block, spec, recoil), _measured(block, recoil)
    recoil = replace(recoil, coefficients=least_squares(terms, measured))
    if recoil.turned:
        kinds = {n: v for n, v in _local_kinds(block, spec).items() if v.dtype == bool}
        blend = fit_blend(kinds, np.stack(terms), measured)
        recoil = replace(recoil, blend=blend)
    rest = np.stack(list(residual(block, spec, recoil).values())).astype(np.float64)
    kinds = _local_kinds(block, spec)
    size = np.sqrt((rest * rest).sum(axis=0))
    cells = find_cells(kinds, np.log(size + np.finfo(np.float32).tiny)) if kinds else None
    if cells is None:
        return recoil
    cells = cells.with_figures(kinds, size, lambda part: (float(np.median(part)),))
    wide = all(figures[0] > 0 for figures in cells.figures if figures)
    return replace(recoil, cells=cells) if wide else recoil


def fit_scale(true: Block, made: Block, spec: SimulationSpec, recoil: Recoil) -> float:
    """Return the factor of the drawn difference that makes simulated events as wide as true ones.

    Widths are those of the difference from the generated vector. What is simulated before adds to
    them, and more or less than in the truth where it is not quite right.

    Args:
        true: True events.
        made: The same events, simulated.
        spec: The simulation.
        recoil: The vector.
    """
    if true.events < _ENOUGH:
        return 1.0
    generated = np.zeros((2, true.events))
    if recoil.generated:
        generated = _vector(*(true.values[n] for n in recoil.generated))
    wanted = _half_width(_measured(true, recoil) - generated)
    whole = _half_width(_measured(made, recoil) - generated)
    drawn = _half_width(_measured(made, recoil) - _expected(made, spec, recoil))
    square = (wanted**2 - whole**2) / max(drawn**2, np.finfo(float).tiny) + 1
    return float(np.sqrt(np.clip(square, 1 / _MOST**2, _MOST**2)))


def _half_width(vector: Array) -> float:
    """Return half of the central 68 % of both components together."""
    low, high = np.quantile(vector, [0.16, 0.84])
    return float(high - low) / 2


def _kinds(block: Block, spec: SimulationSpec) -> dict[str, Array]:
    """Return what tells kinds of events apart, generated alone, each of shape (events,).

    Numbers of the event, sizes of collections, and columns of their first objects that are no
    direction: 0 where there is none.
    """
    out = {name: block.values[name] for name in spec.conditions}
    for collection in spec.generated:
        counts = block.counts[collection.name]
        out[f"n_{collection.name}"] = counts
        some = counts > 0
        for name in collection.columns:
            if name in collection.axes[1:]:
                continue
            content = out[f"first_{name}"] = np.zeros(block.events)
            content[some] = block.values[name][block.begin(collection.name)[some]]
        if collection.axes:
            pt = block.axes(collection)[0].astype(np.float64)
            total = np.bincount(block.event(collection.name), pt, block.events)
            out[f"sum_{collection.axes[0]}"] = total
    return out


def _local_kinds(block: Block, spec: SimulationSpec) -> dict[str, Array]:
    """Return those kinds that the width and the coefficients of a vector may depend on.

    Numbers of the event without those of generated vectors, scalar sums, and flags of the first
    objects: what else tells kinds of events apart is of the process of the training sample.
    """
    kinds, vectors = _kinds(block, spec), transverse(spec)
    flags = {
        f"first_{n}" for c in spec.generated for n in c.columns if spec.dtype(n) == "bool"
    }
    sums = {f"sum_{c.axes[0]}" for c in spec.generated if c.axes}
    numbers = set(spec.conditions) - vectors
    known = {n: v.astype(bool) if n in flags else v for n, v in kinds.items()}
    return {n: v for n, v in known.items() if n in flags | sums | numbers}


def _width(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array | float:
    """Return the unit of the difference in each event."""
    if recoil.cells is None:
        return recoil.scale
    return np.asarray(recoil.scale * recoil.cells.figure(_kinds(block, spec))[:, 0])


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


def _measured(block: Block, recoil: Recoil) -> Array:
    return _vector(block.values[recoil.pt], block.values[recoil.phi])


def _expected(block: Block, spec: SimulationSpec, recoil: Recoil) -> Array:
    total = np.zeros((2, block.events))
    coefficients: Sequence[float | Array] = recoil.coefficients
    if recoil.blend is not None:
        coefficients = list(recoil.blend.figure(_kinds(block, spec)).T)
    for coefficient, term in zip(coefficients, _terms(block, spec, recoil), strict=True):
        total += coefficient * term
    return total


def _terms(block: Block, spec: SimulationSpec, recoil: Recoil) -> list[Array]:
    """Return the terms of the sum in the order of the coefficients, each of shape (2, events).

    After the generated vector come, for each target, the sum of p_T less the partner's over objects
    with a partner, and the sum of p_T over the others; then, for vectors that are `turned`, the
    sums of p_T over generated objects that have become objects, and over those that have not.
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
            seen_by = visible(block, spec, target)
            axes = seen_by.axes(spec.collection(target.partners))
            if axes:
                matched = parts[0]
                pt, _, phi = (content[partner[matched]] for content in axes)
                change[:, matched] -= _vector(pt, phi)
        terms += [_summed(change, event, part, block.events) for part in parts]
        if recoil.turned and target.through and axes:
            seen = np.zeros(len(axes[0]), bool)
            seen[partner[parts[0]]] = True
            own, vector = block.event(target.partners), _vector(axes[0], axes[2])
            terms += [_summed(vector, own, part, block.events) for part in (seen, ~seen)]
    return terms


def _summed(vector: Array, event: Array, part: Array, events: int) -> Array:
    """Return the sum of some of the vectors of each event: shape (2, events)."""
    sums = [np.bincount(event[part], content[part], events) for content in vector]
    return np.stack(sums)


def _vector(pt: Array, phi: Array) -> Array:
    sine, cosine = sine_cosine(phi.astype(np.float64))
    return np.stack([pt * cosine, pt * sine])
