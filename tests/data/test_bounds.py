"""Bounds, checked against a slow reference with fractions, and their choice by patterns."""

import math
import struct
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import flowtuple as ft
from flowtuple.api.inputs import EVERYTHING, read
from flowtuple.baseline.quantise import quantise_shifted, restore
from flowtuple.benchmark.codecs.absolute import relative_of
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.benchmark.registry import CODECS
from flowtuple.cli import app
from flowtuple.cli.options import read_tolerance
from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import FORMS, KINDS, Bound, BoundKind, requested_bounds
from flowtuple.data.schema import Column
from flowtuple.errors import InvalidArgument
from flowtuple.file.file import File
from flowtuple.lattice.lattice import Lattice, resolve, resolve_statistics
from flowtuple.lattice.statistics import Statistics
from flowtuple.reporting.describe import report_input
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables

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
    data=st.data(),
    amount=st.one_of(st.floats(0.5, 1e25), st.integers(1, 2**64).map(float)),
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
        {
            "genWeight": "rel:1e-3",
            "Jet_nConstituents": "abs:1",
            "Events/eventNumber": "abs:2",
        }
    )
    assert found == {
        "Events/genWeight": "rel:0.001",
        "Events/Jet_nConstituents": "abs:1",
        "Events/eventNumber": "abs:2",
    }


def test_the_last_pattern_wins():
    assert bounded({"Jet_*": "abs:1", "Jet_pt": "lossless"}) == {
        "Events/Jet_phi": "abs:1"
    }
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
        ({"run": "rel:0.1"}, "is uint32: bound it with lossless, abs:E"),
        (
            {"Jet_nConstituents": "bits:3"},
            "is uint8: bound it with lossless, abs:E",
        ),
        ({"Jet_pt": "near"}, "does not parse"),
    ],
)
def test_patterns_and_bounds_that_do_not_fit_are_refused(tolerance, match):
    with pytest.raises(InvalidArgument, match=match):
        requested_bounds(TABLES, tolerance)


# those that count in another column: tests/lattice/test_resolutions.py
LOSSY = [k for k in KINDS if k != "lossless" and not KINDS[k].has_resolution]
ROOT = Path(ft.__file__).parents[2]


def drawn(rows=2000):
    return np.random.default_rng(1).lognormal(3, 1, rows).astype(np.float32)


def statistics_of(values):
    statistics = Statistics(values.dtype.name)
    statistics.update(values)
    return statistics


class TestEveryKind:
    """A new kind of bound is known in all places that CONTRIBUTING.md lists."""

    X = drawn()

    @pytest.fixture(params=LOSSY)
    def bound(self, request):
        return Bound.parse(KINDS[request.param].example)

    @pytest.fixture
    def resolved(self, bound):
        return resolve_statistics(bound, statistics_of(self.X))

    @pytest.mark.parametrize("kind", [k for k in KINDS if k != "lossless"])
    def test_it_is_described(self, kind):
        bound = Bound.parse(KINDS[kind].example)
        assert KINDS[bound.kind].form.startswith(f"{bound.kind}:")
        assert KINDS[bound.kind].form in FORMS
        import_module("flowtuple.cli.coding")
        options = typer.main.get_command(app).commands["compress"].params
        assert FORMS in next(o.help for o in options if o.name == "tolerance")
        for page in (ROOT / "README.md", ROOT / "docs" / "concepts.md"):
            if page.is_file():
                assert f"| `{KINDS[bound.kind].form}` |" in page.read_text(
                    encoding="utf-8"
                )

    @pytest.mark.parametrize("kind", [k for k in KINDS if k != "lossless"])
    def test_the_command_line_reads_it(self, kind):
        bound = Bound.parse(KINDS[kind].example)
        assert read_tolerance([str(bound)], None) == {"*": bound}
        assert read_tolerance([f"Jet_*={bound}"], None) == {"Jet_*": bound}

    def test_integers_have_it_as_its_entry_says(self, bound):
        tables = {"t": (Column("n", "int32"),)}
        if KINDS[bound.kind].on_integers:
            assert requested_bounds(tables, {"n": bound}) == {"t": {"n": bound}}
            whole = resolve(Column("n", "int32"), bound, statistics_of(np.arange(1000)))
            assert whole.bound.kind in ("abs", "lossless")
        else:
            with pytest.raises(InvalidArgument, match="'n' is int32: bound it with"):
                requested_bounds(tables, {"n": bound})

    def test_it_is_resolved_before_values_are_compared(self, bound, resolved):
        assert not resolved.is_statistical
        assert resolved.kind != "lossless"
        assert bound.is_statistical or resolved == bound
        assert (resolved.largest_difference(self.X) > 0).all()
        if bound.is_statistical:
            assert resolved.kind == "abs"
            with pytest.raises(
                InvalidArgument, match="has no meaning before it is resolved"
            ):
                bound.holds(self.X, self.X)
            with pytest.raises(
                InvalidArgument, match="has no meaning before it is resolved"
            ):
                quantise_shifted(self.X, bound)

    def test_a_promise_has_it(self, bound, resolved):
        words = f"{resolved}, then {resolved}"
        assert Promise.parse(words).holds(self.X, self.X).all()
        if bound.is_statistical:
            with pytest.raises(
                InvalidArgument, match="has no meaning before it is resolved"
            ):
                Promise.parse(f"abs:1, then {bound}")

    def test_its_lattice_stays_within_it(self, bound, resolved):
        lattice = resolve(Column("x", "float32"), bound, statistics_of(self.X))
        decoded = lattice.snap(self.X)
        assert resolved.holds(self.X, decoded).all()
        # The bound is used: values are not all the same as before.
        assert np.mean(decoded == self.X) < 0.5
        assert Lattice.from_json(lattice.to_json()) == lattice

    def test_the_baseline_knows_it(self, resolved):
        numbers, shift = quantise_shifted(self.X, resolved)
        assert len(np.unique(numbers)) < len(np.unique(self.X))
        near = restore(numbers, resolved, self.X.dtype, shift)
        # but for rounding at cell edges
        assert np.mean(resolved.holds(self.X, near)) > 0.99

    @pytest.mark.parametrize(
        "codec", [c for c in CODECS if isinstance(c, ColumnCodec)], ids=lambda c: c.name
    )
    def test_every_codec_knows_it(self, resolved, codec):
        if codec.requires is not None:
            pytest.importorskip(codec.requires[0])
        packed = codec.compress(self.X, resolved)
        near = codec.decompress(packed, self.X.dtype, resolved)
        assert resolved.holds(self.X, near).all()
        exact = np.array_equal(near, self.X)
        assert exact == (codec.promise == "lossless")

    @pytest.mark.parametrize("kind", [k for k in LOSSY if KINDS[k].is_statistical])
    def test_statistical_kinds_share_grids_and_warn_of_sentinels(self, kind):
        bound = Bound.parse(KINDS[kind].example)
        x = np.random.default_rng(2).normal(0, 1, 2000).astype(np.float32)
        y = np.where(np.abs(x) < 0.7, x, 1.3 * x)
        sentinels = np.where(np.arange(2000) % 4 == 0, np.float32(-999), x)
        dataset = read({"x": x, "y": y, "s": sentinels}, EVERYTHING)
        (table,) = resolve_tables(dataset, {"*": bound}, silent)
        own = [resolve_statistics(bound, statistics_of(values)) for values in (x, y)]
        assert own[0].amount < own[1].amount
        assert table.coding.lattices["y"].bound == own[0]
        (warning,) = table.warnings
        assert warning.startswith("column 's': the repeated value -999")
        assert f"{bound} is wide" in warning

    def test_a_file_is_written_verified_and_described_with_it(self, bound, tmp_path):
        source, path = {"x": drawn(300)}, tmp_path / "x.ftup"
        ft.compress(source, path, tolerance={"x": bound}, effort="fast")
        resolved = resolve_statistics(bound, statistics_of(source["x"]))
        assert ft.verify(source, path).violations == 0
        with File(path) as file:
            stored = file.tables["events"]
            assert stored.requested == {"x": str(bound)}
            assert stored.lattices["x"].bound == resolved
            report = report_input(read(source, EVERYTHING), file, "x")
        assert report.requested_bounds["events"]["x"] == resolved
        assert report.bounds["events"]["x"] == resolved


def test_a_kind_without_arithmetic_is_refused_everywhere(monkeypatch):
    """Without a grid, a difference or a statistic of its own, no kind passes for another."""
    monkeypatch.setitem(KINDS, "near", BoundKind("near:N", "near:2"))
    monkeypatch.setitem(KINDS, "mad", BoundKind("mad:M", "mad:2", is_statistical=True))
    x, near, mad = drawn(), Bound("near", 2), Bound("mad", 2)
    with pytest.raises(InvalidArgument, match="no unit for a difference"):
        near.holds(x, x + 1)
    with pytest.raises(InvalidArgument, match="there is no grid for near:2"):
        resolve(Column("x", "float32"), near, statistics_of(x))
    with pytest.raises(InvalidArgument, match="no grid for near:2"):
        quantise_shifted(x, near)
    with pytest.raises(InvalidArgument, match="no grid for near:2"):
        restore(np.arange(3), near, x.dtype)
    with pytest.raises(InvalidArgument, match="near:2 allows no relative error"):
        relative_of(near)
    with pytest.raises(
        InvalidArgument, match="no statistic of the column resolves mad:2"
    ):
        resolve_statistics(mad, statistics_of(x))
