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
def _fill_intervals(
    logits: Any, exp2: Any, symbols: Any, below: Any, frequency: Any
) -> None:
    last = logits.shape[1] - 1
    weights = np.empty(last + 1, np.int32)
    reciprocal = uint64(0)
    for i in range(len(symbols)):
        if i < len(logits):
            reciprocal = weigh(logits[i], exp2, weights)
        begin = uint64(0)
        for k in range(symbols[i]):
            begin += share(weights[k], reciprocal)
        below[i] = begin
        frequency[i] = (
            uint64(65536) - begin
            if symbols[i] == last
            else share(weights[symbols[i]], reciprocal)
        )


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
    _fill_intervals(np.ascontiguousarray(logits), EXP2, symbols, below, frequency)
    return below, frequency
