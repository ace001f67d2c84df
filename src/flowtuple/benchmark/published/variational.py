"""A variational autoencoder: latent numbers have a mean and a variance, the decoder gets a draw.

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

import torch
from torch import Tensor, nn

from flowtuple.benchmark.published.networks import Pair


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
    total: Tensor = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return total
