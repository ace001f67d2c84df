"""Bits per event that a complete model takes for events it has not seen: what recipes of training are judged by.

usage: python bench/held_out.py FILE[:TREE] [--columns 'Jet_*'] [--bound std:2.88e-3] [--effort default] [--held-out 0.2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import flowtuple as ft
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.selection import select
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", nargs="*", default=[])
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--held-out", type=float, default=0.2)
    a = parser.parse_args()
    source = select(open_dataset(a.source), a.columns)
    events = table_to_awkward(read_all(next(iter(source.tables.values()))))
    cut = round((1 - a.held_out) * len(events))
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.flow"
        begin = time.perf_counter()
        ft.train(events[:cut], model, tolerance={"*": a.bound}, effort=a.effort)
        seconds = time.perf_counter() - begin
        bits = ft.score(model, events[cut:])["bits"]
    mean, error = float(np.mean(bits)), float(np.std(bits)) / len(bits) ** 0.5
    print(f"{mean:.3f} +- {error:.3f} bits per event, trained in {seconds:.1f} s")


if __name__ == "__main__":
    main()
