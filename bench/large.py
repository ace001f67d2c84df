"""Peak memory and speed on an input larger than memory allows: a sample repeated with jitter, compressed and read back.

usage: python bench/large.py FILE.root[:TREE] [--gigabytes 5] [--memory 2GB] [--tolerance '*=rel:1e-3'] [--folder DIR]

Every command runs in a process of its own; peak memory is the largest resident set that the system saw of it. The bound is
checked by `flowtuple verify` on all values.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowtuple.data.table import Dataset, Table, concatenate, read_all
from flowtuple.io.source import WriteOptions, open_dataset, write_dataset


class Repeated:
    """A table again and again, its floats moved a little each time so that nothing repeats; a `TableSource`."""

    def __init__(self, table: Table, times: int) -> None:
        self._table = table
        self.name, self.columns = table.name, table.columns
        self.num_entries = table.num_entries * times

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events of one or more repetitions."""
        length, pieces = self._table.num_entries, []
        while start < stop:
            number, first = divmod(start, length)
            last = min(length, first + stop - start)
            part = self._table.read(columns, first, last)
            draw = np.random.default_rng([number, first])
            moved = {c.name: _jitter(part.data[c.name], draw) for c in part.columns if c.is_float}
            pieces.append(Table(part.name, part.columns, part.num_entries, {**part.data, **moved}))
            start += last - first
        return concatenate(pieces) if pieces else self._table.read(columns, 0, 0)


def _jitter(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    moved = values * (1 + 1e-3 * draw.standard_normal(values.shape)).astype(values.dtype)
    return np.where(values == np.round(values), values, moved).astype(
        values.dtype
    )  # sentinels and whole numbers stay


def make(source: str, path: Path, nbytes: float) -> None:
    """A ROOT file of about so many raw bytes."""
    table = read_all(next(iter(open_dataset(source).tables.values())))
    repeated = Repeated(table, max(1, round(nbytes / table.nbytes)))
    write_dataset(
        Dataset("large", {table.name: repeated}), path, WriteOptions(compression="ZSTD:1")
    )


def run(*arguments: str) -> tuple[float, float]:
    """Seconds and peak GiB of one command."""
    begin = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "flowtuple", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"flowtuple {' '.join(arguments)} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 2**20


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--tolerance", default="*=rel:1e-3")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--no-values", action="store_true", help="leave out the comparison of all values"
    )
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        raw, packed, back = (
            Path(folder) / name for name in ("raw.root", "packed.ftup", "back.root")
        )
        make(a.source, raw, a.gigabytes * 1e9)
        memory = ("--memory", a.memory)
        commands = {
            "compress": (
                "compress",
                str(raw),
                "-o",
                str(packed),
                "-t",
                a.tolerance,
                "--effort",
                a.effort,
                *memory,
            ),
            "decompress": (
                "decompress",
                str(packed),
                "-o",
                str(back),
                "--compression",
                "ZSTD:1",
                *memory,
            ),
            "verify (checksums)": ("verify", str(packed)),
            "verify (values)": ("verify", str(raw), str(packed)),
        }
        if a.no_values:
            del commands["verify (values)"]
        sys.stdout.write("| command | seconds | peak GiB |\n|---|---:|---:|\n")
        for name, arguments in commands.items():
            seconds, peak = run(*arguments)
            sys.stdout.write(f"| {name} | {seconds:.0f} | {peak:.2f} |\n")
            sys.stdout.flush()
        sys.stdout.write(
            f"raw ROOT {raw.stat().st_size} bytes, packed {packed.stat().st_size} bytes\n"
        )


if __name__ == "__main__":
    main()
