"""Seconds and bytes per value as a table grows wider: objects of a ragged file pivoted to one row per event.

usage: python bench/wide.py FILE.root[:TREE] [--columns 10 100 1000] [--rows 20000] [--bound std:2.88e-3] [--effort default]
           [--first]

Objects that an event does not have are 0. The narrower tables are columns of the widest one, evenly spread over it, so that
they hold the same mix of full and nearly empty columns; with `--first` they are its first columns, which are all full.
Each width runs in a process of its own; memory is the peak of that process. The clock starts with packages imported and
compiled kernels loaded, as in every other measurement.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import flowtuple as ft
from flowtuple.benchmark.flowtuple_codec import Flowtuple
from flowtuple.io.source import open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.report import totals


def pivot(source: str, columns: int, rows: int) -> dict[str, Any]:
    """Event columns, then the first objects of every collection, the second ones, and so on."""
    table = next(iter(open_dataset(source).tables.values()))
    events = table.read([c.name for c in table.columns], 0, rows)
    flat = {
        c.name: events.data[c.name]
        for c in events.columns
        if c.counter is None and not c.is_opaque and not c.shape
    }
    ragged = [c for c in events.columns if c.counter is not None]
    for number in range(columns):
        for column in ragged:
            counts, values = events.data[column.counter], events.data[column.name]
            begin = np.cumsum(counts) - counts
            there = counts > number
            flat[f"{column.name}_{number}"] = np.where(
                there, values[np.where(there, begin + number, 0)], 0
            ).astype(values.dtype)
            if len(flat) >= columns:
                return dict(list(flat.items())[:columns])
    return flat


def spread(data: dict[str, Any], columns: int) -> dict[str, Any]:
    """So many of the columns, evenly spaced."""
    names = list(data)
    return {
        names[k * len(names) // columns]: data[names[k * len(names) // columns]]
        for k in range(columns)
    }


def measure(a: argparse.Namespace, columns: int) -> dict[str, Any]:
    """One width: bytes against quantise+pcodec, seconds for each part, peak memory."""
    data = (
        pivot(a.source, columns, a.rows)
        if a.first
        else spread(pivot(a.source, max(a.widest, columns), a.rows), columns)
    )
    Flowtuple().load()
    with tempfile.TemporaryDirectory() as folder:
        model, packed = Path(folder) / "m.flow", Path(folder) / "w.ftup"
        times = [time.perf_counter()]
        ft.train(data, model, tolerance={"*": a.bound}, effort=a.effort, lean=True)
        times.append(time.perf_counter())
        ft.compress(data, packed, model=model)
        times.append(time.perf_counter())
        ft.decompress(packed)
        times.append(time.perf_counter())
        with ft.open(packed) as file:
            sizes = totals(report_input(open_dataset(data), file, ""))
    seconds = dict(zip(("train", "compress", "decompress"), np.diff(times).tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "columns": columns,
        "values": sum(map(len, data.values())),
        **seconds,
        **sizes,
        "peak_GiB": peak,
    }


def main() -> None:
    """Print a table row per width."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--columns", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--bound", default="std:2.88e-3")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--widest", type=int, default=0, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.widest:
        print(json.dumps(measure(a, a.columns[0])))
        return
    print(
        "| columns | train us/value | compress us/value | decompress us/value | peak GiB | bytes | ours / q+pcodec |"
    )
    print("|---:|" + "---:|" * 6)
    for columns in a.columns:
        options = [
            "--columns",
            str(columns),
            "--rows",
            str(a.rows),
            "--bound",
            a.bound,
            "--effort",
            a.effort,
        ]
        options += ["--widest", str(max(a.columns))] + ["--first"] * a.first
        done = subprocess.run(
            [sys.executable, __file__, a.source, *options],
            check=True,
            capture_output=True,
            text=True,
        )
        row = json.loads(done.stdout)
        times = " | ".join(
            f"{1e6 * row[t] / row['values']:.3f}" for t in ("train", "compress", "decompress")
        )
        ratio = row["bytes"] / row["quantise+pcodec"]
        print(
            f"| {columns} | {times} | {row['peak_GiB']:.2f} | {row['bytes']} | {ratio:.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
