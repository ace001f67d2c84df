"""What each event counts for in a training: a column of weights, a factor for each of several sources, or both."""

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
        column: Its name; empty for none.
        lengths: Events of each of the sources that the table is made of; empty where it is one.
        factors: What the events of each of them count for.

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
        names = [
            c.name
            for c in self.source.columns
            if c.counter is None and not c.is_opaque and not c.shape
        ]
        if self.column and self.column not in names:
            raise InvalidArgument(
                f"there is no column of weights {self.column!r} with one number an event; {nearest(self.column, names)}"
            )

    def read(self, start: int, stop: int) -> Array:
        """Weights of a range of events: float64, shape (stop - start,).

        Raises:
            InvalidArgument: One is NaN or infinite.
        """
        weights = np.ones(stop - start)
        if self.column:
            weights = np.array(
                self.source.read([self.column], start, stop).data[self.column], np.float64
            )
        if self.lengths:
            number = np.searchsorted(np.cumsum(self.lengths), np.arange(start, stop), side="right")
            weights = weights * np.array(self.factors)[number]
        if not np.isfinite(weights).all():
            raise InvalidArgument(
                f"column {self.column!r}: {int((~np.isfinite(weights)).sum())} weights are no finite numbers"
            )
        return weights
