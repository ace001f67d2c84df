"""Rows of two samples side by side, and which event each belongs to: what every test looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array


@dataclass(frozen=True)
class Pooled:
    """Both samples one after another; an arrangement of labels over the events makes two samples of them again.

    Attributes:
        columns: Names of d columns, none constant.
        values: float64 of shape (N, d).
        event: The event of each row, int64 of shape (N,), from 0 to E - 1.
        weight: float64 of shape (N,), of mean 1 within each sample.
        other: Which events are of the second sample, bool of shape (E,).
        held_out: The half of each sample's events, drawn at random, that classifiers are not trained on; bool of
            shape (E,).
    """

    columns: tuple[str, ...]
    values: Array
    event: Array
    weight: Array
    other: Array
    held_out: Array

    @cached_property
    def standardised(self) -> Array:
        """The values with mean 0 and standard deviation 1 over both samples."""
        standard: Array = (self.values - self.values.mean(axis=0)) / self.values.std(axis=0)
        return standard

    def by_event(self, rows: Array) -> Array:
        """Sums over the rows of each event: shape (E, ...) from (N, ...)."""
        sums = np.zeros((len(self.other), *rows.shape[1:]))
        np.add.at(sums, self.event, rows)
        return sums

    def some(self, most: int, seed: int) -> Array:
        """Numbers of whole events drawn at random, together at most `most` rows (or one event)."""
        order = np.random.default_rng(seed).permutation(len(self.other))
        rows = np.bincount(self.event, minlength=len(self.other))[order]
        return np.sort(order[: max(1, int(np.searchsorted(np.cumsum(rows), most, side="right")))])


def pool(reference: Rows, other: Rows, seed: int) -> Pooled:
    """Two samples of equal columns as one.

    Example:
        >>> rows = Rows("a", ("x",), np.array([[1.0], [2.0]]), np.array([0, 1]), 2)
        >>> pool(rows, rows, seed=0).event.tolist()
        [0, 1, 2, 3]
    """
    draw = np.random.default_rng(seed)
    halves = [draw.permutation(sample.events) < sample.events // 2 for sample in (reference, other)]
    weights = [
        np.ones(len(s)) if s.weights is None else s.weights / s.weights.mean()
        for s in (reference, other)
    ]
    return Pooled(
        reference.columns,
        np.concatenate([reference.values, other.values]),
        np.concatenate([reference.event, other.event + reference.events]),
        np.concatenate(weights),
        np.arange(reference.events + other.events) >= reference.events,
        np.concatenate(halves),
    )
