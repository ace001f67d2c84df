"""How well densities find signal among background, on events that no model has seen.

usage: python bench/anomaly.py FILE.csv --label COL [--bound rel:1e-2] [--effort default] [--flows lattice nsf ...] [--splits 1]

The events are split 60 to 40, at random but the same each time. A model of the background is trained on the background of the
first part, one of the signal on its signal, with the lattices or transforms of the first; both score the second part. Boosted
trees that were told the labels of the first part show what there is to find. Intervals are DeLong's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import flowtuple as ft
from flowtuple.comparison.two_sample.auc import area_under_roc
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset


def supervised(
    train: dict[str, np.ndarray], test: dict[str, np.ndarray], label: str, seed: int
) -> str:
    """Area of boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = [np.stack([part[n] for n in part if n != label], axis=1) for part in (train, test)]
    trees = HistGradientBoostingClassifier(max_iter=200, learning_rate=0.05, random_state=seed)
    trees.fit(rows[0], train[label] > train[label].min())
    return str(area_under_roc(trees.predict_proba(rows[1])[:, 1], test[label] > test[label].min()))


def main() -> None:
    """Print one line for each flow and score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--label", required=True)
    parser.add_argument("--bound", default="rel:1e-2")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--flows", nargs="+", default=["lattice"])
    parser.add_argument("--splits", type=int, default=1)
    a = parser.parse_args()
    data = read_all(next(iter(open_dataset(a.source).tables.values()))).data
    for seed in range(a.splits):
        order = np.random.default_rng(seed).permutation(len(data[a.label]))
        cut = int(0.6 * len(order))
        train, test = ({n: v[part] for n, v in data.items()} for part in (order[:cut], order[cut:]))
        signal = train[a.label] > train[a.label].min()
        print(f"split {seed}: trees {supervised(train, test, a.label, seed)}", flush=True)
        for flow in a.flows:
            options = {"flow": ft.RowFlow(flow)} if flow != "lattice" else {"effort": a.effort}
            with tempfile.TemporaryDirectory() as folder:
                paths = [Path(folder) / name for name in ("background.flow", "signal.flow")]
                parts = [
                    {n: v[kind] for n, v in train.items() if n != a.label}
                    for kind in (~signal, signal)
                ]
                bound = {} if flow != "lattice" else {"tolerance": {"*": a.bound}}
                ft.train(parts[0], paths[0], **bound, **options)
                ft.train(parts[1], paths[1], like=paths[0], **options)
                scores = ft.score(paths[0], test, against=paths[1], label=a.label)
            for name, area in ft.separation(scores).items():
                print(f"split {seed}: {flow} {name} {area}", flush=True)


if __name__ == "__main__":
    main()
