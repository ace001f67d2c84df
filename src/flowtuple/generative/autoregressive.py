"""Flows of zuko whose steps are elementwise bijections under a masked conditioner: MAF, splines, coupling, RealNVP.

Papamakarios et al., "Masked autoregressive flow for density estimation" (2017); Dinh et al., "Density estimation using
real NVP" (2017); Durkan et al., "Neural spline flows" (2019). A coupling step is an autoregressive one that is inverted
in two passes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import zuko
from torch import Tensor

from flowtuple.generative.bijection import Bijection
from flowtuple.generative.options import Shape

COUPLING_PASSES = 2


class Autoregressive(Bijection):
    """A flow of zuko as a `Bijection`.

    Args:
        flow: Composed of masked autoregressive transformations of d columns.
    """

    def __init__(self, flow: zuko.lazy.Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for step in self._steps():
            x, ladj = _elementwise(step, x).call_and_ladj(x)
            total = total + ladj
        return x, total

    def inverse(self, z: Tensor) -> Tensor:
        for step in reversed(self._steps()):
            z = step.inv(z)
        return z

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Negative log-likelihood in nats."""
        z, ladj = self(x)
        loss: Tensor = (0.5 * z.square() + 0.5 * math.log(2 * math.pi) - ladj).sum(dim=1)
        return loss

    def _steps(self) -> list[Any]:
        """The transformations, with no context."""
        return [lazy() for lazy in self.flow.transform.transforms]


def _elementwise(step: Any, x: Tensor) -> Any:
    """The map of each column by itself, given the row that its parameters are computed from."""
    dependent = step.meta(x) if isinstance(step, zuko.transforms.AutoregressiveTransform) else step  # one column alone has none
    return dependent.base


def maf(features: int, shape: Shape) -> Autoregressive:
    """Affine, fully autoregressive."""
    return Autoregressive(zuko.flows.MAF(features, transforms=shape.transforms, hidden_features=shape.hidden))


def realnvp(features: int, shape: Shape) -> Autoregressive:
    """Affine coupling of halves of the columns, drawn anew for each step."""
    settings = {"transforms": shape.transforms, "hidden_features": shape.hidden, "passes": COUPLING_PASSES, "randperm": True}
    return Autoregressive(zuko.flows.MAF(features, **settings))


def nsf(features: int, shape: Shape) -> Autoregressive:
    """Rational-quadratic splines, fully autoregressive."""
    settings = {"transforms": shape.transforms, "hidden_features": shape.hidden, "bins": shape.bins}
    return Autoregressive(zuko.flows.NSF(features, **settings))


def coupling(features: int, shape: Shape) -> Autoregressive:
    """Rational-quadratic splines, coupling of halves of the columns, drawn anew for each step."""
    settings = {"transforms": shape.transforms, "hidden_features": shape.hidden, "bins": shape.bins}
    return Autoregressive(zuko.flows.NSF(features, passes=COUPLING_PASSES, randperm=True, **settings))
