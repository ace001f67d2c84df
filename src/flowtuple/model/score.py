"""Bits of each event under a flow, column by column: -log2 of its probability on the lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flowtuple.codec.frequencies import FREQUENCY_BITS, intervals
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.lattice.context import make_context
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.walk import ColumnState, TableCoding, walk

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
        if c.role != "id" and c.name not in coding.external and _has_density(c.name, coding)
    ]
    place = {name: k for k, name in enumerate(scored)}
    bits = np.zeros((events.num_entries, len(scored)))
    values = np.zeros((events.num_entries, len(scored)), np.int64)
    context = make_context(coding.columns, events.num_entries, events.data)
    for state in walk(coding, context, coding.flow.columns):
        row_bits = _measure(events.data[state.name].reshape(-1), state)
        if state.name in place:
            event, k = state.rows.event, place[state.name]
            bits[:, k] = np.bincount(event, row_bits, events.num_entries)
            values[:, k] = np.bincount(event, minlength=events.num_entries)
    return Scores(tuple(scored), bits, values)


def _has_density(name: str, coding: TableCoding) -> bool:
    return name in coding.flow.columns and coding.flow.columns[name].has_density


@dataclass(frozen=True, eq=False)
class Coded:
    """Values of a column as its flow codes them, in row order.

    Attributes:
        numbers: int64 indices, or residuals of a prediction, shape (n,).
        countable: Which rows the flow can code at all, bool, shape (n,).
        predicted: Predicted indices, shape (n,), `None` without a prediction.
    """

    numbers: Array
    countable: Array
    predicted: Array | None


def code(stored: Array, state: ColumnState, flow: ColumnFlow) -> Coded:
    """Return what a flow codes for known values, and record them for the columns after it.

    Args:
        stored: The values in stored order, flat.
        state: A column on the walk.
        flow: Its flow.
    """
    q, _ = state.enter(stored)
    predicted = state.predict(state.whole)
    if predicted is None or not (flow.residual or flow.network is None):
        return Coded(q, np.ones(len(q), bool), predicted)
    residuals, countable = state.residuals(q, predicted)
    return Coded(residuals, countable, predicted)


def _measure(stored: Array, state: ColumnState) -> Array:
    """Return the bits of each row of a column."""
    flow = state.required_flow
    coded = code(stored, state, flow)
    if flow.network is None:
        return np.where(coded.countable & (coded.numbers == 0), 0.0, IMPOSSIBLE)
    symbols = flow.bins.symbol(coded.numbers)
    frequency = np.empty(len(symbols), np.uint32)
    for part, logits in state.blocks(coded.predicted):
        frequency[part] = intervals(logits, symbols[part])[1]
    widths = np.log2(flow.bins.spans.astype(np.float64) + 1)
    bits: Array = FREQUENCY_BITS - np.log2(frequency.astype(np.float64)) + widths[symbols]
    bits[~coded.countable] = IMPOSSIBLE
    return bits
