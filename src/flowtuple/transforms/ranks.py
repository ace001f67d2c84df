"""Ranks: the normal quantile of the share of the data below a value, with ties as cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.noise import MARGIN, log_normal_slope
from flowtuple.transforms.transform import Image, Transform

KNOTS = 256  # of ranks, at most about
FEW = 64  # whole numbers up to which each one has a cell
_LEAST_COUNT = 10  # occurrences of a repeated value, at least
_LEAST_SHARE = 0.002  # of the rows that a repeated value has, at least
_ROWS = 8  # between two knots, at least
_STEEP = 1e6  # slope beyond a step at the end of the range


@dataclass(frozen=True)
class Ranks(Transform):
    """Gauss-rank: y is the normal quantile of the share of the data below x.

    The share is linear between knots. A repeated value has two knots at one x, which make a step
    of the share, and u is the position on the step. Of a few whole numbers every one is a step.
    Beyond the outermost knots y goes on with its slope there, and beyond a step almost vertically:
    such values are next to impossible, and `inverse` does not return them.

    Attributes:
        x: Knots, non-decreasing, at least two different ones.
        share: Share of the data below each knot, non-decreasing, above 0 and below 1.

    Example:
        >>> t = Ranks.fitted(np.repeat([0.0, 1.0, 2.0], 50))
        >>> bool(t.forward(np.array([1.0]), 0.1) < t.forward(np.array([1.0]), 0.9))
        True
        >>> t.inverse(t.forward(np.array([1.0]), 0.9)).tolist()
        [1.0]
    """

    x: tuple[float, ...]
    share: tuple[float, ...]

    def __post_init__(self) -> None:
        knots, share = np.array(self.x), np.array(self.share)
        if not (
            len(knots) == len(share)
            and len(set(self.x)) > 1
            and np.isfinite(knots).all()
            and (np.diff(knots) >= 0).all()
            and (np.diff(share) >= 0).all()
            and share[0] > 0
            and share[-1] < 1
        ):
            raise InvalidArgument("ranks need two or more knots in order")

    @property
    def has_cells(self) -> bool:
        return len(set(self.x)) < len(self.x)

    @classmethod
    def fitted(cls, x: Array) -> Self:
        """Set knots at quantiles of the data, also in the tails, and at every repeated value."""
        values, counts = np.unique(x.astype(np.float64), return_counts=True)
        if len(values) == 1:  # one step with a slope on either side
            value = float(values[0])
            reach = max(1.0, abs(value) * 1e-9)
            shares = (1e-4, 1e-3, 1 - 1e-3, 1 - 1e-4)
            return cls((value - reach, value, value, value + reach), shares)
        below = np.concatenate([[0], np.cumsum(counts)])
        few = len(values) <= FEW and bool((values == np.rint(values)).all())
        repeated = (counts >= max(_LEAST_COUNT, _LEAST_SHARE * len(x))) | few
        chosen = np.zeros(len(values), bool)
        chosen[_at_ranks(below, len(x))] = True
        chosen[[0, -1]] = True
        single, step = np.flatnonzero(chosen & ~repeated), np.flatnonzero(repeated)
        knots = np.concatenate([values[single], values[step], values[step]])
        ranks = np.concatenate(
            [below[single] + counts[single] / 2, below[step], below[step + 1]]
        )
        order = np.lexsort((ranks, knots))
        return cls._of(knots[order], ranks[order], len(x))

    @classmethod
    def of_cells(cls, y: Array) -> Self:
        """Set knots at edges of cells of dequantised values; each cell keeps its probability."""
        cells, counts = np.unique(np.floor(y), return_counts=True)
        below = np.concatenate([[0], np.cumsum(counts)])
        edges = np.unique(np.concatenate([cells, cells + 1]))
        if len(edges) > KNOTS:
            chosen = cells[_at_ranks(below, len(y))]
            edges = np.unique(np.concatenate([chosen, cells[:1], cells[-1:] + 1]))
        # The small slope gives an empty cell a small probability.
        ranks = below[np.searchsorted(cells, edges)] + 0.1 * np.arange(len(edges))
        return cls._of(edges, ranks, ranks[-1])

    @classmethod
    def _of(cls, x: Array, ranks: Array, count: float) -> Self:
        return cls(tuple(x.tolist()), tuple(((ranks + 0.5) / (count + 1)).tolist()))

    def image(self, x: Array, u: Array | float) -> Image:
        knots, share = np.array(self.x), np.array(self.share)
        left, right = (
            np.searchsorted(knots, x, "left"),
            np.searchsorted(knots, x, "right"),
        )
        low, high = share[np.minimum(left, len(share) - 1)], share[right - 1]
        cells = right > left + 1
        step = cells & (high > low)
        piece = np.clip(right - 1, 0, len(knots) - 2)
        run, rise = np.diff(knots)[piece], np.diff(share)[piece]
        on_step = low + np.clip(u, MARGIN, 1 - MARGIN) * (high - low)
        y = ndtri(np.where(step, on_step, np.interp(x, knots, share)))
        density = np.where(step, high - low, rise / np.where(run > 0, run, np.inf))
        with np.errstate(divide="ignore"):
            ladj = log_normal_slope(density, y)
        first, last = self._outer_slopes()
        # The last knot belongs to the slope beyond it, unless it is a step.
        above = (x > knots[-1]) | ((x == knots[-1]) & ~step)
        ladj = np.where(above, np.log(last), np.where(x < knots[0], np.log(first), ladj))
        y += np.minimum(x - knots[0], 0) * first + np.maximum(x - knots[-1], 0) * last
        return Image(y, ladj, cells)

    def inverse(self, y: Array) -> Array:
        low, high = ndtri(np.array(self.share)[[0, -1]])
        x: Array = np.interp(ndtr(y), self.share, np.array(self.x))
        first, last = (
            0.0 if slope == _STEEP else 1 / slope for slope in self._outer_slopes()
        )
        x += np.minimum(y - low, 0) * first + np.maximum(y - high, 0) * last
        return x

    def _outer_slopes(self) -> tuple[float, float]:
        """Return the slopes of y at the outermost knots."""
        run, rise = np.diff(self.x)[[0, -1]], np.diff(self.share)[[0, -1]]
        images = ndtri(np.array(self.share)[[0, -1]])
        density = rise / np.where(run > 0, run, np.inf)
        slopes = density * np.sqrt(2 * np.pi) * np.exp(0.5 * np.square(images))
        first, last = (float(slope) if slope > 0 else _STEEP for slope in slopes)
        return first, last


def _at_ranks(below: Array, count: int) -> Array:
    """Return positions of the sorted values at which knots should lie.

    Knots are evenly spaced in share and, for the tails, in the normal quantile, with at least
    `_ROWS` rows between them.

    Args:
        below: Rows below each value, and the number of all rows.
        count: The number of all rows.
    """
    even = np.linspace(0, 1, KNOTS // 2)
    ranks = (
        np.sort(np.concatenate([even, ndtr(np.linspace(-4.5, 4.5, KNOTS // 2))])) * count
    )
    wanted = np.unique(np.round(ranks / _ROWS) * _ROWS)
    return np.searchsorted(below[1:], wanted, side="right").clip(0, len(below) - 2)
