"""Masses and momenta that bounds move by more than they look, measured on a sample of events.

A bound on p_x, p_y, p_z and E says little about a mass: E^2 - p^2 is a small difference of large
numbers, so that a thousandth of each may be more than all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.event_samples import sample_events
from flowtuple.data.four_vectors import FourVector, four_vectors, is_transverse_momentum
from flowtuple.data.schema import Array
from flowtuple.data.table import Table, TableSource

_MORE = 2.0  # times the bound by which a relative mass may move without a warning
_LEAST = 1e-3  # of a mass, which may move without a warning
_IMAGINARY = 0.01  # share of further imaginary masses that needs a warning
_NOISE = (
    0.05  # share of imaginary masses of originals that are rounding alone, as of photons
)
_NEAR_ZERO = 0.1  # of a value, by which a p_T counts as moved far
_SHARE = 0.01  # of such values


class Snapping(Protocol):
    """Interface of what moves the values of a column within a bound, as a lattice does."""

    @property
    def bound(self) -> Bound: ...

    def snap(self, x: Array) -> Array:
        """Return the decoded values of encoded values, of any shape."""
        ...


@dataclass(frozen=True)
class MassShift:
    """A mass that bounds on momenta and energies move by more than they look.

    Attributes:
        table: Name of the table.
        columns: Names of p_x, p_y, p_z and energy of the objects.
        mass: The mass in words.
        bound: The bound of the energy.
        events: Number of sampled masses.
        rms: Root mean square of the moves, in the unit of the energy.
        relative_rms: Root mean square of the moves over the masses.
        largest: Largest move, in the unit of the energy.
        imaginary_before: Share of single objects with E < p.
        imaginary: That share at the bounds.

    Example:
        >>> import flowtuple as ft
        >>> names = ("px", "py", "pz", "E")
        >>> shift = ft.MassShift("t", names, "mass", "rel:0.001", 9, 1.0, 0.11, 3.0, 0.0, 0.5)
        >>> shift.relative_rms
        0.11
    """

    table: str
    columns: tuple[str, ...]
    mass: str
    bound: str
    events: int
    rms: float
    relative_rms: float
    largest: float
    imaginary_before: float
    imaginary: float

    def __str__(self) -> str:
        """Return a sentence with numbers and the cure."""
        moved = (
            f"moves the {self.mass} by {self.relative_rms:.2g} of itself in the root mean square, "
            f"at most by {self.largest:.3g} in the unit of the energies"
        )
        imaginary = (
            f"makes {self.imaginary:.1%} of the single masses imaginary "
            f"({self.imaginary_before:.1%} before)"
        )
        return (
            f"{self.table}: {self.bound} on {', '.join(self.columns)} {moved}, and {imaginary}, "
            f"in {self.events:,} sampled events; store pt, eta, phi and m in place of them, "
            "or bound them by about rel:1e-7"
        )


@dataclass(frozen=True)
class MomentumShift:
    """A p_T whose small values an `abs` bound moves by much of themselves.

    Attributes:
        table: Name of the table.
        column: Name of the column.
        bound: Its bound.
        values: Number of sampled values.
        share: Share of the values that the bound may move by more than a tenth.
        largest: Largest relative move in the sample.

    Example:
        >>> import flowtuple as ft
        >>> print(ft.MomentumShift("t", "pt", "abs:1", 100, 0.25, 0.5))
        t: abs:1 may move 25.0% of the values of 'pt' by more than a tenth of themselves (at most \
50% in 100 sampled values); bound it with rel:R
    """

    table: str
    column: str
    bound: str
    values: int
    share: float
    largest: float

    def __str__(self) -> str:
        """Return a sentence with numbers and the cure."""
        return (
            f"{self.table}: {self.bound} may move {self.share:.1%} of the values of "
            f"{self.column!r} by more than a tenth of themselves (at most {self.largest:.0%} in "
            f"{self.values:,} sampled values); bound it with rel:R"
        )


def momentum_shifts(
    source: TableSource, lattices: Mapping[str, Snapping]
) -> list[MassShift | MomentumShift]:
    """Return the masses and momenta of a table that bounds move by more than they look.

    Args:
        source: The events; at most 5,000 of them are read, and none where no bound moves a
            momentum or an energy.
        lattices: Lattice by column name.
    """
    # A resolution bounds no momentum in a way that its own values would not show.
    lattices = {n: x for n, x in lattices.items() if not x.bound.resolution}
    bounds = {n: x.bound for n, x in lattices.items() if x.bound.kind != "lossless"}
    vectors = [v for v in four_vectors(source.columns) if bounds.keys() & {*v.columns}]
    near_zero = [
        c.name
        for c in source.columns
        if is_transverse_momentum(c) and c.name in bounds and bounds[c.name].kind == "abs"
    ]
    names = [*near_zero, *(name for v in vectors for name in v.columns)]
    if not names:
        return []
    sample = sample_events(source, names)
    snapped = {
        name: lattices[name].snap(sample[name]) if name in lattices else sample[name]
        for name in dict.fromkeys(names)
    }
    return [
        *_mass_shifts(sample, snapped, vectors, bounds),
        *_near_zero(sample, snapped, near_zero, bounds),
    ]


def _mass_shifts(
    sample: Table,
    snapped: Mapping[str, Array],
    vectors: Sequence[FourVector],
    bounds: Mapping[str, Bound],
) -> Iterator[MassShift]:
    """Yield the shifts of the masses of pairs, or of single objects where there are no pairs."""
    for group in _groups(vectors):
        before = [_momentum(sample.data, v) for v in group]
        after = [_momentum(snapped, v) for v in group]
        single = np.concatenate([_mass_squared(p) for p in before])
        moved = np.concatenate([_mass_squared(p) for p in after])
        shares = float((single < 0).mean()) if len(single) else 0.0
        imaginary = float((moved < 0).mean()) if len(moved) else 0.0
        words, pairs = _pairs(sample, group)
        squares = single, moved
        if pairs is not None:
            squares = (_pair_squared(before, pairs), _pair_squared(after, pairs))
        shift, relative = _moves(*squares)
        columns = tuple(dict.fromkeys(name for v in group for name in v.columns))
        bound = next(bounds[n] for n in reversed(columns) if n in bounds)
        is_noise = pairs is None and shares > _NOISE
        if not len(shift) or is_noise:
            continue
        looks = _relative_move(before, after)
        if relative <= max(_LEAST, _MORE * looks) and imaginary - shares <= _IMAGINARY:
            continue
        yield MassShift(
            sample.name,
            columns,
            words,
            str(bound),
            len(shift),
            float(np.sqrt(np.mean(shift**2))),
            relative,
            float(np.abs(shift).max()),
            shares,
            imaginary,
        )


def _groups(vectors: Sequence[FourVector]) -> Iterator[list[FourVector]]:
    """Yield a collection alone, and two single objects of one kind together."""
    single: dict[str, list[FourVector]] = {}
    for vector in vectors:
        if vector.counter is not None:
            # the leading two of a collection, as first and second
            yield [vector, vector]
        else:
            single.setdefault(vector.kind, []).append(vector)
    alone = []
    for group in single.values():
        if len(group) > 1:
            yield group[:2]
        else:
            alone += group
    if len(alone) == 2:
        yield alone
    else:
        yield from ([vector] for vector in alone)


def _momentum(data: Mapping[str, Array], vector: FourVector) -> Array:
    """Return p_x, p_y, p_z and energy in float64, shape (4, n)."""
    return np.stack([data[name].astype(np.float64) for name in vector.columns])


def _mass_squared(momentum: Array) -> Array:
    """Return E^2 - p^2 of momenta of shape (4, n), as (E - p)(E + p)."""
    with np.errstate(invalid="ignore", over="ignore"):
        p = np.sqrt((momentum[:3] ** 2).sum(axis=0))
        square: Array = (momentum[3] - p) * (momentum[3] + p)
    return square


def _pair_squared(momenta: Sequence[Array], pairs: tuple[Array, Array]) -> Array:
    """Return the squared masses of pairs of a first and a second object."""
    return _mass_squared(momenta[0][:, pairs[0]] + momenta[1][:, pairs[1]])


def _pairs(
    sample: Table, group: Sequence[FourVector]
) -> tuple[str, tuple[Array, Array] | None]:
    """Return the mass in words, and the indices of the first and second objects of pairs."""
    first = group[0]
    if len(group) == 1:
        return f"mass of {first.label or 'the object'}", None
    if first.counter is None:
        every = np.arange(sample.num_entries)
        return f"mass of the pair {first.label}, {group[1].label}", (every, every)
    counts = np.asarray(sample[first.counter])
    start = sample.offsets(first.counter)[:-1][counts > 1]
    if not len(start):
        return f"mass of {first.label}", None
    return f"mass of {first.label}[0] and {first.label}[1]", (start, start + 1)


def _moves(before: Array, after: Array) -> tuple[Array, float]:
    """Return the moves of masses that were real, and their relative root mean square."""
    real = np.isfinite(before) & np.isfinite(after) & (before > 0)
    mass = np.sqrt(before[real])
    shift = np.sqrt(np.maximum(after[real], 0)) - mass
    relative = float(np.sqrt(np.mean((shift / mass) ** 2))) if len(mass) else 0.0
    return shift, relative


def _relative_move(before: Sequence[Array], after: Sequence[Array]) -> float:
    """Return twice the median relative move of the energies: about what their bound looks like."""
    energy, moved = (np.concatenate([p[3] for p in part]) for part in (before, after))
    usual = np.isfinite(energy) & np.isfinite(moved) & (energy != 0)
    if not usual.any():
        return 0.0
    relative = np.abs(moved[usual] - energy[usual]) / np.abs(energy[usual])
    return 2 * float(np.median(relative))


def _near_zero(
    sample: Table,
    snapped: Mapping[str, Array],
    names: Sequence[str],
    bounds: Mapping[str, Bound],
) -> Iterator[MomentumShift]:
    """Yield the p_T of which an `abs` bound is a large part near zero."""
    for name in names:
        bound = bounds[name]
        values = sample[name].reshape(-1).astype(np.float64)
        usual = np.isfinite(values) & (values > 0)
        values = values[usual]
        share = float((bound.amount > _NEAR_ZERO * values).mean()) if len(values) else 0
        if share < _SHARE:
            continue
        moved = snapped[name].reshape(-1).astype(np.float64)[usual]
        largest = float((np.abs(moved - values) / values).max())
        yield MomentumShift(sample.name, name, str(bound), len(values), share, largest)
