"""Training a flow over rows at scale: memory, steps a second, the time spent waiting for data, one process and two.

usage: python bench/scale.py [FILE.root[:TREE]] [--columns 'Jet_*'] [--rows 5e6] [--files 4] [--memory 2GB] [--processes 1 2]
           [--flow coupling] [--batch 4096] [--epochs 1] [--folder DIR]

The rows are those of FILE again and again, every float moved by 0.1 %, or without FILE of 24 correlated columns, spread over
several files. Each training is a process of its own, or several under torchrun, with the same rows, seed and global batch.
Peak memory is the growth of the largest resident set; a mapped file's pages are in that, and the system takes them back when
it needs to, so that what the process holds beside them is listed too. Rows repeat: the losses say that one process and two
learn the same, not how well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from large import Repeated

from flowtuple.cli.options import read_memory
from flowtuple.data.selection import SelectedTable, select
from flowtuple.data.table import Dataset, ranges, read_all
from flowtuple.io.source import WriteOptions, open_dataset, write_dataset

COLUMNS = 24  # of synthetic rows
SYNTHETIC = 100_000  # of them, before they are repeated


def synthetic() -> Dataset:
    """Rows with correlated columns, half of them skewed."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(SYNTHETIC, COLUMNS)) @ np.linalg.cholesky(0.5 + 0.5 * np.eye(COLUMNS)).T
    x[:, ::2] = np.exp(x[:, ::2])
    return open_dataset({f"x{k}": x[:, k].astype(np.float32) for k in range(COLUMNS)})


def make(source: Dataset, rows: float, files: int, folder: Path) -> list[str]:
    """ROOT files of about so many rows together."""
    table = read_all(next(iter(source.tables.values())))
    content = [table.data[c.name] for c in table.columns]
    repeated = Repeated(table, -(-round(rows) // max(len(values) for values in content)))
    step = -(-repeated.num_entries // files)
    paths = []
    for number, (start, stop) in enumerate(ranges(repeated.num_entries, step)):
        paths.append(str(folder / f"rows{number}.root"))
        part = Dataset(
            paths[-1], {table.name: SelectedTable(repeated, repeated.columns, start, stop)}
        )
        write_dataset(part, paths[-1], WriteOptions(compression="ZSTD:1"))
    return paths


def own_memory() -> int:
    """Bytes that the process holds beside mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def watch_own_memory(growth: list[int]) -> None:
    """Keep the largest growth of it."""
    before = own_memory()
    while True:
        growth[0] = max(growth[0], own_memory() - before)
        time.sleep(0.05)


def work(paths: Sequence[str], a: argparse.Namespace) -> None:
    """One process of a training; the first one prints what was measured as JSON."""
    from flowtuple.benchmark.memory import peak_meter
    from flowtuple.data.mapped_rows import gather_rows
    from flowtuple.data.row_source import row_source
    from flowtuple.flows.options import RowFlow, Shape, Training
    from flowtuple.flows.processes import Process
    from flowtuple.flows.train import train_rows

    peak, own = peak_meter(), [0]
    threading.Thread(target=watch_own_memory, args=(own,), daemon=True).start()
    begin = time.perf_counter()
    rows = gather_rows(
        row_source(open_dataset(list(paths))), read_memory(a.memory), Path(paths[0]).parent
    )
    read = time.perf_counter() - begin
    options = Training(epochs=a.epochs, batch=a.batch)
    asked = RowFlow(a.flow, Shape(a.steps, tuple(a.hidden), a.bins), options, device=a.device)
    model, fitted = train_rows(rows, asked, 0, lambda share, loss: None)
    steps = a.epochs * round(len(rows) * (1 - options.held_out) / a.batch)
    found = {
        "rows": len(rows),
        "columns": len(rows.columns),
        "GB of rows": rows.values.nbytes / 1e9,
        "read, s": read,
        "prepared and judged, s": time.perf_counter() - begin - read - fitted.seconds,
        "trained, s": fitted.seconds,
        "steps/s": steps / fitted.seconds,
        "rows/s": steps * a.batch / fitted.seconds,
        "waited for data, %": 100 * fitted.waited,
        "peak memory, GB": peak() / 1e9,
        "of it not mapped, GB": own[0] / 1e9,
        "loss in training": fitted.history[-1][1],
        "loss on held-out events": fitted.history[-1][2],
        "parameters": sum(p.numel() for p in model.flow.parameters()),
    }
    if Process.here().leads:
        sys.stdout.write(json.dumps(found) + "\n")


def run(processes: int, paths: Sequence[str], options: Sequence[str]) -> dict[str, float]:
    """What a training by so many processes prints."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    started = [sys.executable, *(torchrun if processes > 1 else [])]
    command = [*started, __file__, "--work", *options, "--paths", *paths]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a column for each number of processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?")
    parser.add_argument("--columns", nargs="*", default=["*"])
    parser.add_argument("--rows", type=float, default=5e6)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--flow", default="coupling")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--hidden", type=int, nargs="*", default=[64, 64])
    parser.add_argument("--bins", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--paths", nargs="*", default=[], help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.work:
        work(a.paths, a)
        return
    kept = ("memory", "flow", "steps", "bins", "batch", "epochs", "device")
    options = [word for name in kept for word in (f"--{name}", str(getattr(a, name)))] + [
        "--hidden",
        *map(str, a.hidden),
    ]
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        source = select(open_dataset(a.source), a.columns) if a.source else synthetic()
        paths = make(source, a.rows, a.files, Path(folder))
        found = {number: run(number, paths, options) for number in a.processes}
    headings = [f"{number} process{'es' if number > 1 else ''}" for number in found]
    sys.stdout.write(f"| | {' | '.join(headings)} |\n|---|{'---:|' * len(found)}\n")
    for name in next(iter(found.values())):
        sys.stdout.write(
            f"| {name} | {' | '.join(f'{row[name]:.5g}' for row in found.values())} |\n"
        )


if __name__ == "__main__":
    main()
