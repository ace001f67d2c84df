"""Sizes of files, and the most that further dependence between values could save."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from commands import Script, show_header, show_row

import flowtuple as ft
from flowtuple.data.schema import Array
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset
from flowtuple.lattice.bins import fit_bins
from flowtuple.lattice.rows import RowSet
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.report import totals
from flowtuple.runtime.progress import silent
from flowtuple.samples import sample_path
from flowtuple.training.conditioners import Schedule, float_bits, train_conditioners
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.plan import ColumnTask, make_plan
from flowtuple.training.relations import find_predictions
from flowtuple.training.selection import information
from flowtuple.training.train import batch_size, hidden_widths

LEAST = 0.003  # bits; below, it is noise
SIZES = (
    "bits_per_value",
    "bytes",
    "model_bytes",
    "gzip",
    "quantise+pcodec",
    "violations",
)
script = Script(__doc__)


@script.command("files*", bound=["lossless", "std:2.88e-3", "rel:1e-3"], effort="default")
def files(a: argparse.Namespace) -> None:
    """Compare the bytes of flowtuple with other codecs on the same values at the same bounds.

    Every byte of the file of flowtuple is counted; the others count their payload only: no
    container, no header. Without files the embedded sample is measured.
    """
    headings = (
        "bits/value",
        "bytes",
        "model",
        "gzip",
        "quantise+pcodec",
        "outside bound",
    )
    show_header("file", "bound", *headings, "flowtuple / q+pcodec", text=2)
    for path in map(Path, a.files or [sample_path()]):
        for bound in a.bound:
            row = measure_file(path, bound, a.effort)
            numbers = [f"{row['bits_per_value']:.3f}", *(row[name] for name in SIZES[1:])]
            show_row(
                path.name, bound, *numbers, f"{row['bytes'] / row['quantise+pcodec']:.4f}"
            )


def measure_file(path: Path, bound: str, effort: str) -> dict[str, Any]:
    """Return sizes in bytes and ratios for one file at one bound."""
    tolerance = {} if bound == "lossless" else {"*": bound}
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "out.ftup"
        ft.compress(path, packed, tolerance=tolerance, effort=effort)
        with ft.open(packed) as file:
            return totals(report_input(open_dataset(path), file, ""))


# -- the row before -------------------------------------------------------------------------------


@script.command("sources+", bound="std:2.88e-3", effort="fast")
def row_before(a: argparse.Namespace) -> None:
    """Measure what the row before would save on event columns, against their cost.

    Printed for each file: bytes of its event columns and of its ids, as shares of the file; and the
    most that the row before could save, which is the information between the levels of a column in
    one event and the event before, bias corrected, no more than the cost of the column. Columns
    that pcodec stores see earlier rows already, as differences, so that they are listed separately.
    """
    saved = ("largest saving, columns of the flow", "other columns")
    show_header("file", "bytes", "event columns", "of them ids", *saved)
    for source in a.sources:
        whole, *parts = measure_columns(source, a.bound, a.effort)
        show_row(Path(source).name, f"{whole:.0f}", *(f"{x / whole:.2%}" for x in parts))


def measure_columns(source: str, bound: str, effort: str) -> list[float]:
    """Return bytes of file, event columns and ids, and savings at flow and other columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.ftup"
        whole = ft.compress(
            source, path, tolerance={"*": bound}, effort=effort
        ).file_bytes
        stored = {t["name"]: t["columns"] for t in ft.info(path)["tables"]}
    total = ids = flow = others = 0.0
    for prepared in resolve_tables(open_dataset(source), {"*": bound}, silent):
        table = read_all(prepared.source)
        columns = {c.name: c for c in table.columns}
        for entry in stored[table.name]:
            column = columns[entry["name"]]
            if column.is_opaque or column.shape or column.counter is not None:
                continue
            total += entry["bytes"]
            ids += entry["bytes"] if column.role == "id" else 0
            q = prepared.coding.lattices[column.name].encode(table.data[column.name])
            level = fit_bins(q, 40).level
            bits = (
                information(level(q[1:]), level(q[:-1])[None])[0] if len(q) > 1 else 0.0
            )
            saved = min(entry["bytes"], max(0.0, bits - LEAST) * len(q) / 8)
            if "flow" in entry["methods"]:
                flow += saved
            else:
                others += saved
    return [float(whole), total, ids, flow, others]


# -- running sums ---------------------------------------------------------------------------------


@script.command("source", prefix="Jet_", bound="std:2.88e-3", steps=2000, bytes=0)
def running_sums(a: argparse.Namespace) -> None:
    """Measure held-out bits of momenta with and without the vector sum of the objects before.

    The columns PREFIX + pt, eta, phi are trained twice on four fifths of the events: with the
    parents of today's plan, and with these and the size and direction of the sum of transverse
    momenta before, its direction from the leading object, and the scalar sum. The last fifth is
    measured, objects with at least two before them. --bytes is the size of the whole file, for the
    share that would be saved.
    """
    torch.set_num_threads(1)
    today, longer, rows = plan_tasks(a.source, a.prefix, a.bound)
    later = rows.number >= 2
    before, after = (held_out_bits(task, later, a.steps) for task in (today, longer))
    print(f"{int(later.sum())} of {len(later)} objects have two or more before them")
    show_header(
        "column",
        "coded",
        "bits today",
        "bits with running sums",
        "saved",
        "of the file",
        text=2,
    )
    for c, x, y in zip(today.candidates, before, after, strict=True):
        share = f"{(x - y) * later.sum() / 8 / a.bytes:.2%}" if a.bytes else ""
        coded = "residual" if c.flow.residual else "index"
        show_row(c.name, coded, f"{x:.3f}", f"{y:.3f}", f"{x - y:.4f}", share)


def plan_tasks(
    source: str, prefix: str, bound: str
) -> tuple[ColumnTask, ColumnTask, RowSet]:
    """Return the task of the columns as planned, with running sums, and rows of the collection."""
    prepared = resolve_tables(open_dataset(source), {"*": bound}, silent)[0]
    table, lattices = read_all(prepared.source), prepared.coding.lattices
    plan = make_plan(table, lattices, find_predictions(table, lattices))
    names = [prefix + quantity for quantity in ("pt", "eta", "phi")]
    whole = next(
        task for task in plan.tasks if names[0] in {c.name for c in task.candidates}
    )
    task = replace(
        whole, candidates=tuple(c for c in whole.candidates if c.name in names)
    )
    counter = next(c.counter for c in table.columns if c.name == names[0])
    rows = RowSet(table.data[counter].astype(np.int64))
    pt, phi = (table.data[name].astype(np.float64) for name in (names[0], names[2]))
    features = np.concatenate([task.features, sum_levels(pt, phi, rows)])
    added = tuple(range(len(task.features), len(features)))
    longer = tuple(replace(c, inputs=c.inputs + added) for c in task.candidates)
    return task, replace(task, candidates=longer, features=features), rows


def sum_levels(pt: Array, phi: Array, rows: RowSet) -> Array:
    """Return levels of the sums over the objects before each one: uint8, shape (4, n), by row."""
    px, py, scalar = (
        sum_before(x, rows) for x in (pt * np.cos(phi), pt * np.sin(phi), pt)
    )
    direction = np.arctan2(-py, -px)
    filled = rows.counts > 0
    leading = np.repeat(phi[rows.begin[filled]], rows.counts[filled])
    sums = [
        np.hypot(px, py),
        direction,
        np.remainder(direction - leading, 2 * np.pi),
        scalar,
    ]
    return np.stack([levels(rows.sort(x)) for x in sums])


def sum_before(stored: Array, rows: RowSet) -> Array:
    """Return the sum over the objects of the event before each one."""
    total = np.cumsum(stored) - stored
    return total - np.repeat(total[np.minimum(rows.begin, len(total) - 1)], rows.counts)


def levels(x: Array) -> Array:
    """Return the number of the quantile that each value lies in."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, 256)[1:-1]))
    return np.searchsorted(edges, x, side="right").astype(np.uint8)


def held_out_bits(task: ColumnTask, measured: Array, steps: int) -> Array:
    """Return bits per value of each candidate on rows of the last fifth of the events."""
    trained = task.event < 0.8 * task.event.max()
    count = len(task.event)
    schedule, widths = Schedule(steps, batch_size(count)), hidden_widths(count, 1.0)
    train = task_rows(task, trained)
    model = train_conditioners(train, widths, schedule, 0, lambda step, bits: None)
    return float_bits(model, task_rows(task, ~trained & measured), slice(None))


def task_rows(task: ColumnTask, chosen: Array) -> ColumnTask:
    """Return a task with some of its rows."""
    candidates = tuple(replace(c, coded=c.coded[chosen]) for c in task.candidates)
    features = np.ascontiguousarray(task.features[:, chosen])
    return ColumnTask(candidates, features, task.event[chosen])


if __name__ == "__main__":
    script.main()
