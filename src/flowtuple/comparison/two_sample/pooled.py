"""Rows of two samples side by side, with the event of each: the input of every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from flowtuple.comparison.events.objects import Objects
from flowtuple.comparison.events.relations import Relation
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array


@dataclass(frozen=True)
class Pooled:
    """Both samples one after another; labels of the events make two samples of them again.

    Attributes:
        columns: Names of d columns, none constant.
        values: float64 of shape (N, d).
        event: The event of each row, int64 of shape (N,), from 0 to E - 1.
        weight: float64 of shape (N,), of mean 1 within each sample.
        other: True for events of the second sample, bool of shape (E,).
        test_half: A random half of each sample's events, which classifiers are not trained on; bool
            of shape (E,).
        objects: Where the rows are events, the objects of these E events, collection by collection.
        event_columns: Where the rows are events, columns of events by name, shape (E,).
        relations: Relations that hold in the reference outside of the test half.
        residuals: The last R columns as they are in all rows, shape (N, R); `values` holds them in
            the test half alone, since the relations were chosen by the rest.
    """

    columns: tuple[str, ...]
    values: Array
    event: Array
    weight: Array
    other: Array
    test_half: Array
    objects: tuple[Objects, ...] = ()
    event_columns: Mapping[str, Array] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()
    residuals: Array | None = None

    @cached_property
    def standardised(self) -> Array:
        """The values with mean 0 and standard deviation 1 over both samples."""
        return _standardised(self.values)

    @property
    def residual_names(self) -> tuple[str, ...]:
        """Names of the R columns that hold residuals."""
        number = 0 if self.residuals is None else self.residuals.shape[1]
        return self.columns[len(self.columns) - number :]

    @cached_property
    def to_learn_from(self) -> Array:
        """The values with the residuals of all rows.

        They are for what is learned outside of the test half and judged by the test half.
        """
        if self.residuals is None:
            return self.values
        first = len(self.columns) - len(self.residual_names)
        return np.concatenate([self.values[:, :first], self.residuals], axis=1)

    @cached_property
    def standardised_to_learn_from(self) -> Array:
        """`to_learn_from` with mean 0 and standard deviation 1 over both samples."""
        return _standardised(self.to_learn_from)

    def by_event(self, rows: Array) -> Array:
        """Return sums over the rows of each event: shape (E, ...) from (N, ...)."""
        sums = np.zeros((len(self.other), *rows.shape[1:]))
        np.add.at(sums, self.event, rows)
        return sums

    def some(self, most: int, seed: int) -> tuple[Array, Array, Array]:
        """Draw whole events with at most `most` rows together, or one event.

        Returns:
            Numbers of the events, the mask of their rows, and the place among these events of each
            of the rows.
        """
        order = np.random.default_rng(seed).permutation(len(self.other))
        rows = np.bincount(self.event, minlength=len(self.other))[order]
        count = max(1, int(np.searchsorted(np.cumsum(rows), most, side="right")))
        events = np.sort(order[:count])
        inside = np.isin(self.event, events)
        return events, inside, np.searchsorted(events, self.event[inside])


def _standardised(values: Array) -> Array:
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0))


def subsample(inside: Array) -> dict[str, int]:
    """Return the number of rows that a statistic reads, and that of all where it reads a part."""
    rows, whole = int(inside.sum()), len(inside)
    return {"rows": rows} if rows == whole else {"rows": rows, "of_rows": whole}


def pool(reference: Rows, other: Rows, seed: int) -> Pooled:
    """Join two samples of equal columns.

    Args:
        reference: The first sample.
        other: The second sample.
        seed: Decides which events are in the test half.

    Example:
        >>> rows = Rows("a", ("x",), np.array([[1.0], [2.0]]), np.array([0, 1]), 2)
        >>> pool(rows, rows, seed=0).event.tolist()
        [0, 1, 2, 3]
    """
    draw = np.random.default_rng(seed)
    samples = (reference, other)
    halves = [draw.permutation(sample.events) < sample.events // 2 for sample in samples]
    weights = [
        np.ones(len(s)) if s.weights is None else s.weights / s.weights.mean()
        for s in samples
    ]
    return Pooled(
        reference.columns,
        np.concatenate([reference.values, other.values]),
        np.concatenate([reference.event, other.event + reference.events]),
        np.concatenate(weights),
        np.arange(reference.events + other.events) >= reference.events,
        np.concatenate(halves),
    )


@dataclass(frozen=True, eq=False)
class EventParts:
    """Contents of the events of one sample, where the rows are events.

    Attributes:
        objects: Objects of each collection.
        columns: Columns of events by name, shape (events,).
    """

    objects: tuple[Objects, ...] = ()
    columns: Mapping[str, Array] = field(default_factory=dict)


def with_objects(pooled: Pooled, reference: EventParts, other: EventParts) -> Pooled:
    """Return both samples with the objects of their events, collections that only one has left out.

    Args:
        pooled: Both samples, whose rows are events.
        reference: Objects and columns of the first sample.
        other: Those of the second sample.
    """
    second = {collection.name: collection for collection in other.objects}
    objects = tuple(
        first.joined(second[first.name])
        for first in reference.objects
        if first.name in second
    )
    columns = {
        name: np.concatenate([values, other.columns[name]])
        for name, values in reference.columns.items()
        if name in other.columns
    }
    return replace(pooled, objects=objects, event_columns=columns)
