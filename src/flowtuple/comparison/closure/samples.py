"""One sample of a closure: objects with their generated partners, and quantities of its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.closure.layout import (
    ClosureLayout,
    Link,
    check_layout,
    find_layout,
)
from flowtuple.comparison.folds import FOLD
from flowtuple.data.collections import Collection, positions_of
from flowtuple.data.event_weights import check_column, check_finite, check_sum
from flowtuple.data.kinematics import derived_rows
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.selection import prefix_errors, table_with
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class Level:
    """Objects of one collection, with the columns of their events repeated for each of them.

    Attributes:
        columns: Contents by name, each of shape (n,).
        event: Generated event of each object, int64 of shape (n,).
        weight: Weight of each object, float64 of shape (n,); 1 / folds where events have none.
    """

    columns: Mapping[str, Array]
    event: Array
    weight: Array

    def some(self, rows: Array) -> Level:
        """Return some of the objects: bool of shape (n,), or positions."""
        columns = {name: content[rows] for name, content in self.columns.items()}
        return Level(columns, self.event[rows], self.weight[rows])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Objects of one link in one sample: n reconstructed and m generated ones.

    Attributes:
        source: Name of the sample in messages.
        link: The collections.
        events: Generated events; one that was simulated several times counts once.
        folds: How often each event was simulated.
        objects: The reconstructed objects.
        generated: The generated objects.
        partner: Position of each reconstructed object's partner, int64 of shape (n,), -1 for none.
        derived: Quantities of events, such as H_T; `None` for objects without a mass.
    """

    source: str
    link: Link
    events: int
    folds: int
    objects: Level
    generated: Level
    partner: Array
    derived: Rows | None = None

    @property
    def reconstructed(self) -> Array:
        """True for generated objects that are a partner: bool of shape (m,)."""
        reconstructed = np.zeros(len(self.generated.event), bool)
        reconstructed[self.partner[self.partner >= 0]] = True
        return reconstructed

    def joint(self) -> Rows:
        """Return a row for each reconstructed object.

        Its columns are those of the object and of the event, and of its partner (NaN without one).
        """
        columns = {n: v.astype(np.float64) for n, v in self.objects.columns.items()}
        del columns[self.link.through]
        matched = self.partner >= 0
        for name in self.link.partners.columns:
            columns[name] = np.full(len(self.partner), np.nan)
            columns[name][matched] = self.generated.columns[name][self.partner[matched]]
        values = np.stack(list(columns.values()), axis=1)
        objects = self.objects
        return Rows(
            self.source,
            tuple(columns),
            values,
            objects.event,
            self.events,
            objects.weight,
        )

    def some(self, events: Array) -> Pairs:
        """Return the objects of some events, whose numbers stay.

        Args:
            events: True for these events, bool of shape (events,).
        """
        objects, generated = events[self.objects.event], events[self.generated.event]
        partner = self.partner
        if len(generated):
            position = np.cumsum(generated) - 1
            partner = np.where(partner >= 0, position[np.maximum(partner, 0)], -1)
        return replace(
            self,
            objects=self.objects.some(objects),
            generated=self.generated.some(generated),
            partner=partner[objects],
            derived=self.derived and self.derived.some(events[self.derived.event]),
        )


@dataclass(frozen=True, eq=False)
class ClosureSample:
    """One sample of a closure.

    Attributes:
        pairs: Objects with their partners, one for each link of the layout.
    """

    pairs: tuple[Pairs, ...]

    @property
    def source(self) -> str:
        """Name of the sample in messages."""
        return self.pairs[0].source

    def halves(self) -> tuple[ClosureSample, ClosureSample]:
        """Return every other event, and the rest: a trend along the sample is in both halves."""
        even = np.arange(self.pairs[0].events) % 2 == 0
        first, second = (
            ClosureSample(tuple(pairs.some(events) for pairs in self.pairs))
            for events in (even, ~even)
        )
        return first, second


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
    table = OwnCounters(table_with(dataset, generated, "given columns"))
    if weights is not None:
        check_column(dataset.description, weights, table.columns)
    with prefix_errors(dataset.description):
        return find_layout(table, generated, match, against, weights)


def read_sample(
    dataset: Dataset, layout: ClosureLayout, generated: Iterable[str], like: str
) -> ClosureSample:
    """Read all columns of a layout.

    Args:
        dataset: The sample; a column `fold` marks events that were simulated several times.
        layout: From `layout_of`.
        generated: Names or globs of generated columns, of which the table has some.
        like: Name of the reference.

    Raises:
        InvalidArgument: A column is missing, a generated one is not finite, there are no events,
            folds are not those of `simulate`, or weights are negative.
    """
    described = dataset.description
    source = OwnCounters(table_with(dataset, tuple(generated), "given columns"))
    check_layout(source, layout, described, like)
    if not source.num_entries:
        raise InvalidArgument(
            f"{described}: holds no events to look at; give a sample that does"
        )
    folded = any(
        c.name == FOLD and c.counter is None and c.is_integer for c in source.columns
    )
    table = source.read(
        [*layout.names, *([FOLD] if folded else [])], 0, source.num_entries
    )
    folds = count_folds(np.asarray(table.data[FOLD]), described) if folded else 1
    weight = _weights(table, layout.weights, folds, described)
    columns = {name: np.asarray(table.data[name]) for name in layout.event}
    event = Level(columns, np.arange(table.num_entries), weight)
    _check_finite(event, layout.event, described)
    single = Dataset(described, {source.name: source})
    pairs = []
    for link in layout.links:
        objects = _objects(table, link.objects, event)
        generated_objects = _objects(table, link.partners, event)
        _check_finite(generated_objects, link.partners.columns, described)
        counts = _counts(table, link.partners)
        pairs.append(
            Pairs(
                described,
                link,
                table.num_entries // folds,
                folds,
                replace(objects, event=objects.event // folds),
                replace(generated_objects, event=generated_objects.event // folds),
                positions_of(objects.columns[link.through], objects.event, counts),
                _derived(single, link, layout.weights, folds),
            )
        )
    return ClosureSample(tuple(pairs))


def _derived(dataset: Dataset, link: Link, weights: str, folds: int) -> Rows | None:
    """Return H_T, dijet mass and others, the folds of an event with the same number."""
    name = link.objects.name
    if not {f"{name}_mass", f"{name}_m"} & set(link.objects.columns):
        return None
    rows = derived_rows(dataset, name, weights or None)
    weight = np.full(len(rows), 1 / folds) if rows.weights is None else rows.weights
    events = rows.events // folds
    return replace(rows, event=rows.event // folds, events=events, weights=weight)


def _objects(table: Table, collection: Collection, event: Level) -> Level:
    """Return the objects of a collection; `event` numbers the entries of the table."""
    columns = {name: np.asarray(table.data[name]) for name in collection.columns}
    entries = event.some(np.repeat(event.event, _counts(table, collection)))
    return replace(entries, columns={**columns, **entries.columns})


def _counts(table: Table, collection: Collection) -> Array:
    counter = table.column(collection.columns[0]).counter
    return np.asarray(table.data[str(counter)]).astype(np.int64)


def count_folds(fold: Array, described: str) -> int:
    """Return how often each event was simulated.

    Args:
        fold: Counts 0 to K - 1 over and over, shape (K events,).
        described: Name of the sample in messages.

    Raises:
        InvalidArgument: The column counts otherwise.

    Example:
        >>> count_folds(np.array([0, 1, 2, 0, 1, 2]), "made.root")
        3
    """
    folds = int(fold.max(initial=0)) + 1
    if not np.array_equal(fold, np.arange(len(fold)) % folds) or len(fold) % folds:
        raise InvalidArgument(
            f"{described}: column {FOLD!r} does not count 0 to {folds - 1} for each event; "
            "give events as simulate wrote them"
        )
    return folds


def _weights(table: Table, name: str, folds: int, described: str) -> Array:
    if not name:
        return np.full(table.num_entries, 1 / folds)
    weight = np.asarray(table.data[name], np.float64)
    check_finite(weight, described, name)
    negative = np.flatnonzero(weight < 0)
    if len(negative):
        raise InvalidArgument(
            f"{described}: column {name!r}: {len(negative)} weights are negative, the first in "
            f"event {negative[0]}; leave out `weight=` for a closure"
        )
    check_sum(weight, described, name)
    return weight


def _check_finite(level: Level, names: Iterable[str], described: str) -> None:
    for name in names:
        bad = np.flatnonzero(~np.isfinite(level.columns[name]))
        if len(bad):
            raise InvalidArgument(
                f"{described}: given column {name!r} holds {len(bad)} NaN or infinite values, "
                f"the first in event {level.event[bad[0]]}; "
                "leave these events out, or the column out of `given=`"
            )
