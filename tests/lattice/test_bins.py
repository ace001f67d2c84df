"""Bins: every index has one symbol, and the level that others read of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.grid import ATOM, ESCAPE, ordered_bits

LOWEST, HIGHEST = -(2**63), 2**63 - 1
EDGES = [
    LOWEST,
    LOWEST + 1,
    -(2**62),
    -1,
    0,
    1,
    2**62,
    ATOM - 1,
    ATOM,
    ATOM + 1,
    ESCAPE,
    HIGHEST,
]
INDEX = st.integers(LOWEST, HIGHEST) | st.integers(-50, 50) | st.sampled_from(EDGES)
INDICES = arrays(np.int64, st.integers(1, 200), elements=INDEX)


@st.composite
def bins_of_any_kind(draw: st.DrawFn) -> Bins:
    edges = sorted(set(draw(st.lists(INDEX, min_size=0, max_size=20))))
    first = edges[: len(edges) - len(edges) % 2 : 2]
    last = edges[1::2]
    if edges and draw(st.booleans()):
        first, last = edges, edges
    return Bins(np.array(first, np.int64), np.array(last, np.int64))


def check_bins(bins: Bins) -> None:
    first, last = bins.first.tolist(), bins.last.tolist()
    assert bins.first.dtype == bins.last.dtype == np.int64
    assert all(a <= b for a, b in zip(first, last, strict=True))
    assert all(b < a for b, a in zip(last, first[1:], strict=False))


def slow_symbol(bins: Bins, q: int) -> int:
    inside = [
        k
        for k, (a, b) in enumerate(
            zip(bins.first.tolist(), bins.last.tolist(), strict=True)
        )
        if a <= q <= b
    ]
    assert len(inside) <= 1
    return inside[0] if inside else len(bins.first)


def slow_level(bins: Bins, q: int) -> int:
    k = slow_symbol(bins, q)
    offset, span = q - int(bins.starts[k]), int(bins.spans[k])
    if span >= 2**48:
        offset, span = offset >> 16, span >> 16
    return (k * 256 + offset * 256 // (span + 1)) * 255 // (bins.symbols * 256 - 1)


class TestBins:
    @given(bins=bins_of_any_kind(), q=INDICES)
    def test_symbols(self, bins: Bins, q: np.ndarray) -> None:
        check_bins(bins)
        q = np.concatenate([q, bins.first, bins.last])
        symbols = bins.symbol(q)
        assert bins.symbols == len(bins.starts) == len(bins.spans) == len(bins.first) + 1
        assert (bins.starts.dtype, bins.spans.dtype) == (np.int64, np.uint64)
        assert symbols.tolist() == [slow_symbol(bins, i) for i in q.tolist()]
        for i, k in zip(q.tolist(), symbols.tolist(), strict=True):
            assert 0 <= i - int(bins.starts[k]) <= int(bins.spans[k])

    @given(bins=bins_of_any_kind(), q=INDICES)
    def test_levels(self, bins: Bins, q: np.ndarray) -> None:
        levels = bins.level(q)
        assert levels.dtype == np.uint8
        assert levels.tolist() == [slow_level(bins, i) for i in q.tolist()]
        inside = np.sort(
            np.concatenate([q[bins.symbol(q) < len(bins.first)], bins.first, bins.last])
        )
        assert (np.diff(bins.level(inside).astype(int)) >= 0).all()

    def test_levels_use_their_range(self) -> None:
        bins = fit_bins(np.arange(10_000), 16)
        levels = bins.level(np.arange(10_000))
        assert levels[0] == 0
        assert len(np.unique(levels)) > 200
        assert bins.level(np.array([HIGHEST])) == [255]

    def test_no_bins(self) -> None:
        bins = fit_bins(np.empty(0, np.int64), 16)
        assert bins.symbols == 1
        assert bins.symbol(np.array([LOWEST, 0, HIGHEST])).tolist() == [0, 0, 0]


class TestFit:
    @given(q=INDICES, bins=st.integers(4, 64), copies=st.integers(1, 20))
    def test_any_indices(self, q: np.ndarray, bins: int, copies: int) -> None:
        q = np.concatenate([q, np.repeat(q[:3], copies)])
        self.check_fit(q, bins)

    @given(
        start=st.integers(LOWEST, ATOM - 5000)
        | st.sampled_from([LOWEST, -(2**62), 10**18, 2**62, ATOM - 5000]),
        step=st.integers(1, 20),
        bins=st.integers(4, 64),
    )
    def test_narrow_ranges_far_from_zero(self, start: int, step: int, bins: int) -> None:
        self.check_fit(start + step * np.arange(200), bins)

    @pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 5.0, 1e300])
    @pytest.mark.parametrize("gap", [0.0, 1.0, 10.0])
    def test_bit_patterns_of_both_signs(self, scale: float, gap: float) -> None:
        rng = np.random.default_rng(0)
        x = rng.choice([-1, 1], 3000) * (gap + rng.exponential(1, 3000)) * scale
        self.check_fit(ordered_bits(x), 24)

    def test_two_far_clusters(self) -> None:
        self.check_fit(
            np.concatenate([LOWEST + np.arange(50), 2**62 + np.arange(50)]), 24
        )

    @staticmethod
    def check_fit(q: np.ndarray, count: int) -> None:
        bins = fit_bins(q, count)
        check_bins(bins)
        assert (bins.symbol(q) < len(bins.first)).all(), "a fitted index has no bin"
        special = np.unique(q[q >= ATOM])
        own = bins.symbol(special)
        assert (bins.spans[own] == 0).all()
        assert np.array_equal(bins.starts[own], special)
        used = np.bincount(bins.symbol(q), minlength=bins.symbols)[:-1]
        assert (used > 0).all(), "a bin is empty"
        assert len(bins.first) - len(special) <= 2 * count + 4

    def test_few_values_are_points(self) -> None:
        bins = fit_bins(np.array([5, 5, -3, 900, ESCAPE, ATOM + 1]), 8)
        assert bins.first.tolist() == bins.last.tolist() == [-3, 5, 900, ATOM + 1, ESCAPE]

    def test_frequent_values_are_points(self) -> None:
        rng = np.random.default_rng(1)
        q = np.concatenate([rng.integers(-10_000, 10_000, 5000), np.full(1000, 77)])
        bins = fit_bins(q, 24)
        k = bins.symbol(np.array([77]))[0]
        assert (bins.starts[k], bins.spans[k]) == (77, 0)
        assert bins.symbols > 12

    def test_order_does_not_matter(self) -> None:
        q = np.random.default_rng(2).integers(-1000, 1000, 4000)
        one, other = fit_bins(q, 32), fit_bins(q[::-1].copy(), 32)
        assert np.array_equal(one.first, other.first)
        assert np.array_equal(one.last, other.last)
