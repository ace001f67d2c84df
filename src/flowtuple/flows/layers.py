"""Layers of residual networks by name: activations, and normalisations of hidden rows.

Layer normalisation (Ba et al., "Layer normalization", 2016) takes each row by itself. Batch
normalisation (Ioffe, Szegedy, "Batch normalization: Accelerating deep network training by reducing
internal covariate shift", 2015) takes mean and variance over all rows of a step while it trains,
also if several processes share them. It scores and draws with running means, which are stored with
the weights, so that the result of a row does not depend on the other rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import batch_norm

_EPSILON = 1e-3  # added to variances, as in the networks of FlashSim
_FEWEST = 2  # rows that have a variance


class BatchNorm(torch.nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes that train together.

    A step of one row is normalised by the running means, which stay as they are.

    Args:
        width: Width of the rows.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=_EPSILON)

    def forward(self, h: Tensor) -> Tensor:
        """Return normalised rows of shape (n, width)."""
        if not self.training:
            return super().forward(h)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            return self._over_processes(h)
        return super().forward(h) if len(h) >= _FEWEST else self._by_running_means(h)

    def _over_processes(self, h: Tensor) -> Tensor:
        rows = float(_total(h.new_tensor(float(len(h)))))
        mean = _total(h.sum(dim=0)) / rows
        variance = _total((h - mean).square().sum(dim=0)) / rows
        if rows < _FEWEST:
            return self._by_running_means(h)
        self._update(mean.detach(), variance.detach() * rows / (rows - 1))
        normalised: Tensor = (h - mean) * torch.rsqrt(variance + self.eps)
        return normalised * self.weight + self.bias

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running means towards those of a step."""
        running: list[tuple[Any, Tensor]] = [
            (self.running_mean, mean),
            (self.running_var, variance),
        ]
        for value, new in running:
            value.lerp_(new, float(self.momentum or 0.0))
        steps: Any = self.num_batches_tracked
        steps.add_(1)

    def _by_running_means(self, h: Tensor) -> Tensor:
        return batch_norm(
            h, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


def _total(values: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


NORMALISATIONS: dict[str, Callable[[int], torch.nn.Module]] = {
    "layer": torch.nn.LayerNorm,
    "batch": BatchNorm,
    "none": torch.nn.Identity,
}
"""Modules by name, built from the width of the rows."""

ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "leaky-relu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "tanh": torch.nn.Tanh,
}
"""Activation functions by name."""
