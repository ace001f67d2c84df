"""Rows read from a data set, whole or a range of events at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.row_columns import check_given, choose_columns, escaped, given_columns
from flowtuple.data.rows import Conditions, Rows
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True)
class RowSource:
    """Where rows come from: any range of events gives its own.

    Attributes:
        source: What the sample is called in messages.
        table: Its events.
        columns: Of events, or of objects that one counter counts.
        weight: The column of weights, if there is one.
        given: Columns of the same objects, or of events, that are given with each row.
    """

    source: str
    table: TableSource
    columns: tuple[Column, ...]
    weight: Column | None = None
    given: tuple[Column, ...] = ()

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
        """Their types."""
        return _dtypes(self.columns)

    @property
    def given_names(self) -> tuple[str, ...]:
        """Names of the conditions."""
        return _names(self.given)

    @property
    def given_dtypes(self) -> tuple[str, ...]:
        """Their types."""
        return _dtypes(self.given)

    def read(self, start: int, stop: int, *, keep_undefined: bool = False) -> Rows:
        """The rows of a range of events, which count from 0.

        Args:
            start: The first event.
            stop: The one after the last.
            keep_undefined: Keep rows with NaN or an infinity.
        """
        wanted = [
            c.name for c in (*self.columns, *self.given, *((self.weight,) if self.weight else ()))
        ]
        table = self.table.read(wanted, start, stop)
        event = _events(table, self.counter)
        weights = None if self.weight is None else _of_rows(table, self.weight, event)[:, 0]
        values = _matrix(table, self.columns, event)
        given = _conditions(table, self.given, event) if self.given else None
        rows = Rows(
            self.source,
            self.names,
            values,
            event,
            table.num_entries,
            weights,
            0,
            self.dtypes,
            self.counter,
            given,
        )
        parts = [
            values,
            *(() if weights is None else (weights[:, None],)),
            *(() if given is None else (given.values,)),
        ]
        keep = np.isfinite(np.concatenate(parts, axis=1)).all(axis=1)
        return rows if keep_undefined else replace(rows.some(keep), dropped=int((~keep).sum()))


def read_rows(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    *,
    keep_undefined: bool = False,
    exactly: Sequence[str] = (),
    given: Sequence[str] = (),
) -> Rows:
    """The columns that the globs keep, as float64; ids, weights and what is no number stay out.

    Args:
        dataset: With one table, or with one that the globs leave.
        columns: Names or globs; none means all.
        weights: Name of the column of weights, one for each event or for each object.
        keep_undefined: Keep rows with NaN or an infinity.
        exactly: Names, as in `Rows.columns`, of the columns to take, whatever their roles; in place of `columns`.
        given: Names or globs of columns of the same objects, or of their events, that become `Rows.conditions`.

    Raises:
        InvalidArgument: A name or glob matches nothing, several tables or collections are left, or no row is.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> rows = read_rows(open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]}))
        >>> rows.event.tolist(), rows.events
        ([0, 0, 2], 3)
    """
    source = row_source(dataset, columns, weights, exactly=exactly, given=given)
    return source.read(0, source.table.num_entries, keep_undefined=keep_undefined)


def row_source(
    dataset: Dataset,
    columns: Sequence[str] = (),
    weights: str | None = None,
    *,
    exactly: Sequence[str] = (),
    given: Sequence[str] = (),
) -> RowSource:
    """What `read_rows` would read, for whoever reads it in parts.

    Raises:
        InvalidArgument: A name or glob matches nothing, or several tables or collections are left.
    """
    table, chosen, weight, beside = choose_columns(dataset, columns, weights, exactly, given)
    return RowSource(dataset.description, table, chosen, weight, beside)


def read_conditions(dataset: Dataset, columns: Sequence[str]) -> Conditions:
    """What is given with each row, of a data set that may hold nothing else.

    Args:
        dataset: With one table.
        columns: Names, as in `Conditions.columns`; all of events, or some of the objects of one collection.

    Raises:
        InvalidArgument: A column is missing, or one of its values is NaN or infinite.
    """
    described = dataset.description
    if len(dataset.tables) != 1:
        raise InvalidArgument(
            f"{described}: choose one of its trees, such as FILE:{next(iter(dataset.tables), 'Events')}"
        )
    source = next(iter(dataset.tables.values()))
    chosen = given_columns(source, escaped(columns), described)
    counter = next((c.counter for c in chosen if c.counter is not None), None)
    check_given(chosen, counter, described)
    table = source.read([c.name for c in chosen], 0, source.num_entries)
    conditions = _conditions(table, chosen, _events(table, counter))
    for k, name in enumerate(conditions.columns):
        bad = int((~np.isfinite(conditions.values[:, k])).sum())
        if bad:
            raise InvalidArgument(
                f"{described}: column {name!r}: {bad} values are NaN or infinite; leave these rows out"
            )
    return conditions.only(columns)


def _conditions(table: Table, columns: Sequence[Column], event: Array) -> Conditions:
    return Conditions(_names(columns), _matrix(table, columns, event), _dtypes(columns))


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    places = [(c, range(math.prod(c.shape))) for c in columns]
    return tuple(f"{c.name}[{k}]" if c.shape else c.name for c, numbers in places for k in numbers)


def _dtypes(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(c.dtype for c in columns for _ in range(math.prod(c.shape)))


def _events(table: Table, counter: str | None) -> Array:
    if counter is None:
        return np.arange(table.num_entries)
    return np.repeat(np.arange(table.num_entries), np.asarray(table.data[counter]))


def _matrix(table: Table, columns: Sequence[Column], event: Array) -> Array:
    return np.concatenate([_of_rows(table, c, event) for c in columns], axis=1)


def _of_rows(table: Table, column: Column, event: Array) -> Array:
    """Shape (n, places), float64; numbers of an event go to all its objects."""
    content = np.asarray(table.data[column.name], dtype=np.float64)
    content = content.reshape(len(content), -1 if len(content) else math.prod(column.shape))
    return content[event] if column.counter is None else content
