"""Integer frequencies that sum to 2^16 from the conditioner's logits, in exact arithmetic.

With d = max(z) - z in units of 1/16 bit, w = floor(2^(20 - d/16)) from a table and S = sum w,

    f = 1 + floor(w R / 2^32),   R = floor((2^16 - K) 2^32 / S).
 The last symbol, the outside one, takes the rest of 2^16: less than K more than its own share,
0.0005 bits per row. So a symbol is located without the sum over all of a row. Every frequency is at
least 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import uint64

from flowtuple.data.schema import Array
from flowtuple.runtime.compiled import compiled

FREQUENCY_BITS = 16
MAX_SYMBOLS = 4096
TILE = 128
"""Rows whose frequencies are computed together; few enough for the nearest cache."""


def _exp2_table() -> Array:
    """Return floor(2^(20 - d/16)) for d = 0..511 as exact integer 16th roots of 2^(320 - d)."""
    roots = [2 ** (320 - d) if d <= 320 else 0 for d in range(512)]
    for _ in range(4):
        roots = [math.isqrt(n) for n in roots]
    return np.array(roots, np.int32)


EXP2 = _exp2_table()


@compiled()
def weigh(logits: Any, exp2: Any, weights: Any) -> Any:
    """Write the weights of one row of logits into `weights`, int32 of shape (K,), and return R."""
    top = logits[0]
    for k in range(1, len(logits)):
        top = max(top, logits[k])
    total = np.int64(0)
    for k in range(len(logits)):
        weights[k] = exp2[min(np.int32(top) - np.int32(logits[k]), 511)]
        total += weights[k]
    return uint64((np.int64(65536 - len(logits)) << 32) // total)


@compiled()
def share(weight: Any, reciprocal: Any) -> Any:
    """Return the frequency of any symbol but the last."""
    return uint64(1) + ((uint64(weight) * reciprocal) >> uint64(32))


@compiled()
def cumulate(logits: Any, start: Any, rows: Any, exp2: Any, cumulative: Any) -> None:
    """Write the first points of all symbols in [0, 2^16), and 2^16 after them, of a tile of rows.

    Rows lie next to each other in memory, so that each loop computes many of them at once.

    Args:
        logits: int16, shape (K, n).
        start: First row of the tile.
        rows: Rows of the tile, at most `TILE`.
        exp2: `EXP2`.
        cumulative: uint32, shape (K + 1, `TILE`), the result.
    """
    count = len(logits)
    top = np.empty(TILE, np.int16)
    total = np.zeros(TILE, np.uint64)
    reciprocal = np.empty(TILE, np.uint32)
    top[:rows] = logits[0, start : start + rows]
    for k in range(1, count):
        row = logits[k, start : start + rows]
        for r in range(rows):
            top[r] = max(top[r], row[r])
    for k in range(count):
        row, weights = logits[k, start : start + rows], cumulative[k]
        for r in range(rows):
            below = np.uint32(np.int32(top[r]) - np.int32(row[r]))
            weights[r] = exp2[min(below, np.uint32(511))]
            total[r] += uint64(weights[r])
    for r in range(rows):
        reciprocal[r] = (uint64(65536 - count) << uint64(32)) // total[r]
    point = np.zeros(TILE, np.uint32)
    for k in range(count):
        weights = cumulative[k]
        for r in range(rows):
            # Both factors have 32 bits, for which processors have a product of many at once.
            product = uint64(weights[r]) * uint64(reciprocal[r])
            weights[r] = point[r]
            point[r] += np.uint32(1) + np.uint32(product >> uint64(32))
    cumulative[count, :rows] = 65536


@compiled()
def _fill_intervals(
    logits: Any, exp2: Any, symbols: Any, below: Any, frequency: Any
) -> None:
    cumulative = np.empty((len(logits) + 1, TILE), np.uint32)
    alike = logits.shape[1] == 1
    for start in range(0, len(symbols), TILE):
        rows = min(TILE, len(symbols) - start)
        if not alike:
            cumulate(logits, start, rows, exp2, cumulative)
        elif start == 0:
            cumulate(logits, 0, 1, exp2, cumulative)
        for r in range(rows):
            k = symbols[start + r]
            column = 0 if alike else r
            below[start + r] = cumulative[k, column]
            frequency[start + r] = cumulative[k + 1, column] - cumulative[k, column]


def intervals(logits: Array, symbols: Array) -> tuple[Array, Array]:
    """Return the first point of each row's symbol in [0, 2^16), and its frequency.

    Args:
        logits: int16, shape (n, K), or (1, K) for n equal rows. K is at least 2: the outside symbol
            and another one.
        symbols: int64, shape (n,), from 0 to K - 1.

    Returns:
        Two uint32 arrays of shape (n,).

    Example:
        >>> intervals(np.zeros((2, 4), np.int16), np.array([0, 3]))
        (array([    0, 49152], dtype=uint32), array([16384, 16384], dtype=uint32))
    """
    below, frequency = (
        np.empty(len(symbols), np.uint32),
        np.empty(len(symbols), np.uint32),
    )
    _fill_intervals(np.ascontiguousarray(logits.T), EXP2, symbols, below, frequency)
    return below, frequency
