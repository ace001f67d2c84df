"""Bins: the symbols of a column's indices, and the 8-bit levels that other columns read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy import uint64

from flowtuple.data.schema import Array
from flowtuple.lattice.grid import ATOM
from flowtuple.runtime.compiled import compiled

LEVELS = 256
FIRST_ABSOLUTE = 2**60
"""First of the absolute indices among residuals; no bin crosses it."""

_FINE = 1024
_EVERYTHING = (-(2**63), 2**63 - 1)


@compiled()
def _symbol(q: Any, first: Any, last: Any) -> Any:
    """Return the bin of an index, by bisection; the number of bins where it lies in none."""
    count = len(first)
    k = 0
    if count == 0 or q < first[0]:
        return count
    while count > 1:
        half = count >> 1
        # A conditional move, not a branch: the processor could not predict it.
        k = k + half if first[k + half] <= q else k
        count -= half
    return k if q <= last[k] else len(first)


@compiled()
def _fill_symbols(q: Any, first: Any, last: Any, out: Any) -> None:
    for i in range(len(q)):
        out[i] = _symbol(q[i], first, last)


@compiled()
def _fill_levels(
    q: Any, first: Any, last: Any, starts: Any, spans: Any, levels: Any, out: Any
) -> None:
    for i in range(len(q)):
        k = _symbol(q[i], first, last)
        offset = uint64(q[i]) - uint64(starts[k])
        span = spans[k]
        if span == uint64(0):
            out[i] = levels[k << 8]
            continue
        # From 2^48 on, the product below would exceed 64 bits.
        if span >= uint64(281474976710656):
            offset = offset >> uint64(16)
            span = span >> uint64(16)
        within = (offset << uint64(8)) // (span + uint64(1))
        out[i] = levels[(k << 8) + np.int64(within)]


@dataclass(frozen=True, eq=False)
class Bins:
    """Disjoint intervals of indices, and one more symbol for all other indices.

    Symbol k < K stands for the indices first[k] to last[k], both included. The last symbol, the
    outside one, stands for any int64, so that every index has a symbol.

    Attributes:
        first: int64, shape (K,), increasing.
        last: int64, shape (K,), first[k] <= last[k] < first[k + 1].
    """

    first: Array
    last: Array

    @property
    def symbols(self) -> int:
        """Number of symbols, K + 1."""
        return len(self.first) + 1

    @cached_property
    def starts(self) -> Array:
        """First index of every symbol, including the outside one: int64, shape (K + 1,)."""
        return np.append(self.first, np.int64(_EVERYTHING[0]))

    @cached_property
    def spans(self) -> Array:
        """Width - 1 of every symbol, including the outside one: uint64, shape (K + 1,)."""
        return np.append((self.last - self.first).view(np.uint64), uint64(2**64 - 1))

    @cached_property
    def _levels(self) -> Array:
        """Level of each 256th of each symbol: uint8, shape (256 (K + 1),)."""
        position = np.arange(self.symbols * LEVELS)
        levels: Array = (position * (LEVELS - 1) // (self.symbols * LEVELS - 1)).astype(
            np.uint8
        )
        return levels

    def symbol(self, q: Array) -> Array:
        """Return the symbol of each index: int64, the shape of q."""
        out = np.empty(q.shape, np.int64)
        _fill_symbols(np.ascontiguousarray(q), self.first, self.last, out)
        return out

    def level(self, q: Array) -> Array:
        """Return the position of each index in the marginal distribution as uint8.

        The symbols share the 256 levels evenly, and the indices of a bin share its levels. The
        arithmetic is that of integers.
        """
        out = np.empty(q.shape, np.uint8)
        _fill_levels(
            np.ascontiguousarray(q),
            self.first,
            self.last,
            self.starts,
            self.spans,
            self._levels,
            out,
        )
        return out


def fit_bins(q: Array, bins: int, binade: int = 0, tail_share: float = 0.4) -> Bins:
    """Place at most about `bins` bins on a sample of indices.

    Frequent indices and atoms get bins of their own. The others share bins of equal measure
    p^(1-t) w^t, where p is the share of the sample, w the width and t the `tail_share`. Quantiles
    (t = 0) would leave bins in the tails that are far wider than the density there is flat.

    Args:
        q: int64 indices, shape (n,), any order.
        bins: Approximate largest number of bins for the ordinary indices.
        binade: Indices per power of two on grids whose cells double there, 0 on other grids. The
            density per index jumps at such a place, which becomes an edge where both sides are
            filled.
        tail_share: The exponent t; on jets, 0.4 saves 0.03 bits per value at 32 bins compared with
            0.
    """
    special = np.unique(q[q >= ATOM])
    parts = [_fit_ordinary(*part, binade, tail_share) for part in _shares(q, bins)]
    return Bins(*map(np.concatenate, zip(*parts, (special, special), strict=True)))


def _shares(q: Array, bins: int) -> list[tuple[Array, int]]:
    """Return sorted residuals and absolute indices, each with its share of the bins."""
    ordinary = np.sort(q[q < ATOM])
    edge = int(np.searchsorted(ordinary, FIRST_ABSOLUTE))
    if edge in (0, len(ordinary)):
        return [(ordinary, bins)]
    share = int(np.clip(round(bins * edge / len(ordinary)), 8, bins - 8))
    return [(ordinary[:edge], share), (ordinary[edge:], bins - share)]


def _fit_ordinary(
    ordinary: Array, bins: int, binade: int, tail_share: float
) -> tuple[Array, Array]:
    """Return first and last indices of bins of equal measure without empty ones.

    Frequent values have bins of their own.
    """
    values, counts = np.unique(ordinary, return_counts=True)
    if len(values) <= bins:
        return values, values
    jumps = np.empty(0, np.int64)
    if binade:
        # The edges of binades that contain at least half a bin's share.
        binades, members = np.unique(ordinary // binade, return_counts=True)
        jumps = binades[members * 2 * bins >= len(ordinary)]
        jumps = np.unique(np.concatenate([jumps, jumps + 1])) * binade
    points = values[counts * bins >= len(ordinary)]
    edges = _equal_measure(
        ordinary, max(bins - len(points) - len(jumps) // 2, 4), tail_share
    )
    edges = np.unique(np.concatenate([edges, points, points + 1, jumps]))
    filled = np.diff(np.searchsorted(ordinary, edges)) > 0
    return edges[:-1][filled], edges[1:][filled] - 1


def _equal_measure(ordinary: Array, bins: int, tail_share: float) -> Array:
    """Return the edges of bins of equal measure: one fine histogram, then interpolation."""
    n = len(ordinary)
    fine = np.unique(
        np.append(ordinary[(np.arange(_FINE) * n) // _FINE], ordinary[-1] + 1)
    )
    share = np.diff(np.searchsorted(ordinary, fine)) / n
    # int64 differences may wrap; read as uint64 they are right.
    width = np.diff(fine).view(np.uint64).astype(np.float64)
    measure = share ** (1 - tail_share) * (width / width.sum()) ** tail_share
    cumulative = np.concatenate([[0.0], np.cumsum(measure)]) / measure.sum()
    place = np.searchsorted(cumulative, np.arange(1, bins) / bins, side="right") - 1
    fraction = (np.arange(1, bins) / bins - cumulative[place]) / np.diff(cumulative)[
        place
    ]
    offset = (np.clip(fraction, 0, 1 - 2.0**-20) * width[place]).astype(np.uint64)
    inner = (fine[place].view(np.uint64) + offset).view(np.int64)
    return np.concatenate([fine[:1], inner, fine[-1:]])
