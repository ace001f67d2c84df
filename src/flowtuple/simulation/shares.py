"""Columns of an object that depend on each other, learned so that every draw obeys the relation.

Parts of the energy are learned as shares of what the parts before them leave. Sums and roots of
sums of squares follow from their parts. A column that scales with another is learned as a multiple
of it.

Stick breaking: the first part is a share f_1 in [0, 1] of the energy E, the next part a share f_2
of (1 - f_1) E, and so on. The last part takes all that is left: f = 1.
E = sqrt((p_T cosh eta)^2 + m^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.prediction import FUNCTIONS
from flowtuple.model.draw import uniform
from flowtuple.simulation.contents import (
    as_shares,
    content_name,
    number_name,
    with_ratios,
)
from flowtuple.simulation.spec import SimulationSpec, Target

CLOSE = 1e-4  # share of the energy that sums of float32 numbers may miss it by
_TYPICAL = 0.999  # share of the objects that a relation has to be true for
_NARROWER = (
    0.5  # a ratio is learned when log(ratio) spreads less than this times log(column)
)
_UNIT = 0.05  # a least-squares coefficient this close to 1 marks a summand


def energy(kinematics: Sequence[Array]) -> Array:
    """Return the energy of objects from p_T, eta and m: float64 of shape (n,)."""
    return np.asarray(FUNCTIONS["energy"][1](*(x.astype(np.float64) for x in kinematics)))


def to_shares(parts: Sequence[Array], total: Array) -> list[Array]:
    """Return the share of each part in what the parts before it leave: float64 in [0, 1].

    Args:
        parts: Parts of the total, each of shape (n,), not negative.
        total: Their sum up to rounding, shape (n,).

    Example:
        >>> parts = [np.array([6.0]), np.array([1.0]), np.array([3.0])]
        >>> [share.tolist() for share in to_shares(parts, np.array([10.0]))]
        [[0.6], [0.25], [1.0]]
    """
    rest = total.astype(np.float64)
    tolerance = CLOSE * total
    shares = []
    for part in parts:
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.clip(part / rest, 0.0, 1.0)
        share = np.where(rest > tolerance, share, 0.0)
        # A rest within rounding of zero is zero, or later parts would share rounding errors.
        last = (rest - part <= tolerance) & (share > 0)
        share = np.where(last, 1.0, share)
        rest = np.where(share == 1.0, 0.0, rest - part)
        shares.append(share)
    return shares


def from_shares(shares: Sequence[Array], total: Array) -> list[Array]:
    """Return the parts of a total: the inverse of `to_shares`; shares are clipped to [0, 1]."""
    rest = total.astype(np.float64)
    parts = []
    for share in shares:
        part = np.clip(share.astype(np.float64), 0.0, 1.0) * rest
        rest = rest - part
        parts.append(part)
    return parts


def learned_columns(target: Target, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the columns of objects with what is learned in place of some: inverts `complete`.

    Args:
        target: The collection.
        columns: All columns of the objects and the energies of `contents.content_columns`, each of
            shape (n,).
    """
    out = {name: columns[name] for name in target.objects.columns}
    learned: dict[str, Array] = {}
    if target.shares:
        parts = [out[name] for name in target.shares]
        learned = dict(
            zip(target.shares, to_shares(parts, _energy(target, out)), strict=True)
        )
    for name, collection in target.contents.items():
        generated = columns[content_name(collection)]
        learned[name] = with_ratios(learned[name], out[name], generated)
    for name, scale in target.scales.items():
        learned[name] = out[name].astype(np.float64) / out[scale]
    out |= {target.learned(n): v.astype(np.float32) for n, v in learned.items()}
    for name, collection in target.numbers.items():
        number = columns[number_name(collection)]
        out[target.learned(name)] = (out[name] - number).astype(np.int16)
    return out


def complete(
    spec: SimulationSpec, target: Target, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the columns of objects from what was learned: shares, multiples and sums resolved.

    Args:
        spec: The simulation.
        target: The collection.
        values: Columns, what is learned in place of others, and the energies of
            `contents.content_columns`, each of shape (n,).
    """
    out = dict(values)
    for name, collection in target.numbers.items():
        number = out[target.learned(name)].astype(np.int64) + out[number_name(collection)]
        out[name] = np.maximum(number, 0).astype(spec.dtype(name))
    if target.shares:
        total = (_unrounded_energy if target.ordered else _energy)(target, out)
        rest = total
        for name in (n for n in target.shares if n in target.contents):
            learned = out[target.learned(name)].astype(np.float64)
            generated = out[content_name(target.contents[name])]
            share = as_shares(learned, generated, rest)
            out[target.learned(name)], rest = share, rest * (1 - share)
        shares = [_obedient(target, out, name) for name in target.shares]
        parts = from_shares(shares, total)
        for name, part in zip(target.shares, parts, strict=True):
            out[name] = part.astype(spec.dtype(name))
    waiting: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        **{
            name: (math.prod, (target.learned(name), s))
            for name, s in target.scales.items()
        },
        **{name: (sum, parts) for name, parts in target.sums.items()},
        **{name: (_hypot, parts) for name, parts in target.hypots.items()},
    }
    while waiting:
        # A sum may be one of multiples, a multiple one of a root of squares: take what is ready.
        name = next(
            name for name, (_, inputs) in waiting.items() if out.keys() >= set(inputs)
        )
        function, inputs = waiting.pop(name)
        content = function([out[n].astype(np.float64) for n in inputs])
        out[name] = content.astype(spec.dtype(name))
    return {
        name: content for name, content in out.items() if name in target.objects.columns
    }


def _obedient(target: Target, values: Mapping[str, Array], name: str) -> Array:
    """Return the share of a part that does not contradict its count."""
    share = values[target.learned(name)].astype(np.float64)
    if name not in target.counts:
        return share
    zero, one, between = allowed_shares(target, values, name)
    share = np.where(zero, 0.0, np.where(one, 1.0, share))
    some = values[target.counts[name]] > 0
    share = np.where(some, np.maximum(share, CLOSE), share)
    return np.where(between, np.minimum(share, 1 - CLOSE), share)


def _unrounded_energy(target: Target, columns: Mapping[str, Array]) -> Array:
    """Return the energy of p_T, eta and m as they may have been before they were rounded.

    Parts of true objects add up to that energy, and miss that of the rounded numbers by as much.
    The places within half a step of rounding follow from the bits of the numbers.
    """
    before: list[Array] = []
    for name in (*target.objects.axes[:2], target.mass):
        content = columns[name]
        bits, zeros = f"u{content.dtype.itemsize}", np.zeros(len(content), np.uint64)
        step = np.spacing(np.abs(content)).astype(np.float64)
        place = uniform(len(before), content.view(bits), zeros)
        before.append(content.astype(np.float64) + (place - 0.5) * step)
    return energy(before)


def _energy(target: Target, columns: Mapping[str, Array]) -> Array:
    return energy([columns[name] for name in (*target.objects.axes[:2], target.mass)])


def _hypot(parts: Sequence[Array]) -> Array:
    return np.asarray(np.sqrt(sum(part * part for part in parts)))


def find_shares(columns: Mapping[str, Array], total: Array) -> tuple[str, ...]:
    """Return the columns that add up to a total, sums of other columns left out; empty for none.

    Args:
        columns: Candidates of shape (n,); those with negative values are left out.
        total: The total, shape (n,).
    """
    sums = find_sums(columns)
    parts = {
        name: values.astype(np.float64)
        for name, values in columns.items()
        if name not in sums and np.all(values >= 0) and np.any(values)
    }
    if len(parts) < 2 or len(total) < 4 * len(parts):
        return ()
    # Relative residuals: objects of low energy decide as much as those of high energy.
    weight = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    matrix = np.stack(list(parts.values()), axis=1)
    names = _summands(parts, matrix * weight[:, None], total * weight)
    if len(names) < 2:
        return ()
    added = np.sum([parts[name] for name in names], axis=0)
    obeys = np.mean(np.abs(added - total) <= CLOSE * total)
    return names if obeys > _TYPICAL else ()


def find_sums(columns: Mapping[str, Array]) -> dict[str, tuple[str, ...]]:
    """Return the columns that equal one earlier column or a sum of several, with these, by name."""
    sums: dict[str, tuple[str, ...]] = {}
    independent: dict[str, Array] = {}
    for name, values in columns.items():
        target = values.astype(np.float64)
        parts = _exact_sum(target, independent)
        if parts:
            sums[name] = parts
        else:
            independent[name] = target
    return sums


def _exact_sum(target: Array, candidates: Mapping[str, Array]) -> tuple[str, ...]:
    """Return the candidates whose sum is the target for every object; empty for none."""
    varied = {n: v for n, v in candidates.items() if np.ptp(v) > 0}
    if not varied or not np.ptp(target) > 0 or len(target) < 4 * len(varied):
        return ()
    matrix = np.stack(list(varied.values()), axis=1)
    names = _summands(varied, matrix, target, np.abs(matrix).max(axis=0))
    if not names:
        return ()
    added = np.sum([varied[name] for name in names], axis=0)
    exact = np.abs(added - target) <= 1e-5 * np.maximum(np.abs(target), np.abs(added))
    return names if exact.all() else ()


def _summands(
    names: Iterable[str], matrix: Array, target: Array, scale: Array | float = 1.0
) -> tuple[str, ...]:
    """Return the columns of a matrix that the target holds once, by least squares."""
    coefficients = np.linalg.lstsq(matrix / scale, target, rcond=None)[0] / scale
    return tuple(
        n for n, c in zip(names, coefficients, strict=True) if abs(c - 1.0) < _UNIT
    )


def find_counts(shares: Sequence[str], columns: Mapping[str, Array]) -> dict[str, str]:
    """Return by part the whole number that is zero exactly where the part is.

    Args:
        shares: Names of the parts.
        columns: Parts and other columns, each of shape (n,).
    """
    whole = {n: v == 0 for n, v in columns.items() if v.dtype.kind in "iu"}
    out = {}
    for name in shares:
        zero = columns[name] == 0
        count = next((n for n, v in whole.items() if np.array_equal(v, zero)), None)
        if count and zero.any() and not zero.all():
            out[name] = count
    return out


def zero_together(part: str, count: str) -> str:
    """Return the rule of `find_counts` as text."""
    return f"{part} = 0 exactly where {count} = 0"


def allowed_shares(
    target: Target, values: Mapping[str, Array], name: str
) -> tuple[Array, Array, Array]:
    """Return where counts say that a share is 0, where it is 1, and where it is neither.

    Args:
        target: The collection.
        values: Counts, each of shape (n,).
        name: The part.
    """
    has = values[target.counts[name]] > 0
    later = target.shares[target.shares.index(name) + 1 :]
    some, known = np.zeros(len(has), bool), np.ones(len(has), bool)
    for other in later:
        count = target.counts.get(other)
        if count is None:
            known[:] = False
        else:
            some |= values[count] > 0
    return ~has, has & known & ~some, has & some


def find_hypots(columns: Mapping[str, Array]) -> dict[str, tuple[str, ...]]:
    """Return the columns that are roots of sums of squares of others: ip3d of dxy and dz."""
    sums = find_sums({n: v.astype(np.float64) ** 2 for n, v in columns.items()})
    return {
        n: parts
        for n, parts in sums.items()
        if len(parts) > 1 and np.all(columns[n] >= 0)
    }


def find_scales(
    columns: Mapping[str, Array], scales: Mapping[str, Array]
) -> dict[str, str]:
    """Return the positive columns that scale with another, and that other column, by name.

    Args:
        columns: Candidates in the order in which they are restored, each of shape (n,); a column
            may scale with one before it.
        scales: Further columns that they may scale with, each of shape (n,).
    """
    logarithms = {n: log for n, v in scales.items() if (log := _logarithm(v)) is not None}
    out: dict[str, str] = {}
    for name, values in columns.items():
        logarithm = _logarithm(values)
        if logarithm is None:
            continue
        spread = {n: float(np.std(logarithm - other)) for n, other in logarithms.items()}
        best = min(spread, key=spread.__getitem__, default="")
        if best and 0 < spread[best] < _NARROWER * np.std(logarithm):
            out[name] = best
        logarithms[name] = logarithm
    return out


def _logarithm(values: Array) -> Array | None:
    """Return the logarithm of positive values, `None` where some are not or there are none."""
    positive = len(values) > 0 and np.all(values > 0)
    return np.log(values.astype(np.float64)) if positive else None
