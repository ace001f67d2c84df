"""Columns that others may read: their levels and values, brought to the rows of the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.errors import Corrupt
from flowtuple.lattice.event_features import EventFeature, EventFeatures
from flowtuple.lattice.rows import RowSet

Relation = Literal[
    "row", "event", "index", "previous", "leading", "same", "reference", "prediction",
    "feature",
]  # fmt: skip
RELATIONS: tuple[Relation, ...] = get_args(Relation)

BLOCK_ROWS = 2**15
"""Rows whose features or logits are in memory at once."""

MAX_ROWS = 2**28
"""Rows of a chunk at most: a constant column takes no bytes however many rows it claims."""


@dataclass(frozen=True)
class Parent:
    """One input of a conditioner or of a prediction.

    The relation says which row of the column is read:

    - `row`: the same object, or the same event for event columns
    - `event`: the event of an object
    - `index`: the object's number in its event
    - `previous`: the object before it in the event
    - `leading`: the first object of a collection in the event; missing for the first object itself
    - `same`: the object of another collection with the same number
    - `reference`: the object of another collection that the column `through` points to
    - `prediction`: the predicted value of the column itself
    - `feature`: a number of the event so far, computed from several columns

    Attributes:
        relation: One of these.
        column: The column read; empty for `index`, `prediction` and `feature`. For `previous` and
            `leading` it may be the reading column.
        through: The column of references, empty for all other relations.
        feature: The number to compute, for `feature` alone.
    """

    relation: Relation
    column: str = ""
    through: str = ""
    feature: EventFeature | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns that it takes."""
        if self.feature is not None:
            return self.feature.columns
        return tuple(name for name in (self.column, self.through) if name)


def collection_of(column: Column) -> str:
    """Return the key of a collection: `""` for event columns, `#` and the counter, or `[size]`."""
    if column.counter is not None:
        return f"#{column.counter}"
    return f"[{int(np.prod(column.shape))}]" if column.shape else ""


def collection_counts(
    column: Column, counters: Mapping[str, Array], num_entries: int
) -> Array:
    """Return the rows per event of a column's collection: int64, shape (n,)."""
    if column.counter is not None:
        return counters[column.counter].astype(np.int64)
    return np.full(num_entries, int(np.prod(column.shape)), np.int64)


def coding_order(
    columns: Sequence[Column],
    first: Sequence[str] = (),
    resolutions: Mapping[str, str] = MappingProxyType({}),
) -> list[Column]:
    """Return the columns of numbers in coding order: event columns, then all others.

    Args:
        columns: The schema.
        first: Names that are sorted by this list, within the places that they have in their half.
        resolutions: Names of columns that come before others, by the names of these: a column that
            would come before its resolution comes right after it.
    """
    rank = {name: k for k, name in enumerate(first)}
    order = sorted((c for c in columns if not c.is_opaque), key=_has_objects)
    ranked = sorted((c for c in order if c.name in rank), key=lambda c: rank[c.name])
    following = iter(sorted(ranked, key=_has_objects))
    order = [next(following) if c.name in rank else c for c in order]
    return _after_resolutions(order, resolutions) if resolutions else order


def _after_resolutions(
    order: Sequence[Column], resolutions: Mapping[str, str]
) -> list[Column]:
    """Return the columns with each one that precedes its resolution moved right after it."""
    out: list[Column] = []
    there: set[str] = set()
    waiting: dict[str, list[Column]] = {}
    for column in order:
        stack = [column]
        while stack:
            c = stack.pop()
            resolution = resolutions.get(c.name)
            if resolution is not None and resolution not in there:
                waiting.setdefault(resolution, []).append(c)
                continue
            out.append(c)
            there.add(c.name)
            stack += reversed(waiting.pop(c.name, []))
    return out


def _has_objects(column: Column) -> bool:
    return collection_of(column) != ""


def make_context(
    columns: Sequence[Column], num_entries: int, counters: Mapping[str, Array]
) -> Context:
    """Return the empty context of a range of events.

    Args:
        columns: The schema.
        num_entries: Events.
        counters: Values of the counters; one may be added until its collection is first used.
    """
    by_collection = {collection_of(c): c for c in columns if not c.is_opaque}

    @cache
    def rows(key: str) -> RowSet:
        column = by_collection[key]
        counts = collection_counts(column, counters, num_entries)
        most = max(counts.max(initial=0), counts.sum())
        if counts.min(initial=0) < 0 or most > MAX_ROWS:
            raise Corrupt(
                f"column {column.name!r}: a chunk cannot hold so many or fewer than no objects"
            )
        return RowSet(counts)

    return Context(rows, {c.name: collection_of(c) for c in columns})


@dataclass(eq=False)
class Context:
    """Decoded columns of a range of events in row order, and their positions for other columns.

    Attributes:
        rows: Rows of each collection, by the key of `collection_of`.
        collection: Key of each column's collection.
        levels: uint8 levels of each column that others read, in row order.
        values: Values of a column in row order.
        watched: Columns whose values others than the flow need.
    """

    rows: Callable[[str], RowSet]
    collection: Mapping[str, str]
    levels: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    watched: Set[str] = frozenset()
    _positions: dict[tuple[str, ...], Array] = field(default_factory=dict)
    _complete: dict[tuple[Parent, str], Array] = field(default_factory=dict)

    @cached_property
    def features(self) -> EventFeatures:
        """Numbers of the event so far."""
        return EventFeatures(self.rows, self.collection, self.values)

    def position(self, parent: Parent, reader: str, part: slice) -> Array | slice:
        """Return the row of a parent's column for each row of the reader, -1 for none.

        Args:
            parent: One that reads a row of a column.
            reader: Key of the reader's collection.
            part: Rows of the reader.
        """
        if parent.relation == "row":
            return part
        source = self.collection[parent.column]
        key = (parent.relation, source, parent.through, reader, str(part))
        if key not in self._positions:
            self._positions[key] = self._find(parent, reader, part)
        return self._positions[key]

    def _find(self, parent: Parent, reader: str, part: slice) -> Array:
        rows = self.rows(reader)
        event = rows.event[part]
        if parent.relation == "event":
            return event
        source = self.collection[parent.column]
        number = rows.number[part]
        if parent.relation == "previous":
            number = number - 1
        elif parent.relation == "leading":
            number = np.where((source == reader) & (number == 0), -1, 0)
        elif parent.relation == "reference":
            number = _references(self.values[parent.through][part])
        return self.rows(source).find(event, number)

    def fetch(self, parent: Parent, reader: str, part: slice) -> tuple[Array, Array]:
        """Return values of a parent for rows of the reader's collection, and which exist."""
        if parent.feature is not None:
            return self.features.evaluate(parent.feature, reader, part)
        values = self.values[parent.column]
        at = self.position(parent, reader, part)
        if isinstance(at, slice):
            return values[at], np.True_  # type: ignore[return-value]
        if not len(values):
            return np.zeros(len(at), values.dtype), np.zeros(len(at), bool)
        return values[np.maximum(at, 0)], at >= 0

    def complete_levels(self, parent: Parent, reader: str) -> Array:
        """Return a conditioner's input for all rows: uint8, shape (rows,); computed only once.

        Args:
            parent: An input of which all columns are recorded, no prediction.
            reader: Key of the reader's collection.
        """
        if parent.relation == "row":
            return self.levels[parent.column]
        if (parent, reader) not in self._complete:
            size = len(self.rows(reader))
            levels = np.empty(size, np.uint8)
            for start in range(0, size, BLOCK_ROWS):
                part = slice(start, min(start + BLOCK_ROWS, size))
                levels[part] = self.gather([parent], reader, part)[0]
            self._complete[parent, reader] = levels
        return self._complete[parent, reader]

    def gather(
        self,
        parents: Sequence[Parent],
        reader: str,
        part: slice,
        predicted: Array | None = None,
    ) -> Array:
        """Return a conditioner's input: uint8, shape (parents, rows); 0 for what is missing.

        Args:
            parents: The inputs.
            reader: Key of the reader's collection.
            part: Rows of the reader.
            predicted: Levels of the predicted values, for parents that read the prediction.

        Raises:
            Corrupt: A parent reads a prediction where there is none.
        """
        out = np.empty((len(parents), part.stop - part.start), np.uint8)
        for k, parent in enumerate(parents):
            if parent.relation == "index":
                out[k] = self.rows(reader).index[part]
            elif parent.relation == "prediction":
                if predicted is None:
                    raise Corrupt(
                        "a network reads the prediction of a column that has none"
                    )
                out[k] = predicted
            elif parent.feature is not None:
                numbers = self.features.evaluate(parent.feature, reader, part)
                out[k] = parent.feature.level(*numbers)
            else:
                levels = self.levels[parent.column]
                at = self.position(parent, reader, part)
                if isinstance(at, slice):
                    out[k] = levels[at]
                else:
                    out[k] = levels[at] * (at >= 0) if len(levels) else 0
        return out


def _references(values: Array) -> Array:
    """Return object numbers from a column of references; -1 for other values."""
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    return np.where(whole == values, whole, -1)
