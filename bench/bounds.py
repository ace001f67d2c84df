"""Bounds that are physics: what it costs to keep the sides of cuts."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from commands import Columns, Script, show_header, show_row

import flowtuple as ft
from flowtuple.data.bounds import Bound

script = Script(__doc__)

CUTS = {
    "lead_pt": ("abs:0.05", (20.0, 30.0)),
    "lead_eta": ("abs:1e-3", (2.4,)),
    "met": ("rel:1e-3", (50.0,)),
    "mass": ("rel:1e-3", (60.0,)),
    "iso": ("bits:6", (0.15,)),
}
"""A bound of each column, and its cuts."""


def events(count: int, seed: int) -> Columns:
    """Return generated events, float32; one value in a thousand equals a cut of its column."""
    random = np.random.default_rng(seed)
    x = {
        "lead_pt": 15 + random.exponential(25, count),
        "lead_eta": random.normal(0, 1.8, count),
        "met": random.rayleigh(30, count),
        "mass": 91.2 + 1.25 * random.standard_cauchy(count).clip(-60, 400),
        "iso": random.exponential(0.12, count),
    }
    out = {name: values.astype("float32") for name, values in x.items()}
    for name, (_, cuts) in CUTS.items():
        here = random.random(count) < 1e-3
        out[name][here] = random.choice(cuts, here.sum()).astype("float32")
    return out


def flips(x: np.ndarray, y: np.ndarray, cut: float) -> int:
    """Return the values that any comparison with a cut sees on another side than before.

    Comparisons are those with the cut rounded to float32, as in NumPy, and in float64, as in C++.
    """
    changed = np.zeros(x.shape, bool)
    for kind in ("float32", "float64"):
        before, after, t = x.astype(kind), y.astype(kind), np.dtype(kind).type(cut)
        changed |= np.sign(before - t) != np.sign(after - t)
    return int(changed.sum())


@script.command(events=1_000_000, seed=1, effort="fast")
def cuts(a: argparse.Namespace) -> None:
    """Compare files of generated events with and without six cuts: bytes, and values that flip."""
    original = events(a.events, a.seed)
    sizes: list[dict[str, int]] = []
    flipped: list[dict[tuple[str, float], int]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kept in (False, True):
            path = Path(folder) / f"{kept}.ftup"
            tolerance = {
                name: Bound(
                    *(Bound.parse(text).kind, Bound.parse(text).amount), at * kept
                )
                for name, (text, at) in CUTS.items()
            }
            ft.compress(original, path, tolerance=tolerance, effort=a.effort)
            (table,) = ft.info(path)["tables"]
            columns = {c["name"]: c["bytes"] + c["model_bytes"] for c in table["columns"]}
            sizes.append(columns | {"file": path.stat().st_size})
            decoded = ft.decompress(path)
            flipped.append(
                {
                    (name, cut): flips(original[name], np.asarray(decoded[name]), cut)
                    for name, (_, at) in CUTS.items()
                    for cut in at
                }
            )
    print(f"{a.events:,} generated events, effort {a.effort}\n")
    headings = ("flips without", "with", "bytes without", "with", "ratio")
    show_header("column", "bound", "cut", *headings, text=3)
    for name, cut in flipped[0]:
        without, kept = (size[name] for size in sizes)
        numbers = [f[name, cut] for f in flipped]
        ratio = f"{kept / without:.4f}"
        show_row(name, CUTS[name][0], f"{cut:g}", *numbers, without, kept, ratio)
    without, kept = (size["file"] for size in sizes)
    totals = [sum(f.values()) for f in flipped]
    show_row("file", "", "", *totals, without, kept, f"{kept / without:.4f}")


if __name__ == "__main__":
    script.main()
