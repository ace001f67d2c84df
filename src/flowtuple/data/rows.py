"""Rows of numbers: the objects of one collection with their events, or the events themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.schema import Array, Column, infer_role
from flowtuple.errors import InvalidArgument, nearest


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
        conditions: The same rows in other columns that their values depend on, if there are any:
            columns of the same objects, or of their events.
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
    conditions: Rows | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def weight(self) -> Array:
        """Weight of each row, 1 where there are none."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def context(self) -> Array:
        """Values of the conditions, shape (n, c), with c = 0 where there are none."""
        return (
            np.empty((len(self), 0))
            if self.conditions is None
            else self.conditions.values
        )

    def like(self, other: Rows) -> Rows:
        """Return the same rows with the columns of another sample, in its order.

        Raises:
            InvalidArgument: A column is missing here; the message names the nearest.
        """
        return self.only(other.columns, of=other.source)

    def some(self, keep: Array) -> Rows:
        """Return the rows of a mask, bool of shape (n,), with the same numbers of events."""
        return replace(
            self,
            values=self.values[keep],
            event=self.event[keep],
            weights=None if self.weights is None else self.weights[keep],
            conditions=None if self.conditions is None else self.conditions.some(keep),
        )

    def finite(self) -> Rows:
        """Return the rows without NaN and infinities, whose number becomes `dropped`."""
        keep: Array = np.all(np.isfinite(self.values), axis=1)
        keep &= np.all(np.isfinite(self.context), axis=1)
        if self.weights is not None:
            keep &= np.isfinite(self.weights)
        return replace(self.some(keep), dropped=int((~keep).sum()))

    def only(
        self,
        columns: Sequence[str],
        given: Sequence[str] | None = None,
        of: str = "the model",
    ) -> Rows:
        """Return the same rows with some of their columns, and of their conditions if named.

        Args:
            columns: Names of the columns.
            given: Names of the conditions; `None` for all.
            of: The owner of these columns in messages.

        Raises:
            InvalidArgument: A column is missing; the message names the nearest.
        """
        for name in columns:
            if name not in self.columns:
                raise InvalidArgument(
                    f"{self.source}: lacks column {name!r} of {of}; {nearest(name, self.columns)}"
                )
        places = [self.columns.index(name) for name in columns]
        conditions = self.conditions
        if conditions is not None and given is not None:
            conditions = conditions.only(given)
        dtypes = tuple(self.dtypes[k] for k in places) if self.dtypes else ()
        return replace(
            self,
            columns=tuple(columns),
            values=self.values[:, places],
            dtypes=dtypes,
            conditions=conditions,
        )


def columns_of_rows(
    names: Sequence[str], dtypes: Sequence[str], counter: str | None = None
) -> tuple[Column, ...]:
    """Return columns of a table for rows of a file or a flow, with the roles that names suggest.

    Args:
        names: Names of the rows' columns.
        dtypes: NumPy names of their types.
        counter: Name of the counter of the objects of an event; `None` where rows are events.

    Example:
        >>> columns = columns_of_rows(["Jet_phi", "Jet_pt"], ["float32", "float32"])
        >>> [column.role for column in columns]
        ['angle', 'value']
    """
    return tuple(
        Column(name, dtype, infer_role(name, dtype), counter=counter)
        for name, dtype in zip(names, dtypes, strict=True)
    )
