"""Events whose objects lie one after another: where each event begins, and some events alone."""

from __future__ import annotations

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import Table


def take_events(table: Table, index: Array) -> Table:
    """Return the events at some positions of a table without opaque columns, in that order.

    Args:
        table: The events.
        index: Positions, shape (n,); one may occur several times.
    """
    data = {}
    for column in table.columns:
        rows = index
        if column.counter is not None:
            counts = np.asarray(table[column.counter], np.int64)
            rows = spans(begin_of(counts)[index], counts[index])
        data[column.name] = table[column.name][rows]
    return Table(table.name, table.columns, len(index), data)


def begin_of(counts: Array) -> Array:
    """Return the position of the first object of each count."""
    return np.asarray(np.cumsum(counts) - counts)


def spans(begin: Array, counts: Array) -> Array:
    """Return begin, begin + 1, ... of each span, one span after another.

    Args:
        begin: First number of each span, shape (n,).
        counts: Length of each span, shape (n,).

    Example:
        >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    return np.repeat(begin - begin_of(counts), counts) + np.arange(int(counts.sum()))


def unfold(counts: Array) -> tuple[Array, Array]:
    """Return the owner of each object, and its number there, from the counts of the owners.

    Example:
        >>> [part.tolist() for part in unfold(np.array([2, 0, 1]))]
        [[0, 0, 2], [0, 1, 0]]
    """
    return np.repeat(np.arange(len(counts)), counts), spans(np.zeros_like(counts), counts)
