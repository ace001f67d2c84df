"""The flow of CMS FlashSim: coupling steps of rational-quadratic splines under residual networks, one step a column.

Vaselli, Cattafesta, Asenov, Rizzi, "End-to-end simulation of particle physics events with flow matching and generator
oversampling" (2024), and the code of the prototype before it (github.com/francesco-vaselli/FlashSim): neural spline flows
(Durkan et al., 2019) of as many coupling steps as there are columns, permuted at random before each, whose conditioners are
residual networks that read the half which stays and the generated quantities. The splines are those of zuko, linear beyond 5
standard deviations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from zuko.transforms import MonotonicRQSTransform

from flowtuple.flows.bijection import LikelihoodFlow
from flowtuple.flows.options import Shape
from flowtuple.flows.residual import ResidualNetwork


class CouplingStep(torch.nn.Module):
    """Some columns go through splines, whose knots are what a network makes of the others and of the context.

    Args:
        moved: Numbers of the columns that are transformed, shape (m,).
        kept: Numbers of all others, shape (d - m,).
        context: Conditions c.
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
        self.network = ResidualNetwork(len(kept), context, outputs, shape.hidden[0], shape.blocks)

    def splines(self, x: Tensor, context: Tensor | None) -> MonotonicRQSTransform:
        """One spline for each moved column of each row, of `bins` pieces and as many less one free slopes."""
        knots = self.network(x[:, self.kept], context).unflatten(-1, (len(self.moved), -1))
        return MonotonicRQSTransform(*knots.split([self.bins, self.bins, self.bins - 1], dim=-1))

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Rows, and what each column adds to ln|det|."""
        y, ladj = self.splines(x, context).call_and_ladj(x[:, self.moved])
        return x.index_copy(1, self.moved, y), torch.zeros_like(x).index_copy(1, self.moved, ladj)

    def inverse(self, y: Tensor, context: Tensor | None) -> Tensor:
        """The rows that `forward` takes to these."""
        return y.index_copy(1, self.moved, self.splines(y, context).inv(y[:, self.moved]))


class Coupling(LikelihoodFlow):
    """Coupling steps one after another.

    A random permutation followed by a cut in halves is a random half of the columns: rows keep their order, and each step
    draws its half; every other one takes the half that was left, so that no column is forgotten.

    Args:
        features: Columns d.
        context: Conditions c.
        shape: Its size; without a number of transforms, one a column.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        halves: list[tuple[Tensor, Tensor]] = []
        while len(halves) < shape.transforms_or(features):
            first, second = (
                half.sort()[0]
                for half in torch.randperm(features).tensor_split([(features + 1) // 2])
            )
            halves += [(first, second), (second, first)] if len(second) else [(first, second)]
        chosen = halves[: shape.transforms_or(features)]
        self.steps = torch.nn.ModuleList(CouplingStep(*half, context, shape) for half in chosen)

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
    """Rational-quadratic splines, coupling of halves of the columns under residual networks, one step a column."""
    return Coupling(features, context, shape)
