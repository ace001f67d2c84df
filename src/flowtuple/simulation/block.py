"""Some events in memory, as the simulation reads and fills them: columns by name, objects of all events one after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.data.table import Table


@dataclass(eq=False)
class Block:
    """Events with what is known of them so far.

    Attributes:
        events: How many.
        counts: Objects of each event, int64 of shape (events,), by name of the collection.
        values: Contents by column name, flat.
    """

    events: int
    counts: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, collections: Iterable[Collection]) -> Block:
        """The events of a table."""
        counts = {c.name: np.asarray(table.data[c.counter]).astype(np.int64) for c in collections}
        return cls(table.num_entries, counts, {c.name: table.data[c.name] for c in table.columns})

    def begin(self, collection: str) -> Array:
        """Position of each event's first object."""
        counts = self.counts[collection]
        begin: Array = np.cumsum(counts) - counts
        return begin

    def event(self, collection: str) -> Array:
        """Event of each object."""
        return np.repeat(np.arange(self.events), self.counts[collection])

    def number(self, collection: str) -> Array:
        """Number of each object within its event."""
        counts = self.counts[collection]
        number: Array = np.arange(int(counts.sum())) - np.repeat(self.begin(collection), counts)
        return number


def take_events(table: Table, index: Array) -> Table:
    """The events at some places of a table without opaque columns, any of them as often as asked."""
    data = {}
    for column in table.columns:
        content = table.data[column.name]
        if column.counter is None:
            data[column.name] = content[index]
            continue
        counts = np.asarray(table.data[column.counter]).astype(np.int64)
        data[column.name] = content[spans((np.cumsum(counts) - counts)[index], counts[index])]
    return Table(table.name, table.columns, len(index), data)


def spans(begin: Array, counts: Array) -> Array:
    """begin, begin + 1, ... of each span one after another.

    Example:
        >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
        [5, 6, 0, 1, 2]
    """
    return np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
