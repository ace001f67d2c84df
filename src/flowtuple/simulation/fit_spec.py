"""The parts of a spec that events decide: thresholds, cells, coefficients, relations, ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowtuple.simulation.block import Block
from flowtuple.simulation.build_spec import NO_CONDITION
from flowtuple.simulation.cells import find_cells
from flowtuple.simulation.conditions import partner_columns
from flowtuple.simulation.contents import find_contents, rare_first
from flowtuple.simulation.flag_rules import find_flag_rules
from flowtuple.simulation.out_of_range import NOTHING_SEEN
from flowtuple.simulation.recoil import fit_recoil
from flowtuple.simulation.response import partner_name
from flowtuple.simulation.shares import (
    energy,
    find_counts,
    find_hypots,
    find_scales,
    find_shares,
    find_sums,
)
from flowtuple.simulation.spec import Recoil, SimulationSpec, Target
from flowtuple.simulation.visible import find_hidden, visible

WIDE = 0.05  # half-width of a ratio from which on a threshold would be smeared


def fit_spec(spec: SimulationSpec, block: Block) -> SimulationSpec:
    """Return the spec with all that events decide.

    Args:
        spec: From `build_spec`.
        block: Events with all columns, generated and simulated.
    """
    targets = [_with_cells(spec, t, block) if t.through else t for t in spec.targets]
    spec = replace(spec, targets=tuple(_with_relations(spec, t, block) for t in targets))
    vectors = [r for r in spec.recoils if _is_vector(block, r)]
    others = [name for r in spec.recoils if r not in vectors for name in (r.pt, r.phi)]
    recoils = tuple(fit_recoil(block, spec, r) for r in vectors)
    names = [c.name for c in spec.generated_columns if c.role not in NO_CONDITION]
    seen = dict.fromkeys(names, NOTHING_SEEN)
    event = (*spec.event, *others)
    flags = [n for n in event if not spec.dtype(n).startswith("float")]
    numbers = [n for n in (*event, *(r.pt for r in vectors)) if n not in flags]
    rules = find_flag_rules(block, flags, numbers, [t.objects for t in spec.targets])
    return replace(spec, event=event, recoils=recoils, seen=seen, rules=rules)


def _is_vector(block: Block, recoil: Recoil) -> bool:
    """Return whether columns are magnitude and direction, without values such as -999."""
    pt, phi = block.values[recoil.pt], block.values[recoil.phi]
    return bool((pt >= 0).all() and (np.abs(phi) <= np.float32(np.pi)).all())


def _with_cells(spec: SimulationSpec, target: Target, block: Block) -> Target:
    """Return the target with efficiency and resolution in cells of generated objects."""
    target = replace(target, hidden=find_hidden(block, spec, target))
    block = visible(block, spec, target)
    own = spec.collection(target.partners)
    partner = block.positions(target.through, target.objects.name, own.name)
    matched = partner >= 0
    partner = partner[matched]
    columns = partner_columns(block, own)
    directions = {partner_name(name) for name in own.axes[1:]}
    cut = {n: v for n, v in columns.items() if n not in directions}
    copies = np.bincount(partner, minlength=int(block.counts[own.name].sum()))
    efficiency = find_cells(cut, copies)
    if efficiency is not None:
        efficiency = efficiency.with_figures(
            cut, copies, lambda part: (float(part.mean()),)
        )
    partners = {n: content[partner] for n, content in columns.items()}
    responses = []
    for response in target.responses:
        reco, counted = block.values[response.column][matched], response
        if response.kind == "ratio" and len(reco):
            # A wide response is counted from the threshold of the reconstruction.
            gen = block.values[response.partner][partner]
            low, high = np.quantile(reco.astype(np.float64) / gen, [0.16, 0.84])
            floor = float(reco.min()) if high - low > 2 * WIDE else 0.0
            counted = replace(response, floor=floor)
        responses.append(counted.in_cells(reco, partners, cut))
    return replace(target, responses=tuple(responses), efficiency=efficiency)


def _with_relations(spec: SimulationSpec, target: Target, block: Block) -> Target:
    """Return the target with columns that follow from others, or add up to the energy."""
    axes = target.objects.axes
    responses = [r.column for r in target.responses]
    other = {*axes, target.through, *target.references, *responses}
    names = [
        n for n in target.objects.columns if n not in other and spec.dtype(n) != "bool"
    ]
    columns = {n: block.values[n] for n in names if np.isfinite(block.values[n]).all()}
    mass = next((n for n in columns if n.rpartition("_")[2] in ("mass", "m")), "")
    sums = {name: parts for name, parts in find_sums(columns).items() if name != mass}
    floats = {n: v for n, v in columns.items() if v.dtype.kind == "f" and n not in sums}
    shares: tuple[str, ...] = ()
    if mass and axes:
        total = energy([block.values[n] for n in (*axes[:2], mass)])
        shares = find_shares({n: v for n, v in floats.items() if n != mass}, total)
    floats = {n: v for n, v in floats.items() if n not in shares}
    hypots = {name: parts for name, parts in find_hypots(floats).items() if name != mass}
    fixed = {*hypots, mass}.union(*hypots.values())
    target = replace(target, shares=shares)
    if axes:
        contents = find_contents(visible(block, spec, target), spec, target)
        target = replace(target, contents=contents)
    shares = rare_first(target, block)
    counts = find_counts(shares, columns)
    return replace(
        target,
        mass=mass if shares else "",
        shares=shares,
        numbers={
            counts[part]: c for part, c in target.contents.items() if part in counts
        },
        counts=counts,
        sums=sums,
        hypots=hypots,
        scales=find_scales(
            {n: v for n, v in floats.items() if n not in fixed},
            {n: block.values[n] for n in (*axes[:1], *hypots)},
        ),
    )
