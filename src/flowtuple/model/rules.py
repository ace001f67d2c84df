"""Rules in use: which of the indices just drawn a rule forbids, and what replaces them at last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.arithmetic import PI, sine_cosine
from flowtuple.lattice.context import Context, make_context
from flowtuple.lattice.event_features import nearest_rows
from flowtuple.lattice.grid import ATOM
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import FUNCTIONS, LARGEST
from flowtuple.lattice.rules import RATES, Cut, Rule
from flowtuple.lattice.walk import ColumnState, TableCoding


@dataclass(frozen=True, eq=False)
class Candidates:
    """Values just drawn for some rows of a column, which rules may refuse.

    Attributes:
        state: The column.
        context: Columns drawn before.
        rows: Their rows, int64 of shape (n,).
        values: The values, shape (n,).
        chance: Numbers above 0 and below 1, for rates, shape (n,).
        flags: Rules of all flags: where one is set, its cuts hold for columns drawn later.
    """

    state: ColumnState
    context: Context
    rows: Array
    values: Array
    chance: Array
    flags: Sequence[Rule] = ()

    @property
    def event(self) -> Array:
        """Event of each row."""
        return self.state.rows.event[self.rows]

    @property
    def number(self) -> Array:
        """Number of each row's object in its event."""
        return self.state.rows.number[self.rows]

    def with_values(self, at: Array, values: Array) -> Candidates:
        """Return other values of some of the candidates, with their chances."""
        return replace(self, rows=self.rows[at], values=values, chance=self.chance[at])

    def of_first(self, column: str) -> tuple[Array, Array] | None:
        """Return a column's value of the first object of each row's event, and which exist.

        Event columns have their value in every event. `None` if the column is not drawn yet.
        """
        values = self.context.values.get(column)
        if values is None or column == self.state.name:
            return None
        event = self.event
        at = self.context.rows(self.context.collection[column]).find(
            event, np.zeros_like(event)
        )
        if not len(values):
            return np.zeros(len(at)), np.zeros(len(at), bool)
        return values[np.maximum(at, 0)], at >= 0

    def surely(self, cut: Cut, passes: Array | None) -> Array:
        """Return for which rows a cut holds, or has to hold because of a flag that is set.

        Args:
            cut: The cut.
            passes: Which rows pass it, `None` if its column is not drawn yet.
        """
        if passes is not None:
            return passes
        return self._where_set(lambda other: _is_stricter(other, cut))

    def excluded(self, cut: Cut) -> Array:
        """Return for which rows a cut cannot hold, because of a flag that is set."""
        return self._where_set(lambda other: _excludes(other, cut))

    def _where_set(self, matches: Callable[[Cut], bool]) -> Array:
        """Return for which rows a flag is set that has a cut of some kind."""
        matched = np.zeros(len(self.rows), bool)
        for rule in self.flags:
            if any(matches(cut) for cut in rule.cuts):
                first = self.of_first(rule.columns[0])
                if rule.columns[0] == self.state.name:
                    matched |= self.values != 0
                elif first is not None:
                    matched |= first[0] != 0
        return matched


MOST_STEPS = 512
"""Indices to either side of a drawn one that are tried at last."""

FIRST_STEPS = 8
"""Of them, those that are tried together at first."""


class RuleBook:
    """The rules of a model by the columns that they bind.

    Args:
        rules: The rules.
        columns: The schema.
    """

    def __init__(self, rules: Sequence[Rule], columns: Sequence[Column]) -> None:
        self._counters = {c.name: c.counter for c in columns}
        self._by_column: dict[str, list[Rule]] = {}
        for rule in rules:
            for name in self.bound(rule):
                self._by_column.setdefault(name, []).append(rule)
        self.flags = tuple(rule for rule in rules if rule.kind == "flag")
        self._implied = {
            rule.columns[0]: [
                other
                for other in self.flags
                if other.columns[0] != rule.columns[0]
                if any(_is_stricter(a, b) for a in rule.cuts for b in other.cuts)
            ]
            for rule in self.flags
        }

    def bound(self, rule: Rule) -> set[str]:
        """Return all columns that a rule speaks of, with the counters of its cuts."""
        counters = {self._counters[cut.column] for cut in _cuts(rule)} - {None}
        return {*rule.columns, *(c for c in counters if c is not None)}

    def partners(self, name: str) -> set[str]:
        """Return the columns that the rules of a column speak of."""
        return {c for rule in self._by_column.get(name, ()) for c in self.bound(rule)}

    def of(self, name: str) -> list[Rule]:
        """Return the rules of a column."""
        return self._by_column.get(name, [])

    def refused(self, candidates: Candidates) -> Array:
        """Return which candidates a rule forbids, or a rate does not take: bool, shape (n,)."""
        refused, rate = np.zeros((2, len(candidates.rows)))
        rate += 1.0
        for rule in self.of(candidates.state.name):
            if rule.kind in RATES:
                rate *= _rate(rule, candidates)
            else:
                refused += _CHECKS[rule.kind](rule, candidates)
        for rule in self._implied.get(candidates.state.name, ()):
            refused += _refused_by_other(rule, candidates)
        return (refused > 0) | (candidates.chance >= rate)

    def settle(self, candidates: Candidates, q: Array) -> Array:
        """Return indices with the nearest ones that each rule allows in place of those refused."""
        lattice = candidates.state.lattice
        for rule in self.of(candidates.state.name):
            if rule.kind == "distance":
                q = _turned(rule, candidates, q)
            elif rule.kind in _SETTLED:
                bad = _CHECKS[rule.kind](rule, candidates)
                if bad.any():
                    q = np.where(bad, _settled(rule, candidates, q, lattice), q)
        for rule in self._implied.get(candidates.state.name, ()):
            bad = _refused_by_other(rule, candidates)
            if bad.any():
                q = np.where(bad, _settled(rule, candidates, q, lattice), q)
        return q


_SETTLED = ("zeros", "falling", "implies", "flag", "parts")
"""Kinds that are obeyed in the end, whatever is drawn."""


def count_violations(events: Table, coding: TableCoding) -> dict[str, int]:
    """Return by rule in words how many events violate it; rates forbid no event.

    Args:
        events: The columns of the model.
        coding: Schema, lattices and flow.
    """
    context = make_context(coding.columns, events.num_entries, events.data)
    numbers = [c for c in coding.columns if not c.is_opaque]
    states = {c.name: ColumnState(c, coding, context) for c in numbers}
    for name, state in states.items():
        context.values[name] = state.rows.sort(events.data[name].reshape(-1))
    counts = {}
    for rule in coding.flow.rules:
        if rule.kind in _CHECKS:
            # All other columns are known, so that the check of this one sees every violation.
            state = states[rule.columns[-1 if rule.kind == "parts" else 0]]
            values = context.values[state.name]
            rows = np.arange(len(values))
            known = Candidates(state, context, rows, values, np.empty(0))
            violating = known.event[_CHECKS[rule.kind](rule, known)]
            counts[str(rule)] = len(np.unique(violating))
    return counts


def _cuts(rule: Rule) -> tuple[Cut, ...]:
    return rule.cuts if rule.kind == "flag" else ()


def _zeros(rule: Rule, drawn: Candidates) -> Array:
    known = _other(rule, drawn)
    if known is None:
        return np.zeros(len(drawn.rows), bool)
    refused: Array = (drawn.values == 0) != (known == 0)
    return refused


def _other(rule: Rule, drawn: Candidates) -> Array | None:
    """Return the other of two columns of the same rows, `None` if it is not drawn yet."""
    (other,) = set(rule.columns) - {drawn.state.name}
    known = drawn.context.values.get(other)
    return None if known is None else known[drawn.rows]


def _falling(rule: Rule, drawn: Candidates) -> Array:
    before, there = _before(drawn)
    refused: Array = there & (drawn.values > before)
    return refused


def _before(drawn: Candidates) -> tuple[Array, Array]:
    """Return the value of the object before each row's, and which exist."""
    at = drawn.state.rows.find(drawn.event, drawn.number - 1)
    values = drawn.context.values[drawn.state.name]
    return values[np.maximum(at, 0)], at >= 0


def _implies(rule: Rule, drawn: Candidates) -> Array:
    known = _other(rule, drawn)
    if known is None:
        return np.zeros(len(drawn.rows), bool)
    value: Array = drawn.values != 0
    other: Array = known != 0
    return value & ~other if drawn.state.name == rule.columns[0] else ~value & other


def _passes(cut: Cut, values: Array, there: Array) -> Array:
    above = values.astype(np.float64) > cut.threshold
    below = values.astype(np.float64) < cut.threshold
    return there & (above if cut.above else below)


def _flag(rule: Rule, drawn: Candidates) -> Array:
    name, flag = drawn.state.name, rule.columns[0]
    known: list[Array | None] = []
    for cut in rule.cuts:
        if cut.column != name:
            first = drawn.of_first(cut.column)
            known.append(None if first is None else _passes(cut, *first))
    if name == flag:
        return _refused_flags(rule, drawn, known)
    first = drawn.of_first(flag)
    if first is None:
        return np.zeros(len(drawn.rows), bool)
    is_set = first[0] != 0
    own = [cut for cut in rule.cuts if cut.column == name]
    if not own:  # the counter of a collection
        empty: Array = is_set & (drawn.values == 0)
        return empty
    here = drawn.number == 0
    passes: Array = np.logical_and.reduce(
        [_passes(cut, drawn.values, here) for cut in own]
    )
    refused: Array = is_set & here & ~passes
    cuts = [cut for cut in rule.cuts if cut.column != name]
    others = [drawn.surely(*pair) for pair in zip(cuts, known, strict=True)]
    refused |= np.logical_and.reduce([~is_set & passes, *others])
    return refused


def _refused_by_other(rule: Rule, drawn: Candidates) -> Array:
    """Return where a flag just set forces the cuts of another one, which is not set."""
    other = drawn.of_first(rule.columns[0])
    if other is None:
        return np.zeros(len(drawn.rows), bool)
    contradicted: Array = (drawn.values != 0) & (other[0] == 0)
    for cut in rule.cuts:
        if contradicted.any():
            first = drawn.of_first(cut.column)
            passes = None if first is None else _passes(cut, *first)
            contradicted &= drawn.surely(cut, passes)
    return contradicted


def _is_stricter(a: Cut, b: Cut) -> bool:
    """Return whether whatever passes one cut passes another one."""
    same = (a.column, a.above) == (b.column, b.above)
    beyond = a.threshold >= b.threshold if a.above else a.threshold <= b.threshold
    return same and beyond


def _excludes(a: Cut, b: Cut) -> bool:
    """Return whether nothing passes both of two cuts."""
    if a.column != b.column or a.above == b.above:
        return False
    low, high = (a, b) if a.above else (b, a)
    return low.threshold >= high.threshold


def _refused_flags(rule: Rule, drawn: Candidates, known: Sequence[Array | None]) -> Array:
    """Return which values of a flag contradict the cuts, or a first object that is not there."""
    value = drawn.values != 0
    possible = [
        _has_objects(cut.column, drawn) & ~drawn.excluded(cut)
        if passes is None
        else passes
        for cut, passes in zip(rule.cuts, known, strict=True)
    ]
    contradicted: Array = value & ~np.logical_and.reduce(possible)
    sure = [drawn.surely(*pair) for pair in zip(rule.cuts, known, strict=True)]
    contradicted |= np.logical_and.reduce([~value, *sure])
    return contradicted


def _has_objects(column: str, drawn: Candidates) -> Array:
    """Return whether each row's event has objects of a column's collection, or may have some."""
    key = drawn.context.collection[column]
    if key[:1] == "#" and key[1:] not in drawn.context.values:
        return np.ones(len(drawn.rows), bool)
    return drawn.context.rows(key).counts[drawn.event] > 0


def _parts(rule: Rule, drawn: Candidates) -> Array:
    parts = rule.columns[3:]
    if drawn.state.name not in parts or not set(rule.columns[:3]) <= set(
        drawn.context.values
    ):
        return np.zeros(len(drawn.rows), bool)
    rest, tolerance, complete = _left(rule, drawn)
    rest = rest - drawn.values.astype(np.float64)
    return (rest < -tolerance) | (complete & (rest > tolerance))


def _least(rule: Rule, drawn: Candidates) -> Array:
    values, name = drawn.context.values, drawn.state.name
    if any(c != name and c not in values for c in rule.columns):
        return np.zeros(len(drawn.rows), bool)
    x, *count = [
        drawn.values if c == name else values[c][drawn.rows] for c in rule.columns
    ]
    least = rule.numbers[0] * (count[0].astype(np.float64) if count else 1.0)
    refused: Array = (x != 0) & (x.astype(np.float64) < least)
    return refused


def _left(rule: Rule, drawn: Candidates) -> tuple[Array, Array, bool]:
    """Return what other parts leave of the energy, its tolerance, and whether all are known."""
    values, name = drawn.context.values, drawn.state.name
    kinematics = [values[c][drawn.rows].astype(np.float64) for c in rule.columns[:3]]
    energy = FUNCTIONS["energy"][1](*kinematics)
    others = [part for part in rule.columns[3:] if part != name]
    known = [part for part in others if part in values]
    rest = energy
    for part in known:
        rest = rest - values[part][drawn.rows].astype(np.float64)
    absolute, relative = rule.numbers
    return rest, absolute + relative * energy, len(known) == len(others)


def _rate(rule: Rule, drawn: Candidates) -> Array:
    """Return the rate with which a rule takes each candidate, 1 where it says nothing."""
    number = rated_number(rule.kind, rule.columns, drawn)
    out = np.ones(len(drawn.rows))
    if number is not None:
        edges, rates = map(np.array, rule.spectrum)
        known = np.flatnonzero(~np.isnan(number))
        out[known] = rates[np.searchsorted(edges, number[known], side="right")]
    return out


def rated_number(kind: str, columns: Sequence[str], drawn: Candidates) -> Array | None:
    """Return the number that the rate of candidates depends on, NaN for none: shape (n,).

    Args:
        kind: `distance`, Delta R to the nearest object before; `excess`, by how much later objects
            miss what balances the event, as far as p_T or p_T and phi tell; `mass`, that of the
            first and the second object.
        columns: eta and phi; p_T; p_T and phi; p_T and eta; or p_T, eta and phi.
        drawn: Candidates of the last of these columns.

    Returns:
        `None` where the candidates are of another column, or columns are not drawn yet.
    """
    values, name = drawn.context.values, drawn.state.name
    if name != columns[-1] or any(c not in values for c in columns):
        return None
    if kind == "distance":
        return nearest_before(drawn, values[columns[0]], values[columns[1]])
    own = drawn.values.astype(np.float64)
    if kind == "mass":
        return _pair_mass(columns, drawn, own)
    return (
        _excess_of_size(columns, drawn, own)
        if len(columns) == 1
        else _excess(columns, drawn, own)
    )


def _pair_mass(columns: Sequence[str], drawn: Candidates, own: Array) -> Array:
    """Return the mass of first and second object, back to back as long as phi is not known.

    NaN for all objects but the second.
    """
    out = np.full(len(own), np.nan)
    second = np.flatnonzero(drawn.number == 1)
    if not len(second):
        return out
    first = drawn.state.rows.find(drawn.event[second], np.zeros_like(second))
    values = [drawn.context.values[c] for c in columns]
    one = [v[first].astype(np.float64) for v in values]
    rows = drawn.rows[second]
    two = [*(v[rows].astype(np.float64) for v in values[:-1]), own[second]]
    if len(columns) == 2:
        one.append(np.zeros(len(second)))
        two.append(np.full(len(second), PI))
    out[second] = FUNCTIONS["pair mass"][1](*one, *two)
    return out


def _excess_of_size(columns: Sequence[str], drawn: Candidates, pt: Array) -> Array:
    """Return the p_T that balances the first object less what later objects can have at most."""
    features, key = drawn.context.features, drawn.state.key
    rows = drawn.state.rows
    first = rows.find(drawn.event, np.zeros_like(drawn.event))
    leading = drawn.context.values[columns[0]][first].astype(np.float64)
    before = features.known_sum(columns, "1", key, drawn.rows)
    later = rows.counts[drawn.event] - 1 - drawn.number
    missing = 2.0 * leading - (before + pt)
    return np.where(drawn.number > 0, missing - pt * later, np.nan)


def _excess(columns: Sequence[str], drawn: Candidates, phi: Array) -> Array:
    """Return the magnitude of the vector sum less the p_T of all later objects."""
    features, key = drawn.context.features, drawn.state.key
    pt_name = columns[0]
    pt = drawn.context.values[pt_name][drawn.rows].astype(np.float64)
    sine, cosine = sine_cosine(phi)
    x = features.known_sum(columns, "x", key, drawn.rows) + pt * cosine
    y = features.known_sum(columns, "y", key, drawn.rows) + pt * sine
    later = features.rest((pt_name,), key, drawn.rows) - pt
    excess: Array = np.sqrt(x * x + y * y) - later
    return np.where(drawn.number > 0, excess, np.nan)


def nearest_before(drawn: Candidates, eta: Array, phi: Array) -> Array:
    """Return Delta R to the nearest object before each row's, NaN for none: shape (n,).

    Args:
        drawn: Candidates of the column phi.
        eta: eta of all rows of the collection.
        phi: phi of the rows drawn before.
    """
    return nearest_rows(
        [eta[drawn.rows].astype(np.float64), drawn.values.astype(np.float64)],
        drawn.event,
        drawn.number,
        [eta.astype(np.float64), phi.astype(np.float64)],
        drawn.state.rows,
        before=True,
    )[1]


_CHECKS: Mapping[str, Callable[[Rule, Candidates], Array]] = {
    "zeros": _zeros,
    "falling": _falling,
    "implies": _implies,
    "flag": _flag,
    "parts": _parts,
    "least": _least,
}


def _settled(rule: Rule, drawn: Candidates, q: Array, lattice: Lattice) -> Array:
    """Return the nearest index that a rule allows, for rows that it refuses."""
    zero = _index(lattice, 0)
    if rule.kind == "falling":
        before = _before(drawn)[0]
        nearest = lattice.nearest(before)
        # At an end of the range, which clips values, the next index may be as near.
        rises: Array = lattice.decode(nearest) > before
        return nearest - rises
    if rule.kind == "parts":
        rest = np.maximum(_left(rule, drawn)[0], 0.0)
        return lattice.nearest(rest.astype(lattice.dtype))
    if rule.kind == "flag" and drawn.state.name in rule.columns[1:]:
        return _beyond(rule, drawn, q, lattice)
    if lattice.dtype == "bool" or rule.kind != "zeros":
        return np.where(drawn.values != 0, zero, _index(lattice, 1))
    point = lattice.grid.index(np.zeros(1, lattice.dtype))[0]
    return np.where(drawn.values != 0, zero, point + 1)


def _turned(rule: Rule, drawn: Candidates, q: Array) -> Array:
    """Return the indices next to those drawn, on either side, that a rate takes."""
    out = q.copy()
    waiting = np.flatnonzero((drawn.chance >= _rate(rule, drawn)) & (q < ATOM))
    done, count = 0, FIRST_STEPS
    while len(waiting) and done < MOST_STEPS:
        steps = np.arange(done + 1, min(done + count, MOST_STEPS) + 1)
        tried = q[waiting, None] + np.stack([steps, -steps], axis=1).ravel()
        values = drawn.state.lattice.decode(tried.ravel())
        some = drawn.with_values(np.repeat(waiting, 2 * len(steps)), values)
        taken = (some.chance < _rate(rule, some)).reshape(tried.shape)
        out[waiting], is_taken = first_taken(taken, tried, q[waiting])
        waiting = waiting[~is_taken]
        done, count = done + count, 4 * count
    return out


def first_taken(taken: Array, tried: Array, otherwise: Array) -> tuple[Array, Array]:
    """Return the first index of each row that is taken, and which rows have one.

    Args:
        taken: Which indices are taken, bool of shape (n, tries).
        tried: The indices, of the same shape.
        otherwise: Index of a row of which none is taken, shape (n,).
    """
    is_taken = np.logical_or.reduce(taken, axis=1)
    chosen = tried[np.arange(len(tried)), taken.argmax(axis=1)]
    return np.where(is_taken, chosen, otherwise), is_taken


def _beyond(rule: Rule, drawn: Candidates, q: Array, lattice: Lattice) -> Array:
    """Return indices next to thresholds: inside of the cuts that fail, or outside of one if none.

    An index stays where the lattice has no value on that side.
    """
    there = np.ones(len(q), bool)
    own = [cut for cut in rule.cuts if cut.column == drawn.state.name]
    passes = [_passes(cut, drawn.values, there) for cut in own]
    out, holds = q, np.logical_and.reduce(passes)
    for cut, passed in zip(own, passes, strict=True):
        inside, outside = _sides(cut, lattice)
        if inside is not None:
            out = np.where(passed, out, inside)
        if outside is not None:
            out = np.where(holds, outside, out)
    return out


def _sides(cut: Cut, lattice: Lattice) -> tuple[int | None, int | None]:
    """Return the indices nearest to a threshold that pass and that do not; `None` for none."""
    threshold = np.array([cut.threshold])
    if np.dtype(lattice.dtype).kind in "iu":
        limits = np.iinfo(lattice.dtype)
        if not limits.min <= cut.threshold <= limits.max:
            return None, None
    with np.errstate(over="ignore"):
        middle = int(lattice.grid.index(threshold.astype(lattice.dtype))[0])
    if not -LARGEST < middle < LARGEST:
        return None, None
    steps = middle + np.arange(-2, 3)
    sides = _passes(cut, lattice.decode(steps), np.ones(5, bool))
    passing, failing = steps[sides].tolist(), steps[~sides].tolist()
    near, far = (0, -1) if cut.above else (-1, 0)
    return (
        passing[near] if passing else None,
        failing[far] if failing else None,
    )


def _index(lattice: Lattice, value: int) -> int:
    return int(lattice.nearest(np.array([value], lattice.dtype))[0])
