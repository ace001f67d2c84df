"""The device of a training: the processor, or a GPU that computes inner layers in bfloat16.

Micikevicius et al., "Mixed precision training" (2018). The last layer of each network gives the
knots of a spline or a velocity. It and all that is computed from it stay in float32, and so do
weights, gradients and optimiser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import zuko
from torch import Tensor

from flowtuple.errors import InvalidArgument


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device of a name.

    Args:
        name: cpu, cuda, or auto for a GPU if there is one.
        local_rank: Number of the GPU on this machine, if each process has its own.

    Raises:
        InvalidArgument: This process has no GPU.
    """
    gpus = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if local_rank >= gpus:
        available = "none that PyTorch can use"
        if gpus:
            available = f"{gpus} of them for process {local_rank} of this machine"
        raise InvalidArgument(
            f"a GPU is asked for and there are {available}; "
            "start fewer processes, or say `device=` cpu"
        )
    return torch.device("cuda", local_rank)


@contextmanager
def mixed_precision(flow: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Compute the inner layers of a flow's networks in bfloat16 if the device is fast at it."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        with narrowed(inner_layers(flow), device.type):
            yield
    else:
        yield


@contextmanager
def narrowed(layers: list[torch.nn.Module], device: str) -> Iterator[None]:
    """Let layers compute in bfloat16 and return float32."""
    autocast = torch.autocast(device, torch.bfloat16)

    def begin(layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        autocast.__enter__()  # type: ignore[no-untyped-call]

    def end(
        layer: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None
    ) -> Tensor | None:
        autocast.__exit__(None, None, None)
        return None if output is None else output.float()

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(begin))
            # `always_call` ends the autocast also if the layer raises.
            hooks.enter_context(layer.register_forward_hook(end, always_call=True))
        yield


def inner_layers(flow: torch.nn.Module) -> list[torch.nn.Module]:
    """Return all linear layers of a flow's networks except for the last of each."""
    layers: list[torch.nn.Module] = []
    for network in flow.modules():
        if isinstance(network, torch.nn.Sequential):
            linear = [
                m for m in network if isinstance(m, (torch.nn.Linear, zuko.nn.Linear))
            ]
            layers += linear[:-1]
    return layers
