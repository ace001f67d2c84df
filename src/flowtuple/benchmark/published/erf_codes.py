"""Codes of normal numbers: scaled to |z| <= 3, u = erf(z) from -1 to 1, code = u 2^N.

Each column has a scale, as in the `MaxAbsScaler` of the published code, or all have the same.

The inverse is z = erfinv(code / 2^N). Codes stay within 2^N - 1, because the inverse of 1 is
infinite.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf, erfinv

from flowtuple.data.schema import Array

_REACH = 3.0  # the largest |z| after scaling


def largest(z: Array, *, by_column: bool = False) -> Array:
    """Return the scale of `to_codes` and `from_codes`: max|z|, or 1 where that is 0.

    Args:
        z: Any shape; by column (n, d).
        by_column: A scale for each column.

    Returns:
        Shape (1,), or by column (d,).

    Example:
        >>> z = np.array([[1.0, 0.0], [-4.0, 0.0]])
        >>> largest(z).tolist(), largest(z, by_column=True).tolist()
        ([4.0], [4.0, 1.0])
    """
    most = np.abs(z).max(axis=0 if by_column else None, initial=0.0)
    return np.atleast_1d(np.where(most > 0, most, 1.0))


def to_codes(
    z: Array, scale: Array | float, bits: int, *, truncate: bool = False
) -> Array:
    """Return codes from -(2^N - 1) to 2^N - 1: int64 of the shape of z.

    Args:
        z: Any shape, (n, d) where the scale is by column.
        scale: From `largest`.
        bits: N.
        truncate: Cut off towards zero instead of rounding.

    Example:
        >>> to_codes(np.array([-3.0, 0.0, 0.1]), 3.0, 4).tolist()
        [-15, 0, 2]
        >>> to_codes(np.array([-3.0, 0.0, 0.1]), 3.0, 4, truncate=True).tolist()
        [-15, 0, 1]
    """
    u = erf(z * (_REACH / scale)) * 2.0**bits
    codes: Array = (np.trunc(u) if truncate else np.rint(u)).astype(np.int64)
    return np.clip(codes, 1 - 2**bits, 2**bits - 1)


def from_codes(codes: Array, scale: Array | float, bits: int) -> Array:
    """Return the normal numbers of codes, float64."""
    z: Array = erfinv(codes / 2.0**bits) * (scale / _REACH)
    return z
