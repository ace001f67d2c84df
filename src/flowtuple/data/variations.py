"""Systematic variations of columns, such as `Jet_pt_jesUp`, and their nominal columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from flowtuple.data.schema import Array, Column

_VARIATION = re.compile(r"(?<=[A-Za-z0-9_.])(Up|Down|up|down|UP|DOWN)$")


def nominal_columns(columns: Iterable[Column]) -> dict[str, str]:
    """Return the nominal column of each column of floats that is a variation.

    A variation ends in `Up` or `Down`. Its nominal column is the longest one whose name it begins
    with, or that one with `_nom` behind it, of the same type of list.

    Example:
        >>> names = ("Jet_pt", "Jet_pt_nom", "Jet_pt_jesUp", "MET_pt", "MET_ptJERDown", "n_Up")
        >>> nominal_columns(Column(name, "float32") for name in names)
        {'Jet_pt_jesUp': 'Jet_pt_nom', 'MET_ptJERDown': 'MET_pt'}
    """
    by_name = {c.name: c for c in columns if c.is_float}
    pairs = {}
    for name, column in by_name.items():
        if not _VARIATION.search(name):
            continue
        length = _longest_stem(name, column, by_name)
        if length:
            stem = name[:length]
            best = f"{stem}_nom"
            pairs[name] = best if _is_like(by_name.get(best), column) else stem
    return pairs


def _longest_stem(name: str, column: Column, by_name: Mapping[str, Column]) -> int:
    """Return the length of the longest name that a variation begins with, 0 for none."""
    for length in range(len(name) - 1, 1, -1):
        other = by_name.get(name[:length])
        starts_word = name[length] in "_." or name[length].isupper()
        if starts_word and other is not None and not _VARIATION.search(other.name):
            return length if _is_like(other, column) else 0
    return 0


def _is_like(other: Column | None, column: Column) -> bool:
    return other is not None and (other.counter, other.shape) == (
        column.counter,
        column.shape,
    )


def median_shift(varied: Array, nominal: Array, is_angle: bool) -> float:
    """Return the median magnitude of a variation, NaN where no pair is finite.

    Args:
        varied: Values of the variation, shape (n,).
        nominal: Values of the nominal column, shape (n,).
        is_angle: True for differences of angles in radians, which wrap around.

    Example:
        >>> median_shift(np.array([1.1, 2.2, 3.4]), np.array([1.0, 2.0, 3.0]), False)
        0.20000000000000018
    """
    with np.errstate(invalid="ignore", over="ignore"):
        shift = np.abs(varied.astype(np.float64) - nominal.astype(np.float64))
    shift = shift[np.isfinite(shift)]
    if is_angle:
        shift = np.minimum(shift, np.abs(2 * np.pi - shift))
    return float(np.median(shift)) if len(shift) else float("nan")
