"""Transforms of values that stand for cells: integers over unit intervals, ranks with room for repeated values, one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from flowtuple.schema import Array

KNOTS = 256  # of ranks, at most about
_REPEATED = 0.002  # share from which on a value of a float column is one that repeats
_TIMES = 10  # and how often it has to be there


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
        return cls()

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return x.astype(np.float64) + np.minimum(u, 1 - 2**-20)

    def inverse(self, y: Array) -> Array:
        x: Array = np.floor(y)
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.zeros(len(x))

    def config(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Ranks:
    """Gauss-rank: a piecewise linear map between knots that makes the data's distribution about a standard normal one.

    A value that the data repeat is two knots at one x: a step of the map, on which u says where. Beyond the outermost
    knots the map goes on with the slope of the outermost pieces that rise.

    Attributes:
        x: Knots, non-decreasing, at least two different ones.
        y: Their images, non-decreasing.

    Example:
        >>> t = Ranks.fitted(np.repeat([0.0, 1.0, 2.0], 50))
        >>> bool(t.forward(np.array([1.0]), 0.1) < t.forward(np.array([1.0]), 0.9))
        True
        >>> t.inverse(t.forward(np.array([1.0]), 0.9)).tolist()
        [1.0]
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def has_cells(self) -> bool:
        return len(set(self.x)) < len(self.x)

    @classmethod
    def fitted(cls, x: Array) -> Self:
        """Knots at quantiles of the data, and around every value that repeats."""
        values, counts = np.unique(x.astype(np.float64), return_counts=True)
        below = np.concatenate([[0], np.cumsum(counts)])
        repeated = counts >= max(_TIMES, _REPEATED * len(x))
        chosen = np.zeros(len(values), bool)
        chosen[np.searchsorted(below[1:], np.linspace(0, len(x), KNOTS, endpoint=False), side="right")] = True
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
            places = np.unique(np.searchsorted(below[1:], np.linspace(0, len(y), KNOTS), side="left").clip(0, len(cells) - 1))
            edges = np.unique(np.concatenate([cells[places], cells[places[-1:]] + 1]))
        ranks = below[np.searchsorted(cells, edges)] + 0.1 * np.arange(len(edges))  # an empty cell keeps a little
        return cls._of(edges, ranks, ranks[-1])

    @classmethod
    def _of(cls, x: Array, ranks: Array, count: float) -> Self:
        normal = NormalDist()
        y = [normal.inv_cdf(float(share)) for share in (ranks + 0.5) / (count + 1)]
        if x[0] == x[-1]:  # one value: a step and a slope on either side of it
            return cls((float(x[0]) - 1, float(x[0]), float(x[0]), float(x[0]) + 1), (-4.0, -3.0, 3.0, 4.0))
        return cls(tuple(x.tolist()), tuple(y))

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        knots, images = np.array(self.x), np.array(self.y)
        x = x.astype(np.float64)
        left, right = np.searchsorted(knots, x, "left"), np.searchsorted(knots, x, "right")
        on_step = right > left + 1
        y = np.interp(x, knots, images)
        low, high = images[np.minimum(left, len(knots) - 1)], images[np.maximum(right - 1, 0)]
        y = np.where(on_step, low + np.broadcast_to(u, x.shape) * (high - low), y)
        first, last = self._outer_slopes()
        y = np.where(x < knots[0], images[0] + (x - knots[0]) * first, y)
        result: Array = np.where(x > knots[-1], images[-1] + (x - knots[-1]) * last, y)
        return result

    def inverse(self, y: Array) -> Array:
        knots, images = np.array(self.x), np.array(self.y)
        x = np.interp(y, images, knots)
        first, last = self._outer_slopes()
        x = np.where(y < images[0], knots[0] + (y - images[0]) / first, x)
        result: Array = np.where(y > images[-1], knots[-1] + (y - images[-1]) / last, x)
        return result

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        knots, images = np.array(self.x), np.array(self.y)
        x = x.astype(np.float64)
        left, right = np.searchsorted(knots, x, "left"), np.searchsorted(knots, x, "right")
        on_step = right > left + 1
        rise = images[np.minimum(np.maximum(right - 1, 0), len(knots) - 1)] - images[np.minimum(left, len(knots) - 1)]
        piece = np.clip(right - 1, 0, len(knots) - 2)
        run = knots[piece + 1] - knots[piece]
        slope = np.where(run > 0, (images[piece + 1] - images[piece]) / np.where(run > 0, run, 1), 0)
        first, last = self._outer_slopes()
        slope = np.where(x < knots[0], first, np.where(x >= knots[-1], last, slope))
        with np.errstate(divide="ignore"):
            ladj: Array = np.log(np.where(on_step, rise, slope))
        return ladj

    def _outer_slopes(self) -> tuple[float, float]:
        """Slopes of the first and the last piece that rises over more than one x."""
        run, rise = np.diff(self.x), np.diff(self.y)
        slopes = (rise[run > 0] / run[run > 0])[[0, -1]]
        first, last = (float(s) if s > 0 else 1.0 for s in slopes)
        return first, last

    def config(self) -> Mapping[str, Any]:
        return asdict(self)


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
