"""A training between two epochs, as one safetensors file: weights, best weights, optimiser and schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from flowtuple.atomic import atomic_path, make_folder
from flowtuple.errors import InvalidArgument
from flowtuple.generative.blocks import Sample
from flowtuple.generative.options import Training

NAME = "training.safetensors"
VERSION = 2  # of the numbers that a training draws, too: an older checkpoint cannot be gone on from exactly


@dataclass
class Progressed:
    """Where a training is.

    Attributes:
        fingerprint: Of data, options and seed: what the training depends on.
        epoch: Epochs done.
        best: Smallest loss on held-out events, and the epoch it was found after.
        history: Of each epoch the learning rate, the loss in training and the one on held-out events.
        watched: Epochs after which rows were drawn, and what was found of them.
    """

    fingerprint: str
    epoch: int = 0
    best: tuple[float, int] = (float("inf"), 0)
    history: list[tuple[float, float, float]] = field(default_factory=list)
    watched: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def fingerprint(flow: torch.nn.Module, sample: Sample, options: Training, seed: int) -> str:
    """Of all that the weights depend on but the number of processes and the device."""
    digest = xxhash.xxh3_64(repr((asdict(options), seed, sample.shape, sample.identity, str(flow))).encode())
    for part in (sample.event, sample.weight, *([] if sample.context is None else [sample.context])):
        digest.update(np.ascontiguousarray(part).tobytes())
    return str(digest.hexdigest())


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of them as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def save(
    folder: Path,
    where: Progressed,
    module: torch.nn.Module,
    best: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    scheduler: Any,
) -> None:
    """Replace the folder's checkpoint once the new one is complete."""
    make_folder(folder)
    tensors = {f"now/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    kept = optimiser.state_dict()
    for number, entries in kept["state"].items():
        tensors |= {f"optimiser/{number}/{name}": torch.as_tensor(value) for name, value in entries.items()}
    content = {"version": VERSION, "where": asdict(where), "groups": kept["param_groups"], "schedule": scheduler.state_dict()}
    contiguous = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(folder / NAME) as temporary:
        save_file(contiguous, temporary, {"training": json.dumps(content)})


def load(
    folder: Path,
    fingerprint: str,
    module: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scheduler: Any,
) -> tuple[Progressed, dict[str, torch.Tensor]] | None:
    """Take up a training where the folder's checkpoint left it; `None` where it holds none.

    Raises:
        InvalidArgument: The checkpoint is of another training or version, or is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as stored:
            content = json.loads(stored.metadata()["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no mapping)
        version, where = content.get("version", 1), Progressed(**content["where"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise InvalidArgument(f"{path}: is no checkpoint; remove it or name another folder") from None
    if version != VERSION:
        raise InvalidArgument(f"{path}: is of another version of flowtuple; remove it to begin again, or name another folder")
    if where.fingerprint != fingerprint:
        raise InvalidArgument(f"{path}: is of another input, flow or option; name another folder for this training")
    module.load_state_dict(_below("now/", tensors))
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below("optimiser/", tensors).items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": content["groups"]})
    scheduler.load_state_dict(content["schedule"])
    where.best = (where.best[0], where.best[1])
    where.history = [(rate, loss, held) for rate, loss, held in where.history]
    where.watched = [(epoch, found) for epoch, found in where.watched]
    return where, _below("best/", tensors)


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
