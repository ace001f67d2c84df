"""Training targets: what the steps of a simulation would have had to draw to make true events."""

from __future__ import annotations

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.conditions import partner_columns
from flowtuple.simulation.contents import content_columns
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import residual
from flowtuple.simulation.shares import learned_columns
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.step import COPIES, EXTRAS
from flowtuple.simulation.steps import falling_order
from flowtuple.simulation.visible import visible

Targets = dict[str, dict[str, Array]]
"""Columns to draw, by step and name."""


def training_targets(block: Block, spec: SimulationSpec) -> Targets:
    """Return the true columns of each step.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
    """
    out: Targets = {}
    for target in spec.targets:
        out |= _of_objects(block, spec, target)
    for recoil in spec.recoils:
        out[f"event {recoil.pt}"] = residual(block, spec, recoil)
    return out | {"event": {name: block.values[name] for name in spec.event}}


def _of_objects(block: Block, spec: SimulationSpec, target: Target) -> Targets:
    objects, name = target.objects, target.objects.name
    event = block.event(name)
    partner = np.full(len(event), -1)
    if target.through:
        partner = block.positions(target.through, name, target.partners)
    order = np.argsort(partner, kind="stable")
    unmatched, matched = np.split(order, [int((partner < 0).sum())])
    if target.extra_axes:
        own = block.axes(objects)[0][unmatched]
        unmatched = unmatched[falling_order(event[unmatched], own)]
    contents = content_columns(
        visible(block, spec, target), spec, target, event, block.values
    )
    learned = learned_columns(target, block.values | contents)
    extras = np.bincount(event[unmatched], minlength=block.events)
    out: Targets = {
        f"{name} extras": {EXTRAS: extras.astype(np.int16)},
        f"{name} extra properties": {
            n: learned[n][unmatched] for n in target.extra_properties
        },
    }
    if target.extra_axes:
        # The program counts phi from a direction that it knows.
        axes = zip(target.extra_axes, objects.axes, strict=True)
        out[f"{name} extra axes"] = {
            learned_as: block.values[axis][unmatched] for learned_as, axis in axes
        }
    pt = block.axes(objects)[0] if objects.axes else None
    if target.through:
        others, partner = spec.collection(target.partners), partner[matched]
        copies = np.bincount(partner, minlength=int(block.counts[others.name].sum()))
        seen = partner_columns(visible(block, spec, target), others)
        partners = {n: v[partner] for n, v in seen.items()}
        responses = {
            r.name: r.forward(block.values[r.column][matched], partners).astype(
                spec.response_dtype(r.column)
            )
            for r in target.responses
        }
        out[f"{name} found"] = {COPIES: copies.astype(np.int16)}
        out[f"{name} response"] = responses
        out[f"{name} properties"] = {n: learned[n][matched] for n in target.properties}
        for r in target.responses:
            if pt is not None and r.column == objects.axes[0]:
                # The p_T that the program will restore: objects of almost equal p_T may swap
                # places.
                pt = pt.copy()
                pt[matched] = r.inverse(responses[r.name], partners)
    # The program draws references after it has sorted the objects by p_T.
    order = np.concatenate([matched, unmatched])
    order = order[falling_order(event[order], None if pt is None else pt[order])]
    for column, other in target.references.items():
        pairs = find_neighbours(block, event, block.axes(objects), spec.collection(other))
        rank = pairs.rank(block.positions(column, name, other))
        out[f"{name} {column}"] = {column: rank[order].astype(np.int16)}
    return out
