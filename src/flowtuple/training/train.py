"""`train_flow`: a lattice flow for one table, of a size that its own data pay for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.training.checkpoint import Checkpoint, fingerprint
from flowtuple.training.choose import Choice, choose, flow_bits
from flowtuple.training.conditioners import (
    FINE_WEIGHTS,
    LOGIT_UNITS,
    UNIT,
    WEIGHT_LIMITS,
    Conditioners,
    Schedule,
    float_bits,
    held_out,
    integer_weights,
    log_shares,
    train_conditioners,
)
from flowtuple.training.plan import RECIPES, ColumnTask, EffortPreset, bin_count, make_plan

EXPORT_ROWS = 32_768  # rows on which integers are held against floats
DETAIL = 2  # times as many bins where events are to be drawn: within a bin all are alike
GENEROUS = 4.0  # times the width that pays for its bytes, where events are to be drawn
LEAST = 1000  # rows that a conditioner is trained on, where events are to be drawn
EPOCHS = 100  # at most there: judged by rows held out, more only learns the rows by heart
DECAY = (
    1000  # of the weights there, over the number of rows: what a prior of fixed strength comes to
)
LARGEST_GROUP = 20  # candidates trained as one batch of matrices

Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the loss in bits per value."""


@dataclass(frozen=True, eq=False)
class _Job:
    """One training: the conditioners of one collection at one size."""

    task: ColumnTask
    hidden: tuple[int, int]
    schedule: Schedule
    seed: int
    checkpoint: Checkpoint | None


def train_flow(
    table: Table,
    coding: TableCoding,
    predictions: Mapping[str, Prediction],
    effort: str,
    seed: int,
    report: Report,
    checkpoint: Checkpoint | None = None,
    workers: int | None = None,
    *,
    complete: bool = False,
    weight: Array | None = None,
) -> LatticeFlow:
    """Fit a flow to the events of a table.

    For each column the smallest description wins, model bytes counted: no model, its prediction alone, a table of
    frequencies, or a conditioner of one of the sizes that the effort tries. Trainings run side by side, each on one
    thread of its own, so that they do not depend on the number of cores or on PyTorch's settings. With `complete` every
    column but ids gets a density, whether or not it is worth its bytes. Events may have weights, of shape (events,).
    """
    sizes_of_plan = (DETAIL, weight, LEAST) if complete else (1, weight)
    thorough = complete and bool(
        coding.given
    )  # what is asked of such a model is the right answer to every condition
    plan = make_plan(
        table, coding.lattices, predictions, coding.given, *sizes_of_plan, thorough=thorough
    )
    recipe = RECIPES[effort]
    groups = [group for task in plan.tasks for group in _groups(task)]
    sizes = [size * GENEROUS for size in recipe.sizes] if complete else recipe.sizes
    wide = (
        complete and not coding.given
    )  # what it does to densities given conditions has not been measured
    jobs = [
        _job(group, size, recipe, seed, checkpoint, complete, wide)
        for group in groups
        for size in sizes
    ]
    choices: dict[str, list[Choice]] = {}
    for task in plan.tasks:
        for c in task.candidates:
            table_flow = replace(
                c.flow, parents=(), network=frequency_table(c.flow.bins, c.coded, task.weight)
            )
            table_flow = table_flow if table_flow.residual else replace(table_flow, prediction=None)
            choices.setdefault(c.name, []).append(
                _choice(table_flow, c.coded, task.features[:0], task, seed, complete)
            )
    if complete:
        ids = {c.name for c in table.columns if c.role == "id"}
        for name in plan.order:
            if name not in choices and name not in ids | set(plan.given):
                choices[name] = [_marginal(plan.indices[name])]
    for job, networks in zip(jobs, _trained(jobs, report, workers), strict=True):
        for c, network in zip(job.task.candidates, networks, strict=True):
            flow = replace(c.flow, network=network)
            features = job.task.features[list(c.inputs)]
            choices[c.name].append(_choice(flow, c.coded, features, job.task, seed, complete))
    return choose(plan, choices, complete=complete)


def _choice(
    flow: ColumnFlow, coded: Array, features: Array, task: ColumnTask, seed: int, held: bool
) -> Choice:
    """A choice judged by all rows, which its bytes go with, or by those held out of training alone."""
    rows = held_out(task.event, seed) if held else slice(None)
    return Choice(
        flow, coded[rows], features[:, rows], None if task.weight is None else task.weight[rows]
    )


def _marginal(q: Array) -> Choice:
    """The frequencies of a column that is constant, short, or follows from others."""
    bins = fit_bins(q, bin_count(len(q)))
    return Choice(
        ColumnFlow(bins, (), frequency_table(bins, q)), q, np.empty((0, len(q)), np.uint8)
    )


def _groups(task: ColumnTask) -> Iterator[ColumnTask]:
    """Equal parts of a task, each small enough to stay in a core's cache and to keep several cores busy."""
    candidates = [c for c in task.candidates if c.inputs]
    count = -(-len(candidates) // LARGEST_GROUP)
    for k in range(count):
        yield replace(task, candidates=tuple(candidates[k::count]))


def _job(
    task: ColumnTask,
    size: float,
    recipe: EffortPreset,
    seed: int,
    checkpoint: Checkpoint | None,
    complete: bool,
    wide: bool,
) -> _Job:
    rows = len(task.event)
    schedule = Schedule(recipe.steps, batch_size(rows))
    if complete:
        steps = min(recipe.steps, EPOCHS * rows // schedule.batch)
        schedule = replace(
            schedule, steps=steps, decay=DECAY / rows, limits=FINE_WEIGHTS, wide=wide
        )
    return _Job(task, hidden_widths(rows, size), schedule, seed, checkpoint)


class _Abandoned(Exception):
    """Ends a training in a thread of which nobody wants the result any more."""


def _trained(jobs: list[_Job], report: Report, workers: int | None) -> Iterator[list[Network]]:
    """The networks of each job; where the command ends early, the trainings that still run end after their step."""
    ended = threading.Event()
    try:
        yield from ordered_map(_run, _reporting(jobs, report, ended), workers)
    finally:
        ended.set()


@dataclass(frozen=True, eq=False)
class _Listener:
    """Told how far one of several trainings is.

    Attributes:
        report: Told the share done of all.
        done: The share done of each.
        number: Of the training.
        steps: It has at most.
        ended: Set when nobody waits for it any more.
    """

    report: Report
    done: list[float]
    number: int
    steps: int
    ended: threading.Event

    def __call__(self, step: int, bits: float) -> None:
        """Report a step and its loss."""
        self.done[self.number] = step / self.steps
        self.report(sum(self.done) / len(self.done), bits)

    def check(self) -> None:
        """End the training where nobody waits for it; called at every step."""
        if self.ended.is_set():
            raise _Abandoned


def _reporting(
    jobs: list[_Job], report: Report, ended: threading.Event
) -> Iterator[tuple[_Job, _Listener]]:
    """Each job with a listener that reports the share done of all of them."""
    done = [0.0] * len(jobs)
    for number, job in enumerate(jobs):
        yield job, _Listener(report, done, number, job.schedule.steps, ended)


def _run(job_and_listener: tuple[_Job, _Listener]) -> list[Network]:
    """The integer networks of a job's candidates, in their order, trained or found in the checkpoint."""
    job, listener = job_and_listener
    if job.checkpoint is None:
        return _train(job, listener)
    key = fingerprint(
        job.task, job.hidden, job.schedule, job.seed, torch.__version__, version("flowtuple")
    )
    networks = job.checkpoint.load(key, job.task)
    if networks is None:
        networks = _train(job, listener)
        job.checkpoint.save(key, networks)
    listener(job.schedule.steps, math.nan)
    return networks


def _train(job: _Job, listener: _Listener) -> list[Network]:
    before = torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # of this thread; more would only wait for each other on matrices this small
    try:
        model = train_conditioners(
            job.task, job.hidden, job.schedule, job.seed, listener, listener.check
        )
    finally:
        torch.set_num_threads(before)
    return exported(model, job.task, job.schedule.limits)


def exported(
    model: Conditioners, task: ColumnTask, limits: Sequence[int] = WEIGHT_LIMITS
) -> list[Network]:
    """The integer networks of a trained task's candidates, in their order."""
    rows = slice(0, None, max(1, len(task.event) // EXPORT_ROWS))
    floats = float_bits(model, task, rows)
    return [
        _integer_network(model, d, task, rows, floats[d], limits)
        for d in range(len(task.candidates))
    ]


def _integer_network(
    model: Conditioners,
    d: int,
    task: ColumnTask,
    rows: slice,
    float_bits: float,
    limits: Sequence[int],
) -> Network:
    """The integer network of the coarsest weights that cost at most 0.04 % + 0.004 bits per value over the float one."""
    c = task.candidates[d]
    coded, features = c.coded[rows], task.features[list(c.inputs), rows]
    for limit in limits:
        network = model.network(d, c, limit)
        bits = flow_bits(replace(c.flow, network=network), coded, features) / len(coded)
        if bits <= 1.0004 * float_bits + 0.004:
            break
    return network


def hidden_widths(rows: int, size: float) -> tuple[int, int]:
    """Widths of the two hidden layers: weights in proportion to the square root of the number of rows."""
    width = int(2 ** np.clip(np.round(np.log2(np.sqrt(rows) / 10)), 3, 6) * size)
    return max(width, 4), max(width // 2, 8)


def batch_size(rows: int) -> int:
    """Rows of a step: small tables would only see each row more often with more."""
    return 512 if rows < 50_000 else 1024 if rows < 100_000 else 2048


def frequency_table(bins: Bins, q: Array, weight: Array | None = None) -> Network:
    """A conditioner that reads nothing: the marginal distribution as one layer of biases."""
    biases = torch.from_numpy(log_shares(bins.symbol(q), bins.symbols, weight) * UNIT / 255)[
        None, :
    ]
    whole, shift = integer_weights(biases, LOGIT_UNITS)
    return Network(
        (Layer(whole.T.contiguous().numpy().astype(np.int8), shift[0].numpy().astype(np.uint8)),)
    )
