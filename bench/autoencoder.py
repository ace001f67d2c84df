"""Reconstruction error of the autoencoders, network by normalisation and latent size, on rows of events they have not seen.

usage: python bench/autoencoder.py FILE[:TREE] [--columns 'Jet_pt' ...] [--exclude 'Jet_genJetIdx' ...] [--unit MeV]
           [--latent 3 ...] [--epochs 100] [--batch 512] [--learning-rate 2e-3] [--networks tanh leaky-relu-bn elu-bn]
           [--normalisations none standard custom] [--variational 0 1e-4] [--held-out 0.2] [--sizes 5000 10000] [--each]

A tenth of the training rows chooses the best epoch. The mean squared error is over all columns in normalised space; figures of
different normalisations are in different units. "Rounded" is the same with columns of few values rounded to the values seen in
training; all else is of the decoded values, rounded. Several numbers after --latent, such as 8 10 12 14 16 18 20 with all
columns of a collection, are the grid n-200-200-200-z-200-200-200-n. Several after --variational are variational autoencoders
with this weight of the KL divergence, 0 a plain one. With --sizes a learning curve: that many rows to train on, the same ones
to judge by. With --each relative residuals (x' - x) / x of each column, zeros left out: mean, width (standard deviation), and
the median and half-width that holds 68 %, which values near 0 do not blow up.

Published figures: of four variables from the README of github.com/honeygupta/CompressionHEP, networks trained on 111,778 ATLAS
jets and judged by the 27,945 of `atlas_trigger_jets.root`; of latent sizes from 8 to 20 the "minimum validation loss" that
github.com/erwulff/lth_thesis_project stores for 25 variables of ATLAS jets (the 27 without Width and WidthPhi), LeakyReLU with
batch normalisation and custom normalisation, 1,500 epochs.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np

import flowtuple as ft
from flowtuple.benchmark.published.accuracy import Accuracy, measure, overall
from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.normalisations import kind_of
from flowtuple.benchmark.published.options import NETWORKS, NORMALISATIONS, Autoencoder
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.data.selection import select
from flowtuple.io.source import open_dataset

FOUR = {
    ("tanh", "none"): "5.181e-1",
    ("tanh", "standard"): "1.111e-2",
    ("tanh", "custom"): "7.314e-4",
    ("leaky-relu-bn", "custom"): "5.750e-4",
    ("elu-bn", "custom"): "5.754e-4",
}
MANY = {
    8: "4.53e-4",
    10: "2.16e-4",
    12: "9.03e-5",
    14: "3.57e-5",
    16: "1.40e-5",
    18: "4.54e-6",
    20: "2.47e-6",
}
MEANS = {  # of (x' - x) / x: m, p_T, phi, eta
    ("tanh", "none"): ("-5.7e-3", "-2.0e-6", "-4.8e-3", "-1.01"),
    ("tanh", "standard"): ("1.3e-3", "1.6e-2", "-1.8e-2", "6.0e-2"),
    ("tanh", "custom"): ("1.1e-2", "-1.0e-4", "7.4e-4", "2.6e-3"),
    ("leaky-relu-bn", "custom"): ("4.9e-3", "-1.1e-3", "8.1e-3", "-2.5e-2"),
    ("elu-bn", "custom"): ("5.5e-3", "-7.6e-4", "-3.1e-3", "-2.2e-4"),
}
KINDS = ("mass", "pt", "phi", "eta")


def published(asked: Autoencoder, columns: int) -> str:
    """The published mean squared error of such a network, empty without one."""
    if asked.variational:
        return ""
    if columns > len(KINDS):
        return (
            MANY.get(asked.latent, "")
            if (asked.network, asked.normalisation) == ("leaky-relu-bn", "custom")
            else ""
        )
    return FOUR.get((asked.network, asked.normalisation), "") if asked.latent == 3 else ""


def residuals(
    asked: Autoencoder, test: Rows, decoded: np.ndarray, found: tuple[Accuracy, ...]
) -> list[str]:
    """Rows of the table of relative residuals."""
    lines = []
    for k, column in enumerate(found):
        x, kind = test.values[:, k], kind_of(column.column)
        relative = (decoded[:, k] - x)[x != 0] / x[x != 0]
        known = published(asked, len(found)) and kind in KINDS and len(found) == len(KINDS)
        mean = MEANS[asked.network, asked.normalisation][KINDS.index(kind)] if known else ""
        figures = f"{-column.response:.2e} | {mean} | {column.width:.2e} | {np.median(relative):.2e} | {column.half_width:.2e}"
        lines.append(
            f"| {named(asked)} | {column.column} | {figures} | {column.relative_largest:.2e} |"
        )
    return lines


def named(asked: Autoencoder) -> str:
    """The first columns of both tables."""
    beta = f" beta {asked.variational:g}" if asked.variational else ""
    return f"{asked.network}{beta} | {asked.normalisation} | {asked.latent}"


def judged(train: Rows, test: Rows, asked: Autoencoder, seed: int) -> tuple[str, list[str]]:
    """Rows of both tables of one network."""
    begin = time.perf_counter()
    codec, _ = AutoencoderCodec.fit(train, asked, seed, lambda share, loss: None)
    seconds = time.perf_counter() - begin
    decoded = codec.decode(codec.encode(test.values), len(test))
    found = measure(test, decoded)
    parameters = sum(
        p.numel()
        for network in (codec.encoder, codec.decoder)
        if network
        for p in network.parameters()
    )
    errors = (
        codec.squared_error(test.values),
        codec.squared_error(test.values, rounded=True),
        codec.squared_error(train.values),
    )
    mean, most = overall(found)
    text = " | ".join([*(f"{error:.3e}" for error in errors), published(asked, len(found))])
    row = f"| {named(asked)} | {len(train)} | {parameters} | {text} | {mean:.2e} | {most:.2e} | {seconds:.0f} |"
    return row, residuals(asked, test, decoded, found)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--latent", type=int, nargs="+", default=[3])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--normalisations", nargs="+", default=list(NORMALISATIONS))
    parser.add_argument("--variational", type=float, nargs="+", default=[0.0])
    parser.add_argument("--held-out", type=float, default=0.2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Print a row for each size, network, normalisation and latent size."""
    a = arguments()
    rows = read_rows(select(open_dataset(a.source), a.columns, a.exclude))
    shuffled = np.random.default_rng(a.seed).permutation(rows.events)[
        rows.event
    ]  # files may be ordered by kind of event
    held = shuffled < a.held_out * rows.events
    test, places, each = rows.some(held), np.flatnonzero(~held), []
    print(f"{len(rows)} rows of {', '.join(rows.columns)}; {len(test)} held out; {a.epochs} epochs")
    heading = "network | normalisation | latent"
    print(
        f"| {heading} | rows | parameters | MSE held out | rounded | training | published | mean / std | max / std | seconds |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    training = ft.Training(a.epochs, a.batch, a.learning_rate, 1e-2, "one-cycle", patience=0)
    for size in a.sizes or [len(places)]:
        keep = np.zeros(len(rows), bool)
        keep[places[np.argsort(shuffled[places], kind="stable")][:size]] = True
        for network, normalisation, beta, latent in product(
            a.networks, a.normalisations, a.variational, a.latent
        ):
            asked = Autoencoder(
                latent,
                network=network,
                normalisation=normalisation,
                unit=a.unit,
                variational=beta,
                training=training,
            )
            row, lines = judged(rows.some(keep), test, asked, a.seed)
            each += lines
            print(row, flush=True)
    if a.each:
        print(
            f"\n| {heading} | column | mean (x' - x)/x | published | width | median | 68 % half-width | max / std |"
        )
        print("|---|---|---:|---|---:|---:|---:|---:|---:|---:|", *each, sep="\n")


if __name__ == "__main__":
    main()
