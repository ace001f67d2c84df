"""From the conditioner's integer logits to integer frequencies that sum to 2^16, by exact arithmetic only.

With d = max(z) - z in units of 1/16 bit, w = floor(2^(20 - d/16)) from a table and S = sum w,

    f = 1 + floor(w R / 2^32),   R = floor((2^16 - K) 2^32 / S),

and what is missing to 2^16 goes to the first largest logit. Every symbol keeps a frequency of at least 1.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from flowtuple.schema import Array

FREQUENCY_BITS = 16
MAX_SYMBOLS = 4096


def _exp2_table() -> Array:
    """floor(2^(20 - d/16)) for d = 0..511: the integer 16th root of 2^(320 - d), exact on any machine."""

    def root16(n: int) -> int:
        return math.isqrt(math.isqrt(math.isqrt(math.isqrt(n))))

    return np.array([root16(2 ** (320 - d)) if d <= 320 else 0 for d in range(512)], dtype=np.int64)


EXP2 = _exp2_table()


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_row(logits: Any, i: Any, exp2: Any, out: Any) -> None:
    """The frequencies of row i into `out`, int64 of shape (K,)."""
    symbols = logits.shape[1]
    top = np.int64(logits[i, 0])
    best = 0
    for k in range(1, symbols):
        if np.int64(logits[i, k]) > top:
            top, best = np.int64(logits[i, k]), k
    total = np.int64(0)
    for k in range(symbols):
        out[k] = exp2[min(top - np.int64(logits[i, k]), 511)]
        total += out[k]
    reciprocal = (np.int64(65536 - symbols) << 32) // total
    left = np.int64(65536)
    for k in range(symbols):
        out[k] = 1 + ((out[k] * reciprocal) >> 32)
        left -= out[k]
    out[best] += left


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_intervals(logits: Any, exp2: Any, symbols: Any, below: Any, frequency: Any) -> None:
    row = np.empty(logits.shape[1], np.int64)
    for i in range(len(logits)):
        fill_row(logits, i, exp2, row)
        begin = np.int64(0)
        for k in range(symbols[i]):
            begin += row[k]
        below[i], frequency[i] = begin, row[symbols[i]]


def intervals(logits: Array, symbols: Array) -> tuple[Array, Array]:
    """Where each row's symbol begins in [0, 2^16), and its frequency.

    Args:
        logits: int16, shape (n, K). K is at least 2: every column has its outside symbol beside at least one other.
        symbols: int64, shape (n,), from 0 to K - 1.

    Returns:
        Two uint32 arrays of shape (n,).

    Example:
        >>> intervals(np.zeros((2, 4), np.int16), np.array([0, 3]))
        (array([    0, 49152], dtype=uint32), array([16384, 16384], dtype=uint32))
    """
    below, frequency = np.empty(len(logits), np.uint32), np.empty(len(logits), np.uint32)
    _fill_intervals(np.ascontiguousarray(logits), EXP2, symbols, below, frequency)
    return below, frequency
