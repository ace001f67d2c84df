"""One-hot codes of a column of few values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from flowtuple.data.schema import Array


@dataclass(frozen=True)
class OneHot:
    """A column of few values as one column of 0 and 1 for each: for conditions, not for samples.

    Attributes:
        values: The k values; any other value has no 1.

    Example:
        >>> OneHot.fitted(np.array([21.0, 1.0, 21.0])).forward(np.array([21.0, 1.0])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    values: tuple[float, ...]

    @classmethod
    def fitted(cls, x: Array) -> Self:
        """Take every value of x."""
        return cls(tuple(np.unique(x.astype(np.float64)).tolist()))

    def forward(self, x: Array) -> Array:
        """Return the code of each value, shape (n, k)."""
        y: Array = (x[:, None] == np.array(self.values)).astype(np.float64)
        return y

    def inverse(self, y: Array) -> Array:
        """Return the value of the largest number in each row, shape (n,)."""
        x: Array = np.array(self.values)[np.argmax(y, axis=1)]
        return x

    def config(self) -> Mapping[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)
