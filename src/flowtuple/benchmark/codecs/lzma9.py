"""LZMA at preset 9, in the xz format, of each raw column."""

from __future__ import annotations

import lzma

import numpy as np

from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array


def lzma_bytes(data: bytes) -> bytes:
    """One xz stream at preset 9, without a checksum of the content.

    Example:
        >>> len(lzma_bytes(bytes(100_000))) < 1000
        True
    """
    return lzma.compress(data, check=lzma.CHECK_NONE, preset=9)


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of the raw values; the bound changes nothing."""
    return lzma_bytes(values.tobytes())


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values."""
    return np.frombuffer(lzma.decompress(data), dtype)


RIVAL = PerColumn("lzma-9", "lossless", encode, decode)
