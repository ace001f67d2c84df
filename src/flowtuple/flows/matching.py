"""A continuous flow trained by flow matching: a learned velocity field moves noise to data.

Lipman et al., "Flow matching for generative modeling" (2023), with straight paths. The classical
fourth-order Runge-Kutta method integrates the field in a fixed number of steps, so that the path of
a row does not depend on the other rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import Bijection
from flowtuple.flows.options import Shape

_FREQUENCIES = 4  # of the embedded time
_ROWS = 4096  # whose Jacobians are in memory at a time


class FlowMatching(Bijection):
    """A velocity field v(x, t) as a `Bijection`: z at t = 0, x at t = 1.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Widths of the field's hidden layers, and steps of the solver.
    """

    frequency: Tensor

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        self.steps = shape.steps
        read = features + context + 2 * _FREQUENCIES
        self.network = zuko.nn.MLP(
            read, features, hidden_features=shape.hidden, activation=torch.nn.SiLU
        )
        self.register_buffer(
            "frequency", math.pi * torch.arange(1, _FREQUENCIES + 1), persistent=False
        )

    def velocity(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """Return dx/dt of shape (n, d) at times of shape (n, 1) or ()."""
        angle = (t * self.frequency).expand(*x.shape[:-1], -1)
        inputs = [x, angle.cos(), angle.sin()]
        v: Tensor = self.network(
            torch.cat(inputs if context is None else [*inputs, context], dim=-1)
        )
        return v

    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the squared error of the velocity at a random time on a random path to x."""
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        t = torch.rand((len(x), 1), generator=generator, dtype=x.dtype, device=x.device)
        error = self.velocity((1 - t) * z + t * x, t, context) - (x - z)
        loss: Tensor = error.square().sum(dim=1)
        return loss

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows = torch.split(x, _ROWS)
        contexts = [None] * len(rows) if context is None else torch.split(context, _ROWS)
        parts = [self._back(*part) for part in zip(rows, contexts, strict=True)]
        return torch.cat([z for z, _ in parts]), torch.cat([ladj for _, ladj in parts])

    def _back(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Integrate from t = 1 to 0, with each column's share of the divergence."""

        def slope(state: Tensor, t: Tensor) -> Tensor:
            v, divergence = self._with_divergence(state[..., 0], t, context)
            return torch.stack([v, divergence], dim=-1)

        end = self._integrate(
            slope, torch.stack([x, torch.zeros_like(x)], dim=-1), 1.0, 0.0
        )
        return end[..., 0], end[..., 1]

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._integrate(lambda x, t: self.velocity(x, t, context), z, 0.0, 1.0)

    def _with_divergence(
        self, x: Tensor, t: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the velocity v and its dv_i/dx_i, each of shape (n, d)."""
        with torch.enable_grad():
            rows = x.detach().requires_grad_()
            parts = self.velocity(rows, t, context).sum(dim=0)
            slopes = [
                torch.autograd.grad(part, rows, retain_graph=True)[0][:, k]
                for k, part in enumerate(parts)
            ]
        return self.velocity(x, t, context), torch.stack(slopes, dim=1)

    def _integrate(
        self,
        slope: Callable[[Tensor, Tensor], Tensor],
        state: Tensor,
        start: float,
        stop: float,
    ) -> Tensor:
        """Integrate by Runge-Kutta the slope of a state at a time."""
        step = (stop - start) / self.steps
        for k in range(self.steps):
            t = start + k * step
            times = [
                torch.tensor(t + part * step, dtype=state.dtype, device=state.device)
                for part in (0.0, 0.5, 1.0)
            ]
            a = slope(state, times[0])
            b = slope(state + 0.5 * step * a, times[1])
            c = slope(state + 0.5 * step * b, times[1])
            d = slope(state + step * c, times[2])
            state = state + step / 6 * (a + 2 * b + 2 * c + d)
        return state
