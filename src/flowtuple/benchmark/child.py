"""The process that is measured: `python -m flowtuple.benchmark.child TASK`, with the task as JSON.

It writes one JSON object a line: `{"progress": [stage, share, detail]}` while it works, then `{"result": {...}}`, or
`{"error": "..."}`. One task is one encoding or one decoding, so that neither inherits memory or caches from another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.benchmark.codecs.rival import Rival, TableLayout, may_move
from flowtuple.benchmark.inputs import read_layouts, read_tables
from flowtuple.benchmark.memory import peak_meter
from flowtuple.benchmark.registry import codec
from flowtuple.benchmark.settings import Settings
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.data.table import Table


def main() -> None:
    """Do the task of the command line."""
    task = json.loads(sys.argv[1])
    try:
        _say({"result": perform(task)})
    except Exception as error:  # whatever a codec does, it is that codec's result
        _say({"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"})


def _say(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    """One encoding or decoding, timed.

    Args:
        task: `operation` (`encode` or `decode`), `codec`, `inputs` (folder of arrays), `layouts` and `path` (files), and
            `effort`, `threads`, `unit` and `model` as in `Settings`.

    Returns:
        `seconds` and `peak_bytes`; of a decoding also `violations` and `worst`, as `compare` gives them, and the errors over
        the standard deviation, `mean_error` and `largest_error`, as `errors_over_std` gives them.
    """

    def progress(stage: str, share: float, detail: str) -> None:
        _say({"progress": [stage, share, detail]})

    model = Path(task["model"]) if task["model"] else None
    rival = codec(
        task["codec"], Settings(task["effort"], task["threads"], task["unit"], model, progress)
    )
    layouts, inputs, path = (
        read_layouts(Path(task["layouts"])),
        Path(task["inputs"]),
        Path(task["path"]),
    )
    rival.load()
    if task["operation"] == "encode":
        return _encode(rival, read_tables(layouts, inputs), layouts, path)
    return _decode(rival, layouts, inputs, path)


def _encode(
    rival: Rival, tables: Sequence[Table], layouts: Sequence[TableLayout], path: Path
) -> dict[str, Any]:
    peak, start = peak_meter(), time.perf_counter()
    rival.encode(tables, layouts, path)
    return {"seconds": time.perf_counter() - start, "peak_bytes": peak()}


def _decode(
    rival: Rival, layouts: Sequence[TableLayout], inputs: Path, path: Path
) -> dict[str, Any]:
    peak, start = peak_meter(), time.perf_counter()
    decoded = rival.decode(path, layouts)
    found = {"seconds": time.perf_counter() - start, "peak_bytes": peak()}
    originals = read_tables(layouts, inputs)
    violations, worst = compare(originals, decoded, layouts)
    mean, largest = errors_over_std(originals, decoded)
    return found | {
        "violations": violations,
        "worst": worst,
        "mean_error": mean,
        "largest_error": largest,
    }


def compare(
    originals: Sequence[Table], decoded: Sequence[Table], layouts: Sequence[TableLayout]
) -> tuple[int, float | None]:
    """Values outside their bound, and the largest |x' - x| / allowed of the finite ones.

    A value that may not move counts 0 where it did not; where it did there is no such number, and the result is `None`.

    Raises:
        ValueError: A column came back with another shape or type.
    """
    violations, worst = 0, 0.0
    for before, after, layout in zip(originals, decoded, layouts, strict=True):
        for column in layout.columns:
            x, y, bound = before.data[column.name], after.data[column.name], layout.bound(column)
            if x.shape != y.shape or x.dtype != y.dtype:
                raise ValueError(
                    f"column {column.name!r} came back as {y.dtype}{y.shape}, not {x.dtype}{x.shape}"
                )
            violations += int(np.count_nonzero(~bound.holds(x, y)))
            worst = max(worst, _largest_share(x, y, bound))
    return violations, worst if np.isfinite(worst) else None


def errors_over_std(originals: Sequence[Table], decoded: Sequence[Table]) -> tuple[float, float]:
    """Errors of floats that may move over their column's standard deviation: the mean over columns, and the largest of all.

    Values that are not finite do not count, nor does a column without two different values; one that was finite and comes
    back as something else makes both infinite. Both are 0 where no column counts.

    Example:
        >>> from flowtuple.data.schema import Column
        >>> column = Column("x", "float32")
        >>> one, other = (Table("t", (column,), 2, {"x": np.float32(x)}) for x in ([0, 2], [0, 3]))
        >>> errors_over_std([one], [other])
        (0.5, 1.0)
    """
    means: list[float] = []
    largest = 0.0
    for before, after in zip(originals, decoded, strict=True):
        for column in filter(may_move, before.columns):
            x, y = (
                before.data[column.name].astype(np.float64),
                after.data[column.name].astype(np.float64),
            )
            finite = np.isfinite(x)
            std = float(x[finite].std()) if finite.any() else 0.0
            if std > 0:
                off = np.nan_to_num(np.abs(y[finite] - x[finite]) / std, nan=np.inf, posinf=np.inf)
                means.append(float(off.mean()))
                largest = max(largest, float(off.max()))
    return (sum(means) / len(means) if means else 0.0), largest


def _largest_share(x: Array, y: Array, bound: Bound) -> float:
    moved = (x != y) & np.isfinite(x)
    if bound.kind == "lossless" or not moved.any():
        return float(np.inf if moved.any() else 0.0)
    x, y = x[moved].astype(np.float64), y[moved].astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        shares = np.nan_to_num(
            np.abs(y - x) / bound.largest_difference(x), nan=np.inf, posinf=np.inf
        )
    return float(shares.max())


if __name__ == "__main__":
    main()
