"""How normal the latent columns are before and after compression.

usage: python bench/latent_normality.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30]
           [--bits 4 8 13] [-o DIR]

D'Agostino and Pearson's s^2 + k^2 of each latent column with its p-value, which of a normal column is about 2 and uniform. A
statistic of a hundred is no large departure with many rows: skewness and excess kurtosis say how large it is. With -o:
DIR/normality.json, and the histograms beside a standard normal, DIR/normality.png.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fitted_latent import (
    arguments,
    asked_of,
    fitted_to,
    keep,
    rows_of,
    show_header,
    show_row,
    with_folder,
)
from latent_drawings import latents_png
from scipy.stats import kurtosis, normaltest, skew


def main() -> None:
    """Print a row for each latent column."""
    parser = with_folder(arguments(__doc__))
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 8, 13])
    a = parser.parse_args()
    rows = rows_of(a)
    codec, _ = fitted_to(rows, asked_of(a), a.seed)
    print(f"{len(rows)} rows, model {a.model}, {a.epochs} epochs, scale by {a.scale}")
    before, after = codec.latent(rows.values), {}
    for bits in a.bits:
        coded = replace(codec, bits=bits)
        after[f"N = {bits}"] = coded.decode_latent(coded.encode(rows.values), len(rows))
    show_header("latent column", "skewness", "excess kurtosis", "before", *after)
    found = []
    for k, name in enumerate(rows.columns):
        tests = {label: normaltest(z[:, k]) for label, z in {"before": before, **after}.items()}
        moments = float(skew(before[:, k])), float(kurtosis(before[:, k]))
        cells = [f"{t.statistic:.1f} (p {t.pvalue:.1e})" for t in tests.values()]
        show_row(name, *(f"{m:+.3f}" for m in moments), *cells)
        found.append(
            {"column": name, "moments": moments}
            | {n: (float(t.statistic), float(t.pvalue)) for n, t in tests.items()}
        )
    shown = dict(list(after.items())[-2:])  # coarser ones hide the others
    keep(
        a.output,
        "normality",
        found,
        normality=lambda: latents_png(np.asarray(before), shown, rows.columns),
    )


if __name__ == "__main__":
    main()
