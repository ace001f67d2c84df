"""Random numbers by counter: a draw depends on seed, column, event and object alone.

So the same seed gives the same events on any machine, in any block, with any number of threads. The
mixing function is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). All arithmetic is
that of 64-bit integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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


@compiled()
def _random(key: Any, event: Any, number: Any) -> Any:
    """Return the 64-bit random number of an object."""
    mixed = _mix(key + uint64(event) * uint64(_GAMMA))
    return _mix(mixed + uint64(number) * uint64(_GAMMA))


@compiled()
def _fill_uniform(keys: Any, event: Any, number: Any, out: Any) -> None:
    for i in range(len(event)):
        for a in range(len(keys)):
            # 52 bits and a half: with a 53rd bit the half would be lost, and 1 would be possible.
            bits = _random(keys[a], event[i], number[i]) >> uint64(12)
            out[i, a] = (np.float64(bits) + 0.5) * 2.0**-52


@compiled()
def _fill_indices(
    logits: Any, exp2: Any, banned: Any, starts: Any, spans: Any,
    keys: Any, event: Any, number: Any, out: Any,
) -> None:  # fmt: skip
    """Draw an index by each key for each row; a row of logits is summed only once."""
    weights = np.empty(logits.shape[1], np.int32)
    ends = np.zeros(logits.shape[1], np.int64)
    for i in range(len(event)):
        if i < len(logits):
            reciprocal = weigh(logits[i], exp2, weights)
            for k in range(len(weights)):
                ends[k] = uint64(0) if banned[k] else share(weights[k], reciprocal)
            for k in range(1, len(weights)):
                ends[k] += ends[k - 1]
        for a in range(len(keys)):
            random = _random(keys[a], event[i], number[i])
            slot = np.int64(_below(random, uint64(ends[-1])))
            # Where all symbols are banned, the first one stands for any.
            symbol = np.searchsorted(ends, slot, side="right") % len(ends)
            place = _below(_mix(random + uint64(_GAMMA)), spans[symbol] + uint64(1))
            out[i, a] = starts[symbol] + np.int64(place)


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
    numbers: Array = uniform_by_keys([key], event, number)[:, 0]
    return numbers


def uniform_by_keys(keys: Sequence[int], event: Array, number: Array) -> Array:
    """Return the numbers of `uniform` for several keys: float64 of shape (n, keys)."""
    out = np.empty((len(event), len(keys)))
    _fill_uniform(
        np.array(keys, uint64), event.astype(uint64), number.astype(uint64), out
    )
    return out


@cache
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

    def some(self, at: Array) -> Distribution:
        """Return the distributions of some rows."""
        return self if len(self.logits) == 1 else Distribution(self.logits[at], self.bins)

    @property
    def banned(self) -> Array:
        """Marks of symbols never drawn: escapes, and the outside one, which is any index."""
        banned: Array = self.bins.starts == ESCAPE
        banned[-1] = True
        return banned

    @cached_property
    def edges(self) -> Array:
        """Ends of the symbols in the sum of the frequencies of all that can be drawn.

        int32, shape (n, K + 1), or (1, K + 1) for equal rows.
        """
        edges = np.zeros((len(self.logits), self.bins.symbols + 1), np.int32)
        _fill_edges(np.ascontiguousarray(self.logits), EXP2, self.banned, edges)
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
    indices: Array = draw_by_keys(distribution, [key], event, number)[:, 0]
    return indices


def draw_by_keys(
    distribution: Distribution, keys: Sequence[int], event: Array, number: Array
) -> Array:
    """Return the indices that `draw` draws by several keys: int64 of shape (n, keys)."""
    out = np.empty((len(event), len(keys)), np.int64)
    _fill_indices(
        np.ascontiguousarray(distribution.logits),
        EXP2,
        distribution.banned,
        distribution.bins.starts,
        distribution.bins.spans,
        np.array(keys, uint64),
        event.astype(uint64),
        number.astype(uint64),
        out,
    )
    return out


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
