"""A benchmark: inputs are written once; processes encode and decode for each bound and codec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtuple.benchmark.codecs.table_codec import Settings, raw_bytes
from flowtuple.benchmark.flowtuple_codec import NAME
from flowtuple.benchmark.inputs import (
    layouts,
    numeric_tables,
    write_layouts,
    write_tables,
)
from flowtuple.benchmark.machine import machine
from flowtuple.benchmark.registry import codec
from flowtuple.benchmark.result import Bench, Measurement
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Dataset

_TRAINING = 20  # time of a training over that of other codecs, for the time left
POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLOSC_NTHREADS",
)

Points = Mapping[str, Mapping[str, "str | Bound"]]
"""Tolerance by the name of its bound in tables."""


@dataclass(frozen=True)
class _Run:
    """Parts that all processes of one benchmark share.

    Attributes:
        folder: Folder of their files.
        settings: Settings of all codecs.
        task: Entries of every task.
    """

    folder: Path
    settings: Settings
    task: Mapping[str, Any]


def run(
    dataset: Dataset,
    points: Points,
    codecs: Sequence[str],
    settings: Settings,
    command: str,
) -> Bench:
    """Measure codecs on all tables of a data set.

    Args:
        dataset: The events; opaque columns and carried objects are left out.
        points: The bounds.
        codecs: Names from `choose`.
        settings: Settings of all codecs; its progress is called with each stage.
        command: The command line, for the record.

    Raises:
        InvalidArgument: A pattern matches nothing, a bound is impossible for its column, or there
            are no numbers.
    """
    tables, notes = numeric_tables(dataset)
    described = layouts(tables, points.values(), dataset.description, settings.progress)
    values = sum(int(t.data[c.name].size) for t in tables for c in t.columns)
    with tempfile.TemporaryDirectory(prefix="flowtuple-bench-") as name:
        task: dict[str, Any] = {
            "inputs": name,
            "raw_bytes": raw_bytes(tables),
            "values": values,
            "effort": settings.effort,
            "threads": settings.threads,
            "unit": settings.unit,
        }
        shared = _Run(Path(name), settings, task)
        write_tables(tables, shared.folder)
        for number, entry in enumerate(described):
            write_layouts(entry, shared.folder / f"{number}.json")
        rows = tuple(_measured(shared, list(points), codecs))
    return Bench(
        source=dataset.description,
        command=command,
        effort=settings.effort,
        threads=settings.threads,
        unit=settings.unit,
        events={t.name: t.num_entries for t in tables},
        columns=sum(len(t.columns) for t in tables),
        values=values,
        raw_bytes=task["raw_bytes"],
        bounds=tuple(points),
        rows=rows,
        notes=tuple(notes),
        machine=machine(),
    )


def _measured(
    shared: _Run, bounds: Sequence[str], codecs: Sequence[str]
) -> Iterator[Measurement]:
    """Yield a row for each bound and codec; codecs without bounds encode once."""
    first: dict[str, Measurement] = {}
    progress = shared.settings.progress
    total, done = len(bounds) * sum(map(_weight, codecs)), 0
    for number, bound in enumerate(bounds):
        described = shared.folder / f"{number}.json"
        for name in codecs:
            progress("bench", done / total, f"{name} at {bound}")
            promise = codec(name).promise
            path = shared.folder / f"{name}{codec(name).suffix}"
            row = replace(first.get(name, Measurement(name, promise, bound)), bound=bound)
            if promise == "bounded" or name not in first:
                row = _encoded(shared, Measurement(name, promise, bound), described, path)
            if promise != "lossless" or name not in first:
                row = _figures(shared, row, "decode", described, path)
            if promise != "none":
                path.unlink(missing_ok=True)
            first.setdefault(name, row)
            yield row
            done += _weight(name)
    progress("bench", 1.0, "")


def _weight(name: str) -> int:
    return _TRAINING if name == NAME or codec(name).promise == "none" else 1


def _encoded(shared: _Run, row: Measurement, described: Path, path: Path) -> Measurement:
    """Return the row of a codec that has written its file, and once more with its model."""
    row = _figures(shared, row, "encode", described, path)
    if row.codec != NAME or not row.model_bytes:
        return row
    again = path.with_name("again.ftup")
    trained = _figures(shared, row, "encode", described, again, model=path)
    again.unlink(missing_ok=True)
    return replace(
        trained if trained.failed else row,
        trained_seconds_in=trained.seconds_in,
        trained_mb_per_s_in=trained.mb_per_s_in,
    )


def _figures(
    shared: _Run,
    row: Measurement,
    operation: str,
    described: Path,
    path: Path,
    model: Path | None = None,
) -> Measurement:
    """Return the row with the figures of one operation, or with the reason why it has none."""
    task = {
        "operation": operation,
        "codec": row.codec,
        "layouts": str(described),
        "path": str(path),
        "model": model and str(model),
    }
    try:
        return row if row.failed else replace(row, **_child(shared, task, row.bound))
    except ChildFailed as error:
        return Measurement(row.codec, row.promise, row.bound, failed=str(error))


class ChildFailed(Exception):
    """A measured process ended without a result; the text is one line."""


def _child(shared: _Run, task: dict[str, Any], bound: str) -> dict[str, Any]:
    """Return the figures that a measured process prints, by the names of a `Measurement`."""
    settings, whole = shared.settings, json.dumps({**shared.task, **task})
    environment = os.environ | dict.fromkeys(POOLS, str(settings.threads))
    command = [sys.executable, "-m", "flowtuple.benchmark.child", whole]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                match json.loads(line):
                    case {"result": dict(result)}:
                        return result
                    case {"error": str(reason)}:
                        raise ChildFailed(reason)
                    case {"progress": [stage, share, detail]}:
                        where = f"{task['codec']} at {bound}: {stage}"
                        settings.progress(where, share, detail)
        except BaseException:
            process.kill()
            raise
        process.wait()
        complaints.seek(0)
        last = (complaints.read().strip().splitlines() or ["no message"])[-1]
        raise ChildFailed(f"ended with exit code {process.returncode} ({last})")
