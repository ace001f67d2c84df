"""Autoencoders: fully connected, with tanh, or with LeakyReLU or ELU before batch normalisation.

Wulff, "Deep autoencoders for compression in high energy physics" (2020), and the public code that
continues it. The networks with batch normalisation end the encoder, too, with activation and
normalisation; the one with tanh has that tanh at the entrance of the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from flowtuple.flows.bijection import Trainable

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "leaky-relu-bn": nn.LeakyReLU,
    "elu-bn": nn.ELU,
}


def encoder(kind: str, widths: Sequence[int]) -> nn.Sequential:
    """Return the network from columns to latent numbers.

    Args:
        kind: Name of the network.
        widths: Widths of columns, hidden layers and latent numbers.

    Example:
        >>> [layer._get_name() for layer in encoder("tanh", (4, 8, 2))]
        ['Linear', 'Tanh', 'Linear']
        >>> [layer._get_name() for layer in encoder("elu-bn", (4, 2))]
        ['Linear', 'ELU', 'BatchNorm1d']
    """
    layers = _layers(kind, widths)
    return nn.Sequential(*(layers[:-1] if kind == "tanh" else layers))


def decoder(kind: str, widths: Sequence[int]) -> nn.Sequential:
    """Return the network from latent numbers to columns; the last layer is linear.

    Args:
        kind: Name of the network.
        widths: Widths of columns, hidden layers and latent numbers, as for `encoder`.
    """
    layers = _layers(kind, widths[::-1])
    return nn.Sequential(*([nn.Tanh(), *layers[:-1]] if kind == "tanh" else layers[:-2]))


def _layers(kind: str, widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Linear(narrow, wide), _ACTIVATIONS[kind]()]
        if kind != "tanh":
            layers.append(nn.BatchNorm1d(wide))
    return layers


class Pair(Trainable):
    """Encoder and decoder for training.

    Args:
        kind: Name of the network.
        widths: As for `encoder`.
        seed: Seed of the weights.
    """

    def __init__(self, kind: str, widths: Sequence[int], seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder, self.decoder = encoder(kind, widths), decoder(kind, widths)

    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the squared error of each row, a mean over its columns."""
        self._follow(x)
        error: Tensor = (self.decoder(self.encoder(x)) - x).square().mean(dim=1)
        return error

    def _follow(self, x: Tensor) -> None:
        """Normalise by statistics of the batch only where a step follows."""
        self.train(torch.is_grad_enabled() and len(x) > 1)
