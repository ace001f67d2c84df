"""Training targets: what the steps of a simulation would have had to draw to make true events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.simulation.block import Block
from flowtuple.simulation.conditions import partner_columns
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import residual
from flowtuple.simulation.shares import energy, to_shares
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.steps import COPIES, EXTRAS, Step, falling_order

Targets = dict[str, dict[str, Array]]
"""Columns to draw, by step and name."""


class TrainingTargets:
    """A `DrawSource` that knows the true events, and records the rows of each step as a table.

    Attributes:
        columns: Columns to draw, by step and name.
        tables: By step, conditions and columns of the rows that were requested.

    Args:
        block: Events with all columns, generated and simulated.
        spec: The simulation.
    """

    def __init__(self, block: Block, spec: SimulationSpec) -> None:
        self.columns = training_targets(block, spec)
        self.tables: dict[str, Table] = {}

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        values = {name: self.columns[step.name][name] for name in columns}
        self.tables[step.name] = step_table(step, values)
        return values


def step_table(step: Step, values: Mapping[str, Array]) -> Table:
    """Return a step's conditions and other columns as a flat table without meanings of columns."""
    data = {**step.conditions, **values}
    columns = tuple(Column(name, content.dtype.name) for name, content in data.items())
    return Table(step.name, columns, len(step.event), data)


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
    name, event = target.objects.name, block.event(target.objects.name)
    partner = np.full(len(event), -1)
    if target.through:
        partner = block.positions(target.through, name, target.partners)
    unmatched = np.flatnonzero(partner < 0)
    matched = np.flatnonzero(partner >= 0)
    matched = matched[np.argsort(partner[matched], kind="stable")]
    learned = _learned(block, target)
    extras = np.bincount(event[unmatched], minlength=block.events).astype(np.int16)
    out: Targets = {
        f"{name} extras": {EXTRAS: extras},
        f"{name} extra properties": {
            n: learned[n][unmatched] for n in target.extra_properties
        },
    }
    pt = block.values[target.objects.axes[0]] if target.objects.axes else None
    if target.through:
        sizes = int(block.counts[target.partners].sum())
        copies = np.bincount(partner[matched], minlength=sizes).astype(np.int16)
        partners = {
            n: content[partner[matched]]
            for n, content in partner_columns(block, spec.collection(target.partners)).items()
        }
        responses = _responses(block, spec, target, matched, partners)
        out[f"{name} found"] = {COPIES: copies}
        out[f"{name} properties"] = {n: learned[n][matched] for n in target.properties}
        out[f"{name} response"] = responses
        for r in target.responses:
            if pt is not None and r.column == target.objects.axes[0]:
                # The p_T that the program will restore: objects of almost equal p_T may swap
                # places.
                pt = pt.copy()
                pt[matched] = r.inverse(responses[r.name], partners)
    order = np.concatenate([matched, unmatched])
    order = order[falling_order(event[order], None if pt is None else pt[order])]
    return out | _references(block, spec, target, order)


def _responses(
    block: Block,
    spec: SimulationSpec,
    target: Target,
    matched: Array,
    partners: Mapping[str, Array],
) -> dict[str, Array]:
    return {
        r.name: r.forward(block.values[r.column][matched], partners).astype(
            spec.response_dtype(r.column)
        )
        for r in target.responses
    }


def _learned(block: Block, target: Target) -> dict[str, Array]:
    """Return the columns of a collection, and what is learned in place of some."""
    out = {name: block.values[name] for name in target.objects.columns}
    if target.shares:
        total = energy([out[name] for name in (*target.objects.axes[:2], target.mass)])
        shares = to_shares([out[name] for name in target.shares], total)
        for name, share in zip(target.shares, shares, strict=True):
            out[target.learned(name)] = share.astype(np.float32)
    for name, scale in target.scales.items():
        out[target.learned(name)] = (out[name].astype(np.float64) / out[scale]).astype(
            np.float32
        )
    return out


def _references(block: Block, spec: SimulationSpec, target: Target, order: Array) -> Targets:
    """Return by column of references how many objects are nearer than the one referred to.

    The program draws references after it has sorted the objects by p_T, hence the `order`.
    """
    objects, out = target.objects, Targets()
    event = block.event(objects.name)
    for column, other in target.references.items():
        _, eta, phi = (block.values[n] for n in objects.axes)
        pairs = find_neighbours(block, event, eta, phi, spec.collection(other))
        rank = pairs.rank(block.positions(column, objects.name, other))
        out[f"{objects.name} {column}"] = {column: rank[order].astype(np.int16)}
    return out
