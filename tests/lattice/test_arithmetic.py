"""Elementary functions of basic operations: near to the true values, NaN outside their ranges, the
same bits in any layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtuple.data.schema import bit_patterns
from flowtuple.lattice.arithmetic import arctangent, exponential, logarithm, sine_cosine

Function = Callable[[np.ndarray], np.ndarray]

FUNCTIONS: dict[str, Function] = {
    "sine": lambda x: sine_cosine(x)[0],
    "cosine": lambda x: sine_cosine(x)[1],
    "exponential": exponential,
    "logarithm": logarithm,
    "arctangent": lambda x: arctangent(x, np.full(x.shape, 0.7)),
    "arctangent of its x": lambda x: arctangent(np.full(x.shape, -0.7), x),
}
NUMPY: dict[str, Function] = {
    "sine": np.sin,
    "cosine": np.cos,
    "exponential": np.exp,
    "logarithm": np.log,
    "arctangent": lambda x: np.arctan2(x, 0.7),
    "arctangent of its x": lambda x: np.arctan2(-0.7, x),
}


def spread(low: float, high: float, *points: float) -> np.ndarray:
    """Many numbers within a range, its ends, and points with their neighbours."""
    draw = np.random.default_rng(7).uniform(low, high, 40_000)
    near = np.array([low, high, *points])
    around = np.concatenate([near, np.nextafter(near, low), np.nextafter(near, high)])
    return np.concatenate([draw, around[(around >= low) & (around <= high)]])


QUARTERS = tuple(k * math.pi / 2 for k in range(-9, 10))
TINY = np.concatenate(
    [[5e-324, 1e-310, 2.3e-308, 1e-300, 1e-17], np.logspace(-16, 0, 200)]
)
RANGES: dict[str, list[np.ndarray]] = {
    "sine": [spread(-7, 7, *QUARTERS, 0.0), spread(-(2.0**20), 2.0**20), TINY],
    "cosine": [spread(-7, 7, *QUARTERS, 0.0), spread(-(2.0**20), 2.0**20), TINY],
    "exponential": [
        spread(-64, 64, 0.0, *(k * math.log(2) / 2 for k in range(-8, 9))),
        TINY,
        -TINY,
    ],
    "logarithm": [
        spread(0.1, 10, 1.0, math.sqrt(0.5), math.sqrt(2)),
        TINY,
        1 / TINY[2:],
        np.array([1.7976931348623157e308]),
    ],
    "arctangent": [spread(-3, 3, 0.0, 0.7, -0.7), TINY, 1 / TINY[2:], -1 / TINY[2:]],
    "arctangent of its x": [
        spread(-3, 3, 0.0, 0.7, -0.7),
        TINY,
        1 / TINY[2:],
        -1 / TINY[2:],
    ],
}
CASES = [
    pytest.param(name, x, id=f"{name}-{k}")
    for name, ranges in RANGES.items()
    for k, x in enumerate(ranges)
]


@pytest.mark.parametrize(("name", "x"), CASES)
def test_near_to_the_true_value(name: str, x: np.ndarray) -> None:
    """Absolute beside values up to 1 (a sine near a multiple of pi is small), relative beside large
    ones.
    """
    actual, true = FUNCTIONS[name](x), NUMPY[name](x)
    error = np.abs(actual - true) / np.maximum(1.0, np.abs(true))
    worst = int(error.argmax())
    assert error[worst] <= 1e-13, (x[worst], actual[worst], true[worst])


@pytest.mark.parametrize("name", ["exponential", "logarithm", "arctangent"])
def test_small_values_are_near_too(name: str) -> None:
    x = {
        "exponential": -np.linspace(0, 64, 999),
        "logarithm": 1 + np.linspace(-0.2, 0.2, 999),
        "arctangent": TINY[1:],
    }[name]
    actual, true = FUNCTIONS[name](x), NUMPY[name](x)
    assert np.array_equal(actual == 0, true == 0)
    assert actual == pytest.approx(true, rel=1e-13, abs=0)


@pytest.mark.parametrize("x", [-3.25, -0.5, 0.0, 0.1, 1.0, 2.0, 6.0])
def test_against_math(x: float) -> None:
    one = np.array([x])
    assert [float(v[0]) for v in sine_cosine(one)] == pytest.approx(
        [math.sin(x), math.cos(x)], abs=1e-13
    )
    assert exponential(one)[0] == pytest.approx(math.exp(x), rel=1e-13)
    assert logarithm(np.exp(one))[0] == pytest.approx(x, abs=1e-13)
    for y in (-2.0, -0.0, 0.0, 0.3):
        expected = math.atan2(y, x) if y or x > 0 else (math.pi if x < 0 else 0.0)
        assert arctangent(np.array([y]), one)[0] == pytest.approx(expected, abs=1e-13), y


NEVER = [np.nan, -np.nan, np.inf, -np.inf]
OUTSIDE = {
    "sine": [*NEVER, 2.0**20 + 1, -(2.0**20) - 1, np.nextafter(2.0**20, np.inf), 1e300],
    "cosine": [
        *NEVER,
        2.0**20 + 1,
        -(2.0**20) - 1,
        np.nextafter(-(2.0**20), -np.inf),
        -1e300,
    ],
    "exponential": [*NEVER, np.nextafter(64, np.inf), -65.0, 1e300, -1e300],
    "logarithm": [np.nan, -np.inf, 0.0, -0.0, -5e-324, -1.0],
    "arctangent": [np.nan],
    "arctangent of its x": [np.nan],
}


@pytest.mark.parametrize(
    ("name", "x"), [(name, x) for name, xs in OUTSIDE.items() for x in xs]
)
def test_nan_outside_of_the_range(name: str, x: float) -> None:
    assert np.isnan(FUNCTIONS[name](np.array([x]))).all()


@pytest.mark.parametrize(
    ("y", "x"),
    [(np.nan, 1.0), (1.0, np.nan), (np.nan, np.nan), (np.nan, 0.0), (0.0, np.nan)],
)
def test_arctangent_of_no_number(y: float, x: float) -> None:
    assert np.isnan(arctangent(np.array([y]), np.array([x]))).all()


@pytest.mark.parametrize(
    ("y", "x", "expected"),
    [
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0),
        (0.0, -2.0, math.pi),
        (3.0, 0.0, math.pi / 2),
        (-3.0, 0.0, -math.pi / 2),
        (1e300, 1e300, math.pi / 4),
        (5e-324, 5e-324, math.pi / 4),
        (-1e-320, -1e-320, -3 * math.pi / 4),
    ],
)
def test_arctangent_on_the_axes(y: float, x: float, expected: float) -> None:
    assert float(arctangent(np.array([y]), np.array([x]))[0]) == pytest.approx(
        expected, abs=1e-15
    )


@pytest.mark.parametrize(
    ("function", "x", "value"),
    [("exponential", 0.0, 1.0), ("logarithm", 1.0, 0.0), ("cosine", 0.0, 1.0)],
)
def test_exact_values(function: str, x: float, value: float) -> None:
    assert FUNCTIONS[function](np.array([x])).tolist() == [value]


NUMBER = st.floats(-(2.0**20), 2.0**20)


@given(x=NUMBER)
def test_sine_is_odd_and_cosine_even(x: float) -> None:
    (sine, cosine), (minus, same) = (
        sine_cosine(np.array([x])),
        sine_cosine(np.array([-x])),
    )
    assert -sine == minus
    assert cosine == same
    assert abs(float(sine[0]) ** 2 + float(cosine[0]) ** 2 - 1) < 1e-14


@given(y=st.floats(-1e9, 1e9), x=st.floats(-1e9, 1e9))
def test_arctangent_is_odd_and_turns_its_point_back(y: float, x: float) -> None:
    angle = arctangent(np.array([y]), np.array([x]))
    assert y == 0 or -angle == arctangent(np.array([-y]), np.array([x]))
    sine, cosine = sine_cosine(angle)
    length = math.hypot(x, y)
    assert [length * float(cosine[0]), length * float(sine[0])] == pytest.approx(
        [x, y], abs=1e-13 * length
    )


@given(x=st.floats(-64, 64))
def test_logarithm_undoes_the_exponential(x: float) -> None:
    assert logarithm(exponential(np.array([x])))[0] == pytest.approx(x, abs=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_in_any_layout(name: str) -> None:
    """No loop of a SIMD unit, no remainder of one and no alignment may show in a result."""
    x = np.concatenate([RANGES[name][0][:3000], TINY, [np.nan, 0.0, -0.0, -1.0, 1e10]])
    function, whole = FUNCTIONS[name], bit_patterns(FUNCTIONS[name](x))
    nan = np.isnan(function(x))

    def same(actual: np.ndarray, expected: np.ndarray, what: object) -> None:
        assert np.array_equal(np.isnan(actual), np.isnan(expected.view(np.float64))), what
        numbers = ~np.isnan(actual)
        assert np.array_equal(bit_patterns(actual)[numbers], expected[numbers]), what

    assert not nan.all()
    for k in range(0, len(x), 41):
        same(np.atleast_1d(function(x[k : k + 1])), whole[k : k + 1], k)
        same(function(np.asarray(x[k])).reshape(1), whole[k : k + 1], f"shape () {k}")
    for step in (2, 3, 7, -1, -5):
        same(function(x[::step]), np.ascontiguousarray(whole[::step]), step)
    for length in range(1, 35):
        same(function(x[:length]), whole[:length], length)
    for offset in range(1, 9):
        raw = np.empty(8 * len(x) + offset, np.uint8)
        shifted = raw[offset:].view(np.float64)
        shifted[:] = x
        same(function(shifted), whole, f"{offset} bytes on")
        same(function(x[offset:]), whole[offset:], f"{offset} values on")
    large = np.tile(x, 40)
    same(function(large), np.tile(whole, 40), "large")
    square = np.resize(x, (50, 60))
    same(
        function(np.asfortranarray(square)).ravel(),
        np.resize(whole, 3000),
        "columns first",
    )
