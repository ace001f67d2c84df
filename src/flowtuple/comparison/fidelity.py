"""Differences of decoded values from their originals, column by column, and dijet masses.

difference = original - decoded, response = difference / original; both in float64 between the
stored values. Chunks are measured one by one and merged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from flowtuple.comparison.verification import Promise, integer_distance, only_bits
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, Column, bit_patterns
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.lazy_packages import awkward as ak

_PT = re.compile(r"^(?P<prefix>.*?)pt$", re.IGNORECASE)


@dataclass(frozen=True)
class Spread:
    """Mean, variance and largest magnitude of a stream of numbers, whose parts can be merged.

    Merging is the pairwise update of Chan, Golub and LeVeque (1979), which does not cancel as sums
    of squares do.

    Attributes:
        count: Number of numbers.
        mean: Their mean.
        squares: Sum of squared distances from the mean.
        largest: Largest magnitude.

    Example:
        >>> Spread.of(np.array([1.0, 2.0])).merge(Spread.of(np.array([6.0]))).mean
        3.0
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    @classmethod
    def of(cls, values: Array) -> Spread:
        """Return the spread of float64 values of any shape, all finite."""
        if not values.size:
            return cls()
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.mean())
            squares = float(np.square(values - mean).sum())
            return cls(values.size, mean, squares, float(np.abs(values).max()))

    def merge(self, other: Spread) -> Spread:
        """Return the spread of both streams together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        shift = other.mean - self.mean
        return Spread(
            count,
            self.mean + shift * (other.count / count),
            self.squares
            + other.squares
            + shift * shift * (self.count * other.count / count),
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
    """The fidelity of the values of one column, or of one chunk of them.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        bound: The bound as text, `std` resolved to `abs`.
        values: Number of values.
        special: Originals that only bit equality satisfies: NaN, infinities, -0.0.
        zeros: Originals equal to zero, which have no response.
        exact: Values that came back bit for bit.
        violations: Values outside the bound, changed special values included. An opaque column is
            compared as a whole and counts all its values or none.
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
        """Share of the values that came back bit for bit."""
        return self.exact / self.values if self.values else 1.0

    @property
    def max_over_std(self) -> float:
        """Largest |difference| in standard deviations of the originals; NaN where that is zero."""
        return _over(self.difference.largest, self.original.std)

    @property
    def mean_over_std(self) -> float:
        """Mean |difference| in standard deviations of the originals; NaN where that is zero."""
        return _over(self.difference.mean, self.original.std)

    def merge(self, other: ColumnFidelity) -> ColumnFidelity:
        """Return the fidelity of both chunks together.

        Raises:
            InvalidArgument: The two describe different columns or bounds.
        """
        mine = (self.table, self.column, self.bound)
        others = (other.table, other.column, other.bound)
        if mine != others:
            raise InvalidArgument(
                f"chunks of {'/'.join(mine)} and {'/'.join(others)} do not merge: "
                "give one column's chunks"
            )
        parts: list[Any] = []
        for name in (f.name for f in fields(self)[3:]):
            a, b = getattr(self, name), getattr(other, name)
            parts.append(a.merge(b) if isinstance(a, Spread) else a + b)
        return ColumnFidelity(*mine, *parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text for `json.dumps`; undefined numbers are null."""
        names = ("table", "column", "bound", "values", "special", "zeros", "violations")
        numbers = {
            "exact_share": self.exact_share,
            "max_difference": self.difference.largest,
            "mean_difference": self.difference.mean,
            "std": self.original.std,
            "max_over_std": self.max_over_std,
            "mean_over_std": self.mean_over_std,
            "response_mean": self.response.mean if self.response.count else math.nan,
            "response_rms": self.response.rms,
        }
        return {
            **{name: getattr(self, name) for name in names},
            **{k: x if math.isfinite(x) else None for k, x in numbers.items()},
        }


def _over(numerator: float, std: float) -> float:
    if numerator == 0:
        return 0.0
    return numerator / std if std > 0 else math.nan


def column_fidelity(
    table_name: str,
    column: str,
    bound: Bound | Promise,
    original: Any,
    decoded: Any,
    columns: Mapping[str, Any] | None = None,
) -> ColumnFidelity:
    """Compare one column, or one chunk of it, with its decoded values.

    Args:
        table_name: Name of the table, for the result and for messages.
        column: Name of the column, likewise.
        bound: The bound; `std` has to be resolved to `abs` first.
        original: A NumPy array of any shape, or an awkward array for an opaque column.
        decoded: The same type, shape and dtype.
        columns: Decoded columns of the same rows, with the resolution of a `sigma` bound.

    Raises:
        InvalidArgument: Shapes or dtypes differ, or the bound is `std`.

    Example:
        >>> original, decoded = np.array([1.0, 2.0]), np.array([1.1, 2.5])
        >>> fidelity = column_fidelity("Events", "x", Bound.parse("abs:0.1"), original, decoded)
        >>> fidelity.violations, fidelity.difference.largest
        (2, 0.5)
    """
    names = table_name, column, str(bound)
    if not isinstance(original, np.ndarray):
        same = len(original) if ak.array_equal(original, decoded, equal_nan=True) else 0
        violations = max(len(original), len(decoded)) - same
        return ColumnFidelity(*names, len(original), exact=same, violations=violations)
    if original.shape != decoded.shape or original.dtype != decoded.dtype:
        raise InvalidArgument(
            f"table {table_name!r}: column {column!r} is {decoded.dtype}{decoded.shape} decoded "
            f"against {original.dtype}{original.shape}; compare two reads of the same schema"
        )
    is_float = original.dtype.kind == "f"
    x, difference, response = _differences(original, decoded)
    return ColumnFidelity(
        *names,
        original.size,
        special=int(np.count_nonzero(only_bits(original))) if is_float else 0,
        zeros=int(original.size - np.count_nonzero(original)),
        exact=int(np.count_nonzero(bit_patterns(original) == bit_patterns(decoded))),
        violations=int(np.count_nonzero(~bound.holds(original, decoded, columns))),
        difference=Spread.of(np.abs(difference)),
        original=Spread.of(x),
        response=Spread.of(response),
    )


def _differences(original: Array, decoded: Array) -> tuple[Array, Array, Array]:
    """Return finite originals, signed differences and responses, each float64 and flat."""
    original, decoded = original.ravel(), decoded.ravel()
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        x = original.astype(np.float64)
        signed = x - decoded.astype(np.float64)
        if original.dtype.kind in "iu":
            # float64 cannot represent the distance of large integers, uint64 can.
            distance = integer_distance(original, decoded).astype(np.float64)
            signed = np.where(original < decoded, -distance, distance)
        response = signed / x
    return x[np.isfinite(x)], signed[np.isfinite(signed)], response[np.isfinite(response)]


def compare_tables(
    original: Table, decoded: Table, bounds: Mapping[str, Bound | Promise]
) -> list[ColumnFidelity]:
    """Return the fidelity of every column, in the order of the schema.

    Args:
        original: The events, or a range of them.
        decoded: The same events, decoded.
        bounds: Bound by column name; a column without one is compared as lossless.

    Raises:
        InvalidArgument: The two differ in columns, in their number of events or in an array's shape
            or dtype.
    """
    if original.num_entries != decoded.num_entries:
        raise InvalidArgument(
            f"table {original.name!r}: {decoded.num_entries} events decoded against "
            f"{original.num_entries}; compare the same range of events"
        )
    left, right = [c.name for c in original.columns], [c.name for c in decoded.columns]
    if left != right:
        lost, added = sorted(set(left) - set(right)), sorted(set(right) - set(left))
        raise InvalidArgument(
            f"table {original.name!r}: columns differ, only in the original: "
            f"{', '.join(lost) or 'none'}; only in the decoded: {', '.join(added) or 'none'}; "
            "select the same columns in the same order"
        )
    for name in bounds:
        if name not in left:
            raise InvalidArgument(
                f"table {original.name!r} has no column {name!r} to bound; {nearest(name, left)}"
            )
    return [
        column_fidelity(
            original.name,
            name,
            bounds.get(name, Bound()),
            original.data[name],
            decoded.data[name],
            decoded.data,
        )
        for name in left
    ]


def merge_columns(chunks: Iterable[Sequence[ColumnFidelity]]) -> list[ColumnFidelity]:
    """Merge the results of `compare_tables` for consecutive chunks into one per column.

    Args:
        chunks: Results chunk by chunk; only one chunk need be in memory at a time.

    Raises:
        InvalidArgument: The chunks describe different columns.

    Example:
        >>> chunk = [ColumnFidelity("Events", "x", "lossless", values=5)]
        >>> merge_columns([chunk, chunk])[0].values
        10
    """
    merged: list[ColumnFidelity] | None = None
    for chunk in chunks:
        if merged is None:
            merged = list(chunk)
            continue
        if len(merged) != len(chunk):
            raise InvalidArgument(
                f"a chunk has {len(chunk)} columns, those before it {len(merged)}: "
                "compare the same columns"
            )
        merged = [a.merge(b) for a, b in zip(merged, chunk, strict=True)]
    return merged or []


def dijet_mass(pt: Array, eta: Array, phi: Array, mass: Array) -> Array:
    """Return the invariant mass of two objects, m^2 = (E1 + E2)^2 - |p1 + p2|^2.

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
    """Return the invariant mass of the first two objects of a collection, in events with two.

    The collection has counted columns named `*pt`, `*eta`, `*phi` and `*m` or `*mass`; a name with
    "jet" goes first. The first two as stored are taken, and not sorted again: decoded p_T may tie
    where the original did not, and both sides have to mean the same two objects.

    Args:
        table: The events.

    Returns:
        Name of the collection and float64 masses of shape (number of such events,); `None` without
        such a collection.
    """
    counted = {
        c.name.lower(): c for c in table.columns if c.counter is not None and c.is_float
    }
    prefixes = [match["prefix"] for match in map(_PT.match, counted) if match]
    for prefix in sorted(prefixes, key=lambda prefix: "jet" not in prefix):
        columns = _kinematics(prefix, counted)
        if columns:
            break
    else:
        return None
    counter = str(columns[0].counter)
    first = table.offsets(counter)[:-1][np.asarray(table.data[counter]) >= 2]
    leading = np.stack([first, first + 1], axis=1)
    masses = dijet_mass(*(np.asarray(table.data[c.name])[leading] for c in columns))
    pt = columns[0].name
    return pt[: len(prefix)].rstrip("_.") or pt, masses


def _kinematics(prefix: str, counted: Mapping[str, Column]) -> list[Column]:
    """Return pt, eta, phi and mass of one collection under one counter; empty if one is missing."""
    mass = next((m for m in ("mass", "m") if prefix + m in counted), "")
    columns = [counted.get(prefix + quantity) for quantity in ("pt", "eta", "phi", mass)]
    present = [column for column in columns if column is not None]
    one_counter = len({c.counter for c in present}) == 1
    return present if mass and one_counter and len(present) == len(columns) else []
