"""Every bounded column on the grid of its bound, in the narrowest integers that hold it, then LZMA at preset 9."""

from __future__ import annotations

import lzma
import struct

import numpy as np

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.benchmark.codecs.exceptions import pack_exceptions, with_exceptions
from flowtuple.benchmark.codecs.lzma9 import lzma_bytes
from flowtuple.benchmark.codecs.rival import PerColumn
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array

_HEADER = struct.Struct("<2sq")  # dtype of the numbers, shift


def encode(values: Array, bound: Bound) -> bytes:
    """Numbers on the grid under LZMA, with exceptions where values break the bound."""
    numbers, shift = quantise_shifted(values, bound)
    numbers = _narrowest(numbers)
    packed = _HEADER.pack(numbers.dtype.str[1:].encode(), shift) + lzma_bytes(numbers.tobytes())
    return join(
        [packed, pack_exceptions(values, restore(numbers, bound, values.dtype, shift), bound)]
    )


def decode(data: bytes, dtype: np.dtype[np.generic], bound: Bound) -> Array:
    """The values, every one within the bound."""
    packed, exceptions = split(data)
    kind, shift = _HEADER.unpack_from(packed)
    numbers = np.frombuffer(lzma.decompress(packed[_HEADER.size :]), kind.decode())
    return with_exceptions(restore(numbers, bound, dtype, shift), exceptions)


def _narrowest(numbers: Array) -> Array:
    if numbers.dtype.kind not in "iu" or not numbers.size:
        return numbers
    return numbers.astype(
        np.result_type(np.min_scalar_type(numbers.min()), np.min_scalar_type(numbers.max()))
    )


RIVAL = PerColumn("quantise+lzma", "bounded", encode, decode)
