"""Flows over rows as the second engine of a simulation; lattice flows draw the counts.

A model's description holds each of them by step: the bytes of `flows/stored.py` as base64 text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.flows.options import RowFlow
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.torch_threads import SingleTorchThread
from flowtuple.simulation.sampler import Conditional, as_matrix
from flowtuple.simulation.training_tables import TrainingTable

_MIN_ROWS = 500  # of a step; with fewer rows a lattice flow learns more
_BLOCK = 16  # neighbouring rows are mostly of one event, so that validation takes them as one


def is_for_rows(training_table: TrainingTable, steps: Sequence[str]) -> bool:
    """Return whether a flow over rows is to learn a step's columns, where the user wants one.

    Args:
        training_table: The step's rows.
        steps: Names of the steps that draw properties, and not counts or references.
    """
    return (
        training_table.table.name in steps and int(_finite(training_table).sum()) >= _MIN_ROWS
    )


def _finite(training_table: TrainingTable) -> Array:
    """Return which rows have finite values in all drawn columns: bool, shape (n,)."""
    drawn = [
        training_table.table.data[c.name]
        for c in training_table.table.columns
        if c.name not in training_table.conditions
    ]
    finite: Array = np.all([np.isfinite(content) for content in drawn], axis=0)
    return finite


def learn_rows(
    tables: Sequence[TrainingTable],
    flow: RowFlow,
    seed: int,
    checkpoint: Path | None,
    progress: Progress,
) -> tuple[dict[str, str], list[str]]:
    """Train a flow for each step; return them as text, with notes for the user.

    Raises:
        InvalidArgument: Transforms are named: a step's columns are not those of the events.
        MissingExtra: PyTorch is not installed.
    """
    if flow.transforms:
        raise InvalidArgument(
            "`transforms=` is for flows of rows by themselves; "
            "a simulation chooses its own, leave it out"
        )
    flows, notes = {}, []
    for training_table in tables:
        name, rows = training_table.table.name, _rows(training_table)
        log = None if flow.log is None else str(Path(flow.log) / name)
        folder = None if checkpoint is None else checkpoint / name
        trained = _trained(
            rows, replace(flow, log=log), seed, folder, _losses(progress, name)
        )
        flows[name] = base64.b64encode(trained).decode("ascii")
        if rows.dropped:
            notes.append(
                f"{rows.dropped} rows of step {name!r} hold NaN or infinite values"
                " and were left out"
            )
    return flows, notes


def _losses(progress: Progress, name: str) -> Callable[[float, float], None]:
    return lambda share, loss: progress(
        f"train {name}", share, f"held-out loss {loss:.4f} per row"
    )


def _rows(training_table: TrainingTable) -> Rows:
    """Return a step's finite rows: drawn columns and their conditions."""
    table, given = training_table.table, training_table.conditions
    drawn = tuple(c.name for c in table.columns if c.name not in given)
    keep = _finite(training_table)
    event = np.arange(table.num_entries) // _BLOCK

    def rows(names: tuple[str, ...], conditions: Rows | None = None) -> Rows:
        return Rows(
            table.name,
            names,
            as_matrix(table.data, names, table.num_entries)[keep],
            event[keep],
            int(event[-1]) + 1,
            dropped=int((~keep).sum()),
            dtypes=tuple(table.data[name].dtype.name for name in names),
            conditions=conditions,
        )

    return rows(drawn, rows(tuple(given)))


def _trained(
    rows: Rows,
    flow: RowFlow,
    seed: int,
    checkpoint: Path | None,
    report: Callable[[float, float], None],
) -> bytes:
    require_torch("training a flow")
    from flowtuple.flows.stored import pack_model
    from flowtuple.flows.train import train_rows

    model, _ = train_rows(rows, flow, seed, report, checkpoint)
    return pack_model(model)


def load_rows(described: Any, path: str) -> dict[str, Conditional]:
    """Return the flows over rows of a simulation by step, from the description of its model.

    Raises:
        MissingExtra: It has some, and PyTorch is not installed.
        Corrupt: One of them is damaged.
    """
    if not described:
        return {}
    try:
        packed = {
            str(name): base64.b64decode(text, validate=True)
            for name, text in described.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise Corrupt(
            f"{path}: its flows over rows are no text of base64 ({error}); train it again"
        ) from None
    require_torch(f"simulating with the flows over rows of {path}")
    from flowtuple.flows.stored import unpack_model

    return {
        name: unpack_model(content, f"{path}: {name}") for name, content in packed.items()
    }


_ONE_THREAD = SingleTorchThread()


@contextmanager
def single_torch_thread(flows: Mapping[str, Conditional]) -> Iterator[None]:
    """Run PyTorch on one thread while rows are drawn.

    The number of threads decides the last bits of a product. Threads that start inside inherit it.
    """
    with _ONE_THREAD if flows else nullcontext():
        yield
