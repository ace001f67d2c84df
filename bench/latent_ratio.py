"""Compression ratio of the latent codec over N: true, as published ratios are measured, and gzip at equal ratio.

usage: python bench/latent_ratio.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--model 1] [--epochs 30]
           [--bits 1 2 ... 31] [-o DIR]

R is raw float32 columns over the whole file, everything that decoding needs in it; "codes" leaves the model out. R of .txt,
savetxt and .npz is input over codes, both written in that kind of file (see flattering_sizes.py). gzip is of raw columns whose
mantissas are rounded to as many bits as make it at least as small, once as the whole file and once as the codes. Errors are
|difference| over the column's standard deviation, mean over all columns and largest, of rows that the flow was trained on.
With -o: DIR/ratio.json, ratio.png, error.png.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from fitted_latent import (
    arguments,
    asked_of,
    codes_of,
    fitted_to,
    keep,
    rows_of,
    show_header,
    show_row,
    with_folder,
)
from flattering_sizes import Flattering, Gzipped, at_ratio, gzipped
from latent_drawings import lines_png

from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import overall
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.data.rows import Rows

RATIOS = ("file", "codes", ".npz", ".txt", "savetxt")
ERRORS = ("latent", "gzip as the file", "gzip as the codes")


def scanned(a: argparse.Namespace, codec: LatentCodec, rows: Rows) -> list[dict[str, Any]]:
    """Print a row for each N, and return what was found."""
    found, sizes, rivals, z = (
        [],
        Flattering.of(rows.values),
        gzipped(rows),
        codec.latent(rows.values),
    )
    with tempfile.TemporaryDirectory() as folder:
        for bits in a.bits:
            coded = stored.write(replace(codec, bits=bits), rows, Path(folder) / "x.ref")
            codes = coded.raw_bytes / (coded.file_bytes - coded.model_bytes)
            ratios = {"file": coded.ratio, "codes": codes, **sizes.ratios(codes_of(codec, z, bits))}
            pair = {
                "gzip as the file": at_ratio(rivals, coded.ratio),
                "gzip as the codes": at_ratio(rivals, codes),
            }
            errors = {"latent": overall(coded.accuracy)} | {
                name: errors_of(one) for name, one in pair.items()
            }
            found.append(
                {
                    "N": bits,
                    "ratio": ratios,
                    "error": errors,
                    "mantissa": {n: g and g.bits for n, g in pair.items()},
                }
            )
            cells = [f"{ratios[name]:.3f}" for name in RATIOS]
            for name in ERRORS:
                cells += (
                    ["", ""] if errors[name] is None else [f"{error:.2e}" for error in errors[name]]
                )
            show_row(bits, *cells)
    return found


def errors_of(one: Gzipped | None) -> tuple[float, float] | None:
    """Mean and largest, if there is one."""
    return None if one is None else overall(one.accuracy)


def curves(
    found: list[dict[str, Any]], what: str, names: tuple[str, ...], place: int | None = None
) -> dict[str, list[Any]]:
    """Values over N by name."""

    def value(one: Any) -> Any:
        return one if place is None or one is None else one[place]

    return {name: [value(row[what][name]) for row in found] for name in names}


def main() -> None:
    """Print the table."""
    parser = with_folder(arguments(__doc__))
    parser.add_argument("--bits", type=int, nargs="+", default=list(range(1, 32)))
    a = parser.parse_args()
    rows = rows_of(a)
    codec, _ = fitted_to(rows, asked_of(a), a.seed)
    print(
        f"{len(rows)} rows of {', '.join(rows.columns)}, model {a.model}, {a.epochs} epochs, scale by {a.scale}"
    )
    headings = [f"{name} {which}" for name in ERRORS for which in ("mean", "largest")]
    show_header("N", *(f"R {name}" for name in RATIOS), *headings)
    found = scanned(a, codec, rows)
    steps = [row["N"] for row in found]
    errors = {f"{name}, mean": values for name, values in curves(found, "error", ERRORS, 0).items()}
    errors |= {
        f"{name}, largest": values for name, values in curves(found, "error", ERRORS[:1], 1).items()
    }
    ratio = curves(found, "ratio", RATIOS)
    keep(
        a.output,
        "ratio",
        found,
        ratio=lambda: lines_png(steps, ratio, "Compression ratio", logarithmic=True, line=1.0),
        error=lambda: lines_png(steps, errors, "|Difference| / std", logarithmic=True),
    )


if __name__ == "__main__":
    main()
