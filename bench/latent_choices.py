"""How much of the latent codec's error at one N hangs on choices that its description leaves open, and on chance.

usage: python bench/latent_choices.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--bits 13] [--seeds 5] [--epochs 30]

Both models are fitted with each seed, to the rows that are coded; each fit is coded with a scale of its own for each column
and with one for all, rounded and truncated. Errors are |difference| over the column's standard deviation; smallest and
largest over the seeds. "Inside" is the largest error of rows none of whose codes is the outermost one of its column.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product

import numpy as np
from fitted_latent import arguments, asked_of, codes_of, fitted_to, rows_of, show_header, show_row

from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import MODELS, SCALES
from flowtuple.data.rows import Rows


def errors(codec: LatentCodec, rows: Rows, z: np.ndarray) -> tuple[float, float, float]:
    """Mean, largest, and the largest without the outermost codes."""
    off = np.abs(
        codec.decode(codec.encode(rows.values), len(rows)) - rows.values
    ) / rows.values.std(axis=0)
    codes = np.abs(codes_of(codec, z, codec.bits))
    inside = (codes < codes.max(axis=0)).all(axis=1)
    return float(off.mean()), float(off.max()), float(off[inside].max())


def main() -> None:
    """Print a row for each choice."""
    parser = arguments(__doc__)
    parser.add_argument("--bits", type=int, default=13)
    parser.add_argument("--seeds", type=int, default=5)
    a = parser.parse_args()
    rows = rows_of(a)
    print(f"{len(rows)} rows of {', '.join(rows.columns)}, N = {a.bits}, {a.seeds} seeds")
    show_header("model", "scale", "codes", "mean / std", "largest / std", "inside / std", text=3)
    for model in MODELS:
        table(a, rows, model)


def table(a: argparse.Namespace, rows: Rows, model: int) -> None:
    """The rows of one model."""
    fits = [fitted_to(rows, asked_of(a, model, a.bits), seed)[0] for seed in range(a.seeds)]
    latents = [codec.latent(rows.values) for codec in fits]
    for scale, truncate in product(SCALES, (False, True)):
        pairs = zip(fits, latents, strict=True)
        found = np.array(
            [errors(replace(codec, scale=scale, truncate=truncate), rows, z) for codec, z in pairs]
        )
        low, high = found.min(axis=0), found.max(axis=0)
        ranges = [f"{x:.2e} to {y:.2e}" for x, y in zip(low, high, strict=True)]
        show_row(model, scale, "truncated" if truncate else "rounded", *ranges)


if __name__ == "__main__":
    main()
