"""Bytes of general codecs: pieces in one string, pcodec of an array, and exceptions.

Exceptions are the values that a method cannot keep within their bound: places and values under
zstd.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zstandard
from pcodec import ChunkConfig, standalone

from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_GAP = np.dtype("<u4")


def join(pieces: Sequence[bytes]) -> bytes:
    """Return each piece after its length.

    Example:
        >>> split(join([b"", b"abc"]))
        [b'', b'abc']
    """
    return b"".join(write_unsigned([len(piece)]) + piece for piece in pieces)


def split(data: bytes) -> list[bytes]:
    """Return the pieces of `join`.

    Raises:
        Corrupt: The bytes end within a piece.
    """
    reader, pieces = Reader(data), []
    while reader.position < len(data):
        pieces.append(reader.take(reader.unsigned()))
    return pieces


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


def pack_exceptions(original: Array, decoded: Array, bound: Bound) -> bytes:
    """Return places and originals of the values outside their bound; empty where there are none.

    Args:
        original: Shape (n,).
        decoded: Values without exceptions, of the same shape and dtype.
        bound: `lossless`, `abs`, `rel` or `bits`.

    Example:
        >>> x = np.array([1.0, np.nan, 3.0])
        >>> data = pack_exceptions(x, np.zeros(3), Bound.parse("abs:1"))
        >>> with_exceptions(np.zeros(3), data)
        array([ 0., nan,  3.])
    """
    places = np.flatnonzero(~bound.holds(original, decoded))
    if not len(places):
        return b""
    gaps = np.diff(places, prepend=0).astype(_GAP)
    return zstandard.compress(gaps.tobytes() + original[places].tobytes(), 19)


def with_exceptions(decoded: Array, data: bytes) -> Array:
    """Return the values with the exceptions in their places."""
    if not data:
        return decoded
    content = zstandard.decompress(data)
    count = len(content) // (_GAP.itemsize + decoded.dtype.itemsize)
    places = np.cumsum(np.frombuffer(content, _GAP, count), dtype=np.int64)
    values = decoded.copy()
    values[places] = np.frombuffer(
        content, decoded.dtype, count, offset=count * _GAP.itemsize
    )
    return values
