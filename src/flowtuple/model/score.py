"""The u of known values, column by column: its width gives the bits of an event, itself the latent.

The bits of a value are -log2 of its probability on the lattice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.codec.frequencies import FREQUENCY_BITS, intervals
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.errors import Unsupported
from flowtuple.lattice.context import make_context
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution, cdf

WIDEST = 2**35
"""Indices of a bin at most: with 16 bits of frequency they leave a bit of float64's 52 unused."""

IMPOSSIBLE = 64.0
"""Bits of a value that a relation rules out, about as many as those of the outside symbol."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Bits of each event under a flow: -log2 p, with respect to counting measure on the lattice.

    Attributes:
        columns: Names of the columns that have a density and are neither ids nor external.
        bits: float64, shape (events, columns): sum over a column's values in an event.
        values: int64, the same shape: number of these values.
    """

    columns: tuple[str, ...]
    bits: Array
    values: Array

    @property
    def total(self) -> Array:
        """Bits of each event, shape (events,)."""
        total: Array = self.bits.sum(axis=1)
        return total

    @property
    def log_prob(self) -> Array:
        """Natural logarithm of each event's probability on the lattice, shape (events,)."""
        return -math.log(2.0) * self.total


def score(events: Table, coding: TableCoding) -> Scores:
    """Measure u of events: how wide its interval is; columns without a density are left out.

    Args:
        events: At least the columns of the flow.
        coding: Schema, lattices and flow.
    """
    scored = [
        c.name
        for c in coding.columns
        if c.role != "id" and c.name not in coding.external
        if coding.flow.has_density(c.name)
    ]
    bits = np.zeros((events.num_entries, len(scored)))
    values = np.zeros((events.num_entries, len(scored)), np.int64)
    context = make_context(coding.columns, events.num_entries, events.data)
    for state in walk(coding, context, coding.flow.columns):
        row_bits = measure(
            events.data[state.name].reshape(-1), state, _bits, 0.0, IMPOSSIBLE
        )
        if state.name in scored:
            event, k = state.rows.event, scored.index(state.name)
            bits[:, k] = np.bincount(event, row_bits, events.num_entries)
            values[:, k] = np.bincount(event, minlength=events.num_entries)
    return Scores(tuple(scored), bits, values)


def measure(
    stored: Array,
    state: ColumnState,
    of_rows: Callable[[Distribution, Array], Array],
    certain: float,
    impossible: float,
) -> Array:
    """Return a number of each row of a column, and record the values for the columns after it.

    Args:
        stored: The values in stored order, flat.
        state: A column on the walk, which has a flow.
        of_rows: Returns the numbers of indices from their distribution.
        certain: Number of a value that others determine.
        impossible: Number of a value that a relation rules out.
    """
    flow = state.required_flow
    q, _ = state.enter(stored)
    countable = np.ones(len(q), bool)
    predicted = state.predict(state.whole)
    if predicted is not None and (flow.residual or flow.network is None):
        q, countable = state.require(flow.prediction).subtract(
            q, predicted, flow.absolute, flow.window
        )
    if flow.network is None:
        return np.where(countable & (q == 0), certain, impossible)
    numbers = np.empty(len(q))
    for part, logits in state.blocks(predicted):
        numbers[part] = of_rows(Distribution(logits, flow.bins), q[part])
    return np.where(countable, numbers, impossible)


def _bits(distribution: Distribution, q: Array) -> Array:
    bins = distribution.bins
    symbols = bins.symbol(q)
    frequency = intervals(distribution.logits, symbols)[1].astype(np.float64)
    widths = np.log2(bins.spans.astype(np.float64) + 1)
    bits: Array = FREQUENCY_BITS - np.log2(frequency) + widths[symbols]
    return bits


def is_copied(column: Column, coding: TableCoding) -> bool:
    """Return True for ids, counters and external columns: a latent table copies them."""
    return column.role in ("id", "counter") or column.name in coding.external


def check_resolved(coding: TableCoding, where: str) -> None:
    """Check that float64 numbers from 0 to 1 can distinguish all values.

    Raises:
        Unsupported: A column's bins are too wide, as for lossless float64 or integers beyond 2^35.
    """
    for name, flow in coding.flow.columns.items():
        # The last symbol, the outside one, has no latent number.
        if (
            flow.network is not None
            and int(flow.bins.spans[:-1].max(initial=0)) >= WIDEST
        ):
            raise Unsupported(
                f"{where}: column {name!r} has more values than a latent number tells apart; "
                "train it with a bound"
            )


def to_latent(events: Table, coding: TableCoding) -> Table:
    """Measure u: return the latent table of events, float64 from 0 to 1.

    A value off the model's lattice is NaN. A value that others determine is 0.5. Ids, counters and
    external columns are copied.

    Args:
        events: At least the columns of the flow.
        coding: Schema, lattices and flow, of which every column but ids has a density.
    """
    context = make_context(coding.columns, events.num_entries, events.data)
    data = {}
    for state in walk(coding, context):
        stored = data[state.name] = events.data[state.name]
        if state.flow is not None:
            u = measure(stored.reshape(-1), state, cdf, 0.5, math.nan)
            if not is_copied(state.column, coding):
                data[state.name] = state.rows.unsort(u).reshape(stored.shape)
    columns = tuple(
        c if is_copied(c, coding) else replace(c, dtype="float64")
        for c in coding.columns
        if c.name in data
    )
    return Table(
        events.name, columns, events.num_entries, {c.name: data[c.name] for c in columns}
    )
