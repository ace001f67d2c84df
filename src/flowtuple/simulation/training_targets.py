"""Events that are known, as the steps of a simulation would have made them: what its densities learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.simulation.block import Block
from flowtuple.simulation.conditions import of_themselves
from flowtuple.simulation.neighbours import find_neighbours
from flowtuple.simulation.recoil import left, positions
from flowtuple.simulation.shares import energy, to_shares
from flowtuple.simulation.spec import SimulationSpec, Target
from flowtuple.simulation.steps import EXTRAS, FOUND, Step, falling_order

Answers = dict[str, dict[str, Array]]


class TrainingTargets:
    """A source of what is true, which keeps the rows of each step as a table.

    Attributes:
        tables: By step, conditions and what was asked, of all rows since the beginning.

    Args:
        block: Events with all columns, given and simulated.
        recipe: What is simulated.
    """

    def __init__(self, block: Block, spec: SimulationSpec) -> None:
        self._answers = training_targets(block, spec)
        self.tables: dict[str, Table] = {}

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        found = {name: self._answers[step.name][name] for name in columns}
        self.tables[step.name] = as_table(step, found)
        return found


def as_table(step: Step, found: Mapping[str, Array]) -> Table:
    """A step's conditions and what was found as a flat table; what its columns mean is of no account any more."""
    data = {**step.conditions, **found}
    return Table(
        step.name,
        tuple(Column(n, content.dtype.name) for n, content in data.items()),
        len(step.event),
        data,
    )


def training_targets(block: Block, spec: SimulationSpec) -> Answers:
    """By step and column, what is true."""
    out: Answers = {}
    for target in spec.targets:
        out |= _of_objects(block, spec, target)
    for recoil in spec.recoils:
        out[f"event {recoil.pt}"] = left(block, spec, recoil)
    return out | {"event": {name: block.values[name] for name in spec.event}}


def _of_objects(block: Block, spec: SimulationSpec, target: Target) -> Answers:
    name, event = target.objects.name, block.event(target.objects.name)
    partner = (
        positions(block, target.through, event, target.partners)
        if target.through
        else np.full(len(event), -1)
    )
    without = np.flatnonzero(partner < 0)
    learned = _learned(block, target)
    out: Answers = {
        f"{name} extras": {
            EXTRAS: np.bincount(event[without], minlength=block.events).astype(np.int16)
        },
        f"{name} extra properties": {n: learned[n][without] for n in target.alone},
    }
    found = np.flatnonzero(partner >= 0)
    found = found[np.argsort(partner[found], kind="stable")]
    pt = block.values[target.objects.axes[0]] if target.objects.axes else None
    if target.through:
        out[f"{name} found"] = {
            FOUND: np.bincount(partner[found], minlength=_size(block, target.partners)).astype(
                np.int16
            )
        }
        out[f"{name} properties"] = {n: learned[n][found] for n in target.properties}
        response = out[f"{name} response"] = {}
        themselves = of_themselves(block, spec.collection(target.partners))
        partners = {n: content[partner[found]] for n, content in themselves.items()}
        for r in target.responses:
            response[r.name] = r.forward(block.values[r.column][found], partners).astype(
                spec.learned_dtype(r.column)
            )
            if pt is not None and r.column == target.objects.axes[0]:
                pt = pt.copy()
                pt[found] = r.inverse(
                    response[r.name], partners
                )  # objects of all but equal p_T may change places
    arranged = np.concatenate([found, without])
    order = arranged[falling_order(event[arranged], None if pt is None else pt[arranged])]
    return out | _references(block, spec, target, order)


def _learned(block: Block, target: Target) -> dict[str, Array]:
    """The columns of a collection, and what is learned in place of some."""
    out = {name: block.values[name] for name in target.objects.columns}
    if target.shares:
        total = energy([out[name] for name in (*target.objects.axes[:2], target.mass)])
        shares = to_shares([out[name] for name in target.shares], total)
        out |= {
            target.learned(n): share.astype(np.float32)
            for n, share in zip(target.shares, shares, strict=True)
        }
    for name, scale in target.scales.items():
        out[target.learned(name)] = (out[name].astype(np.float64) / out[scale]).astype(np.float32)
    return out


def _references(block: Block, spec: SimulationSpec, target: Target, order: Array) -> Answers:
    """Of each column of references how many objects are nearer than the one referred to; rows in an order of their own."""
    objects, out = target.objects, Answers()
    event = block.event(objects.name)
    for column, name in target.references.items():
        _, eta, phi = (block.values[n] for n in objects.axes)
        rank = find_neighbours(block, event, eta, phi, spec.collection(name)).rank(
            positions(block, column, event, name)
        )
        out[f"{objects.name} {column}"] = {column: rank[order].astype(np.int16)}
    return out


def _size(block: Block, collection: str) -> int:
    return int(block.counts[collection].sum())
