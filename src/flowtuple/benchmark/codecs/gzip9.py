"""gzip at level 9 of each raw column."""

from __future__ import annotations

import gzip

import numpy as np

from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of the raw values; the bound changes nothing."""
    return gzip.compress(values.tobytes(), compresslevel=9, mtime=0)


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values."""
    return np.frombuffer(gzip.decompress(data), dtype)


RIVAL = PerColumn("gzip-9", "lossless", encode, decode)
