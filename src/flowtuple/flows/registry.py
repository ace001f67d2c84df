"""Kinds of flows by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from flowtuple.flows.autoregressive import Autoregressive
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.coupling import Coupling
from flowtuple.flows.glow import Glow
from flowtuple.flows.made import Made
from flowtuple.flows.matching import FlowMatching
from flowtuple.flows.nice import Nice
from flowtuple.flows.options import Shape

FLOWS: dict[str, Callable[[int, int, Shape], Bijection]] = {
    "maf": Autoregressive,
    "nsf": partial(Autoregressive, splines=True),
    "coupling": partial(Autoregressive, splines=True, coupling=True),
    "realnvp": partial(Autoregressive, coupling=True),
    "nice": Nice,
    "glow": Glow,
    "made": Made,
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
