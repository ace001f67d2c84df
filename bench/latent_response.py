"""Difference and response of each variable after the latent codec.

usage: python bench/latent_response.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30]
           [--bits 13 20] [-o DIR]

Difference = original - decompressed, in the column's unit; response = difference / original, values that are 0 left out and
counted. Mean, width (standard deviation) and largest absolute one of each, of the rows that the flow was trained on. With -o:
DIR/response.json, and histograms that leave out the half per cent farthest out, DIR/response.png.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from fitted_latent import arguments, asked_of, fitted_to, keep, rows_of, show_header, show_row, with_folder
from latent_drawings import residuals_png


def figures(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, width, largest."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()), float(finite.std()), float(np.abs(finite).max())


def main() -> None:
    """Print a row for each variable and N."""
    parser = with_folder(arguments(__doc__))
    parser.add_argument("--bits", type=int, nargs="+", default=[13, 20])
    a = parser.parse_args()
    rows = rows_of(a)
    codec, _ = fitted_to(rows, asked_of(a), a.seed)
    print(f"{len(rows)} rows, model {a.model}, {a.epochs} epochs, scale by {a.scale}")
    three = ("mean", "width", "largest")
    show_header("column", "N", *(f"difference {x}" for x in three), "of std", *(f"response {x}" for x in three), "zeros")
    differences: dict[str, np.ndarray] = {}
    responses: dict[str, np.ndarray] = {}
    found: list[dict[str, Any]] = []
    for bits in a.bits:
        coded = replace(codec, bits=bits)
        difference = rows.values - coded.decode(coded.encode(rows.values), len(rows))
        response = difference / np.where(rows.values == 0, np.nan, rows.values)
        differences[f"N = {bits}"], responses[f"N = {bits}"] = difference, response
        for k, name in enumerate(rows.columns):
            of_difference, of_response = figures(difference[:, k]), figures(response[:, k])
            of_std = of_difference[2] / float(rows.values[:, k].std())
            zeros = int((rows.values[:, k] == 0).sum())
            found.append({"column": name, "N": bits, "difference": of_difference, "response": of_response, "zeros": zeros})
            show_row(name, bits, *(f"{x:.2e}" for x in (*of_difference, of_std, *of_response)), zeros)
    kinds, labels = {"difference": differences, "response": responses}, ("Difference of", "Response of")
    keep(a.output, "response", found, response=lambda: residuals_png(kinds, rows.columns, labels))


if __name__ == "__main__":
    main()
