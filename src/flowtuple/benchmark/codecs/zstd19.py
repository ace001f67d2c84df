"""Zstandard at level 19 of each raw column."""

from __future__ import annotations

import numpy as np
import zstandard

from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of the raw values; the bound changes nothing."""
    return zstandard.compress(values.tobytes(), 19)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values."""
    return np.frombuffer(zstandard.decompress(data), dtype)


RIVAL = PerColumn("zstd-19", "lossless", encode, decode)
