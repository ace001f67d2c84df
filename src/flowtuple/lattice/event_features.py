"""Numbers of the event so far: sums, directions and nearest objects of columns decoded before.

They are float64 numbers by the frozen arithmetic of docs/format.md, section 6.9, so that they are
the same on every machine. A conditioner reads such a number as a level among stored knots, a
prediction reads the number itself.

The *known objects* of a column are the objects before the reader's own one where the column is of
the reader's collection, all objects of the event where it is of another collection, and the event
itself for event columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import PI, arctangent, exponential, sine_cosine
from flowtuple.lattice.rows import RowSet
from flowtuple.runtime.compiled import compiled

MAX_KNOTS = 254
MAX_COLUMNS = 16

KINDS: Mapping[str, tuple[int, int]] = {
    "sum": (1, 0),
    "rest": (1, 0),
    "mean": (2, 0),
    "length": (0, 2),
    "balance": (0, 2),
    "turn of the first": (1, 2),
    "turn of the last": (1, 2),
    "distance": (4, 0),
    "nearest": (5, 0),
    "relative length": (1, 2),
    "opening": (1, 2),
    "size": (1, 0),
    "energy": (3, 0),
    "left": (3, 1),
    "needed": (1, 0),
    "mass": (3, 0),
    "back to back": (2, 0),
    "place": (1, 0),
    "place of size": (1, 0),
}
"""By name, the number of columns, and of columns in each further group; part of the format.

- `sum`: x of all known objects
- `rest`: x of the objects of the reader's collection from its own object on
- `mean`: sum of w x over sum of w, of known objects
- `length`: magnitude of the vector sum of known objects, for each group of p_T and phi
- `balance`: direction of minus that vector sum
- `turn of the first`: phi of the first object of the collection less that direction
- `turn of the last`: phi of the object before less that direction
- `distance`: Delta R from the object with eta and phi to the nearest object by another eta and phi
- `nearest`: x of that object
- `relative length`: magnitude of the vector sum over the object's own p_T
- `opening`: cosine of the angle to the direction of balance at which the p_T of later objects
  equals the magnitude of the sum that is left for them
- `size`: |x| of the object, as of eta
- `energy`: that of the object by p_T, eta and m
- `left`: share of that energy that the parts before leave
- `needed`: twice x of the first object less the sum of x of known objects, over the number of
  objects from its own on: the p_T that each of them has on average if they balance the first
- `mass`: invariant mass of the object and the first one, by p_T, eta and phi, as of massless ones
- `back to back`: that mass if the two were opposite in phi, the largest one by p_T and eta
- `place`: place of x among the knots, between two of them by linear interpolation: any function
  of x that rises or falls, up to a factor and a constant
- `place of size`: that of |x|
"""


@compiled()
def _fill_levels(values: Any, present: Any, knots: Any, levels: Any) -> None:
    for i in range(len(values)):
        if not present[i]:
            continue
        # Knots at or below a value, by bisection: a conditional move, not a branch, halves it.
        place, count = 0, len(knots)
        while count > 1:
            half = count >> 1
            place = place + half if knots[place + half - 1] <= values[i] else place
            count -= half
        if count == 1 and knots[place] <= values[i]:
            place += 1
        levels[i] = (1 + place) * 255 // (len(knots) + 1)


@dataclass(frozen=True)
class EventFeature:
    """One number of the event so far for each row of a reader.

    Attributes:
        kind: A name of `KINDS`.
        columns: Names of the columns that it takes.
        knots: Increasing numbers; the level counts how many of them are at or below the feature.
            Empty where the number itself is read.
    """

    kind: str
    columns: tuple[str, ...]
    knots: tuple[float, ...] = ()

    @property
    def is_place(self) -> bool:
        """True if the number is a place among its knots."""
        return self.kind in ("place", "place of size")

    @property
    def searched(self) -> str:
        """A column of the objects among which it searches the nearest; empty for none."""
        return self.columns[-1] if self.kind in ("distance", "nearest") else ""

    def place(self, values: Array) -> Array:
        """Return places among the knots, NaN for NaN: 0 to their number less 1, shape (n,)."""
        if not self.knots:
            return np.full(len(values), np.nan)
        knots, most = np.array(self.knots), len(self.knots) - 1
        below = np.searchsorted(knots, values, side="right") - 1
        left = knots[np.clip(below, 0, most)]
        width = knots[np.clip(below + 1, 0, most)] - left
        inner = (below >= 0) & (below < most)
        between = (values - left) / np.where(inner, width, 1.0)
        places = np.where(inner, below + between, np.clip(below, 0, most))
        return np.where(np.isnan(values), np.nan, places)

    def level(self, values: Array, present: Array) -> Array:
        """Return uint8 levels, shape (n,): 0 for missing, then evenly from the knots.

        Args:
            values: The numbers, float64 of shape (n,).
            present: Which rows have one.
        """
        levels = np.zeros(len(values), np.uint8)
        _fill_levels(values, present, np.array(self.knots, np.float64), levels)
        return levels


def quantile_knots(values: Array, count: int) -> tuple[float, ...]:
    """Return knots at quantiles of values, at most `count` and without repetitions."""
    shares = np.arange(1, count + 1) / (count + 1)
    if not len(values):
        return ()
    places: Array = np.quantile(values, shares, method="lower")
    return tuple(np.unique(places).tolist())


@dataclass(eq=False)
class RunningSums:
    """Sums over the objects before each row, added in the order of the objects.

    Attributes:
        rows: The rows of the collection.
        terms: Returns the summands of a part of the rows.
    """

    rows: RowSet
    terms: Callable[[slice], Array]
    _upto: int = 0
    _total: Array = field(init=False)
    _before: Array = field(init=False)

    def __post_init__(self) -> None:
        self._total = np.zeros(len(self.rows.counts))
        self._before = np.zeros(len(self.rows))

    def before(self, part: slice | Array) -> Array:
        """Return the sums over the objects before each row of a part, shape (n,)."""
        last = int(self.rows.number[part].max(initial=-1))
        while self._upto <= last:
            if self._upto:
                self._add(self.rows.parts[self._upto - 1])
            here = self.rows.parts[self._upto]
            self._before[here] = self._total[self.rows.event[here]]
            self._upto += 1
        return self._before[part]

    def _add(self, part: slice) -> None:
        self._total[self.rows.event[part]] += self.terms(part)


@dataclass(eq=False)
class EventFeatures:
    """The features of one context; what several rows need is computed once.

    Attributes:
        rows_of: Rows of each collection, by the key of `context.collection_of`.
        collection: Key of each column's collection.
        decoded: Values of columns in row order.
    """

    rows_of: Callable[[str], RowSet]
    collection: Mapping[str, str]
    decoded: Mapping[str, Array]
    _running: dict[tuple[str, ...], RunningSums] = field(default_factory=dict)
    _totals: dict[tuple[str, ...], Array] = field(default_factory=dict)
    _searched: dict[str, Array] = field(default_factory=dict)

    def evaluate(
        self, feature: EventFeature, reader: str, part: slice
    ) -> tuple[Array, Array]:
        """Return the numbers of some rows, and which exist: both of shape (n,).

        Args:
            feature: What to compute.
            reader: Key of the reader's collection.
            part: Rows of the reader.
        """
        with np.errstate(all="ignore"):
            values = _FUNCTIONS[feature.kind](self, feature.columns, reader, part)
            if feature.is_place:
                values = feature.place(values)
        present = np.isfinite(values)
        return np.where(present, values, 0.0), present

    def known_sum(
        self, columns: Sequence[str], name: str, reader: str, part: slice | Array
    ) -> Array:
        """Return a sum over known objects: of x, of w x, of p_T cos(phi) or p_T sin(phi).

        Args:
            columns: The arguments of the summand, of one collection.
            name: Name of the summand, a key of `_SUMMANDS`.
            reader: Key of the reader's collection.
            part: Rows of the reader.
        """
        rows = self.rows_of(reader)
        key = (name, *columns)
        source = self.collection[columns[0]]
        if source == reader and reader:
            if key not in self._running:
                self._running[key] = RunningSums(rows, self._summands(columns, name))
            return self._running[key].before(part)
        return self._total(columns, name)[rows.event[part]]

    def _total(self, columns: Sequence[str], name: str) -> Array:
        """Return the sum over all objects of each event."""
        key = (name, *columns)
        if key not in self._totals:
            rows = self.rows_of(self.collection[columns[0]])
            terms = self._summands(columns, name)(slice(0, len(rows)))
            # Rows are sorted by object number, and each event's terms are added in this order.
            self._totals[key] = np.bincount(rows.event, terms, len(rows.counts))
        return self._totals[key]

    def _summands(self, columns: Sequence[str], name: str) -> Callable[[slice], Array]:
        def terms(part: slice) -> Array:
            return _SUMMANDS[name](*(self.values(c, part) for c in columns))

        return terms

    def values(self, column: str, part: slice = slice(None)) -> Array:
        """Return decoded values of a column as float64."""
        values: Array = self.decoded[column][part].astype(np.float64)
        return values

    def vector(self, columns: Sequence[str], reader: str, part: slice) -> list[Array]:
        """Return x and y of the vector sum of known objects, group by group of p_T and phi."""
        out = []
        for name in ("x", "y"):
            total = np.zeros(part.stop - part.start)
            for k in range(0, len(columns), 2):
                total = total + self.known_sum(columns[k : k + 2], name, reader, part)
            out.append(total)
        return out

    def sum_known(
        self, columns: Sequence[str], reader: str, part: slice | Array
    ) -> Array:
        """Return the kind `sum`."""
        return self.known_sum(columns, "1", reader, part)

    def rest(self, columns: Sequence[str], reader: str, part: slice | Array) -> Array:
        """Return the kind `rest`."""
        event = self.rows_of(reader).event[part]
        return self._total(columns, "1")[event] - self.sum_known(columns, reader, part)

    def needed(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `needed`; NaN for the first object."""
        rows = self.rows_of(reader)
        event, number = rows.event[part], rows.number[part]
        first = rows.find(event, np.where(number > 0, 0, -1))
        twice = 2.0 * self._at(columns[0], first)
        deficit: Array = twice - self.sum_known(columns, reader, part)
        each: Array = deficit / (rows.counts[event] - number)
        return each

    def mean(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `mean`."""
        weight = self.known_sum(columns[:1], "1", reader, part)
        total = self.known_sum(columns, "product", reader, part)
        return total / np.where(weight == 0, np.nan, weight)

    def length(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `length`."""
        x, y = self.vector(columns, reader, part)
        size: Array = np.sqrt(x * x + y * y)
        return size

    def relative_length(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `relative length`; NaN for an object without p_T."""
        pt = self.values(columns[0], part)
        return self.length(columns[1:], reader, part) / np.where(pt == 0, np.nan, pt)

    def opening(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `opening`; NaN where one of the sides has no length."""
        pt = self.values(columns[0], part)
        size = self.length(columns[1:], reader, part)
        later = self.rest(columns[:1], reader, part) - pt
        sides = 2.0 * (size * pt)
        squares = (size * size + pt * pt) - later * later
        cosine: Array = squares / np.where(sides == 0, np.nan, sides)
        return cosine

    def mass(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `mass`; NaN for the first object."""
        return pair_mass(*self._with_first(columns, reader, part))

    def back_to_back(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `back to back`; NaN for the first object."""
        pt1, eta1, pt2, eta2 = self._with_first(columns, reader, part)
        here, opposite = np.zeros(len(pt1)), np.full(len(pt1), PI)
        return pair_mass(pt1, eta1, here, pt2, eta2, opposite)

    def _with_first(
        self, columns: Sequence[str], reader: str, part: slice
    ) -> list[Array]:
        """Return columns of the first object, NaN for that one itself, then those of each row."""
        rows = self.rows_of(reader)
        event, number = rows.event[part], rows.number[part]
        first = rows.find(event, np.where(number > 0, 0, -1))
        return [
            *(self._at(c, first) for c in columns),
            *(self.values(c, part) for c in columns),
        ]

    def own(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return x, whose places are the kind `place`."""
        return self.values(columns[0], part)

    def size(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `size`."""
        return np.abs(self.values(columns[0], part))

    def energy(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `energy`."""
        return energy(*(self.values(c, part) for c in columns))

    def left(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `left`; NaN for an object without energy."""
        total = self.energy(columns[:3], reader, part)
        rest = total
        for column in columns[3:]:
            rest = rest - self.values(column, part)
        share: Array = rest / np.where(total == 0, np.nan, total)
        return share

    def balance(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `balance`; NaN where nothing was summed."""
        x, y = self.vector(columns, reader, part)
        return np.where((x == 0) & (y == 0), np.nan, arctangent(-y, -x))

    def turn_of_first(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `turn of the first`."""
        return self._turn(columns, reader, part, np.zeros(part.stop - part.start, int))

    def turn_of_last(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `turn of the last`."""
        number = self.rows_of(reader).number[part] - 1
        return self._turn(columns, reader, part, number)

    def _turn(
        self, columns: Sequence[str], reader: str, part: slice, number: Array
    ) -> Array:
        rows, phi = self.rows_of(reader), columns[0]
        source = self.collection[phi]
        if source == reader:
            number = np.where(rows.number[part] == 0, -1, number)
        at = self.rows_of(source).find(rows.event[part], number)
        turn = self._at(phi, at) - self.balance(columns[1:], reader, part)
        return _wrap(turn)

    def _at(self, column: str, at: Array) -> Array:
        """Return float64 values of some rows of a column, NaN where the row is -1."""
        values = self.decoded[column]
        if not len(values):
            return np.full(len(at), np.nan)
        return np.where(at >= 0, values[np.maximum(at, 0)].astype(np.float64), np.nan)

    def distance(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `distance`."""
        return self._nearest(columns, reader, part)[1]

    def nearest(self, columns: Sequence[str], reader: str, part: slice) -> Array:
        """Return the kind `nearest`."""
        at, _ = self._nearest(columns[1:], reader, part)
        return self._at(columns[0], at)

    def _nearest(
        self, columns: Sequence[str], reader: str, part: slice
    ) -> tuple[Array, Array]:
        """Return row and Delta R of the nearest object for each row, -1 and NaN for none."""
        rows = self.rows_of(reader)
        source = self.collection[columns[2]]
        others = self.rows_of(source)
        return nearest_rows(
            [self.values(c, part) for c in columns[:2]],
            rows.event[part],
            # An object is not its own neighbour.
            rows.number[part]
            if source == reader
            else np.full(part.stop - part.start, -1),
            [self._complete(c) for c in columns[2:]],
            others,
        )

    def _complete(self, column: str) -> Array:
        """Return all values of a column decoded before, as float64; converted only once."""
        if column not in self._searched:
            self._searched[column] = self.values(column)
        return self._searched[column]


def nearest_rows(
    axes: Sequence[Array],
    event: Array,
    number: Array,
    other_axes: Sequence[Array],
    others: RowSet,
    *,
    before: bool = False,
) -> tuple[Array, Array]:
    """Return the row of the nearest object and its Delta R, -1 and NaN where there is none.

    Args:
        axes: eta and phi, float64 of shape (n,).
        event: Event of each, shape (n,).
        number: Number of an object of the event to pass over, -1 for none, shape (n,).
        other_axes: eta and phi of the objects to search.
        others: Their rows.
        before: Search only objects before that number.
    """
    at = np.empty(len(event), np.int64)
    square = np.empty(len(event))
    counts, begin = others.counts[event], others.begin[event]
    if before:
        counts = np.minimum(counts, number)
    (eta, phi), (other_eta, other_phi) = axes, other_axes
    _search(
        eta, phi, begin, counts, number, other_eta, other_phi, others.rank, at, square
    )
    return at, np.where(at >= 0, np.sqrt(square), np.nan)


@compiled()
def _search(
    eta: Any, phi: Any, begin: Any, counts: Any, number: Any,
    other_eta: Any, other_phi: Any, rank: Any, at: Any, square: Any,
) -> None:  # fmt: skip
    for i in range(len(eta)):
        best, least = -1, math.inf
        for j in range(counts[i]):
            if j == number[i]:
                continue
            row = rank[begin[i] + j]
            dphi = abs(phi[i] - other_phi[row])
            if dphi > PI:
                dphi = 2.0 * PI - dphi
            deta = eta[i] - other_eta[row]
            distance = deta * deta + dphi * dphi
            if distance < least:
                best, least = row, distance
        at[i], square[i] = best, least


def energy(pt: Array, eta: Array, mass: Array) -> Array:
    """Return the energy of objects, by the frozen arithmetic of predictions."""
    e = exponential(eta)
    p = pt * ((e + 1.0 / e) * 0.5)
    total: Array = np.sqrt(p * p + mass * mass)
    return total


def pair_mass(
    pt1: Array, eta1: Array, phi1: Array, pt2: Array, eta2: Array, phi2: Array
) -> Array:
    """Return the invariant mass of two massless objects.

    sqrt(2 pt1 pt2 (cosh(eta1 - eta2) - cos(phi1 - phi2)))
    """
    e = exponential(eta1 - eta2)
    opening = (e + 1.0 / e) * 0.5 - sine_cosine(phi1 - phi2)[1]
    mass: Array = np.sqrt(np.abs(2.0 * (pt1 * pt2) * opening))
    return mass


def _wrap(angle: Array) -> Array:
    """Return angles between -2 pi and 2 pi in [-pi, pi], by one addition at most."""
    angle = np.where(angle > PI, angle - 2.0 * PI, angle)
    return np.where(angle < -PI, angle + 2.0 * PI, angle)


_SUMMANDS: Mapping[str, Callable[..., Array]] = {
    "1": lambda x: x,
    "product": lambda w, x: w * x,
    "x": lambda pt, phi: pt * sine_cosine(phi)[1],
    "y": lambda pt, phi: pt * sine_cosine(phi)[0],
}

_FUNCTIONS: Mapping[str, Callable[[EventFeatures, Sequence[str], str, slice], Array]] = {
    "sum": EventFeatures.sum_known,
    "rest": EventFeatures.rest,
    "mean": EventFeatures.mean,
    "length": EventFeatures.length,
    "balance": EventFeatures.balance,
    "turn of the first": EventFeatures.turn_of_first,
    "turn of the last": EventFeatures.turn_of_last,
    "distance": EventFeatures.distance,
    "nearest": EventFeatures.nearest,
    "relative length": EventFeatures.relative_length,
    "opening": EventFeatures.opening,
    "size": EventFeatures.size,
    "energy": EventFeatures.energy,
    "left": EventFeatures.left,
    "needed": EventFeatures.needed,
    "mass": EventFeatures.mass,
    "back to back": EventFeatures.back_to_back,
    "place": EventFeatures.own,
    "place of size": EventFeatures.size,
}
