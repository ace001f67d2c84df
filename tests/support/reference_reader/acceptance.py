"""Section 6.11: the acceptance of generated events."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reference_reader.base import Reader, require
from reference_reader.description import Column
from reference_reader.functions import PI, cos, energy, exp, pair_mass, sin
from reference_reader.rows import Chunk

# of each kind: how many columns, how many in each further group, and how many objects
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
HALVES = ("delta phi", "delta eta", "pair mass", "nearest other")
MISSING = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
MAX_QUANTITIES, MAX_TREES, MAX_NODES, MAX_COLUMNS = 1024, 1024, 4095, 16
MAX_OBJECT, MAX_OFFSET = 2**16, 2**20


@dataclass(frozen=True)
class Event:
    """One event of a chunk."""

    chunk: Chunk
    number: int

    def values(self, column: str) -> list[float]:
        """Those of all objects, one after another; of an event column the only one."""
        decoded = self.chunk[column]
        return [
            float(decoded.number(position))
            for k in range(decoded.rows.counts[self.number])
            if (position := decoded.rows.position(self.number, k)) is not None
        ]

    def rows(self, columns: Sequence[str]) -> list[tuple[float, ...]]:
        """The values of several columns, object by object."""
        return list(zip(*(self.values(column) for column in columns), strict=True))

    def of(self, column: str, number: int) -> float:
        """The value of an object, NaN where there is none."""
        values = self.values(column)
        place = 0 if self.chunk[column].column.is_event else number
        return values[place] if place < len(values) else math.nan


@dataclass(frozen=True)
class Quantity:
    """A kind, columns, and numbers of objects."""

    kind: str
    columns: tuple[str, ...]
    objects: tuple[int, ...]

    def groups(self) -> list[tuple[str, ...]]:
        """Columns that have to be of one collection."""
        c = self.columns
        if self.kind == "length":
            return [c[k : k + 2] for k in range(0, len(c), 2)]
        return [c[: len(c) // 2], c[len(c) // 2 :]] if self.kind in HALVES else [c]

    def of(self, event: Event) -> float:
        """The quantity as f32."""
        try:
            number = FORMULAS[self.kind](event, self)
            rounded: float = struct.unpack("<f", struct.pack("<f", number))[0]
        except (OverflowError, ValueError):
            return MISSING
        return rounded if math.isfinite(rounded) else MISSING


def added(terms: Sequence[float]) -> float:
    """A sum from 0.0 on, in order."""
    total = 0.0
    for term in terms:
        total = total + term
    return total


def mean(event: Event, q: Quantity) -> float:
    """Kind 3."""
    rows = event.rows(q.columns)
    total = added([w for w, _ in rows])
    return math.nan if total == 0.0 else added([w * x for w, x in rows]) / total


def length(event: Event, q: Quantity) -> float:
    """Kind 4."""
    x = y = 0.0
    for pair in q.groups():
        x = x + added([pt * cos(phi) for pt, phi in event.rows(pair)])
        y = y + added([pt * sin(phi) for pt, phi in event.rows(pair)])
    return math.sqrt(x * x + y * y)


def difference(event: Event, q: Quantity) -> float:
    """Kinds 5 and 6, without the turn."""
    one, two = (event.of(c, j) for c, j in zip(q.columns, q.objects, strict=True))
    return abs(one - two)


def turn(d: float) -> float:
    """Kind 5."""
    return 2.0 * PI - d if d > PI else d


def mass(event: Event, q: Quantity) -> float:
    """Kind 7."""
    i, j = q.objects
    columns = zip(q.columns, (i, i, i, j, j, j), strict=True)
    return pair_mass(*(event.of(c, k) for c, k in columns))


def distances(
    one: tuple[float, ...], others: Sequence[tuple[float, ...]]
) -> Iterator[float]:
    """Square distances from an object to others, those that are numbers."""
    for other in others:
        p = turn(abs(one[1] - other[1]))
        t = one[0] - other[0]
        d = t * t + p * p
        if d < math.inf:
            yield d


def nearest_pair(event: Event, q: Quantity) -> float:
    """Kind 8."""
    rows = event.rows(q.columns)
    near = [d for k, one in enumerate(rows) for d in distances(one, rows[:k])]
    return math.sqrt(min(near)) if near else math.nan


def nearest_other(event: Event, q: Quantity) -> float:
    """Kind 9."""
    own, other = (event.rows(group) for group in q.groups())
    near = [d for one in own for d in distances(one, other)]
    return math.sqrt(min(near)) if near else math.nan


def closure(event: Event, q: Quantity) -> float:
    """Kind 10."""
    out = []
    for pt, eta, m, *parts in event.rows(q.columns):
        whole, total = energy(pt, eta, m), parts[0]
        for part in parts[1:]:
            total = total + part
        out.append(math.nan if whole == 0.0 else abs(total / whole - 1.0))
    return largest(out)


def largest(values: Sequence[float]) -> float:
    """Kind 2: NaN does not count."""
    return max((x for x in values if not math.isnan(x)), default=math.nan)


FORMULAS: dict[str, Callable[[Event, Quantity], float]] = {
    "object": lambda event, q: event.of(q.columns[0], q.objects[0]),
    "sum": lambda event, q: added(event.values(q.columns[0])),
    "largest": lambda event, q: largest(event.values(q.columns[0])),
    "mean": mean,
    "length": length,
    "delta phi": lambda event, q: turn(difference(event, q)),
    "delta eta": difference,
    "pair mass": mass,
    "nearest pair": nearest_pair,
    "nearest other": nearest_other,
    "closure": closure,
}


@dataclass(frozen=True)
class Tree:
    """Nodes in preorder: quantities, 0 for leaves; thresholds of inner nodes, values of leaves."""

    nodes: tuple[int, ...]
    thresholds: tuple[float, ...]
    leaves: tuple[int, ...]

    def size(self, node: int) -> int:
        """Nodes of the part that begins at a node."""
        places, end = 1, node
        while places > 0:
            require(end < len(self.nodes), "a tree that ends too early")
            places += 1 if self.nodes[end] > 0 else -1
            end += 1
        return end - node

    def leaf(self, numbers: Sequence[float]) -> int:
        """The value of the leaf that an event comes to."""
        node = 0
        while self.nodes[node] > 0:
            threshold = self.thresholds[sum(k > 0 for k in self.nodes[:node])]
            is_left = numbers[self.nodes[node] - 1] <= threshold
            node += 1 if is_left else 1 + self.size(node + 1)
        return self.leaves[sum(k == 0 for k in self.nodes[:node])]


@dataclass(frozen=True)
class Acceptance:
    """Quantities, trees and an offset."""

    quantities: list[Quantity]
    trees: list[Tree]
    offset: int

    def probability(self, chunk: Chunk, event: int) -> float:
        """That of an event of a chunk."""
        numbers = [q.of(Event(chunk, event)) for q in self.quantities]
        t = self.offset + sum(tree.leaf(numbers) for tree in self.trees)
        return exp(max(min(t / 1024, 0.0), -32.0))


def parse_acceptance(reader: Reader, columns: Sequence[Column]) -> Acceptance:
    """Section 9."""
    count = reader.varint()
    require(1 <= count <= MAX_QUANTITIES, "another number of quantities")
    quantities = [parse_quantity(reader, columns) for _ in range(count)]
    trees = reader.varint()
    require(1 <= trees <= MAX_TREES, "another number of trees")
    made = [parse_tree(reader, count) for _ in range(trees)]
    offset = reader.svarint()
    require(abs(offset) <= MAX_OFFSET, "an offset beyond the limits")
    return Acceptance(quantities, made, offset)


def parse_quantity(reader: Reader, columns: Sequence[Column]) -> Quantity:
    """Section 9: a quantity of an acceptance."""
    kind = reader.varint()
    require(kind < len(NAMES), "a reserved kind of quantity")
    least, group, objects = KINDS[NAMES[kind]]
    count = reader.varint()
    require(count <= MAX_COLUMNS, "too many columns of a quantity")
    numbers = [reader.varint() for _ in range(count)]
    require(all(n < len(columns) for n in numbers), "no such column")
    named = [columns[n] for n in numbers]
    more = count - least
    fits = more == 0 if group == 0 else more >= 0 and more % group == 0
    require(fits, "another number of columns than the kind takes")
    require(all(not c.is_opaque for c in named), "an opaque column of a quantity")
    places = [reader.varint() for _ in range(objects)]
    require(all(n <= MAX_OBJECT for n in places), "an object beyond the limits")
    made = Quantity(NAMES[kind], tuple(c.name for c in named), tuple(places))
    key = {c.name: c.collection for c in named}
    together = all(len({key[name] for name in group}) == 1 for group in made.groups())
    require(together, "a quantity of columns that are not of one collection")
    return made


def parse_tree(reader: Reader, quantities: int) -> Tree:
    """Section 9: a tree of an acceptance."""
    count = reader.varint()
    require(1 <= count <= MAX_NODES, "another number of nodes")
    nodes = tuple(reader.varint() for _ in range(count))
    require(max(nodes) <= quantities, "a node compares no quantity")
    inner = sum(k > 0 for k in nodes)
    thresholds = struct.unpack(f"<{inner}f", reader.take(4 * inner))
    require(all(map(math.isfinite, thresholds)), "a threshold that is not finite")
    leaves = struct.unpack(f"<{count - inner}h", reader.take(2 * (count - inner)))
    tree = Tree(nodes, thresholds, leaves)
    # One leaf more than inner nodes, and never before the end.
    open_places = 1
    for k, node in enumerate(nodes):
        require(open_places > 0, "nodes beyond the last leaf")
        open_places += 1 if node > 0 else -1
        require(open_places >= 0 or k == count - 1, "nodes beyond the last leaf")
    require(open_places == 0, "a tree that ends too early")
    return tree
