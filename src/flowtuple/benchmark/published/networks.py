"""Autoencoders: fully connected, with tanh, or with LeakyReLU or ELU before batch normalisation.

Wulff, "Deep autoencoders for compression in high energy physics" (2020), and the public code that
continues it. The networks with batch normalisation end the encoder, too, with activation and
normalisation; the one with tanh has that tanh at the entrance of the decoder.

Variational autoencoders have a mean and a variance of latent numbers; the decoder gets a draw.
Kingma and Welling, "Auto-encoding variational Bayes" (2014). With z normal of density N(mean,
variance) and a decoder that spreads d normalised values with the variance s^2 around x', the
evidence lower bound of a row in nats is

    ELBO = -|x - x'|^2 / (2 s^2) - d/2 ln(2 pi s^2) - KL,
    KL = 1/2 sum(mean^2 + variance - 1 - ln variance).

Training minimises |x - x'|^2 / d + beta KL, which with s^2 = beta d / 2 is
-beta (ELBO + d/2 ln(pi beta d)); the beta is that of Higgins et al. (2017). The code of a row is
the mean.
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


class VariationalPair(Pair):
    """Encoder and decoder for training; the encoder alone gives the mean.

    Args:
        kind: Name of the network.
        widths: Widths of columns, hidden layers and latent numbers, as for `encoder`.
        seed: Seed of the weights.
        beta: Weight of the KL divergence, above 0.

    Example:
        >>> pair = VariationalPair("elu-bn", (4, 8, 2), seed=0, beta=1e-3)
        >>> [layer._get_name() for layer in pair.encoder], pair.log_variance.out_features
        (['Linear', 'ELU', 'BatchNorm1d', 'Linear'], 2)
    """

    def __init__(self, kind: str, widths: Sequence[int], seed: int, beta: float) -> None:
        super().__init__(kind, widths, seed)
        self.beta = beta
        if kind != "tanh":
            # a mean is any number: nothing limits it
            self.encoder = nn.Sequential(*list(self.encoder)[:-2])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.log_variance = nn.Linear(widths[-2], widths[-1])

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of latent numbers, both of shape (n, z)."""
        hidden = self.encoder[:-1](x)
        return self.encoder[-1](hidden), self.log_variance(hidden)

    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the squared error of each row plus beta KL, for one random draw a row."""
        self._follow(x)
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        made = self.decoder(mean + noise * torch.exp(0.5 * log_variance))
        total: Tensor = (made - x).square().mean(dim=1) + self.beta * divergence(
            mean, log_variance
        )
        return total


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence in nats from standard normal numbers: shape (n,).

    Example:
        >>> divergence(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)).tolist()
        [0.5]
    """
    total: Tensor = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(
        dim=1
    )
    return total
