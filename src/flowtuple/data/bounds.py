"""Bounds on decoded values: the kinds of bounds, and the choice of one for each column by globs.

CONTRIBUTING.md lists the places that a new kind of bound touches.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from flowtuple.data.cuts import MAX_CUTS, same_sides
from flowtuple.data.globs import NamedColumns
from flowtuple.data.resolutions import check_resolutions, product_below
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.errors import InvalidArgument


class BoundKind(NamedTuple):
    """Properties of a kind of bound.

    Attributes:
        form: The bound as messages and `--help` write it.
        example: A bound of this kind that fits values of many scales.
        on_integers: A column of integers may have it.
        is_statistical: A statistic of the column, taken before coding, resolves it to `abs`.
        has_resolution: It names another column, whose decoded values it counts in.
    """

    form: str
    example: str
    on_integers: bool = False
    is_statistical: bool = False
    has_resolution: bool = False


KINDS = {
    "lossless": BoundKind("lossless", "lossless", on_integers=True),
    "abs": BoundKind("abs:E", "abs:0.01", on_integers=True),
    "rel": BoundKind("rel:R", "rel:0.01"),
    "std": BoundKind("std:S", "std:0.01", on_integers=True, is_statistical=True),
    "bits": BoundKind("bits:B", "bits:7"),
    "sigma": BoundKind("sigma:F@COLUMN", "sigma:0.1@error", has_resolution=True),
}


def _listed(forms: Iterable[str]) -> str:
    *others, last = forms
    return f"{', '.join(others)} or {last}"


FORMS = _listed(kind.form for kind in KINDS.values())
CUT_FORM = ",cut:T"
"""What may follow a bound, as messages and `--help` write it."""

_ABS = re.compile(r"abs:[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,2})?(,cut:[-+.e0-9]+)*")
_LARGEST_WHOLE = 2.0**53  # from here on float64 has gaps between whole numbers


@dataclass(frozen=True)
class Bound:
    """Largest allowed difference of a decoded value from its original.

    Attributes:
        kind: `lossless`; `abs` with |x' - x| <= amount; `rel` with |x' - x| <= amount |x|; `std`,
            an `abs` bound in units of the column's standard deviation; `bits`, round to nearest
            with `amount` explicit mantissa bits; `sigma` with |x' - x| <= amount s, where s is the
            decoded value of the resolution in the same row, and exact where s is no positive
            number.
        amount: The number after the colon, in the column's unit for `abs`.
        cuts: Thresholds T, increasing: the sign of x - T stays, for T in float64 and for T
            rounded to the column's type. A lossless bound keeps every sign and has none.
        resolution: Name of the column of resolutions, in the same table, for `sigma` alone.

    Raises:
        InvalidArgument: There is no such kind, or it cannot have this amount or these cuts.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> ft.Bound.parse("rel:1e-3")
        Bound(kind='rel', amount=0.001)
        >>> str(ft.Bound.parse("bits:10")), str(ft.Bound())
        ('bits:10', 'lossless')
        >>> bound = ft.Bound.parse("abs:0.05,cut:30")
        >>> bound.holds(np.array([29.98, 29.98]), np.array([29.95, 30.0])).tolist()
        [True, False]
    """

    kind: str = "lossless"
    amount: float = 0.0
    cuts: tuple[float, ...] = ()
    resolution: str = ""

    @classmethod
    def parse(cls, text: str) -> Bound:
        """Read a bound in one of the forms of `KINDS`, such as `lossless` or `rel:1e-3`.

        Raises:
            InvalidArgument: The text is none of these, or its number is no amount of this kind.
        """
        first, resolution, further = _parts(text.strip())
        cuts = tuple(_read_cut(text, part.strip()) for part in further)
        kind, _, number = first.strip().partition(":")
        if kind == "cut":
            raise InvalidArgument(
                f"bound {text!r} is a cut alone: write it beside a bound, as in abs:0.05,cut:30"
            )
        if first.strip() == "lossless":
            return cls(cuts=cuts)
        if kind not in KINDS or kind == "lossless":
            raise InvalidArgument(f"bound {text!r} does not parse: write {FORMS}")
        try:
            amount = float(number)
        except ValueError:
            raise InvalidArgument(
                f"bound {text!r} has no number after '{kind}:': write for example {kind}:1e-3"
            ) from None
        return cls(kind, amount, cuts, resolution)

    def __post_init__(self) -> None:
        wrong = self._fault()
        if wrong:
            named = (
                f"{self.kind}:{self.amount:g}" if self.kind != "lossless" else self.kind
            )
            named += f"@{self.resolution}" if self.resolution else ""
            raise InvalidArgument(f"bound '{named}' {wrong}")
        cuts = () if self.kind == "lossless" else (float(cut) + 0.0 for cut in self.cuts)
        object.__setattr__(self, "cuts", tuple(sorted(set(cuts))))

    def _fault(self) -> str:
        """Return what keeps the parts from being a bound; nothing where they are one."""
        kind, amount = self.kind, self.amount
        wrong = ""
        if kind not in KINDS:
            wrong = f"does not parse: write {FORMS}"
        elif not all(map(math.isfinite, self.cuts)):
            wrong = "has a cut that is no finite number: write for example cut:30"
        elif len(self.cuts) > MAX_CUTS:
            wrong = f"has {len(self.cuts)} cuts: write {MAX_CUTS} at most"
        elif KINDS[kind].has_resolution != _is_name(self.resolution):
            wrong = (
                "names no column of resolutions: write for example sigma:0.1@Muon_dxyErr"
            )
        elif kind == "lossless":
            return ""
        elif not math.isfinite(amount) or amount < 0 or (amount == 0 and kind != "bits"):
            wrong = "must be a positive, finite number; for exact values write lossless"
        elif kind == "rel" and amount >= 1:
            wrong = "allows every value to become zero: write a number below 1"
        elif kind == "bits" and (amount != int(amount) or amount > 52):
            wrong = "must be a whole number of mantissa bits, 0 to 52"
        return wrong

    def __repr__(self) -> str:
        cuts = f", cuts={self.cuts}" if self.cuts else ""
        column = f", resolution={self.resolution!r}" if self.resolution else ""
        return f"Bound(kind={self.kind!r}, amount={self.amount!r}{cuts}{column})"

    def __str__(self) -> str:
        """Return the bound as text that parses back to the very same numbers."""
        if self.kind == "lossless":
            return self.kind
        return f"{self.kind}:{_exactly(self.amount)}{self._further}"

    @property
    def _further(self) -> str:
        """The text after the amount: the resolution and the cuts."""
        column = f"@{self.resolution}" if self.resolution else ""
        return column + "".join(f",cut:{_exactly(cut)}" for cut in self.cuts)

    @property
    def is_statistical(self) -> bool:
        """True for a bound that a statistic of the column resolves to `abs` before coding."""
        return KINDS[self.kind].is_statistical

    def check_resolved(self) -> None:
        """Raise for a bound that has to be resolved to `abs` first.

        Raises:
            InvalidArgument: The bound is in units of a statistic of its column, as `std` is.
        """
        if self.is_statistical:
            raise InvalidArgument(
                f"a {self.kind} bound has no meaning before it is resolved to abs "
                "with the column's statistics"
            )

    @property
    def short(self) -> str:
        """The bound as text with four digits, for tables."""
        if self.kind == "lossless":
            return self.kind
        return f"{self.kind}:{self.amount:.4g}{self._further}"

    def after(self, before: Bound | str) -> str:
        """Return the bound, in words, of values coded with another bound and then with this one.

        Example:
            >>> Bound("abs", 0.25).after(Bound("abs", 0.5)), Bound("rel", 1e-3).after("abs:0.5")
            ('abs:0.75', 'abs:0.5, then rel:0.001')
        """
        words = str(before)
        if words == "lossless":
            return str(self)
        if self.kind == "lossless":
            return words
        if self.kind == "abs" and _ABS.fullmatch(words):
            first = Bound.parse(words)
            amount = self.amount + first.amount
            if Fraction(amount) < Fraction(self.amount) + Fraction(first.amount):
                # a bound may only be rounded up
                amount = math.nextafter(amount, math.inf)
            common = tuple(cut for cut in self.cuts if cut in first.cuts)
            return str(Bound("abs", amount, common))
        return f"{words}, then {self}"

    def holds(
        self, original: Array, decoded: Array, columns: Mapping[str, Array] | None = None
    ) -> Array:
        """Return True for each decoded value that lies within the bound of its original.

        Args:
            original: Values of one column, any shape and dtype.
            decoded: The same shape and dtype.
            columns: Decoded columns of the same rows, with the resolution of a `sigma` bound.

        Returns:
            Booleans of the same shape. The difference is taken in float64 between the stored
            values. Equal bit patterns always hold; NaN, infinities and -0.0 hold in no other
            case.

        Raises:
            InvalidArgument: The bound has to be resolved to `abs` first, as `std` has, or its
                resolution is missing.
        """
        self.check_resolved()
        same: Array = bit_patterns(original) == bit_patterns(decoded)
        if self.kind == "lossless" or same.all():
            return same
        if original.dtype.kind in "iu":
            larger = np.maximum(original, decoded).astype(np.uint64)
            smaller = np.minimum(original, decoded).astype(np.uint64)
            # wraps around to the true distance of signed values
            distance = larger - smaller
            most = np.uint64(min(math.floor(self.amount), 2**64 - 1))
            close: Array = distance <= most
            return same | (close & self._keeps_sides(original, decoded))
        negative_zero = np.signbit(original) & (original == 0)
        special = ~np.isfinite(original) | ~np.isfinite(decoded) | negative_zero
        with np.errstate(invalid="ignore", over="ignore"):
            x = original.astype(np.float64)
            allowed = self.largest_difference(x, columns)
            near = np.abs(decoded.astype(np.float64) - x) <= allowed
        within: Array = same | (near & ~special & self._keeps_sides(original, decoded))
        return within

    def _keeps_sides(self, original: Array, decoded: Array) -> Array:
        """Return which values stay on their side of every cut, of the shape of the values."""
        return same_sides(original, decoded, self.cuts)

    def largest_difference(
        self, original: Array, columns: Mapping[str, Array] | None = None
    ) -> Array:
        """Return how far each value may move, in its unit: float64 of the original's shape.

        A cut may keep a value from moving as far.

        Args:
            original: Values of any shape and dtype; `holds` gives copies in float64.
            columns: As in `holds`.

        Raises:
            InvalidArgument: The bound is `lossless`, or has to be resolved to `abs` first, or its
                resolution is missing.

        Example:
            >>> Bound.parse("rel:0.01").largest_difference(np.array([-2.0, 50.0]))
            array([0.02, 0.5 ])
        """
        x = original.astype(np.float64)
        if self.kind == "abs":
            return np.full(x.shape, self.amount)
        if self.kind == "rel":
            relative: Array = self.amount * np.abs(x)
            # A subnormal product may be rounded up by a part of itself that counts.
            coarse = relative < np.finfo(np.float64).tiny
            if coarse.any():
                return np.where(coarse, np.nextafter(relative, 0.0), relative)
            return relative
        if self.kind == "bits":
            rounded = np.isfinite(x) & (x != 0)
            # x = m 2^exponent, 1/2 <= |m| < 1
            exponent = np.frexp(np.where(rounded, x, 1.0))[1]
            half_unit: Array = np.ldexp(1.0, exponent - 2 - int(self.amount))
            return np.where(rounded, half_unit, 0.0)
        if self.kind == "sigma":
            return product_below(self.amount, self.resolution_in(columns))
        raise InvalidArgument(
            f"a {self} bound is no unit for a difference: resolve it to abs, rel or bits"
        )

    def resolution_in(self, columns: Mapping[str, Array] | None) -> Array:
        """Return the resolution of each row.

        Raises:
            InvalidArgument: The columns lack it.
        """
        if columns is None or self.resolution not in columns:
            raise InvalidArgument(
                f"a {self.short} bound needs the decoded values of {self.resolution!r}: "
                "read that column, too"
            )
        return columns[self.resolution]


def _parts(text: str) -> tuple[str, str, list[str]]:
    """Return kind and amount, the resolution, and the texts of the cuts.

    The name of a resolution may have commas and the like; cuts are what its end looks like.
    """
    first, at, name = text.partition("@")
    if not at or not first.startswith("sigma:"):
        first, *further = text.split(",")
        return first, "", further
    further = []
    while _ends_as_cut(name) and len(further) <= MAX_CUTS:
        name, _, cut = name.rpartition(",")
        further.insert(0, cut)
    return first, name.strip(), further


def _ends_as_cut(name: str) -> bool:
    return name.rpartition(",")[2].lstrip().startswith("cut:")


def _is_name(resolution: str) -> bool:
    """Return True for the name of a resolution that texts of bounds can hold."""
    marks = any(mark in resolution for mark in (", then ", " or "))
    plain = resolution == resolution.strip() and not _ends_as_cut(resolution)
    return resolution != "" and plain and not marks


def _read_cut(text: str, part: str) -> float:
    """Return the threshold of one part of a bound's text, such as `cut:30`.

    Raises:
        InvalidArgument: It is no cut.
    """
    kind, _, number = part.partition(":")
    try:
        if kind == "cut":
            return float(number)
    except ValueError:
        pass
    raise InvalidArgument(
        f"bound {text!r} has {part!r} after a comma: write a cut there, as in abs:0.05,cut:30"
    )


def _exactly(number: float) -> str:
    """Return a number as text that parses back to the very same one, whole ones without a point."""
    whole = number == int(number) and abs(number) < _LARGEST_WHOLE
    return str(int(number)) if whole else repr(number)


def requested_bounds(
    tables: Mapping[str, Iterable[Column]], tolerance: Mapping[str, str | Bound]
) -> dict[str, dict[str, Bound]]:
    """Return the requested bounds by table and column; columns without a request are left out.

    Patterns are branch names or globs, optionally as `TREE/PATTERN`; the last match wins. A glob
    bounds float columns only, and no ids and weights; to bound an integer, an id or a weight,
    name it in full.

    Args:
        tables: Columns of each table, by the table's name.
        tolerance: Bounds by pattern.

    Raises:
        InvalidArgument: A pattern matches no column, or a column named in full cannot have its
            bound.
    """
    bounds: dict[str, dict[str, Bound]] = {table: {} for table in tables}
    named = NamedColumns(tables)
    for pattern, request in tolerance.items():
        if not isinstance(request, (str, Bound)):
            raise InvalidArgument(
                f"the bound {request!r} for {pattern!r} is no text: "
                f"write for example 'abs:{request}'"
            )
        bound = request if isinstance(request, Bound) else Bound.parse(request)
        for table, column in named.matching(pattern):
            if pattern in named:
                _check_applicable(bound, column)
            elif not column.is_float or column.role in ("id", "weight"):
                continue
            bounds[table][column.name] = bound
    for table, chosen in bounds.items():
        named_by = {c: b.resolution for c, b in chosen.items() if b.resolution}
        check_resolutions(table, tables, named_by)
    return bounds


def _check_applicable(bound: Bound, column: Column) -> None:
    if bound.kind == "lossless":
        return
    if column.is_opaque or column.dtype == "bool" or column.role == "counter":
        kind = "a counter" if column.role == "counter" else f"of type {column.dtype}"
        raise InvalidArgument(
            f"column {column.name!r} is {kind} and can only be lossless, not {bound}"
        )
    if column.is_integer and any(abs(cut) >= _LARGEST_WHOLE for cut in bound.cuts):
        raise InvalidArgument(
            f"column {column.name!r} is {column.dtype} and {bound} has a cut from 2^53 on, where "
            "float64 skips whole numbers: leave that cut out"
        )
    if column.is_integer and not KINDS[bound.kind].on_integers:
        forms = _listed(kind.form for kind in KINDS.values() if kind.on_integers)
        raise InvalidArgument(
            f"column {column.name!r} is {column.dtype}: bound it with {forms}, not {bound}"
        )
