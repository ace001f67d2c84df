"""Profile likelihood of a signal strength in closed form, for many sets of counts at once.

The counts of a bin are Poisson of mu s + gamma b, and gamma is normal around 1 with the relative
error of the background (Barlow and Beeston, in the form with one factor a bin). For a fixed mu the
best gamma solves a quadratic equation, so that only mu is left to be searched for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.runtime.extras import require

_HALVINGS = 44
_REACH = 60  # standard deviations of mu that are searched
_TINY = 1e-10  # smallest gamma, as in pyhf


@dataclass(frozen=True, eq=False)
class Profile:
    """The likelihood of k bins, or of several backgrounds one by one.

    Attributes:
        signal: Expected signal for mu = 1, shape (k,).
        background: Expected background, shape (k,) or (r, k).
        relative: Relative standard deviation of the background, shape (k,), above 0.

    Example:
        >>> profile = Profile(np.array([5.0]), np.array([100.0]), np.array([0.01]))
        >>> profile.best_strength(np.array([110.0])).round(6).tolist()
        2.0
    """

    signal: Array
    background: Array
    relative: Array

    @property
    def error(self) -> Array:
        """Standard deviation of mu for mu = 0, of counts and background: scalar or (r,)."""
        variance = self.background + (self.background * self.relative) ** 2
        return np.asarray(1 / np.sqrt((self.signal**2 / variance).sum(axis=-1)))

    def expected(self, strength: Array, counts: Array) -> Array:
        """Return the expected counts of the best gamma for a strength.

        Args:
            strength: mu, of a shape that broadcasts against `counts` without its last axis.
            counts: Counts, shape (..., k).
        """
        signal = np.asarray(strength)[..., None] * self.signal
        variance = (self.background * self.relative) ** 2
        half = (signal + self.background - variance) / 2
        root = np.sqrt(half**2 + counts * variance)
        # the root that does not cancel
        far = np.where(half > 0, 1.0, root - half)
        best = np.where(
            half > 0, half + root, counts * variance / np.maximum(far, 1e-300)
        )
        return np.asarray(
            np.maximum(best, np.maximum(signal, 0.0) + _TINY * self.background)
        )

    def deviance(self, strength: Array, counts: Array) -> Array:
        """Return -2 ln L of the best gamma, up to a constant of the counts: shape (...)."""
        mean = self.expected(strength, counts)
        signal = np.asarray(strength)[..., None] * self.signal
        pull = (mean - signal - self.background) / (self.background * self.relative)
        return np.asarray((2 * (mean - counts * np.log(mean)) + pull**2).sum(axis=-1))

    def best_strength(self, counts: Array) -> Array:
        """Return the mu of the largest likelihood, which may be negative: shape (...)."""
        reach = _REACH * self.error
        shape = np.broadcast_shapes(counts.shape[:-1], np.shape(reach))
        low, high = np.broadcast_to(-reach, shape), np.broadcast_to(reach, shape)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            mean = self.expected(middle, counts)
            # the derivative of -ln L rises with mu
            is_above = (self.signal * (1 - counts / mean)).sum(axis=-1) > 0
            low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
        return np.asarray((low + high) / 2)

    def ratio(self, strength: float, counts: Array) -> Array:
        """Return -2 ln of the profile likelihood ratio of a strength: shape (...)."""
        best = self.deviance(self.best_strength(counts), counts)
        none = self.deviance(np.full(best.shape, strength), counts)
        return np.asarray(np.maximum(none - best, 0.0))

    def significance(self, strength: Array) -> Array:
        """Return sqrt(q_mu) of the background's own expected counts, its Asimov data.

        Args:
            strength: mu above 0, of a shape that broadcasts against that of the backgrounds.
        """
        strength = np.asarray(strength, np.float64)
        q = self.deviance(strength, self.background)
        q = q - self.deviance(np.zeros_like(strength), self.background)
        return np.asarray(np.sqrt(np.maximum(q, 0.0)))

    def limit(self, deviations: float = 0.0, level: float = 0.05) -> Array:
        """Return the expected upper limit on mu for data some deviations above the background.

        Args:
            deviations: Standard deviations of the background; 0 for the median.
            level: CLs at the limit.
        """
        special = require("scipy.special", "fit", "limits")
        wanted = deviations - special.ndtri(level * special.ndtr(deviations))
        low, high = np.zeros_like(self.error), np.asarray(self.error)
        while np.any(self.significance(high) < wanted):
            high = np.where(self.significance(high) < wanted, 2 * high, high)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            is_below = self.significance(middle) < wanted
            low, high = (
                np.where(is_below, middle, low),
                np.where(is_below, high, middle),
            )
        return np.asarray((low + high) / 2)


def expected_cls(significance: Array) -> Array:
    """Return the median expected CLs, 2 (1 - Phi(sqrt(q_mu))) of background-only Asimov data.

    Cowan et al., Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727.

    Example:
        >>> float(expected_cls(np.array(1.959964)).round(6))
        0.05
    """
    special = require("scipy.special", "fit", "limits")
    return np.asarray(2 * special.ndtr(-significance))
