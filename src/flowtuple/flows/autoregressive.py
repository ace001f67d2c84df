"""Flows of zuko whose steps are elementwise bijections under a masked conditioner: MAF, splines, coupling, RealNVP.

Papamakarios et al., "Masked autoregressive flow for density estimation" (2017); Dinh et al., "Density estimation using
real NVP" (2017); Durkan et al., "Neural spline flows" (2019). A coupling step is an autoregressive one that is inverted
in two passes.
"""

from __future__ import annotations

from typing import Any

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import LikelihoodFlow
from flowtuple.flows.options import Shape

_HALVES = {"passes": 2, "randperm": True}  # a step inverted in two passes
_USUAL = 3  # steps


class Autoregressive(LikelihoodFlow):
    """A flow of zuko as a `Bijection`.

    Args:
        flow: Composed of masked autoregressive transformations of d columns, whose conditioners may read c conditions too.
    """

    def __init__(self, flow: zuko.lazy.Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for step in self._steps(context):
            x, ladj = _elementwise(step, x).call_and_ladj(x)
            total = total + ladj
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for step in reversed(self._steps(context)):
            z = step.inv(z)
        return z

    def _steps(self, context: Tensor | None) -> list[Any]:
        """The transformations, given the conditions."""
        return [lazy(context) for lazy in self.flow.transform.transforms]


def _elementwise(step: Any, x: Tensor) -> Any:
    """The map of each column by itself, given the row that its parameters are computed from."""
    dependent = (
        step.meta(x) if isinstance(step, zuko.transforms.AutoregressiveTransform) else step
    )  # one column alone has none
    return dependent.base


def maf(features: int, context: int, shape: Shape) -> Autoregressive:
    """Affine, fully autoregressive."""
    return Autoregressive(
        zuko.flows.MAF(features, context, randperm=shape.permute, **_settings(shape))
    )


def realnvp(features: int, context: int, shape: Shape) -> Autoregressive:
    """Affine coupling of halves of the columns, drawn anew for each step."""
    return Autoregressive(zuko.flows.MAF(features, context, **_HALVES, **_settings(shape)))


def nsf(features: int, context: int, shape: Shape) -> Autoregressive:
    """Rational-quadratic splines, fully autoregressive."""
    return Autoregressive(
        zuko.flows.NSF(
            features, context, bins=shape.bins, randperm=shape.permute, **_settings(shape)
        )
    )


def coupling(features: int, context: int, shape: Shape) -> Autoregressive:
    """Rational-quadratic splines, coupling of halves of the columns, drawn anew for each step."""
    return Autoregressive(
        zuko.flows.NSF(features, context, bins=shape.bins, **_HALVES, **_settings(shape))
    )


def _settings(shape: Shape) -> dict[str, Any]:
    return {"transforms": shape.transforms_or(_USUAL), "hidden_features": shape.hidden}
