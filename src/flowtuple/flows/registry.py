"""Kinds of flows by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from flowtuple.flows.autoregressive import coupling, maf, nsf, realnvp
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.coupling import flashsim
from flowtuple.flows.matching import flow_matching
from flowtuple.flows.options import Shape

FLOWS: dict[str, Callable[[int, int, Shape], Bijection]] = {
    "maf": maf,
    "nsf": nsf,
    "coupling": coupling,
    "realnvp": realnvp,
    "flashsim": flashsim,
    "flow-matching": flow_matching,
}


def build(kind: str, features: int, shape: Shape, seed: int, context: int = 0) -> Bijection:
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
