"""Single values spread over a cell: whole numbers, and a peak separated from other values."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.transform import Image, Transform

# share of a cell cut off at both ends, so that rounding cannot leave it
MARGIN = 2.0**-20
_NOISE_MARGIN = 1e-6  # the same for noise
_REACH = -5.0  # lower end of a peak's noise, in widths


def log_normal_slope(share: Array | float, quantile: Array) -> Array:
    """Return ln of the slope share / density(quantile) of normal quantiles.

    Args:
        share: How much of the distribution one unit passes.
        quantile: The quantiles.
    """
    slope: Array = np.log(share) + 0.5 * np.square(quantile) + 0.5 * np.log(2 * np.pi)
    return slope


def _truncated_normal(
    u: Array | float, low: float, share: float, width: float
) -> tuple[Array, Array]:
    """Return quantiles of the `share` of normal noise above its share `low`, and ln of dy/du."""
    noise = ndtri(low + np.clip(u, _NOISE_MARGIN, 1 - _NOISE_MARGIN) * share)
    return width * noise, log_normal_slope(width * share, noise)


@dataclass(frozen=True)
class Dequantise(Transform):
    """y = x + u for whole x: uniform dequantisation, inverted exactly by rounding down.

    Theis et al., "A note on the evaluation of generative models" (2016).

    Example:
        >>> Dequantise().inverse(np.array([3.0, 3.999])).tolist()
        [3.0, 3.0]
    """

    has_cells = True

    def image(self, x: Array, u: Array | float) -> Image:
        return Image(x + np.clip(u, MARGIN, 1 - MARGIN), 0.0, cells=True)

    def inverse(self, y: Array) -> Array:
        return np.asarray(np.floor(y))


@dataclass(frozen=True)
class Smear(Transform):
    """y = x + width n for whole x, with n normal noise from u, cut where the next value begins.

    Rounding inverts it exactly.

    Attributes:
        width: Width of the noise, above 0.

    Example:
        >>> Smear(0.1).inverse(Smear(0.1).forward(np.array([1.0, 2.0]), 0.999)).tolist()
        [1.0, 2.0]
    """

    width: float = 0.1

    has_cells = True

    def __post_init__(self) -> None:
        if not 0 < self.width < np.inf:
            raise InvalidArgument(
                f"noise of width {self.width:g} smears nothing; 0.1 is usual"
            )

    def image(self, x: Array, u: Array | float) -> Image:
        end = float(ndtr(-0.5 / self.width))
        noise, slope = _truncated_normal(u, end, 1 - 2 * end, self.width)
        return Image(x + noise, slope, cells=True)

    def inverse(self, y: Array) -> Array:
        return np.asarray(np.rint(y))


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

    def image(self, x: Array, u: Array | float) -> Image:
        low, high = ndtr([_REACH, (self.edge - self.place) / self.width]).tolist()
        noise, slope = _truncated_normal(u, low, high - low, self.width)
        peak = x <= self.edge
        return Image(
            np.where(peak, self.place + noise, x), np.where(peak, slope, 0.0), peak
        )

    def inverse(self, y: Array) -> Array:
        return np.where(y <= self.edge, self.value, y)
