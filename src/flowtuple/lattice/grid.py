"""Order-preserving maps between the values of a column and integers, one class per kind of grid.

Both directions are exactly reproducible: integer arithmetic, or single IEEE operations (one product
or quotient, one rounding to the stored type). `value` runs when encoding and decoding. `index` runs
when encoding, and when decoding where others read a column that is stored by its values.
"""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, InvalidArgument

ATOM = 2**63 - 2**50
"""Index of the first atom, above all finite float64 bit patterns; larger integers are escapes."""

ESCAPE = ATOM + 2**16
"""Index of a value that neither the grid nor an atom represents within the bound."""

MANTISSA_BITS = {"float16": 10, "float32": 23, "float64": 52}


def ordered_bits(x: Array) -> Array:
    """Return float bit patterns as int64 in the order of the values; -0.0 is -1 and +0.0 is 0.

    Example:
        >>> ordered_bits(np.array([-1.0, -0.0, 0.0, 1.0], "float32")).tolist()
        [-1065353217, -1, 0, 1065353216]
    """
    bits = np.ascontiguousarray(x).view(f"i{x.dtype.itemsize}").astype(np.int64)
    return _fold(bits, x.dtype.itemsize)


def from_ordered_bits(q: Array, dtype: str) -> Array:
    """Return floats of a dtype: the inverse of `ordered_bits`."""
    size = np.dtype(dtype).itemsize
    values: Array = _fold(q, size).astype(f"i{size}").view(dtype)
    return values


def _fold(bits: Array, itemsize: int) -> Array:
    folded: Array = bits ^ ((bits >> 63) & np.int64(2 ** (8 * itemsize - 1) - 1))
    return folded


@dataclass(frozen=True)
class Grid(ABC):
    """A monotone map from values to integers.

    For every finite x that is not -0.0, `index(x)` is an int64. Where it is below `ATOM`, `index`
    is monotone and `value(index(x))` is the grid point that stands for x.
    """

    dtype: str
    kind: ClassVar[str]

    @abstractmethod
    def index(self, x: Array) -> Array:
        """Return the index of each value."""

    @abstractmethod
    def value(self, q: Array) -> Array:
        """Return the value of each index."""

    def to_json(self) -> dict[str, Any]:
        """Return the kind and the parameters, as files store them."""
        parameters = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"kind": self.kind} | parameters


@dataclass(frozen=True)
class Ordered(Grid):
    """Every bit pattern is a point; `shift` trailing mantissa bits are zero and left out."""

    shift: int = 0
    kind: ClassVar[str] = "ordered"

    @property
    def binade(self) -> int:
        """Indices per power of two, where the cells double."""
        return 1 << (MANTISSA_BITS[self.dtype] - self.shift)

    def index(self, x: Array) -> Array:
        index: Array = ordered_bits(x) >> self.shift
        return index

    def value(self, q: Array) -> Array:
        # Negative patterns are stored complemented, so that their low bits are ones.
        low_bits = (q >> 63) & np.int64(2**self.shift - 1)
        return from_ordered_bits((q << self.shift) | low_bits, self.dtype)


@dataclass(frozen=True)
class Integers(Grid):
    """Integers and booleans in cells of an odd `width`, centred on its multiples; 1 is exact.

    Exact uint64 is shifted by 2^63 to fit int64. In cells of 3 and more its multiples fit
    unshifted.
    """

    width: int = 1
    kind: ClassVar[str] = "integers"

    def index(self, x: Array) -> Array:
        if self.width == 1:
            return (
                _shifted(x).view(np.int64)
                if self.dtype == "uint64"
                else x.astype(np.int64)
            )
        quotient, remainder = np.divmod(x.astype(self._wide), self._wide.type(self.width))
        index = quotient.astype(np.int64) + (remainder > self.width // 2)
        outermost = np.iinfo(self._wide).max // self.width
        return np.where(np.abs(index) <= outermost, index, ESCAPE)

    def value(self, q: Array) -> Array:
        if self.width == 1 and self.dtype == "uint64":
            return _shifted(np.ascontiguousarray(q).view(np.uint64))
        if self.width == 1:
            return q.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        wide = q.astype(self._wide) * self._wide.type(self.width)
        values: Array = np.clip(wide, limits.min, limits.max).astype(self.dtype)
        return values

    @property
    def _wide(self) -> np.dtype[Any]:
        return np.dtype("uint64" if self.dtype == "uint64" else "int64")


@dataclass(frozen=True)
class Uniform(Grid):
    """Cells of width 2E centred on multiples of 2E, for |x' - x| <= E."""

    half_width: float
    kind: ClassVar[str] = "uniform"

    def index(self, x: Array) -> Array:
        return _whole(np.divide, x, 2 * self.half_width, self.dtype)

    def value(self, q: Array) -> Array:
        return _multiple(np.multiply, q, 2 * self.half_width, self.dtype)


@dataclass(frozen=True)
class Decimal(Grid):
    """Exact multiples of 10^-digits; `digits` 0 holds integers stored as floats."""

    digits: int
    kind: ClassVar[str] = "decimal"

    def index(self, x: Array) -> Array:
        return _whole(np.multiply, x, float(10**self.digits), self.dtype)

    def value(self, q: Array) -> Array:
        return _multiple(np.divide, q, float(10**self.digits), self.dtype)


def _whole(scale: np.ufunc, x: Array, unit: float | Array, dtype: str) -> Array:
    """Scale and round to int64; `ESCAPE` where the result would not be a safe index."""
    with np.errstate(over="ignore", invalid="ignore"):
        t = scale(x.astype(np.float64), unit)
    inside = np.abs(t) < (2.0**52 if dtype == "float64" else 2.0**31)
    return np.where(inside, np.rint(np.where(inside, t, 0.0)).astype(np.int64), ESCAPE)


def _multiple(scale: np.ufunc, q: Array, unit: float | Array, dtype: str) -> Array:
    """Scale indices to values of a type; too large ones become infinite."""
    with np.errstate(over="ignore"):
        values: Array = scale(q.astype(np.float64), unit).astype(dtype)
    return values


def _shifted(x: Array) -> Array:
    """Map uint64 to the order of int64, or back."""
    return x ^ np.uint64(2**63)


@dataclass(frozen=True)
class Mantissas(Grid):
    """Round to nearest even at `bits` explicit mantissa bits."""

    bits: int
    kind: ClassVar[str] = "mantissas"

    @property
    def binade(self) -> int:
        """Indices per power of two, where the cells double."""
        return 1 << self.bits

    @property
    def _shift(self) -> int:
        return MANTISSA_BITS[self.dtype] - self.bits

    def index(self, x: Array) -> Array:
        magnitude = ordered_bits(np.abs(x))
        if self._shift > 0:
            odd = (magnitude >> self._shift) & 1
            magnitude = (magnitude + (2 ** (self._shift - 1) - 1) + odd) >> self._shift
        return np.where(np.signbit(x), -magnitude, magnitude)

    def value(self, q: Array) -> Array:
        magnitude = from_ordered_bits(np.abs(q) << self._shift, self.dtype)
        return np.where(q < 0, -magnitude, magnitude)


@dataclass(frozen=True)
class Binades(Grid):
    """A logarithmic grid in integer arithmetic: cells for |x' - x| <= R |x|, alike in every binade.

    The unit is 2^-36 of the binade, or 2^-p where the type has p < 36 mantissa bits. A cell that
    begins at b has the representative r = b + floor(b R) and ends at floor(r / (1 - R)), so that
    every x in it is within R |x| of r. A binade of more than 4096 cells is divided into runs whose
    cells have the width of their first; a single width per binade would cost half a bit more.
    Subnormal values are escapes.
    """

    relative: float
    kind: ClassVar[str] = "binades"

    def __post_init__(self) -> None:
        _ = self._runs  # raises where there are none

    @cached_property
    def _runs(self) -> _Runs:
        return _cut(self.relative, self._unit_bits)

    @property
    def cells(self) -> int:
        """Cells per binade."""
        return self._runs.cells

    @property
    def _unit_bits(self) -> int:
        return min(MANTISSA_BITS[self.dtype], 36)

    def index(self, x: Array) -> Array:
        bits = MANTISSA_BITS[self.dtype]
        runs = self._runs
        magnitude = ordered_bits(np.abs(x))
        exponent = magnitude >> bits
        unit = (magnitude & (2**bits - 1)) >> (bits - self._unit_bits)
        run = np.searchsorted(runs.begin, unit, side="right") - 1
        cell = runs.first[run] + (unit - runs.begin[run]) // runs.width[run]
        rank = (exponent - 1) * runs.cells + cell + 1
        signed = np.where(np.signbit(x), -rank, rank)
        return np.where(magnitude == 0, 0, np.where(exponent == 0, ESCAPE, signed))

    def value(self, q: Array) -> Array:
        bits = MANTISSA_BITS[self.dtype]
        runs = self._runs
        exponent, cell = np.divmod(np.abs(q) - 1, runs.cells)
        run = np.searchsorted(runs.first, cell, side="right") - 1
        unit = (
            runs.begin[run]
            + (cell - runs.first[run]) * runs.width[run]
            + runs.centre[run]
        )
        # The end of the binade cuts its last cell off.
        unit = np.minimum(unit, 2**self._unit_bits - 1)
        pattern = ((exponent + 1) << bits) + (unit << (bits - self._unit_bits))
        magnitude = from_ordered_bits(np.where(q == 0, 0, pattern), self.dtype)
        return np.where(q < 0, -magnitude, magnitude)


@dataclass(frozen=True)
class Steps(Grid):
    """Multiples of a step of its own in each row, for |x' - x| <= F s with s the row's resolution.

    The step is the largest number with two bits of mantissa, that is 1, 1.25, 1.5 or 1.75 times a
    power of two, of at most 2 F s. It follows from the bits of s by comparisons of whole numbers.
    Only the grid that `at` returns has indices and values.
    """

    factor: float
    kind: ClassVar[str] = "steps"

    @cached_property
    def _quarters(self) -> tuple[Array, Array]:
        """Mantissas of s, as 52 bits, from which on a step is the next; and the steps' numbers."""
        double = 2 * Fraction(self.factor)
        exponent = double.numerator.bit_length() - double.denominator.bit_length()
        if double < _power_of_two(exponent):
            exponent -= 1
        number = 4 * exponent + math.floor((double / _power_of_two(exponent) - 1) * 4)
        begins, numbers = [0], [number]
        for n in range(number + 1, number + 5):
            step = (4 + n % 4) * _power_of_two(n // 4 - 2)
            begin = math.ceil((step / double - 1) * 2**52)
            if begin < 2**52:
                begins.append(begin)
                numbers.append(n)
        return np.array(begins, np.int64), np.array(numbers, np.int64)

    def step(self, resolution: Array) -> Array:
        """Return the step of each row: float64, 0 where a resolution gives none."""
        with np.errstate(invalid="ignore"):  # signalling NaNs
            bits = resolution.astype(np.float64).view(np.int64)
        exponent, mantissa = bits >> 52, bits & (2**52 - 1)
        begins, numbers = self._quarters
        n = numbers[np.searchsorted(begins, mantissa, side="right") - 1] + 4 * exponent
        usable = (exponent >= 1) & (exponent <= 2046) & (n >= 4) & (n < 4 * 2047)
        return np.where(usable, n << 50, 0).view(np.float64)

    def at(self, resolution: Array) -> Grid:
        """Return the grid of rows with these resolutions, shape (n,)."""
        return _StepsOfRows(self.dtype, self.step(resolution))

    def index(self, x: Array) -> Array:
        raise _no_rows()

    def value(self, q: Array) -> Array:
        raise _no_rows()


@dataclass(frozen=True, eq=False)
class _StepsOfRows(Grid):
    """The grid of certain rows; a row without a step has no index, and the value 0."""

    step: Array
    kind: ClassVar[str] = "steps of rows"

    def index(self, x: Array) -> Array:
        usable = self.step > 0
        q = _whole(np.divide, x, np.where(usable, self.step, 1.0), self.dtype)
        return np.where(usable, q, ESCAPE)

    def value(self, q: Array) -> Array:
        q = np.where(self.step > 0, q, 0)
        return _multiple(np.multiply, q, self.step, self.dtype)


def _power_of_two(exponent: int) -> Fraction:
    """Return 2^exponent without rounding."""
    return Fraction(1 << max(exponent, 0), 1 << max(-exponent, 0))


def _no_rows() -> InvalidArgument:
    return InvalidArgument(
        "values under a sigma bound have no grid without the resolution of each row: "
        "decode the column of resolutions first"
    )


class _Runs(NamedTuple):
    """Runs of equal cells that fill one binade; all in units, counted from the binade's lower edge.

    Attributes:
        cells: Cells in all.
        begin: First unit of each run.
        width: Units of a cell.
        centre: Position of a cell's representative in it.
        first: Number of each run's first cell.
    """

    cells: int
    begin: Array
    width: Array
    centre: Array
    first: Array


def _cut(relative: float, unit_bits: int) -> _Runs:
    """Fill a binade from below in exact arithmetic: the bound is a quotient of whole numbers.

    Raises:
        ValueError: A cell would be narrower than a unit.
    """
    above, below = relative.as_integer_ratio()
    top = 2**unit_bits
    length = 1 + below // (2 * above) // 4096
    rows = []
    cell = 0
    begin = top
    while begin < 2 * top:
        centre = begin * above // below
        end = (begin + centre) * below // (below - above)
        width = min(end, 2 * top) - begin  # nothing lies beyond the binade
        if width < 1:
            raise ValueError(
                f"a relative bound of {relative} is finer than 2^-{unit_bits}"
            )
        rows.append((begin - top, width, centre, cell))
        count = min(length, -((begin - 2 * top) // width))
        begin += count * width
        cell += count
    return _Runs(cell, *np.ascontiguousarray(np.array(rows, np.int64).T))


_KINDS: dict[str, tuple[Any, float, float]] = {
    "ordered": (Ordered, 0, 52),
    "integers": (Integers, 1, 2**62 + 1),
    "uniform": (Uniform, 5e-324, 1.7976931348623157e308),
    "decimal": (Decimal, 0, 6),
    "mantissas": (Mantissas, 0, 52),
    "binades": (Binades, 2.0**-28, 1 - 2.0**-53),
    "steps": (Steps, 5e-324, 1.7976931348623157e308),
}
"""Class, and the least and the largest parameter, by kind."""

INTEGERS = frozenset(f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64))


def grid_from_json(data: dict[str, Any]) -> Grid:
    """Return a grid from the object of its `to_json`.

    Raises:
        Corrupt: The object describes no grid.
    """
    try:
        kind, dtype = data["kind"], data["dtype"]
        cls, least, most = _KINDS[kind]
        name = fields(cls)[1].name
        parameter = data[name]
        real = name in ("half_width", "relative", "factor")
        if kind in ("ordered", "mantissas"):
            most = MANTISSA_BITS.get(dtype, 0)
        parameter = float(parameter) if real and type(parameter) is int else parameter
        fits = type(parameter) is (float if real else int) and least <= parameter <= most
        if kind == "integers":
            fits = fits and parameter % 2 == 1 and (parameter == 1 or dtype != "bool")
        if not fits or (dtype in MANTISSA_BITS) == (kind == "integers"):
            raise ValueError(f"{name} {parameter} for {dtype}")
        if dtype not in {"bool", *MANTISSA_BITS, *INTEGERS}:
            raise ValueError(f"no type {dtype}")
        grid: Grid = cls(dtype, parameter)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Corrupt(
            f"the file describes a grid that does not exist: {str(data)[:200]} ({error})"
        ) from None
    return grid


def relative_grid(dtype: str, relative: float) -> Grid:
    """Return the coarsest grid for a relative bound: `Binades`, or mantissas for very fine bounds.

    Example:
        >>> relative_grid("float32", 1e-3).kind, relative_grid("float64", 1e-12).kind
        ('binades', 'mantissas')
    """
    if relative > 2.0**-28:
        try:
            return Binades(dtype, relative)
        except ValueError:
            return Ordered(dtype)
    needed = bisect.bisect_left(
        range(64), True, key=lambda b: 2.0 ** -(b + 1) <= relative
    )
    return Mantissas(dtype, needed) if needed < MANTISSA_BITS[dtype] else Ordered(dtype)
