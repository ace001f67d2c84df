"""What lets a compressor with an absolute bound keep any bound: values cleaned of specials, or their logarithms and signs.

SZ3 and ZFP bound the absolute error of finite floats only. Under `rel` and `bits` they are given ln|x|, with the sign of
each value beside it; what still breaks its bound is kept apart as an exception. Everything exact goes through pcodec.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import zstandard

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.plain_pcodec import pcodec_bytes, pcodec_values
from flowtuple.benchmark.codecs.exceptions import pack_exceptions, with_exceptions
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

Compress = Callable[[Array, float], bytes]
"""Finite floats, float32 or float64, and the largest absolute error, to bytes."""

Decompress = Callable[[bytes, "np.dtype[np.generic]", int], Array]
"""Bytes, dtype and number of values, to values."""

_MARGIN = 1 - 1e-6  # of the bound, for the rounding of logarithm and exponential


def encode_absolute(
    values: Array, bound: Bound, compress: Compress, decompress: Decompress
) -> bytes:
    """A column under a compressor of absolute bounds, exceptions included.

    Args:
        values: Shape (n,), any dtype.
        bound: `lossless`, `abs`, `rel` or `bits`.
        compress: The compressor.
        decompress: Its inverse, to find the exceptions.
    """
    if not _is_bounded(values.dtype, bound):
        return pcodec_bytes(values)
    work = _work(values.dtype)
    finite = np.where(np.isfinite(values), values, 0).astype(work)
    signs, numbers, tolerance = b"", finite, bound.amount
    if bound.kind != "abs":
        signs = zstandard.compress(np.sign(finite).astype(np.int8).tobytes(), 19)
        numbers = np.log(np.abs(finite), where=finite != 0, out=np.zeros(len(finite), work))
        tolerance = math.log1p(relative_of(bound)) * _MARGIN
    packed = compress(numbers, tolerance)
    decoded = _restore(decompress(packed, work, len(values)), signs, values.dtype)
    return join(
        [len(values).to_bytes(8, "little") + packed, signs, pack_exceptions(values, decoded, bound)]
    )


def decode_absolute(
    data: bytes, dtype: np.dtype[np.generic], bound: Bound, decompress: Decompress
) -> Array:
    """The inverse of `encode_absolute`."""
    if not _is_bounded(dtype, bound):
        return pcodec_values(data).astype(dtype, copy=False)
    packed, signs, exceptions = split(data)
    numbers = decompress(packed[8:], _work(dtype), int.from_bytes(packed[:8], "little"))
    return with_exceptions(_restore(numbers, signs, dtype), exceptions)


def relative_of(bound: Bound) -> float:
    """The relative error that a `rel` or `bits` bound allows for every value.

    Example:
        >>> relative_of(Bound.parse("bits:1"))
        0.125
    """
    return bound.amount if bound.kind == "rel" else 2.0 ** -(bound.amount + 2)


def _restore(numbers: Array, signs: bytes, dtype: np.dtype[np.generic]) -> Array:
    with np.errstate(over="ignore"):
        if not signs:
            return numbers.astype(dtype)
        values: Array = (
            np.frombuffer(zstandard.decompress(signs), np.int8) * np.exp(numbers)
        ).astype(dtype)
        return values


def _work(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    return np.dtype("float64") if dtype.itemsize == 8 else np.dtype("float32")


def _is_bounded(dtype: np.dtype[np.generic], bound: Bound) -> bool:
    return dtype.kind == "f" and bound.kind != "lossless"
