"""The flow of CMS FlashSim: coupling steps of splines under residual networks, one for each column.

Vaselli, Cattafesta, Asenov, Rizzi, "End-to-end simulation of particle physics events with flow
matching and generator oversampling" (2024), and the code of the prototype before it
(github.com/francesco-vaselli/FlashSim). These are neural spline flows (Durkan et al., 2019) of as
many coupling steps as columns, with a random permutation before each. Their conditioners are
residual networks that read the unchanged half and the generated quantities. The splines are those
of zuko, linear beyond 5 standard deviations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from zuko.transforms import MonotonicRQSTransform

from flowtuple.flows.bijection import LikelihoodFlow
from flowtuple.flows.options import Shape
from flowtuple.flows.residual import ResidualNetwork


class CouplingStep(torch.nn.Module):
    """A step that maps some columns by splines; a network computes the knots from the others.

    Args:
        moved: Numbers of the columns that are transformed, shape (m,).
        kept: Numbers of the unchanged columns, shape (d - m,).
        context: Number of conditions c.
        shape: Width and blocks of the network, bins of the splines.
    """

    moved: Tensor
    kept: Tensor

    def __init__(self, moved: Tensor, kept: Tensor, context: int, shape: Shape) -> None:
        super().__init__()
        self.bins = shape.bins
        self.register_buffer("moved", moved.clone())
        self.register_buffer("kept", kept.clone())
        outputs = len(moved) * (3 * shape.bins - 1)
        self.network = ResidualNetwork(
            len(kept), context, outputs, shape.hidden[0], shape.blocks
        )

    def splines(self, x: Tensor, context: Tensor | None) -> MonotonicRQSTransform:
        """Return one spline of `bins` pieces for each moved column of each row."""
        knots = self.network(x[:, self.kept], context).unflatten(-1, (len(self.moved), -1))
        return MonotonicRQSTransform(
            *knots.split([self.bins, self.bins, self.bins - 1], dim=-1)
        )

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return rows and the share of each column in ln|det|."""
        y, ladj = self.splines(x, context).call_and_ladj(x[:, self.moved])
        return x.index_copy(1, self.moved, y), torch.zeros_like(x).index_copy(
            1, self.moved, ladj
        )

    def inverse(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Return the rows that `forward` maps to these."""
        return y.index_copy(1, self.moved, self.splines(y, context).inv(y[:, self.moved]))


class Coupling(LikelihoodFlow):
    """A sequence of coupling steps.

    A random half of the columns has the effect of a random permutation followed by a cut in
    halves, and leaves the columns in their order. Every second step moves the half that the step
    before left, so that every column is moved.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Its size; by default it has one transform for each column.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        halves: list[tuple[Tensor, Tensor]] = []
        steps = shape.transforms_or(features)
        while len(halves) < steps:
            parts = torch.randperm(features).tensor_split([(features + 1) // 2])
            first, second = (part.sort()[0] for part in parts)
            halves += [(first, second), (second, first)] if len(second) else [(first, second)]
        self.steps = torch.nn.ModuleList(
            CouplingStep(*half, context, shape) for half in halves[:steps]
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for step in self.steps:
            x, ladj = step(x, context)
            total = total + ladj
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for step in reversed([*self.steps]):
            z = step.inverse(z, context)
        return z


def flashsim(features: int, context: int, shape: Shape) -> Coupling:
    """Build coupling steps of rational-quadratic splines under residual networks."""
    return Coupling(features, context, shape)
