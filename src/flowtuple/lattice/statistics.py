"""Statistics of one column in one pass: range, spread, special values and its exact grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from flowtuple.data.schema import Array, bit_patterns
from flowtuple.lattice.grid import ESCAPE, MANTISSA_BITS, Decimal, Grid, Integers, Ordered

DECIMAL_DIGITS = range(7)
_MAX_SPECIALS = 64
_SAMPLE = 1 << 16


@dataclass
class Statistics:
    """Running statistics of one column; `update` takes the values chunk by chunk, in order.

    Attributes:
        dtype: NumPy dtype name of the column.
        count: Values seen.
        finite: Finite values seen.
        low: Smallest finite value, `None` before the first.
        high: Largest finite value.
        specials: Count of NaNs, infinities and -0.0 by bit pattern, for the first 64 patterns.
        digits: Numbers of decimal digits at which every finite value is an exact decimal so far.
    """

    dtype: str
    count: int = 0
    finite: int = 0
    low: float | int | None = None
    high: float | int | None = None
    specials: dict[int, int] = field(default_factory=dict)
    digits: tuple[int, ...] = tuple(DECIMAL_DIGITS)
    _mantissa_bits: int = 0
    _origin: float = 0.0
    _mean: float = 0.0
    _squares: float = 0.0
    _samples: list[Array] = field(default_factory=list)

    def update(self, values: Array) -> None:
        """Add the next values, shape (n,), of the column's dtype."""
        self.count += len(values)
        if values.dtype.kind == "f":
            special = ~np.isfinite(values) | ((values == 0) & np.signbit(values))
            if special.any():
                self._count_specials(values[special])
                values = values[np.isfinite(values)]
        if len(values):
            # min may return -0.0 or 0.0 where both occur; adding zero makes it 0.0.
            zero = values.dtype.type(0)
            low, high = (values.min() + zero).item(), (values.max() + zero).item()
            self.low = low if self.low is None else min(self.low, low)
            self.high = high if self.high is None else max(self.high, high)
            self._add_moments(values.astype(np.float64))
            # Every k-th value of a chunk; every second of all is dropped when there are too many.
            self._samples.append(values[:: max(1, len(values) * 8 // _SAMPLE)].copy())
            if sum(map(len, self._samples)) > _SAMPLE:
                self._samples = [np.concatenate(self._samples)[::2]]
            if values.dtype.kind == "f":
                self._refine_exact_grid(values)

    def _count_specials(self, specials: Array) -> None:
        patterns, counts = np.unique(bit_patterns(specials), return_counts=True)
        for pattern, count in zip(patterns.tolist(), counts.tolist(), strict=True):
            if pattern in self.specials or len(self.specials) < _MAX_SPECIALS:
                self.specials[pattern] = self.specials.get(pattern, 0) + count

    def _add_moments(self, x: Array) -> None:
        """Update mean and squared deviations, counted from the first value (Chan et al.)."""
        if not self.finite:
            self._origin = float(x[0])
        with np.errstate(over="ignore", invalid="ignore"):
            x = x - self._origin
            mean = float(x.mean())
            squares = float(((x - mean) ** 2).sum())
            total = self.finite + len(x)
            delta = mean - self._mean
            self._squares += (
                squares + delta**2 * self.finite * len(x) / total
                if self.finite
                else squares
            )
            self._mean += delta * len(x) / total
        self.finite = total

    def _refine_exact_grid(self, values: Array) -> None:
        bits = MANTISSA_BITS[self.dtype]
        mantissas = bit_patterns(values) & np.array(
            2**bits - 1, dtype=f"u{values.dtype.itemsize}"
        )
        self._mantissa_bits |= int(np.bitwise_or.reduce(mantissas))
        for head in (values[:256], values):
            self.digits = tuple(
                d for d in self.digits if _is_exact(Decimal(self.dtype, d), head)
            )

    @property
    def std(self) -> float:
        """Population standard deviation of the finite values, NaN where undefined."""
        return math.sqrt(self._squares / self.finite) if self.finite else math.nan

    @property
    def trailing_zeros(self) -> int:
        """Mantissa bits that are zero in every finite value."""
        bits = MANTISSA_BITS[self.dtype]
        if not self._mantissa_bits:
            return bits if self.finite else 0
        return (self._mantissa_bits & -self._mantissa_bits).bit_length() - 1

    @property
    def sample(self) -> Array:
        """At most 65,536 finite values from all chunks, evenly strided within each."""
        return np.concatenate(self._samples) if self._samples else np.empty(0, self.dtype)

    def exact_grid(self) -> Grid:
        """Return the coarsest grid that holds every finite value exactly."""
        if self.dtype not in MANTISSA_BITS:
            return Integers(self.dtype)
        patterns = Ordered(self.dtype, self.trailing_zeros)
        if not (self.finite and self.digits):
            return patterns
        # Large floats are exact decimals, too, of finer spacing than their own.
        decimal = Decimal(self.dtype, self.digits[0])
        spacings = [log_spacing(grid, self.sample) for grid in (decimal, patterns)]
        return decimal if spacings[0] >= spacings[1] else patterns

    def frequent(self) -> list[int]:
        """Return bit patterns of values other than zero that are 0.5 % of the sample, at least 8.

        Decoded values give the same answer and perhaps more of them.
        """
        values, counts = np.unique(self.sample, return_counts=True)
        often = (counts >= max(8, 0.005 * len(self.sample))) & (values != 0)
        return sorted(bit_patterns(values[often]).tolist())

    def sentinels(self, grid: Grid | None = None) -> list[int]:
        """Return bit patterns of finite values far more frequent than their neighbours, in order.

        A sentinel is at least 0.5 % of the sample (and 8 values), and eight times as frequent as a
        typical occupied cell near it: points of a coarse lattice are frequent, but alike. The cells
        are those of the grid that will be used, so that decoded values give the same answer. There
        are at most 200 shares of 0.5 %. A lower limit would break that sameness: values moved to an
        end of the range become frequent there, and would replace another sentinel.

        Args:
            grid: The grid that will be used; `None` for the exact one.
        """
        sample = np.sort(self.sample)
        used = grid or self.exact_grid()
        values, counts = np.unique(sample, return_counts=True)
        cells, occupants = np.unique(used.index(sample), return_counts=True)
        frequent = counts >= max(8, 0.005 * len(sample))
        if grid is not None:
            frequent &= bit_patterns(grid.value(grid.index(values))) != bit_patterns(
                values
            )
        sentinels = []
        for k in np.flatnonzero(frequent):
            place = int(np.searchsorted(cells, used.index(values[k : k + 1])[0]))
            around = np.delete(occupants[max(0, place - 4) : place + 5], min(place, 4))
            if len(around) and counts[k] > 8 * np.median(around):
                sentinels.append(int(bit_patterns(values[k : k + 1])[0]))
        return sorted(sentinels)


def _is_exact(grid: Grid, values: Array) -> bool:
    indices = grid.index(values)
    return bool(
        (np.abs(indices) < 2**52).all() and np.array_equal(grid.value(indices), values)
    )


def log_spacing(grid: Grid, sample: Array) -> float:
    """Return the mean log2 of the spacing around the non-zero values of a sample."""
    sample = sample[sample != 0][:4096]
    q = grid.index(sample)
    if not len(sample) or (q == ESCAPE).all():
        return -math.inf
    q = q[q != ESCAPE]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        low, high = (
            grid.value(q - 1).astype(np.float64),
            grid.value(q + 1).astype(np.float64),
        )
        spacing = np.log2((high - low) / 2)
    spacing = spacing[np.isfinite(spacing)]
    return float(spacing.mean()) if len(spacing) else -math.inf
