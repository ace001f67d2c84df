"""What a column may read: levels of columns decoded before it, brought to its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from flowtuple.schema import Array, Column

Relation = Literal["row", "event", "index"]


@dataclass(frozen=True)
class Parent:
    """One input of a conditioner.

    Attributes:
        relation: `row`, the same object (or the same event, for event columns); `event`, the event that an object
            belongs to; `index`, the object's number in its event.
        column: The column read; empty for `index`.
    """

    relation: Relation
    column: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a collection within a range of events: objects in the order (index, event).

    Attributes:
        counts: Objects of each event, int64, shape (n,).
    """

    counts: Array

    @cached_property
    def _stored(self) -> tuple[Array, Array]:
        """Event and index of each object in stored order, objects of one event after another."""
        event = np.repeat(np.arange(len(self.counts)), self.counts)
        begin = np.cumsum(self.counts) - self.counts
        return event, np.arange(len(event)) - begin[event]

    @cached_property
    def order(self) -> Array:
        """Stored position of each row: `stored[order]` are the rows."""
        return np.argsort(self._stored[1], kind="stable")

    @cached_property
    def event(self) -> Array:
        """Event of each row."""
        return self._stored[0][self.order]

    @cached_property
    def index(self) -> Array:
        """Number j of each row's object within its event, as the level floor(256 j / (j + 8)): first objects well apart."""
        number = self._stored[1][self.order]
        level: Array = (256 * number // (number + 8)).astype(np.uint8)
        return level

    def __len__(self) -> int:
        return int(self.counts.sum())

    def unsort(self, rows: Array) -> Array:
        """From row order back to stored order."""
        stored = np.empty_like(rows)
        stored[self.order] = rows
        return stored


def collection_of(column: Column) -> str:
    """The key that columns of one row structure share: `""` for event columns, `#` and the counter, or `[size]`."""
    if column.counter is not None:
        return f"#{column.counter}"
    return f"[{int(np.prod(column.shape))}]" if column.shape else ""


def collection_counts(column: Column, counters: Mapping[str, Array], num_entries: int) -> Array:
    """Rows per event of a column's collection: int64, shape (n,)."""
    if column.counter is not None:
        return counters[column.counter].astype(np.int64)
    return np.full(num_entries, int(np.prod(column.shape)), np.int64)


def coding_order(columns: Sequence[Column]) -> list[Column]:
    """Event columns first, then each collection's, in schema order: a parent always comes before its readers."""
    return sorted((c for c in columns if not c.is_opaque), key=lambda c: collection_of(c) != "")


def gather(parents: Sequence[Parent], levels: Mapping[str, Array], rows: Rows) -> Array:
    """The conditioner's input: uint8, shape (rows, parents), from the levels of decoded columns in row order."""
    out = np.empty((len(rows), len(parents)), np.uint8)
    for k, parent in enumerate(parents):
        if parent.relation == "row":
            out[:, k] = levels[parent.column]
        elif parent.relation == "event":
            out[:, k] = levels[parent.column][rows.event]
        else:
            out[:, k] = rows.index
    return out
