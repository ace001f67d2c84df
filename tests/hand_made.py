"""Flows made by hand, so that tests have small files with a flow in them and need no training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowtuple.assemble import add_models, description
from flowtuple.codec.column import TableCoding
from flowtuple.container.file import create
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Parent, Rows, collection_counts
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.prepare import Prepared, prepare
from flowtuple.progress import silent
from flowtuple.table import Dataset, Table

Parents = dict[str, Sequence[Parent]]


def follow_first_parent(parents: int, bins: Bins, mixed: int) -> Network:
    """A network that expects the first parent's level: z = (c level - c^2) / 2 is largest where c = level / 2.

    The hidden layer copies every level, adds the constants 16 and 1 (a bias alone counts in steps of 255) and `mixed` units of
    both signs that the logits read faintly.
    """
    draw = np.random.default_rng(parents + mixed)
    copies = np.concatenate([64 * np.eye(parents), np.zeros((parents, 1))], axis=1)
    constants = np.zeros((2, parents + 1))
    constants[:, -1] = 1
    other = draw.integers(-90, 91, (mixed, parents + 1))
    shifts = np.array([6] * parents + [4, 8] + [7] * mixed, np.uint8)
    centres = ((np.arange(bins.symbols) + 0.5) * 127.5 / bins.symbols).astype(np.int64)
    steps, rest = np.divmod(centres**2, 255)
    shape = bins.symbols, parents + 2 + mixed + 1
    faint = draw.integers(-1, 2, shape) * (draw.random(shape) < 0.1)
    faint[:, 0], faint[:, parents], faint[:, parents + 1], faint[:, -1] = centres, -(rest // 16), -(rest % 16), -steps
    hidden = Layer(np.concatenate([copies, constants, other]).astype(np.int8), shifts)
    return Network((hidden, Layer(faint.astype(np.int8), np.full(bins.symbols, 1, np.uint8))))


def make_flow(table: Table, coding: TableCoding, parents: Parents, bins: int = 12, mixed: int = 2) -> LatticeFlow:
    """A flow in which the columns of `parents` follow the first of them; columns that are only read have bins alone."""
    read = {p.column for ps in parents.values() for p in ps if p.column}
    columns = {}
    for column in coding.columns:
        if column.name not in read | set(parents):
            continue
        rows = Rows(collection_counts(column, table.data, table.num_entries))
        q = coding.lattices[column.name].encode(table.data[column.name].reshape(-1))[rows.order]
        placed = fit_bins(q, bins)
        given = tuple(parents.get(column.name, ()))
        network = follow_first_parent(len(given), placed, mixed) if given else None
        columns[column.name] = ColumnFlow(placed, given, network)
    return LatticeFlow(columns)


def write_model(table: Table, path: Path, parents: Parents, tolerance: dict[str, str]) -> LatticeFlow:
    """A `.flow` file for a table, as `train` would write it, with a flow made by hand."""
    (prepared,) = prepare(Dataset("by hand", {table.name: table}), tolerance, silent)
    flow = make_flow(table, prepared.coding, parents)
    coding = TableCoding(prepared.coding.columns, prepared.coding.lattices, flow)
    prepared = Prepared(table, coding, prepared.asked)
    with create(path) as writer:
        add_models(writer, [prepared])
        writer.finish(description([prepared], [], {"flowtuple": "by hand"}, entries=False))
    return flow


def dependent_events(events: int, seed: int) -> dict[str, object]:
    """Events with columns that tell about one another: b follows a, the jets' pt follows a, their eta follows their pt."""
    draw = np.random.default_rng(seed)
    a = draw.normal(50, 10, events).astype(np.float32)
    b = (a + draw.normal(0, 0.5, events)).astype(np.float32)
    counts = draw.integers(0, 4, events)
    a_of_jet = np.repeat(a, counts)
    pt = (a_of_jet + draw.normal(0, 0.2, len(a_of_jet))).astype(np.float32)
    eta = (pt / 20 + draw.normal(0, 0.05, len(pt))).astype(np.float32)
    ends = np.cumsum(counts)[:-1]
    return {"a": a, "b": b, "Jet_pt": np.split(pt, ends), "Jet_eta": np.split(eta, ends)}


DEPENDENT_PARENTS: Parents = {
    "b": (Parent("row", "a"),),
    "Jet_pt": (Parent("event", "a"), Parent("event", "b"), Parent("index")),
    "Jet_eta": (Parent("row", "Jet_pt"), Parent("index"), Parent("event", "a")),
}
DEPENDENT_TOLERANCE = {"*": "abs:0.01"}
