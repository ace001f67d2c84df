"""Histogram bins that show the bulk of a column."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

_BINS = 60
_SAMPLE = 1_000_000
_LARGEST_DRAWN = 1e100  # matplotlib's own arithmetic overflows not far above


@dataclass(frozen=True)
class Binning:
    """Bins of a histogram.

    Attributes:
        edges: Ascending bin edges, float64.
        sentinels: Repeated values far from all others, such as -999, which are left out of the
            axis.
    """

    edges: Array
    sentinels: tuple[float, ...] = ()


def find_binning(values: Array, integer: bool = False) -> Binning:
    """Return bins of the bulk: from the 0.1 to the 99.9 percentile of finite values.

    Sentinels are left out.

    Args:
        values: Any shape and numeric type; at most a million evenly spaced ones are looked at.
        integer: Centre bins on integers, one or several to a bin.

    Raises:
        InvalidArgument: No value is finite.

    Example:
        >>> find_binning(np.array([3, 4, 4, 5]), integer=True).edges
        array([2.5, 3.5, 4.5, 5.5])
    """
    flat = np.ravel(values)[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        raise InvalidArgument(
            "a column without finite values has no histogram: leave it out"
        )
    sentinels: tuple[float, ...] = ()
    # Where every integer has its own bin, none is a sentinel: flavour 21, for one, is not.
    if not integer or flat.max() - flat.min() >= _BINS:
        flat, sentinels = _drop_sentinels(flat)
    clipped = np.clip(flat, -_LARGEST_DRAWN, _LARGEST_DRAWN)
    low, high = (float(v) for v in np.percentile(clipped, [0.1, 99.9], method="nearest"))
    edges = (
        _integer_edges(low, high)
        if integer
        else _float_edges(low, high, bin_count(flat.size))
    )
    return Binning(edges, sentinels)


def _integer_edges(low: float, high: float) -> Array:
    spacing = np.spacing(max(abs(low), abs(high)))
    width = max(1, math.ceil((high - low + 1) / _BINS), math.ceil(4 * spacing))
    count = math.ceil((high - low + 1) / width)
    edges: Array = low - 0.5 + width * np.arange(count + 1, dtype=np.float64)
    return edges


def _float_edges(low: float, high: float, count: int) -> Array:
    if high - low <= max(1e-12 * max(abs(low), abs(high)), 1e-300):
        margin = max(abs(low) * 0.1, 0.5)
        low, high = low - margin, high + margin
    return np.linspace(low, np.nextafter(high, np.inf), count + 1)


def bin_count(values: int) -> int:
    """Return the number of bins: few for few values, or the histogram shows noise."""
    return min(_BINS, max(12, round(1.5 * math.sqrt(values))))


def _drop_sentinels(values: Array) -> tuple[Array, tuple[float, ...]]:
    """Remove sentinels: repeated end values, further from the others than the range of these."""
    sentinels: list[float] = []
    levels, counts = np.unique(values, return_counts=True)
    for _ in range(8):
        if len(levels) < 3:
            break
        for end, inner in ((0, slice(1, None)), (-1, slice(None, -1))):
            rest = levels[inner]
            with np.errstate(over="ignore"):  # an infinite distance compares as it should
                isolated = abs(levels[end] - rest[end]) > rest[-1] - rest[0]
            if isolated and counts[end] >= max(3, values.size // 2000):
                sentinels.append(float(levels[end]))
                levels, counts = rest, counts[inner]
                break
        else:
            break
    return values[(values >= levels[0]) & (values <= levels[-1])], tuple(
        sorted(sentinels)
    )
