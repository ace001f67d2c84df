"""Sections 5 and 6: rows, what the model says of columns, networks and predictions."""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias

from reference_reader.base import (
    NONE,
    REACH,
    A,
    Dtype,
    pattern_of_float,
    pattern_of_integer,
    pow2,
    wrap_i64,
)
from reference_reader.description import Table
from reference_reader.features import Feature, feature_number
from reference_reader.functions import FUNCTIONS
from reference_reader.rows import Chunk, Decoded, Row


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
    return after_resolutions(order, table)


def after_resolutions(order: list[str], table: Table) -> list[str]:
    """Section 5: a column that would come before its resolution waits, and comes right after it."""
    out: list[str] = []
    waiting: dict[str, list[str]] = {}
    for name in order:
        ready = [name]
        while ready:
            first = ready.pop(0)
            resolution = table.columns[first].resolution
            if resolution != "" and resolution not in out:
                waiting.setdefault(resolution, []).append(first)
            else:
                out.append(first)
                ready = waiting.pop(first, []) + ready
    return out


RELATIONS = (
    "row",
    "event",
    "index",
    "previous",
    "leading",
    "same",
    "reference",
    "prediction",
    "feature",
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
    feature: Feature | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that it reads."""
        of_feature = () if self.feature is None else self.feature.columns
        return (*(c for c in (self.column, self.through) if c), *of_feature)


@dataclass(frozen=True)
class Layer:
    """Section 6.3: weights[j][i] of outputs j and inputs i, and shifts[j]."""

    weights: list[list[int]]
    shifts: list[int]


@dataclass(frozen=True)
class Tree:
    """Section 6.3: nodes in preorder, (-1, 0) for a leaf, and the logits of the leaves."""

    nodes: list[tuple[int, int]]
    leaves: list[tuple[int, ...]]

    def logits(self, activations: list[int]) -> tuple[int, ...]:
        """Those of the leaf that a row comes to."""
        node = leaf = 0
        while self.nodes[node][0] >= 0:
            i, c = self.nodes[node]
            node += 1
            if activations[i] > c:
                skipped = self.leaves_below(node)
                leaf += skipped
                node += 2 * skipped - 1
        return self.leaves[leaf]

    def leaves_below(self, node: int) -> int:
        """The number of leaves of the subtree that begins at a node."""
        open_ends, leaves = 1, 0
        while open_ends > 0:
            is_leaf = self.nodes[node][0] < 0
            leaves += is_leaf
            open_ends += -1 if is_leaf else 1
            node += 1
        return leaves


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
    tree: Tree | None = None

    def reads(self) -> list[Parent]:
        """All that the column reads."""
        terms = self.prediction.terms if self.prediction else []
        return self.parents + [p for term in terms for p in term.inputs]

    def level(self, q: int) -> int:
        """Section 6.1: counted in the scale, and in the own bins where there is no scale."""
        return (self.bins if self.scale is None else self.scale).level(q)


# by the names of the columns, in the order of the model
Model: TypeAlias = dict[str, Flow]


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
    if parent.feature is not None:
        number = feature_number(parent.feature, reader, row, chunk)
        return parent.feature.level(number)
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


def limited(z: int) -> int:
    """Section 6.3: within the limits of a logit."""
    return min(max(z, -(2**14)), 2**14)


def logits(
    layers: list[Layer], activations: list[int], tree: Tree | None = None
) -> list[int]:
    """Section 6.3: the network, and its tree."""
    levels = activations
    for layer in layers[:-1]:
        activations = [min(max(y, 0), 255) for y in layer_sums(layer, activations)]
    z = [limited(y) for y in layer_sums(layers[-1], activations)]
    if tree is None:
        return z
    return [limited(y + g) for y, g in zip(z, tree.logits(levels), strict=True)]


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


def argument_of(parent: Parent, reader: Decoded, row: Row, chunk: Chunk) -> float | None:
    """Section 6.5: the argument that a parent is; None where it has no row or is missing."""
    if parent.feature is not None:
        return feature_number(parent.feature, reader, row, chunk)
    position = parent_position(parent, reader, row, chunk)
    return None if position is None else float(chunk[parent.column].number(position))


def predicted_total(
    prediction: Prediction, reader: Decoded, row: Row, chunk: Chunk
) -> float | None:
    """Section 6.5: the sum of the terms; None where there is no prediction."""
    total = 0.0
    for term in prediction.terms:
        arguments = []
        for parent in term.inputs:
            argument = argument_of(parent, reader, row, chunk)
            if argument is None:
                return None
            arguments.append(argument)
        total = total + FUNCTIONS[term.function][1](*arguments) * term.coefficient
    return total if math.isfinite(total) else None


def copied_parent(prediction: Prediction, dtype: Dtype, chunk: Chunk) -> Parent | None:
    """Section 6.6: the parent of a plain copy; None where the prediction is no such."""
    term = prediction.terms[0]
    plain = len(prediction.terms) == 1 and term.function == 0 and term.coefficient == 1.0
    plain = plain and term.inputs[0].feature is None
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
    dtype, lattice = reader.column.known()[0], reader.lattice(row.position, chunk)
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
