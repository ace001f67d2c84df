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

from flowtuple.generative.bijection import Bijection
from flowtuple.generative.options import Shape

_WAVES = 4  # of the time as the network reads it
_ROWS = 4096  # rows whose Jacobians are held at a time


class FlowMatching(Bijection):
    """A velocity field v(x, t) as a `Bijection`: z at t = 0, x at t = 1.

    Args:
        features: Columns d.
        hidden: Widths of the field's hidden layers.
        steps: Of the solver.
    """

    frequency: Tensor

    def __init__(self, features: int, hidden: tuple[int, ...], steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.network = zuko.nn.MLP(features + 2 * _WAVES, features, hidden_features=hidden, activation=torch.nn.SiLU)
        self.register_buffer("frequency", math.pi * torch.arange(1, _WAVES + 1), persistent=False)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt of shape (n, d) at times of shape (n, 1) or ()."""
        angle = (t * self.frequency).expand(*x.shape[:-1], -1)
        v: Tensor = self.network(torch.cat([x, angle.cos(), angle.sin()], dim=-1))
        return v

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the velocity at a random time on a random straight path to x."""
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        t = torch.rand((len(x), 1), generator=generator, dtype=x.dtype, device=x.device)
        loss: Tensor = (self.velocity((1 - t) * z + t * x, t) - (x - z)).square().sum(dim=1)
        return loss

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts = [self._back(rows) for rows in torch.split(x, _ROWS)]
        return torch.cat([z for z, _ in parts]), torch.cat([ladj for _, ladj in parts])

    def _back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From t = 1 to 0, with the integral of each column's share of the field's divergence."""

        def slope(state: Tensor, t: Tensor) -> Tensor:
            v, divergence = self._with_divergence(state[..., 0], t)
            return torch.stack([v, divergence], dim=-1)

        end = self._integrate(slope, torch.stack([x, torch.zeros_like(x)], dim=-1), 1.0, 0.0)
        return end[..., 0], end[..., 1]

    def inverse(self, z: Tensor) -> Tensor:
        return self._integrate(self.velocity, z, 0.0, 1.0)

    def _with_divergence(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Velocity v and its dv_i/dx_i, each of shape (n, d)."""
        with torch.enable_grad():
            rows = x.detach().requires_grad_()
            parts = self.velocity(rows, t).sum(dim=0)
            slopes = [torch.autograd.grad(part, rows, retain_graph=True)[0][:, k] for k, part in enumerate(parts)]
        return self.velocity(x, t), torch.stack(slopes, dim=1)

    def _integrate(self, slope: Callable[[Tensor, Tensor], Tensor], state: Tensor, start: float, stop: float) -> Tensor:
        """Runge-Kutta; `slope` is called with the state and the time."""
        step = (stop - start) / self.steps
        for k in range(self.steps):
            t = start + k * step
            times = [torch.tensor(t + part * step, dtype=state.dtype, device=state.device) for part in (0.0, 0.5, 1.0)]
            a = slope(state, times[0])
            b = slope(state + 0.5 * step * a, times[1])
            c = slope(state + 0.5 * step * b, times[1])
            d = slope(state + step * c, times[2])
            state = state + step / 6 * (a + 2 * b + 2 * c + d)
        return state


def flow_matching(features: int, shape: Shape) -> FlowMatching:
    """Straight paths, `shape.steps` steps of the solver."""
    return FlowMatching(features, shape.hidden, shape.steps)
