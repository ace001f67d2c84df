"""Autoregressive flows of zuko: MAF, splines, and coupling as two of its passes.

The steps of zuko's flows are elementwise bijections under a masked conditioner; a coupling step is
one that is inverted in two passes. Papamakarios et al., "Masked autoregressive flow for density
estimation" (2017); Dinh et al., "Density estimation using real NVP" (2017); Durkan et al., "Neural
spline flows" (2019).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import zuko
from torch import Tensor

from flowtuple.flows.bijection import LikelihoodFlow, Step
from flowtuple.flows.options import Shape

DEFAULT_STEPS = 3


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
            transforms=shape.transforms_or(DEFAULT_STEPS),
            hidden_features=shape.hidden,
            randperm=coupling or shape.permute,
            **settings,
        )

    def steps_under(self, context: Tensor | None) -> list[Step]:
        steps = [lazy(context) for lazy in self.flow.transform.transforms]
        return [(partial(forward_by_column, step), step.inv) for step in steps]


def forward_by_column(step: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Map rows by a transform of zuko, with the share of each column in its ln|det|.

    Args:
        step: Elementwise, or with a conditioner: autoregressive or coupling.
        x: Rows, shape (n, d).
    """
    if isinstance(step, zuko.transforms.CouplingTransform):
        unchanged, moved = step.split(x)
        y, ladj = step.meta(unchanged).base.call_and_ladj(moved)
        none = torch.zeros_like(unchanged)
        return step.merge(unchanged, y, x.shape), step.merge(none, ladj, x.shape)
    # A single column has no conditioner.
    has_conditioner = isinstance(step, zuko.transforms.AutoregressiveTransform)
    elementwise = step.meta(x) if has_conditioner else step
    result: tuple[Tensor, Tensor] = elementwise.base.call_and_ladj(x)
    return result
