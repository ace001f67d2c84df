"""The flow of FlashSim beside the lattice flow: properties of reconstructed objects drawn given their generated partners.

usage: python bench/flashsim.py FILE.root:TREE [--seconds 600] [--effort default] [--flow flashsim] [--hidden 64] [--blocks 2]
           [--bins 32] [--objects Jet:GenJet:Jet_genJetIdx Muon:GenMuon:Muon_genMuonIdx] [--exclude COL ...]

A row is a reconstructed object with a partner: its columns, p_T, eta and phi as ratio and differences to the partner's, given
the partner's columns and the pile-up. Both flows learn from the first half of the events and draw for the conditions of the
third quarter; both are held against the true objects of the last quarter, and beside them the true ones of the third, which
nothing can beat. The flow over rows is trained with a cosine schedule over as many epochs as fit in the time, which a training
on a tenth of the rows foretells; the lattice flow takes the time of its effort, which is printed.

Printed: area under the ROC curve of gradient-boosted trees (as in bench/simulate.py) on columns and conditions together, and
the largest excess of a column's Wasserstein-1 distance, in units of its std, over that of real against real.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

import flowtuple as ft
from flowtuple.comparison.closure.distances import find_distances
from flowtuple.comparison.two_sample.cross_fitting import joint_area
from flowtuple.data.rows import Rows as Matrix

SUMS = ["Jet_chEmE", "Jet_chMuE", "Jet_chN", "Jet_neN", "Jet_neEmE"]
QUARTERS = 4
TENTH, FEWEST = 10, 4096  # rows that foretell the time

Rows = dict[str, np.ndarray]


def pairs(
    events: ak.Array, reco: str, gen: str, through: str, exclude: list[str]
) -> tuple[Rows, list[str], np.ndarray]:
    """Columns of the rows, names of the conditions, and the event of each row."""
    index = events[through]
    has = index >= 0
    own = [
        n
        for n in events.fields
        if n.startswith(f"{reco}_") and n not in (through, *exclude) and events[n].ndim == 2
    ]
    theirs = [n for n in events.fields if n.startswith(f"{gen}_")]
    columns = {n: ak.to_numpy(ak.flatten(events[n][has])) for n in own}
    given = {n: ak.to_numpy(ak.flatten(events[n][index[has]])) for n in theirs}
    given["Pileup_nPU"] = ak.to_numpy(
        ak.flatten(ak.broadcast_arrays(events["Pileup_nPU"], index)[0][has])
    )
    pt, eta, phi = (columns.pop(f"{reco}_{q}") for q in ("pt", "eta", "phi"))
    turn = phi.astype(np.float64) - given[f"{gen}_phi"]
    columns |= {
        f"{reco}_ptRatio": pt / given[f"{gen}_pt"],
        f"{reco}_etaMinusGen": eta - given[f"{gen}_eta"],
    }
    columns[f"{reco}_phiMinusGen"] = ((turn + np.pi) % (2 * np.pi) - np.pi).astype(np.float32)
    return (
        columns | given,
        list(given),
        np.repeat(np.arange(len(events)), ak.to_numpy(ak.sum(has, axis=1))),
    )


def part(rows: Rows, kept: np.ndarray) -> Rows:
    """Some of the rows."""
    return {name: values[kept] for name, values in rows.items()}


def train_flow(
    rows: Rows, given: list[str], a: argparse.Namespace, path: Path
) -> tuple[float, int]:
    """Seconds of training, and epochs."""

    def trained(some: Rows, epochs: int) -> float:
        shape = ft.Shape(hidden=(a.hidden, a.hidden), bins=a.bins, blocks=a.blocks)
        training = ft.Training(
            epochs=epochs, patience=0, schedule="cosine", learning_rate=a.learning_rate
        )
        begin = time.perf_counter()
        ft.train_flow(some, path, given=given, flow=ft.RowFlow(a.flow, shape, training))
        return time.perf_counter() - begin

    count = len(rows[given[0]])
    few = min(count, max(count // TENTH, FEWEST))
    some = {name: values[:few] for name, values in rows.items()}
    one, three = trained(some, 1), trained(some, 3)
    epoch = (three - one) / 2 * steps(count) / steps(few)
    epochs = max(1, int((a.seconds - one) / max(epoch, 1e-3)))
    return trained(rows, epochs), epochs


def as_sample(rows: Rows, names: list[str], event: np.ndarray) -> Matrix:
    """Some of the columns as the referee reads them."""
    values = np.stack([np.asarray(rows[n], np.float64) for n in names], axis=1)
    return Matrix("rows", tuple(names), values, event, int(event.max()) + 1)


def area(one: Matrix, other: Matrix) -> float:
    """Area under the ROC curve of boosted trees."""
    return joint_area(other, one, seed=0).value


def distances(one: Matrix, other: Matrix) -> np.ndarray:
    """Wasserstein-1 of each column in units of its std, NaN where there are hardly any values."""
    found = {d.column: d.w1 for d in find_distances(other, one)}
    return np.array([found.get(name, np.nan) for name in one.columns])


def steps(rows: int) -> int:
    """Of an epoch."""
    usual = ft.Training()
    return -(-int(rows * (1 - usual.held_out)) // usual.batch)


def judge(events: ak.Array, text: str, a: argparse.Namespace, folder: Path) -> None:
    """Train both flows on the objects of one kind, draw, and print a row of the table for each."""
    rows, given, event = pairs(events, *text.split(":"), a.exclude)
    quarter = event * QUARTERS // len(events)
    train, third, last = part(rows, quarter < 2), part(rows, quarter == 2), part(rows, quarter == 3)
    names, targets = list(rows), [n for n in rows if n not in given]
    conditions = {n: third[n] for n in given}
    begin = time.perf_counter()
    fine = {n: "std:1e-5" for n in targets if train[n].dtype.kind == "f"}
    ft.train(train, folder / "lattice.flow", given=given, tolerance=fine, effort=a.effort)
    lattice = time.perf_counter() - begin
    seconds, epochs = train_flow(train, given, a, folder / "rows.flow")
    other = as_sample(last, names, event[quarter == 3])
    real = as_sample(third, names, event[quarter == 2])
    limit = distances(as_sample(third, targets, real.event), as_sample(last, targets, other.event))
    kind = text.partition(":")[0]
    print(
        f"{kind}: {len(targets)} columns given {len(given)}; {len(train[names[0]])} rows learned from, {len(other)} judge"
    )
    print(f"| {kind} | real | | {area(real, other):.4f} | | |", flush=True)
    for label, path, took in (
        (f"lattice flow ({a.effort})", "lattice.flow", f"{lattice:.0f} s"),
        (f"{a.flow}", "rows.flow", f"{seconds:.0f} s ({epochs} epochs)"),
    ):
        drawn = ft.sample(folder / path, given=conditions, seed=1)
        made = {n: ak.to_numpy(drawn[n]) for n in targets} | conditions
        excess = (
            distances(as_sample(made, targets, real.event), as_sample(last, targets, other.event))
            - limit
        )
        worst = int(np.nanargmax(excess))
        found = area(as_sample(made, names, real.event), other)
        print(
            f"| {kind} | {label} | {took} | {found:.4f} | {excess[worst]:.3f} | {targets[worst]} |",
            flush=True,
        )


def main() -> None:
    """Print a table row for each kind of objects and flow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--effort", default="default")
    parser.add_argument("--flow", default="flashsim")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--bins", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--objects", nargs="+", default=["Jet:GenJet:Jet_genJetIdx", "Muon:GenMuon:Muon_genMuonIdx"]
    )
    parser.add_argument("--exclude", nargs="*", default=SUMS)
    a = parser.parse_args()
    path, _, tree = a.source.rpartition(":")
    events = uproot.open(path)[tree].arrays()
    print("| objects | flow | training | AUC against real | largest excess of W1 | of |")
    print("|---|---|---:|---:|---:|---|")
    for text in a.objects:
        with tempfile.TemporaryDirectory() as name:
            judge(events, text, a, Path(name))


if __name__ == "__main__":
    main()
