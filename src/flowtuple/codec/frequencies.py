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
def _fill(logits: Any, table: Any, out: Any) -> None:
    rows, symbols = logits.shape
    weights = np.empty(symbols, np.int64)
    for i in range(rows):
        best = 0
        for k in range(1, symbols):
            if logits[i, k] > logits[i, best]:
                best = k
        total = np.int64(0)
        top = np.int64(logits[i, best])
        for k in range(symbols):
            weights[k] = table[min(top - np.int64(logits[i, k]), 511)]
            total += weights[k]
        reciprocal = (np.int64(65536 - symbols) << 32) // total
        left = np.int64(65536)
        for k in range(symbols):
            frequency = 1 + ((weights[k] * reciprocal) >> 32)
            left -= frequency
            out[i, k] = frequency
        out[i, best] += left


def frequencies(logits: Array) -> Array:
    """Frequencies of each row: uint16, shape (n, K), rows summing to 2^16, from int16 logits of the same shape.

    K is at least 2, because every column has its outside symbol beside at least one other.
    """
    out = np.empty(logits.shape, np.uint16)
    _fill(np.ascontiguousarray(logits), EXP2, out)
    return out
