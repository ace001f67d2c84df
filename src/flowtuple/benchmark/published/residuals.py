"""Residuals beside a method without a bound: they make every value keep one.

Both the original and what the method gives are put on the grid of the bound, as the rival quantise+pcodec does; the difference
of the two whole numbers goes through pcodec. What the grid cannot hold is kept apart. A reader has to arrive at the very same
numbers before it adds the differences: their checksum is stored, and one whose arithmetic gives others refuses.
"""

from __future__ import annotations

import numpy as np
from pcodec import standalone

from flowtuple.baseline.pieces import join, split
from flowtuple.baseline.plain_pcodec import pcodec_bytes
from flowtuple.baseline.quantise import narrow, quantise, restore
from flowtuple.benchmark.codecs.exceptions import pack_exceptions, with_exceptions
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, Unsupported
from flowtuple.file.layout import checksum

_EXACT = Bound("abs", 0.5)  # of integers: cells of one
_CHECKSUM = 8  # bytes


def resolve(text: str, values: Array, dtype: str) -> Bound:
    """The `abs` bound of a column; integers are exact.

    Args:
        text: abs:E, or std:S in units of the values' standard deviation.
        values: Shape (n,).
        dtype: Of the column.

    Example:
        >>> str(resolve("std:0.1", np.array([0.0, 2.0]), "float32")), str(resolve("std:0.1", np.array([0.0, 2.0]), "int32"))
        ('abs:0.1', 'abs:0.5')
    """
    asked = Bound.parse(text)
    if np.dtype(dtype).kind != "f":
        return _EXACT
    amount = asked.amount * (float(values.std()) or 1.0) if asked.kind == "std" else asked.amount
    return Bound("abs", amount)


def pack_residuals(values: Array, base: Array, bound: Bound, dtype: str) -> bytes:
    """What has to be added to `base` for `values` to come back within the bound.

    Args:
        values: Shape (n,), float64.
        base: What the method gives, of the same shape.
        bound: From `resolve`.
        dtype: Of the column.
    """
    original, near = values.astype(dtype), _numbers(base, bound, dtype)
    found = _numbers(values, bound, dtype)
    exceptions = pack_exceptions(original, restore(found, bound, original.dtype), bound)
    return join(
        [
            checksum(near.tobytes()).to_bytes(_CHECKSUM, "little"),
            exceptions,
            pcodec_bytes(narrow(found - near)),
        ]
    )


def add_residuals(data: bytes, base: Array, bound: Bound, dtype: str) -> Array:
    """Values within the bound of the original ones, float64 of shape (n,).

    Raises:
        Corrupt: The bytes are no residuals of so many values.
        Unsupported: `base` is not bit for bit what it was when the residuals were made.
    """
    pieces, near = split(data), _numbers(base, bound, dtype)
    if len(pieces) != 3:
        raise Corrupt("a stream of residuals is incomplete")
    if int.from_bytes(pieces[0], "little") != checksum(near.tobytes()):
        raise Unsupported(
            "this machine's arithmetic gives other values than the writer's, and residuals do not fit them; "
            "decode where the file was written, with the same PyTorch"
        )
    difference = np.asarray(standalone.simple_decompress(pieces[2]))
    if difference.shape != near.shape:
        raise Corrupt(f"{difference.size} residuals do not fit {near.size} values")
    decoded = with_exceptions(restore(near + difference, bound, np.dtype(dtype)), pieces[1])
    return decoded.astype(np.float64)


def _numbers(values: Array, bound: Bound, dtype: str) -> Array:
    return quantise(values.astype(dtype), bound).astype(np.int64)
