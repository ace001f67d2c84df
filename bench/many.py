"""Many files on two workers beside one after another here: wall time, equal bytes, what fails, what the client holds.

usage: python bench/many.py FILE.root:TREE [--files 40] [--events 2500] [--workers 2] [--tolerance std:2.88e-3] [--effort fast]

The events of FILE, as often as needed, become files of `--events` each, no two alike; one model is trained on some of them,
before any clock starts. Then all are compressed, verified and decompressed, in this process on one thread, and by workers of
Dask with one thread each, whose start is in the time of all steps together. Bytes are compared file by file.

With `--tasks N` nothing of this, but how far the memory of client and scheduler, one process, grows where nothing has been
done before: while 100 tasks that do nothing pass through it, and then while N do.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import flowtuple as ft
from flowtuple.batch.cluster import Cluster, connected
from flowtuple.batch.jobs import Compress, Decompress, Facts, Job, Verify
from flowtuple.batch.run import run
from flowtuple.batch.tasks import Task, plan
from flowtuple.benchmark.memory import peak_meter
from flowtuple.data.selection import select
from flowtuple.io.source import WriteOptions, open_dataset, write_dataset

TRAINED_ON = 4  # files


@dataclass(frozen=True)
class Nothing:
    """A job that does nothing."""

    writes: ClassVar[bool] = False

    def __call__(self, task: Task) -> Facts:
        """Say so."""
        return {"events": 0}


def make_files(source: str, folder: Path, files: int, events: int) -> list[str]:
    """Files of consecutive events; from the second time round they begin elsewhere."""
    dataset = open_dataset(source)
    most = next(iter(dataset.tables.values())).num_entries
    for k in range(files):
        start = (k * events + 7 * (k * events // most)) % (most - events)
        write_dataset(
            select(dataset, (), (), (start, start + events)),
            folder / f"{k:04d}.root",
            WriteOptions(),
        )
    return [str(folder / "*.root")]


def timed(job: Job, tasks: list[Task], folder: Path, cluster: Cluster) -> float:
    """Seconds of all tasks, of which none may fail."""
    begin = time.perf_counter()
    summary = run(job, tasks, folder, cluster)
    if summary.failed or summary.skipped:
        raise SystemExit(f"{summary.failed or summary.skipped} tasks failed, or were done before")
    return time.perf_counter() - begin


def resident() -> float:
    """Largest resident size of this process so far, in MB: what its own program took, not the one that started it."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def idle_growth(tasks: int, cluster: Cluster) -> float:
    """How far this process's peak rises, in MB, while so many tasks pass that do nothing."""
    with tempfile.TemporaryDirectory() as name:
        idle = [Task(str(k), f"{k}.root", str(Path(name) / str(k))) for k in range(tasks)]
        grown = peak_meter()
        run(Nothing(), idle, Path(name), cluster)
        return grown() / 1e6


def rounds(sources: list[str], model: Path, folder: Path, cluster: Cluster) -> list[float]:
    """Seconds of compressing, verifying, decompressing all files."""
    packed, back = folder / "packed", folder / "back"
    tasks = plan(sources, packed, ".ftup")
    return [
        timed(Compress(str(model)), tasks, packed, cluster),
        timed(Verify(), tasks, packed, cluster),
        timed(Decompress(), plan([str(packed / "*.ftup")], back, ".parquet"), back, cluster),
    ]


def main() -> None:
    """Print a table row for each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--events", type=int, default=2500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tolerance", default="std:2.88e-3")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--tasks", type=int, default=0)
    a = parser.parse_args()
    if a.tasks:
        with connected(f"local:{a.workers}") as client:
            idle_growth(10, client)  # what is loaded and set up once
            few, many_tasks = idle_growth(100, client), idle_growth(a.tasks, client)
        print(
            f"the client's memory grew by {few:.1f} MB in 100 tasks and by {many_tasks:.1f} MB in {a.tasks}"
        )
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        sources = make_files(a.source, folder / "data", a.files, a.events)
        first = sorted((folder / "data").iterdir())[:: max(1, a.files // TRAINED_ON)]
        model = folder / "shared.flow"
        ft.train(
            [str(path) for path in first],
            model,
            tolerance={"*": a.tolerance},
            effort=a.effort,
            lean=True,
        )
        one = rounds(sources, model, folder / "one", None)
        begin = time.perf_counter()
        with connected(f"local:{a.workers}") as client:
            started = time.perf_counter() - begin
            many = rounds(sources, model, folder / "many", client)
            print(
                f"workers: {max(client.run(resident).values()):.0f} MB at most, model {model.stat().st_size / 1e3:.0f} kB"
            )
        packed = sorted((folder / "one" / "packed").glob("*.ftup"))
        other = [folder / "many" / "packed" / path.name for path in packed]
        same = sum(
            one.read_bytes() == two.read_bytes() for one, two in zip(packed, other, strict=True)
        )
        sizes = [
            sum(path.stat().st_size for path in paths) / 1e6
            for paths in ((folder / "data").iterdir(), packed)
        ]
        print(
            f"{sizes[0]:.1f} MB of ROOT files, {sizes[1]:.1f} MB compressed; {sizes[0] / one[0]:.2f} MB/s compressed here"
        )
        print(
            f"{a.files} files of {a.events} events, {same} of {len(packed)} compressed files equal byte for byte"
        )
        print(
            f"workers started in {started:.1f} s\n\n| step | here, s | {a.workers} workers, s | share |\n|---|---:|---:|---:|"
        )
        for step, here, there in zip(("compress", "verify", "decompress"), one, many, strict=True):
            print(f"| {step} | {here:.1f} | {there:.1f} | {there / here:.2f} |")
        whole = sum(many) + started
        print(
            f"| all, workers' start included | {sum(one):.1f} | {whole:.1f} | {whole / sum(one):.2f} |"
        )


if __name__ == "__main__":
    main()
