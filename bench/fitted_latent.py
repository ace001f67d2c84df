"""A latent codec fitted as a command line says, and what is published of the method: what the bench/latent*.py share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import flowtuple as ft
from flowtuple.benchmark.published.erf_codes import largest, to_codes
from flowtuple.benchmark.published.fitting import fit_codec
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import SCALES, Latent
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.flows.fit import Fitted
from flowtuple.flows.options import Shape
from flowtuple.io.source import open_dataset

SOURCE = (
    "github.com/igordt/CMEPDA, cmepda/originale_model1.ipynb and originale_model2.ipynb, last cell"
)
ABOUT = "five test sets of 200,000 CMS jets (p_T, eta, phi, mass), N = 13"
PUBLISHED = {
    1: {".txt": "2.682 +- 0.011", ".npz": "2.309 +- 0.0048"},
    2: {".txt": "2.702 +- 0.0067", ".npz": "2.308 +- 0.0035"},
}
"""The ratio R by number of the model and kind of file, mean and standard deviation over the test sets."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every one of them is asked."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--model", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truncate", action="store_true")
    parser.add_argument("--scale", choices=SCALES, default="column")
    return parser


def with_folder(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """For those that draw."""
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="for JSON and PNG")
    return parser


def rows_of(a: argparse.Namespace) -> Rows:
    """The input as rows."""
    return read_rows(open_dataset(a.source), a.columns)


def asked_of(
    a: argparse.Namespace, model: int | Shape | None = None, bits: int = 13, patience: int = 15
) -> Latent:
    """The options, perhaps of another model."""
    training = ft.Training(epochs=a.epochs, patience=patience)
    size = a.model if model is None else model
    return Latent(
        bits, model=size, truncate=a.truncate, unit=a.unit, training=training, scale=a.scale
    )


def fitted_to(rows: Rows, asked: Latent, seed: int) -> tuple[LatentCodec, Fitted]:
    """A codec trained on rows."""
    codec, fitted = fit_codec(rows, asked, seed, lambda share, loss: None)
    if not isinstance(codec, LatentCodec):
        raise TypeError("a latent codec was asked for")
    return codec, fitted


def codes_of(codec: LatentCodec, z: np.ndarray, bits: int) -> np.ndarray:
    """The codes of latent rows, int64 of shape (n, d)."""
    return to_codes(z, largest(z, by_column=codec.scale == "column"), bits, truncate=codec.truncate)


def show_header(*cells: str, text: int = 1) -> None:
    """Print the head of a table in Markdown, the first columns of which are text."""
    print(f"| {' | '.join(cells)} |")
    print(f"|{'---|' * text}{'---:|' * (len(cells) - text)}", flush=True)


def show_row(*cells: object) -> None:
    """Print a row of it."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def keep(folder: Path | None, name: str, content: Any, **drawings: Callable[[], bytes]) -> None:
    """Write figures as JSON and drawings as PNG into a folder, if there is one."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(
        json.dumps({"command": sys.argv, "found": content}, indent=1)
    )
    for drawing, draw in drawings.items():
        (folder / f"{drawing}.png").write_bytes(draw())
