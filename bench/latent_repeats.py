"""Repeated test sets: the flow is trained once, on some of the events, and codes several sets of others.

usage: python bench/latent_repeats.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--models 1 2] [--epochs 30]
           [--bits 13] [--sets 5] [--train 0.5]

Events are drawn at random for training; the others are divided evenly. R as in latent_ratio.py. Beside ours what is published,
where the scale was found anew for each set, as it is here, and the preprocessing, too, which here is that of the training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from fitted_latent import (
    ABOUT,
    PUBLISHED,
    SOURCE,
    arguments,
    asked_of,
    codes_of,
    fitted_to,
    rows_of,
    show_header,
    show_row,
)
from flattering_sizes import Flattering

from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import overall
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.data.rows import Rows

HEADINGS = ("R file", "R codes", ".npz", ".txt", "mean / std", "largest / std")


def figures(codec: LatentCodec, rows: Rows, folder: Path) -> list[float]:
    """Of one test set, in the order of the headings."""
    coded = stored.write(codec, rows, folder / "x.ref")
    flattering = Flattering.of(rows.values).ratios(
        codes_of(codec, codec.latent(rows.values), codec.bits)
    )
    codes = coded.raw_bytes / (coded.file_bytes - coded.model_bytes)
    return [coded.ratio, codes, flattering[".npz"], flattering[".txt"], *overall(coded.accuracy)]


def form(column: int) -> str:
    """How the figures under a heading are written."""
    return "{:.3f}" if HEADINGS[column].startswith(("R", ".")) else "{:.2e}"


def show_model(a: argparse.Namespace, model: int, train: Rows, tests: list[Rows]) -> None:
    """Print the rows of one model."""
    codec, _ = fitted_to(train, asked_of(a, model, a.bits), a.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = [figures(codec, rows, Path(folder)) for rows in tests]
    for number, (rows, one) in enumerate(zip(tests, found, strict=True), 1):
        show_row(
            model,
            f"set {number}, {len(rows)} rows",
            *(form(k).format(x) for k, x in enumerate(one)),
        )
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    cells = [
        f"{form(k).format(m)} +- {form(k).format(s)}"
        for k, (m, s) in enumerate(zip(mean, spread, strict=True))
    ]
    show_row(model, "mean and spread", *cells)
    if a.bits == 13:
        show_row(
            model, "published", "", "", PUBLISHED[model][".npz"], PUBLISHED[model][".txt"], "", ""
        )


def main() -> None:
    """Print a row for each test set."""
    parser = arguments(__doc__)
    parser.set_defaults(model=[1, 2])
    parser.add_argument("--models", dest="model", type=int, nargs="+")
    parser.add_argument("--bits", type=int, default=13)
    parser.add_argument("--sets", type=int, default=5)
    parser.add_argument("--train", type=float, default=0.5)
    a = parser.parse_args()
    rows = rows_of(a)
    place = np.random.default_rng(a.seed).permutation(rows.events)[rows.event] / rows.events
    train = rows.some(place < a.train)
    part = np.floor((place - a.train) / (1 - a.train) * a.sets).astype(int)
    tests = [renumbered(rows.some((place >= a.train) & (part == k))) for k in range(a.sets)]
    print(
        f"{len(train)} rows of {', '.join(rows.columns)} to train on; N = {a.bits}, {a.epochs} epochs, scale by {a.scale}"
    )
    print(f"published: {ABOUT} ({SOURCE})")
    show_header("model", "test set", *HEADINGS, text=2)
    for model in a.model:
        show_model(a, model, train, tests)


def renumbered(rows: Rows) -> Rows:
    """The same rows, events without any left out."""
    kept, event = np.unique(rows.event, return_inverse=True)
    return Rows(
        rows.source,
        rows.columns,
        rows.values,
        event,
        len(kept),
        dtypes=rows.dtypes,
        counter=rows.counter,
    )


if __name__ == "__main__":
    main()
