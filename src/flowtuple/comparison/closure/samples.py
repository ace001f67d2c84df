"""One sample of a closure: pairs of objects, and quantities of its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.closure.layout import ClosureLayout, check_layout, find_layout
from flowtuple.comparison.closure.pairs import Pairs, read_pairs
from flowtuple.data.kinematics import derived_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.selection import prefix_errors, table_with
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class ClosureSample:
    """One sample of a closure.

    Attributes:
        source: Name of the sample in messages.
        events: Generated events.
        folds: How often each event was simulated.
        pairs: Objects with their partners, one for each link of the layout.
        derived: Quantities of events for each link; `None` for objects without a mass.
    """

    source: str
    events: int
    folds: int
    pairs: tuple[Pairs, ...]
    derived: tuple[Rows | None, ...]

    def some(self, events: Array) -> ClosureSample:
        """Return some of the events, `events` bool of shape (events,); their numbers stay."""
        derived = tuple(
            None if rows is None else rows.some(events[rows.event]) for rows in self.derived
        )
        return replace(self, pairs=tuple(p.some(events) for p in self.pairs), derived=derived)

    def halves(self) -> tuple[ClosureSample, ClosureSample]:
        """Return every other event, and the rest: a trend along the sample is in both halves."""
        even = np.arange(self.events) % 2 == 0
        return self.some(even), self.some(~even)


def layout_of(
    dataset: Dataset,
    generated: Iterable[str],
    match: Iterable[str],
    against: Iterable[str],
    weights: str | None,
) -> ClosureLayout:
    """Return the layout of all samples, from the reference; arguments as in `find_layout`.

    Raises:
        InvalidArgument: As `find_layout` does, with the name of the sample.
    """
    generated = tuple(generated)
    with prefix_errors(dataset.description):
        table = OwnCounters(table_with(dataset, generated, "given columns"))
        return find_layout(table, generated, match, against, weights)


def read_sample(
    dataset: Dataset, layout: ClosureLayout, generated: Iterable[str], like: str
) -> ClosureSample:
    """Read all columns of a layout.

    Args:
        dataset: The sample.
        layout: From `layout_of`.
        generated: Names or globs of generated columns, of which the table has some.
        like: Name of the reference.

    Raises:
        InvalidArgument: A column is missing, a generated one is not finite, or there are no events.
    """
    described = dataset.description
    table = OwnCounters(table_with(dataset, tuple(generated), "given columns"))
    check_layout(table, layout, described, like)
    if not table.num_entries:
        raise InvalidArgument(
            f"{described}: holds no events to look at; give a sample that does"
        )
    pairs = tuple(read_pairs(table, layout, described))
    single = Dataset(described, {table.name: table})
    derived = tuple(_derived(single, p, layout.weights) for p in pairs)
    return ClosureSample(described, pairs[0].events, pairs[0].folds, pairs, derived)


def _derived(dataset: Dataset, pairs: Pairs, weights: str) -> Rows | None:
    """Return H_T, dijet mass and others, the folds of an event with the same number."""
    name = pairs.link.objects.name
    if not {f"{name}_mass", f"{name}_m"} & set(pairs.link.objects.columns):
        return None
    rows = derived_rows(dataset, name, weights or None)
    weight = np.full(len(rows), 1 / pairs.folds) if rows.weights is None else rows.weights
    return replace(rows, event=rows.event // pairs.folds, events=pairs.events, weights=weight)
