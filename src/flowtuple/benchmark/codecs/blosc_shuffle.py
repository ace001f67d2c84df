"""Bytes shuffled by significance, then Zstandard: Blosc2 at level 9 of each raw column, on one thread."""

from __future__ import annotations

import numpy as np

from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_LARGEST_BUFFER = 2**31 - 1


def encode(values: Array, bound: Bound) -> bytes:
    """Bytes of the raw values; the bound changes nothing.

    Raises:
        OverflowError: The column does not fit one Blosc2 buffer of 2 GiB.
    """
    import blosc2

    if values.nbytes > _LARGEST_BUFFER:
        raise OverflowError(
            "a column of 2 GiB or more does not fit one Blosc2 buffer; compare fewer events"
        )
    if not values.size:
        return b""
    shuffle, zstd = blosc2.Filter.SHUFFLE, blosc2.Codec.ZSTD
    packed: bytes = blosc2.compress2(
        values.tobytes(),
        typesize=values.dtype.itemsize,
        clevel=9,
        codec=zstd,
        filters=[shuffle],
        nthreads=1,
    )
    return packed


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values."""
    import blosc2

    return np.frombuffer(blosc2.decompress2(data, nthreads=1) if data else b"", dtype)


RIVAL = PerColumn("shuffle+zstd", "lossless", encode, decode, requires=("blosc2", "bench"))
