"""`train_flow`: a lattice flow for one table, of a size that its own data pay for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from flowtuple.codec.coder import code_length
from flowtuple.codec.frequencies import frequencies
from flowtuple.codec.packing import pack_indices, zstd
from flowtuple.container.model import pack_column
from flowtuple.errors import InvalidArgument
from flowtuple.execute import ordered_map
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.network import Layer, Network
from flowtuple.schema import Array
from flowtuple.table import Table
from flowtuple.training.conditioners import LOGIT_UNITS, UNIT, Progress, Schedule, integer_weights, train_conditioners
from flowtuple.training.plan import RECIPES, Plan, Recipe, Task, make_plan

_JUDGED_ROWS = 200_000

Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the loss in bits per value."""


@dataclass(frozen=True, eq=False)
class _Job:
    """One training: the conditioners of one collection at one size."""

    task: Task
    hidden: tuple[int, int]
    schedule: Schedule
    seed: int


def train_flow(table: Table, lattices: Mapping[str, Lattice], effort: str, seed: int, report: Report) -> LatticeFlow:
    """Fit a flow to the events of a table.

    For each column the smallest description wins, model bytes counted: no model, a table of frequencies, or a
    conditioner of one of the sizes that the effort tries. Trainings run side by side, each on one thread of its own,
    so that the result depends neither on the number of cores nor on the environment.
    """
    plan, recipe = make_plan(table, lattices), RECIPES[effort]
    jobs = [_job(task, size, recipe, seed) for task in plan.tasks if any(task.inputs) for size in recipe.sizes]
    candidates = {name: [flow] for task in plan.tasks for name, flow in _marginals(task).items()}
    for job, networks in zip(jobs, ordered_map(_run, _reporting(jobs, report)), strict=True):
        for d, network in networks.items():
            name = job.task.names[d]
            candidates[name].append(ColumnFlow(job.task.bins[d], job.task.parents[d], network))
    chosen = {
        name: flow
        for task in plan.tasks
        for d, name in enumerate(task.names)
        if (flow := _shortest(candidates[name], d, task)) is not None
    }
    return LatticeFlow(_with_read_columns(chosen, plan))


def _job(task: Task, size: float, recipe: Recipe, seed: int) -> _Job:
    rows = len(task.event)
    return _Job(task, hidden_widths(rows, size), Schedule(recipe.steps, batch_size(rows)), seed)


def _reporting(jobs: list[_Job], report: Report) -> Iterator[tuple[_Job, Progress]]:
    """Each job with a listener that reports the share done of all of them."""
    done = [0.0] * len(jobs)

    def listener(number: int, steps: int) -> Progress:
        def listen(step: int, bits: float) -> None:
            done[number] = step / steps
            report(sum(done) / len(jobs), bits)

        return listen

    for number, job in enumerate(jobs):
        yield job, listener(number, job.schedule.steps)


def _run(job_and_listener: tuple[_Job, Progress]) -> dict[int, Network]:
    """Train one job; the integer networks of the columns that have parents, by their number in the task."""
    job, listener = job_and_listener
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # of this thread; more would only wait for each other on matrices this small
    try:
        model = train_conditioners(job.task, job.hidden, job.schedule, job.seed, listener)
    finally:
        torch.set_num_threads(before)
    return {d: model.network(d, job.task) for d, inputs in enumerate(job.task.inputs) if inputs}


def _marginals(task: Task) -> dict[str, ColumnFlow]:
    columns = zip(task.names, task.bins, task.indices, strict=True)
    return {name: ColumnFlow(bins, (), frequency_table(bins, q)) for name, bins, q in columns}


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
