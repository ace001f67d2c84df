"""Sections 5 and 6: rows, what the model says of columns, networks and predictions."""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from reference_reader.base import (
    MAX_ROWS,
    NONE,
    REACH,
    A,
    Dtype,
    number_of,
    pattern_of_float,
    pattern_of_integer,
    pow2,
    require,
    wrap_i64,
)
from reference_reader.description import Column, Table


@dataclass(frozen=True)
class Row:
    """Section 5: object `number` of `event`, at `position` in stored order."""

    event: int
    number: int
    position: int


class Rows:
    """Section 5: the rows of one collection in one chunk."""

    def __init__(self, counts: list[int]) -> None:
        require(min(counts, default=0) >= 0, "a counter below 0")
        require(sum(counts) <= MAX_ROWS, "too many rows")
        self.counts = counts
        self.starts = [0, *accumulate(counts)]

    def __len__(self) -> int:
        return self.starts[-1]

    def position(self, event: int, number: int) -> int | None:
        """The place in stored order of object `number` of `event`; None where there is no such
        object.
        """
        return self.starts[event] + number if 0 <= number < self.counts[event] else None

    def row_order(self) -> Iterator[Row]:
        """All first objects, then all second ones, ..."""
        for number in range(max(self.counts, default=0)):
            for event, count in enumerate(self.counts):
                if number < count:
                    yield Row(event, number, self.starts[event] + number)


def coding_order(table: Table, model: Model) -> list[str]:
    """Section 5: event columns, then all others; the model's columns take their places in the order
    of the model.
    """
    order: list[str] = []
    for is_event in (True, False):
        half = [
            c
            for c in table.columns.values()
            if not c.is_opaque and c.is_event == is_event
        ]
        modelled = iter([n for n in model if table.columns[n].is_event == is_event])
        order += [next(modelled) if c.name in model else c.name for c in half]
    return order


RELATIONS = (
    "row",
    "event",
    "index",
    "previous",
    "leading",
    "same",
    "reference",
    "prediction",
)
WITHOUT_COLUMN = ("index", "prediction")


@dataclass(frozen=True)
class Bins:
    """Section 6.1: disjoint intervals; symbol K, outside, comes after them."""

    first: list[int]
    last: list[int]

    def symbol(self, q: int) -> int:
        """The k of the bin that holds q, and K where none does."""
        k = bisect_right(self.first, q) - 1
        return k if k >= 0 and q <= self.last[k] else len(self.first)

    def start(self, k: int) -> int:
        return self.first[k] if k < len(self.first) else -(2**63)

    def span(self, k: int) -> int:
        return self.last[k] - self.first[k] if k < len(self.first) else 2**64 - 1

    def level(self, q: int) -> int:
        """Section 6.1: the `u8` that networks read of an index."""
        k, count = self.symbol(q), len(self.first)
        o, p = q - self.start(k), self.span(k)
        if p >= 2**48:
            o, p = o >> 16, p >> 16
        within = 256 * o // (p + 1)
        return 255 * (256 * k + within) // (256 * (count + 1) - 1)


@dataclass(frozen=True)
class Parent:
    """Section 6.2; `column` and `through` are empty where the relation has none."""

    relation: str
    column: str = ""
    through: str = ""


@dataclass(frozen=True)
class Layer:
    """Section 6.3: weights[j][i] of outputs j and inputs i, and shifts[j]."""

    weights: list[list[int]]
    shifts: list[int]


@dataclass(frozen=True)
class Term:
    """Section 6.5: a term of a prediction."""

    coefficient: float
    function: int
    inputs: list[Parent]


@dataclass(frozen=True)
class Prediction:
    """Sections 6.5 and 6.7: terms, and the period (low, turn) if any."""

    terms: list[Term]
    period: tuple[int, int] | None


@dataclass(frozen=True)
class Flow:
    """Section 6: what the model says of one column."""

    bins: Bins
    scale: Bins | None
    parents: list[Parent]
    prediction: Prediction | None
    codes_residuals: bool
    layers: list[Layer]

    def reads(self) -> list[Parent]:
        """All that the column reads."""
        terms = self.prediction.terms if self.prediction else []
        return self.parents + [p for term in terms for p in term.inputs]

    def level(self, q: int) -> int:
        """Section 6.1: counted in the scale, and in the own bins where there is no scale."""
        return (self.bins if self.scale is None else self.scale).level(q)


# by the names of the columns, in the order of the model
Model: TypeAlias = dict[str, Flow]


class Decoded:
    """Section 8.4: a column of a chunk, as far as it is decoded; indices and values (patterns) in
    stored order.
    """

    def __init__(self, column: Column, rows: Rows) -> None:
        self.column, self.rows = column, rows
        self.indices = [0] * len(rows)
        self.values = [0] * len(rows)

    def number(self, position: int) -> int | float:
        return number_of(self.values[position], self.column.known()[0])


Chunk: TypeAlias = dict[str, Decoded]  # the columns of a chunk by name


def object_number(value: int | float) -> int | None:
    """Section 6.2: a reference is an object number where its value is a whole number from 0 up,
    -0.0 included.
    """
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if value >= 0 else None


def target_number(parent: Parent, reader: Decoded, row: Row, chunk: Chunk) -> int | None:
    """Section 6.2: the number of the object of the same event that a relation leads to."""
    if parent.relation == "previous":
        return row.number - 1
    if parent.relation == "event":
        return 0
    if parent.relation == "leading":
        own = chunk[parent.column].column.collection == reader.column.collection
        return None if own and row.number == 0 else 0
    if parent.relation == "reference":
        return object_number(chunk[parent.through].number(row.position))
    return row.number  # row, same


def parent_position(
    parent: Parent, reader: Decoded, row: Row, chunk: Chunk
) -> int | None:
    """Section 6.2: where the row that a relation leads to lies in stored order; None where there is
    no row.
    """
    number = target_number(parent, reader, row, chunk)
    return (
        None if number is None else chunk[parent.column].rows.position(row.event, number)
    )


def activation(
    parent: Parent, reader: Decoded, row: Row, predicted: int, chunk: Chunk, model: Model
) -> int:
    """Section 6.2: what the network reads of one parent."""
    if parent.relation == "index":
        return 256 * row.number // (row.number + 8)
    if parent.relation == "prediction":
        return model[reader.column.name].level(predicted)
    position = parent_position(parent, reader, row, chunk)
    return (
        0
        if position is None
        else model[parent.column].level(chunk[parent.column].indices[position])
    )


def layer_sums(layer: Layer, activations: list[int]) -> list[int]:
    """Section 6.3: y[j], rounded to nearest, halves up."""
    inputs = [*activations, 255]
    sums = [sum(map(operator.mul, weights, inputs)) for weights in layer.weights]
    return [(t + pow2(h - 1)) >> h for t, h in zip(sums, layer.shifts, strict=True)]


def logits(layers: list[Layer], activations: list[int]) -> list[int]:
    """Section 6.3: the network."""
    for layer in layers[:-1]:
        activations = [min(max(y, 0), 255) for y in layer_sums(layer, activations)]
    return [min(max(y, -(2**14)), 2**14) for y in layer_sums(layers[-1], activations)]


def integer_16th_root(n: int) -> int:
    """Section 6.4: four integer square roots in a row."""
    for _ in range(4):
        n = math.isqrt(n)
    return n


EXP2 = [integer_16th_root(pow2(320 - d)) for d in range(321)]


def frequencies(z: list[int]) -> list[int]:
    """Section 6.4: f[j] of the logits z[j]; they add up to 2^16."""
    differences = [max(z) - y for y in z]
    weights = [EXP2[d] if d <= 320 else 0 for d in differences]
    ratio = (2**16 - len(z)) * 2**32 // sum(weights)
    f = [1 + ((w * ratio) >> 32) for w in weights[:-1]]
    return [*f, 2**16 - sum(f)]


# Section 6.8: elementary functions. Python's + - * / and math.sqrt are those of IEEE 754, rounded
# once.

S = [(-1) ** (k + 1) / math.factorial(2 * k + 3) for k in range(7)]
C = [(-1) ** (k + 1) / math.factorial(2 * k + 2) for k in range(8)]
E = [1 / math.factorial(k) for k in range(14)]
L = [1 / (2 * k + 1) for k in range(12)]
ATAN = [(-1) ** k / (2 * k + 1) for k in range(14)]
PI = 3.141592653589793
HALF_PI = 1.5707963267948966


def poly(c: Sequence[float], x: float) -> float:
    """Section 6.8: s = c_n, then s = s * x + c_k for k = n - 1 down to 0."""
    s = c[-1]
    for coefficient in reversed(c[:-1]):
        s = s * x + coefficient
    return s


def sin_cos(x: float) -> tuple[float, float]:
    """Section 6.8: sine and cosine, NaN where abs(x) > 2^20."""
    if math.isnan(x) or abs(x) > 2.0**20:
        return math.nan, math.nan
    n = round(x * 0.6366197723675814)
    y = (x - n * 1.5707963267341256) - n * 6.077100506506192e-11
    u = y * y
    s = y + y * (u * poly(S, u))
    c = 1.0 + u * poly(C, u)
    return ((s, c), (c, -s), (-s, -c), (-c, s))[n % 4]


def sin(x: float) -> float:
    """Section 6.8."""
    return sin_cos(x)[0]


def cos(x: float) -> float:
    """Section 6.8."""
    return sin_cos(x)[1]


def exp(x: float) -> float:
    """Section 6.8: NaN where abs(x) > 64."""
    if math.isnan(x) or abs(x) > 64.0:
        return math.nan
    n = round(x * 1.4426950408889634)
    y = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    return poly(E, y) * 2.0**n


def log(x: float) -> float:
    """Section 6.8: NaN where x <= 0 or x is infinite."""
    if math.isnan(x) or x <= 0.0 or math.isinf(x):
        return math.nan
    f, n = math.frexp(x)
    if f < 0.7071067811865476:
        f, n = f + f, n - 1
    v = (f - 1.0) / (f + 1.0)
    return n * 0.6931471803691238 + (
        n * 1.9082149292705877e-10 + (v + v) * poly(L, v * v)
    )


def atan(y: float, x: float) -> float:
    """Section 6.8: the angle of the point (x, y)."""
    if math.isnan(x) or math.isnan(y):
        return math.nan
    steep = abs(y) > abs(x)
    above, below = (x, y) if steep else (y, x)
    v = 0.0 if below == 0.0 else above / below
    for _ in range(2):
        v = v / (1.0 + math.sqrt(1.0 + v * v))
    g = 4.0 * (v * poly(ATAN, v * v))
    if steep:
        return -HALF_PI - g if y < 0.0 else HALF_PI - g
    if x < 0.0:
        return g - PI if y < 0.0 else g + PI
    return g


# Section 6.5: the functions of predictions


def cosh(x: float) -> float:
    """Section 6.5, in the row of pt cosh eta."""
    e = exp(x)
    return (e + 1.0 / e) * 0.5


def pt_sinh_eta(pt: float, eta: float) -> float:
    """Section 6.5, function 3."""
    e = exp(eta)
    return pt * ((e - 1.0 / e) * 0.5)


def energy(pt: float, eta: float, m: float) -> float:
    """Section 6.5, function 5."""
    p = pt * cosh(eta)
    return math.sqrt(p * p + m * m)


def pseudorapidity(pt: float, z: float) -> float:
    """Section 6.5, function 11."""
    if pt == 0.0:
        return math.nan
    u = abs(z / pt)
    r = log(u + math.sqrt(u * u + 1.0))
    return -r if z < 0.0 else r


def pair_mass(
    pt1: float, eta1: float, phi1: float, pt2: float, eta2: float, phi2: float
) -> float:
    """Section 6.5, function 12."""
    d = cosh(eta1 - eta2) - cos(phi1 - phi2)
    return math.sqrt(abs((2.0 * (pt1 * pt2)) * d))


FUNCTIONS: list[tuple[int, Callable[..., float]]] = [  # number of arguments, function
    (1, lambda x: x),
    (2, lambda pt, phi: pt * cos(phi)),
    (2, lambda pt, phi: pt * sin(phi)),
    (2, pt_sinh_eta),
    (2, lambda pt, eta: pt * cosh(eta)),
    (3, energy),
    (2, lambda x, y: math.sqrt(x * x + y * y)),
    (3, lambda x, y, z: math.sqrt((x * x + y * y) + z * z)),
    (2, lambda x, y: x * y),
    (2, lambda x, y: math.nan if y == 0.0 else x / y),
    (2, lambda x, y: atan(y, x)),
    (2, pseudorapidity),
    (6, pair_mass),
]


def predicted_total(
    prediction: Prediction, reader: Decoded, row: Row, chunk: Chunk
) -> float | None:
    """Section 6.5: the sum of the terms; None where there is no prediction."""
    total = 0.0
    for term in prediction.terms:
        positions = [parent_position(p, reader, row, chunk) for p in term.inputs]
        arguments = []
        for parent, position in zip(term.inputs, positions, strict=True):
            if position is None:
                return None
            arguments.append(float(chunk[parent.column].number(position)))
        total = total + FUNCTIONS[term.function][1](*arguments) * term.coefficient
    return total if math.isfinite(total) else None


def copied_parent(prediction: Prediction, dtype: Dtype, chunk: Chunk) -> Parent | None:
    """Section 6.6: the parent of a plain copy; None where the prediction is no such."""
    term = prediction.terms[0]
    plain = len(prediction.terms) == 1 and term.function == 0 and term.coefficient == 1.0
    return (
        term.inputs[0]
        if plain and chunk[term.inputs[0].column].column.dtype == dtype
        else None
    )


def pattern_of_total(total: float, dtype: Dtype) -> int:
    """Section 6.6: a total brought to the dtype of the predicted column."""
    if dtype.is_float:
        return pattern_of_float(total, dtype)
    if dtype.kind == "bool":
        return int(total != 0.0)
    low, high = max(dtype.least, -REACH), min(dtype.largest, REACH)
    return pattern_of_integer(round(min(max(total, float(low)), float(high))), dtype)


def predicted_index(
    prediction: Prediction, reader: Decoded, row: Row, chunk: Chunk
) -> int:
    """Section 6.6: P, and NONE where there is no prediction."""
    dtype, lattice = reader.column.known()
    parent = copied_parent(prediction, dtype, chunk)
    if parent is not None:
        position = parent_position(parent, reader, row, chunk)
        return (
            NONE
            if position is None
            else lattice.nearest(chunk[parent.column].values[position])
        )
    total = predicted_total(prediction, reader, row, chunk)
    return NONE if total is None else lattice.nearest(pattern_of_total(total, dtype))


def index_of_residual(r: int, predicted: int, period: tuple[int, int] | None) -> int:
    """Section 6.7: the first line that applies."""
    subtracted = -REACH <= predicted <= REACH
    if r == 0 and not subtracted:
        return predicted
    if r >= A:
        return r
    if r >= 2**60:
        return r - 2**61
    p = predicted if subtracted else 0
    if period is None:
        return wrap_i64(p + r)
    low, turn = period
    return low + wrap_i64(p + r - low) % turn
