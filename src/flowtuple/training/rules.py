"""Rules that no training event violates, and rates of near objects, for those who draw events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.context import collection_counts, collection_of
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.rows import RowSet
from flowtuple.lattice.rules import Cut, Rule, cuts_rule

FEWEST = 50
"""Rows that a rule is seen at work in; with fewer it may be chance."""

EXAMINED = 20_000
"""Events that choose the columns of a flag's cuts, so that time and memory are bounded."""

MOST_CUTS = 3
MOST_FLAGS = 64
"""Event flags that are compared with one another; the pairs grow as its square."""

_FALLING_PAIRS = 500
_ROUNDED = 1 - 1e-9  # the smallest quotient itself passes, however it is rounded
_LONGEST_DECIMAL = 7


def find_rules(table: Table, external: Set[str] = frozenset()) -> tuple[Rule, ...]:
    """Return the rules that hold for all events: zeros, falling columns, flags.

    Args:
        table: Events to learn from, with the values as they were measured.
        external: Names of columns that are never drawn.
    """
    columns = [c for c in table.columns if not c.is_opaque and c.role != "id"]
    drawn = [c for c in columns if c.name not in external]
    rows = _Rows(table)
    return (
        *_zeros(drawn, rows),
        *_falling(drawn, rows),
        *_implications(drawn, rows),
        *_flags(drawn, rows),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Values of a table in stored order, and the rows of its collections."""

    table: Table

    def values(self, column: Column) -> Array:
        values: Array = self.table.data[column.name].reshape(-1)
        return values

    def of(self, column: Column) -> RowSet:
        counters: Mapping[str, Array] = self.table.data
        return RowSet(collection_counts(column, counters, self.table.num_entries))

    def first(self, column: Column) -> tuple[Array, Array]:
        """Return the value of each event's first object as float64, and which events have one."""
        rows, values = self.of(column), self.values(column).astype(np.float64)
        there = rows.counts > 0
        first = np.full(len(there), np.nan)
        first[there] = values[rows.begin[there]]
        return first, there


def _zeros(columns: Sequence[Column], rows: _Rows) -> Iterator[Rule]:
    """Pair columns of one collection that are zero in the same rows."""
    first: dict[tuple[str, bytes], Column] = {}
    for column in columns:
        if column.dtype == "bool":
            continue
        zero = rows.values(column) == 0
        if min(zero.sum(), (~zero).sum()) >= FEWEST:
            key = (collection_of(column), np.packbits(zero).tobytes())
            other = first.setdefault(key, column)
            if other is not column:
                yield Rule("zeros", (other.name, column.name))


def least_rules(
    rules: Sequence[Rule], table: Table, lattices: Mapping[str, Lattice]
) -> Iterator[Rule]:
    """Yield the smallest energy, and energy for each constituent, before and after decoding.

    Args:
        rules: Rules of columns that are zero in the same rows.
        table: Events to learn from.
        lattices: Lattice by column name.
    """
    for rule in rules:
        if rule.kind != "zeros":
            continue
        energy, count = sorted(
            rule.columns, key=lambda name: "float" not in lattices[name].dtype
        )
        if lattices[energy].resolution:
            continue
        if "float" not in lattices[energy].dtype or "float" in lattices[count].dtype:
            continue
        x, n = (_smaller(table.data[name], lattices[name]) for name in (energy, count))
        some = (x != 0) & (n != 0)
        if some.any() and (x[some] > 0).all() and (n[some] > 0).all():
            yield Rule("least", (energy,), (float(x[some].min()) * _ROUNDED,))
            each = float((x[some] / n[some]).min())
            yield Rule("least", (energy, count), (each * _ROUNDED,))


def _smaller(values: Array, lattice: Lattice) -> Array:
    """Return the smaller of each value as it was measured and as it decodes; 0 if that is 0."""
    flat = values.reshape(-1)
    decoded = lattice.snap(flat)
    return np.where(decoded == 0, 0.0, np.minimum(flat, decoded).astype(np.float64))


def _falling(columns: Sequence[Column], rows: _Rows) -> Iterator[Rule]:
    """Look for columns by which the objects of an event are sorted."""
    for column in columns:
        if column.counter is None or not column.is_float:
            continue
        collection, values = rows.of(column), rows.values(column)
        inner = np.ones(len(values), bool)
        inner[collection.begin[collection.counts > 0]] = False
        steps = np.flatnonzero(inner)
        falls = values[steps] <= values[steps - 1]
        if len(steps) >= _FALLING_PAIRS and falls.all():
            yield Rule("falling", (column.name,))


def _event_flags(columns: Sequence[Column], rows: _Rows) -> dict[str, Array]:
    """Return event columns of two values, set and not set, each often enough."""
    out = {}
    for column in columns:
        if collection_of(column) == "" and column.dtype == "bool":
            is_set = rows.values(column) != 0
            if min(is_set.sum(), (~is_set).sum()) >= FEWEST:
                out[column.name] = is_set
    return dict(list(out.items())[:MOST_FLAGS])


def _implications(columns: Sequence[Column], rows: _Rows) -> Iterator[Rule]:
    """Look for flags that are set only with another, where chance would have set them without."""
    flags = _event_flags(columns, rows)
    for a, set_a in flags.items():
        for b, set_b in flags.items():
            by_chance = set_a.mean() * (1 - set_b.mean()) * len(set_a)
            if a != b and by_chance >= FEWEST and not (set_a & ~set_b).any():
                yield Rule("implies", (a, b))


def _flags(columns: Sequence[Column], rows: _Rows) -> Iterator[Rule]:
    """Explain event flags by cuts on first objects and numbers of the event.

    The first events choose the columns, and all events the thresholds.
    """
    flags = _event_flags(columns, rows)
    known = [
        c
        for c in columns
        if c.name not in flags and c.role not in ("counter", "reference", "angle")
    ]
    some = _Rows(rows.table.read([c.name for c in columns], 0, EXAMINED))
    numbers = {c.name: some.first(c) for c in known} if flags else {}
    for name, is_set in flags.items():
        chosen = {cut.column for cut in explain(is_set[:EXAMINED], numbers)}
        every = {c.name: rows.first(c) for c in known if c.name in chosen}
        cuts = explain(is_set, every)
        if cuts:
            yield cuts_rule(name, cuts)


def explain(is_set: Array, numbers: Mapping[str, tuple[Array, Array]]) -> tuple[Cut, ...]:
    """Return the cuts that together hold exactly where a flag is set; none if there are no such.

    Each cut passes all events with the flag. The one that refuses most of the others comes first;
    the next one is chosen for those that are left, up to `MOST_CUTS`.

    Args:
        is_set: The flag, bool of shape (events,).
        numbers: By column a number of each event and which events have one.

    Example:
        >>> pt = np.arange(55.0, 66.0).repeat(20)
        >>> [str(cut) for cut in explain(pt > 60.3, {"Jet_pt": (pt, pt > 0)})]
        ['Jet_pt > 60']
    """
    sides = dict(_sides(is_set, numbers))
    left, chosen = ~is_set, list[tuple[str, bool]]()
    while left.any() and len(chosen) < MOST_CUTS:
        refused = {
            side: int(np.count_nonzero(left & ~passes)) for side, passes in sides.items()
        }
        best = max(refused, key=refused.__getitem__, default=None)
        if best is None or refused[best] < FEWEST:
            return ()
        chosen.append(best)
        left = left & sides[best]
    if left.any():
        return ()
    cuts = []
    for name, above in chosen:
        others = [sides[side] for side in chosen if side != (name, above)]
        passing = np.logical_and.reduce([~is_set, numbers[name][1], *others])
        cuts.append(_cut(name, above, numbers[name][0], is_set, passing))
    return tuple(cuts)


def _sides(
    is_set: Array, numbers: Mapping[str, tuple[Array, Array]]
) -> Iterator[tuple[tuple[str, bool], Array]]:
    """Yield the tightest cuts that pass all events with the flag, above and below."""
    for name, (values, there) in numbers.items():
        with_flag = values[is_set]
        if there[is_set].all() and np.isfinite(with_flag).all():
            with np.errstate(invalid="ignore"):
                yield (name, True), there & (values >= with_flag.min())
                yield (name, False), there & (values <= with_flag.max())


def _cut(name: str, above: bool, values: Array, is_set: Array, passing: Array) -> Cut:
    """Return a cut with the plainest threshold between events with the flag and all others."""
    inside = values[is_set].min() if above else values[is_set].max()
    with np.errstate(invalid="ignore"):
        outside = values[passing & ((values < inside) if above else (values > inside))]
    # A threshold lies between numbers: what is infinite does not pass whatever it is.
    outside = outside[np.isfinite(outside)]
    if not len(outside):
        return Cut(name, above, float(np.nextafter(inside, -np.inf if above else np.inf)))
    nearest = outside.max() if above else outside.min()
    low, high = (nearest, inside) if above else (inside, nearest)
    return Cut(name, above, plainest_between(float(low), float(high), upper=not above))


def plainest_between(low: float, high: float, *, upper: bool) -> float:
    """Return the decimal number of fewest digits between two numbers; one end may be taken.

    Args:
        low: Lower end.
        high: Upper end, above the lower one.
        upper: Whether the upper end may be taken; otherwise the lower one may.

    Example:
        >>> plainest_between(59.98, 60.03, upper=False)
        60.0
        >>> plainest_between(0.1493, 0.1502, upper=True)
        0.15
    """
    for digits in range(-6, _LONGEST_DECIMAL):
        step = 10.0**-digits
        number = math.floor(high / step) if upper else math.ceil(low / step)
        decimal = round(number * step, max(digits, 0))
        if low < decimal < high or decimal == (high if upper else low):
            return decimal
    return high if upper else low
