"""Mantissas rounded to as few bits as the bound allows for every value of the column, then LZMA at preset 9.

The usual way to thin floats in ntuples. Under an `abs` bound the largest value decides for all.
"""

from __future__ import annotations

import bisect
import lzma

import numpy as np

from flowtuple.baseline.quantise import round_mantissa
from flowtuple.benchmark.codecs.lzma9 import lzma_bytes
from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_ALL_BITS = 53


def encode(values: Array, bound: Bound) -> bytes:
    """Rounded floats as they are in memory, under LZMA; what is no float or has no bound goes in unchanged."""
    if values.dtype.kind == "f" and bound.kind != "lossless":
        values = round_mantissa(values, fewest_bits(values, bound))
    return lzma_bytes(values.tobytes())


def fewest_bits(values: Array, bound: Bound) -> int:
    """The fewest explicit mantissa bits at which every value keeps its bound.

    Example:
        >>> fewest_bits(np.array([1.25, 100.0]), Bound.parse("abs:0.5"))
        4
    """

    def suffices(bits: int) -> bool:
        return bool(bound.holds(values, round_mantissa(values, bits)).all())

    return bisect.bisect_left(range(_ALL_BITS), True, key=suffices)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The rounded values."""
    return np.frombuffer(lzma.decompress(data), dtype)


RIVAL = PerColumn("rounding+lzma", "bounded", encode, decode)
