"""Long tails cut off: values beyond an edge become it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True)
class Clip:
    """y = x from low to high; what lies beyond becomes the edge and does not come back.

    Example:
        >>> Clip.fitted(np.array([0.0]), 0.0, 3.0).forward(np.array([-1.0, 2.0, 9.0])).tolist()
        [0.0, 2.0, 3.0]
    """

    low: float
    high: float

    has_cells = False

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf:
            raise InvalidArgument(
                f"clip from {self.low:g} to {self.high:g} leaves nothing; write for example clip:-5:5"
            )

    def stands_for_cell(self, x: Array) -> Array:
        return np.zeros(len(x), bool)

    @classmethod
    def fitted(cls, x: Array, low: float, high: float) -> Self:
        """Nothing to fit."""
        return cls(low, high)

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.clip(x.astype(np.float64), self.low, self.high)

    def inverse(self, y: Array) -> Array:
        return np.clip(y, self.low, self.high)

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        return np.zeros(len(x))

    def config(self) -> Mapping[str, Any]:
        return asdict(self)
