"""What only events tell of a simulation: thresholds, cells, coefficients, relations between columns, values met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.build_spec import APART
from flowtuple.simulation.cells import find_cells
from flowtuple.simulation.conditions import of_themselves
from flowtuple.simulation.recoil import fitted, positions
from flowtuple.simulation.response import Response, of_partner
from flowtuple.simulation.shares import energy, find_hypots, find_scales, find_shares, find_sums
from flowtuple.simulation.spec import SimulationSpec, Target

WIDE = (
    0.05  # half-width of a ratio from which on a threshold has to be kept sharp by counting from it
)
_FEW = 64  # values of a given column that are listed


def fitted_spec(spec: SimulationSpec, block: Block) -> SimulationSpec:
    """The recipe with what only events tell: thresholds, coefficients of recoils, and what was seen of given columns."""
    targets = tuple(
        _with_cells(spec, target, block) if target.through else target for target in spec.targets
    )
    targets = tuple(_with_sums(spec, target, block) for target in targets)
    spec = replace(spec, targets=targets)
    vectors = [r for r in spec.recoils if _is_vector(block.values[r.pt], block.values[r.phi])]
    others = tuple(name for r in spec.recoils if r not in vectors for name in (r.pt, r.phi))
    recoils = tuple(replace(r, coefficients=fitted(block, spec, r)) for r in vectors)
    spec = replace(spec, event=(*spec.event, *others))
    names = [c.name for c in spec.given_columns if c.role not in (*APART, "angle")]
    return replace(spec, recoils=recoils, seen={name: _seen(block.values[name]) for name in names})


def _is_vector(pt: Array, phi: Array) -> bool:
    """Whether these are a magnitude and a direction, without values that stand for something else."""
    return bool((pt >= 0).all() and (np.abs(phi) <= np.float32(np.pi)).all())


def _with_sums(spec: SimulationSpec, target: Target, block: Block) -> Target:
    """The target with the columns that follow from others, and with those that add up to the energy."""
    apart = {
        *target.objects.axes,
        target.through,
        *target.references,
        *(r.column for r in target.responses),
    }
    names = [n for n in target.objects.columns if n not in apart and spec.dtype(n) != "bool"]
    columns = {n: block.values[n] for n in names if np.isfinite(block.values[n]).all()}
    mass = next((n for n in columns if n.rpartition("_")[2] in ("mass", "m")), "")
    sums = {name: parts for name, parts in find_sums(columns).items() if name != mass}
    parts: tuple[str, ...] = ()
    if mass and target.objects.axes:
        total = energy([block.values[n] for n in (*target.objects.axes[:2], mass)])
        floats = {
            n: v for n, v in columns.items() if v.dtype.kind == "f" and n not in sums and n != mass
        }
        parts = find_shares(floats, total)
    target = replace(target, mass=mass if parts else "", shares=parts, sums=sums)
    floats = {n: v for n, v in columns.items() if v.dtype.kind == "f" and n not in (*sums, *parts)}
    hypots = {name: squares for name, squares in find_hypots(floats).items() if name != mass}
    scaled = {
        n: v
        for n, v in floats.items()
        if n not in {*hypots, mass, *(m for squares in hypots.values() for m in squares)}
    }
    others = {n: block.values[n] for n in (*target.objects.axes[:1], *hypots)}
    return replace(target, hypots=hypots, scales=find_scales(scaled, others))


def seen_too(before: Mapping[str, Any], values: Array) -> dict[str, Any]:
    """What was seen, these values among it."""
    now = _seen(values)
    if "values" in before and "values" in now:
        both = sorted({*before["values"], *now["values"]})
        return (
            {"values": both} if len(both) <= _FEW else {"range": [float(both[0]), float(both[-1])]}
        )
    ends = [x for seen in (before, now) for x in seen.get("range", seen.get("values", []))]
    return {"range": [float(min(ends)), float(max(ends))] if ends else []}


def _with_cells(spec: SimulationSpec, target: Target, block: Block) -> Target:
    """The target with what is known of its efficiency and resolution in cells of generated objects."""
    own = spec.collection(target.partners)
    partner = positions(block, target.through, block.event(target.objects.name), own.name)
    found, partner = partner >= 0, partner[partner >= 0]
    themselves = of_themselves(block, own)
    names = [name for name in themselves if name not in map(of_partner, own.axes[1:])]
    cut, copies = (
        {n: themselves[n] for n in names},
        np.bincount(partner, minlength=len(block.event(own.name))),
    )
    efficiency = find_cells(cut, copies)
    if efficiency is not None:
        efficiency = efficiency.described(cut, copies, lambda part: (float(part.mean()),))
    partners = {n: content[partner] for n, content in themselves.items()}
    responses = [
        _with_floor(r, block.values[r.column][found], block.values[r.partner][partner])
        for r in target.responses
    ]
    in_cells = tuple(r.in_cells(block.values[r.column][found], partners, names) for r in responses)
    return replace(target, responses=in_cells, efficiency=efficiency)


def _with_floor(response: Response, reco: Array, gen: Array) -> Response:
    """A ratio of a wide response is counted from where the reconstruction begins."""
    if response.kind != "ratio" or not len(reco):
        return response
    low, high = np.quantile(reco.astype(np.float64) / gen, [0.16, 0.84])
    return replace(response, floor=float(reco.min()) if high - low > 2 * WIDE else 0.0)


def _seen(values: Array) -> dict[str, list[float | int]]:
    """The values met, where they are whole and few; else the smallest and the largest."""
    if values.dtype.kind in "iub":
        unique = np.unique(values)
        if len(unique) <= _FEW:
            return {"values": unique.astype(np.int64).tolist()}
    finite = values[np.isfinite(values)]
    return {"range": [float(finite.min()), float(finite.max())] if len(finite) else []}
