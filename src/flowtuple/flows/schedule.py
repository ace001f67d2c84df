"""Optimisers, and schedules of the learning rate by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import lr_scheduler

from flowtuple.flows.options import Training

_WARM_RESTARTS = 10  # epochs of the first cycle; each later one is twice as long

Settings = Callable[[Training, int], dict[str, Any]]
"""Arguments of a scheduler, from the options and the number of steps of an epoch."""

SCHEDULES: dict[str, tuple[Callable[..., Any], str, Settings]] = {
    "constant": (
        lr_scheduler.ConstantLR,
        "epoch",
        lambda options, steps: {"factor": 1.0},
    ),
    "plateau": (
        lr_scheduler.ReduceLROnPlateau,
        "loss",
        lambda options, steps: {"factor": 0.5, "patience": max(1, options.patience // 3)},
    ),
    "cosine": (
        lr_scheduler.CosineAnnealingLR,
        "step",
        lambda options, steps: {"T_max": steps * options.epochs},
    ),
    "warm-restarts": (
        lr_scheduler.CosineAnnealingWarmRestarts,
        "step",
        lambda options, steps: {
            "T_0": steps * min(_WARM_RESTARTS, options.epochs),
            "T_mult": 2,
        },
    ),
    "one-cycle": (
        lr_scheduler.OneCycleLR,
        "step",
        # The scheduler makes one step when it is built.
        lambda options, steps: {
            "max_lr": options.learning_rate,
            "total_steps": steps * options.epochs + 1,
        },
    ),
}
"""Schedulers by name, with their units: a `step`, an `epoch`, or an epoch with its `loss`."""


def make_optimiser(
    parameters: Iterable[torch.nn.Parameter], options: Training, steps: int
) -> tuple[torch.optim.Optimizer, Any, str]:
    """Build Adam, or AdamW if weights decay, with a scheduler and its unit.

    Args:
        parameters: Weights to train.
        options: Options of the training.
        steps: Steps of an epoch.
    """
    kind = torch.optim.AdamW if options.weight_decay else torch.optim.Adam
    optimiser = kind(
        parameters, lr=options.learning_rate, weight_decay=options.weight_decay
    )
    scheduler, unit, settings = SCHEDULES[options.schedule]
    return optimiser, scheduler(optimiser, **settings(options, steps)), unit
