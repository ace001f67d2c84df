"""The latent codec (flow -> Gaussian -> erf -> N-bit integers) over N, beside rivals at equal mean error.

usage: python bench/latent.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30] [--bits 1 2 ... 31]
           [--truncate] [--ours 13 20] [--effort default]

The codec is trained on the rows that it codes; weights (float32), preprocessing, scale and description are in the file and
counted. Errors are those of what the file decodes to. The rivals get for each column the absolute bound of twice the codec's
mean |residual| there, at which values that are spread evenly over their cells have the same mean |residual|; what they come to
is printed, too. quantise+pcodec is without any header or counts of objects; the lattice flow is the whole file, its model
trained at `--effort` for the N of `--ours`. "Without model" leaves weights, preprocessing and description out, as the published
ratios do. Errors are mean and largest |residual| over the column's standard deviation. Normality is D'Agostino and Pearson's
s^2 + k^2 of each latent column, which is about 2 for a normal one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
from scipy.stats import normaltest

import flowtuple as ft
from flowtuple.events.source import open_dataset
from flowtuple.reference import stored
from flowtuple.reference.accuracy import Accuracy, measure
from flowtuple.reference.fitting import fit_codec
from flowtuple.reference.latent import LatentCodec
from flowtuple.reference.options import Latent
from flowtuple.rivals import grid_pcodec
from flowtuple.row_reading import read_rows
from flowtuple.rows import Rows
from flowtuple.schema import Bound


def errors(accuracy: tuple[Accuracy, ...]) -> str:
    """Mean and largest |residual| over std: over all columns, then column by column."""
    mean, most = np.mean([a.relative_mean for a in accuracy]), max(a.relative_largest for a in accuracy)
    each = ", ".join(f"{a.column} {a.relative_mean:.2e} / {a.relative_largest:.2e}" for a in accuracy)
    return f"{mean:.3e} | {most:.3e} | {each}"


def bounds_of(accuracy: tuple[Accuracy, ...]) -> dict[str, str]:
    """The bound of each column at which even errors have the same mean."""
    return {a.column: f"abs:{2 * a.mean!r}" if a.mean > 0 else "lossless" for a in accuracy}


def pcodec(rows: Rows, bounds: dict[str, str]) -> tuple[int, tuple[Accuracy, ...]]:
    """Bytes of quantise+pcodec, and its errors."""
    size, decoded = 0, []
    for k, name in enumerate(rows.columns):
        values, bound = rows.values[:, k].astype(rows.dtypes[k]), Bound.parse(bounds[name])
        data = grid_pcodec.encode(values, bound)
        size += len(data)
        decoded.append(grid_pcodec.decode(data, values.dtype, bound).astype(np.float64))
    return size, measure(rows, np.stack(decoded, axis=1))


def lattice(a: argparse.Namespace, rows: Rows, bounds: dict[str, str], path: Path) -> tuple[int, tuple[Accuracy, ...]]:
    """Bytes of a whole flowtuple file of these columns, and its errors."""
    selection = ft.Selection(columns=tuple(rows.columns))
    ft.compress(a.source, path, tolerance=bounds, selection=selection, effort=a.effort)
    events = ft.decompress(path)
    decoded = [np.asarray(ak.flatten(events[name], axis=None), np.float64) for name in rows.columns]
    return path.stat().st_size, measure(rows, np.stack(decoded, axis=1))


def normality(latent: np.ndarray, columns: tuple[str, ...]) -> str:
    """s^2 + k^2 with its p-value, column by column."""
    found = [normaltest(latent[:, k]) for k in range(len(columns))]
    return ", ".join(f"{name} {f.statistic:.1f} (p {f.pvalue:.1e})" for name, f in zip(columns, found, strict=True))


def scan(a: argparse.Namespace, codec: LatentCodec, rows: Rows, folder: Path) -> None:
    """Print a row for each codec and N."""
    values = rows.values.size
    print("| codec | N | raw / file | bits per value | without model | mean / std | max / std | each column |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for bits in a.bits:
        found = stored.write(replace(codec, bits=bits), rows, folder / "x.ref")
        bounds = bounds_of(found.accuracy)
        results = {"latent": (found.file_bytes, found.accuracy), "quantise+pcodec": pcodec(rows, bounds)}
        if bits in a.ours:
            results["lattice flow"] = lattice(a, rows, bounds, folder / "x.ftup")
        for name, (size, accuracy) in results.items():
            bare = f"{8 * (size - found.model_bytes) / values:.3f}" if name == "latent" else ""
            sizes = f"{found.raw_bytes / size:.3f} | {8 * size / values:.3f} | {bare}"
            print(f"| {name} | {bits} | {sizes} | {errors(accuracy)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--model", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--bits", type=int, nargs="+", default=list(range(1, 32)))
    parser.add_argument("--truncate", action="store_true")
    parser.add_argument("--ours", type=int, nargs="*", default=[13, 20])
    parser.add_argument("--effort", default="default")
    a = parser.parse_args()
    rows = read_rows(open_dataset(a.source), a.columns)
    begin = time.perf_counter()
    asked = Latent(13, a.model, a.truncate, a.unit, ft.Training(epochs=a.epochs))
    codec, fitted = fit_codec(rows, asked, 0, lambda share, loss: None)
    loss = min(held for _, _, held in fitted.history)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = stored.write(codec, rows, folder / "x.ref").model_bytes
        print(
            f"{len(rows)} rows of {len(rows.columns)} columns, model {a.model} of {model} bytes, {a.epochs} epochs in", end=" "
        )
        print(f"{time.perf_counter() - begin:.1f} s, held-out loss {loss:.4f} nats per row")
        print(f"latent before: {normality(codec.latent(rows.values), rows.columns)}")
        for bits in a.bits:
            after = replace(codec, bits=bits)
            latent = after.decode_latent(after.encode(rows.values), len(rows))
            print(f"latent at N = {bits}: {normality(latent, rows.columns)}")
        scan(a, codec, rows, folder)


if __name__ == "__main__":
    main()
