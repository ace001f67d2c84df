"""One sample as a closure needs it: pairs of objects, and quantities of its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.closure.layout import ClosureLayout, check_layout, find_layout
from flowtuple.comparison.closure.pairs import Pairs, read_pairs
from flowtuple.data.counters import OwnCounters
from flowtuple.data.kinematics import derived_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.selection import prefix_errors, table_with
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class ClosureSample:
    """What is looked at of one sample.

    Attributes:
        source: What it is called in messages.
        events: Generated events.
        folds: How often each was simulated.
        pairs: Objects with their partners, one for each link of the layout.
        derived: Quantities of events for each link; `None` for objects without a mass.
    """

    source: str
    events: int
    folds: int
    pairs: tuple[Pairs, ...]
    derived: tuple[Rows | None, ...]

    def some(self, keep: Array) -> ClosureSample:
        """Some of the events, `keep` bool of shape (events,); their numbers stay."""
        derived = tuple(
            None if rows is None else rows.some(keep[rows.event]) for rows in self.derived
        )
        return replace(self, pairs=tuple(pairs.some(keep) for pairs in self.pairs), derived=derived)

    def halves(self) -> tuple[ClosureSample, ClosureSample]:
        """Every other event, and the rest: samples that were made in order have both halves alike."""
        even = np.arange(self.events) % 2 == 0
        return self.some(even), self.some(~even)


def layout_of(
    dataset: Dataset,
    given: Iterable[str],
    match: Iterable[str],
    against: Iterable[str],
    weights: str | None,
) -> ClosureLayout:
    """What is to be read of every sample, from the reference.

    Raises:
        InvalidArgument: As `find_layout` does, with the name of the sample.
    """
    given = tuple(given)
    with prefix_errors(dataset.description):
        return find_layout(
            OwnCounters(table_with(dataset, given, "given columns")), given, match, against, weights
        )


def read_sample(
    dataset: Dataset, layout: ClosureLayout, given: Iterable[str], like: str
) -> ClosureSample:
    """Everything of a sample that its layout names.

    Args:
        dataset: The sample.
        layout: From `layout_of`.
        given: Names or globs, of which the table has some.
        like: What the reference is called.

    Raises:
        InvalidArgument: A column is missing, a given one is not finite, or there are no events.
    """
    described = dataset.description
    table = OwnCounters(table_with(dataset, tuple(given), "given columns"))
    check_layout(table, layout, described, like)
    if not table.num_entries:
        raise InvalidArgument(f"{described}: holds no events to look at; give a sample that does")
    pairs = tuple(read_pairs(table, layout, described))
    alone = Dataset(described, {table.name: table})
    derived = tuple(_derived(alone, p, layout.weights) for p in pairs)
    return ClosureSample(described, pairs[0].events, pairs[0].folds, pairs, derived)


def _derived(dataset: Dataset, pairs: Pairs, weights: str) -> Rows | None:
    """H_T, dijet mass and others, the folds of an event with one number."""
    name = pairs.link.objects.name
    if not {f"{name}_mass", f"{name}_m"} & set(pairs.link.objects.columns):
        return None
    rows = derived_rows(dataset, name, weights or None)
    weight = np.full(len(rows), 1 / pairs.folds) if rows.weights is None else rows.weights
    return replace(rows, event=rows.event // pairs.folds, events=pairs.events, weights=weight)
