"""Single values spread as normal noise: whole numbers, and a peak that lies apart from all other values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.special import ndtr, ndtri

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

_ROOM = 1e-6  # share of the noise that a place keeps from its ends, so that rounding cannot carry it over


def _place(u: Array | float) -> Array:
    return np.clip(u, _ROOM, 1 - _ROOM)


@dataclass(frozen=True)
class Smear:
    """y = x + width n for whole x, n normal noise from u and cut where the next value begins: undone exactly by rounding.

    Attributes:
        width: Of the noise, above 0.

    Example:
        >>> Smear(0.1).inverse(Smear(0.1).forward(np.array([1.0, 2.0]), 0.999)).tolist()
        [1.0, 2.0]
    """

    width: float = 0.1

    has_cells = True

    def __post_init__(self) -> None:
        if not 0 < self.width < np.inf:
            raise InvalidArgument(f"noise of width {self.width:g} smears nothing; 0.1 is usual")

    @classmethod
    def fitted(cls, x: Array, width: float = 0.1) -> Self:
        """Nothing to fit; the values have to be whole."""
        if not (x == np.rint(x)).all():
            raise InvalidArgument("smear is for whole numbers; leave it out, or round before")
        return cls(width)

    def _noise(self, u: Array | float) -> Array:
        """Normal, between half a step on either side."""
        end = float(ndtr(-0.5 / self.width))
        noise: Array = ndtri(end + _place(u) * (1 - 2 * end))
        return noise

    def stands_for_cell(self, x: Array) -> Array:
        return np.ones(len(x), bool)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return x.astype(np.float64) + self.width * self._noise(u)

    def inverse(self, y: Array) -> Array:
        x: Array = np.rint(y)
        return x

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        share = 1 - 2 * float(ndtr(-0.5 / self.width))
        slope = (
            np.log(self.width * share) + 0.5 * np.square(self._noise(u)) + 0.5 * np.log(2 * np.pi)
        )
        return np.broadcast_to(slope, x.shape).astype(np.float64)

    def config(self) -> Mapping[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Peak:
    """The smallest value, a peak that lies apart from all others, as normal noise of a width around a place below an edge.

    For a zero that a logarithm has thrown far out, or a score of -1 that means none: a flow cannot learn one value exactly, nor
    what lies behind a gap. Values at or below the edge count as the peak; no other image lies there, and `inverse` takes
    every y there to the peak. The noise is cut at the edge and at 5 widths below its place.

    Attributes:
        value: The peak.
        edge: Largest x, and y, of it.
        place: Where its noise is centred, below the edge.
        width: Of the noise.

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
        numbers = (self.value, self.edge, self.place, self.width)
        if not (
            all(np.isfinite(numbers))
            and self.width > 0
            and self.value <= self.edge
            and self.place < self.edge
        ):
            raise InvalidArgument(
                f"a peak at {self.value:g} does not go to {self.place:g} with width {self.width:g} below the edge {self.edge:g}"
            )

    @classmethod
    def fitted(cls, x: Array, edge: float, place: float | None = None, width: float = 1.0) -> Self:
        """The peak is the most frequent value up to the edge; without a place its noise is centred on itself."""
        values, counts = np.unique(x[x <= edge], return_counts=True)
        value = float(values[np.argmax(counts)]) if len(values) else edge
        centre = value if place is None else place
        return cls(value, edge, min(centre, edge - width) if not len(values) else centre, width)

    def _ends(self) -> tuple[float, float]:
        """Shares of the uncut noise at its ends."""
        return float(ndtr(-5.0)), float(ndtr((self.edge - self.place) / self.width))

    def _noise(self, u: Array | float) -> Array:
        low, high = self._ends()
        noise: Array = ndtri(low + _place(u) * (high - low))
        return noise

    def stands_for_cell(self, x: Array) -> Array:
        return x <= self.edge

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        x = x.astype(np.float64)
        return np.where(x <= self.edge, self.place + self.width * self._noise(u), x)

    def inverse(self, y: Array) -> Array:
        return np.where(y <= self.edge, self.value, y)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        low, high = self._ends()
        slope = (
            np.log(self.width * (high - low))
            + 0.5 * np.square(self._noise(u))
            + 0.5 * np.log(2 * np.pi)
        )
        return np.where(x <= self.edge, slope, 0.0)

    def config(self) -> Mapping[str, Any]:
        return asdict(self)
