"""Numbers of whole events: leading objects, sums over all objects, pairs and nearest pairs.

They are float64 numbers by the frozen arithmetic of docs/format.md, section 6.11, rounded to
float32, so that they are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import PI, sine_cosine
from flowtuple.lattice.context import Context
from flowtuple.lattice.event_features import energy, nearest_rows
from flowtuple.lattice.prediction import FUNCTIONS
from flowtuple.lattice.rows import RowSet

MISSING = float(np.finfo(np.float32).max)
"""What stands for a number that an event does not have: it is above every threshold."""

MAX_COLUMNS = 16

QUANTITIES: Mapping[str, tuple[int, int, int]] = {
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
"""By name, the number of columns, of columns in each further group, and of object numbers.

The order is part of the format.

- `object`: x of object j, of an event column x of the event
- `sum`: x of all objects
- `largest`: the largest x
- `mean`: sum of w x over sum of w
- `length`: magnitude of the vector sum of all objects, for each group of p_T and phi
- `delta phi`, `delta eta`: absolute difference of x of object i and y of object j
- `pair mass`: that of object i with p_T, eta, phi and of object j with another p_T, eta, phi
- `nearest pair`: least Delta R of two objects by eta and phi
- `nearest other`: least Delta R of an object by eta and phi to one of another collection
- `closure`: largest |sum of parts over energy - 1|, by p_T, eta, m and the parts
"""


@dataclass(frozen=True)
class Quantity:
    """One number of an event.

    Attributes:
        kind: A name of `QUANTITIES`.
        columns: Names of the columns that it takes.
        objects: Numbers of the objects that it takes.
    """

    kind: str
    columns: tuple[str, ...]
    objects: tuple[int, ...] = ()

    @property
    def is_well_formed(self) -> bool:
        """True if it has as many columns and object numbers as its kind takes."""
        least, group, objects = QUANTITIES[self.kind]
        more = len(self.columns) - least
        fits = more == 0 or (group > 0 and more > 0 and more % group == 0)
        return fits and len(self.columns) <= MAX_COLUMNS and len(self.objects) == objects

    @property
    def collections(self) -> tuple[tuple[str, ...], ...]:
        """Groups of columns, each of one collection."""
        c = self.columns
        if self.kind == "length":
            return tuple(c[k : k + 2] for k in range(0, len(c), 2))
        if self.kind in ("pair mass", "nearest other", "delta phi", "delta eta"):
            half = len(c) // 2
            return c[:half], c[half:]
        return (c,)

    def __str__(self) -> str:
        numbers = "".join(f" {j}" for j in self.objects)
        return f"{self.kind}{numbers} of {', '.join(self.columns)}"


@dataclass(eq=False)
class EventQuantities:
    """The quantities of the events of one context, all of whose columns are known.

    Attributes:
        context: The events; the columns of the quantities have values.
    """

    context: Context
    _sums: dict[tuple[str, ...], Array] = field(default_factory=dict)

    @cached_property
    def count(self) -> int:
        """Number of events."""
        return len(self.context.rows("").counts)

    def evaluate(self, quantity: Quantity) -> Array:
        """Return a quantity: float32, shape (events,), `MISSING` where an event has none."""
        with np.errstate(all="ignore"):
            values = _FUNCTIONS[quantity.kind](self, quantity).astype(np.float32)
        return np.where(np.isfinite(values), values, np.float32(MISSING))

    def _rows(self, column: str) -> RowSet:
        return self.context.rows(self.context.collection[column])

    def _values(self, column: str) -> Array:
        # A sampler records no values of a collection without any object.
        known = self.context.values.get(column, np.empty(0))
        values: Array = known.astype(np.float64)
        return values

    def _total(self, column: str, weight: str = "") -> Array:
        """Return the sum of x, or of w x, of each event's objects, added in their order."""
        if (column, weight) not in self._sums:
            terms = self._values(column)
            if weight:
                terms = self._values(weight) * terms
            rows = self._rows(column)
            self._sums[column, weight] = np.bincount(rows.event, terms, self.count)
        return self._sums[column, weight]

    def _vector(self, pt: str, phi: str) -> tuple[Array, Array]:
        """Return x and y of the vector sum of each event's objects."""
        if (pt, phi, "x") not in self._sums:
            sine, cosine = sine_cosine(self._values(phi))
            size, event = self._values(pt), self._rows(pt).event
            for name, part in (("x", cosine), ("y", sine)):
                self._sums[pt, phi, name] = np.bincount(event, size * part, self.count)
        return self._sums[pt, phi, "x"], self._sums[pt, phi, "y"]

    def _at(self, column: str, number: int) -> Array:
        """Return a column of the object of some number, of an event column its own value."""
        rows, values = self._rows(column), self._values(column)
        if not self.context.collection[column]:
            number = 0
        at = rows.find(np.arange(self.count), np.full(self.count, number))
        if not len(values):
            return np.full(self.count, np.nan)
        return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)

    def _extreme(self, rows: RowSet, values: Array, largest: bool) -> Array:
        """Return the largest or least value of each event's objects, NaN for none."""
        reduce = np.fmax if largest else np.fmin
        out = np.full(self.count, np.nan)
        for part in rows.parts:
            event = rows.event[part]
            out[event] = reduce(out[event], values[part])
        return out

    def object(self, quantity: Quantity) -> Array:
        """Return the kind `object`."""
        return self._at(quantity.columns[0], quantity.objects[0])

    def sum(self, quantity: Quantity) -> Array:
        """Return the kind `sum`."""
        return self._total(quantity.columns[0])

    def largest(self, quantity: Quantity) -> Array:
        """Return the kind `largest`."""
        (column,) = quantity.columns
        return self._extreme(self._rows(column), self._values(column), largest=True)

    def mean(self, quantity: Quantity) -> Array:
        """Return the kind `mean`."""
        weight, column = quantity.columns
        total = self._total(weight)
        mean: Array = self._total(column, weight) / np.where(total == 0, np.nan, total)
        return mean

    def length(self, quantity: Quantity) -> Array:
        """Return the kind `length`."""
        x, y = np.zeros((2, self.count))
        for pair in quantity.collections:
            more = self._vector(*pair)
            x, y = x + more[0], y + more[1]
        size: Array = np.sqrt(x * x + y * y)
        return size

    def delta_phi(self, quantity: Quantity) -> Array:
        """Return the kind `delta phi`."""
        difference = self.delta_eta(quantity)
        return np.where(difference > PI, 2.0 * PI - difference, difference)

    def delta_eta(self, quantity: Quantity) -> Array:
        """Return the kind `delta eta`."""
        one, two = map(self._at, quantity.columns, quantity.objects)
        difference: Array = np.abs(one - two)
        return difference

    def pair_mass(self, quantity: Quantity) -> Array:
        """Return the kind `pair mass`."""
        i, j = quantity.objects
        numbers = (i, i, i, j, j, j)
        mass: Array = FUNCTIONS["pair mass"][1](*map(self._at, quantity.columns, numbers))
        return mass

    def nearest_pair(self, quantity: Quantity) -> Array:
        """Return the kind `nearest pair`."""
        return self._nearest(quantity.columns, quantity.columns, before=True)

    def nearest_other(self, quantity: Quantity) -> Array:
        """Return the kind `nearest other`."""
        own, other = quantity.collections
        return self._nearest(own, other, before=False)

    def _nearest(
        self, own: tuple[str, ...], other: tuple[str, ...], *, before: bool
    ) -> Array:
        rows, others = self._rows(own[0]), self._rows(other[0])
        distance = nearest_rows(
            [self._values(c) for c in own],
            rows.event,
            rows.number if before else np.full(len(rows), -1),
            [self._values(c) for c in other],
            others,
            before=before,
        )[1]
        return self._extreme(rows, distance, largest=False)

    def closure(self, quantity: Quantity) -> Array:
        """Return the kind `closure`; objects without energy do not count."""
        columns = quantity.columns
        whole = energy(*map(self._values, columns[:3]))
        total = self._values(columns[3])
        for column in columns[4:]:
            total = total + self._values(column)
        miss = np.abs(total / np.where(whole == 0, np.nan, whole) - 1.0)
        return self._extreme(self._rows(columns[0]), miss, largest=True)


_FUNCTIONS: Mapping[str, Callable[[EventQuantities, Quantity], Array]] = {
    "object": EventQuantities.object,
    "sum": EventQuantities.sum,
    "largest": EventQuantities.largest,
    "mean": EventQuantities.mean,
    "length": EventQuantities.length,
    "delta phi": EventQuantities.delta_phi,
    "delta eta": EventQuantities.delta_eta,
    "pair mass": EventQuantities.pair_mass,
    "nearest pair": EventQuantities.nearest_pair,
    "nearest other": EventQuantities.nearest_other,
    "closure": EventQuantities.closure,
}
