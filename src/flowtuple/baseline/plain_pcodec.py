"""pcodec at level 8 of each raw column."""

from __future__ import annotations

import numpy as np
from pcodec import ChunkConfig, standalone

from flowtuple.data.schema import Array


def pcodec_bytes(values: Array) -> bytes:
    """Compress a flat array with pcodec at level 8; 8-bit types, which it refuses, as 16-bit ones.

    Example:
        >>> len(pcodec_bytes(np.zeros(1000, "u1"))) < 100
        True
    """
    if values.dtype.itemsize == 1:
        values = values.astype(np.int16 if values.dtype.kind == "i" else np.uint16)
    packed: bytes = standalone.simple_compress(
        np.ascontiguousarray(values), ChunkConfig(compression_level=8)
    )
    return packed


def pcodec_values(data: bytes) -> Array:
    """Decompress the numbers of `pcodec_bytes`; 8-bit types stay 16-bit, no numbers are `float64`.

    Example:
        >>> pcodec_values(pcodec_bytes(np.arange(3)))
        array([0, 1, 2])
    """
    values = standalone.simple_decompress(data)
    return np.empty(0) if values is None else np.asarray(values)
