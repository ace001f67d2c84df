"""Events in memory: columns by name, the objects of all events one after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.collections import Collection, positions_of
from flowtuple.data.schema import Array
from flowtuple.data.table import Table


@dataclass(eq=False)
class Block:
    """Events with the columns that are known so far; the simulation adds the others.

    Attributes:
        events: Number of events.
        counts: Objects of each event, int64 of shape (events,), by name of the collection.
        values: Contents by column name, flat.
    """

    events: int
    counts: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, collections: Iterable[Collection]) -> Block:
        """Return the events of a table with the objects of some of its collections."""
        counts = {
            c.name: np.asarray(table.data[c.counter]).astype(np.int64) for c in collections
        }
        return cls(
            table.num_entries, counts, {c.name: table.data[c.name] for c in table.columns}
        )

    def begin(self, collection: str) -> Array:
        """Return the position of each event's first object, shape (events,)."""
        counts = self.counts[collection]
        return np.asarray(np.cumsum(counts) - counts)

    def event(self, collection: str) -> Array:
        """Return the event of each object, shape (objects,)."""
        return np.repeat(np.arange(self.events), self.counts[collection])

    def number(self, collection: str) -> Array:
        """Return the number of each object within its event, shape (objects,)."""
        counts = self.counts[collection]
        return spans(np.zeros_like(counts), counts)

    def positions(self, references: str, objects: str, collection: str) -> Array:
        """Return the position in a collection that each object refers to, -1 for none.

        Args:
            references: Column of numbers within events.
            objects: Collection that the column belongs to.
            collection: Collection that the numbers point to.
        """
        return positions_of(
            self.values[references], self.event(objects), self.counts[collection]
        )

    def numbers_at(self, collection: str, position: Array) -> Array:
        """Return the numbers within their events of objects at some positions, -1 for -1."""
        number = self.number(collection)
        if not len(number):
            return position
        return np.where(position >= 0, number[np.maximum(position, 0)], -1)


def take_events(table: Table, index: Array) -> Table:
    """Return the events at some positions of a table without opaque columns, in that order.

    Args:
        table: The events.
        index: Positions, shape (n,); one may occur several times.
    """
    data = {}
    for column in table.columns:
        content = table.data[column.name]
        if column.counter is None:
            data[column.name] = content[index]
            continue
        counts = np.asarray(table.data[column.counter]).astype(np.int64)
        begin = np.cumsum(counts) - counts
        data[column.name] = content[spans(begin[index], counts[index])]
    return Table(table.name, table.columns, len(index), data)


def spans(begin: Array, counts: Array) -> Array:
    """Return begin, begin + 1, ... of each span, one span after another.

    Args:
        begin: First number of each span, shape (n,).
        counts: Length of each span, shape (n,).

    Example:
        >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    return np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(
        int(counts.sum())
    )
