"""How well a model's events pass for real ones, and how fast they come.

usage: python bench/generate.py FILE.root[:TREE] [--columns 'Jet_*'] [--bound std:2.88e-3] [--effort default] [--rows 20000]
           [--repeat 3] [--held-out 0.2]

The model is trained on the first 80 % of the events; a classifier (gradient-boosted trees, 200 rounds, learning rate 0.05,
half of the rows to train on, half to judge by) then has to tell the others from events drawn. Its accuracy is 0.5 where
it cannot; every repetition draws other events. Beside it: real rows against real ones, and real rows against rows whose
columns were shuffled. The rate is that of whole events drawn in memory; the rival is an autoregressive rational-quadratic
spline flow of zuko (3 transforms, 64 x 64), which an untrained network does not make slower.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import awkward as ak
import numpy as np

import flowtuple as ft
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.selection import select
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset


def rows_of(events: ak.Array, names: list[str]) -> np.ndarray:
    """One row an object, or an event."""
    return np.stack(
        [np.asarray(ak.flatten(events[name], axis=None), np.float64) for name in names], axis=1
    )


def names_of(drawn: ak.Array, events: ak.Array) -> list[str]:
    """The columns whose values are the rows: those of the last column's kind."""
    return [n for n in drawn.fields if events[n].ndim == events[drawn.fields[-1]].ndim]


def accuracy(real: np.ndarray, other: np.ndarray, rows: int, seed: int) -> float:
    """Share of held-out rows that a classifier puts on the right side."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    draw = np.random.default_rng(seed)
    half = min(rows, len(real), len(other))
    x = np.concatenate(
        [real[draw.permutation(len(real))[:half]], other[draw.permutation(len(other))[:half]]]
    )
    y = np.repeat([0, 1], half)
    order = draw.permutation(len(x))
    train, test = order[:half], order[half:]
    judge = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, random_state=seed).fit(
        x[train], y[train]
    )
    return float(np.mean(judge.predict(x[test]) == y[test]))


def spline_rate(columns: int, rows: int = 4096) -> float:
    """Rows per second that zuko's autoregressive spline flow draws."""
    import torch
    import zuko

    flow = zuko.flows.NSF(columns, transforms=3, hidden_features=(64, 64))
    with torch.no_grad():
        flow().sample((256,))
        begin = time.perf_counter()
        flow().sample((rows,))
    return rows / (time.perf_counter() - begin)


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=["*"])
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--held-out", type=float, default=0.2)
    a = parser.parse_args()
    source = select(open_dataset(a.source), a.columns)
    events = table_to_awkward(read_all(next(iter(source.tables.values()))))
    cut = round((1 - a.held_out) * len(events))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.flow"
        begin = time.perf_counter()
        ft.train(events[:cut], model, tolerance={"*": a.bound}, effort=a.effort)
        trained = time.perf_counter() - begin
        real = ft.snap(events[cut:], model=model)
        ft.sample(model, 2000, seed=1)
        begin = time.perf_counter()
        drawn = ft.sample(model, len(events) - cut, seed=0)
        seconds = time.perf_counter() - begin
        more = [
            rows_of(ft.sample(model, len(events) - cut, seed=k), names_of(drawn, events))
            for k in range(1, a.repeat)
        ]
        size = model.stat().st_size
    names = names_of(drawn, events)
    x, y = rows_of(real, names), rows_of(drawn, names)
    draw = np.random.default_rng(0)
    shuffled = np.stack([draw.permutation(x[:, k]) for k in range(x.shape[1])], axis=1)
    split = draw.permutation(len(x))
    pairs = {
        "real": [(x[split[::2]], x[split[1::2]])] * a.repeat,
        "drawn": [(x, other) for other in (y, *more)],
        "shuffled": [(x, shuffled)] * a.repeat,
    }
    out = [f"trained in {trained:.1f} s, model {size} bytes, {len(names)} columns"]
    for label, samples in pairs.items():
        found = [accuracy(*pair, a.rows, seed) for seed, pair in enumerate(samples)]
        out.append(
            f"real against {label}: accuracy {np.mean(found):.4f} +- {np.std(found):.4f} ({a.repeat} times)"
        )
    rate = len(y) / seconds
    out.append(
        f"drawn: {rate:.0f} rows/s of {len(names)} columns; zuko's spline flow: {spline_rate(len(names)):.0f} rows/s"
    )
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
