"""Columns that are functions of others: a prediction from these, and the residual to code.

A prediction never replaces a value. It moves the origin from which the lattice index is counted. An
exact relation (a copy, a sum of counts, E from p_T, eta and m) leaves residuals of zero, a good one
leaves narrow residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.arithmetic import arctangent, exponential, logarithm, sine_cosine
from flowtuple.lattice.bins import FIRST_ABSOLUTE
from flowtuple.lattice.context import Parent
from flowtuple.lattice.event_features import pair_mass
from flowtuple.lattice.grid import ATOM, ESCAPE
from flowtuple.lattice.lattice import Lattice

ABSOLUTE = 2 * FIRST_ABSOLUTE
"""Added to indices that stand for themselves among residuals, such as a frequent zero."""

LARGEST = 1 << 52
"""Indices and predictions beyond this are never subtracted."""

Function = Callable[..., Array]


def _sinh(eta: Array) -> Array:
    e = exponential(eta)
    return (e - 1.0 / e) * 0.5


def _cosh(eta: Array) -> Array:
    e = exponential(eta)
    return (e + 1.0 / e) * 0.5


def _hypot(x: Array, y: Array) -> Array:
    length: Array = np.sqrt(x * x + y * y)
    return length


def _quotient(x: Array, y: Array) -> Array:
    return x / np.where(y == 0, np.nan, y)


def _pseudorapidity(pt: Array, z: Array) -> Array:
    t = np.abs(_quotient(z, pt))
    eta = logarithm(t + np.sqrt(t * t + 1.0))
    return np.where(z < 0, -eta, eta)


FUNCTIONS: Mapping[str, tuple[int, Function]] = {
    "x": (1, lambda x: x),
    "pt cos phi": (2, lambda pt, phi: pt * sine_cosine(phi)[1]),
    "pt sin phi": (2, lambda pt, phi: pt * sine_cosine(phi)[0]),
    "pt sinh eta": (2, lambda pt, eta: pt * _sinh(eta)),
    "pt cosh eta": (2, lambda pt, eta: pt * _cosh(eta)),
    "energy": (3, lambda pt, eta, mass: _hypot(pt * _cosh(eta), mass)),
    "hypot": (2, _hypot),
    "hypot3": (3, lambda x, y, z: np.sqrt((x * x + y * y) + z * z)),
    "product": (2, lambda x, y: x * y),
    "quotient": (2, _quotient),
    "angle": (2, lambda x, y: arctangent(y, x)),
    "pseudorapidity": (2, _pseudorapidity),
    "pair mass": (6, pair_mass),
}
"""Number of inputs and formula by name; the order is part of the format."""


@dataclass(frozen=True)
class Term:
    """One summand: a coefficient times a function of some parents.

    Attributes:
        coefficient: A factor, float64.
        function: A name of `FUNCTIONS`.
        inputs: Parents that are its arguments, as many as the function takes.
    """

    coefficient: float
    function: str
    inputs: tuple[Parent, ...]


@dataclass(frozen=True)
class Prediction:
    """A column's value as a sum of terms, and the way its residuals are counted.

    Attributes:
        terms: At least one.
        period: First index and number of indices of a full turn for angles; `None` for all others.
    """

    terms: tuple[Term, ...]
    period: tuple[int, int] | None = None

    @property
    def inputs(self) -> tuple[Parent, ...]:
        """All parents of all terms."""
        return tuple(parent for term in self.terms for parent in term.inputs)

    def index(
        self, fetch: Callable[[Parent], tuple[Array, Array]], lattice: Lattice
    ) -> Array:
        """Return the predicted index of each row: int64, shape (n,), `ESCAPE` where there is none.

        Args:
            fetch: Returns the values of a parent, brought to these rows, and which exist.
            lattice: Lattice of the predicted column.
        """
        if self._is_plain:
            values, present = fetch(self.terms[0].inputs[0])
            if values.dtype == lattice.dtype:
                return np.where(present, lattice.nearest(values), ESCAPE)
        total, present = self.evaluate(fetch)
        return np.where(present, lattice.nearest(_cast(total, lattice.dtype)), ESCAPE)

    @property
    def is_copy(self) -> bool:
        """True if the prediction is the value of another column of the same rows."""
        return (
            self._is_plain
            and self.period is None
            and self.terms[0].inputs[0].relation == "row"
        )

    @property
    def _is_plain(self) -> bool:
        return (
            len(self.terms) == 1
            and self.terms[0].function == "x"
            and self.terms[0].coefficient == 1.0
            and self.terms[0].inputs[0].feature is None
        )

    def evaluate(
        self, fetch: Callable[[Parent], tuple[Array, Array]]
    ) -> tuple[Array, Array]:
        """Return predicted values in float64, and which are numbers; terms are added in order."""
        total: Any = 0.0
        present: Any = True
        # Signalling NaNs and quotients by zero are no numbers; nothing else depends on them.
        with np.errstate(all="ignore"):
            for term in self.terms:
                fetched = [fetch(parent) for parent in term.inputs]
                value = FUNCTIONS[term.function][1](
                    *(v.astype(np.float64) for v, _ in fetched)
                )
                total = total + value * term.coefficient
                for _, exists in fetched:
                    present = present & exists
        present = present & np.isfinite(total)
        return np.where(present, total, 0.0), present

    def subtract(
        self,
        q: Array,
        predicted: Array,
        absolute: Array,
        window: tuple[int, int] | None = None,
    ) -> tuple[Array, Array]:
        """Return residuals, int64, and which rows can have one, bool; those of others mean nothing.

        Args:
            q: Indices, shape (n,).
            predicted: From `index`, the same shape.
            absolute: Indices, increasing, that always stand for themselves.
            window: Smallest and largest residual; indices with another one stand for themselves.
        """
        same = (q == predicted) & (q != ESCAPE)
        countable = _near(q) | (q >= ATOM) | same
        q = np.where(countable, q, 0)
        predicted = np.where(countable, predicted, 0)
        usable = _near(predicted)
        origin = np.where(usable, predicted, 0)
        itself = ~usable | np.isin(q, absolute)
        if self.period is None:
            r = q - origin
        else:
            low, turn = self.period
            itself |= (q < low) | (q >= low + turn)
            r = (q - origin + turn // 2) % turn - turn // 2
        if window is not None:
            itself |= (r < window[0]) | (r > window[1])
        r = np.where(itself, ABSOLUTE + q, r)
        r = np.where(q >= ATOM, q, r)
        return np.where(same & ~usable, 0, r), countable

    def residual(
        self,
        q: Array,
        predicted: Array,
        absolute: Array,
        window: tuple[int, int] | None = None,
    ) -> Array | None:
        """Return residuals as `subtract` does; `None` where a row cannot have one."""
        residuals, countable = self.subtract(q, predicted, absolute, window)
        return residuals if countable.all() else None

    def restore(self, r: Array, predicted: Array) -> Array:
        """Return indices from residuals: the inverse of `residual` for any `absolute`."""
        usable = _near(predicted)
        if self.period is None:
            q = np.where(usable, predicted, 0) + r
        else:
            low, turn = self.period
            q = low + (np.where(usable, predicted, 0) + r - low) % turn
        q = np.where(r >= FIRST_ABSOLUTE, r - ABSOLUTE, q)
        q = np.where(r >= ATOM, r, q)
        return np.where((r == 0) & ~usable, predicted, q)


def _near(q: Array) -> Array:
    """Return which indices may be subtracted; not by magnitude, because -2^63 has none."""
    near: Array = (q >= -LARGEST) & (q <= LARGEST)
    return near


def _cast(x: Array, dtype: str) -> Array:
    """Return float64 numbers as the nearest values of a type."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        with np.errstate(over="ignore"):
            rounded: Array = x.astype(kind)
            return rounded
    if kind.kind == "b":
        truth: Array = x != 0
        return truth
    limits = np.iinfo(kind)
    low, high = max(limits.min, -LARGEST), min(limits.max, LARGEST)
    whole: Array = np.rint(np.clip(x, low, high)).astype(np.int64).astype(kind)
    return whole
