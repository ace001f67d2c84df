"""SZ3 (pysz) of each bounded float column, its error bound absolute; everything exact through pcodec."""

from __future__ import annotations

import numpy as np

from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.benchmark.codecs.transform import decode_absolute, encode_absolute
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of a column, exceptions included."""
    return encode_absolute(values, bound, _compress, _decompress)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values, every one within the bound."""
    return decode_absolute(data, dtype, bound, _decompress)


def _compress(numbers: Array, tolerance: float) -> bytes:
    import pysz

    if not numbers.size:
        return b""
    config = pysz.szConfig()
    config.errorBoundMode = pysz.szErrorBoundMode.ABS
    config.absErrorBound = tolerance
    packed: bytes = pysz.sz.compress(numbers, config)[0].tobytes()
    return packed


def _decompress(data: bytes, dtype: np.dtype[np.generic], count: int) -> Array:
    import pysz

    if not count:
        return np.empty(0, dtype)
    values: Array = pysz.sz.decompress(np.frombuffer(data, np.uint8), dtype.type, (count,))[0]
    return values


RIVAL = PerColumn("sz3", "bounded", encode, decode, requires=("pysz", "bench"))
