"""Values that a rival's own method cannot keep within their bound, kept beside it: places and values through zstd."""

from __future__ import annotations

import numpy as np
import zstandard

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_GAP = np.dtype("<u4")


def pack_exceptions(original: Array, decoded: Array, bound: Bound) -> bytes:
    """Places and originals of the values outside their bound; empty where there are none.

    Args:
        original: Shape (n,).
        decoded: What would come back without exceptions, of the same shape and dtype.
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
    """The values with the exceptions put in their places."""
    if not data:
        return decoded
    content = zstandard.decompress(data)
    count = len(content) // (_GAP.itemsize + decoded.dtype.itemsize)
    places = np.cumsum(np.frombuffer(content, _GAP, count), dtype=np.int64)
    values = decoded.copy()
    values[places] = np.frombuffer(content, decoded.dtype, count, offset=count * _GAP.itemsize)
    return values
