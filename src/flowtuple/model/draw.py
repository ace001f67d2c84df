"""Random numbers by counter: a draw depends on seed, column, event and object alone.

So the same seed gives the same events on any machine, in any block, with any number of threads. The
mixing function is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). All arithmetic is
that of 64-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    """Return floor(u most / 2^64) for uniform 64-bit u; 0 if `most` is 2^64 itself."""
    low, high = u & uint64(0xFFFFFFFF), u >> uint64(32)
    a, b = most & uint64(0xFFFFFFFF), most >> uint64(32)
    middle = high * a + ((low * a) >> uint64(32))
    carry = (middle & uint64(0xFFFFFFFF)) + low * b
    return high * b + (middle >> uint64(32)) + (carry >> uint64(32))


@compiled()
def _fill_edges(logits: Any, exp2: Any, banned: Any, edges: Any) -> None:
    weights = np.empty(logits.shape[1], np.int32)
    for i in range(len(logits)):
        reciprocal = weigh(logits[i], exp2, weights)
        for k in range(len(weights)):
            frequency = uint64(0) if banned[k] else share(weights[k], reciprocal)
            edges[i, k + 1] = edges[i, k] + frequency


@compiled()
def _find(edges: Any, slot: Any, symbol: Any) -> None:
    for i in range(len(slot)):
        row = edges[min(i, len(edges) - 1)]
        symbol[i] = np.searchsorted(row, slot[i], side="right") - 1 if row[-1] else 0


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

    @cached_property
    def edges(self) -> Array:
        """Ends of the symbols in the sum of the frequencies of all that can be drawn.

        int32, shape (n, K + 1), or (1, K + 1) for equal rows. Escapes and the outside symbol, which
        stands for any index, are never drawn.
        """
        banned = self.bins.starts == ESCAPE
        banned[-1] = True
        edges = np.zeros((len(self.logits), self.bins.symbols + 1), np.int32)
        _fill_edges(np.ascontiguousarray(self.logits), EXP2, banned, edges)
        return edges

    def at(self, slot: Array) -> Array:
        """Return the symbol of each row in which a place of the sum lies, int64."""
        symbol = np.empty(len(slot), np.int64)
        _find(self.edges, slot, symbol)
        return symbol

    def interval(self, symbol: Array) -> tuple[Array, Array]:
        """Return the edge where a symbol of each row begins, and its frequency."""
        edges = np.broadcast_to(self.edges, (len(symbol), self.edges.shape[1]))
        begin, end = np.take_along_axis(edges, symbol[:, None] + np.arange(2), axis=1).T
        return begin, end - begin

    def index(self, symbol: Array, place: Array) -> Array:
        """Return the index at a place, uint64, in the bin of a symbol."""
        return self.bins.starts[symbol] + place.view(np.int64)


def draw(distribution: Distribution, key: int, event: Array, number: Array) -> Array:
    """Draw u and return its indices: a symbol by its probability, uniform within its bin.

    Args:
        distribution: Of n rows.
        key: From `column_key`.
        event: Number of each row's event, counted over all that are drawn, shape (n,).
        number: Number of each row's object in its event, shape (n,).

    Returns:
        int64, shape (n,).
    """
    random = _random(key, event, number)
    total = distribution.edges[:, -1].astype(uint64)
    symbol = distribution.at(_below(random, total).view(np.int64))
    width = distribution.bins.spans[symbol] + uint64(1)
    return distribution.index(symbol, _below(_mix(random + uint64(_GAMMA)), width))


def cdf(distribution: Distribution, q: Array) -> Array:
    """Measure u of indices, int64 of shape (n,): the middle of each index's interval in (0, 1).

    Returns:
        float64, shape (n,), NaN for an index that is never drawn; see `inverse_cdf`.
    """
    bins = distribution.bins
    symbols = bins.symbol(q)
    begin, frequency = distribution.interval(symbols)
    place = (q - bins.starts[symbols]).astype(np.float64) + 0.5
    inside = place / (bins.spans[symbols].astype(np.float64) + 1)
    u = (begin + inside * frequency) / distribution.edges[:, -1]
    return np.where(frequency > 0, u, np.nan)


def inverse_cdf(distribution: Distribution, u: Array) -> Array:
    """Invert the conditional CDF at given u in [0, 1), shape (n,): int64 indices; see `cdf`."""
    slot = u * distribution.edges[:, -1]
    symbol = distribution.at(slot)
    begin, frequency = distribution.interval(symbol)
    part = np.minimum((slot - begin) / np.maximum(frequency, 1), 1.0)
    width = distribution.bins.spans[symbol]
    place = (part * (width.astype(np.float64) + 1.0)).astype(uint64)
    return distribution.index(symbol, np.minimum(place, width))
