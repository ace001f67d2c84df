"""Reconstructed objects beside their generated partners, flat: all events of a sample one after another."""

from __future__ import annotations

from collections.abc import Mapping
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
class Pairs:
    """Objects of one kind in one sample: n reconstructed and m generated ones.

    Attributes:
        source: What the sample is called in messages.
        link: Which collections these are.
        events: Generated events; one that was simulated several times counts once.
        folds: How often each was simulated.
        values: Contents by column: reconstructed of shape (n,), generated (m,), of the event once for each of the n.
        event: Generated event of each reconstructed object, int64 of shape (n,), from 0 to `events` - 1.
        partner: Position of each one's partner among the m, int64 of shape (n,), -1 for none.
        weight: Of each reconstructed object, float64 of shape (n,); 1 / folds where events have no weight of their own.
        given: Columns of the event once for each of the m.
        given_event: As `event`, of shape (m,).
        given_weight: As `weight`, of shape (m,).
    """

    source: str
    link: Link
    events: int
    folds: int
    values: Mapping[str, Array]
    event: Array
    partner: Array
    weight: Array
    given: Mapping[str, Array]
    given_event: Array
    given_weight: Array

    @property
    def found(self) -> Array:
        """Which generated objects are some reconstructed one's partner: bool of shape (m,)."""
        found = np.zeros(len(self.given_event), bool)
        found[self.partner[self.partner >= 0]] = True
        return found

    def joint(self) -> Rows:
        """One row a reconstructed object: its columns, its partner's (NaN where there is none) and those of the event."""
        link, there = self.link, self.partner >= 0
        own = [name for name in (*link.objects.columns, *self.given) if name != link.through]
        columns = {name: self.values[name].astype(np.float64) for name in own}
        for name in link.partners.columns:
            columns[name] = np.full(len(self.event), np.nan)
            columns[name][there] = self.values[name][self.partner[there]]
        values = np.stack(list(columns.values()), axis=1)
        return Rows(self.source, tuple(columns), values, self.event, self.events, self.weight)

    def some(self, keep: Array) -> Pairs:
        """Those of some events, the numbers of the events unchanged.

        Args:
            keep: Which events, bool of shape (events,).
        """
        objects, given = keep[self.event], keep[self.given_event]
        moved = (
            np.where(self.partner >= 0, (np.cumsum(given) - 1)[np.maximum(self.partner, 0)], -1)
            if len(given)
            else self.partner
        )
        values = {
            n: v[given if n in self.link.partners.columns else objects]
            for n, v in self.values.items()
        }
        return replace(
            self,
            values=values,
            event=self.event[objects],
            partner=moved[objects],
            weight=self.weight[objects],
            given={name: content[given] for name, content in self.given.items()},
            given_event=self.given_event[given],
            given_weight=self.given_weight[given],
        )


def read_pairs(source: TableSource, layout: ClosureLayout, described: str) -> list[Pairs]:
    """The pairs of every link of a layout.

    Args:
        source: A table with the columns of the layout; a column `fold` tells that events were simulated several times.
        layout: What to read.
        described: What the sample is called in messages.

    Raises:
        InvalidArgument: A given column holds NaN or infinite values, folds are not those of `simulate`, or weights are
            negative.
    """
    folded = any(c.name == FOLD and c.counter is None and c.is_integer for c in source.columns)
    table = source.read([*layout.names, *([FOLD] if folded else [])], 0, source.num_entries)
    folds = count_folds(np.asarray(table.data[FOLD]), described) if folded else 1
    weight = _weights(table, layout.weights, folds, described)
    event = {name: np.asarray(table.data[name]) for name in layout.event}
    for name, content in event.items():
        _check_finite(name, content, np.arange(len(content)), described)
    return [_pairs(table, link, event, weight, folds, described) for link in layout.links]


def _pairs(
    table: Table, link: Link, event: Mapping[str, Array], weight: Array, folds: int, described: str
) -> Pairs:
    counts = [_counts(table, collection) for collection in (link.objects, link.partners)]
    entry, given_entry = (np.repeat(np.arange(table.num_entries), count) for count in counts)
    values = {n: np.asarray(table.data[n]) for n in (*link.objects.columns, *link.partners.columns)}
    for name in link.partners.columns:
        _check_finite(name, values[name], given_entry, described)
    return Pairs(
        described,
        link,
        table.num_entries // folds,
        folds,
        values | {name: content[entry] for name, content in event.items()},
        entry // folds,
        positions_of(values[link.through], entry, counts[1]),
        weight[entry],
        {name: content[given_entry] for name, content in event.items()},
        given_entry // folds,
        weight[given_entry],
    )


def _counts(table: Table, collection: Collection) -> Array:
    counter = table.column(collection.columns[0]).counter
    return np.asarray(table.data[str(counter)]).astype(np.int64)


def count_folds(fold: Array, described: str) -> int:
    """How often each event was simulated, from a column that counts 0 to K - 1 over and over.

    Raises:
        InvalidArgument: It counts otherwise.

    Example:
        >>> count_folds(np.array([0, 1, 2, 0, 1, 2]), "made.root")
        3
    """
    folds = int(fold.max(initial=0)) + 1
    if not np.array_equal(fold, np.arange(len(fold)) % folds) or len(fold) % folds:
        raise InvalidArgument(
            f"{described}: column {FOLD!r} does not count 0 to {folds - 1} for each event; give events as simulate wrote them"
        )
    return folds


def _weights(table: Table, name: str, folds: int, described: str) -> Array:
    if not name:
        return np.full(table.num_entries, 1 / folds)
    weight = np.asarray(table.data[name], np.float64)
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise InvalidArgument(
            f"{described}: weights {name!r} are negative or not finite; leave out --weights for a closure"
        )
    return weight


def _check_finite(name: str, content: Array, entry: Array, described: str) -> None:
    bad = np.flatnonzero(~np.isfinite(content))
    if len(bad):
        raise InvalidArgument(
            f"{described}: given column {name!r} holds {len(bad)} NaN or infinite values, the first in event {entry[bad[0]]}; "
            "leave these events out, or the column out of --given"
        )
