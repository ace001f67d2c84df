"""The contract of a transform between values of one column and numbers that a flow can learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from flowtuple.data.schema import Array


class Image(NamedTuple):
    """Images y of values, the logarithm of the slope, and which values stand for cells."""

    y: Array
    log_det: Array | float
    cells: Array | bool = False


class Transform(ABC):
    """A monotone map of one column, fitted once; a frozen dataclass whose fields are plain JSON.

    A value may stand for a whole cell, as an integer or a repeated value does. It is spread over
    the image of the cell, and `u` from 0 to 1 is the position in it. The laws, for every x of the
    domain and every u:

    - `inverse(forward(x, u))` is x: exactly if x stands for a cell, to rounding otherwise;
    - `log_det(x, u)` is ln|dy/dx|, or ln|dy/du| if x stands for a cell. The density of y times
      `exp(log_det)` is then a density in x, or the probability of a cell once averaged over u;
    - `inverse` takes any finite y, also one that is the image of no x.
    """

    @property
    def has_cells(self) -> bool:
        """True if some value stands for a cell, so that `u` matters."""
        return False

    @abstractmethod
    def image(self, x: Array, u: Array | float) -> Image:
        """Return the images of float64 values with slope and cells, in one pass."""

    def stands_for_cell(self, x: Array) -> Array:
        """Return which values stand for a cell: bool of shape (n,)."""
        return np.zeros(len(x), bool) | self.image(x.astype(np.float64), 0.5).cells

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        """Return the images y of values x, both of shape (n,), in float64."""
        return self.image(x.astype(np.float64), u).y

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        """Return the logarithm of the slope, shape (n,)."""
        return np.zeros(len(x)) + self.image(x.astype(np.float64), u).log_det

    @abstractmethod
    def inverse(self, y: Array) -> Array:
        """Return the values x of images y, both of shape (n,), in float64."""

    def config(self) -> Mapping[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]
