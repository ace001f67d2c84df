"""A flow like Glow: affine coupling steps, with a linear mixing of the columns before each.

Kingma, Dhariwal, "Glow: Generative flow with invertible 1x1 convolutions" (2018), of which a row
has one pixel with the columns as channels. The coupling steps are those of zuko.

Glow normalises activations by a scale and a shift of each channel, which the first batch
initialises. Here these are part of the mixing and begin at 1 and 0: rows are preprocessed to
standard deviations near 1 before they reach the flow, and no result depends on a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import zuko
from torch import Tensor
from torch.linalg import solve_triangular

from flowtuple.flows.autoregressive import DEFAULT_STEPS, forward_by_column
from flowtuple.flows.bijection import LikelihoodFlow, Step
from flowtuple.flows.options import Shape


class Mixing(torch.nn.Module):
    """A linear map y = P L U x + b of the columns, which begins as a random rotation.

    P is a fixed permutation, L lower triangular with ones on its diagonal, U upper triangular; so
    ln|det| is the sum of ln|U_kk|. It belongs to no column: each is given an equal share of it.

    Args:
        features: Number of columns d.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(features, features))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("order", permutation.argmax(dim=1))
        self.register_buffer("sign", diagonal.sign())
        self.lower = torch.nn.Parameter(lower.tril(-1))
        self.upper = torch.nn.Parameter(upper.triu(1))
        self.log_scale = torch.nn.Parameter(diagonal.abs().log())
        self.shift = torch.nn.Parameter(torch.zeros(features))

    def factors(self) -> tuple[Tensor, Tensor]:
        """Return L and U, each of shape (d, d)."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower)).to(self.lower)
        upper = self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())
        return lower, upper

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mixed rows and the share of each column in ln|det|."""
        lower, upper = self.factors()
        y = (x @ upper.mT @ lower.mT)[:, self.order] + self.shift
        return y, self.log_scale.mean().expand_as(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Return the rows that `forward` maps to these."""
        lower, upper = self.factors()
        ordered = torch.empty_like(y)
        ordered[:, self.order] = y - self.shift
        half = solve_triangular(lower.mT, ordered, upper=True, left=False)
        x: Tensor = solve_triangular(upper.mT, half, upper=False, left=False)
        return x


class Glow(LikelihoodFlow):
    """Affine coupling steps, each after a mixing of the columns.

    Args:
        features: Number of columns d.
        context: Number of conditions c, which the coupling steps read.
        shape: Number of steps, and widths of their networks.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        self.flow = zuko.flows.RealNVP(
            features,
            context,
            transforms=shape.transforms_or(DEFAULT_STEPS),
            hidden_features=shape.hidden,
        )
        self.mixings = torch.nn.ModuleList(
            Mixing(features) for _ in self.flow.transform.transforms
        )

    def steps_under(self, context: Tensor | None) -> list[Step]:
        steps: list[Step] = []
        mixings: Iterable[Any] = self.mixings
        for mixing, lazy in zip(mixings, self.flow.transform.transforms, strict=True):
            coupling = lazy(context)
            steps += [
                (mixing, mixing.inverse),
                (partial(forward_by_column, coupling), coupling.inv),
            ]
        return steps
