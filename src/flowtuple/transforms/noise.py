"""Single values spread as normal noise: whole numbers, and a peak separated from other values."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.transform import CellTransform, Transform

_MARGIN = (
    1e-6  # share of the noise cut off at both ends, so that rounding cannot leave the cell
)
_REACH = -5.0  # lower end of a peak's noise, in widths


def _truncated_normal(u: Array | float, low: float, share: float) -> Array:
    """Return quantiles of standard normal noise, of which `share` above its share `low` is left."""
    noise: Array = ndtri(low + np.clip(u, _MARGIN, 1 - _MARGIN) * share)
    return noise


def _log_slope(scale: float, noise: Array) -> Array:
    """Return ln|d(noise)/du| for noise whose density is cut and scaled by `scale`."""
    slope: Array = np.log(scale) + 0.5 * np.square(noise) + 0.5 * np.log(2 * np.pi)
    return slope


@dataclass(frozen=True)
class Smear(CellTransform):
    """y = x + width n for whole x, with n normal noise from u, cut where the next value begins.

    Rounding inverts it exactly.

    Attributes:
        width: Width of the noise, above 0.

    Example:
        >>> Smear(0.1).inverse(Smear(0.1).forward(np.array([1.0, 2.0]), 0.999)).tolist()
        [1.0, 2.0]
    """

    width: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.width < np.inf:
            raise InvalidArgument(
                f"noise of width {self.width:g} smears nothing; 0.1 is usual"
            )

    @classmethod
    def fitted(cls, x: Array, width: float = 0.1) -> Self:
        """Return the transform; the values must be whole."""
        if not (x == np.rint(x)).all():
            raise InvalidArgument("smear is for whole numbers; leave it out, or round before")
        return cls(width)

    def _ends(self) -> tuple[float, float]:
        """Return the share of the noise below half a step down, and within half a step."""
        end = float(ndtr(-0.5 / self.width))
        return end, 1 - 2 * end

    def _noise(self, u: Array | float) -> Array:
        return _truncated_normal(u, *self._ends())

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return x.astype(np.float64) + self.width * self._noise(u)

    def inverse(self, y: Array) -> Array:
        x: Array = np.rint(y)
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        slope = _log_slope(self.width * self._ends()[1], self._noise(u))
        return np.broadcast_to(slope, x.shape).astype(np.float64)


@dataclass(frozen=True)
class Peak(Transform):
    """A peak below all other values, as normal noise around a place below an edge.

    It is for a zero that a logarithm moves far out, or a score of -1 that means "none": a flow can
    learn neither a single value nor a gap exactly. Values at or below the edge count as the peak.
    No other image lies there, and `inverse` takes every y there to the peak. The noise is cut at
    the edge and at 5 widths below its place.

    Attributes:
        value: The peak.
        edge: Its largest x, and its largest y.
        place: Centre of the noise, below the edge.
        width: Width of the noise.

    Example:
        >>> peak = Peak.fitted(np.array([-1.0, 0.3, 0.9]), -0.01, -0.1, 0.02)
        >>> peak.inverse(peak.forward(np.array([-1.0, 0.3]), 0.9)).tolist()
        [-1.0, 0.3]
    """

    value: float
    edge: float
    place: float
    width: float

    has_cells = True

    def __post_init__(self) -> None:
        ordered = self.value <= self.edge and self.place < self.edge
        if not (np.isfinite(astuple(self)).all() and self.width > 0 and ordered):
            raise InvalidArgument(
                f"a peak at {self.value:g} does not go to {self.place:g} with width "
                f"{self.width:g} below the edge {self.edge:g}"
            )

    @classmethod
    def fitted(
        cls, x: Array, edge: float, place: float | None = None, width: float = 1.0
    ) -> Self:
        """Take the most frequent value up to the edge as the peak; by default it is the place."""
        values, counts = np.unique(x[x <= edge], return_counts=True)
        if len(values):
            value = float(values[np.argmax(counts)])
            return cls(value, edge, value if place is None else place, width)
        return cls(edge, edge, min(edge if place is None else place, edge - width), width)

    def _ends(self) -> tuple[float, float]:
        """Return the share of the noise below its lower end, and between its ends."""
        low = float(ndtr(_REACH))
        return low, float(ndtr((self.edge - self.place) / self.width)) - low

    def _noise(self, u: Array | float) -> Array:
        return _truncated_normal(u, *self._ends())

    def stands_for_cell(self, x: Array) -> Array:
        return x <= self.edge

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        x = x.astype(np.float64)
        return np.where(x <= self.edge, self.place + self.width * self._noise(u), x)

    def inverse(self, y: Array) -> Array:
        return np.where(y <= self.edge, self.value, y)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        slope = _log_slope(self.width * self._ends()[1], self._noise(u))
        return np.where(x <= self.edge, slope, 0.0)
