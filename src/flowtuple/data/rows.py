"""Rows of numbers: the objects of one collection with their events, or the events themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions of each row: columns of the same objects, or of their events.

    Attributes:
        columns: Names of c columns.
        values: float64 of shape (n, c).
        dtypes: NumPy names of the columns' stored types.
    """

    columns: tuple[str, ...]
    values: Array
    dtypes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def only(self, columns: Sequence[str]) -> Conditions:
        """Return the same rows with some of their columns, in this order."""
        places = [self.columns.index(name) for name in columns]
        return Conditions(
            tuple(columns), self.values[:, places], tuple(self.dtypes[k] for k in places)
        )


@dataclass(frozen=True)
class Rows:
    """Objects or events of one sample as numbers.

    Attributes:
        source: Name of the sample in messages.
        columns: Names of d columns.
        values: float64 of shape (n, d), all finite.
        event: The event of each row, int64 of shape (n,), from 0 to `events` - 1.
        events: Number of events; some may be without rows.
        weights: float64 of shape (n,); `None` if every row counts once.
        dropped: Rows that were left out because a value was NaN or infinite.
        dtypes: NumPy names of the columns' stored types; empty where they are unknown.
        counter: Name of the collection's counter; `None` where rows are events.
        conditions: Conditions of each row, if there are any.
    """

    source: str
    columns: tuple[str, ...]
    values: Array
    event: Array
    events: int
    weights: Array | None = None
    dropped: int = 0
    dtypes: tuple[str, ...] = ()
    counter: str | None = None
    conditions: Conditions | None = None

    def __len__(self) -> int:
        return len(self.values)

    def like(self, other: Rows) -> Rows:
        """Return the same rows with the columns of another sample, in its order.

        Raises:
            InvalidArgument: A column is missing here; the message names the nearest.
        """
        for name in other.columns:
            if name not in self.columns:
                close = nearest(name, self.columns)
                raise InvalidArgument(
                    f"{self.source}: it lacks column {name!r} of {other.source}; {close}"
                )
        return self.only(other.columns)

    def some(self, keep: Array) -> Rows:
        """Return the rows of a mask, bool of shape (n,), with the same numbers of events."""
        weights = None if self.weights is None else self.weights[keep]
        conditions = self.conditions
        if conditions is not None:
            conditions = replace(conditions, values=conditions.values[keep])
        return replace(
            self,
            values=self.values[keep],
            event=self.event[keep],
            weights=weights,
            conditions=conditions,
        )

    def only(self, columns: Sequence[str]) -> Rows:
        """Return the same rows with some of their columns."""
        places = [self.columns.index(name) for name in columns]
        dtypes = tuple(self.dtypes[k] for k in places) if self.dtypes else ()
        return replace(
            self, columns=tuple(columns), values=self.values[:, places], dtypes=dtypes
        )
