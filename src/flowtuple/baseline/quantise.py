"""Values as plain numbers on the coarsest grid of a bound, and back, for a general codec.

The way back aims at the middle of each cell. Rounding to the stored type may still carry a value at
the edge of its cell over the bound; such values are exceptions, which callers store.
"""

from __future__ import annotations

import math

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

_LARGEST_INDEX = 2.0**62
_MANTISSA_BITS = {2: 10, 4: 23, 8: 52}


def quantise(values: Array, bound: Bound) -> Array:
    """Return the coarsest plain numbers from which values within the bound can be rebuilt.

    Args:
        values: Flat array of floats, integers or booleans.
        bound: `abs:E` gives cells of width 2E, on integers of 2 floor(E) + 1; `rel:R` a logarithmic
            grid of ln((1+R)/(1-R)) in ln|x|, with signs and an index of its own for zero; `bits:B`
            rounded floats; `lossless` the values.

    Returns:
        Integers, int32 where they fit, or floats of the input's dtype.

    Raises:
        InvalidArgument: The bound has to be resolved to `abs` first, or has no grid here.

    Example:
        >>> quantise(np.array([0.0, 0.19, -1.0]), Bound.parse("abs:0.1"))
        array([ 0,  1, -5], dtype=int32)
    """
    return quantise_shifted(values, bound)[0]


def quantise_shifted(values: Array, bound: Bound) -> tuple[Array, int]:
    """Return the numbers of `quantise`, and the shift of logarithms under a `rel` bound."""
    bound.check_resolved()
    if bound.kind == "lossless" or (values.dtype.kind != "f" and bound.kind != "abs"):
        return narrow(values) if values.dtype == np.int64 else values, 0
    if values.dtype.kind != "f":
        return _integer_cells(values, bound.amount), 0
    if bound.kind == "bits":
        return round_mantissa(values, int(bound.amount)), 0
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if bound.kind == "abs":
        return narrow(_absolute_grid(finite, bound.amount)), 0
    if bound.kind == "rel":
        indices, shift = _logarithmic_grid(finite, bound.amount)
        return narrow(indices), shift
    raise _no_grid(bound)


def restore(
    numbers: Array, bound: Bound, dtype: np.dtype[np.generic], shift: int = 0
) -> Array:
    """Return the values of the numbers of `quantise`.

    Args:
        numbers: Shape (n,).
        bound: The bound of `quantise`.
        dtype: Type of the column.
        shift: Shift of `quantise_shifted`.

    Returns:
        Values of shape (n,) of the dtype, within the bound but for rounding and for values that no
        grid can represent.

    Example:
        >>> restore(np.array([0, 1, -5]), Bound.parse("abs:0.1"), np.dtype("float64"))
        array([ 0. ,  0.2, -1. ])
    """
    if bound.kind in ("lossless", "bits") or (dtype.kind != "f" and bound.kind != "abs"):
        return numbers.astype(dtype, copy=False)
    if dtype.kind != "f":
        return _integer_centres(numbers, bound.amount, dtype)
    with np.errstate(over="ignore"):
        if bound.kind == "abs":
            values: Array = (numbers * (2 * bound.amount)).astype(dtype)
            return values
        if bound.kind != "rel":
            raise _no_grid(bound)
        magnitudes = np.exp(
            (np.abs(numbers) + float(shift)) * _log_step(bound.amount)
        ) * math.sqrt(1 - bound.amount**2)
        signed: Array = (
            np.sign(numbers) * np.where(numbers == 0, 0.0, magnitudes)
        ).astype(dtype)
        return signed


def _no_grid(bound: Bound) -> InvalidArgument:
    return InvalidArgument(f"quantise has no grid for {bound}: write abs, rel or bits")


def _integer_centres(cells: Array, amount: float, dtype: np.dtype[np.generic]) -> Array:
    limits, half = np.iinfo(dtype.name), math.floor(amount)
    width = 2 * half + 1
    if width > limits.max:
        return cells.astype(dtype)
    # whole cells only; other values are exceptions
    inside = np.clip(cells, -(-limits.min // width), (limits.max + 1) // width - 1)
    centres: Array = inside.astype(dtype) * np.asarray(width, dtype) + np.asarray(
        half, dtype
    )
    return centres


def _log_step(relative: float) -> float:
    return math.log((1 + relative) / (1 - relative))


def _absolute_grid(x: Array, bound: float) -> Array:
    with np.errstate(over="ignore"):
        indices: Array = np.clip(
            np.round(x / (2 * bound)), -_LARGEST_INDEX, _LARGEST_INDEX
        )
    return indices


def _logarithmic_grid(x: Array, relative: float) -> tuple[Array, int]:
    indices, nonzero, shift = np.zeros(len(x)), x != 0, 0
    if nonzero.any():
        indices[nonzero] = np.round(np.log(np.abs(x[nonzero])) / _log_step(relative))
        shift = int(indices[nonzero].min()) - 1
        indices[nonzero] -= shift  # so that zero stays alone on index 0
    signed: Array = np.sign(x) * np.minimum(indices, _LARGEST_INDEX)
    return signed, shift


def _integer_cells(values: Array, amount: float) -> Array:
    width = 2 * math.floor(amount) + 1
    if width > np.iinfo(values.dtype).max:
        return np.zeros(len(values), np.int32)
    cells: Array = values // values.dtype.type(width)
    return cells


def narrow(indices: Array) -> Array:
    """Return whole numbers as int32 where they fit, as int64 elsewhere.

    Example:
        >>> narrow(np.array([1.0, 2.0])).dtype
        dtype('int32')
    """
    fits = indices.max(initial=0) < 2**31 and indices.min(initial=0) >= -(2**31)
    return indices.astype(np.int32 if fits else np.int64)


def round_mantissa(values: Array, bits: int) -> Array:
    """Round floats to nearest with `bits` explicit mantissa bits.

    Values that would overflow or are not finite stay.

    Example:
        >>> round_mantissa(np.array([1.0, 1.3, -1.9], "f4"), 1)
        array([ 1. ,  1.5, -2. ], dtype=float32)
    """
    unsigned = np.dtype(f"u{values.dtype.itemsize}").type
    drop = _MANTISSA_BITS[values.dtype.itemsize] - bits
    if drop <= 0:
        return values
    patterns = values.view(unsigned)
    half, mask = unsigned(1 << (drop - 1)), unsigned((1 << drop) - 1)
    finite = np.isfinite(values)
    rounded = (
        ((np.where(finite, patterns, 0) + half) & ~mask)
        .astype(unsigned)
        .view(values.dtype)
    )
    result: Array = np.where(finite & np.isfinite(rounded), rounded, values)
    return result
