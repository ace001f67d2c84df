"""Memory and speed on large files, many files, many rows and wide tables."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from commands import Script, first_table, show_header, show_row, timed

import flowtuple as ft
from flowtuple.batch.jobs import Compress, Decompress, Facts, Job, Verify
from flowtuple.batch.run import Cluster, connected, run
from flowtuple.batch.tasks import Task, plan
from flowtuple.benchmark.flowtuple_codec import Flowtuple
from flowtuple.benchmark.memory import peak_meter, status
from flowtuple.cli.options import read_memory
from flowtuple.data.mapped_rows import gather_rows
from flowtuple.data.row_source import row_source
from flowtuple.data.selection import SelectedTable, select
from flowtuple.data.table import Dataset, Table, concatenate, ranges, read_all
from flowtuple.io.source import WriteOptions, open_dataset, write_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.report import totals

TRAINED_ON = 4  # files
COLUMNS = 24  # of synthetic rows
SYNTHETIC = 100_000  # of them, before they are repeated
FAST = WriteOptions(compression="ZSTD:1")
script = Script(__doc__)


class Repeated:
    """A table again and again, floats moved a little so that nothing repeats; a `TableSource`."""

    def __init__(self, table: Table, times: int) -> None:
        self._table = table
        self.name, self.columns = table.name, table.columns
        self.num_entries = table.num_entries * times

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Read events of one or more repetitions."""
        length, pieces = self._table.num_entries, []
        while start < stop:
            number, first = divmod(start, length)
            last = min(length, first + stop - start)
            part = self._table.read(columns, first, last)
            draw = np.random.default_rng([number, first])
            moved = {
                c.name: _jitter(part.data[c.name], draw)
                for c in part.columns
                if c.is_float
            }
            pieces.append(
                Table(part.name, part.columns, part.num_entries, {**part.data, **moved})
            )
            start += last - first
        return concatenate(pieces) if pieces else self._table.read(columns, 0, 0)


def _jitter(values: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    moved = values * (1 + 1e-3 * draw.standard_normal(values.shape)).astype(values.dtype)
    # sentinels and whole numbers stay
    return np.where(values == np.round(values), values, moved).astype(values.dtype)


def own_command(a: argparse.Namespace, command: str, **options: Any) -> list[str]:
    """Return the arguments that run a command of this script with these and further options."""
    return [__file__, command, json.dumps({**vars(a), **options}, default=str)]


def given(a: argparse.Namespace) -> argparse.Namespace:
    """Return the options of `own_command`."""
    return argparse.Namespace(**json.loads(a.options))


# -- one large file -------------------------------------------------------------------------------


@script.command(
    "source",
    gigabytes=5.0,
    memory="2GB",
    tolerance="*=rel:1e-3",
    effort="fast",
    folder=Path,
    no_values=False,
)
def large(a: argparse.Namespace) -> None:
    """Measure peak memory and speed on an input larger than memory allows.

    The input is a sample repeated with jitter. Every command runs in a process of its own; peak
    memory is the largest resident set that the system saw of it. `flowtuple verify` checks the
    bound on all values, unless --no-values leaves that out.
    """
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        names = ("raw.root", "packed.ftup", "back.root")
        raw, packed, back = (Path(folder) / name for name in names)
        table = first_table(a.source)
        repeated = Repeated(table, max(1, round(a.gigabytes * 1e9 / table.nbytes)))
        write_dataset(Dataset("large", {table.name: repeated}), raw, FAST)
        memory = ["--memory", a.memory]
        options = ["-t", a.tolerance, "--effort", a.effort]
        commands = {
            "compress": ["compress", raw, "-o", packed, *options, *memory],
            "decompress": [
                "decompress",
                packed,
                "-o",
                back,
                "--compression",
                "ZSTD:1",
                *memory,
            ],
            "verify (checksums)": ["verify", packed],
            "verify (values)": ["verify", raw, packed],
        }
        if a.no_values:
            del commands["verify (values)"]
        show_header("command", "seconds", "peak GiB")
        for name, arguments in commands.items():
            seconds, peak = process_costs(*map(str, arguments))
            show_row(name, f"{seconds:.0f}", f"{peak:.2f}")
        sizes = raw.stat().st_size, packed.stat().st_size
        print("raw ROOT {} bytes, packed {} bytes".format(*sizes))


def process_costs(*arguments: str) -> tuple[float, float]:
    """Return seconds and peak GiB of one command of flowtuple."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "flowtuple", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(child.pid, 0)
    if code:
        raise SystemExit(f"flowtuple {' '.join(arguments)} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 2**20


# -- many files -----------------------------------------------------------------------------------


@script.command(
    "source", files=40, events=2500, workers=2, tolerance="std:2.88e-3", effort="fast"
)
def many(a: argparse.Namespace) -> None:
    """Compare workers with one process on many files: wall time, equal bytes, memory.

    The events of SOURCE, as often as needed, become files of --events each, no two alike; one model
    is trained on some of them, before any clock starts. Then all are compressed, verified and
    decompressed, in this process on one thread, and by workers of Dask with one thread each, whose
    start is in the time of all steps together. Bytes are compared file by file.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, model = folder / "data", folder / "shared.flow"
        data.mkdir()
        make_files(a.source, data, a.files, a.events)
        paths = sorted(data.iterdir())
        trained_on = [str(path) for path in paths[:: max(1, a.files // TRAINED_ON)]]
        bound = {"*": a.tolerance}
        ft.train(trained_on, model, tolerance=bound, effort=a.effort, lean=True)
        one = rounds(data, model, folder / "one", None)
        begin = time.perf_counter()
        with connected(f"local:{a.workers}") as client:
            started = time.perf_counter() - begin
            other = rounds(data, model, folder / "many", client)
            largest = max(client.run(largest_resident).values())
        print(
            f"workers: {largest:.0f} MB at most, model {model.stat().st_size / 1e3:.0f} kB"
        )
        packed = sorted((folder / "one" / "packed").glob("*.ftup"))
        copies = [folder / "many" / "packed" / path.name for path in packed]
        same = sum(
            x.read_bytes() == y.read_bytes() for x, y in zip(packed, copies, strict=True)
        )
        raw, size = (
            sum(path.stat().st_size for path in x) / 1e6 for x in (paths, packed)
        )
    print(f"{raw:.1f} MB of ROOT files, {size:.1f} MB compressed; ", end="")
    print(f"{raw / one[0]:.2f} MB/s compressed here")
    print(f"{a.files} files of {a.events} events, ", end="")
    print(f"{same} of {len(packed)} compressed files equal byte for byte")
    print(f"workers started in {started:.1f} s\n")
    show_header("step", "here, s", f"{a.workers} workers, s", "share")
    steps = ("compress", "verify", "decompress", "all, workers' start included")
    times = zip(steps, (*one, sum(one)), (*other, sum(other) + started), strict=True)
    for step, here, there in times:
        show_row(step, f"{here:.1f}", f"{there:.1f}", f"{there / here:.2f}")


def make_files(source: str, folder: Path, files: int, events: int) -> None:
    """Write files of consecutive events; from the second time round they begin elsewhere."""
    dataset = open_dataset(source)
    most = next(iter(dataset.tables.values())).num_entries
    for k in range(files):
        start = (k * events + 7 * (k * events // most)) % (most - events)
        some = select(dataset, (), (), (start, start + events))
        write_dataset(some, folder / f"{k:04d}.root", WriteOptions())


def rounds(data: Path, model: Path, folder: Path, cluster: Cluster) -> list[float]:
    """Return the seconds of compressing, verifying, decompressing all files."""
    packed, back = folder / "packed", folder / "back"
    tasks = plan([str(data / "*.root")], packed, ".ftup")
    return [
        run_all(Compress(str(model)), tasks, packed, cluster),
        run_all(Verify(), tasks, packed, cluster),
        run_all(
            Decompress(), plan([str(packed / "*.ftup")], back, ".parquet"), back, cluster
        ),
    ]


def run_all(job: Job, tasks: list[Task], folder: Path, cluster: Cluster) -> float:
    """Return the seconds of all tasks, of which none may fail."""
    summary, seconds = timed(lambda: run(job, tasks, folder, cluster))
    if summary.failed or summary.skipped:
        raise SystemExit(
            f"{summary.failed or summary.skipped} tasks failed, or were done before"
        )
    return seconds


def largest_resident() -> float:
    """Return the largest resident size of this process so far, in MB.

    The kernel counts it from the start of the program, not of the process that started it.
    """
    return (status("VmHWM:") or 0) / 1e6


@dataclass(frozen=True)
class Nothing:
    """A job that does nothing."""

    writes: ClassVar[bool] = False

    def __call__(self, task: Task) -> Facts:
        return {"events": 0}


@script.command(tasks=1000, workers=2)
def client_memory(a: argparse.Namespace) -> None:
    """Measure the growth of the memory of client and scheduler while tasks do nothing.

    Both are one process, in which nothing has been done before: 100 tasks pass through it, and
    then --tasks.
    """
    with connected(f"local:{a.workers}") as client:
        idle_growth(10, client)  # what is loaded and set up once
        few, more = idle_growth(100, client), idle_growth(a.tasks, client)
    print(f"the client's memory grew by {few:.1f} MB in 100 tasks ", end="")
    print(f"and by {more:.1f} MB in {a.tasks}")


def idle_growth(tasks: int, cluster: Cluster) -> float:
    """Return the growth of this process's peak, in MB, while tasks pass that do nothing."""
    with tempfile.TemporaryDirectory() as name:
        idle = [Task(str(k), f"{k}.root", str(Path(name) / str(k))) for k in range(tasks)]
        growth = peak_meter()
        run(Nothing(), idle, Path(name), cluster)
        return growth() / 1e6


# -- many rows ------------------------------------------------------------------------------------


@script.command(
    "source?",
    columns=["*"],
    rows=5e6,
    files=4,
    processes=[1, 2],
    folder=Path,
    memory="2GB",
    flow="coupling",
    steps=2,
    hidden=[64, 64],
    bins=8,
    batch=4096,
    epochs=1,
    device="auto",
)
def training(a: argparse.Namespace) -> None:
    """Measure the training of a flow over many rows: memory, steps, waiting, processes.

    The rows are those of SOURCE again and again, every float moved by 0.1 %, or without it of 24
    correlated columns, spread over several files. Each training is a process of its own, or several
    under torchrun, with the same rows, seed and global batch. Peak memory is the growth of the
    largest resident set; a mapped file's pages are in that, and the system takes them back when it
    needs to, so that memory without mapped files is listed too. Rows repeat: the losses show that
    one process and two learn the same, not how well.
    """
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        source = select(open_dataset(a.source), a.columns) if a.source else synthetic()
        paths = write_rows(source, a.rows, a.files, Path(folder))
        words = own_command(a, "train-rows", paths=paths)
        results = {}
        for number in a.processes:
            torchrun = [
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc-per-node={number}",
            ]
            started = [sys.executable, *(torchrun if number > 1 else [])]
            command = [*started, *words]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results[number] = json.loads(done.stdout.splitlines()[-1])
    show_header("", *(f"{n} process{'es' if n > 1 else ''}" for n in results))
    for name in next(iter(results.values())):
        show_row(name, *(f"{row[name]:.5g}" for row in results.values()))


def synthetic() -> Dataset:
    """Return rows with correlated columns, half of them skewed."""
    draw = np.random.default_rng(0)
    x = (
        draw.normal(size=(SYNTHETIC, COLUMNS))
        @ np.linalg.cholesky(0.5 + 0.5 * np.eye(COLUMNS)).T
    )
    x[:, ::2] = np.exp(x[:, ::2])
    return open_dataset({f"x{k}": x[:, k].astype(np.float32) for k in range(COLUMNS)})


def write_rows(source: Dataset, rows: float, files: int, folder: Path) -> list[str]:
    """Write ROOT files of about so many rows together."""
    table = read_all(next(iter(source.tables.values())))
    longest = max(len(table.data[c.name]) for c in table.columns)
    repeated = Repeated(table, -(-round(rows) // longest))
    step = -(-repeated.num_entries // files)
    paths = []
    for number, (start, stop) in enumerate(ranges(repeated.num_entries, step)):
        paths.append(str(folder / f"rows{number}.root"))
        part = SelectedTable(repeated, repeated.columns, start, stop)
        write_dataset(Dataset(paths[-1], {table.name: part}), paths[-1], FAST)
    return paths


@script.command("options")
def train_rows(a: argparse.Namespace) -> None:
    """Train in one process of `training`; the first one prints its figures as JSON."""
    from flowtuple.flows.options import RowFlow, Shape, Training
    from flowtuple.flows.processes import Process
    from flowtuple.flows.train import train_rows

    a, peak, own = given(a), peak_meter(), [0]
    threading.Thread(target=watch_own_memory, args=(own,), daemon=True).start()
    begin = time.perf_counter()
    source = row_source(open_dataset(list(a.paths)))
    rows = gather_rows(source, read_memory(a.memory), Path(a.paths[0]).parent)
    read = time.perf_counter() - begin
    options = Training(epochs=a.epochs, batch=a.batch)
    flow = RowFlow(
        a.flow, Shape(a.steps, tuple(a.hidden), a.bins), options, device=a.device
    )
    model, fitted = train_rows(rows, flow, 0, lambda share, loss: None)
    steps = a.epochs * round(len(rows) * (1 - options.held_out) / a.batch)
    figures = {
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
    if Process.here().is_main:
        print(json.dumps(figures))


def own_memory() -> int:
    """Return the bytes of the process without mapped files."""
    return status("RssAnon:") or 0


def watch_own_memory(growth: list[int]) -> None:
    """Record the largest growth of the process's memory without mapped files."""
    before = own_memory()
    while True:
        growth[0] = max(growth[0], own_memory() - before)
        time.sleep(0.05)


# -- wide tables ----------------------------------------------------------------------------------


@script.command(
    "source",
    columns=[10, 100, 1000],
    rows=20000,
    bound="std:2.88e-3",
    effort="default",
    first=False,
)
def wide(a: argparse.Namespace) -> None:
    """Measure seconds and bytes per value as a table grows wider.

    Objects of a ragged file are pivoted to one row per event; objects that an event does not have
    are 0. The narrower tables are columns of the widest one, evenly spread over it, so that they
    have the same mix of full and nearly empty columns; with --first they are its first columns,
    which are all full. Each width runs in a process of its own; memory is the peak of that process.
    The clock starts with packages imported and compiled kernels loaded, as in every other
    measurement.
    """
    steps = ("train", "compress", "decompress")
    times = [f"{step} us/value" for step in steps]
    show_header("columns", *times, "peak GiB", "bytes", "flowtuple / q+pcodec", text=0)
    for columns in a.columns:
        words = own_command(a, "width", columns=columns, widest=max(a.columns))
        command = [sys.executable, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(done.stdout)
        each = [f"{1e6 * row[step] / row['values']:.3f}" for step in steps]
        ratio = f"{row['bytes'] / row['quantise+pcodec']:.4f}"
        show_row(columns, *each, f"{row['peak_GiB']:.2f}", row["bytes"], ratio)


@script.command("options")
def width(a: argparse.Namespace) -> None:
    """Measure one width of `wide`, and print its figures as JSON."""
    a = given(a)
    data = pivot(a.source, a.columns if a.first else max(a.widest, a.columns), a.rows)
    if not a.first:
        names = list(data)
        spread = [names[k * len(names) // a.columns] for k in range(a.columns)]
        data = {name: data[name] for name in spread}
    Flowtuple().load()
    with tempfile.TemporaryDirectory() as folder:
        model, packed = Path(folder) / "m.flow", Path(folder) / "w.ftup"
        options = {"tolerance": {"*": a.bound}, "effort": a.effort, "lean": True}
        seconds = {
            "train": timed(lambda: ft.train(data, model, **options))[1],
            "compress": timed(lambda: ft.compress(data, packed, model=model))[1],
            "decompress": timed(lambda: ft.decompress(packed))[1],
        }
        with ft.open(packed) as file:
            sizes = totals(report_input(open_dataset(data), file, ""))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = sum(map(len, data.values()))
    print(json.dumps({**seconds, **sizes, "values": values, "peak_GiB": peak}))


def pivot(source: str, columns: int, rows: int) -> dict[str, Any]:
    """Return event columns, then the first objects of every collection, the second, and so on."""
    table = next(iter(open_dataset(source).tables.values()))
    events = table.read([c.name for c in table.columns], 0, rows)
    plain = [
        c for c in events.columns if c.counter is None and not c.is_opaque and not c.shape
    ]
    flat = {c.name: events.data[c.name] for c in plain}
    ragged = [c for c in events.columns if c.counter is not None]
    for number in range(columns):
        for column in ragged:
            counts, values = events.data[column.counter], events.data[column.name]
            begin = np.cumsum(counts) - counts
            there = counts > number
            objects = np.where(there, values[np.where(there, begin + number, 0)], 0)
            flat[f"{column.name}_{number}"] = objects.astype(values.dtype)
            if len(flat) >= columns:
                return dict(list(flat.items())[:columns])
    return flat


if __name__ == "__main__":
    script.main()
