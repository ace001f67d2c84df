"""Numbers of a reference method as bytes: packed bit by bit, raw, or through a second codec.

The second codecs are lossless: zstd and LZMA (xz) get the bytes of a column sorted by their rank,
which gathers signs and exponents; pcodec gets the numbers of each column.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.baseline.packing import join, pcodec_bytes, pcodec_values, split
from flowtuple.benchmark.codecs.raw import lzma_bytes
from flowtuple.benchmark.published.options import SECOND
from flowtuple.codec.packing import unzstd, zstd
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
        numbers[start:stop, None] >> shifts
        for start, stop in ranges(len(numbers), _BLOCK)
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
        part = np.frombuffer(
            data, np.uint8, offset=start * width // 8, count=-(-total // 8)
        )
        numbers[start:stop] = (
            np.unpackbits(part, count=total).reshape(-1, width) @ weights
        )
    return numbers


def pack_numbers(numbers: Array, then: str) -> bytes:
    """Return the bytes of columns of numbers.

    Args:
        numbers: Shape (n, k), integers or floats of one type.
        then: zstd, lzma or pcodec; empty for the numbers row by row.

    Example:
        >>> codes = np.array([[1, -2], [3, 4]], "i2")
        >>> unpack_numbers(pack_numbers(codes, "pcodec"), "pcodec", 2, 2, codes.dtype).tolist()
        [[1, -2], [3, 4]]
    """
    if then == "pcodec":
        return join([pcodec_bytes(column) for column in numbers.T])
    little = numbers.astype(numbers.dtype.newbyteorder("<"))
    if not then:
        return little.tobytes()
    planes = np.ascontiguousarray(little.T)
    bytewise = planes.view(np.uint8).reshape(numbers.shape[1], -1, numbers.dtype.itemsize)
    data = bytewise.transpose(0, 2, 1).tobytes()
    return zstd(data) if then == "zstd" else lzma_bytes(data)


def unpack_numbers(
    data: bytes, then: str, rows: int, columns: int, dtype: np.dtype[np.generic]
) -> Array:
    """Return the numbers of `pack_numbers`, shape (rows, columns).

    Raises:
        Corrupt: The bytes do not hold so many numbers.
    """
    if then == "pcodec":
        pieces = split(data)
        if len(pieces) != columns:
            raise Corrupt(
                f"{len(pieces)} columns of numbers are there where {columns} are due"
            )
        return np.stack([_from_pcodec(piece, rows, dtype) for piece in pieces], axis=1)
    due = rows * columns * dtype.itemsize
    if not then:
        if len(data) != due:
            raise Corrupt(f"the latent numbers are not those of {rows} rows")
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(rows, columns)
    plain = unzstd(data, due) if then == "zstd" else _from_lzma(data, due)
    bytewise = np.frombuffer(plain, np.uint8).reshape(columns, dtype.itemsize, rows)
    planes = np.ascontiguousarray(bytewise.transpose(0, 2, 1)).view(
        dtype.newbyteorder("<")
    )
    numbers: Array = planes.reshape(columns, rows).astype(dtype).T
    return numbers


def stored_second(settings: Mapping[str, Any]) -> str:
    """Return the second codec of a file; files of version 1 have none.

    Raises:
        Corrupt: There is no such codec.
    """
    then = settings.get("then", "")
    if then not in ("", *SECOND):
        raise Corrupt(
            f"its numbers went through {then!r}, which is no codec; restore it from a copy"
        )
    return str(then)


def _from_pcodec(piece: bytes, rows: int, dtype: np.dtype[np.generic]) -> Array:
    try:
        numbers = pcodec_values(piece)
    except (RuntimeError, ValueError, TypeError) as error:
        raise Corrupt(f"a pcodec stream does not decode ({error})") from None
    if len(numbers) != rows:
        raise Corrupt(
            f"a pcodec stream holds {len(numbers)} numbers where {rows} are due"
        )
    return numbers.astype(dtype, copy=False)  # pcodec has no types of one byte


def _from_lzma(data: bytes, due: int) -> bytes:
    decoder = lzma.LZMADecompressor()
    try:
        plain = decoder.decompress(data, max_length=due + 1)
    except lzma.LZMAError as error:
        raise Corrupt(f"an LZMA stream does not decode ({error})") from None
    if len(plain) != due:
        size = len(plain) if len(plain) < due else "more"
        raise Corrupt(f"an LZMA stream holds {size} bytes where {due} are due")
    return plain
