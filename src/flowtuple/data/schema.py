"""What a column is and how far its values may move: `Column`, `Bound`, and the matching of one to the other."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Container, Iterable, Mapping, Set
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from flowtuple.errors import InvalidArgument, nearest

Array: TypeAlias = NDArray[Any]
Role = Literal["value", "angle", "id", "weight", "label", "counter", "reference"]
ROLES: tuple[Role, ...] = get_args(Role)
OPAQUE = "opaque"
MAX_AXES = 31  # of a fixed shape: NumPy before 2 has 32, one of which is the events

BoundKind = Literal["lossless", "abs", "rel", "std", "bits"]

_ID_NAMES = frozenset(
    [
        "run",
        "runnumber",
        "event",
        "eventnumber",
        "evt",
        "luminosityblock",
        "lumiblock",
        "lumi",
        "ls",
    ]
)
_ANGLE = re.compile(r"(^|[_. ])phi\d*$|Phi\d*$", re.IGNORECASE)
_REFERENCE = re.compile(r"Idx[G\d]*$")
_LABEL = re.compile(r"^(class_)?labels?$|^target$", re.IGNORECASE)
_ABS = re.compile(r"abs:[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,2})?")
_GLOB_CHARACTERS = frozenset("*?[")


def infer_role(name: str, dtype: str) -> Role:
    """The role that a branch's name suggests; counters are known from structure, not from names.

    Example:
        >>> infer_role("Jet_phi", "float32"), infer_role("genWeight", "float32"), infer_role("run", "uint32")
        ('angle', 'weight', 'id')
    """
    if name.lower() in _ID_NAMES and dtype != "bool":
        return "id"
    if "weight" in name.lower() and dtype.startswith("float"):
        return "weight"
    if _REFERENCE.search(name) and "int" in dtype:
        return "reference"
    if _LABEL.search(name):
        return "label"
    if _ANGLE.search(name) and dtype.startswith("float"):
        return "angle"
    return "value"


def referred(name: str) -> str:
    """What the name of a column of references says that it points to, in lower case.

    Example:
        >>> referred("Jet_genJetIdx"), referred("Electron_jetIdx")
        ('genjet', 'jet')
    """
    return name.rpartition("_")[2].split("Idx")[0].lower()


@dataclass(frozen=True)
class Column:
    """One branch: its name, type and place in the event.

    Attributes:
        name: The branch name, unique within its table.
        dtype: A NumPy dtype name (`"float32"`, `"uint8"`, `"bool"`), or `"opaque"` for what is carried
            as it is: strings, deeper nesting.
        role: What the values mean; ids and weights stay lossless under globs.
        title: The branch's documentation string.
        counter: Name of the column that holds this one's number of objects per event; `None` for one
            value (or one fixed array) per event.
        shape: The fixed array shape per event, `()` for scalars.
        hidden: True for a counter that the source keeps implicitly (`std::vector<T>`, awkward lists).
    """

    name: str
    dtype: str
    role: Role = "value"
    title: str = ""
    counter: str | None = None
    shape: tuple[int, ...] = ()
    hidden: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidArgument(f"a column of type {self.dtype} has no name; give it one")
        if len(self.shape) > MAX_AXES:
            raise InvalidArgument(
                f"column {self.name!r} has {len(self.shape)} axes per event; reshape it to {MAX_AXES} or fewer"
            )

    @property
    def is_opaque(self) -> bool:
        return self.dtype == OPAQUE

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_integer(self) -> bool:
        return "int" in self.dtype

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` turns back into an equal column; defaults are left out."""
        out: dict[str, Any] = {"name": self.name, "dtype": self.dtype}
        if self.role != "value":
            out["role"] = self.role
        if self.title:
            out["title"] = self.title
        if self.counter is not None:
            out["counter"] = self.counter
        if self.shape:
            out["shape"] = list(self.shape)
        if self.hidden:
            out["hidden"] = True
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """The inverse of `to_json`."""
        return cls(
            name=data["name"],
            dtype=data["dtype"],
            role=data.get("role", "value"),
            title=data.get("title", ""),
            counter=data.get("counter"),
            shape=tuple(data.get("shape", ())),
            hidden=data.get("hidden", False),
        )


@dataclass(frozen=True)
class Bound:
    """How far a decoded value may lie from its original.

    Attributes:
        kind: `lossless`; `abs` with |x' - x| <= amount; `rel` with |x' - x| <= amount |x|; `std`, an `abs`
            bound in units of the column's standard deviation; `bits`, round to nearest with `amount`
            explicit mantissa bits.
        amount: The number after the colon, in the column's unit for `abs`.

    Example:
        >>> Bound.parse("rel:1e-3")
        Bound(kind='rel', amount=0.001)
        >>> str(Bound.parse("bits:10")), str(Bound())
        ('bits:10', 'lossless')
    """

    kind: BoundKind = "lossless"
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Bound:
        """Read `lossless`, `abs:E`, `rel:R`, `std:S` or `bits:B`.

        Raises:
            InvalidArgument: The text is none of these, or its number is not usable as a bound.
        """
        kind, colon, number = text.strip().partition(":")
        if kind == "lossless" and not colon:
            return cls()
        if kind not in ("abs", "rel", "std", "bits"):
            raise InvalidArgument(
                f"bound {text!r} does not parse: write lossless, abs:E, rel:R, std:S or bits:B"
            )
        try:
            amount = float(number)
        except ValueError:
            raise InvalidArgument(
                f"bound {text!r} has no number after '{kind}:': write for example {kind}:1e-3"
            ) from None
        _check_amount(kind, amount, text)
        return cls(kind, amount)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.kind != "lossless":
            _check_amount(self.kind, self.amount, f"{self.kind}:{self.amount}")

    def __str__(self) -> str:
        """The bound as text that parses back to the very same number."""
        if self.kind == "lossless":
            return self.kind
        whole = self.amount == int(self.amount) and self.amount < 2**53
        return f"{self.kind}:{int(self.amount) if whole else self.amount!r}"

    def after(self, before: Bound | str) -> str:
        """How far a value may lie from its original when this bound was kept on top of another, in words.

        Example:
            >>> Bound("abs", 0.25).after(Bound("abs", 0.5)), Bound("rel", 1e-3).after("abs:0.5")
            ('abs:0.75', 'abs:0.5, then rel:0.001')
        """
        words = str(before)
        if words == "lossless" or self.kind == "lossless":
            return str(self) if words == "lossless" else words
        if self.kind == "abs" and _ABS.fullmatch(words):
            exact, amount = (
                Fraction(self.amount) + Fraction(float(words[4:])),
                self.amount + float(words[4:]),
            )
            return str(
                Bound(
                    "abs", amount if Fraction(amount) >= exact else math.nextafter(amount, math.inf)
                )
            )
        return f"{words}, then {self}"

    @property
    def short(self) -> str:
        """The bound as text of four digits, for tables."""
        return self.kind if self.kind == "lossless" else f"{self.kind}:{self.amount:.4g}"

    def holds(self, original: Array, decoded: Array) -> Array:
        """Whether each decoded value lies within the bound of its original.

        Args:
            original: Values of one column, any shape and dtype.
            decoded: The same shape and dtype.

        Returns:
            Booleans of the same shape. The difference is taken in float64 between the stored values. Equal bit
            patterns always hold; NaN, infinities and -0.0 hold only so.

        Raises:
            InvalidArgument: The bound is `std`, which has to be resolved to `abs` first.
        """
        if self.kind == "std":
            raise InvalidArgument(
                "a std bound has no meaning before it is resolved to abs with the column's std"
            )
        same: Array = bit_patterns(original) == bit_patterns(decoded)
        if self.kind == "lossless" or same.all():
            return same
        if original.dtype.kind in "iu":
            larger, smaller = np.maximum(original, decoded), np.minimum(original, decoded)
            distance = larger.astype(np.uint64) - smaller.astype(
                np.uint64
            )  # wraps to the true distance
            held: Array = same | (distance <= np.uint64(min(math.floor(self.amount), 2**64 - 1)))
            return held
        special = (
            ~np.isfinite(original)
            | ~np.isfinite(decoded)
            | (np.signbit(original) & (original == 0))
        )
        with np.errstate(invalid="ignore", over="ignore"):
            x, y = original.astype(np.float64), decoded.astype(np.float64)
            close = np.abs(y - x) <= self.largest_difference(x)
        within: Array = same | (close & ~special)
        return within

    def largest_difference(self, original: Array) -> Array:
        """How far each value may move, in the column's unit: float64 of the original's shape.

        Raises:
            InvalidArgument: The bound is `lossless` or `std`.

        Example:
            >>> Bound.parse("rel:0.01").largest_difference(np.array([-2.0, 50.0]))
            array([0.02, 0.5 ])
        """
        x = original.astype(np.float64)
        if self.kind == "abs":
            return np.full(x.shape, self.amount)
        if self.kind == "rel":
            relative: Array = self.amount * np.abs(x)
            coarse = (
                relative < np.finfo(np.float64).tiny
            )  # a subnormal product may be rounded up by a part that counts
            return (
                np.where(coarse, np.nextafter(relative, 0.0), relative)
                if coarse.any()
                else relative
            )
        if self.kind != "bits":
            raise InvalidArgument(
                f"a {self} bound is no unit for a difference: give abs, rel or bits"
            )
        rounded = np.isfinite(x) & (x != 0)
        exponent = np.frexp(np.where(rounded, x, 1.0))[1]  # x = m 2^exponent, 1/2 <= |m| < 1
        half_unit: Array = np.where(rounded, np.ldexp(1.0, exponent - 2 - int(self.amount)), 0.0)
        return half_unit


def _check_amount(kind: str, amount: float, text: str) -> None:
    if kind not in get_args(BoundKind):
        raise InvalidArgument(
            f"bound {text!r} does not parse: write lossless, abs:E, rel:R, std:S or bits:B"
        )
    if not math.isfinite(amount) or amount < 0 or (amount == 0 and kind != "bits"):
        raise InvalidArgument(
            f"bound {text!r} must be a positive, finite number; for exact values write lossless"
        )
    if kind == "rel" and amount >= 1:
        raise InvalidArgument(
            f"bound {text!r} allows every value to become zero: write a number below 1"
        )
    if kind == "bits" and (amount != int(amount) or amount > 52):
        raise InvalidArgument(f"bound {text!r} must be a whole number of mantissa bits, 0 to 52")


def bit_patterns(values: Array) -> Array:
    """The values as unsigned integers of the same width, so that equality means the same bits."""
    values = np.ascontiguousarray(values)
    patterns: Array = values.view(f"u{values.dtype.itemsize}")
    return patterns


def unused(name: str, taken: Container[str], *, numbered: bool = False) -> str:
    """The name, with underscores behind it where it is taken, or with a number.

    Example:
        >>> unused("x", {"x", "x_"}), unused("y", {"x"}), unused("x", {"x", "x_2"}, numbered=True)
        ('x__', 'y', 'x_3')
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}" if numbered else f"{free}_"
    return free


def is_glob(pattern: str) -> bool:
    """Whether a pattern can match more than the one name it spells."""
    return bool(_GLOB_CHARACTERS & set(pattern))


def select_columns(
    tables: Mapping[str, Iterable[Column]], include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> dict[str, tuple[Column, ...]]:
    """The columns that the globs keep, counters of kept columns included, in the order of the table.

    Args:
        tables: Columns of each table, by the table's name.
        include: Globs of which a column must match one; none means all.
        exclude: Globs of which a column may match none.

    Raises:
        InvalidArgument: A glob matches no column, or nothing is left.
    """
    include, exclude = list(include), list(exclude)
    everything = {name: tuple(columns) for name, columns in tables.items()}
    spelled = _spelled(everything)
    for pattern in (*include, *exclude):
        if pattern not in spelled:
            matches(pattern, everything)
    is_included, is_excluded = _fitting(include), _fitting(exclude)
    selected: dict[str, tuple[Column, ...]] = {}
    for table, columns in everything.items():
        wanted = [c for c in columns if not include or is_included(table, c)]
        keep = {c.name for c in wanted if not is_excluded(table, c)}
        counting = {c.counter for c in columns if c.name in keep and c.counter is not None}
        keep -= _idle(columns, counting) - set(include)
        keep |= counting
        if keep or not columns:
            selected[table] = tuple(c for c in columns if c.name in keep)
    if not selected:
        raise InvalidArgument("no column is left after --columns and --exclude: widen the globs")
    return selected


def match_bounds(
    tables: Mapping[str, Iterable[Column]], tolerance: Mapping[str, str | Bound]
) -> dict[str, dict[str, Bound]]:
    """The bound of every column: the last pattern that matches wins, and none means lossless.

    Returns:
        For each table a dict from column name to bound, for every column.

    Raises:
        InvalidArgument: A pattern matches nothing, or a bound is impossible for a column named in full.
    """
    asked = requested_bounds(tables, tolerance)
    return {
        table: {c.name: asked[table].get(c.name, Bound()) for c in columns}
        for table, columns in tables.items()
    }


def requested_bounds(
    tables: Mapping[str, Iterable[Column]], tolerance: Mapping[str, str | Bound]
) -> dict[str, dict[str, Bound]]:
    """The bounds that were asked for, of the columns that a pattern touches only.

    Patterns are branch names or globs, optionally as `TREE/PATTERN`. A glob touches float columns only and passes
    over ids and weights; to bound an integer, an id or a weight, name it in full.

    Raises:
        InvalidArgument: A pattern matches nothing, or a bound is impossible for a column named in full.
    """
    everything = {name: tuple(columns) for name, columns in tables.items()}
    bounds: dict[str, dict[str, Bound]] = {table: {} for table in everything}
    spelled = _spelled(everything)
    for pattern, spec in tolerance.items():
        if not isinstance(spec, (str, Bound)):
            raise InvalidArgument(
                f"the bound {spec!r} for {pattern!r} is no text: write for example 'abs:{spec}'"
            )
        bound = spec if isinstance(spec, Bound) else Bound.parse(spec)
        for table, column in spelled.get(pattern) or matches(pattern, everything):
            if _spells(pattern, table, column):
                _check_applicable(bound, column)
            elif not column.is_float or column.role in ("id", "weight"):
                continue
            bounds[table][column.name] = bound
    return bounds


def _spells(pattern: str, table: str, column: Column) -> bool:
    """Whether a pattern is a column's full name, which may hold characters of globs itself."""
    return pattern in (column.name, f"{table}/{column.name}")


def _idle(columns: Iterable[Column], counting: Set[str]) -> set[str]:
    """Hidden counters whose columns are all left out: to read one takes what it counts."""
    columns = tuple(columns)
    used = {c.counter for c in columns}
    return {c.name for c in columns if c.hidden and c.name in used and c.name not in counting}


def _spelled(tables: Mapping[str, Iterable[Column]]) -> dict[str, list[tuple[str, Column]]]:
    """What each full name means, so that many names cost no search each."""
    found: dict[str, list[tuple[str, Column]]] = {}
    for table, columns in tables.items():
        for column in columns:
            for name in {column.name, f"{table}/{column.name}"}:
                found.setdefault(name, []).append((table, column))
    return found


def _fitting(patterns: Iterable[str]) -> Callable[[str, Column], bool]:
    """Whether a column fits one of many patterns; only globs are compared one by one."""
    names = frozenset(patterns)
    globs = [pattern for pattern in names if is_glob(pattern)]

    def fits(table: str, column: Column) -> bool:
        if column.name in names or f"{table}/{column.name}" in names:
            return True
        return any(_fits(pattern, table, column) for pattern in globs)

    return fits


def _fits(pattern: str, table: str, column: Column) -> bool:
    names = (column.name, f"{table}/{column.name}")
    return pattern in names or any(fnmatch.fnmatchcase(name, pattern) for name in names)


def fits_name(pattern: str, name: str) -> bool:
    """Whether a glob matches `TREE/COLUMN`, or the column's name alone.

    Example:
        >>> fits_name("fBits", "Delphes/fBits"), fits_name("Delphes/*", "Delphes/fBits"), fits_name("x", "Delphes/fBits")
        (True, True, False)
    """
    names = (name, name.rpartition("/")[2])
    return pattern in names or any(fnmatch.fnmatchcase(candidate, pattern) for candidate in names)


def matches(pattern: str, tables: Mapping[str, Iterable[Column]]) -> list[tuple[str, Column]]:
    """The columns that a name or glob means, each with its table's name.

    Raises:
        InvalidArgument: There are none.
    """
    found = [
        (table, c) for table, columns in tables.items() for c in columns if _fits(pattern, table, c)
    ]
    found = [hit for hit in found if _spells(pattern, *hit)] or found
    if not found:
        names = [c.name for columns in tables.values() for c in columns]
        what = "glob" if is_glob(pattern) else "name"
        raise InvalidArgument(
            f"the {what} {pattern!r} matches no column; {nearest(pattern, names)}"
        )
    return found


def _check_applicable(bound: Bound, column: Column) -> None:
    if bound.kind == "lossless":
        return
    if column.is_opaque or column.dtype == "bool" or column.role == "counter":
        kind = "a counter" if column.role == "counter" else f"of type {column.dtype}"
        raise InvalidArgument(
            f"column {column.name!r} is {kind} and can only be lossless, not {bound}"
        )
    if column.is_integer and bound.kind in ("rel", "bits"):
        raise InvalidArgument(
            f"column {column.name!r} is {column.dtype}: bound it with abs:E, std:S or lossless, not {bound}"
        )
