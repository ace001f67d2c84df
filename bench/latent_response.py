"""Difference and response of each variable after the latent codec.

usage: python bench/latent_response.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30]
           [--bits 13 20] [-o DIR]

Difference = original - decompressed, in the column's unit; response = difference / original, values that are 0 left out and
counted. Mean, width (standard deviation) and largest absolute one of each, of the rows that the flow was trained on. Rows of
which a value does not come back finite are left out of means and widths and counted below the table; the largest is of all.
With -o: DIR/response.json, and histograms that leave out the half per cent farthest out, DIR/response.png.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
from latent_drawings import residuals_png

from flowtuple.benchmark.published.accuracy import measure
from flowtuple.data.rows import Rows


def figures(
    rows: Rows, decoded: np.ndarray, response: np.ndarray
) -> tuple[list[dict[str, Any]], int]:
    """Mean, width and largest of both kinds for each column, and how many rows are left out of means and widths."""
    finite = np.isfinite(decoded).all(axis=1)
    found = []
    for k, (kept, every) in enumerate(
        zip(measure(rows.some(finite), decoded[finite]), measure(rows, decoded), strict=True)
    ):
        largest = np.abs(response[rows.values[:, k] != 0, k]).max(initial=0.0)
        found.append(
            {
                "column": every.column,
                "difference": (kept.bias, kept.spread, every.largest),
                "of_std": every.relative_largest,
                "response": (kept.response, kept.width, float(largest)),
                "zeros": every.zeros,
            }
        )
    return found, int((~finite).sum())


def main() -> None:
    """Print a row for each variable and N."""
    parser = with_folder(arguments(__doc__))
    parser.add_argument("--bits", type=int, nargs="+", default=[13, 20])
    a = parser.parse_args()
    rows = rows_of(a)
    codec, _ = fitted_to(rows, asked_of(a), a.seed)
    print(f"{len(rows)} rows, model {a.model}, {a.epochs} epochs, scale by {a.scale}")
    three = ("mean", "width", "largest")
    show_header(
        "column",
        "N",
        *(f"difference {x}" for x in three),
        "of std",
        *(f"response {x}" for x in three),
        "zeros",
    )
    differences: dict[str, np.ndarray] = {}
    responses: dict[str, np.ndarray] = {}
    left_out: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for bits in a.bits:
        coded, label = replace(codec, bits=bits), f"N = {bits}"
        decoded = coded.decode(coded.encode(rows.values), len(rows))
        differences[label] = rows.values - decoded
        responses[label] = differences[label] / np.where(rows.values == 0, np.nan, rows.values)
        columns, left_out[label] = figures(rows, decoded, responses[label])
        for one in columns:
            numbers = (*one["difference"], one["of_std"], *one["response"])
            show_row(one["column"], bits, *(f"{x:.2e}" for x in numbers), one["zeros"])
            found.append({"N": bits, **one})
    print(
        "rows left out of means and widths: "
        + ", ".join(f"{count} at {label}" for label, count in left_out.items())
    )
    kinds, labels = (
        {"difference": differences, "response": responses},
        ("Difference of", "Response of"),
    )
    content = {"columns": found, "left_out": left_out}
    keep(a.output, "response", content, response=lambda: residuals_png(kinds, rows.columns, labels))


if __name__ == "__main__":
    main()
