"""State of a training between two epochs, as one safetensors file.

The file has weights, best weights, optimiser and schedule, and a checksum of all its bytes in its
JSON header.
"""

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
from safetensors import SafetensorError
from safetensors.torch import save as pack

from flowtuple.errors import InvalidArgument
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.options import Training
from flowtuple.flows.processes import Process
from flowtuple.flows.stored import read_tensors
from flowtuple.runtime.atomic import atomic_path, make_folder

NAME = "training.safetensors"
VERSION = 3  # also of the random numbers: an older training cannot be resumed exactly
_NO_CHECKSUM = b"0" * 16  # stands in the file while the checksum is computed
_CHECKSUM = re.compile(rb'"checksum":"([0-9a-f]{16})"')
_OWN_WORDS = (b'"__metadata__"', b'"training"', b'"checksum"')  # one survives most damage
_log = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]


@dataclass
class TrainState:
    """Progress of a training.

    Attributes:
        fingerprint: Hash of everything that the training depends on.
        epoch: Number of finished epochs.
        best: Smallest validation loss, and its epoch.
        history: Learning rate, training loss and validation loss of each epoch.
        watched: Epochs after which rows were drawn, and the measured numbers.
    """

    fingerprint: str
    epoch: int = 0
    best: tuple[float, int] = (float("inf"), 0)
    history: list[tuple[float, float, float]] = field(default_factory=list)
    watched: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def fingerprint(
    flow: torch.nn.Module, sample: SampledRows, options: Training, seed: int
) -> str:
    """Return a hash of all that the weights depend on but the processes and the device."""
    settings = (asdict(options), seed, sample.shape, sample.identity, str(flow))
    digest = xxhash.xxh3_64(repr(settings).encode())
    for part in (sample.event, sample.weight, sample.context):
        if part is not None:
            digest.update(np.ascontiguousarray(part).tobytes())
    return str(digest.hexdigest())


def weights_of(module: torch.nn.Module) -> Tensors:
    """Return a copy of a module's weights."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def save(
    folder: Path,
    state: TrainState,
    module: torch.nn.Module,
    best: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    scheduler: Any,
) -> None:
    """Write a checkpoint, which replaces that of the folder once it is complete."""
    make_folder(folder)
    tensors = {f"now/{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    optimiser_state = optimiser.state_dict()
    for number, entries in optimiser_state["state"].items():
        for name, value in entries.items():
            tensors[f"optimiser/{number}/{name}"] = torch.as_tensor(value)
    content = {
        "version": VERSION,
        "where": asdict(state),
        "groups": optimiser_state["param_groups"],
        "schedule": scheduler.state_dict(),
    }
    data = pack(
        {
            name: value.detach().cpu().clone().contiguous()
            for name, value in tensors.items()
        },
        {"training": json.dumps(content), "checksum": _NO_CHECKSUM.decode()},
    )
    with atomic_path(folder / NAME) as temporary:
        temporary.write_bytes(_sealed(data))


def load(
    folder: Path,
    fingerprint: str,
    module: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    scheduler: Any,
) -> tuple[TrainState, Tensors] | None:
    """Restore a training from the checkpoint of a folder.

    Returns:
        Progress and best weights; `None` if there is no checkpoint, or a damaged one.

    Raises:
        InvalidArgument: The checkpoint is of another training or version, or the file is not a
            checkpoint.
    """
    path = folder / NAME
    stored = _read(path)
    if stored is None:
        return None
    state, content, tensors = stored
    if state.fingerprint != fingerprint:
        raise InvalidArgument(
            f"{path}: is of another input, flow or option; name another folder for this training"
        )
    module.load_state_dict(_below("now/", tensors))
    moments: dict[int, dict[str, Any]] = {}
    for name, value in _below("optimiser/", tensors).items():
        number, _, key = name.partition("/")
        moments.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": moments, "param_groups": content["groups"]})
    scheduler.load_state_dict(content["schedule"])
    return state, _below("best/", tensors)


def _read(path: Path) -> tuple[TrainState, Mapping[str, Any], Tensors] | None:
    """Return progress, JSON content and tensors of a checkpoint, `None` as `load` does."""
    if not path.exists():
        return None
    data = path.read_bytes()
    sealed = _CHECKSUM.search(data) is not None
    try:
        if sealed and _sealed(data) != data:
            raise ValueError("its checksum differs")
        tensors, texts = read_tensors(data)
        content = json.loads(texts["training"])
        version, state = content.get("version", 1), TrainState(**content["where"])
        if version == VERSION and not sealed:
            raise ValueError("it lacks its checksum")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        if data and not any(word in data for word in _OWN_WORDS):
            raise InvalidArgument(
                f"{path}: is no checkpoint; remove it or name another folder"
            ) from None
        if Process.here().is_main:
            _log.warning(
                "%s: is damaged and counts as none; the training begins again", path
            )
        return None
    if version != VERSION:
        raise InvalidArgument(
            f"{path}: is of another version of flowtuple; remove it to begin again, "
            "or name another folder"
        )
    # JSON has lists only.
    state.best = (state.best[0], state.best[1])
    state.history = [(rate, loss, validation) for rate, loss, validation in state.history]
    state.watched = [(epoch, numbers) for epoch, numbers in state.watched]
    return state, content, tensors


def _sealed(data: bytes) -> bytes:
    """Return the bytes of a checkpoint with the checksum of all of them in its place.

    Zeros stand in that place while the checksum is computed.
    """
    place = _CHECKSUM.search(data)
    if place is None:
        return data
    begin, stop = place.span(1)
    digest = xxhash.xxh3_64(data[:begin] + _NO_CHECKSUM + data[stop:])
    return data[:begin] + digest.hexdigest().encode() + data[stop:]


def _below(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors whose names have a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
