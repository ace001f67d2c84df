"""What a flow is to the rest of the package: a bijection between rows and standard normal ones, column by column."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Trainable(torch.nn.Module, ABC):
    """What `flowtuple.flows.fit` trains: a module with a loss of each row."""

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator, context: Tensor | None = None) -> Tensor:
        """What training makes small, for each row: shape (n,)."""


class Bijection(Trainable):
    """A flow between rows x and latent rows z, both of shape (n, d), which may depend on conditions of shape (n, c).

    A flow that was built for c conditions takes a context of that shape everywhere; one that was built for none takes none.
    The laws, tested for every kind: `inverse(forward(x, context)[0], context)` is x to rounding; the second result of
    `forward`, of shape (n, d), adds up over columns to ln|det dz/dx|; a row's result does not depend on the rows beside it.
    """

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent rows z, and what each column adds to ln|det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Rows from latent ones."""


class LikelihoodFlow(Bijection):
    """A flow whose likelihood is cheap, and is what training makes large."""

    def loss(self, x: Tensor, generator: torch.Generator, context: Tensor | None = None) -> Tensor:
        """Negative log-likelihood in nats."""
        z, ladj = self(x, context)
        loss: Tensor = (0.5 * z.square() + 0.5 * math.log(2 * math.pi) - ladj).sum(dim=1)
        return loss
