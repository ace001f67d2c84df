"""Values that a method cannot keep within their bound: their places and values under zstd."""

from __future__ import annotations

import numpy as np
import zstandard

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_GAP = np.dtype("<u4")


def pack_exceptions(original: Array, decoded: Array, bound: Bound) -> bytes:
    """Return places and originals of the values outside their bound; empty where there are none.

    Args:
        original: Shape (n,).
        decoded: Values without exceptions, of the same shape and dtype.
        bound: `lossless`, `abs`, `rel` or `bits`.

    Example:
        >>> x = np.array([1.0, np.nan, 3.0])
        >>> data = pack_exceptions(x, np.zeros(3), Bound.parse("abs:1"))
        >>> with_exceptions(np.zeros(3), data)
        array([ 0., nan,  3.])
    """
    places = np.flatnonzero(~bound.holds(original, decoded))
    if not len(places):
        return b""
    gaps = np.diff(places, prepend=0).astype(_GAP)
    return zstandard.compress(gaps.tobytes() + original[places].tobytes(), 19)


def with_exceptions(decoded: Array, data: bytes) -> Array:
    """Return the values with the exceptions in their places."""
    if not data:
        return decoded
    content = zstandard.decompress(data)
    count = len(content) // (_GAP.itemsize + decoded.dtype.itemsize)
    places = np.cumsum(np.frombuffer(content, _GAP, count), dtype=np.int64)
    values = decoded.copy()
    values[places] = np.frombuffer(
        content, decoded.dtype, count, offset=count * _GAP.itemsize
    )
    return values
