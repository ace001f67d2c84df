"""Corrections of what a network decodes: columns of few values, and residuals within a bound.

No network gives the values of a column of few exactly; they are rounded to those of the training.

Residuals bring every value within a bound. The original and the decoded value are put on the grid
of the bound, as by quantise+pcodec; the difference of the two whole numbers goes through pcodec.
Values that the grid cannot represent are exceptions. A reader needs the very same decoded numbers
before it adds the differences: their checksum is stored, and a reader whose arithmetic gives other
numbers refuses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowtuple.baseline.packing import (
    join,
    pack_exceptions,
    pcodec_bytes,
    pcodec_values,
    split,
    with_exceptions,
)
from flowtuple.baseline.quantise import narrow, quantise, restore
from flowtuple.codec.packing import checksum
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt, Unsupported

FEW = 256  # different values, at most
_TIMES = 8  # rows a value, at least, or every value of a small sample would count as one of few
_EXACT = Bound("abs", 0.5)  # of integers: cells of one
_CHECKSUM = 8  # bytes


def few_values(rows: Rows) -> dict[int, Array]:
    """Return the values, ascending, of each column that has few, by the column's number.

    Example:
        >>> rows = Rows("x", ("n",), np.repeat([[3.0], [1.0]], 10, axis=0), np.arange(20), 20)
        >>> few_values(rows)[0].tolist()
        [1.0, 3.0]
    """
    most = min(FEW, len(rows) // _TIMES)
    values = {k: np.unique(column) for k, column in enumerate(rows.values.T)}
    return {k: different for k, different in values.items() if len(different) <= most}


def to_nearest(rows: Array, few: Mapping[int, Array]) -> Array:
    """Return rows of shape (n, d) with the columns of few values at their nearest ones.

    Example:
        >>> few = {0: np.array([0.0, 5.0])}
        >>> to_nearest(np.array([[1.0, 7.3], [4.0, 7.4]]), few).tolist()
        [[0.0, 7.3], [5.0, 7.4]]
    """
    out = rows.copy()
    for k, values in few.items():
        middles = (values[1:] + values[:-1]) / 2
        out[:, k] = values[np.searchsorted(middles, rows[:, k])]
    return out


def resolve(text: str, values: Array, dtype: str) -> Bound:
    """Return the `abs` bound of a column; integers are exact.

    Args:
        text: abs:E, or std:S in units of the values' standard deviation.
        values: Shape (n,).
        dtype: NumPy name of the column's type.

    Example:
        >>> x = np.array([0.0, 2.0])
        >>> str(resolve("std:0.1", x, "float32")), str(resolve("std:0.1", x, "int32"))
        ('abs:0.1', 'abs:0.5')
    """
    options = Bound.parse(text)
    if np.dtype(dtype).kind != "f":
        return _EXACT
    unit = (float(values.std()) or 1.0) if options.kind == "std" else 1.0
    return Bound("abs", options.amount * unit)


def pack_residuals(values: Array, base: Array, bound: Bound, dtype: str) -> bytes:
    """Return the residuals that bring `base` within the bound of `values`.

    Args:
        values: Shape (n,), float64.
        base: Values that the method decodes, of the same shape.
        bound: From `resolve`.
        dtype: NumPy name of the column's type.
    """
    original, near = values.astype(dtype), _numbers(base, bound, dtype)
    exact = _numbers(values, bound, dtype)
    exceptions = pack_exceptions(original, restore(exact, bound, original.dtype), bound)
    stored = checksum(near.tobytes()).to_bytes(_CHECKSUM, "little")
    return join([stored, exceptions, pcodec_bytes(narrow(exact - near))])


def add_residuals(data: bytes, base: Array, bound: Bound, dtype: str) -> Array:
    """Return values within the bound of the original ones, float64 of shape (n,).

    Raises:
        Corrupt: The bytes are no residuals of so many values.
        Unsupported: `base` differs in a bit from the base of the writer.
    """
    pieces, near = split(data), _numbers(base, bound, dtype)
    if len(pieces) != 3:
        raise Corrupt("a stream of residuals is incomplete")
    if int.from_bytes(pieces[0], "little") != checksum(near.tobytes()):
        raise Unsupported(
            "this machine's arithmetic gives other values than the writer's, "
            "and residuals do not fit them; "
            "decode where the file was written, with the same PyTorch"
        )
    difference = pcodec_values(pieces[2])
    if difference.shape != near.shape:
        raise Corrupt(f"{difference.size} residuals do not fit {near.size} values")
    decoded = with_exceptions(
        restore(near + difference, bound, np.dtype(dtype)), pieces[1]
    )
    return decoded.astype(np.float64)


def _numbers(values: Array, bound: Bound, dtype: str) -> Array:
    return quantise(values.astype(dtype), bound).astype(np.int64)
