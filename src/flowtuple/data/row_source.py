"""Rows read from a data set, whole or a range of events at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.row_columns import (
    check_conditioning,
    choose_columns,
    conditioning_columns,
    escaped,
    weight_column,
)
from flowtuple.data.rows import Conditions, Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True)
class RowSource:
    """Source of rows, which reads those of any range of events.

    Attributes:
        source: Name of the sample in messages.
        table: Its events.
        columns: Columns of events, or of objects that one counter counts.
        weight: The column of weights, if there is one.
        conditions: Conditioning columns of the same objects, or of events.
    """

    source: str
    table: TableSource
    columns: tuple[Column, ...]
    weight: Column | None = None
    conditions: tuple[Column, ...] = ()

    @property
    def counter(self) -> str | None:
        """Name of the collection's counter; `None` where rows are events."""
        return self.columns[0].counter

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows' columns; a fixed array is as many as it has places."""
        return _names(self.columns)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Types of the rows' columns."""
        return _dtypes(self.columns)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return _names(self.conditions)

    @property
    def condition_dtypes(self) -> tuple[str, ...]:
        """Types of the conditions."""
        return _dtypes(self.conditions)

    def read(self, start: int, stop: int, *, keep_undefined: bool = False) -> Rows:
        """Read the rows of a range of events, which count from 0.

        Args:
            start: The first event.
            stop: The event after the last.
            keep_undefined: Include rows with NaN or an infinity.
        """
        weights = () if self.weight is None else (self.weight,)
        read = [c.name for c in (*self.columns, *self.conditions, *weights)]
        table = self.table.read(read, start, stop)
        event = _event_numbers(table, self.counter)
        values = _matrix(table, self.columns, event)
        rows = Rows(
            self.source,
            self.names,
            values,
            event,
            table.num_entries,
            weights=_of_rows(table, self.weight, event)[:, 0] if self.weight else None,
            dtypes=self.dtypes,
            counter=self.counter,
            conditions=_conditions(table, self.conditions, event)
            if self.conditions
            else None,
        )
        if keep_undefined:
            return rows
        keep: Array = np.all(np.isfinite(values), axis=1)
        if rows.weights is not None:
            keep &= np.isfinite(rows.weights)
        if rows.conditions is not None:
            keep &= np.isfinite(rows.conditions.values).all(axis=1)
        return replace(rows.some(keep), dropped=int((~keep).sum()))


def read_rows(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    *,
    keep_undefined: bool = False,
    exactly: Sequence[str] = (),
    conditions: Sequence[str] = (),
) -> Rows:
    """Read the columns of the globs as float64, without ids, weights and opaque columns.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs; none means all.
        weights: Name of the column of weights, one for each event or for each object.
        keep_undefined: Include rows with NaN or an infinity.
        exactly: Names, as in `Rows.columns`, of the columns to take, whatever their roles; in place
            of `columns`.
        conditions: Names or globs of columns of the same objects, or of their events, that become
            `Rows.conditions`.

    Raises:
        InvalidArgument: A name or glob matches nothing, several tables or collections are left,
            or no row is.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> rows = read_rows(open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]}))
        >>> rows.event.tolist(), rows.events
        ([0, 0, 2], 3)
    """
    source = row_source(dataset, columns, weights, exactly=exactly, conditions=conditions)
    return source.read(0, source.table.num_entries, keep_undefined=keep_undefined)


def row_source(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    *,
    exactly: Sequence[str] = (),
    conditions: Sequence[str] = (),
) -> RowSource:
    """Return the source of the rows of `read_rows`, to read them in parts.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables or collections are left.
    """
    table, chosen, conditioning = choose_columns(
        dataset, columns, weights, exactly, conditions
    )
    weight = None
    if weights is not None:
        weight = weight_column(table, weights, chosen[0].counter, dataset.description)
    return RowSource(dataset.description, table, chosen, weight, conditioning)


def read_conditions(dataset: Dataset, columns: Sequence[str]) -> Conditions:
    """Read the conditions of rows from a data set that may contain nothing else.

    Args:
        dataset: With one table.
        columns: Names, as in `Conditions.columns`; all of events, or some of the objects of one
            collection.

    Raises:
        InvalidArgument: A column is missing, or one of its values is NaN or infinite.
    """
    source = dataset.only_table()
    chosen = conditioning_columns(source, escaped(columns), dataset.description)
    counter = next((c.counter for c in chosen if c.counter is not None), None)
    check_conditioning(chosen, counter, dataset.description)
    table = source.read([c.name for c in chosen], 0, source.num_entries)
    conditions = _conditions(table, chosen, _event_numbers(table, counter))
    for name, values in zip(conditions.columns, conditions.values.T, strict=True):
        undefined = np.count_nonzero(~np.isfinite(values))
        if undefined:
            raise InvalidArgument(
                f"{dataset.description}: column {name!r}: {undefined} values are NaN or infinite; "
                "leave these rows out"
            )
    return conditions.only(columns)


def _conditions(table: Table, columns: Sequence[Column], event: Array) -> Conditions:
    return Conditions(_names(columns), _matrix(table, columns, event), _dtypes(columns))


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    names: list[str] = []
    for column in columns:
        if column.shape:
            names += [f"{column.name}[{k}]" for k in range(math.prod(column.shape))]
        else:
            names.append(column.name)
    return tuple(names)


def _dtypes(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(c.dtype for c in columns for _ in range(math.prod(c.shape)))


def _event_numbers(table: Table, counter: str | None) -> Array:
    """Return the event of each row."""
    events = np.arange(table.num_entries)
    return events if counter is None else np.repeat(events, np.asarray(table.data[counter]))


def _matrix(table: Table, columns: Sequence[Column], event: Array) -> Array:
    return np.concatenate([_of_rows(table, c, event) for c in columns], axis=1)


def _of_rows(table: Table, column: Column, event: Array) -> Array:
    """Return float64 of shape (n, places); numbers of an event go to all its objects."""
    content = np.asarray(table.data[column.name], dtype=np.float64)
    content = content.reshape(len(content), -1 if len(content) else math.prod(column.shape))
    return content[event] if column.counter is None else content
