"""Bounds, checked against a slow reference with fractions, and their choice by patterns."""

import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowtuple
from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.cli.options import Tolerances
from flowtuple.data.bounds import FORMS, Bound, BoundKind, requested_bounds
from flowtuple.data.schema import Column
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.lattice import Lattice, resolve, resolve_std
from flowtuple.lattice.statistics import Statistics

FLOATS = {"float16": ("<e", 2), "float32": ("<f", 4), "float64": ("<d", 8)}


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("lossless", Bound()),
        (" abs:0.5 ", Bound("abs", 0.5)),
        ("rel:1e-3", Bound("rel", 1e-3)),
        ("std:2", Bound("std", 2.0)),
        ("bits:0", Bound("bits", 0)),
        ("bits:52", Bound("bits", 52)),
    ],
)
def test_a_bound_is_read_and_written(text, bound):
    assert Bound.parse(text) == bound
    assert Bound.parse(str(bound)) == bound


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "does not parse"),
        ("exact", "does not parse: write lossless, abs:E"),
        ("lossless:1", "does not parse"),
        ("ABS:1", "does not parse"),
        ("abs", "no number after 'abs:'"),
        ("abs:", "no number after"),
        ("abs:x", "no number after 'abs:': write for example abs:1e-3"),
        ("abs:0", "positive, finite"),
        ("abs:-1", "positive, finite"),
        ("abs:nan", "positive, finite"),
        ("abs:inf", "positive, finite"),
        ("bits:-1", "positive, finite"),
        ("rel:1", "allows every value to become zero"),
        ("bits:2.5", "whole number of mantissa bits"),
        ("bits:53", "whole number of mantissa bits"),
    ],
)
def test_what_is_no_bound_is_refused(text, match):
    with pytest.raises(InvalidArgument, match=match):
        Bound.parse(text)


def slow_holds(bound, x, y, same):
    """One pair of floats; both are exact in double precision, and so are the fractions."""
    if same:
        return True
    if (
        not math.isfinite(x)
        or not math.isfinite(y)
        or (x == 0 and math.copysign(1, x) < 0)
        or bound.kind == "lossless"
    ):
        return False
    difference = Fraction(abs(y - x)) if math.isfinite(y - x) else Fraction(2**1024)
    if bound.kind == "abs":
        return difference <= Fraction(bound.amount)
    if bound.kind == "rel":
        limit = bound.amount * abs(x)
        return difference <= Fraction(
            limit if limit >= 2.0**-1022 else math.nextafter(limit, 0)
        )
    if x == 0:
        return difference == 0
    exponent = math.frexp(x)[1] - 1  # 2^exponent <= |x|
    return difference <= Fraction(2) ** (exponent - int(bound.amount)) / 2


BOUNDS = [
    Bound(),
    *map(
        Bound.parse,
        [
            "abs:0.5",
            "abs:1e-300",
            "abs:1e300",
            "rel:1e-3",
            "rel:0.5",
            "bits:0",
            "bits:7",
            "bits:52",
        ],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bound", BOUNDS, ids=str)
@given(data=st.data())
def test_float_bounds_hold_as_the_reference_says(bound, dtype, data):
    form, size = FLOATS[dtype]
    bits = st.integers(0, 2 ** (8 * size) - 1)
    specials = st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, 1.5]).map(
        lambda v: int.from_bytes(struct.pack(form, v), "little")
    )
    first = data.draw(st.one_of(bits, specials))
    near = st.integers(-5, 5).map(lambda step: (first + step) % 2 ** (8 * size))
    second = data.draw(st.one_of(bits, specials, near))
    x, y = (np.array([b], dtype=f"u{size}").view(dtype) for b in (first, second))
    expected = slow_holds(bound, float(x[0]), float(y[0]), first == second)
    assert bound.holds(x, y).tolist() == [expected]


def test_a_product_among_subnormal_numbers_is_not_rounded_up():
    """2^-32 of the original, 5.1806e-318, lies between subnormals; the shift is the larger one."""
    x, y = np.array([2.225073857989136e-308]), np.array([2.2250738585072014e-308])
    assert abs(Fraction(y[0]) - Fraction(x[0])) > Fraction(2) ** -32 * Fraction(x[0])
    assert not Bound("rel", 2.0**-32).holds(x, y).any()


def test_zero_has_no_mantissa_to_round():
    assert not Bound("bits", 10).holds(np.array([0.0]), np.array([4e-4])).any()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "int64", "uint64"])
@given(
    data=st.data(), amount=st.one_of(st.floats(0.5, 1e25), st.integers(1, 2**64).map(float))
)
def test_integer_bounds_hold_as_the_reference_says(dtype, data, amount):
    info = np.iinfo(dtype)
    value = st.one_of(
        st.integers(int(info.min), int(info.max)),
        st.sampled_from([int(info.min), int(info.max), 0]),
    )
    x, y = data.draw(value), data.draw(value)
    held = Bound("abs", amount).holds(np.array([x], dtype), np.array([y], dtype))
    assert held.tolist() == [Fraction(abs(x - y)) <= Fraction(amount)]
    assert Bound().holds(np.array([x], dtype), np.array([y], dtype)).tolist() == [x == y]


def test_nan_payloads_and_signs_of_zero_are_told_apart():
    nans = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    assert Bound("abs", 1.0).holds(nans[:1], nans[:1]).all()
    assert not Bound("abs", 1.0).holds(nans[:1], nans[1:]).any()
    assert not Bound("abs", 1.0).holds(np.array([-0.0]), np.array([0.0])).any()


def test_a_std_bound_has_to_be_resolved_first():
    with pytest.raises(InvalidArgument, match="before it is resolved to abs"):
        Bound("std", 1.0).holds(np.zeros(1), np.zeros(1))


COLUMNS = (
    Column("run", "uint32", "id"),
    Column("eventNumber", "float64", "id"),
    Column("genWeight", "float32", "weight"),
    Column("nJet", "int32", "counter"),
    Column("Jet_pt", "float32", counter="nJet"),
    Column("Jet_phi", "float32", "angle", counter="nJet"),
    Column("Jet_nConstituents", "uint8", counter="nJet"),
    Column("MET_pt", "float32"),
    Column("good", "bool"),
    Column("name", "opaque"),
)
TABLES = {
    "Events": COLUMNS,
    "Runs": (Column("run", "uint32", "id"), Column("sumw", "float64")),
}


def bounded(tolerance):
    return {
        f"{table}/{name}": str(bound)
        for table, columns in requested_bounds(TABLES, tolerance).items()
        for name, bound in columns.items()
        if bound != Bound()
    }


def test_a_glob_touches_floats_and_passes_over_ids_and_weights():
    everything = bounded({"*": "rel:1e-3"})
    assert sorted(everything) == [
        "Events/Jet_phi",
        "Events/Jet_pt",
        "Events/MET_pt",
        "Runs/sumw",
    ]
    assert bounded({"Runs/*": Bound("abs", 1.0)}) == {"Runs/sumw": "abs:1"}


def test_a_column_named_in_full_is_bounded_whatever_its_role():
    found = bounded(
        {"genWeight": "rel:1e-3", "Jet_nConstituents": "abs:1", "Events/eventNumber": "abs:2"}
    )
    assert found == {
        "Events/genWeight": "rel:0.001",
        "Events/Jet_nConstituents": "abs:1",
        "Events/eventNumber": "abs:2",
    }


def test_the_last_pattern_wins():
    assert bounded({"Jet_*": "abs:1", "Jet_pt": "lossless"}) == {"Events/Jet_phi": "abs:1"}
    assert bounded({"Jet_pt": "lossless", "Jet_*": "abs:1"}) == {
        "Events/Jet_phi": "abs:1",
        "Events/Jet_pt": "abs:1",
    }


@pytest.mark.parametrize(
    ("tolerance", "match"),
    [
        ({"Jet_pT": "abs:1"}, r"the name 'Jet_pT' matches no column; nearest: Jet_pt"),
        ({"Jets_p*": "abs:1"}, r"the glob 'Jets_p\*' matches no column; nearest: Jet_p"),
        ({"nJet": "abs:1"}, "is a counter and can only be lossless"),
        ({"good": "abs:1"}, "of type bool and can only be lossless"),
        ({"name": "abs:1"}, "of type opaque and can only be lossless"),
        ({"run": "rel:0.1"}, "is uint32: bound it with abs:E"),
        ({"Jet_nConstituents": "bits:3"}, "is uint8: bound it with abs:E"),
        ({"Jet_pt": "near"}, "does not parse"),
    ],
)
def test_patterns_and_bounds_that_do_not_fit_are_refused(tolerance, match):
    with pytest.raises(InvalidArgument, match=match):
        requested_bounds(TABLES, tolerance)


KINDS = [kind for kind in get_args(BoundKind) if kind != "lossless"]


class TestEveryKind:
    """A new kind of bound is known in all places that CONTRIBUTING.md lists."""

    X = np.random.default_rng(1).lognormal(3, 1, 2000).astype(np.float32)
    COLUMN = Column("x", "float32")

    @pytest.fixture(params=KINDS)
    def bound(self, request):
        return Bound.parse(f"{request.param}:{7 if request.param == 'bits' else 0.01}")

    def statistics(self):
        statistics = Statistics("float32")
        statistics.update(self.X)
        return statistics

    def test_it_is_described(self, bound):
        assert f"{bound.kind}:" in FORMS
        assert FORMS in Tolerances.__metadata__[0].help
        concepts = Path(flowtuple.__file__).parents[2] / "docs" / "concepts.md"
        if concepts.is_file():
            assert f"| `{bound.kind}:" in concepts.read_text(encoding="utf-8")

    def test_its_lattice_stays_within_it(self, bound):
        lattice = resolve(self.COLUMN, bound, self.statistics())
        resolved = resolve_std(bound, self.statistics())
        decoded = lattice.snap(self.X)
        assert resolved.holds(self.X, decoded).all()
        assert (
            np.mean(decoded == self.X) < 0.5
        )  # the bound is used, values are not kept exactly
        assert Lattice.from_json(lattice.to_json()) == lattice

    def test_the_baseline_knows_it(self, bound):
        resolved = resolve_std(bound, self.statistics())
        numbers, shift = quantise_shifted(self.X, resolved)
        assert len(np.unique(numbers)) < len(np.unique(self.X))
        near = restore(numbers, resolved, self.X.dtype, shift)
        assert np.mean(resolved.holds(self.X, near)) > 0.99  # but for rounding at cell edges
