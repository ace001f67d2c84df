"""Per-event training weights: a column of weights, factors of several sources, or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
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
        where: Name of the sample in messages.

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
    where: str = "events"

    def __post_init__(self) -> None:
        if self.column:
            check_column(self.where, self.column, self.source.columns)

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
        return check_finite(
            weights, self.where, self.column or "mix", np.arange(start, stop)
        )


def check_column(where: str, name: str, columns: Sequence[Column]) -> None:
    """Raise if a column is not there or does not have one number an event; as in `no_weights`.

    Example:
        >>> check_column("a.csv", "w", [Column("w", "float32")])
    """
    names = [c.name for c in columns if c.is_event_number]
    if name not in names:
        raise no_weights(where, name, columns, names)


def no_weights(
    where: str, name: str, columns: Iterable[Column], fitting: Iterable[str]
) -> InvalidArgument:
    """Return the error for a column that cannot be weights, or that is not there.

    Args:
        where: Name of the sample in the message.
        name: Name of the column of weights.
        columns: All columns of the table.
        fitting: Names of those that can be weights.

    Example:
        >>> str(no_weights("a.parquet", "w", [Column("w", "opaque")], ["x"]))
        "a.parquet: column 'w' cannot be weights: values are missing or no numbers; \
leave such events out or name another; there are: x"
    """
    others = nearest(name, fitting)
    for column in columns:
        if column.name == name:
            several = "it has lists or arrays, not one number an event"
            fault = "values are missing or no numbers" if column.is_opaque else several
            advice = f"{'leave such events out or ' * column.is_opaque}name another"
            return InvalidArgument(
                f"{where}: column {name!r} cannot be weights: {fault}; {advice}; {others}"
            )
    return InvalidArgument(f"{where}: no column of weights {name!r}; {others}")


def check_finite(
    weights: Array, where: str, column: str, event: Array | None = None
) -> Array:
    """Return weights that are all finite.

    Args:
        weights: float64 of shape (n,).
        where: Name of the sample in messages.
        column: Name of the column of weights.
        event: Number of the event of each, shape (n,); `None` counts them from 0.

    Raises:
        InvalidArgument: One is NaN or infinite; the message names the first event.

    Example:
        >>> check_finite(np.array([1.0, np.nan]), "a.root", "w")
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: a.root: column 'w': 1 weight is NaN or infinite, \
the first in event 1; leave such events out
    """
    undefined = np.flatnonzero(~np.isfinite(weights))
    if len(undefined):
        count = "1 weight is" if len(undefined) == 1 else f"{len(undefined)} weights are"
        first = undefined[0] if event is None else event[undefined[0]]
        raise InvalidArgument(
            f"{where}: column {column!r}: {count} NaN or infinite, "
            f"the first in event {first}; leave such events out"
        )
    return weights


def check_sum(weights: Array, where: str, column: str, least: float = 0.0) -> None:
    """Raise if weights cannot be divided by their sum.

    Args:
        weights: Finite weights of events or rows, shape (n,).
        where: Name of the sample in messages.
        column: Name of the column of weights.
        least: Number of events of weight 1 that weights of both signs have to be worth: the square
            of their sum over the sum of their squares.

    Raises:
        InvalidArgument: Their sum is not positive, or they are worth too few events.

    Example:
        >>> check_sum(np.array([-1.0, -2.0]), "a.root", "w")
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: a.root: the weights sum to -3 because all 2 of \
column 'w' are negative; give weights of a positive sum
    """
    total, squares = float(weights.sum()), float(np.square(weights).sum())
    worth = total**2 / squares if squares else 0.0
    if total > 0 and (worth > least or not (weights < 0).any()):
        return
    advice = "give weights of a positive sum"
    everyone = f"all {len(weights)} of column {column!r} are"
    if not weights.any():
        why = f"{everyone} 0"
    elif not (weights > 0).any():
        why = f"{everyone} negative{'' if (weights < 0).all() else ' or 0'}"
    elif total <= 0:
        why = f"the negative ones of column {column!r} cancel or outweigh the others"
    else:
        why = f"those of column {column!r} nearly cancel and are worth {worth:.1f} events"
        advice = f"{least:g} are needed, so add events or take other weights"
    raise InvalidArgument(
        f"{where}: the weights sum to {total:g} because {why}; {advice}"
    )
