"""The measured process: `python -m flowtuple.benchmark.child TASK`, with the task as JSON.

It writes one JSON object a line: `{"progress": [stage, share, detail]}` while it works, then
`{"result": {...}}`, or `{"error": "..."}`. One task is one encoding or one decoding, so that
neither inherits memory or caches from another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from flowtuple.benchmark.codecs.table_codec import Settings, TableLayout, may_move
from flowtuple.benchmark.inputs import read_layouts, read_tables
from flowtuple.benchmark.memory import peak_meter
from flowtuple.benchmark.registry import codec
from flowtuple.comparison.fidelity import compare_tables
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.data.table import Table

Result = TypeVar("Result")


def main() -> None:
    """Perform the task of the command line."""
    task = json.loads(sys.argv[1])
    try:
        _write({"result": perform(task)})
    except Exception as error:  # any failure of a codec is that codec's result
        _write(
            {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        )


def _write(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _progress(stage: str, share: float, detail: str) -> None:
    _write({"progress": [stage, share, detail]})


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    """Time one encoding or decoding.

    Args:
        task: `operation` (`encode` or `decode`), `codec`, `inputs` (folder of arrays), `layouts`
            and `path` (files), `raw_bytes` and `values` (of all columns), and `effort`, `threads`,
            `unit` and `model` as in `Settings`.

    Returns:
        Figures by the names of the attributes of a `Measurement`.
    """
    model = Path(task["model"]) if task["model"] else None
    settings = Settings(task["effort"], task["threads"], task["unit"], model, _progress)
    measured = codec(task["codec"], settings)
    layouts, inputs = read_layouts(Path(task["layouts"])), Path(task["inputs"])
    path, raw = Path(task["path"]), task["raw_bytes"]
    measured.load()
    if task["operation"] == "encode":
        tables = read_tables(layouts, inputs)
        _, costs = _timed("in", raw, lambda: measured.encode(tables, layouts, path))
        model_bytes, index_bytes = measured.overhead(path)
        size = path.stat().st_size
        return costs | {
            "bytes": size,
            "model_bytes": model_bytes,
            "index_bytes": index_bytes,
            "bits_per_value": 8 * size / task["values"],
        }
    decoded, costs = _timed("out", raw, lambda: measured.decode(path, layouts))
    originals = read_tables(layouts, inputs)
    return costs | compare(originals, decoded, layouts)


def _timed(
    way: str, raw: int, work: Callable[[], Result]
) -> tuple[Result, dict[str, Any]]:
    """Return the result of some work, its seconds, its rate and the growth of the peak memory."""
    peak, start = peak_meter(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    return result, {
        f"seconds_{way}": seconds,
        f"mb_per_s_{way}": raw / 1e6 / seconds,
        f"peak_bytes_{way}": peak(),
    }


def compare(
    originals: Sequence[Table], decoded: Sequence[Table], layouts: Sequence[TableLayout]
) -> dict[str, Any]:
    """Return the errors of a `Measurement` by name.

    `worst` is the largest |x' - x| / allowed of finite values: 0 for a value that may not move and
    did not, `None` where one did. `mean_error` and `largest_error` are over the standard deviation,
    a mean over columns and the largest of all, of floats that are no ids and no weights. Values
    that are not finite do not count, nor does a column without two different values; a finite value
    that comes back as something else makes both infinite. Both are 0 where no column counts.

    Raises:
        InvalidArgument: A column came back with another shape or type.

    Example:
        >>> from flowtuple.data.schema import Column
        >>> columns = (Column("x", "float32"),)
        >>> data = ({"x": np.float32(x)} for x in ([0, 2], [0, 3]))
        >>> one, other = (Table("t", columns, 2, x) for x in data)
        >>> errors = compare([one], [other], [TableLayout("t", columns, 2, {})])
        >>> errors["violations"], errors["mean_error"], errors["largest_error"]
        (1, 0.5, 1.0)
    """
    violations, worst = 0, 0.0
    means, largest = [], [0.0]
    for before, after, layout in zip(originals, decoded, layouts, strict=True):
        for column in compare_tables(before, after, layout.bounds):
            violations += column.violations
            schema, name = before.column(column.column), column.column
            share = _largest_share(
                before.data[name], after.data[name], layout.bound(schema), after.data
            )
            worst = max(worst, share)
            if may_move(schema) and column.original.std > 0:
                is_finite = column.difference.count == column.original.count
                means.append(column.mean_over_std if is_finite else np.inf)
                largest.append(column.max_over_std if is_finite else np.inf)
    return {
        "violations": violations,
        "worst": worst if np.isfinite(worst) else None,
        "mean_error": float(np.mean(means)) if means else 0.0,
        "largest_error": max(largest),
    }


def _largest_share(
    x: Array, y: Array, bound: Bound, columns: Mapping[str, Array]
) -> float:
    moved = (x != y) & np.isfinite(x)
    if bound.kind == "lossless" or not moved.any():
        return float(np.inf if moved.any() else 0.0)
    allowed = bound.largest_difference(x, columns)[moved]
    x, y = x[moved].astype(np.float64), y[moved].astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        shares = np.abs(y - x) / allowed
    return float(np.nan_to_num(shares, nan=np.inf, posinf=np.inf).max())


if __name__ == "__main__":
    main()
