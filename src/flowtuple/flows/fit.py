"""A flow fitted to rows: epochs of shuffled batches, judged by held-out events, interrupted and taken up at will."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from flowtuple.errors import InvalidArgument
from flowtuple.flows import train_state
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import Batch, SampledRows, Shuffled
from flowtuple.flows.device import choose_device, mixed_precision
from flowtuple.flows.log import TrainingLog
from flowtuple.flows.options import Training
from flowtuple.flows.prefetch import Prefetcher
from flowtuple.flows.process_group import ProcessGroup, joined
from flowtuple.flows.processes import Process
from flowtuple.flows.rng import RngStream, torch_seed
from flowtuple.flows.schedule import make_optimiser
from flowtuple.flows.validation_loss import ValidationLoss

THREADS = 2  # of PyTorch, whatever the machine: a sum in another order is another model; of several processes each has one
WATCHES = 10  # times in a training that rows are drawn and looked at
_LEAST = 20  # events

Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the loss on held-out events, in nats per row."""
Trained = TypeVar("Trained", bound=Trainable)
Look = Callable[[], Mapping[str, float]]
"""What the flow is like as it is, as numbers by name."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of a training.

    Attributes:
        best_epoch: Its number, from 1.
        history: Of each epoch the learning rate and both losses.
        watched: Epochs after which the flow was looked at, and what was found.
        seconds: Time of this run's epochs, without judging and watching.
        waited: Share of it in which no step was made for want of rows.
    """

    best_epoch: int
    history: list[tuple[float, float, float]]
    watched: list[tuple[int, dict[str, float]]]
    seconds: float
    waited: float


def fit(
    flow: Trained,
    sample: SampledRows,
    options: Training,
    seed: int,
    report: Report,
    checkpoint: Path | None = None,
    log: Path | None = None,
    watch: Callable[[Trained], Mapping[str, float]] | None = None,
    device: str = "cpu",
) -> Fitted:
    """Train a flow in place; its weights end as those of the best epoch.

    Several processes that torchrun started train it together: each calls this with the same arguments, and the first one
    reports, watches, and writes checkpoint and log.

    Args:
        flow: With random weights, on the processor, where it is again in the end.
        sample: The rows.
        options: Epochs, batches, schedule.
        seed: Of all that is random; an interrupted training that is taken up ends with the same weights.
        report: Told of each epoch.
        checkpoint: A folder for the state after each epoch.
        log: A folder for TensorBoard.
        watch: Called some times in a training with the flow as it is.
        device: auto, cpu or cuda.

    Raises:
        InvalidArgument: There are too few events, or the loss is no number any more.
        ProcessLost: Another process ended, or has said nothing for long.
    """
    events = np.unique(sample.event)
    if len(events) < _LEAST:
        raise InvalidArgument(
            f"{len(events)} events with rows are too few to train a flow on; {_LEAST} are needed"
        )
    process, before = Process.here(), torch.get_num_threads()
    torch.set_num_threads(THREADS if process.size == 1 else 1)
    place = choose_device(device, process.local_rank)
    try:
        with joined(process, place) as team:
            look = None if watch is None else partial(watch, flow)
            return _Run(flow.to(place), sample, options, seed, team, checkpoint).go(
                report, log, look
            )
    finally:
        flow.to("cpu")
        torch.set_num_threads(before)


class _Run:
    def __init__(
        self,
        flow: Trainable,
        sample: SampledRows,
        options: Training,
        seed: int,
        team: ProcessGroup,
        checkpoint: Path | None,
    ) -> None:
        self.flow, self.options, self.seed, self.team, self.checkpoint = (
            flow,
            options,
            seed,
            team,
            checkpoint,
        )
        held = sample.held_out(options.held_out, seed)
        if held.all() or not held.any():
            raise InvalidArgument(
                f"holding out {options.held_out} of the events leaves none of one kind; give more events"
            )
        self.rows = Shuffled(sample, ~held, options.batch, seed, team.process)
        if min(self.rows.rows, options.batch) < team.process.size:
            few = f"{self.rows.rows} rows in batches of {options.batch}"
            raise InvalidArgument(
                f"{few} are too few for {team.process.size} processes; start fewer"
            )
        self.judge = ValidationLoss(sample, held, seed, team)
        self.optimiser, (self.scheduler, self.moves) = make_optimiser(
            flow.parameters(), options, self.rows.steps
        )
        self.objective = team.objective(flow)
        self.fingerprint = train_state.fingerprint(flow, sample, options, seed)

    def go(self, report: Report, log: Path | None, look: Look | None) -> Fitted:
        where, best = self._begin()
        writer = TrainingLog(log if self.team.process.is_main else None)
        pieces = (p for k in range(where.epoch, self.options.epochs) for p in self.rows.pieces(k))
        spent = 0.0  # seconds
        with Prefetcher(pieces) as ahead:
            batches = (batch for piece in ahead for batch in piece)
            while where.epoch < self.options.epochs and not self._tired(where):
                begin, before = time.perf_counter(), ahead.waited
                loss = self._epoch(where.epoch, batches)
                seconds = time.perf_counter() - begin
                spent += seconds
                best = self._finish(where, loss, best)
                if self.team.process.is_main:
                    if (
                        look is not None
                        and where.epoch % max(1, self.options.epochs // WATCHES) == 0
                    ):
                        where.watched.append((where.epoch, dict(look())))
                    writer.write(
                        where.epoch,
                        self._numbers(where)
                        | {"waited_for_data": (ahead.waited - before) / seconds},
                    )
                    if self.checkpoint is not None:
                        train_state.save(
                            self.checkpoint, where, self.flow, best, self.optimiser, self.scheduler
                        )
                    report(where.epoch / self.options.epochs, where.history[-1][2])
        writer.close()
        self.flow.load_state_dict(best)
        return Fitted(
            where.best[1],
            where.history,
            where.watched,
            spent,
            ahead.waited / spent if spent else 0.0,
        )

    def _begin(self) -> tuple[train_state.TrainState, dict[str, Tensor]]:
        found = None
        if self.checkpoint is not None:
            found = train_state.load(
                self.checkpoint, self.fingerprint, self.flow, self.optimiser, self.scheduler
            )
        where, best = found or (
            train_state.TrainState(self.fingerprint),
            train_state.weights_of(self.flow),
        )
        self.team.check_agreement(where.epoch)
        return where, best

    def _tired(self, where: train_state.TrainState) -> bool:
        return bool(self.options.patience) and where.epoch - where.best[1] >= self.options.patience

    def _epoch(self, number: int, batches: Iterator[Batch]) -> float:
        """One pass in a random order, each value at a random place of its cell; the mean loss."""
        device = self.team.device
        noise = torch_seed(self.seed, RngStream.NOISE, number, self.team.process.rank)
        generator, total = (
            torch.Generator(device).manual_seed(noise),
            torch.zeros((), dtype=torch.float64, device=device),
        )
        with mixed_precision(self.flow, device):
            for _ in range(self.rows.steps):
                batch = next(batches).to(device)
                total += self._step(batch, generator) * batch.total
        return float(self.team.total(total)) / self.rows.rows

    def _step(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """One step; what this process's rows add to the mean loss."""
        loss = self.objective(batch, generator)
        self.optimiser.zero_grad()
        (
            loss * self.team.process.size
        ).backward()  # the gradients of all processes are averaged, not added
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.options.clip)
        self.optimiser.step()
        if self.moves == "step":
            self.scheduler.step()
        added: Tensor = loss.detach()
        return added

    def _finish(
        self, where: train_state.TrainState, loss: float, best: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Judge an epoch and note it; the weights of the best one so far."""
        held = self.judge(self.flow)
        if not np.isfinite(held):
            after = f"the loss is {held} after epoch {where.epoch + 1}"
            raise InvalidArgument(f"{after}; lower the learning rate or choose other transforms")
        if self.moves != "step":
            self.scheduler.step(*([held] if self.moves == "loss" else []))
        where.epoch += 1
        where.history.append((self.optimiser.param_groups[0]["lr"], loss, held))
        if held < where.best[0]:
            where.best, best = (held, where.epoch), train_state.weights_of(self.flow)
        return best

    def _numbers(self, where: train_state.TrainState) -> dict[str, float]:
        """Of the last epoch, by the names that TensorBoard shows."""
        names = ("learning_rate", "loss/training", "loss/held_out")
        epoch, found = where.watched[-1] if where.watched else (0, {})
        return dict(zip(names, where.history[-1], strict=True)) | (
            found if epoch == where.epoch else {}
        )
