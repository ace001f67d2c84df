"""Autoregressive flows of zuko: MAF, splines, coupling and RealNVP.

Their steps are elementwise bijections under a masked conditioner; a coupling step is one that is
inverted in two passes. Papamakarios et al., "Masked autoregressive flow for density estimation"
(2017); Dinh et al., "Density estimation using real NVP" (2017); Durkan et al., "Neural spline
flows" (2019).
"""

from __future__ import annotations

from typing import Any

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import LikelihoodFlow
from flowtuple.flows.options import Shape

_COUPLING = {"passes": 2, "randperm": True}  # two halves, drawn again for each step
_DEFAULT_STEPS = 3


class Autoregressive(LikelihoodFlow):
    """A flow of zuko as a `Bijection`.

    Args:
        flow: Masked autoregressive transformations of d columns under c conditions.
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
        """Return the transformations under the conditions of each row."""
        return [lazy(context) for lazy in self.flow.transform.transforms]


def _elementwise(step: Any, x: Tensor) -> Any:
    """Return the map of each column with the parameters that a conditioner computes from x."""
    if isinstance(step, zuko.transforms.AutoregressiveTransform):
        return step.meta(x).base
    return step.base  # a single column has no conditioner


def maf(features: int, context: int, shape: Shape) -> Autoregressive:
    """Build affine steps, fully autoregressive."""
    return Autoregressive(
        zuko.flows.MAF(features, context, randperm=shape.permute, **_settings(shape))
    )


def realnvp(features: int, context: int, shape: Shape) -> Autoregressive:
    """Build affine coupling steps of random halves of the columns."""
    return Autoregressive(zuko.flows.MAF(features, context, **_COUPLING, **_settings(shape)))


def nsf(features: int, context: int, shape: Shape) -> Autoregressive:
    """Build steps of rational-quadratic splines, fully autoregressive."""
    return Autoregressive(
        zuko.flows.NSF(
            features, context, bins=shape.bins, randperm=shape.permute, **_settings(shape)
        )
    )


def coupling(features: int, context: int, shape: Shape) -> Autoregressive:
    """Build coupling steps of rational-quadratic splines of random halves of the columns."""
    return Autoregressive(
        zuko.flows.NSF(features, context, bins=shape.bins, **_COUPLING, **_settings(shape))
    )


def _settings(shape: Shape) -> dict[str, Any]:
    return {
        "transforms": shape.transforms_or(_DEFAULT_STEPS),
        "hidden_features": shape.hidden,
    }
