"""A continuous flow trained by flow matching: noise moves to data along a velocity field that a network has learned.

Lipman et al., "Flow matching for generative modeling" (2023), with straight paths. The field is integrated by the classical
fourth-order Runge-Kutta method in a fixed number of steps, so that a row's path does not depend on the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import Bijection
from flowtuple.flows.options import Shape

_WAVES = 4  # of the time as the network reads it
_ROWS = 4096  # rows whose Jacobians are held at a time


class FlowMatching(Bijection):
    """A velocity field v(x, t) as a `Bijection`: z at t = 0, x at t = 1.

    Args:
        features: Columns d.
        context: Conditions c.
        hidden: Widths of the field's hidden layers.
        steps: Of the solver.
    """

    frequency: Tensor

    def __init__(self, features: int, context: int, hidden: tuple[int, ...], steps: int) -> None:
        super().__init__()
        self.steps = steps
        read = features + context + 2 * _WAVES
        self.network = zuko.nn.MLP(read, features, hidden_features=hidden, activation=torch.nn.SiLU)
        self.register_buffer("frequency", math.pi * torch.arange(1, _WAVES + 1), persistent=False)

    def velocity(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """dx/dt of shape (n, d) at times of shape (n, 1) or ()."""
        angle = (t * self.frequency).expand(*x.shape[:-1], -1)
        known = () if context is None else (context,)
        v: Tensor = self.network(torch.cat([x, angle.cos(), angle.sin(), *known], dim=-1))
        return v

    def loss(self, x: Tensor, generator: torch.Generator, context: Tensor | None = None) -> Tensor:
        """Squared error of the velocity at a random time on a random straight path to x."""
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        t = torch.rand((len(x), 1), generator=generator, dtype=x.dtype, device=x.device)
        loss: Tensor = (
            (self.velocity((1 - t) * z + t * x, t, context) - (x - z)).square().sum(dim=1)
        )
        return loss

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows = torch.split(x, _ROWS)
        known = [None] * len(rows) if context is None else torch.split(context, _ROWS)
        parts = [self._back(part, seen) for part, seen in zip(rows, known, strict=True)]
        return torch.cat([z for z, _ in parts]), torch.cat([ladj for _, ladj in parts])

    def _back(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """From t = 1 to 0, with the integral of each column's share of the field's divergence."""

        def slope(state: Tensor, t: Tensor) -> Tensor:
            v, divergence = self._with_divergence(state[..., 0], t, context)
            return torch.stack([v, divergence], dim=-1)

        end = self._integrate(slope, torch.stack([x, torch.zeros_like(x)], dim=-1), 1.0, 0.0)
        return end[..., 0], end[..., 1]

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._integrate(lambda x, t: self.velocity(x, t, context), z, 0.0, 1.0)

    def _with_divergence(
        self, x: Tensor, t: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Velocity v and its dv_i/dx_i, each of shape (n, d)."""
        with torch.enable_grad():
            rows = x.detach().requires_grad_()
            parts = self.velocity(rows, t, context).sum(dim=0)
            slopes = [
                torch.autograd.grad(part, rows, retain_graph=True)[0][:, k]
                for k, part in enumerate(parts)
            ]
        return self.velocity(x, t, context), torch.stack(slopes, dim=1)

    def _integrate(
        self, slope: Callable[[Tensor, Tensor], Tensor], state: Tensor, start: float, stop: float
    ) -> Tensor:
        """Runge-Kutta; `slope` is called with the state and the time."""
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


def flow_matching(features: int, context: int, shape: Shape) -> FlowMatching:
    """Straight paths, `shape.steps` steps of the solver."""
    return FlowMatching(features, context, shape.hidden, shape.steps)
