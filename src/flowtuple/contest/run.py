"""The contest itself: inputs written once, then for every bound and codec one process that encodes and one that decodes."""

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

from flowtuple.contest.codecs import codec
from flowtuple.contest.inputs import layouts, numeric_tables, surveys, write_layouts, write_tables
from flowtuple.contest.machine import machine
from flowtuple.contest.own import NAME, overhead
from flowtuple.contest.result import Bench, Measurement
from flowtuple.progress import Progress
from flowtuple.rivals.rival import raw_bytes
from flowtuple.schema import Bound
from flowtuple.table import Dataset

_SHARE_OF_OWN = 20  # how much longer than a rival's flowtuple's training takes, for the time left
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLOSC_NTHREADS")

Points = Mapping[str, Mapping[str, "str | Bound"]]
"""For each bound, as it is shown, the tolerance that stands for it."""


@dataclass(frozen=True)
class _Run:
    """What all processes of one contest share.

    Attributes:
        folder: For their files.
        effort: Of flowtuple's training.
        threads: Of each.
        raw_bytes: Of the columns.
        values: Of the columns.
        progress: Told of each stage.
    """

    folder: Path
    effort: str
    threads: int
    raw_bytes: int
    values: int
    progress: Progress


def run(
    dataset: Dataset, points: Points, codecs: Sequence[str], effort: str, threads: int, command: str, progress: Progress
) -> Bench:
    """Measure codecs on all tables of a data set.

    Args:
        dataset: The events; opaque columns and carried objects are left out.
        points: The bounds.
        codecs: Names from `choose`.
        effort: Of flowtuple's training.
        threads: That each codec may use where it can use several.
        command: The command line, for the record.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A pattern matches nothing, a bound is impossible for its column, or there are no numbers.
    """
    tables, notes = numeric_tables(dataset)
    statistics = surveys(tables, progress)
    found = {bound: layouts(tables, statistics, tolerance, dataset.description) for bound, tolerance in points.items()}
    values = sum(int(t.data[c.name].size) for t in tables for c in t.columns)
    with tempfile.TemporaryDirectory(prefix="flowtuple-bench-") as name:
        shared = _Run(Path(name), effort, threads, raw_bytes(tables), values, progress)
        write_tables(tables, shared.folder)
        for number, entry in enumerate(found.values()):
            write_layouts(entry, shared.folder / f"{number}.json")
        rows = _measure_all(shared, list(points), codecs)
    return Bench(
        source=dataset.description,
        command=command,
        effort=effort,
        threads=threads,
        events={t.name: t.num_entries for t in tables},
        columns=sum(len(t.columns) for t in tables),
        values=values,
        raw_bytes=shared.raw_bytes,
        bounds=tuple(points),
        rows=tuple(rows),
        notes=tuple(notes),
        machine=machine(),
    )


def _measure_all(shared: _Run, bounds: Sequence[str], codecs: Sequence[str]) -> list[Measurement]:
    rows: list[Measurement] = []
    lossless: dict[str, Measurement] = {}
    total, done = len(bounds) * sum(_weight(name) for name in codecs), 0
    for number, bound in enumerate(bounds):
        for name in codecs:
            shared.progress("bench", done / total, f"{name} at {bound}")
            if name in lossless:  # the bound changes nothing for it
                rows.append(replace(lossless[name], bound=bound))
            else:
                rows.append(_measure(shared, name, bound, shared.folder / f"{number}.json"))
            if rows[-1].promise == "lossless":
                lossless[name] = rows[-1]
            done += _weight(name)
    shared.progress("bench", 1.0, "")
    return rows


def _weight(name: str) -> int:
    return _SHARE_OF_OWN if name == NAME else 1


def _measure(shared: _Run, name: str, bound: str, described: Path) -> Measurement:
    entrant = codec(name)
    path = described.with_suffix(entrant.suffix)
    row = Measurement(name, entrant.promise, bound)
    task = {"codec": name, "layouts": str(described), "path": str(path), "model": None}
    try:
        encoded = _child(shared, task | {"operation": "encode"}, bound)
        model_bytes, index_bytes = overhead(path) if name == NAME else (0, 0)
        decoded = _child(shared, task | {"operation": "decode"}, bound)
        trained = _seconds_with_model(shared, task, bound) if model_bytes else None
        nbytes = path.stat().st_size
    except ChildFailed as error:
        return replace(row, failed=str(error))
    finally:
        path.unlink(missing_ok=True)
    return replace(
        row,
        bytes=nbytes,
        model_bytes=model_bytes,
        index_bytes=index_bytes,
        bits_per_value=8 * nbytes / shared.values,
        violations=decoded["violations"],
        worst=decoded["worst"],
        seconds_in=encoded["seconds"],
        seconds_out=decoded["seconds"],
        trained_seconds_in=trained,
        mb_per_s_in=_rate(shared.raw_bytes, encoded["seconds"]),
        mb_per_s_out=_rate(shared.raw_bytes, decoded["seconds"]),
        trained_mb_per_s_in=_rate(shared.raw_bytes, trained),
        peak_bytes_in=encoded["peak_bytes"],
        peak_bytes_out=decoded["peak_bytes"],
    )


def _seconds_with_model(shared: _Run, task: Mapping[str, Any], bound: str) -> float:
    """Encoding once more with the model of the file just written."""
    again = Path(task["path"]).with_name("again.ftup")
    encoded = _child(shared, {**task, "operation": "encode", "model": task["path"], "path": str(again)}, bound)
    again.unlink(missing_ok=True)
    return float(encoded["seconds"])


def _rate(nbytes: int, seconds: float | None) -> float | None:
    return nbytes / 1e6 / seconds if seconds else None


class ChildFailed(Exception):
    """A process that was to be measured ended without a result; the text is one line."""


def _child(shared: _Run, task: Mapping[str, Any], bound: str) -> dict[str, Any]:
    whole = {**task, "inputs": str(shared.folder), "effort": shared.effort, "threads": shared.threads}
    environment = os.environ | dict.fromkeys(_THREADS, str(shared.threads))
    command = [sys.executable, "-m", "flowtuple.contest.child", json.dumps(whole)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment) as process,
    ):
        try:
            for line in process.stdout or ():
                message = json.loads(line)
                if "result" in message:
                    found: dict[str, Any] = message["result"]
                    return found
                if "error" in message:
                    raise ChildFailed(message["error"])
                stage, share, detail = message["progress"]
                shared.progress(f"{task['codec']} at {bound}: {stage}", share, detail)
        except BaseException:
            process.kill()
            raise
        process.wait()
        complaints.seek(0)
        last = (complaints.read().strip().splitlines() or ["no message"])[-1]
        raise ChildFailed(f"ended with exit code {process.returncode} ({last})")
