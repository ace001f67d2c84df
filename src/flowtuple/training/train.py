"""Training of a lattice flow for one table, of a size that its own data pay for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch

from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Network
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.runtime.torch_threads import torch_threads
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
    integer_layer,
    log_shares,
    train_conditioners,
    validation_rows,
)
from flowtuple.training.plan import (
    EFFORTS,
    MIN_ROWS,
    ColumnTask,
    EffortPreset,
    Plan,
    bin_count,
    make_plan,
)

EXPORT_ROWS = 32_768  # on which integer and float networks are compared
LARGEST_GROUP = 20  # candidates trained as one batch of matrices

# For models that draw events, whose density matters more than their bytes:
DETAIL = 2  # factor on the number of bins, since a density is flat within a bin
GENEROUS = 4.0  # factor on the network width
LEAST = 1000  # rows for a conditioner
EPOCHS = 100  # at most; more of them only memorise the rows
DECAY = 1000  # weight decay times the number of rows, which is a prior of fixed strength

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

    For each column the shortest code wins, model bytes included: no model, its prediction alone, a
    table of frequencies, or a conditioner of one of the sizes that the effort tries. Each training
    runs on one thread, several at a time, so that the result depends neither on the number of
    cores nor on PyTorch's settings.

    Args:
        table: Events to learn from.
        coding: Schema and lattices.
        predictions: Relations by column name.
        effort: Name of an effort.
        seed: Equal seeds give equal flows.
        report: Called during the training.
        checkpoint: Finished trainings to read and extend.
        workers: Threads; `None` for one per core.
        complete: Give every column but ids a density, whether or not it is worth its bytes.
        weight: Weight of each event, shape (events,); `None` for equal weights.
    """
    external = coding.external
    plan = make_plan(
        table,
        coding.lattices,
        predictions,
        external,
        detail=DETAIL if complete else 1,
        weight=weight,
        least=LEAST if complete else MIN_ROWS,
        # Such a model must be right under every condition, also under rare combinations.
        thorough=complete and bool(external),
    )
    # How wide functions change densities under conditions has not been measured.
    wide = complete and not external
    preset = EFFORTS[effort]
    jobs = [
        _job(group, size, preset, seed, checkpoint, complete, wide)
        for task in plan.tasks
        for group in _groups(task)
        for size in preset.sizes
    ]
    choices = _tables(plan, seed, complete)
    if complete:
        _add_marginals(plan, choices, {c.name for c in table.columns if c.role == "id"})
    for job, networks in zip(jobs, _trained(jobs, report, workers), strict=True):
        for c, network in zip(job.task.candidates, networks, strict=True):
            flow = replace(c.flow, network=network)
            features = job.task.features[list(c.inputs)]
            choices[c.name].append(_choice(flow, c.coded, features, job.task, seed, complete))
    return choose(plan, choices, complete=complete)


def _tables(plan: Plan, seed: int, complete: bool) -> dict[str, list[Choice]]:
    """Return for each candidate its choice without parents: a table of frequencies."""
    choices: dict[str, list[Choice]] = {}
    for task in plan.tasks:
        for c in task.candidates:
            flow = replace(
                c.flow,
                parents=(),
                network=frequency_table(c.flow.bins, c.coded, task.weight),
                prediction=c.flow.prediction if c.flow.residual else None,
            )
            choice = _choice(flow, c.coded, task.features[:0], task, seed, complete)
            choices.setdefault(c.name, []).append(choice)
    return choices


def _add_marginals(plan: Plan, choices: dict[str, list[Choice]], ids: Set[str]) -> None:
    """Add a table of frequencies for each column without a candidate.

    Such a column is constant, short, or follows from others.
    """
    for name in plan.order:
        if name not in choices and name not in ids | plan.external:
            q = plan.indices[name]
            bins = fit_bins(q, bin_count(len(q)))
            flow = ColumnFlow(bins, (), frequency_table(bins, q))
            choices[name] = [Choice(flow, q, np.empty((0, len(q)), np.uint8))]


def _choice(
    flow: ColumnFlow,
    coded: Array,
    features: Array,
    task: ColumnTask,
    seed: int,
    complete: bool,
) -> Choice:
    """Return a choice on all rows, or on validation rows where its density decides."""
    rows = validation_rows(task.event, seed) if complete else slice(None)
    weight = None if task.weight is None else task.weight[rows]
    return Choice(flow, coded[rows], features[:, rows], weight)


def _groups(task: ColumnTask) -> Iterator[ColumnTask]:
    """Divide a task into equal parts that fit into a core's cache and keep several cores busy."""
    candidates = [c for c in task.candidates if c.inputs]
    count = -(-len(candidates) // LARGEST_GROUP)
    for k in range(count):
        yield replace(task, candidates=tuple(candidates[k::count]))


def _job(
    task: ColumnTask,
    size: float,
    preset: EffortPreset,
    seed: int,
    checkpoint: Checkpoint | None,
    complete: bool,
    wide: bool,
) -> _Job:
    rows = len(task.event)
    schedule = Schedule(preset.steps, batch_size(rows))
    if complete:
        size *= GENEROUS
        steps = min(preset.steps, EPOCHS * rows // schedule.batch)
        schedule = replace(
            schedule, steps=steps, decay=DECAY / rows, limits=FINE_WEIGHTS, wide=wide
        )
    return _Job(task, hidden_widths(rows, size), schedule, seed, checkpoint)


class _Abandoned(Exception):
    """Ends a training whose result nobody waits for."""


def _trained(
    jobs: list[_Job], report: Report, workers: int | None
) -> Iterator[list[Network]]:
    """Return the networks of each job; an early end stops running trainings after their step."""
    ended = threading.Event()
    done = [0.0] * len(jobs)
    listeners = (
        _Listener(report, done, number, job.schedule.steps, ended)
        for number, job in enumerate(jobs)
    )
    try:
        yield from ordered_map(_run, zip(jobs, listeners, strict=True), workers)
    finally:
        ended.set()


@dataclass(frozen=True, eq=False)
class _Listener:
    """Reports the progress of one of several trainings.

    Attributes:
        report: Called with the share done of all trainings.
        done: The share done of each.
        number: Number of the training.
        steps: Its largest number of steps.
        ended: Set when nobody waits for the result any more.
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
        """Raise `_Abandoned` if nobody waits for the training; called at every step."""
        if self.ended.is_set():
            raise _Abandoned


def _run(job_and_listener: tuple[_Job, _Listener]) -> list[Network]:
    """Return the integer networks of a job's candidates, from the checkpoint if it has them."""
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
    # More threads would only wait for one another on matrices this small.
    with torch_threads(1):
        model = train_conditioners(
            job.task, job.hidden, job.schedule, job.seed, listener, listener.check
        )
    return exported(model, job.task, job.schedule.limits)


def exported(
    model: Conditioners, task: ColumnTask, limits: Sequence[int] = WEIGHT_LIMITS
) -> list[Network]:
    """Return the integer networks of a trained task's candidates.

    Each has the smallest weights that cost at most 0.04 % + 0.004 bits per value over the float
    network, or else the last ones tried.

    Args:
        model: The trained conditioners.
        task: Their task.
        limits: Largest integer weights to try, in this order.
    """
    rows = slice(0, None, max(1, len(task.event) // EXPORT_ROWS))
    networks = []
    for d, (c, bits) in enumerate(
        zip(task.candidates, float_bits(model, task, rows), strict=True)
    ):
        coded, features = c.coded[rows], task.features[list(c.inputs), rows]
        for limit in limits:
            network = model.network(d, c, limit)
            integer_bits = flow_bits(replace(c.flow, network=network), coded, features)
            if integer_bits / len(coded) <= 1.0004 * bits + 0.004:
                break
        networks.append(network)
    return networks


def hidden_widths(rows: int, size: float) -> tuple[int, int]:
    """Return the widths of the two hidden layers.

    The number of weights grows in proportion to the square root of the number of rows.
    """
    width = int(2 ** np.clip(np.round(np.log2(np.sqrt(rows) / 10)), 3, 6) * size)
    return max(width, 4), max(width // 2, 8)


def batch_size(rows: int) -> int:
    """Return the rows of a step; larger batches would repeat the rows of small tables too often."""
    return 512 if rows < 50_000 else 1024 if rows < 100_000 else 2048


def frequency_table(bins: Bins, q: Array, weight: Array | None = None) -> Network:
    """Return a conditioner without inputs: the marginal distribution as one layer of biases."""
    shares = log_shares(bins.symbol(q), bins.symbols, weight)
    biases = torch.from_numpy(shares * UNIT / 255)[None, :]
    return Network((integer_layer(biases, LOGIT_UNITS),))
