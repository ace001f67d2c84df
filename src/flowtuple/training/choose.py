"""The choice of size: for every column the shortest description, the bytes of its own model among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.codec.coder import code_length
from flowtuple.codec.frequencies import intervals
from flowtuple.codec.packing import pack_constant, pack_indices, pack_raw, zstd
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.file.model import pack_column
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.training.plan import Plan

_JUDGED_ROWS = 200_000
_FRAME = 12  # bytes of a zstd frame that holds nothing
_NO_BINS = Bins(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class Choice:
    """A trained way to code a column.

    Attributes:
        flow: With its network.
        coded: What the network codes: int64, shape (n,).
        features: What its parents say: uint8, shape (parents, n).
        weight: Of each row, shape (n,); `None` where all count alike.
    """

    flow: ColumnFlow
    coded: Array
    features: Array
    weight: Array | None = None


def choose(
    plan: Plan, choices: Mapping[str, Sequence[Choice]], *, complete: bool = False
) -> LatticeFlow:
    """The flow of least bytes; columns for which no model is smaller than none are left out unless others read them.

    With `complete` no column with a choice is left out, and the likeliest choice is taken whatever its bytes.
    """
    chosen: dict[str, ColumnFlow] = {}
    for name in plan.order:
        way = _likeliest if complete else _shortest
        flow = None if name in plan.given else way(name, plan, choices.get(name, ()))
        if flow is not None:
            chosen[name] = flow
    levels, values = LatticeFlow(chosen).level_columns, LatticeFlow(chosen).value_columns
    flows: dict[str, ColumnFlow] = {}
    for name in plan.order:
        if name in chosen:
            flows[name] = _with_scale(name, chosen[name], plan, levels)
        elif name in levels | values:  # it has to have its place in the coding order
            flows[name] = ColumnFlow(plan.scales[name] if name in levels else _NO_BINS)
    return LatticeFlow(flows)


def _with_scale(name: str, flow: ColumnFlow, plan: Plan, read: set[str]) -> ColumnFlow:
    """Levels of what is coded by residuals are counted in bins of indices, which only readers need."""
    needed = name in read or any(p.relation == "prediction" for p in flow.parents)
    own = flow.network is not None and not flow.residual
    return replace(flow, scale=plan.scales[name] if needed and not own else None)


def _shortest(name: str, plan: Plan, choices: Sequence[Choice]) -> ColumnFlow | None:
    q, prediction = plan.indices[name], plan.predictions.get(name)
    step = max(1, len(q) // _JUDGED_ROWS)
    scale = len(q) / max(1, len(q[::step]))
    best, least = None, packed_bytes(q[::step]) * scale
    if prediction is not None:
        r = prediction.residual(q, plan.predicted[name], np.empty(0, np.int64))
        alone = ColumnFlow(_NO_BINS, (), None, prediction)
        if (
            r is not None
            and (total := packed_bytes(r[::step]) * scale + model_bytes(alone)) < least
        ):
            best, least = alone, total
    for choice in choices:
        total = (
            model_bytes(choice.flow)
            + flow_bits(choice.flow, choice.coded[::step], choice.features[:, ::step]) * scale / 8
        )
        if total < least:
            best, least = choice.flow, total
    return best


def _likeliest(name: str, plan: Plan, choices: Sequence[Choice]) -> ColumnFlow | None:
    """The choice of fewest bits on the rows that the choices bring, which were held out of their training."""
    prediction = plan.predictions.get(name)
    if prediction is not None:
        r = prediction.residual(plan.indices[name], plan.predicted[name], np.empty(0, np.int64))
        if r is not None and not r.any():  # residuals without a network have no density otherwise
            return ColumnFlow(_NO_BINS, (), None, prediction)
    return (
        min(choices, key=lambda c: flow_bits(c.flow, c.coded, c.features, c.weight)).flow
        if choices
        else None
    )


def packed_bytes(q: Array) -> float:
    """Bytes of indices without a model, alone or in a frame shared with others."""
    constant = pack_constant(q)
    if constant is not None:
        return len(constant)
    grouped = len(zstd(pack_raw(q))) - _FRAME if len(q) <= 4096 else np.inf
    return float(min(len(pack_indices(q)), max(1, grouped)))


def model_bytes(flow: ColumnFlow) -> int:
    """Bytes of a column's flow in the model."""
    numbers = {name: 0 for p in flow.inputs for name in (p.column, p.through) if name}
    return max(1, len(zstd(pack_column(flow, numbers))) - _FRAME)


def flow_bits(
    flow: ColumnFlow, coded: Array, features: Array, weight: Array | None = None
) -> float:
    """Code length under the integer model, in bits, each row times its weight where there are weights."""
    if flow.network is None:
        raise InvalidArgument("a column without a network has no density")
    symbols, total = flow.bins.symbol(coded), 0.0
    for start in range(0, len(coded), 2**16):
        part = slice(start, start + 2**16)
        _, frequency = intervals(flow.network.logits(features[:, part]), symbols[part])
        total += code_length(
            frequency, symbols[part], flow.bins.spans, None if weight is None else weight[part]
        )
    return total
