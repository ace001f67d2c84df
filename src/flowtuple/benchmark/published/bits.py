"""Whole numbers of a fixed width in bits, the highest bit first, without gaps."""

from __future__ import annotations

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.errors import Corrupt

_BLOCK = 2**16  # numbers at a time: whole bytes at any width


def pack_bits(numbers: Array, width: int) -> bytes:
    """Pack numbers from 0 to 2^width - 1, shape (n,), into ceil(n width / 8) bytes.

    Example:
        >>> pack_bits(np.array([1, 2, 3]), 3).hex()
        '2980'
    """
    shifts = np.arange(width - 1, -1, -1)
    parts = (
        numbers[start:stop, None] >> shifts for start, stop in ranges(len(numbers), _BLOCK)
    )
    return b"".join(np.packbits((part & 1).astype(np.uint8)).tobytes() for part in parts)


def unpack_bits(data: bytes, width: int, count: int) -> Array:
    """Unpack the numbers of `pack_bits`: int64 of shape (count,).

    Raises:
        Corrupt: The number of bytes is another than that of so many numbers.

    Example:
        >>> unpack_bits(bytes.fromhex("2980"), 3, 3).tolist()
        [1, 2, 3]
    """
    if len(data) != -(-count * width // 8):
        raise Corrupt(f"{len(data)} bytes do not hold {count} numbers of {width} bits")
    weights = 1 << np.arange(width - 1, -1, -1)
    numbers = np.empty(count, np.int64)
    for start, stop in ranges(count, _BLOCK):
        total = (stop - start) * width
        part = np.frombuffer(data, np.uint8, offset=start * width // 8, count=-(-total // 8))
        numbers[start:stop] = np.unpackbits(part, count=total).reshape(-1, width) @ weights
    return numbers
