"""Grids, lattices and statistics: laws over every kind and type, and slow exact references."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column, bit_patterns
from flowtuple.errors import Corrupt
from flowtuple.lattice.grid import (
    ATOM,
    ESCAPE,
    MANTISSA_BITS,
    Binades,
    Decimal,
    Grid,
    Integers,
    Mantissas,
    Ordered,
    Uniform,
    from_ordered_bits,
    grid_from_json,
    ordered_bits,
    relative_grid,
)
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.statistics import Statistics

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SENTINEL = -999.123


@dataclass(frozen=True)
class Case:
    """A grid and the bound that it is there to keep."""

    grid: Grid
    bound: Bound


def grid_cases() -> dict[str, Case]:
    cases = {
        f"ordered-{d}-{s}": Case(Ordered(d, s), Bound()) for d in FLOATS for s in (0, 7)
    }
    for dtype in FLOATS:
        for e in (0.3, 0.5, 1e-3, 3e-5, 7e4):
            cases[f"uniform-{dtype}-{e}"] = Case(Uniform(dtype, e), Bound("abs", e))
        for digits in (0, 1, 3, 6):
            cases[f"decimal-{dtype}-{digits}"] = Case(Decimal(dtype, digits), Bound())
        for bits in (0, 1, 7, MANTISSA_BITS[dtype]):
            cases[f"mantissas-{dtype}-{bits}"] = Case(
                Mantissas(dtype, bits), Bound("bits", float(bits))
            )
        for r in (0.5, 0.1, 1e-2, 3e-3):
            cases[f"binades-{dtype}-{r}"] = Case(Binades(dtype, r), Bound("rel", r))
    for dtype, r in [
        ("float16", 1e-3),
        ("float32", 1e-5),
        ("float32", 1.3e-7),
        ("float64", 1e-5),
        ("float64", 4e-9),
    ]:
        cases[f"relative-{dtype}-{r}"] = Case(relative_grid(dtype, r), Bound("rel", r))
    for dtype in INTEGERS:
        for e in (0, 1, 5, 100):
            cases[f"integers-{dtype}-{e}"] = Case(
                Integers(dtype, 2 * e + 1), Bound("abs", float(e)) if e else Bound()
            )
    cases["integers-bool-0"] = Case(Integers("bool"), Bound())
    return cases


CASES = grid_cases()


def values_of(dtype: str, special: bool = False) -> st.SearchStrategy[np.ndarray]:
    """Short arrays: hypothesis' own choice, ordinary magnitudes, and the extremes of the type."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info = np.finfo(kind)
        width = 8 * kind.itemsize
        edges = [
            0.0,
            info.max,
            -info.max,
            info.tiny,
            -info.tiny,
            info.smallest_subnormal,
            -info.smallest_subnormal,
            -0.0,
        ]
        elements = (
            from_dtype(kind, allow_nan=special, allow_infinity=special)
            | st.floats(-1000, 1000, width=width)
            | st.sampled_from([float(e) for e in edges])
            | st.integers(-1000, 1000).map(float)
        )
    elif kind.kind == "b":
        elements = st.booleans()
    else:
        limits = np.iinfo(kind)
        edges = [
            limits.min,
            limits.min + 1,
            limits.max - 1,
            limits.max,
            limits.max // 2,
            0,
            1,
        ]
        elements = (
            from_dtype(kind)
            | st.sampled_from(edges)
            | st.integers(max(limits.min, -100), 100)
        )
    return arrays(kind, st.integers(1, 24), elements=elements)


def finite(x: np.ndarray) -> np.ndarray:
    """Finite values other than -0.0, which every grid must represent."""
    return x[np.isfinite(x) & ~((x == 0) & np.signbit(x))] if x.dtype.kind == "f" else x


def exactly_within(bound: Bound, x: float | int, y: float | int) -> bool:
    """The bound in rational numbers, but for the roundings of the float64 difference that it is
    defined by.
    """
    before, after = Fraction(x), Fraction(y)
    if bound.kind == "lossless":
        return before == after
    limit = Fraction(bound.amount)
    if bound.kind == "rel":
        limit *= abs(before)
    elif bound.kind == "bits":
        exponent = math.frexp(x)[1] if x else 0
        limit = Fraction(2) ** (exponent - 2 - int(bound.amount))
    return abs(after - before) <= limit * (1 + Fraction(1, 2**51)) + Fraction(1, 2**1075)


def statistics_of(x: np.ndarray, chunks: int = 1) -> Statistics:
    statistics = Statistics(str(x.dtype))
    for part in np.array_split(x, chunks):
        statistics.update(part)
    return statistics


def lattice_of(x: np.ndarray, bound: str) -> Lattice:
    return resolve(Column("x", str(x.dtype)), Bound.parse(bound), statistics_of(x))


def there_and_back(lattice: Lattice, x: np.ndarray) -> np.ndarray:
    q = lattice.encode(x)
    assert q.dtype == np.int64
    y = lattice.decode(q, x[q == ESCAPE])
    assert y.dtype == x.dtype
    return y


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(bit_patterns(a), bit_patterns(b))


class TestGridLaws:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", CASES)
    @settings(max_examples=20)
    @given(data=st.data())
    def test_laws(self, name: str, data: st.DataObject) -> None:
        case = CASES[name]
        grid, bound = case.grid, case.bound
        x = np.sort(finite(data.draw(values_of(grid.dtype))))
        q = grid.index(x)
        assert q.dtype == np.int64
        assert (np.diff(q[q < ATOM].astype(object)) >= 0).all(), "index is not monotone"
        inside = Lattice(grid.dtype, bound, grid).encode(x) < ATOM
        x, q = x[inside], q[inside]
        y = grid.value(q)
        assert y.dtype == x.dtype
        assert all(
            exactly_within(bound, a, b)
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        )
        assert np.array_equal(grid.index(y), q), "a grid point is not its own point"
        one_by_one = np.array(
            [grid.value(q[k : k + 1])[0] for k in range(len(q))], grid.dtype
        )
        assert same_bits(one_by_one, y), "a value depends on its neighbours"

    @pytest.mark.parametrize("name", CASES)
    def test_json(self, name: str) -> None:
        grid = CASES[name].grid
        assert grid_from_json(json.loads(json.dumps(grid.to_json()))) == grid

    @pytest.mark.parametrize(
        "data",
        [
            {"kind": "cubes", "dtype": "float32"},
            {"dtype": "float32"},
            {"kind": "uniform", "dtype": "float32"},
            {"kind": "ordered", "dtype": "float32", "colour": 1},
            {"kind": "binades", "dtype": "float16", "relative": 1e-4},
        ],
    )
    def test_json_of_no_grid(self, data: dict[str, object]) -> None:
        with pytest.raises(Corrupt, match="a grid that does not exist"):
            grid_from_json(data)

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", FLOATS)
    @given(data=st.data())
    def test_ordered_bits(self, dtype: str, data: st.DataObject) -> None:
        x = data.draw(values_of(dtype, special=True))
        q = ordered_bits(x)
        assert same_bits(from_ordered_bits(q, dtype), x)
        order = np.argsort(q, kind="stable")
        numbers = x[order][~np.isnan(x[order])].tolist()
        assert numbers == sorted(numbers)


class TestWhatIsHeld:
    """A law that lets everything escape would be empty: what each grid must hold."""

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", FLOATS)
    @given(data=st.data())
    def test_every_finite_float_is_ordered(self, dtype: str, data: st.DataObject) -> None:
        x = finite(data.draw(values_of(dtype)))
        assert (Lattice(dtype, Bound(), Ordered(dtype)).encode(x) < ATOM).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("dtype", INTEGERS)
    @given(data=st.data())
    def test_integers_are_exact(self, dtype: str, data: st.DataObject) -> None:
        x = data.draw(values_of(dtype))
        lattice = Lattice(dtype, Bound(), Integers(dtype))
        q = lattice.encode(x)
        numbers = [int(v) - (2**63 if dtype == "uint64" else 0) for v in x.tolist()]
        assert [int(i) for i in q] == [n if n < ATOM else ESCAPE for n in numbers]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("dtype", "e"), [*itertools.product(FLOATS, [0.3, 1e-3, 3e-5])]
    )
    @given(data=st.data())
    def test_uniform_escapes_only_what_the_type_cannot_hold(
        self, dtype: str, e: float, data: st.DataObject
    ) -> None:
        x = finite(data.draw(values_of(dtype)))
        q = Lattice(dtype, Bound("abs", e), Uniform(dtype, e)).encode(x)
        for value in x[q == ESCAPE]:
            t = Fraction(float(value)) / (2 * Fraction(e))
            distance = abs(t - round(t)) * 2 * Fraction(e)
            rounding = (
                Fraction(
                    max(abs(float(value)), float(np.finfo(dtype).tiny))
                    * float(np.finfo(dtype).eps)
                )
                / 2
            )
            assert abs(t) >= 2**31 - 1 or distance + rounding * (
                1 + Fraction(1, 2**20)
            ) >= Fraction(e)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("dtype", "r"),
        [("float16", 1e-2), ("float32", 1e-3), ("float64", 1e-6), ("float32", 0.5)],
    )
    @given(data=st.data())
    def test_binades_hold_every_normal_number(
        self, dtype: str, r: float, data: st.DataObject
    ) -> None:
        x = finite(data.draw(values_of(dtype)))
        q = Lattice(dtype, Bound("rel", r), Binades(dtype, r)).encode(x)
        normal = (x == 0) | (np.abs(x) >= np.finfo(dtype).tiny)
        assert np.array_equal(q < ATOM, normal)

    @pytest.mark.parametrize(
        ("dtype", "bits"), [("float16", 3), ("float32", 10), ("float64", 20)]
    )
    @given(data=st.data())
    def test_mantissas_hold_every_normal_number(
        self, dtype: str, bits: int, data: st.DataObject
    ) -> None:
        x = finite(data.draw(values_of(dtype)))
        x = x[np.abs(x) < np.finfo(dtype).max / 2]
        q = Lattice(dtype, Bound("bits", float(bits)), Mantissas(dtype, bits)).encode(x)
        normal = (x == 0) | (np.abs(x) >= np.finfo(dtype).tiny)
        assert (q[normal] < ATOM).all()

    def test_zeros_of_uint64_are_on_the_grid(self) -> None:
        zeros = np.array([0, 1, 2, 3, 100] * 10, "uint64")
        assert (lattice_of(zeros, "abs:1").encode(zeros) < ATOM).all()


def slow_cells(bits: int, relative: float) -> list[tuple[int, int]]:
    """First unit and representative of every cell of one binade, each as wide as the bound allows."""
    r, begin, cells = Fraction(relative), 2**bits, []
    while begin < 2 ** (bits + 1):
        centre = begin + math.floor(begin * r)
        cells.append((begin, min(centre, 2 ** (bits + 1) - 1)))
        begin = math.floor(centre / (1 - r))
    return cells


def slow_binade(
    dtype: str, cells: list[tuple[int, int]], x: float
) -> tuple[int, Fraction]:
    """Index and decoded value of one normal number, in rational numbers."""
    bits = min(MANTISSA_BITS[dtype], 36)
    exponent = math.frexp(x)[1] - 1
    unit = Fraction(2) ** exponent / 2**bits
    place = math.floor(abs(Fraction(x)) / unit)
    cell = max(k for k, (begin, _) in enumerate(cells) if begin <= place)
    lowest = {"float16": -14, "float32": -126, "float64": -1022}[dtype]
    rank, value = 1 + (exponent - lowest) * len(cells) + cell, cells[cell][1] * unit
    return (rank, value) if x > 0 else (-rank, -value)


class TestBinades:
    @pytest.mark.parametrize(
        ("dtype", "relative"),
        [
            ("float16", 0.9),
            ("float16", 0.1),
            ("float16", 1e-3),
            ("float32", 0.1),
            ("float32", 1e-3),
            ("float64", 0.3),
            ("float64", 1e-3),
        ],
    )
    def test_against_rational_arithmetic(self, dtype: str, relative: float) -> None:
        rng = np.random.default_rng(3)
        info = np.finfo(dtype)
        exponents = rng.uniform(math.log2(info.tiny), math.log2(info.max) - 1e-3, 200)
        x = (rng.choice([-1, 1], 200) * np.exp2(exponents)).astype(dtype)
        x = np.concatenate(
            [
                x,
                np.array(
                    [
                        info.tiny,
                        info.max,
                        -info.max,
                        1,
                        1.5,
                        2,
                        1 + info.eps,
                        2 - 2 * info.eps,
                    ],
                    dtype,
                ),
            ]
        )
        grid, cells = (
            Binades(dtype, relative),
            slow_cells(min(MANTISSA_BITS[dtype], 36), relative),
        )
        q = grid.index(x)
        y = grid.value(q)
        for value, index, decoded in zip(x.tolist(), q.tolist(), y.tolist(), strict=True):
            assert (index, Fraction(decoded)) == slow_binade(dtype, cells, value)

    @pytest.mark.parametrize(
        ("dtype", "relative"),
        [("float16", 1e-2)]
        + [("float32", r) for r in (3e-2, 1e-2, 1e-3, 1e-4, 1e-5)]
        + [("float64", r) for r in (3e-2, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)],
    )
    def test_close_to_a_logarithmic_grid(self, dtype: str, relative: float) -> None:
        one, two = Binades(dtype, relative).index(np.array([1.0, 2.0], dtype)).tolist()
        logarithmic = math.log(2) / math.log((1 + relative) / (1 - relative))
        assert math.log2((two - one) / logarithmic) < 0.1

    @pytest.mark.parametrize(
        ("relative", "cells"), [(0.5, 1), (0.3, 2), (0.1, 4), (0.03, 12), (0.01, 35)]
    )
    def test_cells_of_wide_bounds(self, relative: float, cells: int) -> None:
        one, two = (
            Binades("float32", relative).index(np.array([1.0, 2.0], "float32")).tolist()
        )
        assert two - one == cells == Binades("float32", relative).cells

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("relative", [0.9, 0.1, 1e-3, 1e-5, 1e-7, 2e-9, 1e-12, 1e-16])
    def test_relative_grid_keeps_every_bound(self, dtype: str, relative: float) -> None:
        grid = relative_grid(dtype, relative)
        x = np.random.default_rng(0).lognormal(0, 2, 1000).astype(dtype)
        assert (Lattice(dtype, Bound("rel", relative), grid).encode(x) < ATOM).all()

    def test_never_more_cells_than_values(self) -> None:
        for dtype, relative in [("float16", 1e-3), ("float32", 1.3e-7)]:
            one, two = (
                relative_grid(dtype, relative).index(np.array([1.0, 2.0], dtype)).tolist()
            )
            assert two - one <= 2 ** MANTISSA_BITS[dtype]


BOUNDS = [
    "lossless",
    "abs:0.3",
    "abs:1e-3",
    "abs:3",
    "rel:0.1",
    "rel:1e-3",
    "std:0.01",
    "std:1e-4",
    "bits:0",
    "bits:7",
    "bits:20",
]


class TestLattice:
    @pytest.mark.slow
    @pytest.mark.parametrize(("dtype", "bound"), [*itertools.product(FLOATS, BOUNDS)])
    @settings(max_examples=20)
    @given(data=st.data())
    def test_floats(self, dtype: str, bound: str, data: st.DataObject) -> None:
        self.check(data.draw(values_of(dtype, special=True)), bound)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("dtype", "bound"),
        [
            *itertools.product(
                INTEGERS, ["lossless", "abs:1", "abs:7.9", "abs:1e6", "std:0.1"]
            ),
            ("bool", "lossless"),
        ],
    )
    @settings(max_examples=20)
    @given(data=st.data())
    def test_integers(self, dtype: str, bound: str, data: st.DataObject) -> None:
        self.check(data.draw(values_of(dtype)), bound)

    @staticmethod
    def check(x: np.ndarray, bound: str) -> None:
        with np.errstate(all="raise", under="ignore", over="ignore"):
            lattice = lattice_of(x, bound)
            y = there_and_back(lattice, x)
        plain = x[np.isfinite(x)]
        for before, after, exact in zip(
            x, y, bit_patterns(x) == bit_patterns(y), strict=True
        ):
            if not exact:
                assert len(finite(np.array([before]))), (
                    f"{before!r} is special and became {after!r}"
                )
                assert exactly_within(lattice.bound, before.item(), after.item())
                assert after == 0 or np.signbit(after) == np.signbit(before)
                assert plain.min() <= after <= plain.max()
        parsed = Lattice.from_json(json.loads(json.dumps(lattice.to_json())))
        assert parsed == lattice
        assert same_bits(there_and_back(parsed, x), y)
        again = resolve(Column("x", lattice.dtype), lattice.bound, statistics_of(y))
        assert same_bits(there_and_back(again, y), y), (
            "decoded values moved when they were coded again"
        )
        assert same_bits(there_and_back(lattice.with_range(statistics_of(y)), y), y), (
            "decoded values moved on their own lattice"
        )

    @pytest.mark.parametrize(
        "bound", ["abs:0.31", "abs:0.05", "rel:1e-2", "std:0.001", "bits:5"]
    )
    def test_specials_among_ordinary_values(self, bound: str) -> None:
        rng = np.random.default_rng(5)
        x = rng.normal(0, 10, 20_000).astype("float32")
        place = rng.permutation(len(x))
        x[place[:200]] = np.float32(SENTINEL)
        x[place[200:300]] = -0.0
        x[place[300:400]] = np.array(
            [0x7FC00001, 0xFFC12345, 0x7F800001, 0x7F800000, 0xFF800000] * 20, "uint32"
        ).view("float32")
        y = there_and_back(lattice_of(x, bound), x)
        special = np.sort(place[:400])
        assert same_bits(y[special], x[special])
        assert not same_bits(y, x)

    @pytest.mark.parametrize(
        "bound",
        ["abs:0.05", "abs:0.31", "abs:0.9", "rel:1e-1", "std:0.001", "std:0.1", "bits:3"],
    )
    def test_idempotent_with_a_sentinel(self, bound: str) -> None:
        """After the first coding the grid points themselves repeat; they must not crowd out the
        sentinel.
        """
        rng = np.random.default_rng(0)
        x = rng.normal(0, 10, 20_000).astype("float32")
        x[rng.random(len(x)) < 0.008] = np.float32(SENTINEL)
        first = lattice_of(x, bound)
        y = there_and_back(first, x)
        again = resolve(Column("x", "float32"), first.bound, statistics_of(y))
        assert same_bits(there_and_back(again, y), y)

    @given(
        seed=st.integers(0, 2**32),
        dtype=st.sampled_from(["float32", "float64"]),
        bound=st.sampled_from(
            [
                "abs:0.31",
                "abs:0.05",
                "abs:2",
                "rel:0.1",
                "rel:0.01",
                "std:0.01",
                "std:0.2",
                "bits:4",
            ]
        ),
        repeated=st.lists(
            st.tuples(
                st.sampled_from([SENTINEL, 12.345, 1e5 + 0.3, -25.1]),
                st.sampled_from([0.004, 0.006, 0.1]),
            )
        ),
    )
    def test_idempotent_with_any_repeated_values(
        self, seed: int, dtype: str, bound: str, repeated: list[tuple[float, float]]
    ) -> None:
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 10, 3000)
        for value, share in repeated:
            x[rng.random(len(x)) < share] = value
        x = x.astype(dtype)
        first = lattice_of(x, bound)
        y = there_and_back(first, x)
        again = resolve(Column("x", dtype), first.bound, statistics_of(y))
        assert same_bits(there_and_back(again, y), y)

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("length", [2, 3, 8, 17, 64])
    def test_a_range_that_ends_at_minus_zero_gives_no_minus_zero(
        self, dtype: str, length: int
    ) -> None:
        """The smaller of 0.0 and -0.0 depends on the machine; a decoder may not."""
        lattice = Lattice(
            dtype, Bound("abs", 0.25), Uniform(dtype, 0.25), low=-0.0, high=2.0
        )
        x = np.tile(np.array([0.0, 0.1], dtype), length)
        assert not np.signbit(lattice.decode(lattice.encode(x))).any()

    def test_a_chunk_does_not_depend_on_the_others(self) -> None:
        x = np.random.default_rng(1).normal(0, 3, 999).astype("float32")
        lattice = lattice_of(x, "abs:0.01")
        whole = there_and_back(lattice, x)
        parts = [there_and_back(lattice, part) for part in np.array_split(x, 7)]
        assert same_bits(np.concatenate(parts), whole)


class TestResolve:
    @pytest.mark.parametrize(
        ("values", "grid"),
        [
            (np.array([1.0, 2.0, -700.0, 3e6], "float32"), Decimal("float32", 0)),
            (np.array([1.5, 2.1, -7.3], "float32"), Decimal("float32", 1)),
            (np.array([1.555, 2.1, -7.3]), Decimal("float64", 3)),
            (np.array([math.pi, math.e, 1.1], "float32"), Ordered("float32")),
            (
                np.array([0.1, 0.7, 0.001], "float16").astype("float32"),
                Ordered("float32", 13),
            ),
            (np.array([1, -3, 5], "int16"), Integers("int16")),
            (np.array([True, False]), Integers("bool")),
        ],
    )
    def test_exact_grid(self, values: np.ndarray, grid: Grid) -> None:
        lattice = lattice_of(values, "lossless")
        assert (lattice.grid, lattice.bound, lattice.low) == (grid, Bound(), None)
        assert same_bits(there_and_back(lattice, values), values)

    @pytest.mark.parametrize("bound", ["abs:0.04", "rel:1e-4", "bits:12"])
    def test_a_coarser_exact_grid_is_taken(self, bound: str) -> None:
        x = np.random.default_rng(2).integers(0, 900, 5000).astype("float32")
        lattice = lattice_of(x, bound)
        assert lattice.bound == Bound()
        assert lattice.grid == Decimal("float32", 0)

    def test_a_finer_exact_grid_is_not(self) -> None:
        x = np.random.default_rng(2).integers(0, 900, 5000).astype("float32")
        lattice = lattice_of(x, "abs:2")
        assert lattice.grid == Uniform("float32", 2.0)
        assert (lattice.low, lattice.high) == (0.0, 899.0)

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
    def test_std_is_that_of_numpy_in_float64(self, dtype: str) -> None:
        x = np.random.default_rng(4).uniform(0, 200, 4000).astype(dtype)
        lattice = lattice_of(x, "std:0.05")
        assert lattice.bound.kind == "abs"
        assert lattice.bound.amount == pytest.approx(
            0.05 * np.std(x.astype("float64")), rel=1e-12
        )

    @pytest.mark.parametrize(
        "bound", ["abs:0.1", "rel:1e-3", "std:0.1", "bits:3", "lossless"]
    )
    @pytest.mark.parametrize(
        "x",
        [
            np.full(100, 0.123, "float32"),
            np.zeros(100, "float32"),
            np.full(100, -0.0),
            np.full(100, np.nan, "float32"),
            np.array([np.nan, np.inf, -np.inf, -0.0], "float64"),
            np.empty(0, "float32"),
            np.array([np.nan, 1.5], "float16"),
        ],
        ids=["constant", "zero", "minus-zero", "nan", "specials", "empty", "one-finite"],
    )
    def test_degenerate_columns_come_back_exactly(
        self, x: np.ndarray, bound: str
    ) -> None:
        lattice = lattice_of(x, bound)
        assert same_bits(there_and_back(lattice, x), x) or bound == "bits:3"
        if bound == "std:0.1":
            assert lattice.bound == Bound()

    @pytest.mark.parametrize("bound", ["abs:3", "std:0.5", "lossless"])
    @pytest.mark.parametrize(
        "x", [np.full(9, 77, "uint64"), np.empty(0, "int8"), np.full(5, -(2**63))]
    )
    def test_degenerate_integers(self, x: np.ndarray, bound: str) -> None:
        y = there_and_back(lattice_of(x, bound), x)
        assert same_bits(x, y)

    @pytest.mark.parametrize("bound", ["rel:1e-3", "abs:1e300", "std:0.1", "bits:4"])
    def test_the_widest_range_of_all(self, bound: str) -> None:
        x = np.tile(np.array([1.7e308, -1.7e308, 1.1, 0.0]), 50)
        TestLattice.check(x, bound)


class TestStatistics:
    @pytest.mark.parametrize("chunks", [1, 2, 7, 300])
    @pytest.mark.parametrize(
        "dtype", ["float16", "float32", "float64", "int64", "uint64", "bool"]
    )
    def test_chunks_add_up(self, dtype: str, chunks: int) -> None:
        rng = np.random.default_rng(6)
        x = rng.uniform(0, 2, 1000) if dtype == "bool" else rng.normal(900, 3, 1000)
        x = x.astype(dtype)
        if np.dtype(dtype).kind == "f":
            x[::50], x[1::50], x[2::100] = np.nan, -0.0, np.inf
        one, many = statistics_of(x), statistics_of(x, chunks)
        numbers = x[np.isfinite(x)] if np.dtype(dtype).kind == "f" else x
        for s in (one, many):
            assert (s.count, s.finite, s.low, s.high) == (
                1000,
                len(numbers),
                numbers.min(),
                numbers.max(),
            )
            assert s.std == pytest.approx(np.std(numbers.astype("float64")), rel=1e-12)
        assert (one.specials, one.digits, one.exact_grid()) == (
            many.specials,
            many.digits,
            many.exact_grid(),
        )
        assert len(many.sample) == len(numbers)

    @given(
        x=arrays("float64", st.integers(1, 60), elements=st.floats(-1e6, 1e6)),
        chunks=st.integers(1, 9),
    )
    def test_std(self, x: np.ndarray, chunks: int) -> None:
        scale = float(np.abs(x).max())
        assert statistics_of(x, chunks).std == pytest.approx(
            np.std(x), rel=1e-12, abs=1e-15 * scale
        )

    def test_far_from_zero(self) -> None:
        x = 1e9 + np.random.default_rng(7).normal(0, 1, 20_000)
        assert statistics_of(x, 40).std == pytest.approx(np.std(x), rel=1e-12)

    def test_specials_are_counted_by_pattern(self) -> None:
        x = np.array(
            [0x7FC00001, 0x7FC00001, 0x80000000, 0x7F800000, 0x3F800000], "uint32"
        ).view("float32")
        assert statistics_of(x).specials == {0x7FC00001: 2, 0x80000000: 1, 0x7F800000: 1}

    def test_no_more_than_64_specials(self) -> None:
        x = (np.arange(100, dtype="uint32") + 0x7FC00000).view("float32")
        assert len(statistics_of(x, 3).specials) == 64
        assert same_bits(there_and_back(lattice_of(x, "abs:1"), x), x)

    def test_sentinels_stand_out(self) -> None:
        rng = np.random.default_rng(8)
        x = rng.normal(0, 10, 10_000).astype("float32")
        x[:100], x[100:200] = -999, 12345.5
        x[200:205] = 700
        sentinels = np.array(
            statistics_of(rng.permutation(x)).sentinels(), "uint32"
        ).view("float32")
        assert sorted(sentinels.tolist()) == [-999, 12345.5]

    def test_the_sample_stays_small(self) -> None:
        statistics, chunk = Statistics("float32"), np.arange(65536, dtype="float32")
        for _ in range(40):
            statistics.update(chunk)
        assert len(statistics.sample) <= 2 * 65536
