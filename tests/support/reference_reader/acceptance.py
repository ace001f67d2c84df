"""Section 6.11: the acceptance of generated events, event by event."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reference_reader.description import Column
from reference_reader.functions import PI, cos, energy, exp, pair_mass, sin
from reference_reader.rows import Chunk

# of each kind: columns, columns in each further group, and numbers of objects
KINDS: dict[str, tuple[int, int, int]] = {
    "object": (1, 0, 1),
    "sum": (1, 0, 0),
    "largest": (1, 0, 0),
    "mean": (2, 0, 0),
    "length": (2, 2, 0),
    "delta phi": (2, 0, 2),
    "delta eta": (2, 0, 2),
    "pair mass": (6, 0, 2),
    "nearest pair": (2, 0, 0),
    "nearest other": (4, 0, 0),
    "closure": (5, 1, 0),
}
NAMES = tuple(KINDS)
MARKED = ("delta phi", "delta eta", "pair mass", "nearest other")
LARGEST = (2.0 - 2.0**-23) * 2.0**127


@dataclass(frozen=True)
class Quantity:
    """A kind, columns, and numbers of objects."""

    kind: str
    columns: tuple[Column, ...]
    objects: tuple[int, ...]

    def is_formed(self) -> bool:
        """Whether the columns are as many, and of the collections, that the table says."""
        least, group, _ = KINDS[self.kind]
        more = len(self.columns) - least
        if more < 0 or (more % group if group else more):
            return False
        places = [None if c.is_opaque else c.collection for c in self.columns]
        size = len(places)
        if self.kind == "length":
            size = 2
        elif self.kind in MARKED:
            size = len(places) // 2
        together = (
            len(set(places[k : k + size])) == 1 for k in range(0, len(places), size)
        )
        return None not in places and all(together)


@dataclass(frozen=True)
class Event:
    """One event of a chunk."""

    chunk: Chunk
    number: int

    def count(self, column: str) -> int:
        """The objects of the event; 1 of an event column."""
        return self.chunk[column].rows.counts[self.number]

    def of(self, column: str, number: int) -> float:
        """The value of an object, of an event column that of the event."""
        decoded = self.chunk[column]
        if decoded.column.is_event:
            number = 0
        position = decoded.rows.position(self.number, number)
        return math.nan if position is None else float(decoded.number(position))

    def each(self, f: Callable[..., float], *columns: str) -> Iterator[float]:
        """The numbers f of all objects, by increasing number."""
        for number in range(self.count(columns[0])):
            yield f(*(self.of(column, number) for column in columns))

    def sum(self, f: Callable[..., float], *columns: str) -> float:
        """One object after another, from 0.0."""
        total = 0.0
        for term in self.each(f, *columns):
            total = total + term
        return total


def quotient(x: float, y: float) -> float:
    """x / y, missing where y = 0."""
    return math.nan if y == 0.0 else x / y


def mean(event: Event, columns: Sequence[str]) -> float:
    """Kind 3."""
    w, x = columns
    return quotient(event.sum(lambda w, x: w * x, w, x), event.sum(lambda w: w, w))


def length(event: Event, columns: Sequence[str]) -> float:
    """Kind 4."""
    x = y = 0.0
    for pt, phi in zip(columns[::2], columns[1::2], strict=True):
        x = x + event.sum(lambda pt, phi: pt * cos(phi), pt, phi)
        y = y + event.sum(lambda pt, phi: pt * sin(phi), pt, phi)
    return math.sqrt(x * x + y * y)


def turn(phi: float, other: float) -> float:
    """Kind 5."""
    d = abs(phi - other)
    return 2.0 * PI - d if d > PI else d


def difference(eta: float, other: float) -> float:
    """Kind 6."""
    return abs(eta - other)


def square(eta: float, phi: float, other_eta: float, other_phi: float) -> float:
    """The distance d of section 6.9, before its root."""
    t, p = eta - other_eta, turn(phi, other_phi)
    return t * t + p * p


def nearest(event: Event, own: Sequence[str], other: Sequence[str], pairs: bool) -> float:
    """Kinds 8 and 9."""
    found = [math.nan]
    for i in range(event.count(own[0])):
        for j in range(i if pairs else event.count(other[0])):
            axes = (event.of(own[0], i), event.of(own[1], i))
            found.append(square(*axes, event.of(other[0], j), event.of(other[1], j)))
    return math.sqrt(min((d for d in found if math.isfinite(d)), default=math.nan))


def closure(pt: float, eta: float, m: float, *parts: float) -> float:
    """Kind 10, of one object."""
    total = parts[0]
    for x in parts[1:]:
        total = total + x
    return abs(quotient(total, energy(pt, eta, m)) - 1.0)


def largest(numbers: Iterator[float]) -> float:
    """The largest of those that are numbers."""
    return max((x for x in numbers if not math.isnan(x)), default=math.nan)


def both(event: Event, columns: Sequence[str], objects: Sequence[int]) -> list[float]:
    """Half of the columns of object i, and half of object j."""
    half = len(columns) // 2
    numbers = [objects[0]] * half + [objects[1]] * half
    return [event.of(c, number) for c, number in zip(columns, numbers, strict=True)]


Formula = Callable[[Event, Sequence[str], Sequence[int]], float]
FORMULAS: dict[str, Formula] = {
    "object": lambda event, c, objects: event.of(c[0], objects[0]),
    "sum": lambda event, c, _: event.sum(lambda x: x, c[0]),
    "largest": lambda event, c, _: largest(event.each(lambda x: x, c[0])),
    "mean": lambda event, c, _: mean(event, c),
    "length": lambda event, c, _: length(event, c),
    "delta phi": lambda event, c, objects: turn(*both(event, c, objects)),
    "delta eta": lambda event, c, objects: difference(*both(event, c, objects)),
    "pair mass": lambda event, c, objects: pair_mass(*both(event, c, objects)),
    "nearest pair": lambda event, c, _: nearest(event, c, c, pairs=True),
    "nearest other": lambda event, c, _: nearest(event, c[:2], c[2:], pairs=False),
    "closure": lambda event, c, _: largest(event.each(closure, *c)),
}


def to_f32(x: float) -> float:
    """Rounds to `f32`; what is no finite number of it is the largest."""
    if not math.isfinite(x):
        return LARGEST
    try:
        return float(struct.unpack("<f", struct.pack("<f", x))[0])
    except OverflowError:
        return LARGEST


def quantity_number(quantity: Quantity, event: Event) -> float:
    """The number that trees compare."""
    columns = [c.name for c in quantity.columns]
    return to_f32(FORMULAS[quantity.kind](event, columns, quantity.objects))


@dataclass(frozen=True)
class Node:
    """An inner node with its children; of a leaf, quantity -1 and its value."""

    quantity: int
    threshold: float = 0.0
    value: int = 0
    children: tuple[Node, ...] = ()

    def leaf(self, numbers: Sequence[float]) -> int:
        """The value of the leaf that an event comes to."""
        node = self
        while node.children:
            below = numbers[node.quantity] <= node.threshold
            node = node.children[0 if below else 1]
        return node.value


@dataclass(frozen=True)
class Acceptance:
    """Quantities, trees by their first nodes, and an offset."""

    quantities: tuple[Quantity, ...]
    trees: tuple[Node, ...]
    offset: int

    def probability(self, event: Event) -> float:
        """The probability with which an event is accepted."""
        numbers = [quantity_number(quantity, event) for quantity in self.quantities]
        t = self.offset + sum(tree.leaf(numbers) for tree in self.trees)
        return exp(max(min(t / 1024, 0.0), -32.0))
