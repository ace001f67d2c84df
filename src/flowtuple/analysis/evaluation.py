"""Quantities of events: expressions over columns, collections and their objects."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument, nearest

_NUMBERS: dict[Any, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: operator.neg,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
}
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in ("abs", "sqrt", "log", "exp", "cos", "sin", "cosh", "sinh", "hypot")
}
_SUMS = ("sum", "max", "min")
_OF_OBJECTS = ("mass", "deltaR", "deltaPhi")
FUNCTIONS = (*_ELEMENTWISE, *_SUMS, *_OF_OBJECTS)
"""Names of the functions of expressions."""


@dataclass(frozen=True)
class Values:
    """Numbers of events, shape (n,), or of the objects that a counter counts, shape (N,)."""

    content: Any
    counter: str | None = None


@dataclass(frozen=True)
class Particle:
    """A collection or one object of each event: names of columns, and the place by p_T."""

    name: str
    place: int | None = None
    parts: tuple[Values, ...] = ()


@dataclass
class Evaluator:
    """Evaluation on the events of one table.

    Attributes:
        columns: Columns by name.
        data: Contents by name.
        events: Number of events.
        origin: Start of messages: file and name of the quantity.
        read: Names of the columns that were read.
        order: Contents that decide the order of p_T, `None` for `data`.
    """

    columns: Mapping[str, Column]
    data: Mapping[str, Array]
    events: int
    origin: str
    read: set[str] = field(default_factory=set)
    order: Mapping[str, Array] | None = None

    def evaluate(self, expression: str) -> Values:
        """Return the values of an expression, NaN where an event has too few objects.

        Args:
            expression: Columns, `Jet[0]` (the object of largest p_T), functions and arithmetic.

        Raises:
            InvalidArgument: The expression names nothing or cannot be read.
        """
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise InvalidArgument(
                f"{self.origin}: {expression!r} is no expression; write for example "
                "'mass(Jet[0], Jet[1])'"
            ) from None
        with np.errstate(all="ignore"):
            value: Values | Particle = self._value(tree)
        if isinstance(value, Particle):
            raise InvalidArgument(
                f"{self.origin}: {expression!r} is an object and no number; write for example "
                "Jet_pt[0]"
            )
        if not self.read:
            raise InvalidArgument(
                f"{self.origin}: {expression!r} names no column; write for example 'MET_pt'"
            )
        return value

    def _value(self, node: ast.expr) -> Any:  # noqa: PLR0911 (one case for each form)
        match node:
            case ast.Constant(value=int() | float() as number):
                return Values(float(number))
            case ast.Name(name):
                return self._name(name)
            case ast.Subscript(ast.Name(name), ast.Constant(value=int() as place)):
                return self._object(name, place)
            case ast.BinOp(left, op, right) if type(op) in _NUMBERS:
                return self._apply(_NUMBERS[type(op)], left, right)
            case ast.UnaryOp(op, operand) if type(op) in _NUMBERS:
                return self._apply(_NUMBERS[type(op)], operand)
            case ast.Compare(left, [op], [right]) if type(op) in _NUMBERS:
                return self._apply(_NUMBERS[type(op)], left, right)
            case ast.BoolOp(op, [left, right]):
                return self._apply(_NUMBERS[type(op)], left, right)
            case ast.Call(ast.Name(name), arguments, []):
                return self._call(name, arguments)
        raise InvalidArgument(
            f"{self.origin}: an expression cannot hold {ast.unparse(node)!r}"
        )

    def _name(self, name: str) -> Values | Particle:
        if name in self.columns:
            return self._column(name)
        if any(other.startswith(f"{name}_") for other in self.columns):
            return Particle(name)
        known = {*self.columns, *(n.partition("_")[0] for n in self.columns)}
        raise InvalidArgument(
            f"{self.origin}: {name!r} is no column and no collection; {nearest(name, known)}"
        )

    def _column(self, name: str) -> Values:
        column = self.columns[name]
        if column.is_opaque or column.shape:
            raise InvalidArgument(
                f"{self.origin}: column {name!r} holds no single numbers; name another one"
            )
        self.read.add(name)
        return Values(np.asarray(self.data[name], np.float64), column.counter)

    def _object(self, name: str, place: int) -> Values | Particle:
        value = self._name(name)
        if place < 0:
            raise InvalidArgument(f"{self.origin}: {name}[{place}]: count from 0 on")
        if isinstance(value, Particle):
            return Particle(name, place)
        if value.counter is None:
            raise InvalidArgument(f"{self.origin}: {name!r} is one number an event")
        return self._at(value, place, name.rpartition("_")[0])

    def _at(self, value: Values, place: int, collection: str) -> Values:
        """Return the values of the object in a place of the order of p_T, NaN without one."""
        counts = np.asarray(self.data[str(value.counter)]).astype(np.int64)
        event = np.repeat(np.arange(self.events), counts)
        order = np.arange(len(event))
        momentum = f"{collection}_pt"
        if momentum in self.columns and self.columns[momentum].counter == value.counter:
            self.read.add(momentum)
            contents = self.data if self.order is None else self.order
            pt = np.asarray(contents[momentum], np.float64)
            order = np.lexsort((-pt, event))
        enough = counts > place
        out = np.full(self.events, np.nan)
        out[enough] = value.content[order[(np.cumsum(counts) - counts)[enough] + place]]
        return Values(out)

    def _apply(self, operation: Callable[..., Any], *nodes: ast.expr) -> Values:
        return self._combined(operation, [self._value(node) for node in nodes], nodes)

    def _combined(
        self, operation: Callable[..., Any], values: list[Any], nodes: Any
    ) -> Values:
        for value, node in zip(values, nodes, strict=True):
            if isinstance(value, Particle):
                raise InvalidArgument(
                    f"{self.origin}: {ast.unparse(node)!r} is an object and no number"
                )
        counters = {v.counter for v in values if v.counter is not None}
        if len(counters) > 1:
            raise InvalidArgument(
                f"{self.origin}: combines objects that {' and '.join(sorted(counters))} count"
            )
        if not counters:
            return Values(operation(*(v.content for v in values)))
        (counter,) = counters
        counts = np.asarray(self.data[counter]).astype(np.int64)
        contents = [
            v.content
            if v.counter or np.ndim(v.content) == 0
            else np.repeat(v.content, counts)
            for v in values
        ]
        return Values(operation(*contents), counter)

    def _call(self, name: str, nodes: list[ast.expr]) -> Values:
        if name not in FUNCTIONS:
            raise InvalidArgument(
                f"{self.origin}: no function {name!r}; {nearest(name, FUNCTIONS)}"
            )
        values = [self._value(node) for node in nodes]
        wanted = {"deltaR": 2, "deltaPhi": 2, "hypot": 2}.get(name, 1)
        if len(values) != wanted and name != "mass":
            raise InvalidArgument(f"{self.origin}: {name} takes {wanted} argument(s)")
        if name in _ELEMENTWISE:
            return self._combined(_ELEMENTWISE[name], values, nodes)
        if name in _SUMS:
            return self._reduced(name, self._combined(lambda x: x, values, nodes))
        particles = [
            self._particle(v, node) for v, node in zip(values, nodes, strict=True)
        ]
        if name == "mass":
            return self._mass(particles)
        eta, phi = (
            [self._part(p, part).content for p in particles] for part in ("eta", "phi")
        )
        dphi = np.abs((phi[0] - phi[1] + np.pi) % (2 * np.pi) - np.pi)
        return Values(dphi if name == "deltaPhi" else np.hypot(eta[0] - eta[1], dphi))

    def _reduced(self, name: str, value: Values) -> Values:
        if value.counter is None:
            raise InvalidArgument(f"{self.origin}: {name} takes numbers of objects")
        counts = np.asarray(self.data[value.counter]).astype(np.int64)
        event = np.repeat(np.arange(self.events), counts)
        if name == "sum":
            return Values(np.bincount(event, value.content, self.events))
        out = np.full(self.events, np.nan)
        extreme = np.fmax if name == "max" else np.fmin
        extreme.at(out, event, value.content)
        return Values(out)

    def _particle(self, value: Any, node: ast.expr) -> Particle:
        if isinstance(value, Particle):
            return value
        raise InvalidArgument(
            f"{self.origin}: {ast.unparse(node)!r} is no object, such as Jet[0]"
        )

    def _part(self, particle: Particle, *names: str) -> Values:
        """Return the first existing column of an object, at its place."""
        candidates = [f"{particle.name}_{name}" for name in names]
        name = next((c for c in candidates if c in self.columns), None)
        if name is None:
            raise InvalidArgument(
                f"{self.origin}: {particle.name!r} has no {candidates[0]!r}; "
                f"{nearest(candidates[0], self.columns)}"
            )
        value = self._column(name)
        if particle.place is None:
            return value
        if value.counter is None:
            raise InvalidArgument(f"{self.origin}: {name!r} is one number an event")
        return self._at(value, particle.place, particle.name)

    def _mass(self, particles: list[Particle]) -> Values:
        """Return the mass of a sum: m_i^2 and 2 (m_Ti m_Tj cosh deta - pt_i pt_j cos dphi)."""
        parts = [
            [self._part(p, *n) for n in (("pt",), ("eta",), ("phi",), ("mass", "m"))]
            for p in particles
        ]
        counters = {v.counter for part in parts for v in part}
        if len(counters) > 1:
            raise InvalidArgument(
                f"{self.origin}: mass takes objects of one place, as Jet[0]"
            )
        square: Any = 0.0
        vectors = [[v.content for v in part] for part in parts]
        momenta = [pt * np.sinh(eta) for pt, eta, _, _ in vectors]
        rapidities = [
            np.arcsinh(pz / np.sqrt(pt**2 + m**2))
            for pz, (pt, _, _, m) in zip(momenta, vectors, strict=True)
        ]
        for i, (pt, _, phi, m) in enumerate(vectors):
            square = square + m**2
            for j, (other, _, angle, mass) in enumerate(vectors[:i]):
                transverse = np.sqrt((pt**2 + m**2) * (other**2 + mass**2))
                boost = np.cosh(rapidities[i] - rapidities[j])
                square = square + 2 * (
                    transverse * boost - pt * other * np.cos(phi - angle)
                )
        return Values(np.sqrt(square), counters.pop())


def evaluate(
    expression: str,
    table: Table,
    data: Mapping[str, Array],
    origin: str,
    order: Mapping[str, Array] | None = None,
) -> tuple[Values, frozenset[str]]:
    """Return the values of an expression and the names of the columns that it reads.

    Args:
        expression: The quantity.
        table: The events, for schema and counters.
        data: Contents by column name in place of those of the table, as after a bound.
        origin: Start of messages.
        order: Contents that decide the order of p_T, `None` for `data`.

    Raises:
        InvalidArgument: The expression names nothing or cannot be read.

    Example:
        >>> from flowtuple.data.schema import Column
        >>> table = Table("t", (Column("x", "float32"),), 2, {"x": np.array([1, 4], "f4")})
        >>> evaluate("sqrt(x)", table, table.data, "a.toml")[0].content.tolist()
        [1.0, 2.0]
    """
    columns = {c.name: c for c in table.columns}
    evaluator = Evaluator(columns, data, table.num_entries, origin, order=order)
    value = evaluator.evaluate(expression)
    return value, frozenset(evaluator.read)
