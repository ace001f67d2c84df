"""Smooth transforms: one formula each, and the saturation of long tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.transform import Image, Transform

# share of an offset below which a result is 0
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
_MARGIN = 1e-9  # share of an open range that an inverse leaves free at its edges


@dataclass(frozen=True)
class Affine(Transform):
    """y = (x - shift) / scale; a scale below 0 mirrors.

    Example:
        >>> Affine(2.0, 0.5).forward(np.array([2.0, 3.0])).tolist()
        [0.0, 2.0]
    """

    shift: float
    scale: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.shift) and np.isfinite(self.scale) and self.scale != 0):
            raise InvalidArgument(
                f"(x - {self.shift:g}) / {self.scale:g} cannot be undone: "
                "the scale must be a number other than 0"
            )

    @classmethod
    def robust(cls, x: Array) -> Self:
        """Bring the median to 0 and the distance of the quartiles to 1.

        If the quartiles coincide, the standard deviation becomes 1.
        """
        low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
        return cls(float(middle), float(high - low) or float(x.std()) or 1.0)

    def image(self, x: Array, u: Array | float) -> Image:
        return Image((x - self.shift) / self.scale, -np.log(abs(self.scale)))

    def inverse(self, y: Array) -> Array:
        return y * self.scale + self.shift


@dataclass(frozen=True)
class Log(Transform):
    """y = log_base(x + offset); values at or below -offset are outside the domain and give NaN.

    Example:
        >>> Log(base=10.0).forward(np.array([0.01, 100.0])).tolist()
        [-2.0, 2.0]
    """

    offset: float = 0.0
    base: float = float(np.e)

    def __post_init__(self) -> None:
        if not (1 < self.base < np.inf and np.isfinite(self.offset)):
            raise InvalidArgument(
                f"log to the base {self.base:g} of x + {self.offset:g} cannot be undone"
            )

    def image(self, x: Array, u: Array | float) -> Image:
        shifted = x + self.offset
        inside = np.where(shifted > 0, shifted, np.nan)
        natural, scale = np.log(inside), np.log(self.base)
        y = np.log10(inside) if self.base == 10.0 else natural / scale
        return Image(y, -natural - np.log(scale))

    def inverse(self, y: Array) -> Array:
        with np.errstate(over="ignore"):
            power = np.power(self.base, y)
        x = np.minimum(power, np.finfo(np.float64).max) - self.offset
        return np.where(np.abs(x) <= _ROUNDING * abs(self.offset), 0.0, x)


@dataclass(frozen=True)
class Atan(Transform):
    """y = atan(scale x): long tails become short.

    Example:
        >>> t = Atan(100.0)
        >>> t.inverse(t.forward(np.array([0.25]))).round(12).tolist()
        [0.25]
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf:
            raise InvalidArgument(
                f"atan({self.scale:g} x) cannot be undone: the number must be above 0"
            )

    def image(self, x: Array, u: Array | float) -> Image:
        scaled = self.scale * x
        with np.errstate(over="ignore"):
            slope = np.log(self.scale) - np.log1p(np.square(scaled))
        return Image(np.arctan(scaled), slope)

    def inverse(self, y: Array) -> Array:
        edge = np.pi / 2 * (1 - _MARGIN)
        return np.asarray(np.tan(np.clip(y, -edge, edge)) / self.scale)


@dataclass(frozen=True)
class Logit(Transform):
    """y = ln(p / (1 - p)) with p = beta + (1 - 2 beta) (x - low) / (high - low).

    A beta above 0 keeps the images of the ends of the range finite.

    Papamakarios et al., "Masked autoregressive flow for density estimation" (2017), use 1e-6.

    Example:
        >>> logit = Logit(0.0, 1.0)
        >>> logit.inverse(logit.forward(np.array([0.0, 0.5, 1.0]))).round(9).tolist()
        [0.0, 0.5, 1.0]
    """

    low: float
    high: float
    beta: float = 1e-6

    def __post_init__(self) -> None:
        if not (
            0 < self.beta < 0.5
            and self.low < self.high
            and np.isfinite(self.high - self.low)
        ):
            raise InvalidArgument(
                f"a logit from {self.low:g} to {self.high:g} with beta {self.beta:g} "
                "cannot be undone"
            )

    @classmethod
    def fitted(cls, x: Array, beta: float = 1e-6) -> Self:
        """Take the range of the values."""
        low, high = float(x.min()), float(x.max())
        return cls(low, high if high > low else low + 1.0, beta)

    def image(self, x: Array, u: Array | float) -> Image:
        width, inner = self.high - self.low, 1 - 2 * self.beta
        share = self.beta + inner * (x - self.low) / width
        p = np.where((share > 0) & (share < 1), share, np.nan)
        log_p, log_rest = np.log(p), np.log1p(-p)
        return Image(log_p - log_rest, np.log(inner / width) - log_p - log_rest)

    def inverse(self, y: Array) -> Array:
        p = 0.5 * (1 + np.tanh(0.5 * y))
        x = self.low + (p - self.beta) / (1 - 2 * self.beta) * (self.high - self.low)
        return np.clip(x, self.low, self.high)


@dataclass(frozen=True)
class Clip(Transform):
    """y = x from low to high; values beyond become the edge and do not come back.

    Example:
        >>> Clip(0.0, 3.0).forward(np.array([-1.0, 2.0, 9.0])).tolist()
        [0.0, 2.0, 3.0]
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise InvalidArgument(
                f"clip from {self.low:g} to {self.high:g} leaves nothing; "
                "write for example clip:-5:5"
            )

    def image(self, x: Array, u: Array | float) -> Image:
        return Image(self.inverse(x), 0.0)

    def inverse(self, y: Array) -> Array:
        return np.clip(y, self.low, self.high)
