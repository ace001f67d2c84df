"""How likely a flow finds events: bits of each event, column by column, on the lattice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flowtuple.codec.chunk import make_context
from flowtuple.codec.column import TableCoding
from flowtuple.codec.frequencies import FREQUENCY_BITS, intervals
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice import evaluation
from flowtuple.lattice.context import Context, RowSet, coding_order, collection_of
from flowtuple.lattice.grid import ESCAPE

_BLOCK = 2**15
IMPOSSIBLE = 64.0  # bits of a value that a column's relation to others rules out, as the outside symbol costs about


@dataclass(frozen=True, eq=False)
class Scores:
    """Bits of each event under a flow: -log2 p, with respect to counting measure on the lattice.

    Attributes:
        columns: Names of the columns that have a density and are neither ids nor given.
        bits: float64, shape (events, columns): a column's values of an event, its objects added.
        values: int64, the same shape: how many values these are.
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
    """Score events of the schema that a flow was made for; what it has no density for is left out.

    Args:
        events: At least the columns of the flow.
        coding: Schema, lattices and flow.
    """
    scored = [
        c
        for c in coding.columns
        if c.role != "id" and c.name not in coding.given and _has_density(c, coding)
    ]
    places = {c.name: k for k, c in enumerate(scored)}
    bits = np.zeros((events.num_entries, len(scored)))
    values = np.zeros((events.num_entries, len(scored)), np.int64)
    context = make_context(coding.columns, events.num_entries, events.data)
    for column in coding_order(coding.columns, tuple(coding.flow.columns)):
        if column.name not in coding.flow.columns:
            continue
        found = _column_bits(events.data[column.name].reshape(-1), column, coding, context)
        if column.name in places:
            event = context.rows(collection_of(column)).event
            bits[:, places[column.name]] = np.bincount(event, found, events.num_entries)
            values[:, places[column.name]] = np.bincount(event, minlength=events.num_entries)
    return Scores(tuple(places), bits, values)


def _has_density(column: Column, coding: TableCoding) -> bool:
    flow = coding.flow.columns.get(column.name)
    return flow is not None and (flow.network is not None or flow.prediction is not None)


@dataclass(frozen=True, eq=False)
class Coded:
    """A column's rows as its flow codes them.

    Attributes:
        rows: Their order.
        coded: int64 indices, or residuals of a prediction, shape (n,).
        countable: Where the flow can code them at all, bool, shape (n,).
        blocks: Slices of the rows with their logits; none where the column has no network.
    """

    rows: RowSet
    coded: Array
    countable: Array
    blocks: Iterator[tuple[slice, Array]]


def coded(stored: Array, column: Column, coding: TableCoding, context: Context) -> Coded:
    """What a flow makes of a column's values in stored order; what others read of it is noted.

    Args:
        stored: The values, flat.
        column: One with a flow.
        coding: Schema, lattices and flow.
        context: Of the events, with the columns before this one.
    """
    name, lattice, flow = (
        column.name,
        coding.lattices[column.name],
        coding.flow.columns[column.name],
    )
    rows = context.rows(collection_of(column))
    values = rows.sort(stored)
    q, whole = lattice.encode(values), slice(0, len(rows))
    evaluation.publish(name, whole, q, values[q == ESCAPE], lattice, coding.flow, context)
    predicted = evaluation.predict(flow, lattice, name, whole, context)
    result, countable = q, np.ones(len(q), bool)
    if (
        flow.prediction is not None
        and predicted is not None
        and (flow.residual or flow.network is None)
    ):
        countable = flow.prediction.countable(q, predicted)
        r = flow.prediction.residual(
            np.where(countable, q, 0), np.where(countable, predicted, 0), flow.kept
        )
        result = q if r is None else r

    def blocks() -> Iterator[tuple[slice, Array]]:
        for start in range(0, len(result) if flow.network else 0, _BLOCK):
            part = slice(start, min(start + _BLOCK, len(result)))
            yield (
                part,
                evaluation.logits(
                    flow, name, part, None if predicted is None else predicted[part], context
                ),
            )

    return Coded(rows, result, countable, blocks())


def _column_bits(stored: Array, column: Column, coding: TableCoding, context: Context) -> Array:
    """Bits of each row of a column."""
    found, flow = coded(stored, column, coding, context), coding.flow.columns[column.name]
    if flow.network is None:
        return np.where(found.countable & (found.coded == 0), 0.0, IMPOSSIBLE)
    symbols, frequency = flow.bins.symbol(found.coded), np.empty(len(found.coded), np.uint32)
    for part, logits in found.blocks:
        frequency[part] = intervals(logits, symbols[part])[1]
    widths = np.log2(flow.bins.spans.astype(np.float64) + 1)
    bits: Array = FREQUENCY_BITS - np.log2(frequency.astype(np.float64)) + widths[symbols]
    bits[~found.countable] = IMPOSSIBLE
    return bits
