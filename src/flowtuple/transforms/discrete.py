"""Transforms of values that stand for cells: integers over unit intervals, ranks with room for repeated values, one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.special import ndtr, ndtri

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

KNOTS = 256  # of ranks, at most about
_REPEATED = 0.002  # share from which on a value of a float column is one that repeats
FEW = 64  # whole numbers that are told apart
_UPRIGHT = 1e6
_TIMES = 10  # and how often it has to be there
_ROWS = 8  # at least between two knots
_EDGE = (
    2.0**-20
)  # how near to the edge of a cell a place in it goes, so that rounding cannot carry it over


def _place(u: Array | float) -> Array:
    return np.clip(u, _EDGE, 1 - _EDGE)


@dataclass(frozen=True)
class Dequantise:
    """y = x + u for whole x: uniform dequantisation, undone exactly by rounding down.

    Theis et al., "A note on the evaluation of generative models" (2016).

    Example:
        >>> Dequantise().inverse(np.array([3.0, 3.999])).tolist()
        [3.0, 3.0]
    """

    has_cells = True

    @classmethod
    def fitted(cls, x: Array) -> Self:
        """Nothing to fit; the values have to be whole."""
        if not (x == np.rint(x)).all():
            raise InvalidArgument("dequantise is for whole numbers; leave it out, or round before")
        return cls()

    def stands_for_cell(self, x: Array) -> Array:
        return np.ones(len(x), bool)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return x.astype(np.float64) + _place(u)

    def inverse(self, y: Array) -> Array:
        x: Array = np.floor(y)
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.zeros(len(x))

    def config(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Ranks:
    """Gauss-rank: y is the normal quantile of the share of the data below x, taken as linear between knots.

    A value that the data repeat is two knots at one x: a step of the share, on which u says where; of whole numbers of which
    there are few every one is. Beyond the outermost knots y goes on with the slope that it has there, and beyond a step
    almost upright: such values are next to impossible, and `inverse` does not give them.

    Attributes:
        x: Knots, non-decreasing, at least two different ones.
        share: Of the data below, non-decreasing, above 0 and below 1.

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
        fine = (
            len(knots) == len(share) and len(set(self.x)) > 1 and bool((np.diff(knots) >= 0).all())
        )
        if not (
            fine
            and (np.diff(share) >= 0).all()
            and share[0] > 0
            and share[-1] < 1
            and np.isfinite(knots).all()
        ):
            raise InvalidArgument("ranks need two or more knots in order")

    @property
    def has_cells(self) -> bool:
        return len(set(self.x)) < len(self.x)

    @classmethod
    def fitted(cls, x: Array) -> Self:
        """Knots at quantiles of the data, also far out, and around every value that repeats."""
        values, counts = np.unique(x.astype(np.float64), return_counts=True)
        if len(values) == 1:  # a step, and a slope on either side of it
            value, reach = float(values[0]), max(1.0, abs(float(values[0])) * 1e-9)
            return cls(
                (value - reach, value, value, value + reach), (1e-4, 1e-3, 1 - 1e-3, 1 - 1e-4)
            )
        below = np.concatenate([[0], np.cumsum(counts)])
        few = len(values) <= FEW and bool((values == np.rint(values)).all())
        repeated = (counts >= max(_TIMES, _REPEATED * len(x))) | few
        chosen = np.zeros(len(values), bool)
        chosen[
            np.searchsorted(below[1:], _wanted_ranks(len(x)), side="right").clip(0, len(values) - 1)
        ] = True
        chosen[[0, -1]] = True
        single, step = np.flatnonzero(chosen & ~repeated), np.flatnonzero(repeated)
        knots = np.concatenate([values[single], values[step], values[step]])
        ranks = np.concatenate([below[single] + counts[single] / 2, below[step], below[step + 1]])
        order = np.lexsort((ranks, knots))
        return cls._of(knots[order], ranks[order], len(x))

    @classmethod
    def of_cells(cls, y: Array) -> Self:
        """Of dequantised whole numbers: knots at the edges of cells, so that each cell keeps its own probability."""
        cells, counts = np.unique(np.floor(y), return_counts=True)
        below = np.concatenate([[0], np.cumsum(counts)])
        edges = np.unique(np.concatenate([cells, cells + 1]))
        if len(edges) > KNOTS:
            places = np.searchsorted(below[1:], _wanted_ranks(len(y)), side="right").clip(
                0, len(cells) - 1
            )
            edges = np.unique(np.concatenate([cells[places], cells[:1], cells[-1:] + 1]))
        ranks = below[np.searchsorted(cells, edges)] + 0.1 * np.arange(
            len(edges)
        )  # an empty cell keeps a little
        return cls._of(edges, ranks, ranks[-1])

    @classmethod
    def _of(cls, x: Array, ranks: Array, count: float) -> Self:
        return cls(tuple(x.tolist()), tuple(((ranks + 0.5) / (count + 1)).tolist()))

    def stands_for_cell(self, x: Array) -> Array:
        return np.searchsorted(self.x, x, "right") > np.searchsorted(self.x, x, "left") + 1

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        knots, share, x = np.array(self.x), np.array(self.share), x.astype(np.float64)
        low, high = self._step(x)
        inside = np.where(high > low, low + _place(u) * (high - low), np.interp(x, knots, share))
        y: Array = ndtri(inside)
        first, last = self._outer_slopes()
        y += np.minimum(x - knots[0], 0) * first + np.maximum(x - knots[-1], 0) * last
        return y

    def inverse(self, y: Array) -> Array:
        knots, (low, high) = np.array(self.x), ndtri(np.array(self.share)[[0, -1]])
        x: Array = np.interp(ndtr(y), self.share, knots)
        first, last = (0.0 if slope == _UPRIGHT else 1 / slope for slope in self._outer_slopes())
        x += np.minimum(y - low, 0) * first + np.maximum(y - high, 0) * last
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        knots, share, x = np.array(self.x), np.array(self.share), x.astype(np.float64)
        low, high = self._step(x)
        piece = np.clip(np.searchsorted(knots, x, "right") - 1, 0, len(knots) - 2)
        run = knots[piece + 1] - knots[piece]
        density = np.where(
            high > low,
            high - low,
            (share[piece + 1] - share[piece]) / np.where(run > 0, run, np.inf),
        )
        y = self.forward(np.clip(x, knots[0], knots[-1]), u)
        first, last = self._outer_slopes()
        with np.errstate(divide="ignore"):
            ladj = np.log(density) + 0.5 * np.square(y) + 0.5 * np.log(2 * np.pi)
        outside = np.where(x < knots[0], np.log(first), np.log(last))
        return np.where(
            (x < knots[0]) | ((x > knots[-1]) | ((x == knots[-1]) & (high == low))), outside, ladj
        )

    def _step(self, x: Array) -> tuple[Array, Array]:
        """Shares below and up to values that repeat; two equal numbers for others."""
        share = np.array(self.share)
        left, right = np.searchsorted(self.x, x, "left"), np.searchsorted(self.x, x, "right")
        on_step = right > left + 1
        return np.where(on_step, share[np.minimum(left, len(share) - 1)], 0.0), np.where(
            on_step, share[right - 1], 0.0
        )

    def _outer_slopes(self) -> tuple[float, float]:
        """Slopes of y at the outermost knots."""
        run, rise = np.diff(self.x)[[0, -1]], np.diff(self.share)[[0, -1]]
        images = ndtri(np.array(self.share)[[0, -1]])
        slopes = (
            rise
            / np.where(run > 0, run, np.inf)
            * np.sqrt(2 * np.pi)
            * np.exp(0.5 * np.square(images))
        )
        first, last = (float(slope) if slope > 0 else _UPRIGHT for slope in slopes)
        return first, last

    def config(self) -> Mapping[str, Any]:
        return asdict(self)


def _wanted_ranks(count: int) -> Array:
    """Ranks for knots: evenly spaced in share and, for the tails, in the normal quantile; never fewer than 8 rows apart."""
    even = np.linspace(0, 1, KNOTS // 2)
    ranks = np.sort(np.concatenate([even, ndtr(np.linspace(-4.5, 4.5, KNOTS // 2))])) * count
    return np.unique(np.round(ranks / _ROWS) * _ROWS)


@dataclass(frozen=True)
class OneHot:
    """A column of few different values as one column of 0 and 1 for each: for what a flow is told, not for what it draws.

    Attributes:
        values: The values, k of them; one that is not among them has no 1.

    Example:
        >>> OneHot.fitted(np.array([21.0, 1.0, 21.0])).forward(np.array([21.0, 1.0])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    values: tuple[float, ...]

    @classmethod
    def fitted(cls, x: Array) -> Self:
        return cls(tuple(np.unique(x.astype(np.float64)).tolist()))

    def forward(self, x: Array) -> Array:
        """Shape (n, k) from (n,)."""
        y: Array = (x[:, None] == np.array(self.values)).astype(np.float64)
        return y

    def inverse(self, y: Array) -> Array:
        """The value of the largest of each row, shape (n,)."""
        x: Array = np.array(self.values)[np.argmax(y, axis=1)]
        return x

    def config(self) -> Mapping[str, Any]:
        return asdict(self)
