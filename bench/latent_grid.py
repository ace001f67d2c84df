"""The grid of 16 flows that the latent codec was chosen from: 2, 4, 6, 8 layers by 16, 32, 64, 128 hidden units, 30 epochs.

usage: python bench/latent_grid.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--layers 2 4 6 8] [--hidden 16 32 64 128]
           [--epochs 30] [--bits 13] [-o DIR]

Every flow is trained for all epochs on nine tenths of the events; the loss in nats per row is of the tenth held out, of which
the best epoch is kept. Parameters are those that the masks let through. The error at N is the mean |difference| over the
column's standard deviation of all rows, averaged over the columns. With -o: DIR/grid.json and the loss curves, DIR/grid.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
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
from latent_drawings import losses_png

from flowtuple.benchmark.published import stored
from flowtuple.benchmark.published.accuracy import overall
from flowtuple.data.rows import Rows
from flowtuple.flows.options import Shape


def parameters(flow: torch.nn.Module) -> int:
    """Weights that are not behind a mask, and biases."""
    masks = {
        id(m.weight): int(m.mask.sum())
        for m in flow.modules()
        if isinstance(getattr(m, "mask", None), torch.Tensor)
    }
    return sum(masks.get(id(p), p.numel()) for p in flow.parameters())


def of_one(a: argparse.Namespace, rows: Rows, layers: int, hidden: int) -> dict[str, Any]:
    """Fit one flow and measure it."""
    shape = Shape(transforms=layers, hidden=(hidden, hidden), permute=True)
    codec, fitted = fitted_to(rows, asked_of(a, shape, a.bits, patience=0), a.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = stored.write(codec, rows, Path(folder) / "x.ref")
    mean, largest = overall(found.accuracy)
    held = [loss for _, _, loss in fitted.history]
    return {
        "layers": layers,
        "hidden": hidden,
        "parameters": parameters(codec.model.flow),
        "seconds": fitted.seconds,
        "model_bytes": found.model_bytes,
        "ratio": found.ratio,
        "best_epoch": fitted.best_epoch,
        "loss": min(held),
        "mean": mean,
        "largest": largest,
        "held_out": held,
        "training": [loss for _, loss, _ in fitted.history],
    }


def main() -> None:
    """Print a row for each flow."""
    parser = with_folder(arguments(__doc__))
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4, 6, 8])
    parser.add_argument("--hidden", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--bits", type=int, default=13)
    a = parser.parse_args()
    rows, found = rows_of(a), []
    print(f"{len(rows)} rows of {', '.join(rows.columns)}, {a.epochs} epochs, N = {a.bits}")
    error = f"mean / std at N = {a.bits}"
    show_header(
        "layers x hidden",
        "parameters",
        "model bytes",
        "seconds",
        "best epoch",
        "held-out loss",
        error,
        "largest / std",
    )
    for layers in a.layers:
        for hidden in a.hidden:
            one = of_one(a, rows, layers, hidden)
            found.append(one)
            sizes = (
                one["parameters"],
                one["model_bytes"],
                f"{one['seconds']:.1f}",
                one["best_epoch"],
            )
            show_row(
                f"{layers} x {hidden}",
                *sizes,
                f"{one['loss']:.4f}",
                f"{one['mean']:.2e}",
                f"{one['largest']:.2e}",
            )
    keep(a.output, "grid", found, grid=lambda: losses_png(found))


if __name__ == "__main__":
    main()
