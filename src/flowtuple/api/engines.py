"""Flows over rows as the second engine of a simulation; lattice flows draw the counts.

A model's description holds each of them by step: the bytes of `flows/stored.py` as base64 text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.flows.options import RowFlow
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.progress import Progress, losses
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
    return training_table.table.name in steps and len(_rows(training_table)) >= _MIN_ROWS


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
    require_torch("training a flow")
    from flowtuple.flows.stored import pack_model
    from flowtuple.flows.train import train_rows

    flows, notes = {}, []
    for training_table in tables:
        name, rows = training_table.table.name, _rows(training_table)
        own = replace(flow, log=None if flow.log is None else str(Path(flow.log) / name))
        folder = None if checkpoint is None else checkpoint / name
        model, _ = train_rows(rows, own, seed, losses(progress, f"train {name}"), folder)
        flows[name] = base64.b64encode(pack_model(model)).decode("ascii")
        if rows.dropped:
            notes.append(
                f"{rows.dropped} rows of step {name!r} hold NaN or infinite values"
                " and were left out"
            )
    return flows, notes


def _rows(training_table: TrainingTable) -> Rows:
    """Return a step's rows with finite values in all drawn columns, and their conditions."""
    table, given = training_table.table, training_table.conditions
    drawn = tuple(c.name for c in table.columns if c.name not in given)
    keep = np.all([np.isfinite(table.data[name]) for name in drawn], axis=0)
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


def single_torch_thread(flows: Mapping[str, Conditional]) -> AbstractContextManager[None]:
    """Return a context in which PyTorch draws rows on one thread.

    The number of threads decides the last bits of a product. Threads that start inside inherit it.
    """
    return _ONE_THREAD if flows else nullcontext()
