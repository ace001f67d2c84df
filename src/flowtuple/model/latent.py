"""The latent table of events: the u of every value, uniform where the model is right."""

from __future__ import annotations

import math
from dataclasses import replace

from flowtuple.data.schema import Column
from flowtuple.data.table import Table
from flowtuple.errors import Unsupported
from flowtuple.lattice.context import make_context
from flowtuple.lattice.walk import TableCoding, walk
from flowtuple.model.draw import cdf
from flowtuple.model.score import measure

WIDEST = 2**35
"""Indices of a bin at most: with 16 bits of frequency they leave a bit of float64's 52 unused."""


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
        if flow.network is not None and int(flow.bins.spans[:-1].max(initial=0)) >= WIDEST:
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
