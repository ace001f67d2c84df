"""Events in the form of contexts: true ones on a model's lattices, and drawn ones."""

from __future__ import annotations

from collections.abc import Iterable

from flowtuple.data.table import Table
from flowtuple.lattice.context import Context, make_context
from flowtuple.lattice.walk import TableCoding, walk
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import AtRandom


def true_context(
    coding: TableCoding, table: Table, columns: Iterable[str], count: int
) -> Context:
    """Return true events on the lattices of a model.

    Args:
        coding: Schema, lattices and flow.
        table: The events.
        columns: Names of the columns whose values are needed.
        count: Events, from the first one on.
    """
    events = table.read([c.name for c in table.columns], 0, count)
    context = make_context(coding.columns, count, events.data)
    context.watched = frozenset(columns)
    for state in walk(coding, context, coding.flow.columns):
        state.enter(events.data[state.name].reshape(-1))
    return context


def drawn_context(
    coding: TableCoding, name: str, count: int, sampler: AtRandom
) -> Context:
    """Return drawn events with the values of all columns.

    Args:
        coding: Schema, lattices and flow.
        name: Name of the table.
        count: Events.
        sampler: Random numbers.
    """
    names = [c.name for c in coding.columns if not c.is_opaque]
    sampled = SampledTable(name, coding, count, sampler, workers=1, obey=sampler)
    events = sampled.read(names, 0, count)
    context = make_context(coding.columns, count, events.data)
    for column in names:
        rows = context.rows(context.collection[column])
        context.values[column] = rows.sort(events.data[column].reshape(-1))
    return context
