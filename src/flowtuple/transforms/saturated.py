"""Saturation of long tails: values beyond an edge become the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.transforms.transform import Transform


@dataclass(frozen=True)
class Clip(Transform):
    """y = x from low to high; values beyond become the edge and do not come back.

    Example:
        >>> Clip.fitted(np.array([0.0]), 0.0, 3.0).forward(np.array([-1.0, 2.0, 9.0])).tolist()
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

    @classmethod
    def fitted(cls, x: Array, low: float, high: float) -> Self:
        """Return the transform; the values do not matter."""
        return cls(low, high)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.clip(x.astype(np.float64), self.low, self.high)

    def inverse(self, y: Array) -> Array:
        return np.clip(y, self.low, self.high)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.zeros(len(x))
