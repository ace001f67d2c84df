"""Training of a lattice flow for one table, of a size that its own data pay for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import numpy as np
import torch

from flowtuple.data.resources import Resources
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Network
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.runtime.torch_threads import torch_threads
from flowtuple.training.acceptance import with_acceptance
from flowtuple.training.checkpoint import Checkpoint, fingerprint
from flowtuple.training.choose import (
    Choice,
    choice_bits,
    choose,
    flow_bits,
    model_bytes,
)
from flowtuple.training.conditioners import (
    FINE_WEIGHTS,
    LOGIT_UNITS,
    LOOKS,
    UNIT,
    VALIDATION_SHARE,
    WEIGHT_LIMITS,
    Conditioners,
    Progress,
    Schedule,
    float_bits,
    integer_layer,
    log_shares,
    train_conditioners,
    validation_rows,
)
from flowtuple.training.partitions import parts_rules
from flowtuple.training.plan import (
    COMPLETE_EFFORTS,
    EFFORTS,
    MIN_ROWS,
    Candidate,
    ColumnTask,
    EffortPreset,
    Plan,
    bin_count,
    make_plan,
)
from flowtuple.training.rates import with_rates
from flowtuple.training.rules import find_rules, least_rules
from flowtuple.training.trees import grow_tree

EXPORT_ROWS = 32_768  # on which integer and float networks are compared
LARGEST_GROUP = 20  # candidates trained as one batch of matrices
LARGEST_WIDE_GROUP = 4  # of larger matrices, which together still fit into a cache
EVEN = 16  # float32 numbers of a register

# For models that draw events, whose density matters more than their bytes:
DETAIL = 2  # factor on the number of bins, since a density is flat within a bin
GENEROUS = 4.0  # factor on the network width
LEAST = 1000  # rows for a conditioner
EPOCHS = 100  # at most; more of them only memorise the rows
TREE_PRICE = 0.25  # share of a tree's bytes that it has to save
DECAY = 1000  # weight decay times the number of rows, which is a prior of fixed strength

Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the loss in bits per value."""


@dataclass(frozen=True, eq=False)
class _Job:
    """One training: the conditioners of one collection at one size."""

    task: ColumnTask
    hidden: tuple[int, int]
    schedule: Schedule


def train_flow(
    table: Table,
    coding: TableCoding,
    predictions: Mapping[str, Prediction],
    effort: str,
    seed: int,
    resources: Resources = Resources(),
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
        resources: Threads, progress, and a folder of finished trainings to read and extend.
        complete: Give every column but ids a density, whether or not it is worth its bytes.
        weight: Weight of each event, shape (events,); `None` for equal weights.
    """
    external = coding.external
    of_events = complete and not external
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
        whole_events=of_events,
    )
    # A density decides on validation rows.
    validation = seed if complete else None
    choices: dict[str, list[Choice]] = {name: [] for name in plan.order}
    for task in plan.tasks:
        for c in task.candidates:
            choices[c.name].append(_frequencies(task, c, validation))
    if complete:
        ids = {c.name for c in table.columns if c.role == "id"}
        for name in choices.keys() - ids - external:
            choices[name] = choices[name] or [_marginal(plan.indices[name])]
    # How trees and wide functions change densities under conditions has not been measured.
    presets = COMPLETE_EFFORTS if of_events else EFFORTS
    jobs = list(_jobs(plan, presets[effort], complete, wide=of_events))
    stage, folder = f"train {table.name}", resources.folder

    def report(share: float, bits: float) -> None:
        known = math.isfinite(bits)
        resources.progress(stage, share, f"{bits:.3f} bits per value" if known else "")

    train = partial(_networks, seed, None if folder is None else Checkpoint(folder))
    for job, networks in _trained(jobs, train, report, resources.workers):
        for c, network in zip(job.task.candidates, networks, strict=True):
            flow = replace(c.flow, network=network)
            choice = _choice(job.task, c, flow, validation)
            if of_events:
                choice = _corrected(job.task, c, choice, seed)
            choices[c.name].append(choice)
    resources.progress(stage, 1.0, "")
    chosen = choose(plan, choices, complete=complete)
    if not of_events:
        return chosen
    # Rules try values of a column without the resolution of their rows.
    rules = find_rules(table, external | coding.resolutions.keys())
    more = (
        *least_rules(rules, table, coding.lattices),
        *parts_rules(table, coding, predictions),
    )
    rated = with_rates(replace(chosen, rules=rules + more), table, coding, seed)
    return with_acceptance(rated, table, coding, seed, weight)


def _frequencies(task: ColumnTask, c: Candidate, validation: int | None) -> Choice:
    """Return the choice without parents: a table of frequencies."""
    network = frequency_table(c.flow.bins, c.coded, task.weight)
    prediction = c.flow.prediction if c.flow.residual else None
    flow = replace(c.flow, parents=(), network=network, prediction=prediction)
    return _choice(task, c, flow, validation)


def _marginal(q: Array) -> Choice:
    """Return the only choice of a column that is constant, short, or follows from others."""
    bins = fit_bins(q, bin_count(len(q)))
    flow = ColumnFlow(bins, (), frequency_table(bins, q))
    return Choice(flow, q, np.empty((0, len(q)), np.uint8))


def _choice(
    task: ColumnTask, c: Candidate, flow: ColumnFlow, validation: int | None
) -> Choice:
    """Return a choice on all rows, or on the validation rows of a seed."""
    rows = slice(None) if validation is None else validation_rows(task.event, validation)
    features = task.features[list(c.inputs if flow.parents else ())]
    weight = None if task.weight is None else task.weight[rows]
    return Choice(flow, c.coded[rows], features[:, rows], weight)


def _corrected(task: ColumnTask, c: Candidate, choice: Choice, seed: int) -> Choice:
    """Return a choice with the tree that corrects its network, if this saves enough.

    The tree is grown without the validation rows, on which it has to save their share of a part of
    its own bytes: a density is worth more than bytes, but not than any number of them.
    """
    network = choice.flow.network
    if network is None:
        return choice
    rows = ~validation_rows(task.event, seed)
    levels = task.features[list(c.inputs)][:, rows]
    weight = None if task.weight is None else task.weight[rows]
    symbols = c.flow.bins.symbol(c.coded[rows])
    flow = replace(
        choice.flow,
        network=replace(network, tree=grow_tree(network, levels, symbols, weight)),
    )
    corrected = replace(choice, flow=flow)
    more = model_bytes(flow) - model_bytes(choice.flow)
    saved = choice_bits(choice) - choice_bits(corrected)
    return corrected if saved > 8 * VALIDATION_SHARE * TREE_PRICE * more else choice


def _jobs(
    plan: Plan, preset: EffortPreset, complete: bool, *, wide: bool
) -> Iterator[_Job]:
    """Yield the trainings of each task in equal groups of candidates, at each size.

    A group fits into a core's cache, and several keep several cores busy.
    """
    for task in plan.tasks:
        rows = len(task.event)
        schedule = Schedule(preset.steps, batch_size(rows))
        if complete:
            steps = min(preset.steps, EPOCHS * rows // schedule.batch)
            schedule = Schedule(
                steps, schedule.batch, decay=DECAY / rows, limits=FINE_WEIGHTS, wide=wide
            )
            if wide:
                schedule = replace(
                    schedule, looks=LOOKS // 2, patience=schedule.patience // 2
                )
        candidates = [c for c in task.candidates if c.inputs]
        count = -(-len(candidates) // (LARGEST_WIDE_GROUP if wide else LARGEST_GROUP))
        for k in range(count):
            group = replace(task, candidates=tuple(candidates[k::count]))
            for size in preset.sizes:
                hidden = hidden_widths(rows, size * GENEROUS if complete else size)
                hidden = even_widths(hidden) if wide else hidden
                yield _Job(group, hidden, schedule)


class _Abandoned(Exception):
    """Ends a training whose result nobody waits for."""


Train = Callable[[_Job, Progress, Callable[[], None]], list[Network]]
"""Runs a job, with a report of its steps and a check at every step that may end it."""


def _trained(
    jobs: Sequence[_Job], train: Train, report: Report, workers: int | None
) -> Iterator[tuple[_Job, list[Network]]]:
    """Yield each job with its networks; an early end stops running trainings after their step."""
    ended, done = threading.Event(), [0.0] * len(jobs)

    def run(number: int) -> list[Network]:
        def progress(step: int, bits: float) -> None:
            done[number] = step / jobs[number].schedule.steps
            report(sum(done) / len(done), bits)

        def check() -> None:
            if ended.is_set():
                raise _Abandoned

        return train(jobs[number], progress, check)

    # The name delays the end of the threads until they are told to stop.
    results = ordered_map(run, range(len(jobs)), workers)
    try:
        for job, networks in zip(jobs, results, strict=True):  # noqa: UP028
            yield job, networks
    finally:
        ended.set()


def _networks(
    seed: int,
    checkpoint: Checkpoint | None,
    job: _Job,
    progress: Progress,
    check: Callable[[], None],
) -> list[Network]:
    """Return the integer networks of a job's candidates, from the checkpoint if it has them."""
    task, settings = job.task, (job.hidden, job.schedule, seed)
    key = ""
    if checkpoint is not None:
        key = fingerprint(task, *settings, torch.__version__, version("flowtuple"))
        networks = checkpoint.load(key, task)
        if networks is not None:
            progress(job.schedule.steps, math.nan)
            return networks
    # More threads would only wait for one another on matrices this small.
    with torch_threads(1):
        model = train_conditioners(task, *settings, progress, check)
    networks = exported(model, task, job.schedule.limits)
    if checkpoint is not None:
        checkpoint.save(key, networks)
        progress(job.schedule.steps, math.nan)
    return networks


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
    if len(limits) == 1:
        return [model.network(d, c, *limits) for d, c in enumerate(task.candidates)]
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


def even_widths(hidden: tuple[int, int]) -> tuple[int, int]:
    """Return widths of about the same cost that fill the registers of a processor.

    Example:
        >>> even_widths((89, 44)), even_widths((22, 11))
        ((80, 48), (22, 11))
    """
    first, second = hidden
    if first < 4 * EVEN:
        return hidden
    return first // EVEN * EVEN, -(-second // EVEN) * EVEN


def batch_size(rows: int) -> int:
    """Return the rows of a step; larger batches would repeat the rows of small tables too often."""
    return 512 if rows < 50_000 else 1024 if rows < 100_000 else 2048


def frequency_table(bins: Bins, q: Array, weight: Array | None = None) -> Network:
    """Return a conditioner without inputs: the marginal distribution as one layer of biases."""
    shares = log_shares(bins.symbol(q), bins.symbols, weight)
    biases = torch.from_numpy(shares * UNIT / 255)[None, :]
    return Network((integer_layer(biases, LOGIT_UNITS),))
