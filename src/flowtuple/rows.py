"""Rows from a data set: the objects of one collection with their events, or the events themselves."""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.errors import InvalidArgument, nearest
from flowtuple.schema import Array, Column
from flowtuple.selection import select
from flowtuple.table import Dataset, Table, TableSource

_NOT_COMPARED = ("id", "weight")


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
    sources = list(dict.fromkeys(name.partition("[")[0] for name in exactly))
    kept = select(dataset, [glob.escape(name) for name in sources] if exactly else columns)
    if len(kept.tables) != 1:
        raise InvalidArgument(
            f"{dataset.description}: choose one of its trees, such as FILE:{next(iter(kept.tables), 'Events')}"
        )
    (name, source), described = next(iter(kept.tables.items())), dataset.description
    taken = [c for c in source.columns if c.name in sources or (not exactly and _is_compared(c, weights))]
    chosen = _one_collection(taken, described)
    counter = chosen[0].counter
    whole = dataset.table(name)
    weight = None if weights is None else _weight_column(whole, weights, counter, described)
    table = whole.read([c.name for c in chosen] + ([weight.name] if weight else []), 0, whole.num_entries)
    event = _events(table, counter)
    per_row = None if weight is None else _weights(table, weight, event)
    labels, values = _matrix(table, chosen)
    keep = np.isfinite(values).all(axis=1) & (True if per_row is None else np.isfinite(per_row))
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
        tuple(c.dtype for c in chosen for _ in range(math.prod(c.shape))),
        counter,
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


def _matrix(table: Table, columns: list[Column]) -> tuple[tuple[str, ...], Array]:
    """Names and values; a fixed array is as many columns as it has places."""
    names: list[str] = []
    parts: list[Array] = []
    for column in columns:
        content = np.asarray(table.data[column.name], dtype=np.float64)
        parts.append(content.reshape(len(content), -1))
        size = parts[-1].shape[1]
        names += [column.name] if not column.shape else [f"{column.name}[{k}]" for k in range(size)]
    return tuple(names), np.concatenate(parts, axis=1)
