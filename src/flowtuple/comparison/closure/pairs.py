"""Reconstructed objects with their generated partners, all events of a sample one after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.closure.layout import ClosureLayout, Link
from flowtuple.comparison.folds import FOLD
from flowtuple.data.collections import Collection, positions_of
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.table import Table, TableSource
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
    """

    source: str
    link: Link
    events: int
    folds: int
    objects: Level
    generated: Level
    partner: Array

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
            self.source, tuple(columns), values, objects.event, self.events, objects.weight
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
        )


def read_pairs(source: TableSource, layout: ClosureLayout, described: str) -> list[Pairs]:
    """Return the pairs of every link of a layout.

    Args:
        source: A table with the columns of the layout; a column `fold` marks events that were
            simulated several times.
        layout: The columns to read.
        described: Name of the sample in messages.

    Raises:
        InvalidArgument: A generated column holds NaN or infinite values, folds are not those of
            `simulate`, or weights are negative.
    """
    folded = any(
        c.name == FOLD and c.counter is None and c.is_integer for c in source.columns
    )
    table = source.read([*layout.names, *([FOLD] if folded else [])], 0, source.num_entries)
    folds = count_folds(np.asarray(table.data[FOLD]), described) if folded else 1
    weight = _weights(table, layout.weights, folds, described)
    every = np.arange(table.num_entries)
    event = Level(
        {name: np.asarray(table.data[name]) for name in layout.event}, every, weight
    )
    _check_finite(event, layout.event, described)
    return [_pairs(table, link, event, folds, described) for link in layout.links]


def _pairs(table: Table, link: Link, event: Level, folds: int, described: str) -> Pairs:
    counts = _counts(table, link.partners)
    objects = _objects(table, link.objects, event)
    generated = _objects(table, link.partners, event)
    _check_finite(generated, link.partners.columns, described)
    return Pairs(
        described,
        link,
        table.num_entries // folds,
        folds,
        replace(objects, event=objects.event // folds),
        replace(generated, event=generated.event // folds),
        positions_of(objects.columns[link.through], objects.event, counts),
    )


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
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise InvalidArgument(
            f"{described}: weights {name!r} are negative or not finite; "
            "leave out `weight=` for a closure"
        )
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
