"""Rows read from a data set, whole or a range of events at a time.

Their columns are those of one collection, or of the events themselves.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.event_weights import check_finite, no_weights
from flowtuple.data.globs import matches
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.selection import prefix_errors, select
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
        return next((c.counter for c in self.columns if c.counter is not None), None)

    def read(self, start: int, stop: int, *, keep_undefined: bool = False) -> Rows:
        """Read the rows of a range of events, which count from 0.

        Args:
            start: The first event.
            stop: The event after the last.
            keep_undefined: Include rows with NaN or an infinity.
        """
        weight = () if self.weight is None else (self.weight,)
        read = [c.name for c in (*self.columns, *self.conditions, *weight)]
        table = self.table.read(read, start, stop)
        rows = self._rows(table, self.columns)
        if self.conditions:
            rows = replace(rows, conditions=self._rows(table, self.conditions))
        if self.weight is not None:
            weights = self._rows(table, weight).values[:, 0]
            check_finite(weights, self.source, self.weight.name, start + rows.event)
            rows = replace(rows, weights=weights)
        return rows if keep_undefined else rows.finite()

    def _rows(self, table: Table, columns: Sequence[Column]) -> Rows:
        """Return some columns; a fixed array is as many as it has places."""
        event = np.arange(table.num_entries)
        if self.counter is not None:
            event = np.repeat(event, np.asarray(table.data[self.counter]))
        names: list[str] = []
        dtypes: list[str] = []
        parts: list[Array] = []
        for column in columns:
            places = math.prod(column.shape)
            names += (
                [f"{column.name}[{k}]" for k in range(places)]
                if column.shape
                else [column.name]
            )
            dtypes += [column.dtype] * places
            content = np.asarray(table.data[column.name], dtype=np.float64)
            content = content.reshape(len(content), places)
            # Numbers of an event go to all its objects.
            parts.append(content[event] if column.counter is None else content)
        return Rows(
            self.source,
            tuple(names),
            np.concatenate(parts, axis=1),
            event,
            table.num_entries,
            dtypes=tuple(dtypes),
            counter=self.counter,
        )


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
    selected = select(dataset, escaped(exactly) if exactly else columns)
    candidates = selected.only_table().columns
    table = dataset.tables[next(iter(selected.tables))]
    given = _conditioning(table, conditions, dataset.description)
    names = {name.partition("[")[0] for name in exactly}
    taken = [
        c
        for c in candidates
        if c not in given and (c.name in names if exactly else _is_compared(c, weights))
    ]
    chosen = _one_collection(taken, dataset.description)
    weight = None
    if weights is not None:
        weight = _weight(table, weights, chosen[0].counter, dataset.description)
    source = RowSource(dataset.description, table, chosen, weight, given)
    _check_conditions(source, given)
    return source


def read_conditions(dataset: Dataset, columns: Sequence[str]) -> Rows:
    """Read the conditions of rows from a data set that may contain nothing else.

    Args:
        dataset: With one table.
        columns: Names, as in `Rows.columns`; all of events, or some of the objects of one
            collection.

    Raises:
        InvalidArgument: A column is missing, or one of its values is NaN or infinite.
    """
    table = dataset.only_table()
    given = _conditioning(table, escaped(columns), dataset.description)
    source = RowSource(dataset.description, table, given)
    _check_conditions(source, given)
    rows = source.read(0, table.num_entries, keep_undefined=True)
    for name, values in zip(rows.columns, rows.values.T, strict=True):
        undefined = np.count_nonzero(~np.isfinite(values))
        if undefined:
            raise InvalidArgument(
                f"{dataset.description}: column {name!r}: {undefined} values are NaN or infinite; "
                "leave these rows out"
            )
    return rows.only(columns)


def escaped(names: Sequence[str]) -> list[str]:
    """Return patterns that match columns of these names only; places of an array are one column."""
    return [
        glob.escape(name)
        for name in dict.fromkeys(name.partition("[")[0] for name in names)
    ]


def _conditioning(
    table: TableSource, patterns: Sequence[str], description: str
) -> tuple[Column, ...]:
    """Return the columns that names or globs match, once each."""
    visible = {table.name: [c for c in table.columns if not c.is_opaque]}
    with prefix_errors(description):
        hits = [column for pattern in patterns for _, column in matches(pattern, visible)]
    return tuple(dict.fromkeys(hits))


def _check_conditions(source: RowSource, conditions: Sequence[Column]) -> None:
    """Raise if a condition belongs neither to the rows' own collection nor to events."""
    for column in conditions:
        if column.counter not in (None, source.counter):
            raise InvalidArgument(
                f"{source.source}: column {column.name!r} is none of the same objects and cannot "
                "be given with them; to learn some objects from others, use `train_simulation()`"
            )


def _is_compared(column: Column, weights: str | None) -> bool:
    if column.hidden or column.is_opaque or column.role in ("id", "weight"):
        return False
    return column.name != weights


def _one_collection(columns: list[Column], description: str) -> tuple[Column, ...]:
    """Return the columns without the counters of their objects.

    Raises:
        InvalidArgument: None are left, or they belong to different collections.
    """
    counters = {c.counter for c in columns if c.counter is not None}
    columns = [c for c in columns if c.name not in counters]
    if not columns:
        raise InvalidArgument(
            f"{description}: holds no number that could be looked at: widen `columns=`"
        )
    if len({c.counter for c in columns}) > 1:
        collection = next(
            c.name.partition("_")[0] for c in columns if c.counter is not None
        )
        raise InvalidArgument(
            f"{description}: holds numbers of events and of their objects: "
            f"take one collection at a time, such as `columns=` '{collection}_*'"
        )
    return tuple(columns)


def _weight(
    table: TableSource, name: str, counter: str | None, description: str
) -> Column:
    """Return the column of weights of rows: one number for each of them, or for each event.

    Raises:
        InvalidArgument: There is no such column.
    """
    numbers = [
        c for c in table.columns if c.counter in (None, counter) and not c.is_opaque
    ]
    for column in numbers:
        if column.name == name and not column.shape:
            return column
    names = [c.name for c in numbers if not c.hidden]
    raise no_weights(description, name, table.columns, names)
