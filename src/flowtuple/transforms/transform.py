"""What a transform is: the values of one column as real numbers that a flow can learn, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flowtuple.data.schema import Array


class Transform(Protocol):
    """A monotone map of one column, fitted once; a frozen dataclass whose fields are plain JSON.

    A value that stands for a whole cell (an integer, a repeated value) is spread over the cell's image: `u`, from 0 to 1,
    says where in it. The laws, for every x of the domain and every u:

    - `inverse(forward(x, u))` is x: exactly where x stands for a cell, to rounding elsewhere;
    - `log_det(x, u)` is ln|dy/dx|, or ln|dy/du| where x stands for a cell, so that the density of y times `exp(log_det)`
      is a density in x, or at a cell its probability once averaged over u;
    - `inverse` takes any finite y, also one that no x is mapped to.
    """

    @property
    def has_cells(self) -> bool:
        """Whether some value is spread over a cell, so that `u` matters."""

    def stands_for_cell(self, x: Array) -> Array:
        """Which values are spread over a cell: bool of shape (n,)."""

    def forward(self, x: Array, u: Array | float = 0.5) -> Array:
        """Images y of shape (n,) in float64 from x of shape (n,)."""

    def inverse(self, y: Array) -> Array:
        """Values x in float64 from y, both of shape (n,)."""

    def log_det(self, x: Array, u: Array | float = 0.5) -> Array:
        """Of shape (n,)."""

    def config(self) -> Mapping[str, Any]:
        """The fields as JSON."""
