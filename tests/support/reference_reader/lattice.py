"""Section 4: lattices. Values are patterns here."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol

from reference_reader.base import (
    MAX_ATOMS,
    MAX_CUTS,
    NONE,
    A,
    Dtype,
    Invalid,
    Json,
    integer_of,
    member,
    number_of,
    pattern_of_float,
    pattern_of_integer,
    pow2,
    require,
    whole_number,
    wrap_i64,
)


class Grid(Protocol):
    """Section 4.2: a grid takes indices to values and values to indices; values are patterns here."""

    def value(self, q: int) -> int: ...

    def index(self, x: int) -> int: ...


def fold(b: int, width: int) -> int:
    """Section 4.2: all but the sign bit is inverted where b is negative; b is an `i64`."""
    return b ^ ((b >> 63) & (pow2(width - 1) - 1))


def ordered(x: int, dtype: Dtype) -> int:
    """Section 4.2: monotone in the float of pattern x; +0.0 is 0 and -0.0 is -1."""
    signed = x - pow2(dtype.width) if x >= pow2(dtype.width - 1) else x
    return fold(signed, dtype.width)


def float_pattern(b: int, dtype: Dtype) -> int:
    """Section 4.2, `float(b)`: the float whose bits are the low w bits of fold(b)."""
    return fold(wrap_i64(b), dtype.width) % pow2(dtype.width)


def absolute(x: int, dtype: Dtype) -> int:
    """Section 4.2: the float of pattern x with its sign bit cleared."""
    return x & (pow2(dtype.width - 1) - 1)


def negative(x: int, dtype: Dtype) -> bool:
    """Section 4.2: the sign bit of the float of pattern x."""
    return x >= pow2(dtype.width - 1)


def with_sign_of(q: int, x: int, dtype: Dtype) -> int:
    """Section 4.2: sign * x, where sign = -1 where q < 0 and x has no sign yet."""
    return x ^ pow2(dtype.width - 1) if q < 0 else x


def whole(t: float, dtype: Dtype) -> int:
    """Section 4.2: the nearest whole number, halves to even, where abs(t) < L; else NONE."""
    limit = 2.0**52 if dtype.name == "float64" else 2.0**31
    return round(t) if abs(t) < limit else NONE


@dataclass(frozen=True)
class OrderedGrid:
    """Section 4.2, `ordered`."""

    dtype: Dtype
    shift: int

    def value(self, q: int) -> int:
        return float_pattern(
            (q << self.shift) | ((q >> 63) & (pow2(self.shift) - 1)), self.dtype
        )

    def index(self, x: int) -> int:
        return ordered(x, self.dtype) >> self.shift


@dataclass(frozen=True)
class IntegersGrid:
    """Section 4.2, `integers`."""

    dtype: Dtype
    width: int

    def value(self, q: int) -> int:
        unsigned = self.dtype.name == "uint64"
        if self.width > 1:
            t = q * self.width % 2**64 if unsigned else wrap_i64(q * self.width)
            return pattern_of_integer(
                min(max(t, self.dtype.least), self.dtype.largest), self.dtype
            )
        if self.dtype.kind == "bool":
            return int(q != 0)
        return pattern_of_integer(q + 2**63 if unsigned else q, self.dtype)

    def index(self, x: int) -> int:
        unsigned = self.dtype.name == "uint64"
        number = integer_of(x, self.dtype)
        if self.width == 1:
            return number - 2**63 if unsigned else number
        i = number // self.width + (number % self.width > self.width // 2)
        largest = 2**64 - 1 if unsigned else 2**63 - 1
        return i if abs(i) <= largest // self.width else NONE


@dataclass(frozen=True)
class UniformGrid:
    """Section 4.2, `uniform`."""

    dtype: Dtype
    half_width: float

    def value(self, q: int) -> int:
        return pattern_of_float(float(q) * (2.0 * self.half_width), self.dtype)

    def index(self, x: int) -> int:
        return whole(number_of(x, self.dtype) / (2.0 * self.half_width), self.dtype)


@dataclass(frozen=True)
class DecimalGrid:
    """Section 4.2, `decimal`."""

    dtype: Dtype
    digits: int

    def value(self, q: int) -> int:
        return pattern_of_float(float(q) / float(10**self.digits), self.dtype)

    def index(self, x: int) -> int:
        return whole(number_of(x, self.dtype) * float(10**self.digits), self.dtype)


@dataclass(frozen=True)
class MantissasGrid:
    """Section 4.2, `mantissas`."""

    dtype: Dtype
    bits: int

    def value(self, q: int) -> int:
        return with_sign_of(
            q,
            float_pattern(abs(q) << (self.dtype.mantissa - self.bits), self.dtype),
            self.dtype,
        )

    def index(self, x: int) -> int:
        s = self.dtype.mantissa - self.bits
        b = ordered(absolute(x, self.dtype), self.dtype)
        if s > 0:
            b = wrap_i64(b + (pow2(s - 1) - 1) + ((b >> s) & 1)) >> s
        return -b if negative(x, self.dtype) else b


@dataclass(frozen=True)
class StepsGrid:
    """Section 4.2, `steps`: the grid of a row whose resolution is s; None before it is known."""

    dtype: Dtype
    factor: Fraction
    s: float | None = None

    @property
    def step(self) -> float:
        """The step of the row, 0 where there is none."""
        if self.s is None:
            raise Invalid("a row without its resolution")
        if not 2.0**-1022 <= self.s < math.inf:
            return 0.0
        most = 2 * self.factor * Fraction(self.s)
        k = most.numerator.bit_length() - most.denominator.bit_length()
        k -= most < Fraction(2) ** k
        if not -1022 <= k <= 1023:
            return 0.0
        return float(
            (4 + math.floor((most / Fraction(2) ** k - 1) * 4)) * Fraction(2) ** k / 4
        )

    def value(self, q: int) -> int:
        if self.step == 0:
            return 0
        return pattern_of_float(float(q) * self.step, self.dtype)

    def index(self, x: int) -> int:
        if self.step == 0:
            return NONE
        return whole(number_of(x, self.dtype) / self.step, self.dtype)


@dataclass(frozen=True)
class Run:
    """Section 4.2, `binades`: a run of equal cells."""

    begin: int
    width: int
    centre: int
    first: int


class BinadesGrid:
    """Section 4.2, `binades`."""

    def __init__(self, dtype: Dtype, relative: float) -> None:
        self.dtype = dtype
        self.unit_bits = min(dtype.mantissa, 36)
        self.runs, self.cells = binade_runs(Fraction(relative), self.unit_bits)

    def value(self, q: int) -> int:
        if q == 0:
            return 0
        e, c = divmod(abs(q) - 1, self.cells)
        run = self.runs[bisect_right(self.runs, c, key=lambda r: r.first) - 1]
        unit = min(
            run.begin + (c - run.first) * run.width + run.centre, pow2(self.unit_bits) - 1
        )
        m = self.dtype.mantissa
        return with_sign_of(
            q,
            float_pattern(((e + 1) << m) + (unit << (m - self.unit_bits)), self.dtype),
            self.dtype,
        )

    def index(self, x: int) -> int:
        m = self.dtype.mantissa
        b = ordered(absolute(x, self.dtype), self.dtype)
        e = b >> m
        if e == 0:
            return 0 if b == 0 else NONE
        unit = (b & (pow2(m) - 1)) >> (m - self.unit_bits)
        run = self.runs[bisect_right(self.runs, unit, key=lambda r: r.begin) - 1]
        r = (e - 1) * self.cells + run.first + (unit - run.begin) // run.width + 1
        return -r if negative(x, self.dtype) else r


def binade_runs(relative: Fraction, unit_bits: int) -> tuple[list[Run], int]:
    """Section 4.2, `binades`: the runs of a binade, and N, the number of its cells."""
    length = 1 + math.floor(1 / (2 * relative)) // 4096
    runs: list[Run] = []
    b, cells, end = pow2(unit_bits), 0, pow2(unit_bits + 1)
    while b < end:
        centre = math.floor(b * relative)
        width = math.floor((b + centre) / (1 - relative)) - b
        require(width >= 1, "no such grid of binades")
        runs.append(Run(b - pow2(unit_bits), width, centre, cells))
        count = min(length, math.ceil(Fraction(end - b, width)))
        b, cells = b + count * width, cells + count
    return runs, cells


@dataclass(frozen=True)
class Lattice:
    """Section 4.1: a grid, atoms in increasing order, and the range (None where there is none)."""

    dtype: Dtype
    grid: Grid
    atoms: list[int]
    lossless: bool
    low: int | float | None
    high: int | float | None
    cuts: int = 0
    resolution: str = ""

    def at(self, s: float) -> Lattice:
        """Section 4.2, `steps`: the lattice of a row whose resolution is s."""
        if not isinstance(self.grid, StepsGrid):
            return self
        return replace(self, grid=replace(self.grid, s=s))

    def clip(self, x: int) -> int:
        """Section 4.1: the value of a grid index is brought into the range."""
        v = number_of(x, self.dtype)
        if self.low is not None and v < self.low:
            return pattern_of_number(self.low, self.dtype)
        if self.high is not None and v > self.high:
            return pattern_of_number(self.high, self.dtype)
        return x

    def value(self, q: int) -> int:
        """Section 4.1: the value of any index but ESCAPE."""
        if q < A:
            return self.clip(self.grid.value(q))
        require(q < A + len(self.atoms), "a reserved index")
        return self.atoms[q - A]

    def nearest(self, x: int) -> int:
        """Section 4.3: the index that stands for x whether or not the bound holds."""
        if x in self.atoms:
            return A + self.atoms.index(x)
        q = self.grid.index(x)
        return q if q < A else NONE

    def stored_index(self, x: int) -> int:
        """Section 4.3: the stored index of a value of a lossless column."""
        q = self.nearest(x)
        return NONE if q < A and self.value(q) != x else q


def pattern_of_number(n: int | float, dtype: Dtype) -> int:
    """The pattern of a number that the dtype holds exactly."""
    return (
        pattern_of_float(float(n), dtype)
        if dtype.is_float
        else pattern_of_integer(int(n), dtype)
    )


NUMBER = r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"


@dataclass(frozen=True)
class Bound:
    """Section 3: what a reader needs of a bound: F and the resolution are those of `sigma`."""

    lossless: bool
    cuts: int = 0
    factor: Fraction = Fraction(0)
    resolution: str = ""


def parse_bound(bound: str) -> Bound:
    """Section 3: `lossless`, or `abs:E`, `rel:R` and `bits:B`, in 1.1 `sigma:F@NAME` and cuts."""
    if bound == "lossless":
        return Bound(True)
    cut = rf",cut:-?{NUMBER}"
    matched = re.fullmatch(
        rf"(abs|rel|bits|sigma):({NUMBER})(@.*?)?((?:{cut})*)", bound, re.S
    )
    if matched is None or (matched[1] == "sigma") != (matched[3] is not None):
        raise Invalid(f"unknown bound {bound}")
    kind, number = matched[1], float(matched[2])
    fits = {
        "abs": 0 < number < math.inf,
        "rel": 0 < number < 1,
        "bits": number <= 52 and number == math.floor(number),
        "sigma": 0 < number < math.inf,
    }
    require(fits[kind], f"bad bound {bound}")
    cuts = [float(part.removeprefix("cut:")) for part in matched[4].split(",")[1:]]
    require(len(cuts) <= MAX_CUTS, "too many cuts")
    require(all(map(math.isfinite, cuts)), "a cut that is not finite")
    if kind != "sigma":
        return Bound(False, len(cuts))
    name = matched[3][1:]
    last = name.rpartition(",")[2].lstrip()
    require(
        name == name.strip() != "", "a resolution without a name, or with white space"
    )
    require(
        not last.startswith("cut:") and ", then " not in name and " or " not in name,
        "a name of a resolution that a bound cannot hold",
    )
    return Bound(False, len(cuts), Fraction(number), name)


def parse_lattice(parsed: Json, dtype: Dtype) -> Lattice:
    """Section 3: a lattice."""
    bound = parse_bound(member(parsed, "bound", str))
    lossless = bound.lossless
    atoms = [
        whole_number(a, 0, pow2(dtype.width) - 1)
        for a in member(parsed, "atoms", list, [])
    ]
    require(
        len(atoms) <= MAX_ATOMS and len(set(atoms)) == len(atoms),
        "too many atoms, or two equal ones",
    )
    require(
        dtype.kind != "bool" or (lossless and all(a <= 1 for a in atoms)),
        "a bad lattice of a bool",
    )
    require(
        lossless != ("range" in parsed),
        "a range is there where the bound is not lossless, and only there",
    )
    low, high = (
        (None, None) if lossless else parse_range(member(parsed, "range", list), dtype)
    )
    grid = parse_grid(member(parsed, "grid", dict), dtype)
    factor = grid.factor if isinstance(grid, StepsGrid) else 0
    require(
        factor == bound.factor, "steps without a bound of their factor, or the other way"
    )
    return Lattice(
        dtype,
        grid,
        sorted(atoms),
        lossless,
        low,
        high,
        bound.cuts,
        bound.resolution,
    )


def parse_range(
    parsed: list[Any], dtype: Dtype
) -> tuple[int | float | None, int | float | None]:
    """Section 3: two values of the dtype, or two nulls."""
    require(len(parsed) == 2, "a range that is no pair")
    if parsed == [None, None]:
        return None, None
    low, high = (value_of_dtype(n, dtype) for n in parsed)
    require(low <= high, "an empty range")
    return low, high


def value_of_dtype(n: object, dtype: Dtype) -> int | float:
    """Section 3: a number of JSON that is a value of the dtype."""
    if not dtype.is_float:
        return whole_number(n, dtype.least, dtype.largest)
    if (
        not isinstance(n, (int, float))
        or isinstance(n, bool)
        or abs(n) > 2**1024 - 2**970
    ):
        raise Invalid("not a value of its dtype")
    require(
        number_of(pattern_of_float(float(n), dtype), dtype) == n,
        "not a value of its dtype",
    )
    return float(n)


def parse_grid(parsed: Json, dtype: Dtype) -> Grid:
    """Section 4.2: kind, dtype and the one parameter."""
    require(parsed.get("dtype") == dtype.name, "a grid of another dtype than its column")
    kind = member(parsed, "kind", str)
    if kind == "integers":
        require(not dtype.is_float, "a grid of integers for floats")
        width = whole_number(
            parsed.get("width"), 1, 1 if dtype.kind == "bool" else 2**62 + 1
        )
        require(width % 2 == 1, "an even width")
        return IntegersGrid(dtype, width)
    require(dtype.is_float, "a grid of floats for integers")
    return parse_float_grid(kind, parsed, dtype)


def parse_float_grid(kind: str, parsed: Json, dtype: Dtype) -> Grid:
    """Section 4.2: the grids of float dtypes."""
    if kind == "ordered":
        return OrderedGrid(dtype, whole_number(parsed.get("shift"), 0, dtype.mantissa))
    if kind == "decimal":
        return DecimalGrid(dtype, whole_number(parsed.get("digits"), 0, 6))
    if kind == "mantissas":
        return MantissasGrid(dtype, whole_number(parsed.get("bits"), 0, dtype.mantissa))
    if kind == "uniform":
        half_width = json_float(parsed.get("half_width"))
        require(half_width > 0, "a half width that is not above 0")
        return UniformGrid(dtype, half_width)
    if kind == "steps":
        factor = json_float(parsed.get("factor"))
        require(0 < factor < math.inf, "a bad factor")
        return StepsGrid(dtype, Fraction(factor))
    require(kind == "binades", f"unknown grid {kind}")
    relative = json_float(parsed.get("relative"))
    require(2.0**-28 < relative < 1, "a relative width out of its limits")
    return BinadesGrid(dtype, relative)


def json_float(n: object) -> float:
    """Section 3: a number of JSON as `f64`."""
    if not isinstance(n, (int, float)) or isinstance(n, bool):
        raise Invalid("not a number")
    try:
        return float(n)
    except OverflowError:
        raise Invalid("a number that is not finite") from None
