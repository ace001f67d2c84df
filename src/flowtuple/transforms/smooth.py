"""Smooth transforms: one formula each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.transform import Transform

_ROUNDING = 64 * float(
    np.finfo(np.float64).eps
)  # share of an offset below which a result is 0
_MARGIN = 1e-9  # share of an open range that an inverse leaves free at its edges


@dataclass(frozen=True)
class Affine(Transform):
    """y = (x - shift) / scale; a scale below 0 mirrors.

    Example:
        >>> Affine.standard(np.array([1.0, 2.0, 3.0])).forward(np.array([2.0])).tolist()
        [0.0]
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
    def divide(cls, x: Array, by: float = 1.0) -> Self:
        """Return x / c."""
        return cls(0.0, by)

    @classmethod
    def subtract(cls, x: Array, by: float = 0.0) -> Self:
        """Return x - c."""
        return cls(by, 1.0)

    @classmethod
    def standard(cls, x: Array) -> Self:
        """Bring the mean to 0 and the standard deviation to 1; constant values keep their scale."""
        return cls(float(x.mean()), float(x.std()) or 1.0)

    @classmethod
    def min_max(cls, x: Array) -> Self:
        """Bring the range to [0, 1]."""
        return cls(float(x.min()), float(np.ptp(x)) or 1.0)

    @classmethod
    def robust(cls, x: Array) -> Self:
        """Bring the median to 0 and the distance of the quartiles to 1.

        If the quartiles coincide, the standard deviation becomes 1.
        """
        low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
        return cls(float(middle), float(high - low) or float(x.std()) or 1.0)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return (x.astype(np.float64) - self.shift) / self.scale

    def inverse(self, y: Array) -> Array:
        return y * self.scale + self.shift

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.full(len(x), -np.log(abs(self.scale)))


@dataclass(frozen=True)
class Log(Transform):
    """y = log_base(x + offset); values at or below -offset are outside the domain and give NaN.

    Example:
        >>> Log.ten(np.array([1.0])).forward(np.array([0.01, 100.0])).tolist()
        [-2.0, 2.0]
    """

    offset: float = 0.0
    base: float = float(np.e)

    def __post_init__(self) -> None:
        if not (1 < self.base < np.inf and np.isfinite(self.offset)):
            raise InvalidArgument(
                f"log to the base {self.base:g} of x + {self.offset:g} cannot be undone"
            )

    @classmethod
    def natural(cls, x: Array, offset: float = 0.0) -> Self:
        """Return ln(x + offset)."""
        return cls(offset)

    @classmethod
    def one_plus(cls, x: Array) -> Self:
        """Return ln(1 + x)."""
        return cls(1.0)

    @classmethod
    def ten(cls, x: Array, offset: float = 0.0) -> Self:
        """Return log10(x + offset)."""
        return cls(offset, 10.0)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        shifted = x.astype(np.float64) + self.offset
        inside = np.where(shifted > 0, shifted, np.nan)
        y: Array = (
            np.log10(inside) if self.base == 10.0 else np.log(inside) / np.log(self.base)
        )
        return y

    def inverse(self, y: Array) -> Array:
        with np.errstate(over="ignore"):
            x: Array = (
                np.minimum(np.power(self.base, y), np.finfo(np.float64).max) - self.offset
            )
        return np.where(np.abs(x) <= _ROUNDING * abs(self.offset), 0.0, x)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        shifted = x.astype(np.float64) + self.offset
        ladj: Array = -np.log(np.where(shifted > 0, shifted, np.nan)) - np.log(
            np.log(self.base)
        )
        return ladj


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

    @classmethod
    def scaled(cls, x: Array, scale: float = 1.0) -> Self:
        """Return atan(scale x)."""
        return cls(scale)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        y: Array = np.arctan(self.scale * x.astype(np.float64))
        return y

    def inverse(self, y: Array) -> Array:
        edge = np.pi / 2 * (1 - _MARGIN)
        x: Array = np.tan(np.clip(y, -edge, edge)) / self.scale
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        ladj: Array = np.log(self.scale) - np.log1p(
            np.square(self.scale * x.astype(np.float64))
        )
        return ladj


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
            0 < self.beta < 0.5 and self.low < self.high and np.isfinite(self.high - self.low)
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

    def _share(self, x: Array) -> Array:
        offset, width = x.astype(np.float64) - self.low, self.high - self.low
        p = self.beta + (1 - 2 * self.beta) * offset / width
        return np.where((p > 0) & (p < 1), p, np.nan)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        p = self._share(x)
        y: Array = np.log(p) - np.log1p(-p)
        return y

    def inverse(self, y: Array) -> Array:
        p = 0.5 * (1 + np.tanh(0.5 * y))
        x: Array = self.low + (p - self.beta) / (1 - 2 * self.beta) * (self.high - self.low)
        return np.clip(x, self.low, self.high)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        p = self._share(x)
        ladj: Array = (
            np.log((1 - 2 * self.beta) / (self.high - self.low)) - np.log(p) - np.log1p(-p)
        )
        return ladj
