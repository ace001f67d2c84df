"""Where a flow is trained: on the processor, or on a GPU with the inner layers of its networks in bfloat16.

Micikevicius et al., "Mixed precision training" (2018). The last layer of each network, which gives a spline's knots or a
velocity, and all that is computed from it stay in float32, and so do weights, gradients and optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import zuko
from torch import Tensor

from flowtuple.errors import InvalidArgument


def choose_device(asked: str, local_rank: int = 0) -> torch.device:
    """The device that a name stands for; `auto` is a GPU where there is one.

    Args:
        asked: auto, cpu or cuda.
        local_rank: Which of the machine's GPUs, where each process has its own.

    Raises:
        InvalidArgument: A GPU is asked for and there is none for this process.
    """
    gpus = torch.cuda.device_count()
    if asked == "cpu" or (asked == "auto" and not gpus):
        return torch.device("cpu")
    if local_rank >= gpus:
        what = (
            f"{gpus} of them for process {local_rank} of this machine"
            if gpus
            else "none that PyTorch can use"
        )
        raise InvalidArgument(
            f"a GPU is asked for and there are {what}; start fewer processes, or say --device cpu"
        )
    return torch.device("cuda", local_rank)


@contextmanager
def mixed_precision(flow: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Compute the inner layers of a flow's networks in bfloat16, where the device is fast at that."""
    layers = _inner_layers(flow) if device.type == "cuda" and torch.cuda.is_bf16_supported() else []
    with narrowed(layers, device.type):
        yield


@contextmanager
def narrowed(layers: list[torch.nn.Module], device: str) -> Iterator[None]:
    """Linear layers that compute in bfloat16 and give float32."""
    for layer in layers:
        layer.forward = _Narrow(layer, device)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


class _Narrow:
    """The forward pass of a layer's class, in bfloat16."""

    def __init__(self, layer: torch.nn.Module, device: str) -> None:
        self._forward, self._device = type(layer).forward.__get__(layer), device

    def __call__(self, x: Tensor) -> Tensor:
        with torch.autocast(self._device, torch.bfloat16):
            y: Tensor = self._forward(x)
        return y.float()


def _inner_layers(flow: torch.nn.Module) -> list[torch.nn.Module]:
    """All linear layers of its networks but the last of each."""
    networks = [module for module in flow.modules() if isinstance(module, torch.nn.Sequential)]
    linear = (torch.nn.Linear, zuko.nn.Linear)
    return [
        layer
        for network in networks
        for layer in [m for m in network if isinstance(m, linear)][:-1]
    ]
