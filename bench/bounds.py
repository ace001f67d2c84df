"""Bounds that are physics: the cost of cuts, and the gain of bounds that follow resolutions."""

from __future__ import annotations

import argparse
import math
import tempfile
from fractions import Fraction
from pathlib import Path

import awkward as ak
import numpy as np
from commands import Columns, Script, first_table, show_header, show_row

import flowtuple as ft
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Table

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


@script.command("files+", factor=0.1, effort="fast", columns=[str])
def sigma(a: argparse.Namespace) -> None:
    """Compare sigma bounds with the widest abs and rel that keep every value within the same.

    Columns with a column of the same name and Err are measured, beside that column alone, which is
    lossless. Bytes are those of the column, its part of the model included.
    """
    print(f"sigma:{a.factor:g}, effort {a.effort}\n")
    headings = (
        "values",
        "outside",
        "sigma",
        "widest abs",
        "widest rel",
        "lossless",
        "ratio",
    )
    show_header("file", "column", *headings, text=2)
    for path in a.files:
        table = first_table(path)
        names = {c.name for c in table.columns}
        for name in sorted(names):
            error = f"{name}Err"
            if error in names and (not a.columns or name in a.columns):
                compare_bounds(Path(path).name, table, name, error, a)


def compare_bounds(
    source: str, table: Table, name: str, error: str, a: argparse.Namespace
) -> None:
    """Show the bytes of one column at each bound."""
    x, s = table.data[name].reshape(-1), table.data[error].reshape(-1)
    usable = np.isfinite(x) & np.isfinite(s) & (s > 0)
    allowed = Bound("sigma", a.factor, resolution=error).largest_difference(x, {error: s})
    with np.errstate(divide="ignore"):
        relative = float(
            (allowed / np.abs(x.astype(np.float64)))[usable].min(initial=0.99)
        )
    bounds = {
        "sigma": f"sigma:{a.factor!r}@{error}",
        "abs": f"abs:{float(allowed[usable].min(initial=math.inf))!r}",
        "rel": f"rel:{float(np.nextafter(relative, 0.0))!r}",
        "lossless": "lossless",
    }
    counter = table.column(name).counter
    events = {name: x, error: s}
    if counter is not None:
        counts = table.data[counter]
        events = {n: ak.unflatten(v, counts) for n, v in events.items()}
    sizes, outside = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.ftup"
        for kind, bound in bounds.items():
            ft.compress(events, path, tolerance={name: bound}, effort=a.effort)
            (stored,) = ft.info(path)["tables"]
            sizes[kind] = sum(
                c["bytes"] + c["model_bytes"]
                for c in stored["columns"]
                if c["name"] == name
            )
            if kind == "sigma":
                decoded = ft.decompress(path)
                y, t = (
                    np.asarray(ak.flatten(decoded[n], axis=None)) for n in (name, error)
                )
                outside = count_outside(x, y, t, a.factor)
    widest = min(sizes["abs"], sizes["rel"])
    numbers = [sizes[kind] for kind in bounds]
    show_row(source, name, len(x), outside, *numbers, f"{sizes['sigma'] / widest:.3f}")


def count_outside(x: np.ndarray, y: np.ndarray, s: np.ndarray, factor: float) -> int:
    """Return the values that are farther from their originals than factor * s, in exact numbers."""
    moved = np.flatnonzero(x.view(f"u{x.itemsize}") != y.view(f"u{y.itemsize}"))
    outside = 0
    for k in moved.tolist():
        numbers = (float(x[k]), float(y[k]), float(s[k]))
        inside = all(map(math.isfinite, numbers)) and s[k] > 0
        if inside:
            before, after, resolution = map(Fraction, numbers)
            inside = abs(before - after) <= Fraction(factor) * resolution
        outside += not inside
    return outside


if __name__ == "__main__":
    script.main()
