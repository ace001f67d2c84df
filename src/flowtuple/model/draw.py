"""Random numbers by counter: a draw depends on seed, column, event and object alone.

So the same seed gives the same events on any machine, in any block, with any number of threads. The
mixing function is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). All arithmetic is
that of 64-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy import uint64

from flowtuple.codec.frequencies import EXP2, share, weigh
from flowtuple.data.schema import Array
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.grid import ESCAPE
from flowtuple.runtime.compiled import compiled

_GAMMA = 0x9E3779B97F4A7C15


@compiled()
def _mix(x: Any) -> Any:
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))


@compiled()
def _below(u: Any, most: Any) -> Any:
    """Return floor(u most / 2^64) for a uniform 64-bit u; 0 if `most` is 2^64 itself."""
    low, high = u & uint64(0xFFFFFFFF), u >> uint64(32)
    a, b = most & uint64(0xFFFFFFFF), most >> uint64(32)
    middle = high * a + ((low * a) >> uint64(32))
    carry = (middle & uint64(0xFFFFFFFF)) + low * b
    return high * b + (middle >> uint64(32)) + (carry >> uint64(32))


@compiled()
def _allowed_total(weights: Any, reciprocal: Any, banned: Any) -> Any:
    """Return the sum of the frequencies of symbols that can be drawn; never the last one."""
    total = uint64(0)
    for k in range(len(weights) - 1):
        if not banned[k]:
            total += share(weights[k], reciprocal)
    return total


@compiled()
def _pick(weights: Any, reciprocal: Any, banned: Any, slot: Any) -> Any:
    """Return the symbol of a slot among all that can be drawn, its frequency, and the rest."""
    symbol = 0
    frequency = uint64(0)
    for k in range(len(weights) - 1):
        if not banned[k]:
            slot -= frequency
            symbol = k
            frequency = share(weights[k], reciprocal)
            if slot < frequency:
                break
    return symbol, frequency, slot


@compiled()
def _draw(
    logits: Any, exp2: Any, starts: Any, spans: Any, banned: Any, random: Any, q: Any
) -> None:
    weights = np.empty(logits.shape[1], np.int32)
    reciprocal = uint64(0)
    for i in range(len(q)):
        if i < len(logits):
            reciprocal = weigh(logits[i], exp2, weights)
        total = _allowed_total(weights, reciprocal, banned)
        symbol, _, _ = _pick(weights, reciprocal, banned, _below(random[i], total))
        place = _below(_mix(random[i] + uint64(_GAMMA)), spans[symbol] + uint64(1))
        q[i] = np.int64(uint64(starts[symbol]) + place)


@compiled()
def _allowed(
    logits: Any, exp2: Any, banned: Any, symbols: Any, below: Any, frequency: Any, total: Any
) -> None:
    last = logits.shape[1] - 1
    weights = np.empty(last + 1, np.int32)
    reciprocal = uint64(0)
    for i in range(len(symbols)):
        if i < len(logits):
            reciprocal = weigh(logits[i], exp2, weights)
        for k in range(last):
            if not banned[k]:
                f = share(weights[k], reciprocal)
                total[i] += f
                below[i] += f if k < symbols[i] else uint64(0)
                frequency[i] += f if k == symbols[i] else uint64(0)


@compiled()
def _locate(
    logits: Any, exp2: Any, starts: Any, spans: Any, banned: Any, u: Any, q: Any
) -> None:
    weights = np.empty(logits.shape[1], np.int32)
    reciprocal = uint64(0)
    for i in range(len(q)):
        if i < len(logits):
            reciprocal = weigh(logits[i], exp2, weights)
        total = _allowed_total(weights, reciprocal, banned)
        slot = u[i] * np.float64(total)
        symbol, frequency, rest = _pick(weights, reciprocal, banned, slot)
        part = min(rest / np.float64(max(frequency, uint64(1))), 1.0)
        width = spans[symbol]
        place = uint64(part * (np.float64(width) + 1.0))
        q[i] = np.int64(uint64(starts[symbol]) + min(place, width))


def uniform(key: int, event: Array, number: Array) -> Array:
    """Return numbers above 0 and below 1 by event and number: float64 of shape (n,).

    Args:
        key: From `column_key`.
        event: Number of each row's event, counted over all that are drawn, shape (n,).
        number: Number of each row's object in its event, shape (n,).

    Example:
        >>> u = uniform(7, np.arange(3), np.zeros(3))
        >>> bool((u[1:] == uniform(7, np.array([1, 2]), np.zeros(2))).all())
        True
    """
    # 52 bits and a half: with a 53rd bit the half would be lost and the result could be 1.
    return ((_random(key, event, number) >> 12).astype(np.float64) + 0.5) * 2.0**-52


def _random(key: int, event: Array, number: Array) -> Array:
    """Return the 64-bit random number of each object."""
    mixed = _mix(uint64(key) + event.astype(uint64) * uint64(_GAMMA))
    random: Array = _mix(mixed + number.astype(uint64) * uint64(_GAMMA))
    return random


def column_key(seed: int, table: str, column: str) -> int:
    """Return the start of a column's random numbers."""
    return int(xxhash.xxh3_64_intdigest(f"{table}/{column}".encode(), seed=seed))


@dataclass(frozen=True, eq=False)
class Distribution:
    """The conditional distributions of some rows.

    Attributes:
        logits: int16, shape (n, K), or (1, K) for n equal rows.
        bins: Indices of each symbol.
    """

    logits: Array
    bins: Bins

    @property
    def _arguments(self) -> tuple[Array, Array, Array, Array, Array]:
        """Logits, weights by difference of logits, first indices, widths, and symbols not drawn."""
        is_escape = self.bins.starts == ESCAPE
        logits = np.ascontiguousarray(self.logits)
        return logits, EXP2, self.bins.starts, self.bins.spans, is_escape


def draw(distribution: Distribution, key: int, event: Array, number: Array) -> Array:
    """Draw u and return its indices: a symbol by its probability, uniform within its bin.

    Escapes are never drawn, nor is the outside symbol, which stands for any index.

    Args:
        distribution: Of n rows.
        key: From `column_key`.
        event: Number of each row's event, counted over all that are drawn, shape (n,).
        number: Number of each row's object in its event, shape (n,).

    Returns:
        int64, shape (n,).
    """
    q = np.empty(len(event), np.int64)
    _draw(*distribution._arguments, _random(key, event, number), q)
    return q


def cdf(distribution: Distribution, q: Array) -> Array:
    """Measure u of indices, int64 of shape (n,): the middle of each index's interval in (0, 1).

    Returns:
        float64, shape (n,), NaN for an index that is never drawn; see `inverse_cdf`.
    """
    bins = distribution.bins
    symbols = bins.symbol(q)
    logits, exp2, _, _, is_escape = distribution._arguments
    below, frequency, total = (np.zeros(len(q), np.uint64) for _ in range(3))
    _allowed(logits, exp2, is_escape, symbols, below, frequency, total)
    place = (q - bins.starts[symbols]).astype(np.float64) + 0.5
    inside = place / (bins.spans[symbols].astype(np.float64) + 1)
    u: Array = (below + inside * frequency) / total
    return np.where(frequency > 0, u, np.nan)


def inverse_cdf(distribution: Distribution, u: Array) -> Array:
    """Invert the conditional CDF at given u in [0, 1), shape (n,): int64 indices; see `cdf`."""
    q = np.empty(len(u), np.int64)
    _locate(*distribution._arguments, u, q)
    return q
