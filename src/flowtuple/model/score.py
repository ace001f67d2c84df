"""Bits of each event under a flow, column by column: -log2 of its probability on the lattice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flowtuple.codec.frequencies import FREQUENCY_BITS, intervals
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.lattice.context import make_context
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution

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
    flows = coding.flow.columns
    scored = [
        c.name
        for c in coding.columns
        if c.role != "id" and c.name not in coding.external
        if c.name in flows and flows[c.name].has_density
    ]
    place = {name: k for k, name in enumerate(scored)}
    bits = np.zeros((events.num_entries, len(scored)))
    values = np.zeros((events.num_entries, len(scored)), np.int64)
    context = make_context(coding.columns, events.num_entries, events.data)
    for state in walk(coding, context, flows):
        row_bits = measure(events.data[state.name].reshape(-1), state, _bits, 0.0, IMPOSSIBLE)
        if state.name in place:
            event, k = state.rows.event, place[state.name]
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
        q, countable = state.residuals(q, predicted)
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
