"""A training between two epochs, as one safetensors file: weights, best weights, optimiser and schedule."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as pack

from flowtuple.errors import InvalidArgument
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.options import Training
from flowtuple.flows.processes import Process
from flowtuple.runtime.atomic import atomic_path, make_folder

NAME = "training.safetensors"
VERSION = 3  # of the numbers that a training draws, too: an older checkpoint cannot be gone on from exactly
_UNKNOWN = b"0" * 16  # stands for the checksum while it is computed
_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{16})"')
_SIGNS = (
    b'"__metadata__"',
    b'"training"',
    b'"checksum"',
)  # of a file of ours, of which one may be damaged
_log = logging.getLogger(__name__)


@dataclass
class TrainState:
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


def fingerprint(flow: torch.nn.Module, sample: SampledRows, options: Training, seed: int) -> str:
    """Of all that the weights depend on but the number of processes and the device."""
    digest = xxhash.xxh3_64(
        repr((asdict(options), seed, sample.shape, sample.identity, str(flow))).encode()
    )
    for part in (
        sample.event,
        sample.weight,
        *([] if sample.context is None else [sample.context]),
    ):
        digest.update(np.ascontiguousarray(part).tobytes())
    return str(digest.hexdigest())


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of them as they are now."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def save(
    folder: Path,
    where: TrainState,
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
        tensors |= {
            f"optimiser/{number}/{name}": torch.as_tensor(value) for name, value in entries.items()
        }
    content = {
        "version": VERSION,
        "where": asdict(where),
        "groups": kept["param_groups"],
        "schedule": scheduler.state_dict(),
    }
    contiguous = {
        name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()
    }
    data = pack(contiguous, {"training": json.dumps(content), "checksum": _UNKNOWN.decode()})
    with atomic_path(folder / NAME) as temporary:
        temporary.write_bytes(_sealed(data))


def load(
    folder: Path,
    fingerprint: str,
    module: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scheduler: Any,
) -> tuple[TrainState, dict[str, torch.Tensor]] | None:
    """Take up a training where the folder's checkpoint left it; `None` where it holds none, or a damaged one.

    Raises:
        InvalidArgument: The checkpoint is of another training or version, or what stands there is none.
    """
    path = folder / NAME
    found = _read(path)
    if found is None:
        return None
    where, groups, schedule, tensors = found
    if where.fingerprint != fingerprint:
        raise InvalidArgument(
            f"{path}: is of another input, flow or option; name another folder for this training"
        )
    module.load_state_dict(_below("now/", tensors))
    state: dict[int, dict[str, Any]] = {}
    for name, value in _below("optimiser/", tensors).items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    scheduler.load_state_dict(schedule)
    return where, _below("best/", tensors)


def _read(path: Path) -> tuple[TrainState, Any, Any, dict[str, torch.Tensor]] | None:
    """Progress, groups of the optimiser, schedule and tensors of a checkpoint; `None` where there is none, or a damaged one."""
    if not path.exists():
        return None
    data = path.read_bytes()
    seal = _CHECKSUM.search(data)
    try:
        if seal is not None and _sealed(data) != data:
            raise ValueError("its checksum differs")
        with safe_open(path, "pt") as stored:
            content = json.loads(stored.metadata()["training"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no mapping)
        version, where = content.get("version", 1), TrainState(**content["where"])
        if version == VERSION and seal is None:
            raise ValueError("it lacks its checksum")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        if data and not any(sign in data for sign in _SIGNS):
            raise InvalidArgument(
                f"{path}: is no checkpoint; remove it or name another folder"
            ) from None
        if Process.here().is_main:
            _log.warning("%s: is damaged and counts as none; the training begins again", path)
        return None
    if version != VERSION:
        raise InvalidArgument(
            f"{path}: is of another version of flowtuple; remove it to begin again, or name another folder"
        )
    where.best = (where.best[0], where.best[1])
    where.history = [(rate, loss, held) for rate, loss, held in where.history]
    where.watched = [(epoch, found) for epoch, found in where.watched]
    return where, content["groups"], content["schedule"], tensors


def _sealed(data: bytes) -> bytes:
    """The bytes of a checkpoint with the checksum of all of them in its place; while it is taken, zeros stand there."""
    place = _CHECKSUM.search(data)
    if place is None:
        return data
    begin, stop = place.span(1)
    digest = xxhash.xxh3_64(data[:begin])
    digest.update(_UNKNOWN)
    digest.update(data[stop:])
    return data[:begin] + digest.hexdigest().encode() + data[stop:]


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
