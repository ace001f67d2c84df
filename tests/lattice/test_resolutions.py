"""Bounds in units of a column of resolutions, checked in rational arithmetic.

500 cases here; by hand as many as wanted, other ones each time:

    FLOWTUPLE_CASES=5000 pytest tests/lattice/test_resolutions.py
"""

from __future__ import annotations

import json
import math
import os
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple.benchmark.codecs.table_codec import ColumnCodec
from flowtuple.benchmark.registry import CODECS
from flowtuple.codec.chunk import encode_chunk
from flowtuple.codec.column import Method
from flowtuple.data.bounds import Bound, requested_bounds
from flowtuple.data.resolutions import product_below
from flowtuple.data.schema import Column, bit_patterns
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file import layout
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.context import Parent, coding_order
from flowtuple.lattice.grid import Steps
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.lattice.statistics import Statistics
from hand_made import write_model
from reference_reader import Invalid, read_file

CASES = int(os.environ.get("FLOWTUPLE_CASES", "500"))
SETTINGS = settings(
    max_examples=CASES, derandomize="FLOWTUPLE_CASES" not in os.environ, database=None
)
FLOATS = ("float16", "float32", "float64")
ODD = [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf]


def slow_step(factor: float, s: float) -> Fraction | None:
    """The largest of 1, 1.25, 1.5, 1.75 times a power of two of at most 2 F s."""
    if not 2.0**-1022 <= s < math.inf:
        return None
    most = 2 * Fraction(factor) * Fraction(s)
    k = most.numerator.bit_length() - most.denominator.bit_length()
    k -= most < Fraction(2) ** k
    steps = [Fraction(4 + i, 4) * Fraction(2) ** k for i in range(4)]
    return max(step for step in steps if step <= most) if -1022 <= k <= 1023 else None


def check_within(x: np.ndarray, y: np.ndarray, s: np.ndarray, factor: float) -> None:
    """Every value within F times its own resolution, and the same bits where that is none."""
    moved = bit_patterns(x) != bit_patterns(y)
    rows = zip(x[moved].tolist(), y[moved].tolist(), s[moved].tolist(), strict=True)
    for before, after, resolution in rows:
        assert all(map(math.isfinite, (before, after, resolution)))
        assert resolution > 0
        limit = Fraction(factor) * Fraction(resolution)
        assert abs(Fraction(before) - Fraction(after)) <= limit
        assert before * after >= 0
        assert after != 0 or math.copysign(1, after) > 0


def statistics_of(x: np.ndarray) -> Statistics:
    statistics = Statistics(str(x.dtype))
    statistics.update(x)
    return statistics


def lattice_of(x: np.ndarray, s: np.ndarray, bound: Bound) -> Lattice:
    column = Column("x", str(x.dtype))
    return resolve(column, bound, statistics_of(x), statistics_of(s))


@given(
    factor=st.floats(5e-324, 1.7e308) | st.sampled_from([0.1, 0.25, 1 / 3, 1.0, 0.625]),
    s=st.lists(st.floats(5e-324, 1.7e308) | st.sampled_from([1.0, 1.25, 5e-3, *ODD])),
)
@SETTINGS
def test_steps_are_the_largest(factor: float, s: list[float]) -> None:
    found = Steps("float64", factor).step(np.array(s, np.float64)).tolist()
    assert found == [float(slow_step(factor, value) or 0) for value in s]


@given(factor=st.floats(1e-9, 1e9), s=st.floats(1e-290, 1e290))
@SETTINGS
def test_products_are_never_rounded_up(factor: float, s: float) -> None:
    found = float(product_below(factor, np.array([s]))[0])
    assert Fraction(found) <= Fraction(factor) * Fraction(s)
    assert Fraction(math.nextafter(found, math.inf)) > Fraction(factor) * Fraction(s)


@st.composite
def columns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Bound]:
    """Values, their resolutions of any kind, and a bound, perhaps with cuts."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([1, 3, 40, 300]))
    dtypes = draw(st.sampled_from(FLOATS)), draw(st.sampled_from(FLOATS))
    with np.errstate(all="ignore"):
        s = random.lognormal(random.normal(0, 4), random.choice([0.1, 1, 4]), count)
        x = s * random.standard_t(2, count) * 10.0 ** draw(st.integers(-1, 4))
        if draw(st.booleans()):
            x, s = (np.round(v, 2) for v in (x, s))
        x, s = x.astype(dtypes[0]), s.astype(dtypes[1])
        if draw(st.booleans()):
            s[random.random(count) < 0.2] = random.choice(np.array(ODD, dtypes[1]))
            x[random.random(count) < 0.1] = random.choice(np.array(ODD, dtypes[0]))
            x[random.random(count) < 0.1] = -999.123
    cuts = tuple(random.choice([0, 0.02, -1.5, 30], draw(st.integers(0, 2))).tolist())
    factor = draw(st.sampled_from([0.1, 0.25, 1e-3, 1e-7, 3.0]))
    return x, s, Bound("sigma", factor, cuts, "s")


@pytest.mark.slow
@given(columns())
@SETTINGS
def test_every_value_is_within_its_own(
    drawn: tuple[np.ndarray, np.ndarray, Bound],
) -> None:
    x, s, bound = drawn
    lattice = lattice_of(x, s, bound)
    of_rows = lattice.at({"s": s})
    y = of_rows.snap(x)
    check_within(x, y, s, bound.amount)
    assert lattice.bound.holds(x, y, {"s": s}).all()
    numbers = x[np.isfinite(x)]
    if len(numbers):
        moved = y[bit_patterns(x) != bit_patterns(y)]
        assert ((moved >= numbers.min()) & (moved <= numbers.max())).all()
    for cut in bound.cuts:
        for t in (np.float64(cut), np.float64(cut).astype(x.dtype)):
            assert ((x > t) == (y > t)).all()
            assert ((x < t) == (y < t)).all()
    # what comes back is on the lattice, on the same one and on one resolved anew
    for other in (lattice, lattice_of(y, s, bound)):
        again = other.at({"s": s}).snap(y)
        assert np.array_equal(bit_patterns(again), bit_patterns(y))
    # a row comes back as it does among others, in any order
    order = np.random.default_rng(1).permutation(len(x))
    shuffled = lattice.at({"s": s[order]}).snap(x[order])
    assert np.array_equal(bit_patterns(shuffled), bit_patterns(y[order]))
    assert Lattice.from_json(json.loads(json.dumps(lattice.to_json()))) == lattice


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("sigma:0@s", "must be a positive, finite number"),
        ("sigma:-1@s", "must be a positive, finite number"),
        ("sigma:x@s", "has no number after 'sigma:'"),
        ("sigma:1", "names no column of resolutions: write for example sigma:0.1@"),
        ("sigma:1@", "names no column of resolutions"),
        ("sigma:1@a or b", "names no column of resolutions"),
        ("sigma:1@s,cut:x", "has 'cut:x' after a comma"),
    ],
)
def test_what_is_no_such_bound_is_refused(text: str, match: str) -> None:
    with pytest.raises(InvalidArgument, match=match):
        Bound.parse(text)


def test_names_of_resolutions_may_be_odd() -> None:
    bound = Bound.parse("sigma:0.1@sigma (x, y)@2,cut:3,cut:-1")
    assert bound == Bound("sigma", 0.1, (-1.0, 3.0), "sigma (x, y)@2")
    assert Bound.parse(str(bound)) == bound


TABLES = {
    "Events": (
        Column("nMuon", "int32", "counter"),
        Column("d", "float32", counter="nMuon"),
        Column("dErr", "float32", counter="nMuon"),
        Column("q", "int32", counter="nMuon"),
        Column("met", "float32"),
        Column("run", "float64", "id"),
        Column("box", "float32", shape=(2, 3)),
        Column("boxErr", "float32", shape=(6,)),
    ),
    "Runs": (Column("lumiErr", "float32"),),
}


@pytest.mark.parametrize(
    ("tolerance", "match"),
    [
        ({"d": "sigma:1@dEr"}, "'dEr', which is not in its table; nearest: dErr"),
        ({"d": "sigma:1@lumiErr"}, "which is not in its table, but in table 'Runs'"),
        ({"d": "sigma:1@met"}, "has other objects or another shape"),
        ({"box": "sigma:1@boxErr"}, "has other objects or another shape"),
        ({"d": "sigma:1@q"}, "is of type int32; name a column of floats"),
        ({"met": "sigma:1@run"}, "is an id and no uncertainty"),
        ({"d": "sigma:1@d"}, "needs this column in turn"),
        ({"Events/d*": "sigma:1@dErr"}, "'dErr', which needs this column in turn"),
        ({"d": "sigma:1@dErr", "dErr": "sigma:1@d"}, "needs this column in turn"),
        ({"q": "sigma:1@dErr"}, "'q' is int32: bound it with"),
    ],
)
def test_what_is_no_resolution_is_refused(tolerance: Any, match: str) -> None:
    with pytest.raises(InvalidArgument, match=match):
        requested_bounds(TABLES, tolerance)


def test_a_resolution_comes_before_its_columns() -> None:
    names = [Column(n, "float32") for n in "abcde"]
    found = coding_order(names, (), {"a": "c", "b": "c", "c": "e"})
    assert [c.name for c in found] == ["d", "e", "c", "a", "b"]
    assert [c.name for c in coding_order(names, (), {"e": "a"})] == list("abcde")


def test_without_its_resolution_nothing_is_decoded() -> None:
    x = np.array([1.0, 2.0])
    lattice = Lattice("float64", Bound("sigma", 0.1, (), "s"), Steps("float64", 0.1))
    with pytest.raises(InvalidArgument, match="needs the decoded values of 's'"):
        lattice.at({})
    with pytest.raises(InvalidArgument, match="needs the decoded values of 's'"):
        lattice.bound.holds(x, x + 1)
    with pytest.raises(InvalidArgument, match="without the resolution of each row"):
        lattice.snap(x)


def events(count: int = 500, seed: int = 1) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 4, count)
    error = random.lognormal(-5, 1, counts.sum()).astype("float32")
    d = (error * random.standard_t(3, counts.sum())).astype("float32")
    error[::13], d[5::17] = random.choice(ODD), -999
    met = random.exponential(30, count)
    return {
        "d": ak.unflatten(d, counts),
        "dErr": ak.unflatten(error, counts),
        "met": met,
        "copy": np.where(np.arange(count) % 9 == 0, 1.0, met),
        "metErr": random.lognormal(0, 0.5, count).astype("float32"),
    }


TOLERANCE = {
    "d": "sigma:0.1@dErr,cut:0.01",
    "dErr": "rel:0.01",
    "met": "sigma:0.2@metErr",
    "copy": "sigma:0.2@metErr",
}


def flat(values: Any) -> np.ndarray:
    return np.asarray(ak.flatten(values, axis=None))


def check_events(before: dict[str, Any], after: Any) -> None:
    for name, text in TOLERANCE.items():
        bound = Bound.parse(text)
        if bound.resolution:
            triple = before[name], after[name], after[bound.resolution]
            check_within(*map(flat, triple), bound.amount)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sigma") / "a.ftup"
    ft.compress(events(), path, tolerance=TOLERANCE, effort="fast")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks and a prediction of columns under such bounds."""
    path = tmp_path_factory.mktemp("model") / "m.flow"
    table = dataset_from_memory(events(600, 3)).tables["events"]
    copied = Prediction((Term(1.0, "x", (Parent("row", "met"),)),))
    parents = {
        "d": (Parent("row", "dErr"), Parent("previous", "d")),
        "copy": (Parent("row", "metErr"),),
        "met": (Parent("row", "metErr"),),
    }
    write_model(table, path, parents, TOLERANCE, {"copy": copied})
    return path


class TestFiles:
    def test_all_readers_agree(self, path: Path) -> None:
        decoded, snapped = ft.decompress(path), ft.snap(events(), TOLERANCE)
        check_events(events(), decoded)
        assert ft.verify(events(), path).violations == 0
        reference = read_file(path.read_bytes())["events"]
        for name in decoded.fields:
            assert flat(decoded[name]).tobytes() == reference[name].tobytes()
            assert flat(decoded[name]).tobytes() == flat(snapped[name]).tobytes()
        again = ft.snap(snapped, TOLERANCE)
        assert all(
            flat(again[n]).tobytes() == flat(snapped[n]).tobytes() for n in again.fields
        )
        with ft.open(path) as file:
            assert (file.version, file.flags) == ("1.1", layout.FURTHER_BOUNDS)

    def test_a_column_takes_its_resolution_along(self, path: Path) -> None:
        decoded = ft.decompress(path)
        with ft.open(path) as file:
            assert "dErr" in file.table().needed(["d"])
            assert flat(file["d", 70:90]).tobytes() == flat(decoded["d"][70:90]).tobytes()
        alone = ft.decompress(path, columns=["d"])
        assert flat(alone["d"]).tobytes() == flat(decoded["d"]).tobytes()
        checked = ft.verify(events(), path, columns=["d"])
        assert {c.column for c in checked} >= {"d", "dErr"}
        assert checked.violations == 0

    def test_networks_and_residuals_code_them(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "x.ftup"
        by_flow = partial(
            encode_chunk, cost=lambda s: len(s) * (s.method is not Method.FLOW)
        )
        monkeypatch.setattr("flowtuple.training.write_events.encode_chunk", by_flow)
        ft.compress(events(400, 5), path, model=model)
        decoded = ft.decompress(path)
        check_events(events(400, 5), decoded)
        reference = read_file(path.read_bytes())["events"]
        assert all(
            flat(decoded[n]).tobytes() == reference[n].tobytes() for n in decoded.fields
        )
        with ft.open(path) as file:
            (chunk,) = (d.entries for d in file.table().directories())
            assert {chunk[n].method for n in ("d", "met", "copy")} == {Method.FLOW}

    def test_merge_recompress_and_recover(self, model: Path, tmp_path: Path) -> None:
        parts = [tmp_path / f"{seed}.ftup" for seed in (5, 6)]
        for seed, part in zip((5, 6), parts, strict=True):
            ft.compress(events(90, seed), part, model=model)
        both, again = tmp_path / "both.ftup", tmp_path / "again.ftup"
        ft.merge(parts, both)
        whole = ft.decompress(both)
        expected = ak.concatenate([ft.decompress(part) for part in parts])
        for name in whole.fields:
            assert flat(whole[name]).tobytes() == flat(expected[name]).tobytes()
        ft.recompress(both, again, effort="fast")
        same = ft.decompress(again)
        assert all(
            flat(same[n]).tobytes() == flat(whole[n]).tobytes() for n in same.fields
        )
        data = bytearray(both.read_bytes())
        data[:16] = bytes(16)
        (tmp_path / "headless.ftup").write_bytes(data)
        ft.recover(tmp_path / "headless.ftup", tmp_path / "saved.ftup")
        saved = ft.decompress(tmp_path / "saved.ftup")
        assert flat(saved["d"]).tobytes() == flat(whole["d"]).tobytes()

    def test_later_bounds_add_up(self, path: Path, tmp_path: Path) -> None:
        wider = tmp_path / "wider.ftup"
        done = ft.recompress(path, wider, tolerance={"met": "abs:0.5"}, effort="fast")
        assert done.bounds == {"events/met": "sigma:0.2@metErr, then abs:0.5"}
        assert ft.verify(events(), wider).violations == 0
        with pytest.raises(InvalidArgument, match="which cannot move any more"):
            ft.recompress(path, wider, tolerance={"metErr": "rel:0.1"})
        with pytest.raises(InvalidArgument, match="cannot bring it nearer"):
            ft.recompress(path, wider, tolerance={"met": "sigma:0.1@metErr"})

    @pytest.mark.parametrize("effort", ["fast"])
    def test_a_resolution_of_nothing(self, effort: str, tmp_path: Path) -> None:
        for value in (0.0, -1.0, np.nan, np.inf):
            made = {
                "x": np.random.default_rng(1).normal(0, 1, 200),
                "s": np.full(200, value),
            }
            ft.compress(
                made, tmp_path / "x.ftup", tolerance={"x": "sigma:1@s"}, effort=effort
            )
            assert ft.decompress(tmp_path / "x.ftup")["x"].tolist() == made["x"].tolist()

    @pytest.mark.parametrize(
        "change",
        [
            {"bound": "sigma:0.2@nothing"},
            {"bound": "sigma:0.2@met"},
            {"bound": "sigma:0.2@dErr"},
            {"bound": "sigma:0.2@"},
            {"bound": "sigma:0.3@metErr"},
            {"bound": "sigma:0.2@ metErr"},
            {"bound": "sigma:0.2@metErr,cut:x"},
            {"bound": "abs:0.2"},
            {"grid": {"kind": "steps", "dtype": "float64", "factor": 0.1}},
            {"grid": {"kind": "steps", "dtype": "float64", "factor": 0}},
            {"grid": {"kind": "uniform", "dtype": "float64", "half_width": 0.2}},
        ],
        ids=str,
    )
    def test_hostile_lattices_are_refused(
        self, path: Path, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        meta, sections, contents = pieces(path)
        met = next(c for c in meta["tables"][0]["columns"] if c["name"] == "met")
        met["lattice"] |= change
        changed = tmp_path / "changed.ftup"
        assemble(changed, meta, sections, contents, flags=layout.FURTHER_BOUNDS)
        with pytest.raises(Corrupt, match=r"description of table 0|does not exist"):
            ft.open(changed)
        with pytest.raises(Invalid):
            read_file(changed.read_bytes())

    @pytest.mark.slow
    def test_pages_show_them(self, path: Path, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        page = ft.report(events(), path, tmp_path / "page").read_text()
        assert "sigma:0.2@metErr" in page


@pytest.mark.parametrize(
    "codec",
    [c for c in CODECS if isinstance(c, ColumnCodec) and c.promise == "bounded"],
    ids=lambda c: c.name,
)
def test_codecs_of_one_column_refuse_them(codec: ColumnCodec) -> None:
    if codec.requires is not None:
        pytest.importorskip(codec.requires[0])
    with pytest.raises(InvalidArgument, match=r"no (grid|relative error)|needs the"):
        codec.compress(np.arange(1.0, 9.0), Bound("sigma", 0.1, (), "s"))
