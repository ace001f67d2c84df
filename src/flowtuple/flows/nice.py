"""NICE: coupling steps that add to some columns what a network reads from the others.

Dinh, Krueger, Bengio, "NICE: Non-linear independent components estimation" (2014), by zuko. The
steps preserve volume, and a scaling of each column ends the flow, so that ln|det| is the same for
all rows of equal conditions. In the paper there are no conditions; here the scales depend on them.
"""

from __future__ import annotations

from functools import partial

import torch
import zuko
from torch import Tensor
from zuko.transforms import AdditiveTransform, MonotonicAffineTransform

from flowtuple.flows.autoregressive import DEFAULT_STEPS, forward_by_column
from flowtuple.flows.bijection import LikelihoodFlow, Step
from flowtuple.flows.options import Shape


class Nice(LikelihoodFlow):
    """Additive coupling steps, then a scaling of each column.

    Each step moves every second column, the next one the others.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Number of steps, and widths of their networks.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        self.flow = zuko.flows.NICE(
            features,
            context,
            transforms=shape.transforms_or(DEFAULT_STEPS),
            hidden_features=shape.hidden,
            univariate=AdditiveTransform,
            shapes=[()],
        )
        self.scale = zuko.flows.ElementWiseTransform(
            features,
            context,
            univariate=_scaling,
            shapes=[()],
            hidden_features=shape.hidden,
        )
        if not context:
            torch.nn.init.zeros_(self.scale.phi[0])

    def steps_under(self, context: Tensor | None) -> list[Step]:
        steps = [lazy(context) for lazy in (*self.flow.transform.transforms, self.scale)]
        return [(partial(forward_by_column, step), step.inv) for step in steps]


def _scaling(log_scale: Tensor) -> MonotonicAffineTransform:
    """Return the multiplication of each column by about exp(log_scale), at least 1e-3."""
    return MonotonicAffineTransform(torch.zeros_like(log_scale), log_scale)
