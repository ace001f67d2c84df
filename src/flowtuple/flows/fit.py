"""Fit of a flow to rows: epochs of shuffled batches with validation, which can be interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from flowtuple.errors import InvalidArgument
from flowtuple.flows import train_state
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import Batch, SampledRows, Shuffled
from flowtuple.flows.device import choose_device, mixed_precision
from flowtuple.flows.options import Training
from flowtuple.flows.prefetch import Prefetcher
from flowtuple.flows.process_group import ProcessGroup, ValidationLoss, joined
from flowtuple.flows.processes import Process
from flowtuple.flows.rng import RngStream, torch_generator
from flowtuple.flows.schedule import make_optimiser
from flowtuple.flows.train_state import TrainState
from flowtuple.runtime.extras import require
from flowtuple.runtime.torch_threads import torch_threads

THREADS = 2  # of PyTorch on any machine: the order of a sum decides the last bits of the weights
WATCHES = 10  # times in a training that rows are drawn and compared
_FEWEST_EVENTS = 20

Report = Callable[[float, float], None]
"""Called with the share done (0 to 1) and the validation loss in nats per row."""
Trained = TypeVar("Trained", bound=Trainable)
Watch = Callable[[], Mapping[str, float]]
"""Measures the flow in its present state, as numbers by name."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Result of a training.

    Attributes:
        best_epoch: Number of the epoch of the smallest validation loss, from 1.
        history: Learning rate, training loss and validation loss of each epoch.
        watched: Epochs after which the flow was measured, and the numbers.
        seconds: Time of this run's epochs, without validation.
        waited: Share of that time without a step because rows were missing.
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

    Several processes that torchrun started train it together. Each calls this with the same
    arguments, and the first one reports, watches, and writes checkpoint and log.

    Args:
        flow: The flow with random weights, on the processor, where it is again at the end.
        sample: The rows.
        options: Epochs, batches and schedule.
        seed: Seed of all random numbers. A training that was interrupted and resumed ends with
            the same weights.
        report: Called after each epoch.
        checkpoint: A folder for the state after each epoch.
        log: A folder for TensorBoard.
        watch: Called some times in a training with the flow.
        device: auto, cpu or cuda.

    Raises:
        InvalidArgument: There are too few events, or the loss is no longer a number.
        ProcessLost: Another process ended or did not answer.
    """
    events = len(np.unique(sample.event))
    if events < _FEWEST_EVENTS:
        raise InvalidArgument(
            f"{events} events with rows are too few to train a flow on; {_FEWEST_EVENTS} are needed"
        )
    process = Process.here()
    with torch_threads(THREADS if process.size == 1 else 1):
        place = choose_device(device, process.local_rank)
        try:
            with joined(process, place) as group:
                training = _Training(
                    flow.to(place), sample, options, seed, group, checkpoint
                )
                return training.run(
                    report, log, None if watch is None else partial(watch, flow)
                )
        finally:
            flow.to("cpu")


class _Training:
    """One process's part of a training."""

    def __init__(
        self,
        flow: Trainable,
        sample: SampledRows,
        options: Training,
        seed: int,
        group: ProcessGroup,
        checkpoint: Path | None,
    ) -> None:
        self.flow = flow
        self.options = options
        self.seed = seed
        self.group = group
        self.checkpoint = checkpoint
        validation = sample.validation(options.held_out, seed)
        if validation.all() or not validation.any():
            raise InvalidArgument(
                f"holding out {options.held_out} of the events leaves none of one kind; "
                "give more events"
            )
        self.rows = Shuffled(sample, ~validation, options.batch, seed, group.process)
        if min(self.rows.rows, options.batch) < group.process.size:
            raise InvalidArgument(
                f"{self.rows.rows} rows in batches of {options.batch} are too few for "
                f"{group.process.size} processes; start fewer"
            )
        self.validation_loss = ValidationLoss(sample, validation, seed, group)
        self.optimiser, self.scheduler, self.unit = make_optimiser(
            flow.parameters(), options, self.rows.steps
        )
        self.objective = group.objective(flow)
        fingerprint = train_state.fingerprint(flow, sample, options, seed)
        self.state, self.best = TrainState(fingerprint), train_state.weights_of(flow)
        if checkpoint is not None:
            stored = train_state.load(
                checkpoint, fingerprint, flow, self.optimiser, self.scheduler
            )
            self.state, self.best = stored or (self.state, self.best)
        group.check_agreement(self.state.epoch)

    def run(self, report: Report, log: Path | None, watch: Watch | None) -> Fitted:
        """Train all epochs that are left, and set the best weights."""
        state, epochs = self.state, self.options.epochs
        is_main = self.group.process.is_main
        pieces = (
            p for epoch in range(state.epoch, epochs) for p in self.rows.pieces(epoch)
        )
        seconds = 0.0
        with (
            _tensorboard(log if is_main else None) as writer,
            Prefetcher(pieces) as prefetched,
        ):
            batches = (batch for piece in prefetched for batch in piece)
            while state.epoch < epochs and not self._is_stalled():
                begin, waited = time.perf_counter(), prefetched.waited
                loss = self._epoch(batches)
                spent = time.perf_counter() - begin
                seconds += spent
                self._validate(loss)
                if not is_main:
                    continue
                numbers = self._numbers()
                if watch is not None and state.epoch % max(1, epochs // WATCHES) == 0:
                    state.watched.append((state.epoch, dict(watch())))
                    numbers |= state.watched[-1][1]
                numbers["waited_for_data"] = (prefetched.waited - waited) / spent
                if writer is not None:
                    for name, value in numbers.items():
                        writer.add_scalar(name, value, state.epoch)
                self._save()
                report(state.epoch / epochs, state.history[-1][2])
        self.flow.load_state_dict(self.best)
        self.flow.eval()
        share = prefetched.waited / seconds if seconds else 0.0
        return Fitted(state.best[1], state.history, state.watched, seconds, share)

    def _is_stalled(self) -> bool:
        """Return whether the loss has not improved for as many epochs as patience allows."""
        patience = self.options.patience
        return patience > 0 and self.state.epoch - self.state.best[1] >= patience

    def _epoch(self, batches: Iterator[Batch]) -> float:
        """Make all steps of an epoch and return the mean loss."""
        device, rank = self.group.device, self.group.process.rank
        generator = torch_generator(
            device, self.seed, RngStream.NOISE, self.state.epoch, rank
        )
        total = torch.zeros((), dtype=torch.float64, device=device)
        self.flow.train()
        with mixed_precision(self.flow, device):
            for _ in range(self.rows.steps):
                batch = next(batches).to(device)
                total += self._step(batch, generator) * batch.total
        return float(self.group.total(total)) / self.rows.rows

    def _step(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Make one step and return the share of this process's rows in the mean loss."""
        loss: Tensor = self.objective(batch, generator)
        self.optimiser.zero_grad()
        # Gradients of all processes are averaged where they should be added.
        (loss * self.group.process.size).backward()  # type: ignore[no-untyped-call]
        if self.options.clip:
            torch.nn.utils.clip_grad_norm_(self.flow.parameters(), self.options.clip)
        self.optimiser.step()
        if self.unit == "step":
            self.scheduler.step()
        return loss.detach()

    def _validate(self, loss: float) -> None:
        """Finish an epoch: validate, move the schedule, and remember the best weights."""
        self.flow.eval()
        state, validation = self.state, self.validation_loss(self.flow)
        if not np.isfinite(validation):
            raise InvalidArgument(
                f"the loss is {validation} after epoch {state.epoch + 1}; "
                "lower the learning rate or choose other transforms"
            )
        if self.unit == "loss":
            self.scheduler.step(validation)
        elif self.unit == "epoch":
            self.scheduler.step()
        state.epoch += 1
        state.history.append((self.optimiser.param_groups[0]["lr"], loss, validation))
        if validation < state.best[0]:
            state.best = (validation, state.epoch)
            self.best = train_state.weights_of(self.flow)

    def _save(self) -> None:
        if self.checkpoint is not None:
            train_state.save(
                self.checkpoint,
                self.state,
                self.flow,
                self.best,
                self.optimiser,
                self.scheduler,
            )

    def _numbers(self) -> dict[str, float]:
        """Return numbers of the last epoch by their names in TensorBoard."""
        names = ("learning_rate", "loss/training", "loss/held_out")
        return dict(zip(names, self.state.history[-1], strict=True))


def _tensorboard(folder: Path | None) -> AbstractContextManager[Any]:
    """Return a writer of a log for TensorBoard; without a folder there is none.

    Raises:
        MissingExtra: The extra 'tensorboard' is not installed.
    """
    if folder is None:
        return nullcontext()
    purpose = "writing a log for TensorBoard"
    tensorboard: Any = require("torch.utils.tensorboard", "tensorboard", purpose)
    writer: AbstractContextManager[Any] = tensorboard.SummaryWriter(folder)
    return writer
