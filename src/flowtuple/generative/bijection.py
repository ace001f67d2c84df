"""What a flow is to the rest of the package: a bijection between rows and standard normal ones, column by column."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Bijection(torch.nn.Module, ABC):
    """A flow between rows x and latent rows z, both of shape (n, d).

    The laws, tested for every kind: `inverse(forward(x)[0])` is x to rounding; the second result of `forward`, of shape
    (n, d), adds up over columns to ln|det dz/dx|; a row's result does not depend on the rows beside it.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent rows z, and what each column adds to ln|det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor) -> Tensor:
        """Rows from latent ones."""

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """What training makes small, for each row: shape (n,)."""
