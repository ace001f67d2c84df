"""The latent codec (flow -> Gaussian -> erf -> N-bit integers) over N, beside rivals at equal mean error.

usage: python bench/latent.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30] [--bits 1 2 ... 31]
           [--truncate] [--scale all] [--ours 13 20] [--effort default]

The codec is trained on the rows that it codes; weights (float32), preprocessing, scale and description are in the file and
counted. Errors are those of what the file decodes to. The rivals get for each column the absolute bound of twice the codec's
mean |residual| there, at which values that are spread evenly over their cells have the same mean |residual|; what they come to
is printed, too. quantise+pcodec is without any header or counts of objects; the lattice flow is the whole file, its model
trained at `--effort` for the N of `--ours`. "Without model" leaves weights, preprocessing and description out, as the published
ratios do. Errors are mean and largest |residual| over the column's standard deviation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from fitted_latent import arguments, asked_of, fitted_to, rows_of, show_header, show_row
from lattice_flow import lattice

from flowtuple.benchmark.codecs import grid_pcodec
from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import Accuracy, measure, overall
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows


def bounds_of(accuracy: tuple[Accuracy, ...]) -> dict[str, Bound]:
    """The bound of each column at which even errors have the same mean."""
    return {a.column: Bound("abs", 2 * a.mean) if a.mean > 0 else Bound() for a in accuracy}


def pcodec(rows: Rows, bounds: dict[str, Bound]) -> tuple[int, tuple[Accuracy, ...]]:
    """Bytes of quantise+pcodec, and its errors."""
    size, decoded = 0, []
    for k, name in enumerate(rows.columns):
        values, bound = rows.values[:, k].astype(rows.dtypes[k]), bounds[name]
        data = grid_pcodec.encode(values, bound)
        size += len(data)
        decoded.append(grid_pcodec.decode(data, values.dtype, bound).astype(np.float64))
    return size, measure(rows, np.stack(decoded, axis=1))


def scan(a: argparse.Namespace, codec: LatentCodec, rows: Rows, folder: Path) -> None:
    """Print a row for each codec and N."""
    values = rows.values.size
    show_header(
        "codec", "N", "raw / file", "bits per value", "without model", "mean / std", "max / std"
    )
    for bits in a.bits:
        found = stored.write(replace(codec, bits=bits), rows, folder / "x.ref")
        bounds = bounds_of(found.accuracy)
        results = {
            "latent": (found.file_bytes, found.accuracy),
            "quantise+pcodec": pcodec(rows, bounds),
        }
        if bits in a.ours:
            results["lattice flow"] = lattice(a.source, rows, bounds, a.effort, folder)
        for name, (size, accuracy) in results.items():
            bare = f"{8 * (size - found.model_bytes) / values:.3f}" if name == "latent" else ""
            errors = (f"{error:.3e}" for error in overall(accuracy))
            show_row(
                name,
                bits,
                f"{found.raw_bytes / size:.3f}",
                f"{8 * size / values:.3f}",
                bare,
                *errors,
            )


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--bits", type=int, nargs="+", default=list(range(1, 32)))
    parser.add_argument("--ours", type=int, nargs="*", default=[13, 20])
    parser.add_argument("--effort", default="default")
    a = parser.parse_args()
    rows, begin = rows_of(a), time.perf_counter()
    codec, fitted = fitted_to(rows, asked_of(a), a.seed)
    seconds, loss = time.perf_counter() - begin, min(held for _, _, held in fitted.history)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = stored.write(codec, rows, folder / "x.ref").model_bytes
        sizes = f"{len(rows)} rows of {len(rows.columns)} columns, model {a.model} of {model} bytes"
        print(
            f"{sizes}, {a.epochs} epochs in {seconds:.1f} s, held-out loss {loss:.4f} nats per row"
        )
        scan(a, codec, rows, folder)


if __name__ == "__main__":
    main()
