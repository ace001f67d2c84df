"""MADE with mixtures of Gaussians: one masked network, whose outputs are densities of each column.

Germain et al., "MADE: Masked autoencoder for distribution estimation" (2015), with the mixtures of
Uria, Murray, Larochelle, "RNADE: The real-valued neural autoregressive density-estimator" (2013).
The network reads the columns before each column, and the conditions. As a bijection, a column is
mapped by the distribution function F of its mixture, followed by the quantile function of the
normal distribution.

Both tails are computed as logarithms, of F below the median and of 1 - F above it, so that no
finite value is mapped to infinity. A wide component of small and fixed weight fills the gaps
between the others, in which latent numbers of neighbours would differ by rounding alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import zuko
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.special import erfcx, log_ndtr, ndtri

from flowtuple.flows.autoregressive import forward_by_column
from flowtuple.flows.bijection import LikelihoodFlow, Step
from flowtuple.flows.options import Shape

_LOG_SLOPE = math.log(1e-3)  # of the least standard deviation
_LOG_ROOT_TAU = 0.5 * math.log(2 * math.pi)
_BACKGROUND = 1e-5  # weight of a component of mean 0
_WIDTH = 5.0  # its standard deviation
_FAR = -80.0  # ln p, below which exp may underflow in float32
_NEWTON = 2
_ROUNDS = 96  # of the search for an inverse, of which every third halves an interval
_NEAR = 1e-12  # where this search ends


class GaussianMixture(Transform):
    """The map from a mixture of K Gaussians to the standard normal distribution.

    Args:
        log_weights: Logarithms of the weights, shape (..., d, K).
        means: Means.
        log_scales: Logarithms of the standard deviations.
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(self, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> None:
        super().__init__()
        self.log_weights = log_weights
        self.means = means
        self.log_scales = log_scales

    def select(self, columns: Tensor) -> GaussianMixture:
        """Return the mixtures of some of the d columns, in float64.

        Args:
            columns: Their numbers.
        """
        parts = (self.log_weights, self.means, self.log_scales)
        return GaussianMixture(*(part[..., columns, :].double() for part in parts))

    def log_density(self, x: Tensor) -> Tensor:
        """Return the logarithm of the density."""
        t = self._standardised(x)
        parts = self.log_weights - self.log_scales - 0.5 * t.square()
        total: Tensor = torch.logsumexp(parts, dim=-1) - _LOG_ROOT_TAU
        return total

    def _standardised(self, x: Tensor) -> Tensor:
        return (x[..., None] - self.means) * torch.exp(-self.log_scales)

    def _call(self, x: Tensor) -> Tensor:
        t = self._standardised(x)
        below = torch.logsumexp(self.log_weights + log_ndtr(t), dim=-1)
        above = torch.logsumexp(self.log_weights + log_ndtr(-t), dim=-1)
        quantile = lower_quantile(torch.minimum(below, above))
        return torch.where(below < above, quantile, -quantile)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        ladj: Tensor = self.log_density(x) + 0.5 * y.square() + _LOG_ROOT_TAU
        return ladj

    def _inverse(self, y: Tensor) -> Tensor:
        """Return x by Newton's method in an interval that encloses it.

        The quantile of a mixture lies between those of its components. A row that has been found
        stays as it is, so that no row depends on the others.
        """
        ends = self.means + torch.exp(self.log_scales) * y[..., None]
        low, high = ends.amin(dim=-1), ends.amax(dim=-1)
        x = (low + high) / 2
        for k in range(_ROUNDS):
            reached = self._call(x)
            error = reached - y
            done = abs(error) <= _NEAR * (1 + abs(y))
            if done.all():
                break
            low, high = torch.where(error < 0, x, low), torch.where(error > 0, x, high)
            newton = x - error * torch.exp(-self.log_abs_det_jacobian(x, reached))
            inside = (newton > low) & (newton < high) & (k % 3 < 2)
            x = torch.where(done, x, torch.where(inside, newton, (low + high) / 2))
        return x


def mixture_of(logits: Tensor, means: Tensor, log_scales: Tensor) -> GaussianMixture:
    """Return mixtures of numbers without limits, and of a background of weight 1e-5.

    Args:
        logits: Weights as logits, shape (..., K).
        means: Means less those at which components begin, quantiles of the normal distribution.
        log_scales: Logarithms of the standard deviations, which are limited to 1e-3 and 1e3.
    """
    count = logits.shape[-1]
    begin = ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    log_weights = torch.log_softmax(logits, dim=-1) + math.log1p(-_BACKGROUND)
    log_scales = log_scales / (1 + abs(log_scales / _LOG_SLOPE))
    background = torch.zeros_like(means[..., :1])
    return GaussianMixture(
        torch.cat([log_weights, background + math.log(_BACKGROUND)], dim=-1),
        torch.cat([means + begin.to(means), background], dim=-1),
        torch.cat([log_scales, background + math.log(_WIDTH)], dim=-1),
    )


def lower_quantile(log_p: Tensor) -> Tensor:
    """Return the quantile of the standard normal distribution of p in the lower half.

    Args:
        log_p: ln p, at most ln(1/2), however small.

    Example:
        >>> round(float(lower_quantile(torch.tensor(-5e5))), 1)
        -1000.0
    """
    with torch.no_grad():
        near = ndtri(torch.exp(log_p.clamp(min=_FAR)))
        # ln p of the far tail is -z^2 / 2 - ln|z| - ln(2 pi) / 2.
        square = -2 * log_p.clamp(max=_FAR)
        far = -torch.sqrt(square - torch.log(square) - 2 * _LOG_ROOT_TAU)
        z = torch.where(log_p > _FAR, near, far)
        for _ in range(_NEWTON):
            z = _newton_step(z, log_p)
    # The derivative of one step more is that of the quantile.
    return _newton_step(z, log_p)


def _newton_step(z: Tensor, log_p: Tensor) -> Tensor:
    """Return z after a step towards log_ndtr(z) = log_p, whose slope is the inverse Mills ratio."""
    mills = math.sqrt(math.pi / 2) * erfcx(-z / math.sqrt(2))
    nearer: Tensor = z + (log_p - log_ndtr(z)) * mills
    return nearer


class Made(LikelihoodFlow):
    """A masked network that gives each column a mixture of Gaussians under those before it.

    Args:
        features: Number of columns d.
        context: Number of conditions c.
        shape: Widths of the network, number of components, and whether the columns are in a
            random order, in place of theirs.
    """

    def __init__(self, features: int, context: int, shape: Shape) -> None:
        super().__init__()
        self.network = zuko.flows.MaskedAutoregressiveTransform(
            features,
            context,
            order=torch.randperm(features) if shape.permute else None,
            univariate=mixture_of,
            shapes=[(shape.components,)] * 3,
            hidden_features=shape.hidden,
        )

    def steps_under(self, context: Tensor | None) -> list[Step]:
        def forward(x: Tensor) -> tuple[Tensor, Tensor]:
            return forward_by_column(self.network(context), x)

        return [(forward, lambda z: self.inverse(z, context))]

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        x = torch.zeros_like(z)
        for columns in self._passes(z.shape[1]):
            mixtures = self._mixtures(x, context).select(columns)
            x[:, columns] = mixtures.inv(z[:, columns].double()).to(z)
        return x

    def loss(
        self, x: Tensor, generator: torch.Generator, context: Tensor | None = None
    ) -> Tensor:
        """Return the negative log-likelihood of each row in nats, without latent numbers."""
        loss: Tensor = -self._mixtures(x, context).log_density(x).sum(dim=1)
        return loss

    def _mixtures(self, x: Tensor, context: Tensor | None) -> Any:
        """Return the mixtures of each column of each row."""
        step = self.network(context)
        # A single column has no conditioner.
        has_conditioner = isinstance(step, zuko.transforms.AutoregressiveTransform)
        return (step.meta(x) if has_conditioner else step).base

    def _passes(self, features: int) -> list[Tensor]:
        """Return the columns in the order in which they are drawn, one at a time."""
        order = getattr(self.network, "order", torch.zeros(features, dtype=torch.int64))
        return list(torch.split(torch.argsort(order), 1))
