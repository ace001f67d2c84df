"""The promise, on random tables with random bounds, checked in rational arithmetic by nothing of
the library's own.

2,000 tables here; by hand as many as wanted, other ones each time:

    FLOWTUPLE_CASES=100000 pytest tests/test_properties.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flowtuple as ft
from random_tables import Drawn, edges, tables
from short_training import shorten_training

CASES = int(os.environ.get("FLOWTUPLE_CASES", "2000"))
BY_HAND = "FLOWTUPLE_CASES" in os.environ


def cases(share: float) -> settings:
    """So much of all cases; the same ones each time unless run by hand."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=max(1, int(CASES * share)),
        derandomize=not BY_HAND,
        database=None,
        suppress_health_check=slow,
    )


def numbers(values: Any) -> np.ndarray:
    """All values of a column, one after another."""
    return (
        np.asarray(ak.to_numpy(ak.flatten(values, axis=None)))
        if isinstance(values, ak.Array)
        else values.reshape(-1)
    )


def patterns(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def exponent(x: Fraction) -> int:
    """The e with 2^e <= |x| < 2^(e + 1)."""
    above, below = abs(x.numerator), x.denominator
    e = above.bit_length() - below.bit_length()
    return e if above >= below * Fraction(2) ** e else e - 1


def squared_reach(bound: str, values: np.ndarray) -> Fraction:
    """The square of the largest |x' - x| under a `std` bound, and a little more for the float64
    that it is computed in.
    """
    finite = [Fraction(v) for v in values[np.isfinite(values)].tolist()]
    mean = sum(finite) / len(finite)
    variance = sum((v - mean) ** 2 for v in finite) / len(finite)
    return Fraction(bound.partition(":")[2]) ** 2 * (
        variance * (1 + Fraction(1, 10**9)) + Fraction(1, 2**1072)
    )


def reach(bound: str, x: Fraction) -> Fraction:
    """The largest |x' - x| that a bound allows."""
    kind, _, amount = bound.partition(":")
    if kind == "bits":
        return Fraction(2) ** (exponent(x) - int(amount) - 1) if x else Fraction(0)
    limit = Fraction(float(amount)) if kind != "lossless" else Fraction(0)
    return limit * abs(x) if kind == "rel" else limit


def check_column(before: np.ndarray, after: np.ndarray, bound: str) -> None:
    """Every value within its bound, special ones the same bits, no other sign, none outside the
    range.
    """
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    moved = np.flatnonzero(patterns(before) != patterns(after))
    if not len(moved):
        return
    assert np.isfinite(before[moved]).all()
    assert np.isfinite(after[moved]).all()
    assert not (np.signbit(before[moved]) & (before[moved] == 0)).any(), "a -0.0 moved"
    assert not (np.signbit(after[moved]) & (after[moved] == 0)).any(), "a -0.0 appeared"
    finite = before[np.isfinite(before)]
    assert finite.min() <= after[moved].min()
    assert after[moved].max() <= finite.max()
    squared = squared_reach(bound, before) if bound.startswith("std") else None
    for x, y in zip(
        map(Fraction, before[moved].tolist()),
        map(Fraction, after[moved].tolist()),
        strict=True,
    ):
        assert x * y >= 0, f"{float(x)!r} became {float(y)!r}"
        held = (
            abs(y - x) <= reach(bound, x) if squared is None else (y - x) ** 2 <= squared
        )
        assert held, f"{float(x)!r} became {float(y)!r} under {bound}"


def check_events(before: dict[str, Any], after: Any, tolerance: dict[str, str]) -> None:
    assert after.fields == list(before)
    for name, values in before.items():
        if isinstance(values, ak.Array) and values.ndim > 1:
            assert ak.num(after[name]).tolist() == ak.num(values).tolist()
        if name == "name":
            assert after[name].tolist() == values.tolist()
        else:
            check_column(
                numbers(values), numbers(after[name]), tolerance.get(name, "lossless")
            )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where each file replaces the last; none has to outlive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield tmp_path_factory.mktemp("properties") / "events.ftup"


class TestWithoutNetworks:
    @pytest.mark.slow
    @given(tables())
    @cases(0.8)
    def test_every_value_of_any_table_keeps_its_bound(
        self, path: Path, drawn: Drawn
    ) -> None:
        ft.compress(
            drawn.columns,
            path,
            tolerance=drawn.tolerance,
            effort="fast",
            resources=ft.Resources(workers=1),
        )
        check_events(
            drawn.columns,
            ft.decompress(path, resources=ft.Resources(workers=1)),
            drawn.tolerance,
        )


TRAINED = {
    "pt": "rel:0.01",
    "mass": "abs:0.05",
    "width": "bits:8",
    "half": "rel:0.02",
    "charge": "lossless",
    "time": "std:0.01",
    "n": "abs:2",
    "flag": "lossless",
    "Jet_pt": "rel:0.03",
    "Jet_eta": "abs:0.001",
    "position": "abs:0.3",
}


def ordinary(events: int, seed: int) -> dict[str, Any]:
    """Columns that tell about each other, so that networks are stored and used."""
    random = np.random.default_rng(seed)
    pt, counts = random.exponential(30, events), random.integers(0, 4, events)
    jets = np.repeat(pt, counts) * random.normal(0.5, 0.05, counts.sum())
    return {
        "pt": pt.astype("float32"),
        "mass": (pt * random.normal(0.1, 0.01, events)).astype("float32"),
        "width": pt * random.normal(2, 0.02, events),
        "half": (pt * random.normal(0.2, 0.01, events)).astype("float16"),
        "charge": np.where(pt > 20, 1, -1).astype("int8"),
        "time": pt + random.normal(0, 1, events),
        "n": (10 * pt).astype("uint32"),
        "flag": pt > 30,
        "Jet_pt": ak.unflatten(jets.astype("float32"), counts),
        "Jet_eta": ak.unflatten(
            (jets / 30 + random.normal(0, 0.01, len(jets))).astype("float32"), counts
        ),
        "position": (
            pt[:, None] * np.array([1.0, 0.5, -2.0]) + random.normal(0, 0.1, (events, 3))
        ).astype("float32"),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "all.flow"
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        ft.train(ordinary(5000, 0), path, tolerance=TRAINED, effort="fast")
    return path


@pytest.fixture(scope="module")
def bounds(model: Path) -> dict[str, str]:
    """Those that the model fixes, `std` as what it stands for."""
    return {c["name"]: c["bound"] for c in ft.info(model)["tables"][0]["columns"]}


def disturb(values: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The same with some values replaced by edges, bit patterns or numbers far off."""
    flat = values.reshape(-1).copy()
    place = random.integers(0, max(1, len(flat)), count if len(flat) else 0)
    if flat.dtype.kind == "f":
        wild = random.integers(
            0, 2 ** (8 * flat.itemsize), len(place), dtype=f"u{flat.itemsize}"
        ).view(flat.dtype)
        flat[place] = np.where(
            random.random(len(place)) < 0.5,
            random.choice(edges(flat.dtype.name), len(place)),
            wild,
        )
    elif flat.dtype.kind in "iu":
        limits = np.iinfo(flat.dtype)
        flat[place] = random.integers(
            limits.min, limits.max, len(place), dtype=flat.dtype, endpoint=True
        )
    return flat.reshape(values.shape)


def disturbed(events: int, seed: int, count: int) -> dict[str, Any]:
    random, columns = np.random.default_rng(seed), ordinary(events, seed)
    return {
        name: ak.unflatten(disturb(numbers(values), count, random), ak.num(values))
        if isinstance(values, ak.Array)
        else disturb(values, count, random)
        for name, values in columns.items()
    }


class TestWithNetworks:
    @pytest.mark.slow
    @given(
        events=st.sampled_from([0, 1, 3, 100, 300]),
        seed=st.integers(0, 2**32 - 1),
        count=st.sampled_from([0, 1, 5, 40]),
    )
    @cases(0.2)
    def test_every_value_keeps_its_bound(
        self,
        path: Path,
        model: Path,
        bounds: dict[str, str],
        events: int,
        seed: int,
        count: int,
    ) -> None:
        columns = disturbed(events, seed, count)
        ft.compress(columns, path, model=model, resources=ft.Resources(workers=1))
        check_events(
            columns, ft.decompress(path, resources=ft.Resources(workers=1)), bounds
        )

    @pytest.mark.slow
    def test_networks_are_used_indeed(self, path: Path, model: Path) -> None:
        ft.compress(
            disturbed(300, 1, 1), path, model=model, resources=ft.Resources(workers=1)
        )
        with ft.open(path) as file:
            (chunk,) = file.tables["events"].directories()
        used = {
            name for name, column in chunk.entries.items() if column.method.name == "FLOW"
        }
        assert {"mass", "half", "Jet_eta"} <= used


class TestTheChecker:
    """It finds what it is there to find."""

    @pytest.mark.parametrize(
        ("x", "y", "bound"),
        [
            (1.0, 1.1, "abs:0.1"),  # in rational numbers 1.1 - 1.0 is more
            (10.0, 13.0, "rel:0.3"),  # 0.3 is a little less than three tenths
            (1.0, np.nextafter(1, 2), "lossless"),
            (3.0, 3.2, "bits:4"),
            (-0.0, 0.0, "abs:1"),
            (0.0, -0.0, "abs:1"),
            (np.nan, -np.nan, "abs:1"),
            (np.inf, 1e308, "rel:0.9"),
            (1.0, -0.5, "abs:2"),
        ],
    )
    def test_finds_a_broken_promise(self, x: float, y: float, bound: str) -> None:
        ends = [-1e300, 1e300]
        with pytest.raises(AssertionError):
            check_column(np.array([*ends, x]), np.array([*ends, y]), bound)

    def test_finds_a_value_outside_the_range(self) -> None:
        with pytest.raises(AssertionError):
            check_column(np.array([1.0, 2.0]), np.array([0.9, 2.0]), "abs:0.5")

    def test_finds_a_value_too_far_for_a_spread(self) -> None:
        before = np.array([0.0, 2.0, -1.0, 3.0])
        with pytest.raises(AssertionError, match=r"under std:0.1"):
            check_column(before, before + np.array([0, 0.17, 0, 0]), "std:0.1")
        check_column(before, before + np.array([0, 0.15, 0, 0]), "std:0.1")

    @pytest.mark.parametrize(
        ("x", "expected"), [(1.0, 0), (0.75, -1), (3.99, 1), (-8.0, 3), (5e-324, -1074)]
    )
    def test_exponent(self, x: float, expected: int) -> None:
        assert exponent(Fraction(x)) == expected
