"""One column of a flow at work: what it is predicted to be, its logits, and what others may read of it afterwards."""

from __future__ import annotations

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.lattice.context import Context
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.lattice import Lattice


def publish(
    name: str,
    part: slice,
    q: Array,
    escapes: Array,
    lattice: Lattice,
    flow: LatticeFlow,
    context: Context,
) -> None:
    """Let other columns, and later objects, read what is known of a part of the rows.

    Args:
        name: The column.
        part: Its rows.
        q: Their indices.
        escapes: The exact values of the escapes among them.
        lattice: That of the column.
        flow: That of its table.
        context: Takes the levels and values that others read.
    """
    count = len(context.rows(context.collection[name]))
    if name in flow.level_columns:
        context.levels.setdefault(name, np.zeros(count, np.uint8))[part] = flow.columns[
            name
        ].levels.level(q)
    if name in flow.value_columns:
        values = lattice.decode(q, escapes)
        context.values.setdefault(name, np.zeros(count, values.dtype))[part] = values


def predict(
    flow: ColumnFlow, lattice: Lattice, name: str, part: slice, context: Context
) -> Array | None:
    """Predicted indices of a part of the rows, `None` without a prediction."""
    if flow.prediction is None:
        return None
    key = context.collection[name]
    predicted = flow.prediction.index(lambda parent: context.fetch(parent, key, part), lattice)
    return np.broadcast_to(predicted, part.stop - part.start)


def logits(
    flow: ColumnFlow, name: str, part: slice, predicted: Array | None, context: Context
) -> Array:
    """Logits of a part of the rows: int16, shape (n, K); (1, K) where the column reads nothing, so that all are alike.

    Raises:
        Corrupt: The column has no network.
    """
    if flow.network is None:
        raise Corrupt(f"column {name!r} is stored by a flow that the file does not hold")
    if not flow.parents:
        return flow.network.logits(np.empty((0, 1), np.uint8))
    levels = None if predicted is None else flow.levels.level(predicted)
    return flow.network.logits(context.gather(flow.parents, context.collection[name], part, levels))
