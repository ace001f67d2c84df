"""SZ3 and ZFP, which bound the absolute error of finite floats, made to keep any bound.

Under `rel` and `bits` they compress ln|x|, and the sign of each value is stored separately. Values
that still break their bound are exceptions. Everything exact goes through pcodec.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import zstandard

from flowtuple.baseline.packing import (
    join,
    pack_exceptions,
    pcodec_bytes,
    pcodec_values,
    split,
    with_exceptions,
)
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

Compress = Callable[[Array, float], bytes]
"""Finite floats, float32 or float64, at least one, and the largest absolute error, to bytes."""

Decompress = Callable[[bytes, "np.dtype[np.generic]", int], Array]
"""Bytes, dtype and number of values, to values."""

_MARGIN = 1 - 1e-6  # of the bound, for the rounding of logarithm and exponential


def absolute_codec(
    name: str, compress: Compress, decompress: Decompress, module: str
) -> ColumnCodec:
    """Return a codec that keeps any bound with a compressor of absolute bounds.

    Args:
        name: Name of the codec.
        compress: The compressor.
        decompress: Its inverse.
        module: Python module that both need.
    """

    def numbers_of(data: bytes, work: np.dtype[np.generic], count: int) -> Array:
        return decompress(data, work, count) if count else np.empty(0, work)

    def encode(values: Array, bound: Bound) -> bytes:
        if not _is_bounded(values.dtype, bound):
            return pcodec_bytes(values)
        work = _work(values.dtype)
        finite = np.where(np.isfinite(values), values, 0).astype(work)
        signs, numbers, tolerance = b"", finite, bound.amount
        if bound.kind != "abs":
            signs = zstandard.compress(np.sign(finite).astype(np.int8).tobytes(), 19)
            numbers = np.log(
                np.abs(finite), where=finite != 0, out=np.zeros(len(finite), work)
            )
            tolerance = math.log1p(relative_of(bound)) * _MARGIN
        packed = compress(numbers, tolerance) if numbers.size else b""
        decoded = _restore(numbers_of(packed, work, len(values)), signs, values.dtype)
        count = len(values).to_bytes(8, "little")
        return join([count + packed, signs, pack_exceptions(values, decoded, bound)])

    def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
        if not _is_bounded(dtype, bound):
            return pcodec_values(data).astype(dtype, copy=False)
        packed, signs, exceptions = split(data)
        numbers = numbers_of(
            packed[8:], _work(dtype), int.from_bytes(packed[:8], "little")
        )
        return with_exceptions(_restore(numbers, signs, dtype), exceptions)

    return ColumnCodec(name, "bounded", encode, decode, requires=(module, "bench"))


def relative_of(bound: Bound) -> float:
    """Return the relative error that a `rel` or `bits` bound allows for every value.

    Raises:
        InvalidArgument: The bound is of another kind.

    Example:
        >>> relative_of(Bound.parse("bits:1"))
        0.125
    """
    if bound.kind == "rel":
        return bound.amount
    if bound.kind == "bits":
        return math.ldexp(1.0, -int(bound.amount) - 2)
    raise InvalidArgument(f"{bound} allows no relative error: write rel or bits")


def _restore(numbers: Array, signs: bytes, dtype: np.dtype[np.generic]) -> Array:
    with np.errstate(over="ignore"):
        if signs:
            numbers = np.frombuffer(zstandard.decompress(signs), np.int8) * np.exp(
                numbers
            )
        return numbers.astype(dtype)


def _work(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    return np.dtype("float64") if dtype.itemsize == 8 else np.dtype("float32")


def _is_bounded(dtype: np.dtype[np.generic], bound: Bound) -> bool:
    return dtype.kind == "f" and bound.kind != "lossless"


def _compress_sz3(numbers: Array, tolerance: float) -> bytes:
    import pysz

    config = pysz.szConfig()
    config.errorBoundMode = pysz.szErrorBoundMode.ABS
    config.absErrorBound = tolerance
    packed: bytes = pysz.sz.compress(numbers, config)[0].tobytes()
    return packed


def _decompress_sz3(data: bytes, dtype: np.dtype[np.generic], count: int) -> Array:
    import pysz

    values: Array = pysz.sz.decompress(
        np.frombuffer(data, np.uint8), dtype.type, (count,)
    )[0]
    return values


def _compress_zfp(numbers: Array, tolerance: float) -> bytes:
    import zfpy

    packed: bytes = zfpy.compress_numpy(numbers, tolerance=tolerance)
    return packed


def _decompress_zfp(data: bytes, dtype: np.dtype[np.generic], count: int) -> Array:
    import zfpy

    values: Array = zfpy.decompress_numpy(data)
    return values


SZ3 = absolute_codec("sz3", _compress_sz3, _decompress_sz3, "pysz")
ZFP = absolute_codec("zfp", _compress_zfp, _decompress_zfp, "zfpy")
