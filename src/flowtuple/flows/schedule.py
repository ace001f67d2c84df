"""Optimisers, and schedules of the learning rate by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from flowtuple.flows.options import Training

_WARM_RESTARTS = 10  # epochs of the first cycle; each later one is twice as long

Schedule = tuple[Any, str]
"""A scheduler of PyTorch and its unit: a `step`, an `epoch`, or an epoch with its `loss`."""


def _constant(optimiser: torch.optim.Optimizer, options: Training, steps: int) -> Schedule:
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0), "epoch"


def _plateau(optimiser: torch.optim.Optimizer, options: Training, steps: int) -> Schedule:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=max(1, options.patience // 3)
    ), "loss"


def _cosine(optimiser: torch.optim.Optimizer, options: Training, steps: int) -> Schedule:
    return torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=steps * options.epochs
    ), "step"


def _warm_restarts(
    optimiser: torch.optim.Optimizer, options: Training, steps: int
) -> Schedule:
    first = steps * min(_WARM_RESTARTS, options.epochs)
    return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimiser, T_0=first, T_mult=2
    ), "step"


def _one_cycle(optimiser: torch.optim.Optimizer, options: Training, steps: int) -> Schedule:
    total = steps * options.epochs + 1  # the scheduler makes one step when it is built
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=options.learning_rate, total_steps=total
    ), "step"


SCHEDULES: dict[str, Callable[[torch.optim.Optimizer, Training, int], Schedule]] = {
    "constant": _constant,
    "plateau": _plateau,
    "cosine": _cosine,
    "warm-restarts": _warm_restarts,
    "one-cycle": _one_cycle,
}


def make_optimiser(
    parameters: Iterable[torch.nn.Parameter], options: Training, steps: int
) -> tuple[torch.optim.Optimizer, Schedule]:
    """Build Adam, or AdamW if weights decay, with a schedule.

    Args:
        parameters: Weights to train.
        options: Options of the training.
        steps: Steps of an epoch.
    """
    kind = torch.optim.AdamW if options.weight_decay else torch.optim.Adam
    optimiser = kind(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
    return optimiser, SCHEDULES[options.schedule](optimiser, options, steps)
