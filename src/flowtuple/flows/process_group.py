"""Processes that train one flow together: mean gradients by DistributedDataParallel, and sums.

Li et al., "PyTorch Distributed: experiences on accelerating data parallel training" (2020). Every
process has the whole flow and takes the same steps; it sees its own share of the rows of each step.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.errors import InvalidArgument, ProcessLost
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import Batch, SampledRows
from flowtuple.flows.processes import Process
from flowtuple.flows.rng import RngStream, draw, torch_generator

PATIENCE = timedelta(minutes=10)  # after which a process that does not answer is lost
_ROWS = 8192  # validation rows at a time


class Objective(torch.nn.Module):
    """The loss of a flow as a forward pass, which is what `DistributedDataParallel` wraps."""

    def __init__(self, flow: Trainable) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the share of these rows in the weighted mean over all rows of the step."""
        total: Tensor = (
            batch.weight * losses(self.flow, batch, generator)
        ).sum() / batch.total
        return total


def losses(flow: Trainable, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return the loss of each row, shape (m,)."""
    if batch.context is None:  # a loss without conditions need not accept a context
        return flow.loss(batch.x, generator)
    return flow.loss(batch.x, generator, batch.context)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training, seen from one of them.

    Attributes:
        process: This process.
        device: Its device.
    """

    process: Process
    device: torch.device

    def objective(self, flow: Trainable) -> torch.nn.Module:
        """Return the loss of a flow, with gradients averaged over the processes."""
        module = Objective(flow)
        if self.process.size == 1:
            return module
        with warnings.catch_warnings():
            # PyTorch renames the option, and versions before 2.13 know only this name.
            warnings.simplefilter("ignore", FutureWarning)
            # Buffers are masks and running means, which are equal in all processes.
            return DistributedDataParallel(module, broadcast_buffers=False)

    def total(self, values: Tensor) -> Tensor:
        """Return sums over all processes, the same in each."""
        if self.process.size == 1:
            return values
        on_device = values.to(self.device)
        dist.all_reduce(on_device)
        return on_device.cpu()

    def check_agreement(self, number: int) -> None:
        """Check that all processes have the same number.

        Raises:
            InvalidArgument: They begin after different epochs.
        """
        if float(self.total(torch.tensor(float(number)))) != float(
            number * self.process.size
        ):
            raise InvalidArgument(
                "the processes find different checkpoints; name a folder that all machines see"
            )


@contextmanager
def joined(process: Process, device: torch.device) -> Iterator[ProcessGroup]:
    """Join the other processes; a single process has nothing to do.

    Raises:
        ProcessLost: Another process ended, or did not answer for `PATIENCE`.
    """
    group = ProcessGroup(process, device)
    if process.size == 1:
        yield group
        return
    ours = not dist.is_initialized()
    try:
        if ours:
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(
                backend, rank=process.rank, world_size=process.size, timeout=PATIENCE
            )
        yield group
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, dist.DistError) and not any(
            backend in text.lower() for backend in ("gloo", "nccl")
        ):
            raise
        raise ProcessLost(
            f"process {process.rank} of {process.size} lost another one "
            f"({text.strip().splitlines()[0]}); "
            "start again: with `checkpoint=` it goes on after the last epoch"
        ) from None
    finally:
        if ours and dist.is_initialized():
            dist.destroy_process_group()


class ValidationLoss:
    """Validation rows, preprocessed once and divided among the processes.

    Args:
        sample: All rows.
        validation: Which rows are for validation, shape (n,).
        seed: Seed of positions in cells, and of the random numbers of the loss.
        group: The processes.
    """

    def __init__(
        self, sample: SampledRows, validation: Array, seed: int, group: ProcessGroup
    ) -> None:
        self._seed = seed
        self._group = group
        rows = np.flatnonzero(validation)
        self._rows = len(rows)
        self._parts = list(enumerate(ranges(len(rows), _ROWS)))
        self._own: dict[int, Batch] = {}
        for number, (start, stop) in self._parts[
            group.process.rank :: group.process.size
        ]:
            generator = draw(seed, RngStream.VALIDATION_POSITIONS, 0, number)
            positions = generator.random((stop - start, sample.shape[1]))
            self._own[number] = sample.take(rows[start:stop], positions, len(rows))

    @torch.no_grad()
    def __call__(self, flow: Trainable) -> float:
        """Return the weighted mean loss per row, the same for any number of processes."""
        device = self._group.device
        # The sum of each part is computed by one process, so that their number changes no bit.
        sums = torch.zeros(len(self._parts), dtype=torch.float64)
        for number, part in self._own.items():
            generator = torch_generator(
                device, self._seed, RngStream.VALIDATION_NOISE, 0, number
            )
            batch = part.to(device)
            weighted = batch.weight * losses(flow, batch, generator)
            sums[number] = weighted.double().sum().cpu()
        return float(self._group.total(sums).sum()) / self._rows
