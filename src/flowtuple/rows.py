"""Rows from a data set: the objects of one collection with their events, or the events themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.errors import InvalidArgument, nearest
from flowtuple.row_columns import choose_columns
from flowtuple.schema import Array, Column
from flowtuple.table import Dataset, Table, TableSource


@dataclass(frozen=True)
class Rows:
    """Objects or events of one sample as numbers.

    Attributes:
        source: What the sample is called in messages.
        columns: Names of d columns.
        values: float64 of shape (n, d), all finite.
        event: The event of each row, int64 of shape (n,), from 0 to `events` - 1.
        events: Number of events; some may be without rows.
        weights: float64 of shape (n,); `None` where every row counts once.
        dropped: Rows that were left out because a value was NaN or infinite.
        dtypes: NumPy names of the columns' stored types; empty where nobody has said.
        counter: Name of the collection's counter; `None` where rows are events.
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

    def __len__(self) -> int:
        return len(self.values)

    def like(self, other: Rows) -> Rows:
        """The same rows with the columns of another sample, in its order.

        Raises:
            InvalidArgument: One is missing here; the message names the nearest.
        """
        for name in other.columns:
            if name not in self.columns:
                close = nearest(name, self.columns)
                raise InvalidArgument(f"{self.source}: it lacks column {name!r} of {other.source}; {close}")
        return self.only(other.columns)

    def some(self, keep: Array) -> Rows:
        """Some of the rows, their events' numbers unchanged; `keep` is bool of shape (n,)."""
        weights = None if self.weights is None else self.weights[keep]
        return replace(self, values=self.values[keep], event=self.event[keep], weights=weights)

    def only(self, columns: Sequence[str]) -> Rows:
        """The same rows with some of their columns."""
        places = [self.columns.index(name) for name in columns]
        dtypes = tuple(self.dtypes[k] for k in places) if self.dtypes else ()
        return replace(self, columns=tuple(columns), values=self.values[:, places], dtypes=dtypes)


@dataclass(frozen=True)
class RowSource:
    """Where rows come from: any range of events gives its own.

    Attributes:
        source: What the sample is called in messages.
        table: Its events.
        columns: Of events, or of objects that one counter counts.
        weight: The column of weights, if there is one.
    """

    source: str
    table: TableSource
    columns: tuple[Column, ...]
    weight: Column | None = None

    @property
    def counter(self) -> str | None:
        """Name of the collection's counter; `None` where rows are events."""
        return self.columns[0].counter

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows' columns; a fixed array is as many as it has places."""
        places = [(c, range(math.prod(c.shape))) for c in self.columns]
        return tuple(f"{c.name}[{k}]" if c.shape else c.name for c, numbers in places for k in numbers)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Their types."""
        return tuple(c.dtype for c in self.columns for _ in range(math.prod(c.shape)))

    def read(self, start: int, stop: int, *, keep_undefined: bool = False) -> Rows:
        """The rows of a range of events, which count from 0.

        Args:
            start: The first event.
            stop: The one after the last.
            keep_undefined: Keep rows with NaN or an infinity.
        """
        wanted = [c.name for c in self.columns] + ([self.weight.name] if self.weight else [])
        table = self.table.read(wanted, start, stop)
        event = _events(table, self.counter)
        weights = None if self.weight is None else _weights(table, self.weight, event)
        values = np.concatenate([_numbers(table, c) for c in self.columns], axis=1)
        keep = np.isfinite(values).all(axis=1) & (True if weights is None else np.isfinite(weights))
        if keep_undefined:
            keep = np.ones(len(values), bool)
        return Rows(
            self.source,
            self.names,
            values[keep],
            event[keep],
            table.num_entries,
            None if weights is None else weights[keep],
            int((~keep).sum()),
            self.dtypes,
            self.counter,
        )


def read_rows(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    *,
    keep_undefined: bool = False,
    exactly: Sequence[str] = (),
) -> Rows:
    """The columns that the globs keep, as float64; ids, weights and what is no number stay out.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs; none means all.
        weights: Name of the column of weights, one for each event or for each object.
        keep_undefined: Keep rows with NaN or an infinity.
        exactly: Names, as in `Rows.columns`, of the columns to take, whatever their roles; in place of `columns`.

    Raises:
        InvalidArgument: A name or glob matches nothing, several tables or collections are left, or no row is.

    Example:
        >>> from flowtuple.events.source import open_dataset
        >>> rows = read_rows(open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]}))
        >>> rows.event.tolist(), rows.events
        ([0, 0, 2], 3)
    """
    source = row_source(dataset, columns, weights, exactly=exactly)
    return source.read(0, source.table.num_entries, keep_undefined=keep_undefined)


def row_source(
    dataset: Dataset, columns: Sequence[str] = (), weights: str | None = None, *, exactly: Sequence[str] = ()
) -> RowSource:
    """What `read_rows` would read, for whoever reads it in parts.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables or collections are left.
    """
    table, chosen, weight = choose_columns(dataset, columns, weights, exactly)
    return RowSource(dataset.description, table, chosen, weight)


def _events(table: Table, counter: str | None) -> Array:
    if counter is None:
        return np.arange(table.num_entries)
    return np.repeat(np.arange(table.num_entries), np.asarray(table.data[counter]))


def _weights(table: Table, column: Column, event: Array) -> Array:
    content = np.asarray(table.data[column.name], dtype=np.float64)
    return content[event] if column.counter is None else content


def _numbers(table: Table, column: Column) -> Array:
    """Shape (n, places), float64."""
    content = np.asarray(table.data[column.name], dtype=np.float64)
    return content.reshape(len(content), -1 if len(content) else math.prod(column.shape))
