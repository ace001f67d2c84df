"""Per-event training weights: a column of weights, factors of several sources, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument, nearest


@dataclass(frozen=True)
class Weighting:
    """Weights of a table's events.

    Attributes:
        source: The table, with the column of weights.
        column: Name of the column of weights; empty for none.
        lengths: Numbers of events of the sources that the table consists of; empty for one source.
        factors: Weights of these sources' events.

    Raises:
        InvalidArgument: The table has no such column with one number an event.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> table = open_dataset({"w": [1.0, 2.0, 4.0]}).table("events")
        >>> Weighting(table, "w", (1, 2), (1.0, 0.5)).read(0, 3).tolist()
        [1.0, 1.0, 2.0]
    """

    source: TableSource
    column: str = ""
    lengths: Sequence[int] = ()
    factors: Sequence[float] = ()

    def __post_init__(self) -> None:
        names = [c.name for c in self.source.columns if c.is_event_number]
        if self.column and self.column not in names:
            raise InvalidArgument(
                f"there is no column of weights {self.column!r} with one number an event; "
                f"{nearest(self.column, names)}"
            )

    def read(self, start: int, stop: int) -> Array:
        """Return the weights of a range of events: float64, shape (stop - start,).

        Raises:
            InvalidArgument: One is NaN or infinite.
        """
        weights = np.ones(stop - start)
        if self.column:
            table = self.source.read([self.column], start, stop)
            weights = np.array(table[self.column], np.float64)
        if self.lengths:
            number = np.searchsorted(
                np.cumsum(self.lengths), np.arange(start, stop), side="right"
            )
            weights = weights * np.array(self.factors)[number]
        undefined = np.count_nonzero(~np.isfinite(weights))
        if undefined:
            raise InvalidArgument(
                f"column {self.column!r}: {undefined} weights are no finite numbers"
            )
        return weights
