"""Distances of two histograms with the same bins, for many permutations at a time.

A histogram is of shape (bins, P). The reference's shares of the bins are p, those of the second
sample q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

ALPHA = "alpha"
_TINY = np.finfo(np.float64).tiny
_MOST_ALPHA = 10.0  # beyond, a single bin decides and powers of its ratio may overflow

Distance: TypeAlias = Callable[[Array, Array, Array], Array]
"""Computes distances, shape (P,), from histograms of both samples, shape (bins, P), and the sums of
squared weights, shape (bins,)."""


def chi2(a: Array, b: Array, squares: Array) -> Array:
    """Return A B sum (a/A - b/B)^2 / sum w^2 over bins, shape (P,).

    Without weights this is Pearson's sum (sqrt(B/A) a - sqrt(A/B) b)^2 / (a + b).

    Args:
        a: Histogram of the reference with total A, shape (bins, P).
        b: Histogram of the second sample with total B, shape (bins, P).
        squares: Sum of squared weights in each bin, shape (bins,).
    """
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    distance = np.square(a / total_a - b / total_b) / np.maximum(squares, _TINY)[:, None]
    return np.asarray(total_a * total_b * distance.sum(axis=0))


def _shares(counts: Array) -> Array:
    """Return shares with half an entry more in each bin, so that no empty one gives an infinity.

    Krichevsky and Trofimov (1981).
    """
    return np.asarray((counts + 0.5) / (counts + 0.5).sum(axis=0))


def kullback_leibler(a: Array, b: Array, squares: Array) -> Array:
    """Return the sum of p log(p / q) over bins in nats, p of the reference."""
    return np.asarray(extra("scipy.special").rel_entr(_shares(a), _shares(b)).sum(axis=0))


def chi2_divergence(a: Array, b: Array, squares: Array) -> Array:
    """Return half of the sum of (p - q)^2 / q over bins, p of the reference."""
    p, q = _shares(a), _shares(b)
    return np.asarray(0.5 * (np.square(p - q) / q).sum(axis=0))


def hellinger(a: Array, b: Array, squares: Array) -> Array:
    """Return the root of half of the sum of (sqrt p - sqrt q)^2 over bins, from 0 to 1."""
    p, q = a / a.sum(axis=0), b / b.sum(axis=0)
    return np.asarray(np.sqrt(0.5 * np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=0)))


def alpha_divergence(a: Array, b: Array, squares: Array, *, alpha: float) -> Array:
    """Return (1 - sum p^alpha q^(1 - alpha)) / (alpha (1 - alpha)) of histograms.

    Between 0 and 1 the shares are those of the bins, so that 1/2 gives four times the squared
    Hellinger distance. Elsewhere empty bins would give infinities, and there is half an entry more
    in each: 1 gives the Kullback-Leibler divergence, 0 the same with p and q exchanged, 2 the chi2
    divergence.
    """
    if 0 < alpha < 1:
        return alpha_divergence_of(a / a.sum(axis=0), b / b.sum(axis=0), alpha)
    return alpha_divergence_of(_shares(a), _shares(b), alpha)


def alpha_divergence_of(p: Array, q: Array, alpha: float) -> Array:
    """Return the alpha-divergence of shares, at 0 and 1 its limits, the sum over the first axis.

    Cressie and Read, "Multinomial goodness-of-fit tests" (1984), whose power is alpha - 1; Amari,
    "alpha-divergence is unique, belonging to both f-divergence and Bregman divergence classes"
    (2009).

    Args:
        p: Shares of sum 1; zeros only where 0 < alpha, unless q is zero there, too.
        q: Shares of sum 1; zeros only where alpha < 1, unless p is zero there, too.
        alpha: The number.

    Example:
        >>> p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
        >>> float(alpha_divergence_of(p, q, 2) / (np.square(p - q) / q).sum()).__round__(12)
        0.5
    """
    if alpha < 0.5:
        return alpha_divergence_of(q, p, 1 - alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(p) - np.log(q)
        if alpha == 1:
            terms = p * ratio
        else:
            # As the sum of p^alpha q^(1 - alpha) - p, but exact near 1, too.
            terms = p * np.expm1((alpha - 1) * ratio) / (alpha * (alpha - 1))
    total = np.where(p > 0, terms, 0.0).sum(axis=0)
    return np.asarray(np.maximum(total, 0.0))


def read_alpha(name: str) -> float:
    """Return the number in the name of a test.

    Args:
        name: Such as `alpha:0.5`.

    Raises:
        InvalidArgument: It is no number, or not from -10 to 10.
    """
    text = name.partition(":")[2]
    try:
        alpha = float(text)
    except ValueError:
        alpha = math.nan
    if not abs(alpha) <= _MOST_ALPHA:
        raise InvalidArgument(
            f"test {name!r} needs a number from -{_MOST_ALPHA:g} to {_MOST_ALPHA:g} after the "
            f"colon, such as {ALPHA}:0.5"
        )
    return alpha


def by_name(name: str) -> Distance:
    """Return the distance of histograms that a test computes."""
    if name.startswith(f"{ALPHA}:"):
        return partial(alpha_divergence, alpha=read_alpha(name))
    return _DISTANCES[name]


_DISTANCES: dict[str, Distance] = {
    "chi2": chi2,
    "kl": kullback_leibler,
    "chi2-div": chi2_divergence,
    "hellinger": hellinger,
}
