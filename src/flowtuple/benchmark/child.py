"""The measured process: `python -m flowtuple.benchmark.child TASK`, with the task as JSON.

It writes one JSON object a line: `{"progress": [stage, share, detail]}` while it works, then
`{"result": {...}}`, or `{"error": "..."}`. One task is one encoding or one decoding, so that
neither inherits memory or caches from another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.benchmark.codecs.table_codec import TableLayout, may_move
from flowtuple.benchmark.inputs import read_layouts, read_tables
from flowtuple.benchmark.memory import peak_meter
from flowtuple.benchmark.registry import codec
from flowtuple.benchmark.settings import Settings
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table


def main() -> None:
    """Perform the task of the command line."""
    task = json.loads(sys.argv[1])
    try:
        _write({"result": perform(task)})
    except Exception as error:  # any failure of a codec is that codec's result
        _write({"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"})


def _write(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _progress(stage: str, share: float, detail: str) -> None:
    _write({"progress": [stage, share, detail]})


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    """Time one encoding or decoding.

    Args:
        task: `operation` (`encode` or `decode`), `codec`, `inputs` (folder of arrays), `layouts`
            and `path` (files), and `effort`, `threads`, `unit` and `model` as in `Settings`.

    Returns:
        `seconds` and `peak_bytes`; for a decoding also `violations` and `worst` of `compare`, and
        `mean_error` and `largest_error` of `errors_over_std`.
    """
    model = Path(task["model"]) if task["model"] else None
    settings = Settings(task["effort"], task["threads"], task["unit"], model, _progress)
    measured = codec(task["codec"], settings)
    layouts, inputs = read_layouts(Path(task["layouts"])), Path(task["inputs"])
    path = Path(task["path"])
    measured.load()
    if task["operation"] == "encode":
        tables = read_tables(layouts, inputs)
        peak, start = peak_meter(), time.perf_counter()
        measured.encode(tables, layouts, path)
        return {"seconds": time.perf_counter() - start, "peak_bytes": peak()}
    peak, start = peak_meter(), time.perf_counter()
    decoded = measured.decode(path, layouts)
    times = {"seconds": time.perf_counter() - start, "peak_bytes": peak()}
    originals = read_tables(layouts, inputs)
    violations, worst = compare(originals, decoded, layouts)
    mean, largest = errors_over_std(originals, decoded)
    errors = {"mean_error": mean, "largest_error": largest}
    return {**times, "violations": violations, "worst": worst, **errors}


def _pairs(
    originals: Sequence[Table], decoded: Sequence[Table]
) -> Iterator[tuple[int, Column, Array, Array]]:
    """Yield the number of the table, the column, and its values before and after."""
    for number, (before, after) in enumerate(zip(originals, decoded, strict=True)):
        for column in before.columns:
            yield number, column, before.data[column.name], after.data[column.name]


def compare(
    originals: Sequence[Table], decoded: Sequence[Table], layouts: Sequence[TableLayout]
) -> tuple[int, float | None]:
    """Count values outside their bound, and find the largest |x' - x| / allowed of finite ones.

    A value that may not move counts 0 where it did not; where it did there is no such number, and
    the result is `None`.

    Raises:
        ValueError: A column came back with another shape or type.
    """
    violations, worst = 0, 0.0
    for number, column, x, y in _pairs(originals, decoded):
        bound = layouts[number].bound(column)
        if x.shape != y.shape or x.dtype != y.dtype:
            types = f"{y.dtype}{y.shape}, not {x.dtype}{x.shape}"
            raise ValueError(f"column {column.name!r} came back as {types}")
        violations += int(np.count_nonzero(~bound.holds(x, y)))
        worst = max(worst, _largest_share(x, y, bound))
    return violations, worst if np.isfinite(worst) else None


def errors_over_std(
    originals: Sequence[Table], decoded: Sequence[Table]
) -> tuple[float, float]:
    """Return errors over the standard deviation: the mean over columns, and the largest of all.

    Floats that are no ids and no weights count. Values that are not finite do not, nor does a
    column without two different values; a finite value that comes back as something else makes
    both infinite. Both are 0 where no column counts.

    Example:
        >>> column = Column("x", "float32")
        >>> data = ({"x": np.float32(x)} for x in ([0, 2], [0, 3]))
        >>> one, other = (Table("t", (column,), 2, x) for x in data)
        >>> errors_over_std([one], [other])
        (0.5, 1.0)
    """
    means: list[float] = []
    largest = 0.0
    for _, column, before, after in _pairs(originals, decoded):
        if not may_move(column):
            continue
        x, y = before.astype(np.float64), after.astype(np.float64)
        finite = np.isfinite(x)
        std = float(x[finite].std()) if finite.any() else 0.0
        if std > 0:
            off = np.nan_to_num(
                np.abs(y[finite] - x[finite]) / std, nan=np.inf, posinf=np.inf
            )
            means.append(float(off.mean()))
            largest = max(largest, float(off.max()))
    return (sum(means) / len(means) if means else 0.0), largest


def _largest_share(x: Array, y: Array, bound: Bound) -> float:
    moved = (x != y) & np.isfinite(x)
    if bound.kind == "lossless" or not moved.any():
        return float(np.inf if moved.any() else 0.0)
    x, y = x[moved].astype(np.float64), y[moved].astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        shares = np.abs(y - x) / bound.largest_difference(x)
    return float(np.nan_to_num(shares, nan=np.inf, posinf=np.inf).max())


if __name__ == "__main__":
    main()
