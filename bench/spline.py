"""Bits per row of held-out objects on one lattice: the lattice flow beside a spline flow trained for the same wall time.

usage: python bench/spline.py FILE.root[:TREE] --columns 'Jet_*' [--exclude COL ...] [--bound std:2.88e-3] [--seconds 60 600]
           [--efforts default best] [--flow nsf] [--held-out 0.2] [--inner]

Each object is a row, without its event. Every column becomes whole numbers on the lattice that the bound gives it; the spline
flow (3 transforms, 64 x 64, of zuko) is trained on these, dequantised uniformly within their cells and normal by rank, with a
cosine schedule over as many epochs as fit in the time, its best epoch kept. Its bits are a mean over places in the cells. The
lattice flow is trained at the effort named for each time, and its own wall time is printed. With --inner the same is done
within the part to train on, for the lattice flow alone: recipes are chosen by that, and not by the rows that are reported.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import flowtuple as ft
from flowtuple.data.selection import select
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset
from flowtuple.lattice.grid import ATOM
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables


def rows_of(a: argparse.Namespace) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of one collection, and the event of each row."""
    dataset = select(open_dataset(a.source), a.columns, a.exclude)
    table = read_all(next(iter(dataset.tables.values())))
    counter = next(c.counter for c in table.columns if c.counter is not None)
    columns = {
        c.name: np.asarray(table.data[c.name]) for c in table.columns if c.counter == counter
    }
    return columns, np.repeat(np.arange(table.num_entries), np.asarray(table.data[counter]))


def beside(q: np.ndarray) -> np.ndarray:
    """Indices with those of repeated values, which lie far off, next to the others."""
    off = q >= ATOM
    return np.where(off, q[~off].min(initial=0) - 1 - (q - ATOM), q)


def lattice_bits(
    train: dict, test: dict, bound: str, effort: str, folder: Path
) -> tuple[float, float]:
    """Bits per row, and seconds of training."""
    begin = time.perf_counter()
    ft.train(train, folder / "lattice.flow", tolerance={"*": bound}, effort=effort)
    seconds = time.perf_counter() - begin
    return float(np.mean(ft.score(folder / "lattice.flow", test)["bits"])), seconds


def spline_bits(
    train: dict, test: dict, flow: str, limit: float, folder: Path
) -> tuple[float, float, int]:
    """Bits per row, seconds of training, and epochs."""

    def trained(epochs: int) -> float:
        asked = ft.RowFlow(
            flow,
            training=ft.Training(epochs=epochs, patience=0),
            transforms={"*": "dequantise,gauss-rank"},
        )
        begin = time.perf_counter()
        ft.train_flow(train, folder / "rows.flow", flow=asked)
        return time.perf_counter() - begin

    one, three = trained(1), trained(3)
    epochs = max(1, int((limit - one) / ((three - one) / 2)))
    seconds = trained(epochs)
    scores = ft.score(folder / "rows.flow", test)
    return float(np.mean(scores["bits"])), seconds, epochs


def main() -> None:
    """Print a table row for each time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="+", required=True)
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60, 600])
    parser.add_argument("--efforts", nargs="+", default=["default", "best"])
    parser.add_argument("--flow", default="nsf")
    parser.add_argument("--held-out", type=float, default=0.2)
    parser.add_argument("--inner", action="store_true")
    a = parser.parse_args()
    columns, event = rows_of(a)
    if a.inner:
        kept = event < (1 - a.held_out) * (event.max() + 1)
        columns, event = {n: v[kept] for n, v in columns.items()}, event[kept]
    held = event >= (1 - a.held_out) * (event.max() + 1)
    lattices = resolve_tables(
        open_dataset({n: v[~held] for n, v in columns.items()}), {"*": a.bound}, silent
    )[0].coding.lattices
    cells = {n: beside(lattices[n].encode(v)) for n, v in columns.items()}
    known = np.all([(q >= q[~held].min()) & (q <= q[~held].max()) for q in cells.values()], axis=0)
    dropped, held = (
        int((held & ~known).sum()),
        held & known,
    )  # the spline flow has no density to speak of out there
    train = ~held & known
    print(
        f"{len(columns)} columns, {train.sum()} rows to train on, {held.sum()} held out ({dropped} left out), {a.bound}"
    )
    print(
        "| time | lattice flow, bits per row | seconds | spline flow, bits per row | seconds | epochs |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for limit, effort in zip(a.seconds, a.efforts, strict=True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            parts = [{n: v[kind] for n, v in columns.items()} for kind in (train, held)]
            ours, seconds = lattice_bits(*parts, a.bound, effort, folder)
            parts = [{n: v[kind] for n, v in cells.items()} for kind in (train, held)]
            theirs, took, epochs = (
                (np.nan, np.nan, 0) if a.inner else spline_bits(*parts, a.flow, limit, folder)
            )
        print(
            f"| {limit:.0f} s | {ours:.3f} | {seconds:.0f} ({effort}) | {theirs:.3f} | {took:.0f} | {epochs} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
