"""The second engine of a simulation: flows over rows for what steps draw of real objects, beside lattice flows for counts.

The description of the model holds them as text, by step: what `flows/stored.py` makes of a model of rows, in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.rows import Conditions, Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.flows.options import RowFlow
from flowtuple.runtime.extras import require_torch
from flowtuple.runtime.progress import Progress
from flowtuple.runtime.torch_threads import SingleTorchThread
from flowtuple.simulation.sampler import Conditional, as_matrix
from flowtuple.simulation.training_tables import TrainingTable

_FEWEST = 500  # rows of a step; of fewer a lattice flow makes more
_TOGETHER = 16  # rows side by side are mostly of one event, and are held out together


def is_for_rows(training_table: TrainingTable, steps: Sequence[str]) -> bool:
    """Whether a step's columns are learned by a flow over rows, where one is asked for.

    Args:
        training_table: The step's rows.
        steps: Names of the steps that draw properties, and not counts or references.
    """
    return training_table.table.name in steps and int(_finite(training_table).sum()) >= _FEWEST


def _finite(training_table: TrainingTable) -> Array:
    """Rows of which all that is drawn is finite: bool."""
    drawn = [
        training_table.table.data[c.name]
        for c in training_table.table.columns
        if c.name not in training_table.conditions
    ]
    finite: Array = np.all([np.isfinite(content) for content in drawn], axis=0)
    return finite


def learn_rows(
    lessons: Sequence[TrainingTable],
    flow: RowFlow,
    seed: int,
    checkpoint: Path | None,
    progress: Progress,
) -> tuple[dict[str, str], list[str]]:
    """A flow for each step, as text, and what a person should know.

    Raises:
        InvalidArgument: Transforms are named: a step's columns are not those of the events.
        MissingExtra: PyTorch is not there.
    """
    if flow.transforms:
        raise InvalidArgument(
            "--transform is for flows of rows by themselves; a simulation chooses its own, leave it out"
        )
    flows, notes = {}, []
    for training_table in lessons:
        name, rows = training_table.table.name, _rows(training_table)
        log = None if flow.log is None else str(Path(flow.log) / name)
        kept = None if checkpoint is None else checkpoint / name
        trained = _trained(rows, replace(flow, log=log), seed, kept, _told(progress, name))
        flows[name] = base64.b64encode(trained).decode("ascii")
        if rows.dropped:
            notes.append(
                f"{rows.dropped} rows of step {name!r} hold NaN or infinite values and were left out"
            )
    return flows, notes


def _told(progress: Progress, name: str) -> Callable[[float, float], None]:
    return lambda share, loss: progress(f"train {name}", share, f"held-out loss {loss:.4f} per row")


def _rows(training_table: TrainingTable) -> Rows:
    """A step's rows: what is drawn, and its conditions; those with a value that is not finite left out."""
    table, given = training_table.table, training_table.conditions
    drawn = [c for c in table.columns if c.name not in given]
    values = np.stack([table.data[c.name].astype(np.float64) for c in drawn], axis=1)
    keep = _finite(training_table)
    dtypes = tuple(table.data[name].dtype.name for name in given)
    conditions = Conditions(given, as_matrix(table.data, given, table.num_entries)[keep], dtypes)
    event = np.arange(table.num_entries) // _TOGETHER
    return Rows(
        table.name,
        tuple(c.name for c in drawn),
        values[keep],
        event[keep],
        int(event[-1]) + 1,
        dropped=int((~keep).sum()),
        dtypes=tuple(c.dtype for c in drawn),
        conditions=conditions,
    )


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
    """The flows over rows of a model that simulates, by step, from what its description holds.

    Raises:
        MissingExtra: It has some, and PyTorch is not there.
        Corrupt: One of them is damaged.
    """
    if not described:
        return {}
    try:
        found = {
            str(name): base64.b64decode(text, validate=True) for name, text in described.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise Corrupt(
            f"{path}: its flows over rows are no text of base64 ({error}); train it again"
        ) from None
    require_torch(f"simulating with the flows over rows of {path}")
    from flowtuple.flows.stored import unpack_model

    return {name: unpack_model(content, f"{path}: {name}") for name, content in found.items()}


_ONE_THREAD = SingleTorchThread()


@contextmanager
def single_torch_thread(flows: Mapping[str, Conditional]) -> Iterator[None]:
    """While rows are drawn, PyTorch's own threads are one: how many there are decides the last bits of a product.

    Threads of ours that begin within take it over from here.
    """
    with _ONE_THREAD if flows else nullcontext():
        yield
