"""The rows of a collection, sorted by object number, and where each object is stored."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowtuple.data.schema import Array


@dataclass(frozen=True, eq=False)
class RowSet:
    """The rows of a collection within a range of events: objects in the order (index, event).

    Attributes:
        counts: Objects of each event, int64, shape (n,).
    """

    counts: Array

    @cached_property
    def begin(self) -> Array:
        """Stored position of each event's first object."""
        begin: Array = np.cumsum(self.counts) - self.counts
        return begin

    @cached_property
    def in_order(self) -> bool:
        """True if stored order and row order are the same."""
        return bool(self.counts.max(initial=0) <= 1)

    @cached_property
    def _stored_number(self) -> Array:
        number: Array = np.arange(len(self)) - np.repeat(self.begin, self.counts)
        return number

    @cached_property
    def order(self) -> Array:
        """Stored position of each row: `stored[order]` are the rows."""
        return np.argsort(self._stored_number, kind="stable")

    @cached_property
    def rank(self) -> Array:
        """Row of each stored position."""
        return self.unsort(np.arange(len(self)))

    @cached_property
    def event(self) -> Array:
        """Event of each row."""
        return np.repeat(np.arange(len(self.counts)), self.counts)[self.order]

    @cached_property
    def number(self) -> Array:
        """Number j of each row's object within its event."""
        return self._stored_number[self.order]

    @cached_property
    def index(self) -> Array:
        """The number j as the level floor(256 j / (j + 8)), which spreads the first objects."""
        level: Array = (256 * self.number // (self.number + 8)).astype(np.uint8)
        return level

    @cached_property
    def parts(self) -> list[slice]:
        """Slices of the rows of equal number j, for j = 0, 1, ..."""
        edges = np.concatenate([[0], np.cumsum(np.bincount(self.number))])
        return [slice(a, b) for a, b in itertools.pairwise(edges.tolist())]

    def find(self, event: Array, number: Array) -> Array:
        """Return the row of an object of an event, -1 where there is none."""
        there = (number >= 0) & (number < self.counts[event])
        if not len(self):
            return np.full(event.shape, -1, np.int64)
        return np.where(
            there, self.rank[np.where(there, self.begin[event] + number, 0)], -1
        )

    def __len__(self) -> int:
        return int(self.counts.sum())

    def sort(self, stored: Array) -> Array:
        """Return values of stored order in row order."""
        return stored if self.in_order else stored[self.order]

    def unsort(self, rows: Array) -> Array:
        """Return values of row order in stored order."""
        if self.in_order:
            return rows
        stored = np.empty_like(rows)
        stored[self.order] = rows
        return stored
