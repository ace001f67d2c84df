"""Columns of an object that are bound to each other, learned so that whatever is drawn obeys.

Parts of the energy are learned as shares of what is left; sums and quadratic sums follow from their parts; a column that
goes with another is learned as a multiple of it.

Breaking a stick: the first part is a share f_1 in [0, 1] of E, the next one a share f_2 of (1 - f_1) E, and so on. Where a
part is the last one, f is 1 and nothing is left; E = sqrt((p_T cosh eta)^2 + m^2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.prediction import FUNCTIONS

CLOSE = 1e-4  # of the energy, that sums of float32 numbers may miss it by
_TYPICAL = 0.999  # share of the objects that a relation has to hold for
_NARROWER = 0.5  # spread of the logarithm of a ratio, over that of the column, from which on the ratio is learned


def energy(kinematics: Sequence[Array]) -> Array:
    """Energy of objects from p_T, eta and m: float64."""
    total: Array = FUNCTIONS["energy"][1](*(x.astype(np.float64) for x in kinematics))
    return total


def to_shares(parts: Sequence[Array], total: Array) -> list[Array]:
    """The share of each part in what the parts before it leave: float64 in [0, 1].

    Example:
        >>> [f.tolist() for f in to_shares([np.array([6.0]), np.array([1.0]), np.array([3.0])], np.array([10.0]))]
        [[0.6], [0.25], [1.0]]
    """
    rest, shares = total.astype(np.float64), []
    for part in parts:
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.clip(part / rest, 0.0, 1.0)
        share = np.where(rest > CLOSE * total, share, 0.0)
        share = np.where((rest - part <= CLOSE * total) & (share > 0), 1.0, share)
        rest = np.where(share == 1.0, 0.0, rest - part)
        shares.append(share)
    return shares


def from_shares(shares: Sequence[Array], total: Array) -> list[Array]:
    """The inverse of `to_shares`."""
    rest, parts = total.astype(np.float64), []
    for share in shares:
        part = np.clip(share.astype(np.float64), 0.0, 1.0) * rest
        rest = rest - part
        parts.append(part)
    return parts


def find_shares(columns: Mapping[str, Array], total: Array) -> tuple[str, ...]:
    """The columns that add up to a total, of those that are none of the others' sums; empty where none do.

    Args:
        columns: Candidates, not negative.
        total: What they may add up to.
    """
    names, kept = (
        [name for name, values in columns.items() if np.all(values >= 0) and np.any(values)],
        list[str](),
    )
    sums = find_sums(columns)
    names = [name for name in names if name not in sums]
    if len(names) < 2 or len(total) < 4 * len(names):
        return ()
    matrix = np.stack([columns[name].astype(np.float64) for name in names], axis=1)
    weight = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
    coefficients = np.linalg.lstsq(matrix * weight[:, None], total * weight, rcond=None)[0]
    kept = [name for name, c in zip(names, coefficients, strict=True) if abs(c - 1.0) < 0.05]
    added = (
        np.sum([columns[name].astype(np.float64) for name in kept], axis=0)
        if kept
        else np.zeros_like(total)
    )
    holds = np.mean(np.abs(added - total) <= CLOSE * total)
    return tuple(kept) if len(kept) > 1 and holds > _TYPICAL else ()


def find_sums(columns: Mapping[str, Array]) -> dict[str, tuple[str, ...]]:
    """Columns that are, always, another one or the sum of others before them, by name."""
    found: dict[str, tuple[str, ...]] = {}
    before: list[str] = []
    for name, values in columns.items():
        target = values.astype(np.float64)
        parts = _summands(target, {n: columns[n].astype(np.float64) for n in before})
        if parts:
            found[name] = parts
        else:
            before.append(name)
    return found


def _summands(target: Array, candidates: Mapping[str, Array]) -> tuple[str, ...]:
    """Columns whose sum is the target for every object, found by least squares; empty where there are none."""
    varied = {n: v for n, v in candidates.items() if np.ptp(v) > 0}
    if not varied or not np.ptp(target) > 0 or len(target) < 4 * len(varied):
        return ()
    matrix = np.stack(list(varied.values()), axis=1)
    scale = np.abs(matrix).max(axis=0)
    coefficients = np.linalg.lstsq(matrix / scale, target, rcond=None)[0] / scale
    parts = tuple(n for n, c in zip(varied, coefficients, strict=True) if abs(c - 1.0) < 0.05)
    added = np.sum([varied[n] for n in parts], axis=0) if parts else np.zeros_like(target)
    exact = np.abs(added - target) <= 1e-5 * np.maximum(np.abs(target), np.abs(added))
    return parts if parts and bool(np.all(exact)) else ()


def find_hypots(columns: Mapping[str, Array]) -> dict[str, tuple[str, ...]]:
    """Columns that are, always, the root of the sum of squares of others: ip3d of dxy and dz."""
    squares = {n: v.astype(np.float64) ** 2 for n, v in columns.items()}
    positive = {n for n, v in columns.items() if np.all(v >= 0)}
    found = {n: parts for n, parts in find_sums(squares).items() if len(parts) > 1}
    return {n: parts for n, parts in found.items() if n in positive}


def find_scales(columns: Mapping[str, Array], scales: Mapping[str, Array]) -> dict[str, str]:
    """Positive columns that go with another: by name the one that leaves the narrowest ratio, where that is clearly narrower.

    Args:
        columns: Candidates, in the order in which they are restored; a column may go with one before it.
        scales: Others that they may go with.
    """
    known = {n: np.log(v.astype(np.float64)) for n, v in scales.items() if len(v) and np.all(v > 0)}
    found: dict[str, str] = {}
    for name, values in columns.items():
        if not len(values) or not np.all(values > 0):
            continue
        logarithm = np.log(values.astype(np.float64))
        spread = {n: float(np.std(logarithm - other)) for n, other in known.items() if n != name}
        best = min(spread, key=spread.__getitem__, default="")
        if best and 0 < spread[best] < _NARROWER * np.std(logarithm):
            found[name] = best
        known[name] = logarithm
    return found
