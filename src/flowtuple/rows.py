"""Rows from a data set: the objects of one collection with their events, or the events themselves."""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.errors import InvalidArgument, nearest
from flowtuple.schema import Array, Column, matches
from flowtuple.selection import select
from flowtuple.table import Dataset, Table, TableSource

_NOT_COMPARED = ("id", "weight")


@dataclass(frozen=True, eq=False)
class Conditions:
    """What is given with each row: columns of the same objects, or of their events.

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
        """The same rows with some of their columns, in this order."""
        places = [self.columns.index(name) for name in columns]
        return Conditions(tuple(columns), self.values[:, places], tuple(self.dtypes[k] for k in places))


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
        conditions: What is given with each row, where something is.
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
        """The same rows with the columns of another sample, in its order.

        Raises:
            InvalidArgument: One is missing here; the message names the nearest.
        """
        for name in other.columns:
            if name not in self.columns:
                close = nearest(name, self.columns)
                raise InvalidArgument(f"{self.source}: it lacks column {name!r} of {other.source}; {close}")
        return self.only(other.columns)

    def only(self, columns: Sequence[str]) -> Rows:
        """The same rows with some of their columns."""
        places = [self.columns.index(name) for name in columns]
        dtypes = tuple(self.dtypes[k] for k in places) if self.dtypes else ()
        return replace(self, columns=tuple(columns), values=self.values[:, places], dtypes=dtypes)


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
        >>> from flowtuple.events.source import open_dataset
        >>> rows = read_rows(open_dataset({"Jet_pt": [[50.0, 20.0], [], [30.0]]}))
        >>> rows.event.tolist(), rows.events
        ([0, 0, 2], 3)
    """
    sources = list(dict.fromkeys(name.partition("[")[0] for name in exactly))
    kept = select(dataset, [glob.escape(name) for name in sources] if exactly else columns)
    if len(kept.tables) != 1:
        raise InvalidArgument(
            f"{dataset.description}: choose one of its trees, such as FILE:{next(iter(kept.tables), 'Events')}"
        )
    (name, source), described = next(iter(kept.tables.items())), dataset.description
    whole = dataset.table(name)
    beside = _given_columns(whole, given, described)
    apart = {c.name for c in beside}
    taken = [c for c in source.columns if c.name in sources or (not exactly and _is_compared(c, weights))]
    chosen = _one_collection([c for c in taken if c.name not in apart], described)
    counter = chosen[0].counter
    _check_given(beside, counter, described)
    weight = None if weights is None else _weight_column(whole, weights, counter, described)
    table = whole.read([c.name for c in (*chosen, *beside, *([weight] if weight else ()))], 0, whole.num_entries)
    event = _events(table, counter)
    per_row = None if weight is None else _weights(table, weight, event)
    labels, values, dtypes = _matrix(table, chosen, event)
    conditions = Conditions(*_matrix(table, beside, event)) if beside else None
    keep = np.isfinite(values).all(axis=1) & (True if per_row is None else np.isfinite(per_row))
    keep &= True if conditions is None else np.isfinite(conditions.values).all(axis=1)
    if keep_undefined:
        keep = np.ones(len(values), bool)
    return Rows(
        described,
        labels,
        values[keep],
        event[keep],
        table.num_entries,
        None if per_row is None else per_row[keep],
        int((~keep).sum()),
        dtypes,
        counter,
        conditions and replace(conditions, values=conditions.values[keep]),
    )


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
        raise InvalidArgument(f"{described}: choose one of its trees, such as FILE:{next(iter(dataset.tables), 'Events')}")
    source = next(iter(dataset.tables.values()))
    chosen = _given_columns(source, list(dict.fromkeys(name.partition("[")[0] for name in columns)), described)
    counter = next((c.counter for c in chosen if c.counter is not None), None)
    _check_given(chosen, counter, described)
    table = source.read([c.name for c in chosen], 0, source.num_entries)
    conditions = Conditions(*_matrix(table, chosen, _events(table, counter)))
    for k, name in enumerate(conditions.columns):
        bad = int((~np.isfinite(conditions.values[:, k])).sum())
        if bad:
            raise InvalidArgument(f"{described}: column {name!r}: {bad} values are NaN or infinite; leave these rows out")
    return conditions.only(columns)


def _given_columns(source: TableSource, patterns: Sequence[str], described: str) -> list[Column]:
    """The columns that names or globs match, once each."""
    visible = {source.name: [c for c in source.columns if not c.is_opaque]}
    try:
        return list({c.name: c for pattern in patterns for _, c in matches(pattern, visible)}.values())
    except InvalidArgument as error:
        raise InvalidArgument(f"{described}: {error}") from None


def _check_given(columns: Sequence[Column], counter: str | None, described: str) -> None:
    """Given columns are those of the rows' own collection, or of events."""
    for column in columns:
        if column.counter not in (None, counter):
            raise InvalidArgument(
                f"{described}: column {column.name!r} is none of the same objects and cannot be given with them; "
                "to learn some objects from others, name those with --target"
            )


def _is_compared(column: Column, weights: str | None) -> bool:
    return not (column.hidden or column.is_opaque or column.role in _NOT_COMPARED or column.name == weights)


def _one_collection(columns: list[Column], described: str) -> list[Column]:
    """The columns without the counters of their objects.

    Raises:
        InvalidArgument: None are left, or they belong to different collections.
    """
    counters = {c.counter for c in columns if c.counter is not None}
    columns = [c for c in columns if c.name not in counters]
    if not columns:
        raise InvalidArgument(f"{described}: holds no number that could be looked at: widen --columns")
    if len({c.counter for c in columns}) > 1:
        collection = next(c.name.partition("_")[0] for c in columns if c.counter is not None)
        what = f"one collection at a time, such as --columns '{collection}_*'"
        raise InvalidArgument(f"{described}: holds numbers of events and of their objects: take {what}")
    return columns


def _weight_column(source: TableSource, name: str, counter: str | None, described: str) -> Column:
    for column in source.columns:
        if column.name == name and not column.is_opaque and column.counter in (None, counter) and not column.shape:
            return column
    numbers = [c.name for c in source.columns if c.counter in (None, counter) and not c.is_opaque and not c.hidden]
    raise InvalidArgument(f"{described}: no column of weights {name!r} for these rows; {nearest(name, numbers)}")


def _events(table: Table, counter: str | None) -> Array:
    if counter is None:
        return np.arange(table.num_entries)
    return np.repeat(np.arange(table.num_entries), np.asarray(table.data[counter]))


def _weights(table: Table, column: Column, event: Array) -> Array:
    content = np.asarray(table.data[column.name], dtype=np.float64)
    return content[event] if column.counter is None else content


def _matrix(table: Table, columns: list[Column], event: Array) -> tuple[tuple[str, ...], Array, tuple[str, ...]]:
    """Names, values and types; a fixed array is as many columns as it has places, numbers of an event go to its objects."""
    names: list[str] = []
    parts: list[Array] = []
    for column in columns:
        content = np.asarray(table.data[column.name], dtype=np.float64)
        content = content[event] if column.counter is None else content
        parts.append(content.reshape(len(content), -1))
        size = parts[-1].shape[1]
        names += [column.name] if not column.shape else [f"{column.name}[{k}]" for k in range(size)]
    dtypes = tuple(c.dtype for c in columns for _ in range(math.prod(c.shape)))
    return tuple(names), np.concatenate(parts, axis=1), dtypes
