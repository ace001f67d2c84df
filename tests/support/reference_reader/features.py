"""Section 6.9: features of the event so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reference_reader.description import Column
from reference_reader.functions import PI, atan, cos, energy, pair_mass, sin
from reference_reader.rows import Chunk, Decoded, Row

# of each kind: how many columns, and how many in each further group
KINDS: dict[str, tuple[int, int]] = {
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
NAMES = tuple(KINDS)
VECTORS = tuple(name for name, (_, group) in KINDS.items() if group == 2)


@dataclass(frozen=True)
class Feature:
    """A kind, columns, and knots."""

    kind: str
    columns: tuple[str, ...]
    knots: tuple[float, ...]

    def level(self, number: float | None) -> int:
        """What the network reads."""
        if number is None:
            return 0
        below = sum(knot <= number for knot in self.knots)
        return (1 + below) * 255 // (len(self.knots) + 1)


@dataclass(frozen=True)
class Place:
    """A row of the reader, in a chunk."""

    reader: Decoded
    row: Row
    chunk: Chunk

    def is_own(self, column: str) -> bool:
        """Whether a column is of the reader's collection."""
        return self.chunk[column].column.collection == self.reader.column.collection

    def own(self, column: str) -> float:
        """The value of object j itself."""
        return self.of(column, self.row.number)

    def of(self, column: str, number: int) -> float:
        """The value of an object of the event."""
        decoded = self.chunk[column]
        position = decoded.rows.position(self.row.event, number)
        return math.nan if position is None else float(decoded.number(position))

    def count(self, column: str) -> int:
        """The objects of the event."""
        return self.chunk[column].rows.counts[self.row.event]

    def known(self, column: str) -> int:
        """The number of known objects."""
        return self.row.number if self.is_own(column) else self.count(column)

    def sum(self, f: Callable[..., float], *columns: str) -> float:
        """The sum of f over known objects."""
        return self.added(f, columns, self.known(columns[0]))

    def all(self, column: str) -> float:
        """The sum over all objects of the event."""
        return self.added(lambda x: x, (column,), self.count(column))

    def added(self, f: Callable[..., float], columns: Sequence[str], count: int) -> float:
        """One object after another, from 0.0."""
        total = 0.0
        for number in range(count):
            total = total + f(*(self.of(column, number) for column in columns))
        return total

    def vector(self, columns: Sequence[str]) -> tuple[float, float]:
        """X and Y, pair by pair."""
        x = y = 0.0
        for pt, phi in zip(columns[::2], columns[1::2], strict=True):
            x = x + self.sum(lambda pt, phi: pt * cos(phi), pt, phi)
            y = y + self.sum(lambda pt, phi: pt * sin(phi), pt, phi)
        return x, y

    def nearest(self, columns: Sequence[str]) -> tuple[int | None, float]:
        """Number and d of the nearest object; None where there is none."""
        own_eta, own_phi = (self.own(column) for column in columns[:2])
        eta, phi = columns[2:]
        best, least = None, math.inf
        for number in range(self.count(eta)):
            if self.is_own(eta) and number == self.row.number:
                continue
            p = abs(own_phi - self.of(phi, number))
            if p > PI:
                p = 2.0 * PI - p
            t = own_eta - self.of(eta, number)
            d = t * t + p * p
            if d < least:
                best, least = number, d
        return best, least


def quotient(x: float, y: float) -> float:
    """x / y, missing where y = 0."""
    return math.nan if y == 0.0 else x / y


def wrap(a: float) -> float:
    """Brings an angle by at most one turn into [-pi, pi]."""
    if a > PI:
        a = a - 2.0 * PI
    return a + 2.0 * PI if a < -PI else a


def mean(place: Place, columns: Sequence[str]) -> float:
    """Kind 2."""
    w, x = columns
    return quotient(place.sum(lambda w, x: w * x, w, x), place.sum(lambda w: w, w))


def length(place: Place, columns: Sequence[str]) -> float:
    """Kind 3."""
    x, y = place.vector(columns)
    return math.sqrt(x * x + y * y)


def balance(place: Place, columns: Sequence[str]) -> float:
    """Kind 4."""
    x, y = place.vector(columns)
    return math.nan if x == 0.0 and y == 0.0 else atan(-y, -x)


def turn(place: Place, columns: Sequence[str], number: int | None) -> float:
    """Kinds 5 and 6, of the object of this number."""
    phi = math.nan if number is None else place.of(columns[0], number)
    return wrap(phi - balance(place, columns[1:]))


def turn_of_first(place: Place, columns: Sequence[str]) -> float:
    """Kind 5."""
    itself = place.is_own(columns[0]) and place.row.number == 0
    return turn(place, columns, None if itself else 0)


def turn_of_last(place: Place, columns: Sequence[str]) -> float:
    """Kind 6."""
    return turn(place, columns, place.row.number - 1)


def nearest(place: Place, columns: Sequence[str]) -> float:
    """Kind 8."""
    number, _ = place.nearest(columns[1:])
    return math.nan if number is None else place.of(columns[0], number)


def opening(place: Place, columns: Sequence[str]) -> float:
    """Kind 10."""
    pt, size = place.own(columns[0]), length(place, columns[1:])
    r = (place.all(columns[0]) - place.sum(lambda x: x, columns[0])) - pt
    s = 2.0 * (size * pt)
    return quotient((size * size + pt * pt) - r * r, s)


def left(place: Place, columns: Sequence[str]) -> float:
    """Kind 13."""
    whole = rest = energy(*(place.own(column) for column in columns[:3]))
    for column in columns[3:]:
        rest = rest - place.own(column)
    return quotient(rest, whole)


def mass(place: Place, columns: Sequence[str]) -> float:
    """Kind 15."""
    if place.row.number == 0:
        return math.nan
    first, own = ([place.of(c, n) for c in columns] for n in (0, place.row.number))
    return pair_mass(*first, *own)


def back_to_back(place: Place, columns: Sequence[str]) -> float:
    """Kind 16."""
    if place.row.number == 0:
        return math.nan
    first, own = ([place.of(c, n) for c in columns] for n in (0, place.row.number))
    return pair_mass(*first, 0.0, *own, PI)


def among(knots: Sequence[float], x: float) -> float:
    """Kinds 17 and 18, of x or its size."""
    if not knots or math.isnan(x):
        return math.nan
    n = sum(knot <= x for knot in knots)
    if n in (0, len(knots)):
        return float(max(n - 1, 0))
    return (n - 1) + (x - knots[n - 1]) / (knots[n] - knots[n - 1])


def needed(place: Place, columns: Sequence[str]) -> float:
    """Kind 14."""
    (x,) = columns
    if place.row.number == 0:
        return math.nan
    deficit = 2.0 * place.of(x, 0) - place.sum(lambda x: x, x)
    return deficit / (place.count(x) - place.row.number)


FORMULAS: dict[str, Callable[[Place, Sequence[str]], float]] = {
    "sum": lambda place, c: place.sum(lambda x: x, c[0]),
    "rest": lambda place, c: place.all(c[0]) - place.sum(lambda x: x, c[0]),
    "mean": mean,
    "length": length,
    "balance": balance,
    "turn of the first": turn_of_first,
    "turn of the last": turn_of_last,
    "distance": lambda place, c: math.sqrt(place.nearest(c)[1]),
    "nearest": nearest,
    "relative length": lambda place, c: quotient(length(place, c[1:]), place.own(c[0])),
    "opening": opening,
    "size": lambda place, c: abs(place.own(c[0])),
    "energy": lambda place, c: energy(*(place.own(column) for column in c)),
    "left": left,
    "needed": needed,
    "mass": mass,
    "back to back": back_to_back,
    "place": lambda place, c: place.own(c[0]),
    "place of size": lambda place, c: abs(place.own(c[0])),
}


def feature_number(
    feature: Feature, reader: Decoded, row: Row, chunk: Chunk
) -> float | None:
    """The number of a feature, None where it is missing."""
    number = FORMULAS[feature.kind](Place(reader, row, chunk), feature.columns)
    if feature.kind in {"place", "place of size"}:
        number = among(feature.knots, number)
    return number if math.isfinite(number) else None


def may_read(
    feature: Feature, reader: Column, columns: Sequence[Column], before: set[str]
) -> bool:
    """The table of what a feature may read."""
    places = [c.collection for c in columns]
    own = [place == reader.collection for place in places]
    earlier = [c.name in before for c in columns]
    known = [e or c is reader for e, c in zip(earlier, columns, strict=True)]
    if feature.kind in VECTORS:
        first = KINDS[feature.kind][0]
        pairs = zip(places[first::2], places[first + 1 :: 2], strict=True)
        alone = {
            "length": True,
            "balance": True,
            "turn of the first": not columns[0].is_event,
            "turn of the last": own[0],
            "relative length": own[0] and earlier[0],
            "opening": own[0] and earlier[0],
        }[feature.kind]
        fits = all(known) and all(a == b for a, b in pairs) and alone
    elif feature.kind == "needed":
        fits = all(known) and all(own)
    elif feature.kind in {"sum", "mean"}:
        fits = all(known) and len(set(places)) == 1
    elif feature.kind in {"distance", "nearest"}:
        eta = 0 if feature.kind == "distance" else 1
        others = {*places[:eta], *places[eta + 2 :]}
        fits = all(earlier) and own[eta] and own[eta + 1] and len(others) == 1
    else:  # rest, size, energy, left, mass, back to back, places
        fits = all(earlier) and all(own)
    return not reader.is_event and fits
