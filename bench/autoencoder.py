"""Reconstruction error of the autoencoders, network by normalisation, on rows of events that they have not seen.

usage: python bench/autoencoder.py FILE[:TREE] [--columns 'Jet_pt' ...] [--unit MeV] [--latent 3] [--epochs 100] [--batch 512]
           [--learning-rate 2e-3] [--networks tanh leaky-relu-bn elu-bn] [--normalisations none standard custom]
           [--held-out 0.2] [--sizes 5000 10000 20000]

A tenth of the training rows chooses the best epoch. The mean squared error is over all columns in normalised space, without
rounding to seen values; figures of different normalisations are in different units. With --sizes a learning curve: that many
rows to train on, the same ones to judge by. Published, for 111,778 jets of m, p_T, phi, eta with custom normalisation: 7.3e-4
(tanh) and 5.8e-4 (ELU and batch normalisation).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import flowtuple as ft
from flowtuple.events.source import open_dataset
from flowtuple.reference.accuracy import measure
from flowtuple.reference.autoencoder import AutoencoderCodec
from flowtuple.reference.options import NETWORKS, NORMALISATIONS, Autoencoder
from flowtuple.row_reading import read_rows
from flowtuple.rows import Rows

PUBLISHED = {("tanh", "custom"): "7.3e-4", ("elu-bn", "custom"): "5.8e-4"}


def judged(a: argparse.Namespace, train: Rows, test: Rows, network: str, normalisation: str) -> str:
    """A row of the table: figures of one network."""
    training = ft.Training(a.epochs, a.batch, a.learning_rate, 1e-2, "one-cycle", patience=0)
    asked = Autoencoder(a.latent, network, normalisation, unit=a.unit, seen=False, training=training)
    begin = time.perf_counter()
    codec, _ = AutoencoderCodec.fit(train, asked, a.seed, lambda share, loss: None)
    seconds = time.perf_counter() - begin
    found = measure(test, codec.decode(codec.encode(test.values), len(test)))
    relative = np.mean([c.relative_mean for c in found]), max(c.relative_largest for c in found)
    published = PUBLISHED.get((network, normalisation), "")
    error = f"{codec.squared_error(test.values):.3e} | {codec.squared_error(train.values):.3e} | {published}"
    return f"| {network} | {normalisation} | {len(train)} | {error} | {relative[0]:.2e} | {relative[1]:.2e} | {seconds:.0f} |"


def main() -> None:
    """Print a table row for each network, normalisation and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--unit", default="GeV")
    parser.add_argument("--latent", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--normalisations", nargs="+", default=list(NORMALISATIONS))
    parser.add_argument("--held-out", type=float, default=0.2)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    rows = read_rows(open_dataset(a.source), a.columns)
    shuffled = np.random.default_rng(a.seed).permutation(rows.events)[rows.event]  # files may be ordered by kind of event
    held = shuffled < a.held_out * rows.events
    test = rows.some(held)
    print(f"{len(rows)} rows of {', '.join(rows.columns)}; {len(test)} held out; {a.epochs} epochs, {a.latent} latent numbers")
    print("| network | normalisation | rows | MSE held out | MSE training | published | mean / std | max / std | seconds |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for size in a.sizes or [len(rows) - len(test)]:
        places = np.flatnonzero(~held)
        keep = np.zeros(len(rows), bool)
        keep[places[np.argsort(shuffled[places], kind="stable")][:size]] = True
        for network in a.networks:
            for normalisation in a.normalisations:
                print(judged(a, rows.some(keep), test, network, normalisation), flush=True)


if __name__ == "__main__":
    main()
