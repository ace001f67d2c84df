"""Events as latent ones: every value as its place in its own distribution, uniform where the model is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.errors import Unsupported
from flowtuple.lattice.context import make_context
from flowtuple.lattice.walk import ColumnState, TableCoding, walk
from flowtuple.model.draw import Distribution, cdf
from flowtuple.model.score import code

WIDEST = (
    2**35
)  # indices of a bin: 16 bits of frequency and these leave a bit of float64's 52 to spare


def is_stored_exactly(column: Column, coding: TableCoding) -> bool:
    """Whether a column is itself in the latent table: ids, which have no density, counters, given columns."""
    return column.role in ("id", "counter") or column.name in coding.given


def check_resolved(coding: TableCoding, where: str) -> None:
    """Whether numbers from 0 to 1 in float64 can tell all places apart.

    Raises:
        Unsupported: A column's bins are too wide, as of lossless float64 or of integers beyond 2^35.
    """
    for name, flow in coding.flow.columns.items():
        if (
            flow.network is not None and int(flow.bins.spans[:-1].max(initial=0)) >= WIDEST
        ):  # the last lies outside
            raise Unsupported(
                f"{where}: column {name!r} has more values than a latent number tells apart; train it with a bound"
            )


def to_latent(events: Table, coding: TableCoding) -> Table:
    """The latent table of events: float64 from 0 to 1, NaN for a value that the model's lattice does not hold.

    A value that follows from others without doubt is 0.5. Ids, counters and given columns stay as they are.

    Args:
        events: At least the columns of the flow.
        coding: Schema, lattices and flow, of which every column but ids has a density.
    """
    context = make_context(coding.columns, events.num_entries, events.data)
    data = {}
    for state in walk(coding, context):
        stored = data[state.name] = events.data[state.name]
        if state.flow is not None:
            latent = _measure(stored.reshape(-1), state)
            if not is_stored_exactly(state.column, coding):
                data[state.name] = latent.reshape(stored.shape)
    columns = tuple(
        c if is_stored_exactly(c, coding) else replace(c, dtype="float64")
        for c in coding.columns
        if c.name in data
    )
    return Table(events.name, columns, events.num_entries, {c.name: data[c.name] for c in columns})


def _measure(stored: Array, state: ColumnState) -> Array:
    """Return the u of a column's values, in stored order."""
    flow = state.required_flow
    coded = code(stored, state, flow)
    if flow.network is None:
        u = np.where(coded.numbers == 0, 0.5, np.nan)
    else:
        u = np.empty(len(coded.numbers))
        for part, logits in state.blocks(coded.predicted):
            u[part] = cdf(Distribution(logits, flow.bins), coded.numbers[part])
    return state.rows.unsort(np.where(coded.countable, u, np.nan))
