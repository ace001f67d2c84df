"""Ways to choose an index from its distribution: draw u, or take u from a latent table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.walk import ColumnState
from flowtuple.model.draw import (
    Distribution,
    column_key,
    draw_by_keys,
    inverse_cdf,
    uniform,
    uniform_by_keys,
)

IndexSampler: TypeAlias = Callable[[ColumnState, slice, Distribution, int], Array]
"""Return indices of some rows of a column, from their distribution and the first event."""


@dataclass(frozen=True)
class AtRandom:
    """Draws u: the same for a seed and a table's name, whatever events are drawn together.

    Attributes:
        seed: From 0 to 2^63 - 1.
        table: Name of the table; another name gives other events.
        events: Number of each event of a block, shape (events,), for columns of the event; `None`
            for one after another.
        objects: Likewise for columns of collections.
    """

    seed: int
    table: str
    events: Array | None = None
    objects: Array | None = None

    def __call__(
        self,
        state: ColumnState,
        part: slice,
        distribution: Distribution,
        first: int,
    ) -> Array:
        """Return indices of some rows of a column."""
        return self.several(state, part, distribution, first, range(1))[:, 0]

    def several(
        self,
        state: ColumnState,
        rows: slice | Array,
        distribution: Distribution,
        first: int,
        attempts: range,
    ) -> Array:
        """Return the indices of some rows by attempts, shape (n, attempts); the first one is 0."""
        return draw_by_keys(distribution, *self._keys(state, rows, first, attempts, "#"))

    def chance(
        self, state: ColumnState, rows: Array, first: int, attempts: range
    ) -> Array:
        """Return numbers above 0 and below 1 that decide whether rates take attempts.

        float64 of shape (n, attempts).
        """
        numbers = range(attempts.start + 1, attempts.stop + 1)
        return uniform_by_keys(*self._keys(state, rows, first, numbers, "/"))

    def _keys(
        self,
        state: ColumnState,
        part: slice | Array,
        first: int,
        numbers: range,
        mark: str,
    ) -> tuple[list[int], Array, Array]:
        keys = [
            column_key(
                self.seed, self.table, f"{state.name}{mark}{k}" if k else state.name
            )
            for k in numbers
        ]
        event = state.rows.event[part]
        own = self.objects if state.key else self.events
        events = event + first if own is None else own[event]
        return keys, events, state.rows.number[part]

    def accepts(self, probability: Array) -> Array:
        """Return which events are accepted, bool of shape (events,), by their probabilities."""
        events = np.arange(len(probability)) if self.objects is None else self.objects
        key = column_key(self.seed, self.table, "?")
        accepted: Array = uniform(key, events, np.zeros_like(events)) < probability
        return accepted


def from_latent(latent: TableSource) -> IndexSampler:
    """Invert the conditional CDF at the u of a latent table.

    Args:
        latent: Columns of numbers from 0 to 1, with the counters and as many events.

    Raises:
        InvalidArgument: A number is not from 0 to 1; raised when it is read.
    """

    def sample(
        state: ColumnState, part: slice, distribution: Distribution, first: int
    ) -> Array:
        name, rows = state.name, state.rows
        events = latent.read([name], first, first + len(rows.counts))
        u = rows.sort(np.asarray(events.data[name], np.float64).reshape(-1))[part]
        if not ((u >= 0) & (u < 1)).all():
            raise InvalidArgument(
                f"column {name!r}: a latent value is not from 0 to 1, "
                "as of a value off the model's lattice"
            )
        return inverse_cdf(distribution, u)

    return sample
