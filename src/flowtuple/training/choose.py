"""Choice between the ways to code a column: the shortest, counting the bytes of its own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.codec.coder import code_length
from flowtuple.codec.frequencies import intervals
from flowtuple.codec.packing import pack_constant, pack_indices, pack_raw, zstd
from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.errors import InvalidArgument
from flowtuple.file.model import pack_column
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.training.plan import Plan

_COMPARED_ROWS = 200_000
_BLOCK = 2**16  # rows
_FRAME = 12  # bytes of an empty zstd frame
_NO_BINS = Bins(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class Choice:
    """A trained way to code a column, with the rows to compare it on.

    Attributes:
        flow: The flow with its network.
        coded: Indices or residuals that the network codes: int64, shape (n,).
        features: Levels of its parents: uint8, shape (parents, n).
        weight: Weight of each row, shape (n,); `None` for equal weights.
    """

    flow: ColumnFlow
    coded: Array
    features: Array
    weight: Array | None = None


def choose(
    plan: Plan, choices: Mapping[str, Sequence[Choice]], *, complete: bool = False
) -> LatticeFlow:
    """Choose one flow for each column.

    Args:
        plan: The plan of the training.
        choices: Trained choices by column name.
        complete: False takes the choice of fewest bytes. A column that is smaller without a model
            gets none, unless others read it. True takes the likeliest choice whatever its bytes,
            for every column that has one.
    """
    chosen: dict[str, ColumnFlow] = {}
    best = _likeliest if complete else _shortest
    for name in plan.order:
        flow = None if name in plan.external else best(name, plan, choices.get(name, ()))
        if flow is not None:
            chosen[name] = flow
    levels, values = LatticeFlow(chosen).level_columns, LatticeFlow(chosen).value_columns
    more = levels | values | chosen.keys()
    while more:
        more = {plan.resolutions[n] for n in more if n in plan.resolutions} - values
        values = values | more
    flows: dict[str, ColumnFlow] = {}
    for name in plan.order:
        if name in chosen:
            flows[name] = _with_scale(name, chosen[name], plan, levels)
        elif name in levels | values:  # the flow also gives the coding order
            flows[name] = ColumnFlow(plan.scales[name] if name in levels else _NO_BINS)
    return LatticeFlow(flows)


def _with_scale(name: str, flow: ColumnFlow, plan: Plan, read: set[str]) -> ColumnFlow:
    """Add the bins of a column's levels where its own bins are those of residuals.

    Only readers of the levels need them.
    """
    needed = name in read or any(p.relation == "prediction" for p in flow.parents)
    own = flow.network is not None and not flow.residual
    return replace(flow, scale=plan.scales[name] if needed and not own else None)


def _alone(name: str, plan: Plan) -> tuple[ColumnFlow, Array] | None:
    """Return the flow that is a column's prediction alone, and its residuals; `None` for none."""
    prediction = plan.predictions.get(name)
    if prediction is None:
        return None
    nothing = np.empty(0, np.int64)
    r = prediction.residual(plan.indices[name], plan.predicted[name], nothing)
    return None if r is None else (ColumnFlow(_NO_BINS, (), None, prediction), r)


def _shortest(name: str, plan: Plan, choices: Sequence[Choice]) -> ColumnFlow | None:
    """Return the flow of fewest bytes, `None` if the column is smaller without one."""
    q = plan.indices[name]
    rows = slice(None, None, max(1, len(q) // _COMPARED_ROWS))
    scale = len(q) / max(1, len(q[rows]))
    ways: list[tuple[float, ColumnFlow | None]] = [(packed_bytes(q[rows]) * scale, None)]
    if alone := _alone(name, plan):
        flow, r = alone
        ways.append((packed_bytes(r[rows]) * scale + model_bytes(flow), flow))
    for choice in choices:
        bits = flow_bits(choice.flow, choice.coded[rows], choice.features[:, rows])
        ways.append((model_bytes(choice.flow) + bits * scale / 8, choice.flow))
    return min(ways, key=lambda way: way[0])[1]


def _likeliest(name: str, plan: Plan, choices: Sequence[Choice]) -> ColumnFlow | None:
    """Return the flow of fewest bits on the rows of the choices, which are validation rows."""
    alone = _alone(name, plan)
    if alone and not alone[1].any():  # an exact prediction needs no network for a density
        return alone[0]
    if not choices:
        return None
    return min(choices, key=choice_bits).flow


def choice_bits(choice: Choice) -> float:
    """Return the bits of a choice's rows."""
    return flow_bits(choice.flow, choice.coded, choice.features, choice.weight)


def packed_bytes(q: Array) -> float:
    """Return the bytes of indices without a model, alone or in a frame shared with others."""
    constant = pack_constant(q)
    if constant is not None:
        return len(constant)
    grouped = len(zstd(pack_raw(q))) - _FRAME if len(q) <= 4096 else np.inf
    return float(min(len(pack_indices(q)), max(1, grouped)))


def model_bytes(flow: ColumnFlow) -> int:
    """Return the bytes of a column's flow in the model."""
    numbers = {name: 0 for p in flow.inputs for name in p.names}
    return max(1, len(zstd(pack_column(flow, numbers))) - _FRAME)


def flow_bits(
    flow: ColumnFlow, coded: Array, features: Array, weight: Array | None = None
) -> float:
    """Return the code length in bits under the integer model, weighted by rows.

    Args:
        flow: The flow with its network.
        coded: Indices or residuals, shape (n,).
        features: Levels of its parents, shape (parents, n).
        weight: Weight of each row, shape (n,); `None` for equal weights.

    Raises:
        InvalidArgument: The flow has no network.
    """
    if flow.network is None:
        raise InvalidArgument("a column without a network has no density")
    symbols, total = flow.bins.symbol(coded), 0.0
    for start, stop in ranges(len(coded), _BLOCK):
        part = slice(start, stop)
        _, frequency = intervals(flow.network.logits(features[:, part]), symbols[part])
        some = None if weight is None else weight[part]
        total += code_length(frequency, symbols[part], flow.bins.spans, some)
    return total
