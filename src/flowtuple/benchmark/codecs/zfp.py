"""ZFP (zfpy) of each bounded float column in its fixed-accuracy mode; everything exact through pcodec."""

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
    import zfpy

    if not numbers.size:
        return b""
    packed: bytes = zfpy.compress_numpy(numbers, tolerance=tolerance)
    return packed


def _decompress(data: bytes, dtype: np.dtype[np.generic], count: int) -> Array:
    import zfpy

    if not count:
        return np.empty(0, dtype)
    values: Array = zfpy.decompress_numpy(data)
    return values


RIVAL = PerColumn("zfp", "bounded", encode, decode, requires=("zfpy", "bench"))
