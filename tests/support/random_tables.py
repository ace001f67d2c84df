"""Random tables with a random bound on each column, for the tests of promises that hold for all of
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
MANTISSA_BITS = {"float16": 10, "float32": 23, "float64": 52}
REPEATED = (-999.0, -999.123, 12.345, 1e5 + 0.3, -25.1, 0.0, -0.0, np.nan, np.inf)


@dataclass(frozen=True)
class Drawn:
    """Columns as NumPy arrays, regular ones or awkward lists, and the bounds asked for."""

    columns: dict[str, Any]
    tolerance: dict[str, str]


def edges(dtype: str) -> np.ndarray:
    """Values of a float type at which rounding, ranges or special cases begin."""
    info = np.finfo(dtype)
    up = [
        0.0,
        1.0,
        np.inf,
        info.max,
        info.tiny,
        info.smallest_subnormal,
        np.nextafter(info.tiny, info.dtype.type(0)),
        65504,
    ]
    return np.array([*up, *(-v for v in up), np.nan, -np.nan], dtype)


def nan_payloads(values: np.ndarray, place: int) -> np.ndarray:
    """The same with one NaN of bits of its own, signalling ones among them."""
    patterns = values.view(f"u{values.dtype.itemsize}").copy()
    if len(patterns):
        patterns[place % len(patterns)] = (
            np.array([np.inf], values.dtype).view(patterns.dtype)[0] + 1 + place % 100
        )
    return patterns.view(values.dtype)


def made_by(random: np.random.Generator, kind: str, dtype: str, count: int) -> np.ndarray:
    """Many values of one kind; any other kind than those named is ordinary numbers."""
    info = np.finfo(dtype)
    x = random.normal(random.choice([0, 100]), 10.0 ** random.integers(-3, 4), count)
    if kind == "decimals":
        x = np.round(x, random.integers(0, 4))
    elif kind == "multiples":
        x = random.integers(-200, 200, count) * float(
            random.choice([0.5, 0.05, 0.005, 1 / 3])
        )
    elif kind == "truncated":
        x = np.round(x * 2.0 ** random.integers(0, 8)) * 2.0 ** random.integers(-24, 24)
    elif kind == "huge range":
        x = np.ldexp(
            random.normal(0, 1, count),
            random.integers(info.minexp - 8, info.maxexp, count),
        )
    elif kind == "subnormal":
        x = random.integers(-2000, 2000, count) * float(info.smallest_subnormal)
    elif kind == "repeated":
        for value in random.choice(REPEATED, 3):
            x[random.random(count) < random.choice([0.02, 0.1, 0.4])] = value
    elif kind == "bits":
        return random.integers(
            0, 2 ** (8 * info.dtype.itemsize), count, dtype=f"u{info.dtype.itemsize}"
        ).view(dtype)
    return x.astype(dtype)


KINDS = (
    "ordinary",
    "decimals",
    "multiples",
    "truncated",
    "huge range",
    "subnormal",
    "repeated",
    "bits",
)
_seeds = st.integers(0, 2**32 - 1)


@st.composite
def floats(draw: st.DrawFn, dtype: str, count: int) -> np.ndarray:
    """Values of one column: a few that hypothesis chooses, or many of a kind, perhaps with edges
    among them.
    """
    if count <= 8 and draw(st.booleans()):
        return draw(
            arrays(
                dtype,
                count,
                elements=st.sampled_from(edges(dtype).tolist())
                | st.floats(-1e4, 1e4, width=16),
            )
        )
    random = np.random.default_rng(draw(_seeds))
    with np.errstate(all="ignore"):
        x = made_by(random, draw(st.sampled_from(KINDS)), dtype, count)
    if draw(st.booleans()):
        x[random.random(count) < 0.1] = random.choice(edges(dtype))
        x = nan_payloads(x, draw(st.integers(0, 1000)))
    return x


@st.composite
def integers(draw: st.DrawFn, dtype: str, count: int) -> np.ndarray:
    """Small numbers, all numbers, or the ends of the type."""
    limits, random = np.iinfo(dtype), np.random.default_rng(draw(_seeds))
    ends = np.array(
        [limits.min, limits.min + 1, limits.max // 2, limits.max - 1, limits.max, 0, 1],
        dtype,
    )
    made: list[Callable[[], np.ndarray]] = [
        lambda: random.integers(max(limits.min, -50), 50, count).astype(dtype),
        lambda: random.integers(
            limits.min, limits.max, count, dtype=dtype, endpoint=True
        ),
        lambda: random.choice(ends, count),
    ]
    return draw(st.sampled_from(made))()


def float_bounds() -> st.SearchStrategy[str]:
    """Every kind of bound; most near the sizes of `made_by`, some as far out as the type goes."""
    size = (
        st.integers(-9, 4).map(lambda k: 10.0**k)
        | st.integers(-60, 20).map(lambda k: 2.0**k)
        | st.floats(1e-4, 1e3)
    )
    extreme = st.sampled_from(
        [5e-324, 1e-300, 1e-45, 1e-40, 6e-8, 1e30, 1.7976931348623157e308]
    )
    share = st.sampled_from(
        [0.5, 0.1, 0.03, 1e-2, 0.999, 1e-3, 2.0**-9, 1e-9, 2.0**-30, 1e-12, 1e-16]
    ) | st.floats(0.02, 0.9)
    return st.one_of(
        st.just("lossless"),
        (size | size | extreme).map(lambda e: f"abs:{e!r}"),
        share.map(lambda r: f"rel:{r!r}"),
        st.integers(0, 52).map(lambda b: f"bits:{b}"),
        st.sampled_from(["std:0.001", "std:0.1", "std:0.7", "std:3"]),
    )


def integer_bounds() -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            "lossless",
            "abs:0.5",
            "abs:1",
            "abs:3.7",
            "abs:1000",
            "abs:1e17",
            "abs:1e30",
            "std:0.1",
        ]
    )


@st.composite
def column(draw: st.DrawFn, count: int) -> tuple[np.ndarray, str]:
    """The values of a column and its bound."""
    dtype = draw(st.sampled_from((*FLOATS, *FLOATS, *INTEGERS, "bool")))
    if dtype == "bool":
        return np.random.default_rng(draw(_seeds)).random(count) < 0.5, "lossless"
    if dtype in FLOATS:
        return draw(floats(dtype, count)), draw(float_bounds())
    return draw(integers(dtype, count)), draw(integer_bounds())


@st.composite
def tables(draw: st.DrawFn) -> Drawn:
    """Up to four columns beside each other: flat, of lists that share a counter, of a fixed shape;
    perhaps strings.
    """
    events = draw(st.sampled_from([0, 1, 2, 5, 8, 40, 200]))
    counts = np.random.default_rng(draw(_seeds)).integers(
        0, draw(st.integers(1, 4)), events
    )
    columns: dict[str, Any] = {}
    tolerance: dict[str, str] = {}
    for k in range(draw(st.integers(1, 4))):
        form = draw(st.sampled_from(["flat", "flat", "list", "box"]))
        name = f"{form}{k}"
        size = {"flat": events, "list": int(counts.sum()), "box": 3 * events}[form]
        values, tolerance[name] = draw(column(size))
        columns[name] = {
            "flat": lambda v=values: v,
            "list": lambda v=values: ak.unflatten(v, counts),
            "box": lambda v=values: v.reshape(events, 3),
        }[form]()
    if events and draw(st.integers(0, 9)) == 0:
        columns["name"] = ak.Array(
            [("", "e", "\u03bc\u03bd")[k % 3] for k in range(events)]
        )
    return Drawn(columns, tolerance)
