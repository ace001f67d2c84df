"""A benchmark: inputs are written once; processes encode and decode for each bound and codec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtuple.benchmark.codecs.table_codec import raw_bytes
from flowtuple.benchmark.flowtuple_codec import NAME
from flowtuple.benchmark.inputs import (
    layouts,
    numeric_tables,
    surveys,
    write_layouts,
    write_tables,
)
from flowtuple.benchmark.machine import machine
from flowtuple.benchmark.registry import codec
from flowtuple.benchmark.result import Bench, Measurement
from flowtuple.benchmark.settings import Settings
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
        raw_bytes: Bytes of the columns.
        values: Number of values of the columns.
    """

    folder: Path
    settings: Settings
    raw_bytes: int
    values: int


def run(
    dataset: Dataset, points: Points, codecs: Sequence[str], settings: Settings, command: str
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
    statistics = surveys(tables, settings.progress)
    described = [
        layouts(tables, statistics, tolerance, dataset.description)
        for tolerance in points.values()
    ]
    values = sum(int(t.data[c.name].size) for t in tables for c in t.columns)
    with tempfile.TemporaryDirectory(prefix="flowtuple-bench-") as name:
        shared = _Run(Path(name), settings, raw_bytes(tables), values)
        write_tables(tables, shared.folder)
        for number, entry in enumerate(described):
            write_layouts(entry, shared.folder / f"{number}.json")
        rows = _measure_all(shared, list(points), codecs)
    return Bench(
        source=dataset.description,
        command=command,
        effort=settings.effort,
        threads=settings.threads,
        unit=settings.unit,
        events={t.name: t.num_entries for t in tables},
        columns=sum(len(t.columns) for t in tables),
        values=values,
        raw_bytes=shared.raw_bytes,
        bounds=tuple(points),
        rows=tuple(rows),
        notes=tuple(notes),
        machine=machine(),
    )


def _measure_all(
    shared: _Run, bounds: Sequence[str], codecs: Sequence[str]
) -> list[Measurement]:
    """Return a row for each bound and codec; codecs without bounds encode once."""
    rows: list[Measurement] = []
    lossless: dict[str, Measurement] = {}
    encoded: dict[str, Measurement] = {}
    total, done = len(bounds) * sum(map(_weight, codecs)), 0
    for number, bound in enumerate(bounds):
        described = shared.folder / f"{number}.json"
        for name in codecs:
            shared.settings.progress("bench", done / total, f"{name} at {bound}")
            if name in lossless:
                rows.append(replace(lossless[name], bound=bound))
            elif codec(name).promise == "none":
                path = shared.folder / f"{name}{codec(name).suffix}"
                row = replace(
                    encoded.get(name) or _encoded(shared, name, bound, described, path),
                    bound=bound,
                )
                encoded[name] = row
                rows.append(_decoded(shared, row, described, path))
            else:
                rows.append(_measure(shared, name, bound, described))
            if rows[-1].promise == "lossless":
                lossless[name] = rows[-1]
            done += _weight(name)
    shared.settings.progress("bench", 1.0, "")
    return rows


def _weight(name: str) -> int:
    return _TRAINING if name == NAME or codec(name).promise == "none" else 1


def _measure(shared: _Run, name: str, bound: str, described: Path) -> Measurement:
    """Measure a codec at one bound, and remove its file."""
    path = described.with_suffix(codec(name).suffix)
    try:
        return _decoded(
            shared, _encoded(shared, name, bound, described, path), described, path
        )
    finally:
        path.unlink(missing_ok=True)


def _encoded(shared: _Run, name: str, bound: str, described: Path, path: Path) -> Measurement:
    """Return the row of a codec that has written its file."""
    row, task = Measurement(name, codec(name).promise, bound), _task(name, described, path)
    try:
        done = _child(shared, task | {"operation": "encode"}, bound)
        model_bytes, index_bytes = codec(name).overhead(path)
        trained = (
            _seconds_with_model(shared, task, bound) if name == NAME and model_bytes else None
        )
    except ChildFailed as error:
        return replace(row, failed=str(error))
    return replace(
        row,
        bytes=path.stat().st_size,
        model_bytes=model_bytes,
        index_bytes=index_bytes,
        bits_per_value=8 * path.stat().st_size / shared.values,
        seconds_in=done["seconds"],
        trained_seconds_in=trained,
        mb_per_s_in=_rate(shared.raw_bytes, done["seconds"]),
        trained_mb_per_s_in=_rate(shared.raw_bytes, trained),
        peak_bytes_in=done["peak_bytes"],
    )


def _decoded(shared: _Run, row: Measurement, described: Path, path: Path) -> Measurement:
    """Return the row with the figures of decoding."""
    if row.failed:
        return row
    try:
        done = _child(
            shared, _task(row.codec, described, path) | {"operation": "decode"}, row.bound
        )
    except ChildFailed as error:
        return Measurement(row.codec, row.promise, row.bound, failed=str(error))
    return replace(
        row,
        violations=done["violations"],
        worst=done["worst"],
        mean_error=done["mean_error"],
        largest_error=done["largest_error"],
        seconds_out=done["seconds"],
        mb_per_s_out=_rate(shared.raw_bytes, done["seconds"]),
        peak_bytes_out=done["peak_bytes"],
    )


def _task(name: str, described: Path, path: Path) -> dict[str, Any]:
    return {"codec": name, "layouts": str(described), "path": str(path), "model": None}


def _seconds_with_model(shared: _Run, task: dict[str, Any], bound: str) -> float:
    """Encode once more with the model of the file just written."""
    again = Path(task["path"]).with_name("again.ftup")
    encoded = _child(
        shared,
        {**task, "operation": "encode", "model": task["path"], "path": str(again)},
        bound,
    )
    again.unlink(missing_ok=True)
    return float(encoded["seconds"])


def _rate(nbytes: int, seconds: float | None) -> float | None:
    return nbytes / 1e6 / seconds if seconds else None


class ChildFailed(Exception):
    """A measured process ended without a result; the text is one line."""


def _child(shared: _Run, task: dict[str, Any], bound: str) -> dict[str, Any]:
    settings = shared.settings
    whole = task | {
        "inputs": str(shared.folder),
        "effort": settings.effort,
        "threads": settings.threads,
        "unit": settings.unit,
    }
    environment = os.environ | dict.fromkeys(POOLS, str(settings.threads))
    command = [sys.executable, "-m", "flowtuple.benchmark.child", json.dumps(whole)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                message = json.loads(line)
                if "result" in message:
                    result: dict[str, Any] = message["result"]
                    return result
                if "error" in message:
                    raise ChildFailed(message["error"])
                stage, share, detail = message["progress"]
                shared.settings.progress(
                    f"{task['codec']} at {bound}: {stage}", share, detail
                )
        except BaseException:
            process.kill()
            raise
        process.wait()
        complaints.seek(0)
        last = (complaints.read().strip().splitlines() or ["no message"])[-1]
        raise ChildFailed(f"ended with exit code {process.returncode} ({last})")
