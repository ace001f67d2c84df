"""Predictions: residuals give back every index, and every formula says what its name says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import bit_patterns
from flowtuple.lattice.bins import FIRST_ABSOLUTE, Bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import ATOM, ESCAPE, Decimal, Integers, Ordered, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import ABSOLUTE, FUNCTIONS, LARGEST, Prediction, Term

LOWEST, HIGHEST = -(2**63), 2**63 - 1
PARENT = Parent("row", "a")
COPY = (Term(1.0, "x", (PARENT,)),)

EDGES = [
    LOWEST,
    LOWEST + 1,
    -ABSOLUTE,
    -FIRST_ABSOLUTE,
    -LARGEST - 1,
    -LARGEST,
    -1,
    0,
    1,
    LARGEST,
    LARGEST + 1,
    FIRST_ABSOLUTE - 1,
    FIRST_ABSOLUTE,
]
EDGES += [
    ABSOLUTE,
    ABSOLUTE + LARGEST,
    ATOM - 1,
    ATOM,
    ATOM + 1,
    ATOM + 2**16 - 1,
    ESCAPE,
    ESCAPE + 1,
    HIGHEST,
]
NEAR = st.integers(-450, 450)
WITHIN = NEAR | st.integers(-LARGEST, LARGEST)
INDEX = WITHIN | st.sampled_from(EDGES) | st.integers(LOWEST, HIGHEST)
REACHABLE = (
    WITHIN
    | st.sampled_from([-LARGEST, LARGEST, ATOM, ATOM + 7, ESCAPE])
    | st.integers(ATOM, HIGHEST)
)
PERIOD = (
    st.none()
    | st.tuples(st.integers(-400, 100), st.integers(1, 900))
    | st.just((-314, 629))
)


def int64(values: Sequence[int]) -> np.ndarray:
    return np.array(values, np.int64)


def by_words(
    q: int, predicted: int, absolute: Sequence[int], period: tuple[int, int] | None
) -> int:
    """The residual in Python's whole numbers."""
    usable = abs(predicted) <= LARGEST
    if q == predicted and q != ESCAPE and not usable:
        return 0
    if q >= ATOM:
        return q
    outside = period is not None and not period[0] <= q < period[0] + period[1]
    if not usable or q in absolute or outside:
        return ABSOLUTE + q
    if period is None:
        return q - predicted
    turn = period[1]
    return (q - predicted + turn // 2) % turn - turn // 2


class TestResiduals:
    @settings(max_examples=400)
    @given(
        pairs=st.lists(st.tuples(INDEX, INDEX), max_size=6),
        absolute=st.lists(WITHIN, max_size=4),
        period=PERIOD,
    )
    @example(pairs=[(LOWEST, 40)], absolute=[], period=None)
    @example(pairs=[(-5, LOWEST)], absolute=[], period=None)
    @example(pairs=[(ATOM, ATOM)], absolute=[], period=(-314, 629))
    @example(pairs=[(ESCAPE, ESCAPE)], absolute=[], period=None)
    @example(pairs=[(0, 3)], absolute=[0], period=(-314, 629))
    def test_restored(
        self,
        pairs: list[tuple[int, int]],
        absolute: list[int],
        period: tuple[int, int] | None,
    ) -> None:
        prediction = Prediction(COPY, period)
        q, predicted = (int64([pair[k] for pair in pairs]) for k in (0, 1))
        r = prediction.residual(q, predicted, int64(sorted(set(absolute))))
        if any(abs(a) > LARGEST and a < ATOM and a != b for a, b in pairs):
            assert r is None
            return
        assert r is not None
        assert (r.dtype, r.shape) == (np.int64, q.shape)
        assert prediction.restore(r, predicted).tolist() == q.tolist()
        assert r.tolist() == [by_words(a, b, absolute, period) for a, b in pairs]

    @pytest.mark.slow
    @settings(max_examples=200)
    @given(
        q=REACHABLE, predicted=INDEX, absolute=st.lists(NEAR, max_size=3), period=PERIOD
    )
    def test_reachable_indices_are_counted(
        self, q: int, predicted: int, absolute: list[int], period: tuple[int, int] | None
    ) -> None:
        prediction = Prediction(COPY, period)
        r = prediction.residual(
            int64([q]), int64([predicted]), int64(sorted(set(absolute)))
        )
        assert r is not None
        assert prediction.restore(r, int64([predicted])).tolist() == [q]

    @pytest.mark.parametrize(
        "q",
        [
            LOWEST,
            LOWEST + 1,
            -LARGEST - 1,
            LARGEST + 1,
            FIRST_ABSOLUTE,
            ABSOLUTE,
            ATOM - 1,
        ],
    )
    @pytest.mark.parametrize("period", [None, (-314, 629)])
    def test_far_indices_are_out_of_reach(
        self, q: int, period: tuple[int, int] | None
    ) -> None:
        assert (
            Prediction(COPY, period).residual(int64([0, q]), int64([0, 0]), int64([]))
            is None
        )

    @pytest.mark.parametrize(
        ("q", "predicted", "r"),
        [
            (310, -310, -9),
            (-310, 310, 9),
            (-314, -314, 0),
            (314, 314, 0),
            (0, 314, -314),
            (0, -314, 314),
            (-314, 314, 1),
        ],
    )
    def test_angles_take_the_shorter_way(self, q: int, predicted: int, r: int) -> None:
        prediction = Prediction(COPY, (-314, 629))
        assert prediction.residual(
            int64([q]), int64([predicted]), int64([])
        ).tolist() == [r]
        assert prediction.restore(int64([r]), int64([predicted])).tolist() == [q]

    @given(r=INDEX, predicted=INDEX, period=PERIOD)
    def test_any_residual_gives_an_index(
        self, r: int, predicted: int, period: tuple[int, int] | None
    ) -> None:
        """Damaged bytes hold any number: the answer is an index, not an error or a warning."""
        actual = Prediction(COPY, period).restore(int64([r]), int64([predicted]))
        assert (actual.dtype, actual.shape) == (np.int64, (1,))
        if (
            period
            and r < FIRST_ABSOLUTE
            and abs(predicted) <= LARGEST
            and abs(r) <= LARGEST
        ):
            assert period[0] <= actual[0] < period[0] + period[1]

    def test_absolute_indices_have_a_bin_of_their_own(self) -> None:
        points = [0, ABSOLUTE - 5, ABSOLUTE, ABSOLUTE + 10, ATOM, ESCAPE]
        bins = Bins(
            int64([*points[:3], ABSOLUTE + 3, *points[3:]]),
            int64([*points[:3], ABSOLUTE + 7, *points[3:]]),
        )
        flow = ColumnFlow(bins, (), None, Prediction(COPY), True)
        assert flow.absolute.tolist() == [-5, 0, 10]
        q = int64([-5, 0, 10, 4])
        assert flow.prediction.residual(q, q, flow.absolute).tolist() == [
            ABSOLUTE - 5,
            ABSOLUTE,
            ABSOLUTE + 10,
            0,
        ]


def energy(pt: float, eta: float, mass: float) -> float:
    return math.sqrt((pt * math.cosh(eta)) ** 2 + mass**2)


def pair_mass(
    pt1: float, eta1: float, phi1: float, pt2: float, eta2: float, phi2: float
) -> float:
    return math.sqrt(
        abs(2 * pt1 * pt2 * (math.cosh(eta1 - eta2) - math.cos(phi1 - phi2)))
    )


FORMULAS: dict[str, tuple[str, Callable[..., float]]] = {
    "x": ("s", lambda x: x),
    "pt cos phi": ("pa", lambda pt, phi: pt * math.cos(phi)),
    "pt sin phi": ("pa", lambda pt, phi: pt * math.sin(phi)),
    "pt sinh eta": ("pe", lambda pt, eta: pt * math.sinh(eta)),
    "pt cosh eta": ("pe", lambda pt, eta: pt * math.cosh(eta)),
    "energy": ("pep", energy),
    "hypot": ("ss", math.hypot),
    "hypot3": ("sss", math.hypot),
    "product": ("ss", lambda x, y: x * y),
    "quotient": ("ss", lambda x, y: x / y),
    "angle": ("ss", lambda x, y: math.atan2(y, x)),
    "pseudorapidity": ("ps", lambda pt, z: math.asinh(z / pt)),
    "pair mass": ("pqapqa", pair_mass),
}
RANGES = {
    "p": (0.1, 900),
    "s": (-300, 300),
    "e": (-6, 6),
    "a": (-math.pi, math.pi),
    "q": (-2.5, 2.5),
}


def drawn(kinds: str, rows: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(*RANGES[kind], rows) for kind in kinds]


class TestFunctions:
    def test_all_are_tested(self) -> None:
        assert list(FUNCTIONS) == list(FORMULAS)  # their numbers are part of the format

    @pytest.mark.parametrize("name", FORMULAS)
    def test_against_the_plain_formula(self, name: str) -> None:
        kinds, formula = FORMULAS[name]
        inputs, function = drawn(kinds, 400, len(name)), FUNCTIONS[name]
        assert function[0] == len(kinds)
        actual = function[1](*inputs)
        assert (actual.dtype, actual.shape) == (np.float64, (400,))
        expected = [
            formula(*row) for row in zip(*(x.tolist() for x in inputs), strict=True)
        ]
        scale = (
            max(map(abs, expected))
            if name in ("pt cos phi", "pt sin phi", "pt sinh eta")
            else 1.0
        )
        assert actual.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-13 * scale)

    @pytest.mark.parametrize("name", FORMULAS)
    @pytest.mark.parametrize(
        "value", [np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300, 5e-324]
    )
    def test_no_input_stops_it(self, name: str, value: float) -> None:
        """Values that are no numbers predict nothing, without an error or a warning."""
        count = FUNCTIONS[name][0]
        term = Term(1.0, name, tuple(Parent("row", str(k)) for k in range(count)))
        for k in range(count):
            columns = {
                str(i): np.array([value if i == k else 1.5, 1.5]) for i in range(count)
            }
            total, present = Prediction((term,)).evaluate(
                lambda p, columns=columns: (columns[p.column], np.True_)
            )
            assert np.isfinite(total).all(), k
            assert present[1] or name == "pair mass"

    @pytest.mark.parametrize(
        ("name", "inputs"),
        [
            ("quotient", [1.0, 0.0]),
            ("pseudorapidity", [0.0, 5.0]),
            ("pt cosh eta", [1.0, 65.0]),
            ("pt cos phi", [1.0, 2.0**21]),
            ("angle", [0.0, np.nan]),
            ("angle", [np.nan, 0.0]),
            ("hypot", [1e200, 1e200]),
        ],
    )
    def test_nothing_is_predicted(self, name: str, inputs: list[float]) -> None:
        term = Term(1.0, name, tuple(Parent("row", str(k)) for k in range(len(inputs))))
        total, present = Prediction((term,)).evaluate(
            lambda p: (np.array([inputs[int(p.column)]]), np.True_)
        )
        assert not present.any()
        assert total.tolist() == [0.0]


def fetch_from(
    columns: dict[str, np.ndarray], present: np.ndarray | None = None
) -> Callable[[Parent], tuple]:
    return lambda parent: (
        columns[parent.column],
        np.True_ if present is None else present,
    )


class TestIndex:
    def test_terms_are_added_in_order(self) -> None:
        terms = tuple(
            Term(c, "x", (Parent("row", n),))
            for c, n in [(1.0, "a"), (-2.0, "b"), (0.5, "c")]
        )
        columns = {
            "a": np.array([1.0, 2.0]),
            "b": np.array([3, 4], "int8"),
            "c": np.array([True, False]),
        }
        total, present = Prediction(terms).evaluate(fetch_from(columns))
        assert total.tolist() == [-4.5, -6.0]
        assert np.broadcast_to(present, 2).all()

    def test_present_where_every_input_is(self) -> None:
        terms = (
            Term(1.0, "x", (Parent("row", "a"),)),
            Term(1.0, "product", (Parent("row", "b"), Parent("row", "c"))),
        )
        where = {"a": [1, 1, 1, 0], "b": [1, 1, 0, 1], "c": [1, 0, 1, 1]}
        total, present = Prediction(terms).evaluate(
            lambda p: (np.ones(4), np.array(where[p.column], bool))
        )
        assert present.tolist() == [True, False, False, False]
        assert total.tolist() == [2.0, 0.0, 0.0, 0.0]
        lattice = Lattice("float64", Bound("abs", 0.1), Uniform("float64", 0.1))
        q = Prediction(terms).index(
            lambda p: (np.ones(4), np.array(where[p.column], bool)), lattice
        )
        assert q.tolist() == [10, ESCAPE, ESCAPE, ESCAPE]

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_copies_keep_every_bit(self, dtype: str) -> None:
        """NaN payloads, signed zeros and infinities are predicted as they are: their residuals are
        zero.
        """
        size = np.dtype(dtype).itemsize
        quiet, sign = (
            np.array([np.nan], dtype).view(f"u{size}"),
            np.array([1 << (8 * size - 1)], f"u{size}"),
        )
        signalling = np.array([np.inf], dtype).view(f"u{size}") + 3
        nans = np.concatenate(
            [quiet, quiet + 5, quiet | sign, signalling, signalling | sign]
        ).view(dtype)
        x = np.concatenate(
            [
                np.array(
                    [0.0, -0.0, 1.5, np.inf, -np.inf, np.finfo(dtype).max, -0.1], dtype
                ),
                nans,
            ]
        )
        atoms = tuple(
            sorted({*bit_patterns(nans).tolist(), *bit_patterns(x[[1, 3, 4]]).tolist()})
        )
        for lattice in (
            Lattice(dtype, Bound(), Ordered(dtype)),
            Lattice(dtype, Bound("abs", 0.1), Uniform(dtype, 0.1), atoms),
        ):
            q = lattice.encode(x)
            predicted = Prediction(COPY).index(fetch_from({"a": x}), lattice)
            assert Prediction(COPY).is_copy
            r = Prediction(COPY).residual(q, predicted, int64([]))
            if r is None:
                assert isinstance(lattice.grid, Ordered)
                assert dtype == "float64"
                continue
            restored = Prediction(COPY).restore(r, predicted)
            assert restored.tolist() == q.tolist()
            assert np.array_equal(
                bit_patterns(lattice.decode(restored, x[q == ESCAPE]))[7:],
                bit_patterns(x)[7:],
            )
            assert (r[q != ESCAPE] == 0).all()

    @pytest.mark.parametrize(
        ("prediction", "copy"),
        [
            (Prediction(COPY), True),
            (Prediction(COPY, (-3, 7)), False),
            (Prediction((Term(2.0, "x", (PARENT,)),)), False),
            (Prediction((*COPY, *COPY)), False),
            (Prediction((Term(1.0, "x", (Parent("event", "a"),)),)), False),
            (Prediction((Term(1.0, "product", (PARENT, PARENT)),)), False),
        ],
        ids=["copy", "period", "twice", "sum", "event", "product"],
    )
    def test_what_is_a_copy(self, prediction: Prediction, copy: bool) -> None:
        assert prediction.is_copy is copy

    @pytest.mark.parametrize(
        ("dtype", "x", "expected"),
        [
            ("int8", [1.4, -3.6, 0.5, 1.5, 300.0, -1e300], [1, -4, 0, 2, 127, -128]),
            ("uint8", [1.4, -3.6, 255.5, 1e300], [1, 0, 255, 255]),
            ("int64", [1e300, -1e300, 7.2], [LARGEST, -LARGEST, 7]),
            ("bool", [0.0, -2.0, 0.3], [0, 1, 1]),
        ],
    )
    def test_whole_numbers_are_rounded_and_stay_in_range(
        self, dtype: str, x: list[float], expected: list[int]
    ) -> None:
        lattice = Lattice(dtype, Bound(), Integers(dtype))
        assert (
            Prediction(COPY).index(fetch_from({"a": np.array(x)}), lattice).tolist()
            == expected
        )

    @pytest.mark.parametrize("x", [1e300, -1e300, np.inf, np.nan])
    def test_floats_beyond_their_type_predict_no_number(self, x: float) -> None:
        lattice = Lattice("float32", Bound(), Decimal("float32", 1))
        assert Prediction(COPY).index(
            fetch_from({"a": np.array([x, 2.5])}), lattice
        ).tolist() == [
            ESCAPE,
            25,
        ]
