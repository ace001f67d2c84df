"""Codecs of raw columns, and of floats with rounded mantissas."""

from __future__ import annotations

import bisect
import gzip
import lzma
from collections.abc import Callable

import numpy as np
import zstandard

from flowtuple.baseline.packing import pcodec_bytes, pcodec_values
from flowtuple.baseline.quantise import round_mantissa
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_ALL_BITS = 53
_LARGEST_BUFFER = 2**31 - 1


def lzma_bytes(data: bytes) -> bytes:
    """Return one xz stream at preset 9, without a checksum of the content.

    Example:
        >>> len(lzma_bytes(bytes(100_000))) < 1000
        True
    """
    return lzma.compress(data, check=lzma.CHECK_NONE, preset=9)


def blosc_bytes(values: Array) -> bytes:
    """Return bytes shuffled by significance, then Zstandard: Blosc2 at level 9 on one thread.

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
    packed: bytes = blosc2.compress2(
        values.tobytes(),
        typesize=values.dtype.itemsize,
        clevel=9,
        codec=blosc2.Codec.ZSTD,
        filters=[blosc2.Filter.SHUFFLE],
        nthreads=1,
    )
    return packed


def _unpack_blosc(data: bytes) -> bytes:
    import blosc2

    content: bytes = blosc2.decompress2(data, nthreads=1) if data else b""
    return content


def rounded(values: Array, bound: Bound) -> Array:
    """Return floats with as few mantissa bits as keep every value within the bound.

    The usual way to thin floats in ntuples. Under an `abs` bound the largest value decides for all.
    """
    if values.dtype.kind != "f" or bound.kind == "lossless":
        return values
    return round_mantissa(values, fewest_bits(values, bound))


def fewest_bits(values: Array, bound: Bound) -> int:
    """Return the fewest explicit mantissa bits at which every value keeps its bound.

    Example:
        >>> fewest_bits(np.array([1.25, 100.0]), Bound.parse("abs:0.5"))
        4
    """

    def suffices(bits: int) -> bool:
        return bool(bound.holds(values, round_mantissa(values, bits)).all())

    return bisect.bisect_left(range(_ALL_BITS), True, key=suffices)


def _lossless(
    name: str,
    compress: Callable[[Array], bytes],
    decompress: Callable[[bytes], bytes],
    requires: tuple[str, str] | None = None,
) -> ColumnCodec:
    """Return a codec of the bytes of raw columns."""
    return ColumnCodec(
        name,
        "lossless",
        lambda values, bound: compress(values),
        lambda data, dtype, bound: np.frombuffer(decompress(data), dtype),
        requires=requires,
    )


GZIP = _lossless(
    "gzip-9",
    lambda x: gzip.compress(x.tobytes(), compresslevel=9, mtime=0),
    gzip.decompress,
)
LZMA = _lossless("lzma-9", lambda x: lzma_bytes(x.tobytes()), lzma.decompress)
ZSTD = _lossless(
    "zstd-19", lambda x: zstandard.compress(x.tobytes(), 19), zstandard.decompress
)
BLOSC = _lossless("shuffle+zstd", blosc_bytes, _unpack_blosc, ("blosc2", "bench"))
PCODEC = ColumnCodec(
    "pcodec",
    "lossless",
    lambda values, bound: pcodec_bytes(values),
    lambda data, dtype, bound: pcodec_values(data).astype(dtype, copy=False),
)
ROUNDING = ColumnCodec(
    "rounding+lzma",
    "bounded",
    lambda values, bound: lzma_bytes(rounded(values, bound).tobytes()),
    lambda data, dtype, bound: np.frombuffer(lzma.decompress(data), dtype),
)
