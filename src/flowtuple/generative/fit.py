"""A flow fitted to rows: epochs of shuffled batches, judged by held-out events, interrupted and taken up at will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

from flowtuple.errors import InvalidArgument, MissingExtra
from flowtuple.generative import state
from flowtuple.generative.bijection import Bijection
from flowtuple.generative.options import Training
from flowtuple.generative.schedule import make_optimiser
from flowtuple.schema import Array

THREADS = 2  # of PyTorch, whatever the machine: a sum in another order is another model
_JUDGED = 8192  # rows at a time
_LEAST = 20  # events

Spread = Callable[[Array], Array]
"""Rows of shape (n, d) ready for the flow, from random places in their cells, of the same shape."""
Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the loss on held-out events, in nats per row."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What a flow is fitted to.

    Attributes:
        spread: The rows, given places in their cells.
        shape: Rows and columns (n, d).
        event: The event of each row, shape (n,).
        weight: Of mean 1, shape (n,).
        context: Conditions ready for the flow, shape (n, c); `None` where it reads none.
    """

    spread: Spread
    shape: tuple[int, int]
    event: Array
    weight: Array
    context: Array | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of a training: the number of the best epoch, and of each one the learning rate and both losses."""

    best_epoch: int
    history: list[tuple[float, float, float]]


def fit(
    flow: Bijection,
    sample: Sample,
    options: Training,
    seed: int,
    report: Report,
    checkpoint: Path | None = None,
    log: Path | None = None,
) -> Fitted:
    """Train a flow in place; its weights end as those of the best epoch.

    Args:
        flow: With random weights.
        sample: The rows.
        options: Epochs, batches, schedule.
        seed: Of all that is random; an interrupted training that is taken up ends with the same weights.
        report: Told of each epoch.
        checkpoint: A folder for the state after each epoch.
        log: A folder for TensorBoard.

    Raises:
        InvalidArgument: There are too few events, or the loss is no number any more.
    """
    events = np.unique(sample.event)
    if len(events) < _LEAST:
        raise InvalidArgument(f"{len(events)} events with rows are too few to train a flow on; {_LEAST} are needed")
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        return _Run(flow, sample, options, seed, checkpoint, log).go(report)
    finally:
        torch.set_num_threads(before)


class _Run:
    def __init__(
        self, flow: Bijection, sample: Sample, options: Training, seed: int, checkpoint: Path | None, log: Path | None
    ) -> None:
        self.flow, self.sample, self.options, self.seed = flow, sample, options, seed
        self.checkpoint, self.log = checkpoint, log
        draw = np.random.default_rng([seed, 0])
        chosen = draw.random(int(sample.event.max()) + 1) < options.held_out
        self.judging = np.flatnonzero(chosen[sample.event])
        self.training = np.flatnonzero(~chosen[sample.event])
        if not len(self.judging) or not len(self.training):
            raise InvalidArgument(f"holding out {options.held_out} of the events leaves none of one kind; give more events")
        self.weight = torch.from_numpy(sample.weight.astype(np.float32))
        self.context = None if sample.context is None else torch.from_numpy(sample.context.astype(np.float32))
        self.steps = -(-len(self.training) // options.batch)
        self.optimiser, (self.scheduler, self.moves) = make_optimiser(flow.parameters(), options, self.steps)

    def go(self, report: Report) -> Fitted:
        where, best = self._begin()
        writer = _tensorboard(self.log)
        judged = self._rows(np.random.default_rng([self.seed, 2]).random(self.sample.shape))[self.judging]
        while where.epoch < self.options.epochs and not self._tired(where):
            loss = self._epoch(where.epoch)
            held = self._judge(judged)
            if not np.isfinite(held):
                raise InvalidArgument(
                    f"the loss is {held} after epoch {where.epoch + 1}; lower the learning rate or choose other transforms"
                )
            if self.moves != "step":
                self.scheduler.step(*([held] if self.moves == "loss" else []))
            where.epoch += 1
            where.history.append((self.optimiser.param_groups[0]["lr"], loss, held))
            if held < where.best[0]:
                where.best, best = (held, where.epoch), _copy(self.flow)
            if writer is not None:
                for name, value in zip(("learning_rate", "loss/training", "loss/held_out"), where.history[-1], strict=True):
                    writer.add_scalar(name, value, where.epoch)
            if self.checkpoint is not None:
                state.save(self.checkpoint, where, self.flow, best, self.optimiser, self.scheduler)
            report(where.epoch / self.options.epochs, held)
        if writer is not None:
            writer.close()
        self.flow.load_state_dict(best)
        return Fitted(where.best[1], where.history)

    def _begin(self) -> tuple[state.Progressed, dict[str, Tensor]]:
        fingerprint = self._fingerprint()
        if self.checkpoint is not None:
            found = state.load(self.checkpoint, fingerprint, self.flow, self.optimiser, self.scheduler)
            if found is not None:
                return found
        return state.Progressed(fingerprint), _copy(self.flow)

    def _tired(self, where: state.Progressed) -> bool:
        return bool(self.options.patience) and where.epoch - where.best[1] >= self.options.patience

    def _rows(self, u: Array) -> Tensor:
        return torch.from_numpy(self.sample.spread(u).astype(np.float32))

    def _epoch(self, number: int) -> float:
        """One pass in a random order, each value at a random place of its cell; the mean loss."""
        draw = np.random.default_rng([self.seed, 1, number])
        generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
        rows, order = self._rows(draw.random(self.sample.shape)), draw.permutation(self.training)
        total = 0.0
        for start in range(0, len(order), self.options.batch):
            part = torch.from_numpy(order[start : start + self.options.batch])
            loss = (self.weight[part] * self.flow.loss(rows[part], generator, self._given(part))).mean()
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if self.options.clip:
                torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.options.clip)
            self.optimiser.step()
            if self.moves == "step":
                self.scheduler.step()
            total += float(loss.detach()) * len(part)
        return total / len(order)

    @torch.no_grad()
    def _judge(self, rows: Tensor) -> float:
        """Mean loss on held-out events, with the same random numbers each time."""
        generator = torch.Generator().manual_seed(self.seed)
        judging = torch.from_numpy(self.judging)
        pairs = zip(torch.split(rows, _JUDGED), torch.split(judging, _JUDGED), strict=True)
        losses = torch.cat([self.flow.loss(part, generator, self._given(number)) for part, number in pairs])
        return float((self.weight[judging] * losses).mean())

    def _given(self, part: Tensor) -> Tensor | None:
        """The conditions of some rows."""
        return None if self.context is None else self.context[part]

    def _fingerprint(self) -> str:
        digest = xxhash.xxh3_64(repr((asdict(self.options), self.seed, self.sample.shape, str(self.flow))).encode())
        context = () if self.sample.context is None else (self.sample.context,)
        middle = self.sample.spread(np.full(self.sample.shape, 0.5))
        for part in (middle, self.sample.event, self.sample.weight, *context):
            digest.update(np.ascontiguousarray(part).tobytes())
        return str(digest.hexdigest())


def _copy(flow: Bijection) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in flow.state_dict().items()}


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "writing a log for TensorBoard") from error
    return SummaryWriter(folder)
