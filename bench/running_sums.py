"""What running sums would tell: held-out bits of momenta with and without the vector sum of the objects before.

usage: python bench/running_sums.py FILE.root[:TREE] [--prefix Jet_] [--bound std:2.88e-3] [--bytes N]

The columns PREFIX + pt, eta, phi are trained twice on four fifths of the events: with the parents of today's plan, and with
these and the size and direction of the sum of transverse momenta before, its direction from the leading object, and the
scalar sum. The last fifth is measured, objects with at least two before them. --bytes is the size of the whole file, for the
share that would be saved.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset
from flowtuple.lattice.context import RowSet
from flowtuple.runtime.progress import silent
from flowtuple.training.conditioners import Schedule, float_bits, train_conditioners
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.plan import ColumnTask, make_plan
from flowtuple.training.relations import find_predictions
from flowtuple.training.train import batch_size, hidden_widths


def running_sums(pt: Array, phi: Array, rows: RowSet) -> Array:
    """Levels of what the objects before each one add up to: uint8, shape (4, n), in row order."""
    px, py, scalar = (_before(x, rows) for x in (pt * np.cos(phi), pt * np.sin(phi), pt))
    direction, leading = (
        np.arctan2(-py, -px),
        np.repeat(phi[rows.begin[rows.counts > 0]], rows.counts[rows.counts > 0]),
    )
    sums = [np.hypot(px, py), direction, np.remainder(direction - leading, 2 * np.pi), scalar]
    return np.stack([_levels(rows.sort(x)) for x in sums])


def _before(stored: Array, rows: RowSet) -> Array:
    total = np.cumsum(stored) - stored
    return total - np.repeat(total[np.minimum(rows.begin, len(total) - 1)], rows.counts)


def _levels(x: Array) -> Array:
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 256)[1:-1]))
    return np.searchsorted(edges, x, side="right").astype(np.uint8)


def tasks(source: str, prefix: str, bound: str) -> tuple[ColumnTask, ColumnTask, RowSet]:
    """The task of the three columns as it is planned today, and with running sums; rows of their collection."""
    dataset = open_dataset(source)
    prepared = resolve_tables(dataset, {"*": bound}, silent)[0]
    table, lattices = read_all(prepared.source), prepared.coding.lattices
    plan = make_plan(table, lattices, find_predictions(table, lattices))
    names = [prefix + quantity for quantity in ("pt", "eta", "phi")]
    whole = next(task for task in plan.tasks if names[0] in {c.name for c in task.candidates})
    task = replace(whole, candidates=tuple(c for c in whole.candidates if c.name in names))
    counter = next(c.counter for c in table.columns if c.name == names[0])
    rows = RowSet(table.data[counter].astype(np.int64))
    pt, phi = (table.data[name].astype(np.float64) for name in (names[0], names[2]))
    features = np.concatenate([task.features, running_sums(pt, phi, rows)])
    added = tuple(range(len(task.features), len(features)))
    longer = tuple(replace(c, inputs=c.inputs + added) for c in task.candidates)
    return task, replace(task, candidates=longer, features=features), rows


def part(task: ColumnTask, chosen: Array) -> ColumnTask:
    """A task with some of its rows."""
    candidates = tuple(replace(c, coded=c.coded[chosen]) for c in task.candidates)
    return ColumnTask(
        candidates, np.ascontiguousarray(task.features[:, chosen]), task.event[chosen]
    )


def held_out_bits(task: ColumnTask, measured: Array, steps: int) -> Array:
    """Bits per value of each candidate on the chosen rows of the last fifth of the events."""
    trained = task.event < 0.8 * task.event.max()
    schedule = Schedule(steps, batch_size(len(task.event)))
    model = train_conditioners(
        part(task, trained),
        hidden_widths(len(task.event), 1.0),
        schedule,
        0,
        lambda step, bits: None,
    )
    return float_bits(model, part(task, ~trained & measured), slice(None))


def main() -> None:
    """Print a table row per way to code a column."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--prefix", default="Jet_")
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--bytes", type=int, default=0)
    a = parser.parse_args()
    torch.set_num_threads(1)
    today, longer, rows = tasks(a.source, a.prefix, a.bound)
    later = rows.number >= 2
    before, after = (held_out_bits(task, later, a.steps) for task in (today, longer))
    print(f"{int(later.sum())} of {len(later)} objects have two or more before them")
    print("| column | coded | bits today | bits with running sums | saved | of the file |")
    print("|---|---|---:|---:|---:|---:|")
    for c, x, y in zip(today.candidates, before, after, strict=True):
        share = f"{(x - y) * later.sum() / 8 / a.bytes:.2%}" if a.bytes else ""
        print(
            f"| {c.name} | {'residual' if c.flow.residual else 'index'} | {x:.3f} | {y:.3f} | {x - y:.4f} | {share} |"
        )


if __name__ == "__main__":
    main()
