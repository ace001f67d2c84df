"""The contract of a flow: a bijection between rows and standard normal ones, column by column."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Trainable(torch.nn.Module, ABC):
    """A module with a loss per row, which `flowtuple.flows.fit` can train."""

    @abstractmethod
    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the loss of each row, shape (n,), which training minimises."""


class Bijection(Trainable):
    """A flow between rows x and latent rows z, both of shape (n, d), under conditions (n, c).

    A flow with c conditions takes a context of that shape everywhere. A flow without conditions
    takes none. The laws, tested for every kind:

    - `inverse(forward(x, context)[0], context)` is x to rounding;
    - the second result of `forward`, of shape (n, d), sums over columns to ln|det dz/dx|; where a
      flow mixes columns, as `glow` does, the share of a single column has no meaning;
    - the result of a row does not depend on the other rows.
    """

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return latent rows z and the share of each column in ln|det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the rows x of latent rows z."""


Step = tuple[Callable[[Tensor], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor]]
"""A map of rows with the share of each column in its ln|det|, and the inverse map."""


class LikelihoodFlow(Bijection):
    """A sequence of steps of cheap likelihood, trained to maximise it."""

    @abstractmethod
    def steps_under(self, context: Tensor | None) -> Sequence[Step]:
        """Return the steps under the conditions of each row."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for move, _ in self.steps_under(context):
            x, ladj = move(x)
            total = total + ladj
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        for _, move_back in reversed(self.steps_under(context)):
            z = move_back(z)
        return z

    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the negative log-likelihood of each row in nats."""
        z, ladj = self(x, context)
        loss: Tensor = (0.5 * z.square() + 0.5 * math.log(2 * math.pi) - ladj).sum(dim=1)
        return loss
