"""`train_flow`: a lattice flow for one table, of a size that its own data pay for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

from flowtuple.codec.coder import code_length
from flowtuple.codec.frequencies import frequencies
from flowtuple.codec.packing import pack_indices, zstd
from flowtuple.container.model import pack_column
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.network import Layer, Network
from flowtuple.schema import Array
from flowtuple.table import Table
from flowtuple.training.conditioners import LOGIT_UNITS, UNIT, Schedule, integer_weights, train_conditioners
from flowtuple.training.plan import RECIPES, Plan, Recipe, Task, make_plan

THREADS = 1  # pinned, so that sums run in the same order; more threads only wait for each other on matrices this small
_JUDGED_ROWS = 200_000

Report = Callable[[str, float, float], None]
"""Called with what is being trained, the share done (0 to 1) and the loss in bits per value."""


def train_flow(table: Table, lattices: Mapping[str, Lattice], effort: str, seed: int, report: Report) -> LatticeFlow:
    """Fit a flow to the events of a table.

    For each column the smallest description wins, model bytes counted: no model, a table of frequencies, or a
    conditioner of one of the sizes that the effort tries.
    """
    plan, recipe = make_plan(table, lattices), RECIPES[effort]
    chosen: dict[str, ColumnFlow] = {}
    with _pinned_threads():
        for number, task in enumerate(plan.tasks):
            chosen |= _train_task(task, recipe, seed, _part(report, number, len(plan.tasks)))
    return LatticeFlow(_with_read_columns(chosen, plan))


def _part(report: Report, number: int, count: int) -> Report:
    return lambda name, share, bits: report(name, (number + share) / count, bits)


def _train_task(task: Task, recipe: Recipe, seed: int, report: Report) -> dict[str, ColumnFlow]:
    candidates: dict[str, list[ColumnFlow]] = {
        name: [ColumnFlow(bins, (), frequency_table(bins, q))]
        for name, bins, q in zip(task.names, task.bins, task.indices, strict=True)
    }
    sizes = recipe.sizes if any(task.inputs) else ()
    for k, size in enumerate(sizes):
        hidden = hidden_widths(len(task.event), size)

        def progress(step: int, bits: float, k: int = k) -> None:
            report(task.names[0], (k + step / recipe.steps) / len(sizes), bits)

        model = train_conditioners(task, hidden, Schedule(recipe.steps, batch_size(len(task.event))), seed, progress)
        for d, name in enumerate(task.names):
            if task.inputs[d]:
                candidates[name].append(ColumnFlow(task.bins[d], task.parents[d], model.network(d, task)))
    best = {name: _shortest(candidates[name], d, task) for d, name in enumerate(task.names)}
    return {name: flow for name, flow in best.items() if flow is not None}


def hidden_widths(rows: int, size: float) -> tuple[int, int]:
    """Widths of the two hidden layers: weights in proportion to the square root of the number of rows."""
    width = int(2 ** np.clip(np.round(np.log2(np.sqrt(rows) / 10)), 3, 6) * size)
    return max(width, 4), max(width // 2, 8)


def batch_size(rows: int) -> int:
    """Rows of a step: small tables would only see each row more often with more."""
    return 512 if rows < 20_000 else 1024 if rows < 100_000 else 2048


def frequency_table(bins: Bins, q: Array) -> Network:
    """A conditioner that reads nothing: the marginal distribution as one layer of biases."""
    counts = np.bincount(bins.symbol(q), minlength=bins.symbols) + 0.1
    biases = torch.from_numpy(np.log(counts / counts.max()) * UNIT / 255)[None, :]
    whole, shift = integer_weights(biases, LOGIT_UNITS)
    return Network((Layer(whole.T.contiguous().numpy().astype(np.int8), shift[0].numpy().astype(np.uint8)),))


def _shortest(candidates: list[ColumnFlow], d: int, task: Task) -> ColumnFlow | None:
    """The candidate of least bytes, its model's own among them; `None` where packing without a model is smaller."""
    step = max(1, len(task.event) // _JUDGED_ROWS)
    q, scale = task.indices[d][::step], len(task.event) / len(task.indices[d][::step])
    best, least = None, float(len(pack_indices(q))) * scale
    for flow in candidates:
        inputs = task.features[::step][:, list(task.inputs[d])] if flow.parents else np.empty((len(q), 0), np.uint8)
        own = len(zstd(pack_column(flow, dict.fromkeys((p.column for p in flow.parents), 0))))
        total = own + flow_bits(flow, q, inputs) * scale / 8
        if total < least:
            best, least = flow, total
    return best


def flow_bits(flow: ColumnFlow, q: Array, inputs: Array) -> float:
    """Code length of indices under the integer model, in bits."""
    if flow.network is None:
        raise InvalidArgument("a column without a network has no density")
    table = frequencies(flow.network.logits(inputs))
    return code_length(table, flow.bins.symbol(q), flow.bins.spans)


def _with_read_columns(chosen: dict[str, ColumnFlow], plan: Plan) -> dict[str, ColumnFlow]:
    """Columns that are read but not coded by a flow keep their bins: readers need their levels."""
    read = {p.column for flow in chosen.values() for p in flow.parents if p.column}
    return {name: ColumnFlow(plan.bins[name]) for name in sorted(read) if name not in chosen} | chosen


@contextmanager
def _pinned_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
