"""Kinds of flows by name, and the autoregressive ones of zuko: MAF, splines, coupling, RealNVP.

The steps of zuko's flows are elementwise bijections under a masked conditioner; a coupling step is
one that is inverted in two passes. Papamakarios et al., "Masked autoregressive flow for density
estimation" (2017); Dinh et al., "Density estimation using real NVP" (2017); Durkan et al., "Neural
spline flows" (2019).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import Bijection, LikelihoodFlow, Step
from flowtuple.flows.coupling import Coupling
from flowtuple.flows.matching import FlowMatching
from flowtuple.flows.options import Shape

_DEFAULT_STEPS = 3


class Autoregressive(LikelihoodFlow):
    """A flow of zuko as a `Bijection`.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Its size.
        splines: Steps are rational-quadratic splines in place of affine maps.
        coupling: Each step moves a random half of the columns, in place of one after another.
    """

    def __init__(
        self,
        features: int,
        context: int,
        shape: Shape,
        *,
        splines: bool = False,
        coupling: bool = False,
    ) -> None:
        super().__init__()
        settings: dict[str, Any] = {"bins": shape.bins} if splines else {}
        if coupling:
            settings["passes"] = 2
        kind = zuko.flows.NSF if splines else zuko.flows.MAF
        self.flow = kind(
            features,
            context,
            transforms=shape.transforms_or(_DEFAULT_STEPS),
            hidden_features=shape.hidden,
            randperm=coupling or shape.permute,
            **settings,
        )

    def steps_under(self, context: Tensor | None) -> list[Step]:
        steps = [lazy(context) for lazy in self.flow.transform.transforms]
        return [(partial(_forward, step), step.inv) for step in steps]


def _forward(step: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Map each column with the parameters that a conditioner computes from x."""
    # A single column has no conditioner.
    has_conditioner = isinstance(step, zuko.transforms.AutoregressiveTransform)
    elementwise = step.meta(x) if has_conditioner else step
    moved: tuple[Tensor, Tensor] = elementwise.base.call_and_ladj(x)
    return moved


FLOWS: dict[str, Callable[[int, int, Shape], Bijection]] = {
    "maf": Autoregressive,
    "nsf": partial(Autoregressive, splines=True),
    "coupling": partial(Autoregressive, splines=True, coupling=True),
    "realnvp": partial(Autoregressive, coupling=True),
    "flashsim": Coupling,
    "flow-matching": FlowMatching,
}


def build(
    kind: str, features: int, shape: Shape, seed: int, context: int = 0
) -> Bijection:
    """Build a flow with random weights that depend on the seed alone.

    Args:
        kind: Name in `FLOWS`.
        features: Number of columns d.
        shape: Size of the flow.
        seed: Seed of the weights.
        context: Number of conditions c.

    Example:
        >>> flow = build("nsf", 3, Shape(transforms=1, hidden=(8,), bins=4), seed=1)
        >>> z, ladj = flow(torch.zeros(5, 3))
        >>> z.shape, ladj.shape
        (torch.Size([5, 3]), torch.Size([5, 3]))
        >>> flow = build("nsf", 3, Shape(transforms=1, hidden=(8,), bins=4), seed=1, context=2)
        >>> flow.inverse(torch.zeros(5, 3), torch.ones(5, 2)).shape
        torch.Size([5, 3])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FLOWS[kind](features, context, shape)
