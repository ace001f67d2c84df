"""How far decoded values lie from their originals, column by column and chunk by chunk, and dijet masses.

difference = original - decoded, response = difference / original; both in float64 between the stored values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument, nearest

_PT = re.compile(r"^(?P<prefix>.*?)pt$", re.IGNORECASE)


@dataclass(frozen=True)
class Spread:
    """Mean, variance and largest magnitude of a stream of numbers, mergeable without keeping the numbers.

    Merging is the pairwise update of Chan, Golub and LeVeque (1979), which does not cancel as sums of squares do.

    Example:
        >>> Spread.of(np.array([1.0, 2.0])).merge(Spread.of(np.array([6.0]))).mean
        3.0
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared distances from the mean
    largest: float = 0.0

    @classmethod
    def of(cls, values: Array) -> Spread:
        """The spread of float64 values of any shape, all finite."""
        if not values.size:
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            return cls(
                values.size,
                mean,
                float(np.square(values - mean).sum()),
                float(np.abs(values).max()),
            )

    def merge(self, other: Spread) -> Spread:
        """The spread of both streams together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        shift = other.mean - self.mean
        return Spread(
            count,
            self.mean + shift * (other.count / count),
            self.squares + other.squares + shift * shift * (self.count * other.count / count),
            max(self.largest, other.largest),
        )

    @property
    def std(self) -> float:
        """Population standard deviation, as `numpy.std` gives it; NaN without values."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan

    @property
    def rms(self) -> float:
        """Square root of the mean square; NaN without values."""
        return math.hypot(self.mean, self.std) if self.count else math.nan


@dataclass(frozen=True)
class ColumnFidelity:
    """What became of the values of one column, or of one chunk of them.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        bound: The bound as text, `std` resolved to `abs`.
        values: Number of values.
        special: Originals that only bit equality satisfies: NaN, infinities, -0.0.
        zeros: Originals equal to zero, which have no response.
        exact: Values that came back bit for bit.
        violations: Values outside the bound, changed special values included. An opaque column is compared
            as a whole and counts all its values or none.
        difference: |difference| where both values are finite, in the column's unit.
        original: The finite originals.
        response: difference / original where both are finite and the original is not zero.
    """

    table: str
    column: str
    bound: str
    values: int
    special: int = 0
    zeros: int = 0
    exact: int = 0
    violations: int = 0
    difference: Spread = Spread()
    original: Spread = Spread()
    response: Spread = Spread()

    @property
    def exact_share(self) -> float:
        return self.exact / self.values if self.values else 1.0

    @property
    def max_over_std(self) -> float:
        """Largest |difference| in units of the standard deviation of the finite originals; NaN where that is zero."""
        return _over(self.difference.largest, self.original.std)

    @property
    def mean_over_std(self) -> float:
        """Mean |difference| in units of the standard deviation of the finite originals; NaN where that is zero."""
        return _over(self.difference.mean, self.original.std)

    def merge(self, other: ColumnFidelity) -> ColumnFidelity:
        """The fidelity of both chunks together.

        Raises:
            InvalidArgument: The two describe different columns or bounds.
        """
        mine, theirs = (
            (self.table, self.column, self.bound),
            (other.table, other.column, other.bound),
        )
        if mine != theirs:
            raise InvalidArgument(
                f"chunks of {'/'.join(mine)} and {'/'.join(theirs)} do not merge: give one column's chunks"
            )
        parts: list[Any] = []
        for name in (f.name for f in fields(self)[3:]):
            a, b = getattr(self, name), getattr(other, name)
            parts.append(a.merge(b) if isinstance(a, Spread) else a + b)
        return ColumnFidelity(*mine, *parts)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text for `json.dumps`; what is undefined is null."""
        return {
            **{
                name: getattr(self, name)
                for name in ("table", "column", "bound", "values", "special", "zeros", "violations")
            },
            "exact_share": self.exact_share,
            "max_difference": _or_none(self.difference.largest),
            "mean_difference": _or_none(self.difference.mean),
            "std": _or_none(self.original.std),
            "max_over_std": _or_none(self.max_over_std),
            "mean_over_std": _or_none(self.mean_over_std),
            "response_mean": _or_none(self.response.mean if self.response.count else math.nan),
            "response_rms": _or_none(self.response.rms),
        }


def _over(numerator: float, std: float) -> float:
    if numerator == 0:
        return 0.0
    return numerator / std if std > 0 else math.nan


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None


def column_fidelity(
    table_name: str, column: str, bound: Bound | Promise, original: Any, decoded: Any
) -> ColumnFidelity:
    """Compare one column, or one chunk of it, with what came back.

    Args:
        table_name: For the result and for messages.
        column: For the result and for messages.
        bound: What is promised; `std` has to be resolved to `abs` first.
        original: A NumPy array of any shape, or an awkward array for an opaque column.
        decoded: The same type, shape and dtype.

    Raises:
        InvalidArgument: Shapes or dtypes differ, or the bound is `std`.

    Example:
        >>> fidelity = column_fidelity("Events", "x", Bound.parse("abs:0.1"), np.array([1.0, 2.0]), np.array([1.1, 2.5]))
        >>> fidelity.violations, fidelity.difference.largest
        (2, 0.5)
    """
    if not isinstance(original, np.ndarray):
        same = len(original) if ak.array_equal(original, decoded, equal_nan=True) else 0
        return ColumnFidelity(
            table_name,
            column,
            str(bound),
            len(original),
            exact=same,
            violations=max(len(original), len(decoded)) - same,
        )
    if original.shape != decoded.shape or original.dtype != decoded.dtype:
        found = f"{decoded.dtype}{decoded.shape} decoded against {original.dtype}{original.shape}"
        raise InvalidArgument(
            f"table {table_name!r}: column {column!r} is {found}; compare two reads of the same schema"
        )
    special = (
        ~np.isfinite(original) | (np.signbit(original) & (original == 0))
        if original.dtype.kind == "f"
        else 0
    )
    x, difference, response = _differences(original, decoded)
    return ColumnFidelity(
        table_name,
        column,
        str(bound),
        original.size,
        special=int(np.sum(special)),
        zeros=int(original.size - np.count_nonzero(original)),
        exact=int(np.count_nonzero(bit_patterns(original) == bit_patterns(decoded))),
        violations=int(np.count_nonzero(~bound.holds(original, decoded))),
        difference=Spread.of(np.abs(difference)),
        original=Spread.of(x),
        response=Spread.of(response),
    )


def _differences(original: Array, decoded: Array) -> tuple[Array, Array, Array]:
    """Finite originals, signed differences and responses, each float64 and flat."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        x, y = original.astype(np.float64).ravel(), decoded.astype(np.float64).ravel()
        signed = x - y
        if (
            original.dtype.kind in "iu"
        ):  # float64 cannot hold the distance of large integers, uint64 can
            top, bottom = (
                np.maximum(original, decoded).ravel(),
                np.minimum(original, decoded).ravel(),
            )
            distance = (top.astype(np.uint64) - bottom.astype(np.uint64)).astype(np.float64)
            signed = np.where(original.ravel() < decoded.ravel(), -distance, distance)
        response = signed / x
    return x[np.isfinite(x)], signed[np.isfinite(signed)], response[np.isfinite(response)]


def compare_tables(
    original: Table, decoded: Table, bounds: Mapping[str, Bound | Promise]
) -> list[ColumnFidelity]:
    """The fidelity of every column, in the order of the schema.

    Args:
        original: The events, or a range of them.
        decoded: The same events as they came back.
        bounds: Bound by column name; a column that is not named is held to be lossless.

    Raises:
        InvalidArgument: The two differ in columns, in their number of events or in an array's shape or dtype.
    """
    if original.num_entries != decoded.num_entries:
        counts = f"{decoded.num_entries} events decoded against {original.num_entries}"
        raise InvalidArgument(
            f"table {original.name!r}: {counts}; compare the same range of events"
        )
    left, right = [c.name for c in original.columns], [c.name for c in decoded.columns]
    if left != right:
        lost, added = sorted(set(left) - set(right)), sorted(set(right) - set(left))
        found = f"only in the original: {', '.join(lost) or 'none'}; only in the decoded: {', '.join(added) or 'none'}"
        raise InvalidArgument(
            f"table {original.name!r}: columns differ, {found}; select the same columns in the same order"
        )
    for name in bounds:
        if name not in left:
            raise InvalidArgument(
                f"table {original.name!r} has no column {name!r} to bound; {nearest(name, left)}"
            )
    pairs = ((name, original.data[name], decoded.data[name]) for name in left)
    return [
        column_fidelity(original.name, name, bounds.get(name, Bound()), x, y)
        for name, x, y in pairs
    ]


def merge_columns(chunks: Iterable[Sequence[ColumnFidelity]]) -> list[ColumnFidelity]:
    """One result per column from `compare_tables` of consecutive chunks; only one chunk need be in memory at a time.

    Raises:
        InvalidArgument: The chunks describe different columns.

    Example:
        >>> chunk = [ColumnFidelity("Events", "x", "lossless", values=5)]
        >>> merge_columns([chunk, chunk])[0].values
        10
    """
    merged: list[ColumnFidelity] | None = None
    for chunk in chunks:
        if merged is not None and len(merged) != len(chunk):
            raise InvalidArgument(
                f"a chunk has {len(chunk)} columns, those before it {len(merged)}: compare the same columns"
            )
        merged = (
            list(chunk)
            if merged is None
            else [a.merge(b) for a, b in zip(merged, chunk, strict=True)]
        )
    return merged or []


def dijet_mass(pt: Array, eta: Array, phi: Array, mass: Array) -> Array:
    """Invariant mass of two objects, m^2 = (E1 + E2)^2 - |p1 + p2|^2.

    Args:
        pt: Transverse momenta, shape (n, 2).
        eta: Pseudorapidities, same shape.
        phi: Azimuths in radians, same shape.
        mass: Masses in the unit of `pt`, same shape.

    Returns:
        float64, shape (n,), in the unit of `pt`. Where rounding makes m^2 negative it is zero.

    Example:
        >>> two = np.zeros((1, 2))
        >>> dijet_mass(two + 10.0, two, np.array([[0.0, np.pi]]), two)
        array([20.])
    """
    pt, eta, phi, mass = (np.asarray(a, dtype=np.float64) for a in (pt, eta, phi, mass))
    with np.errstate(over="ignore", invalid="ignore"):
        momentum = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
        energy = np.sqrt(np.square(momentum).sum(axis=0) + mass * mass)
        squared = energy.sum(axis=1) ** 2 - np.square(momentum.sum(axis=2)).sum(axis=0)
        result: Array = np.sqrt(np.maximum(squared, 0.0))
    return result


def dijet_masses(table: Table) -> tuple[str, Array] | None:
    """The invariant mass of the first two objects of a collection, in every event that has two.

    The collection is one whose counted columns are named `*pt`, `*eta`, `*phi` and `*m` or `*mass`; one with "jet" in
    its name goes first. The first two as stored are taken, not sorted again: decoded p_T may tie where the original did
    not, and both sides have to speak of the same two objects.

    Returns:
        The collection's name and float64 masses of shape (number of such events,); `None` where there is none.
    """
    counted = {c.name.lower(): c for c in table.columns if c.counter is not None and c.is_float}
    kinematics = [
        (m["prefix"], _kinematics(m["prefix"], counted)) for m in map(_PT.match, counted) if m
    ]
    collections = sorted(
        ((p, k) for p, k in kinematics if k), key=lambda pair: "jet" not in pair[0]
    )
    if not collections:
        return None
    prefix, columns = collections[0]
    counter = str(columns[0].counter)
    first = table.offsets(counter)[:-1][np.asarray(table.data[counter]) >= 2]
    leading = [
        np.asarray(table.data[c.name])[np.stack([first, first + 1], axis=1)] for c in columns
    ]
    return columns[0].name[: len(prefix)].rstrip("_.") or columns[0].name, dijet_mass(*leading)


def _kinematics(prefix: str, counted: Mapping[str, Column]) -> list[Column]:
    """pt, eta, phi and mass of one collection under one counter, or nothing."""
    mass = next((prefix + m for m in ("mass", "m") if prefix + m in counted), "")
    columns = [
        counted[n] for n in (prefix + "pt", prefix + "eta", prefix + "phi", mass) if n in counted
    ]
    return columns if len(columns) == 4 and len({c.counter for c in columns}) == 1 else []
