"""Events in memory: columns by name, the objects of all events one after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.collections import Collection, positions_of
from flowtuple.data.flat_events import begin_of, unfold
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
            c.name: np.asarray(table.data[c.counter], np.int64) for c in collections
        }
        return cls(
            table.num_entries, counts, {c.name: table[c.name] for c in table.columns}
        )

    def without(self, columns: Iterable[str], collections: Iterable[Collection]) -> Block:
        """Return the events without some columns, with the objects of some collections."""
        gone = set(columns)
        counts = {c.name: self.counts[c.name] for c in collections}
        values = {n: v for n, v in self.values.items() if n not in gone}
        return Block(self.events, counts, values)

    def begin(self, collection: str) -> Array:
        """Return the position of each event's first object, shape (events,)."""
        return begin_of(self.counts[collection])

    def event(self, collection: str) -> Array:
        """Return the event of each object, shape (objects,)."""
        return unfold(self.counts[collection])[0]

    def number(self, collection: str) -> Array:
        """Return the number of each object within its event, shape (objects,)."""
        return unfold(self.counts[collection])[1]

    def axes(self, collection: Collection) -> list[Array]:
        """Return p_T, eta and phi of the objects, each of shape (objects,)."""
        return [self.values[name] for name in collection.axes]

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


def take(values: Array, position: Array, missing: int) -> Array:
    """Return values at some positions, `missing` where the position is -1.

    Example:
        >>> take(np.array([5, 6]), np.array([1, -1, 0]), 9).tolist()
        [6, 9, 5]
    """
    return np.append(values, missing)[position]
