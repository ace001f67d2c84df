"""Processes that train one flow together: gradients averaged by PyTorch's DistributedDataParallel, sums over all of them.

Li et al., "PyTorch Distributed: experiences on accelerating data parallel training" (2020). Every process holds the whole
flow and takes the same steps; of each step's rows it sees its own share.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from flowtuple.errors import InvalidArgument, ProcessLost
from flowtuple.flows.bijection import Trainable
from flowtuple.flows.blocks import Batch
from flowtuple.flows.processes import Process

PATIENCE = timedelta(minutes=10)  # after which a process that says nothing is lost


class Objective(torch.nn.Module):
    """The loss of a flow, as the forward pass that `DistributedDataParallel` watches."""

    def __init__(self, flow: Trainable) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """What these rows add to the weighted mean over all rows of the step."""
        total: Tensor = (batch.weight * losses(self.flow, batch, generator)).sum() / batch.total
        return total


def losses(flow: Trainable, batch: Batch, generator: torch.Generator) -> Tensor:
    """Of each row, shape (m,)."""
    if batch.context is None:
        return flow.loss(batch.x, generator)
    conditional: Callable[..., Tensor] = flow.loss
    return conditional(batch.x, generator, batch.context)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes, seen from one of them.

    Attributes:
        process: This one.
        device: What it computes on.
    """

    process: Process
    device: torch.device

    def objective(self, flow: Trainable) -> torch.nn.Module:
        """The loss, whose gradients come to be those of the whole step in every process."""
        module = Objective(flow)
        if self.process.size == 1:
            return module
        with (
            warnings.catch_warnings()
        ):  # PyTorch renames the option; versions before 2.13 know this name only
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module, broadcast_buffers=False
            )  # they are masks, the same everywhere

    def total(self, values: Tensor) -> Tensor:
        """Sums over all processes, the same in each."""
        if self.process.size > 1:
            there = values.to(self.device)
            dist.all_reduce(there)
            values = there.cpu()
        return values

    def check_agreement(self, number: int) -> None:
        """Refuse to go on where processes begin after different epochs.

        Raises:
            InvalidArgument: They do.
        """
        if float(self.total(torch.tensor(float(number)))) != float(number * self.process.size):
            raise InvalidArgument(
                "the processes find different checkpoints; name a folder that all machines see"
            )


@contextmanager
def joined(process: Process, device: torch.device) -> Iterator[ProcessGroup]:
    """Meet the other processes; alone there is nothing to do.

    Raises:
        ProcessLost: Another one ended, or has said nothing for `PATIENCE`.
    """
    team = ProcessGroup(process, device)
    if process.size == 1:
        yield team
        return
    ours = not dist.is_initialized()
    try:
        if ours:
            kind = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(
                kind, rank=process.rank, world_size=process.size, timeout=PATIENCE
            )
        yield team
    except RuntimeError as error:
        if not (
            isinstance(error, dist.DistError)
            or "gloo" in str(error).lower()
            or "nccl" in str(error).lower()
        ):
            raise
        first = str(error).strip().splitlines()[0]
        told = f"process {process.rank} of {process.size} lost another one ({first})"
        raise ProcessLost(
            f"{told}; start again: with --checkpoint it goes on after the last epoch"
        ) from None
    finally:
        if ours and dist.is_initialized():
            dist.destroy_process_group()
