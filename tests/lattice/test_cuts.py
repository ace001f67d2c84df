"""Cuts beside bounds: no value changes its side, checked in rational arithmetic.

500 cases here; by hand as many as wanted, other ones each time:

    FLOWTUPLE_CASES=5000 pytest tests/lattice/test_cuts.py
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple.data.bounds import Bound
from flowtuple.data.cuts import onto_own_sides, same_sides, walls
from flowtuple.data.schema import Column, bit_patterns
from flowtuple.errors import Corrupt, InvalidArgument
from flowtuple.file import layout
from flowtuple.lattice.grid import ESCAPE
from flowtuple.lattice.lattice import Lattice, resolve
from flowtuple.lattice.statistics import Statistics
from reference_reader import Invalid, read_file

CASES = int(os.environ.get("FLOWTUPLE_CASES", "500"))
SETTINGS = settings(
    max_examples=CASES, derandomize="FLOWTUPLE_CASES" not in os.environ, database=None
)
FLOATS = ("float16", "float32", "float64")
BOUNDS = ("abs:0.05", "abs:3", "rel:1e-3", "rel:0.2", "bits:0", "bits:6", "std:0.01")
ORDINARY = (30.0, 25.02, 0.15, 2.4, -2.5, 0.0, 91.1876)


def sign(x: Fraction, threshold: Fraction) -> int:
    return (x > threshold) - (x < threshold)


def thresholds(cuts: Sequence[float], dtype: str) -> list[Fraction]:
    """Each cut in float64 and, for floats, rounded to the type of the column."""
    exact = [Fraction(cut) for cut in cuts]
    if "float" in dtype:
        with np.errstate(all="ignore"):
            rounded = np.array(cuts, "float64").astype(dtype).astype("float64")
        exact += [Fraction(t) for t in rounded.tolist() if math.isfinite(t)]
    return exact


def check_sides(x: np.ndarray, y: np.ndarray, cuts: Sequence[float]) -> None:
    moved = bit_patterns(x) != bit_patterns(y)
    for before, after in zip(x[moved].tolist(), y[moved].tolist(), strict=True):
        for t in thresholds(cuts, str(x.dtype)):
            assert sign(Fraction(before), t) == sign(Fraction(after), t), (before, after)


def lattice_of(x: np.ndarray, bound: Bound) -> Lattice:
    statistics = Statistics(str(x.dtype))
    statistics.update(x)
    return resolve(Column("x", str(x.dtype)), bound, statistics)


@st.composite
def columns(draw: st.DrawFn) -> tuple[np.ndarray, Bound]:
    """Values of one column, many of them at and beside the cuts, and a bound with one to six."""
    dtype = draw(st.sampled_from((*FLOATS, "int16", "uint8", "int64")))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([1, 4, 60, 400]))
    scale = 10.0 ** draw(st.integers(-3, 3))
    cuts = random.choice(ORDINARY, draw(st.integers(1, 3))).tolist()
    cuts += (random.normal(0, scale, draw(st.integers(0, 3)))).tolist()
    with np.errstate(all="ignore"):
        x = np.where(
            random.random(count) < 0.5,
            random.normal(0, scale, count),
            random.choice(cuts, count) + random.normal(0, 0.02 * scale, count),
        )
        if "float" not in dtype:
            limits = np.iinfo(dtype)
            x = np.clip(np.rint(x), max(limits.min, -(2**62)), min(limits.max, 2**62))
            return x.astype(dtype), Bound(
                "abs", float(draw(st.integers(1, 9))), tuple(cuts)
            )
        x = x.astype(dtype)
        near = np.array(cuts).astype(dtype)
        near = np.concatenate([near, np.nextafter(near, dtype_of(dtype, np.inf))])
        near = np.concatenate([near, np.nextafter(near, dtype_of(dtype, -np.inf))])
    here = random.random(count) < 0.2
    x[here] = random.choice(near, int(here.sum()))
    if draw(st.booleans()):
        special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], dtype)
        x[random.random(count) < 0.05] = random.choice(special)
    bound = Bound.parse(draw(st.sampled_from(BOUNDS)))
    return x, Bound(bound.kind, bound.amount, tuple(cuts))


def dtype_of(dtype: str, value: float) -> np.generic:
    return np.dtype(dtype).type(value)


@pytest.mark.slow
@given(columns())
@SETTINGS
def test_no_value_changes_its_side(drawn: tuple[np.ndarray, Bound]) -> None:
    x, bound = drawn
    lattice = lattice_of(x, bound)
    y = lattice.snap(x)
    assert lattice.bound.holds(x, y).all()
    check_sides(x, y, bound.cuts)
    assert not (np.signbit(y) & (y == 0) & (bit_patterns(x) != bit_patterns(y))).any()
    # what comes back is on the lattice, on the same one and on one resolved anew
    again = lattice_of(y, Bound(*(lattice.bound.kind, lattice.bound.amount, bound.cuts)))
    for other in (lattice, again):
        assert np.array_equal(bit_patterns(other.snap(y)), bit_patterns(y))
    parsed = Lattice.from_json(lattice.to_json())
    assert parsed == lattice
    # a value comes back as it does among others
    parts = [lattice.snap(part) for part in np.array_split(x, 3)]
    assert np.array_equal(bit_patterns(np.concatenate(parts)), bit_patterns(y))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bound", ["abs:0.05", "rel:1e-2", "bits:5"])
def test_cells_are_split(dtype: str, bound: str) -> None:
    """No further value escapes, and none moves but those that had crossed."""
    x = np.random.default_rng(1).exponential(30, 5000).astype(dtype)
    cuts = [30, 20.03, 0.15]
    plain = lattice_of(x, Bound.parse(bound))
    lattice = lattice_of(x, Bound(plain.bound.kind, plain.bound.amount, tuple(cuts)))
    assert 1 <= len(lattice.atoms) <= 9
    crossed = ~same_sides(x, plain.snap(x), cuts)
    assert crossed.any()
    assert ((lattice.encode(x) == ESCAPE) <= (plain.encode(x) == ESCAPE)).all()
    moved = plain.snap(x) != lattice.snap(x)
    at_a_wall = np.isin(bit_patterns(lattice.snap(x)), lattice.atoms)
    assert (crossed <= moved).all()
    assert (moved <= at_a_wall).all()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("abs:0.05,cut:30", "abs:0.05,cut:30"),
        ("abs:1 , cut:50,cut:-2.5,cut:50", "abs:1,cut:-2.5,cut:50"),
        ("bits:7,cut:-0.0", "bits:7,cut:0"),
        ("std:0.1,cut:1e-9", "std:0.1,cut:1e-09"),
        ("lossless,cut:30", "lossless"),
    ],
)
def test_cuts_are_read_and_written(text: str, written: str) -> None:
    assert str(Bound.parse(text)) == written
    assert Bound.parse(written) == Bound.parse(text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cut:30", "is a cut alone: write it beside a bound, as in abs:0.05,cut:30"),
        ("abs:1,cut:", "has 'cut:' after a comma"),
        ("abs:1,cut:x", "has 'cut:x' after a comma"),
        ("abs:1,rel:0.1", "has 'rel:0.1' after a comma: write a cut there"),
        ("abs:1,cut:nan", "has a cut that is no finite number"),
        ("abs:1" + ",cut:1" * 65, "has 65 cuts: write 64 at most"),
    ],
)
def test_what_is_no_cut_is_refused(text: str, match: str) -> None:
    with pytest.raises(InvalidArgument, match=match):
        Bound.parse(text)


def test_a_cut_among_whole_numbers_without_gaps() -> None:
    events = {"n": np.arange(5)}
    with pytest.raises(InvalidArgument, match=r"a cut from 2\^53 on"):
        ft.snap(events, {"n": "abs:3,cut:1e17"})


def test_walls_of_types_that_lack_a_side() -> None:
    assert [w.values for w in walls([0, 255, 256, -1, 2.5], np.dtype("uint8"))] == [
        [0, 1],
        [254, 255],
        [2, 3],
    ]
    assert [w.values for w in walls([1e300], np.dtype("float32"))] == []
    (wall,) = walls([5e-324], np.dtype("float64"))
    assert np.signbit(wall.values).tolist() == [False] * 3


def test_every_wall_between_is_respected() -> None:
    x, far = np.array([5.0, 15.0, 10.0]), np.array([40.0, -40.0, 0.0])
    assert onto_own_sides(x, far, [0.0, 10.0, 20.0]).tolist() == [
        np.nextafter(10, 0),
        np.nextafter(10, 20),
        10.0,
    ]


def jets(events: int = 400, seed: int = 3) -> dict[str, object]:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 5, events)
    pt = random.exponential(30, counts.sum()).astype("float32")
    pt[::17] = 30
    return {
        "Jet_pt": ak.unflatten(pt, counts),
        "met": random.exponential(40, events),
        "n": random.integers(0, 100, events),
    }


TOLERANCE = {
    "Jet_pt": "abs:0.05,cut:30,cut:20.03",
    "met": "std:0.01,cut:50",
    "n": "abs:4,cut:40.5,cut:60",
}


def flat(values: object) -> np.ndarray:
    return np.asarray(ak.flatten(values, axis=None))


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        ft.compress(jets(), tmp_path / "a.ftup", tolerance=TOLERANCE, effort="fast")
        return tmp_path / "a.ftup"

    def test_a_file_keeps_them_in_every_reader(self, path: Path) -> None:
        events, decoded = jets(), ft.decompress(path)
        assert ft.verify(events, path).violations == 0
        snapped = ft.snap(events, TOLERANCE)
        reference = read_file(path.read_bytes())["events"]
        for name, text in TOLERANCE.items():
            x, y = flat(events[name]), flat(decoded[name])
            check_sides(x, y, Bound.parse(text).cuts)
            assert y.tolist() == flat(snapped[name]).tolist() == reference[name].tolist()
            assert (x != y).any()
        with ft.open(path) as file:
            assert (file.version, file.flags) == ("1.1", layout.FURTHER_BOUNDS)
            assert file["Jet_pt", 100:103].tolist() == decoded["Jet_pt"][100:103].tolist()

    def test_other_files_stay_as_they_were(self, tmp_path: Path) -> None:
        """A lossless column keeps every cut, so that its file needs no later format."""
        exact = {"x": np.round(np.random.default_rng(2).normal(0, 9, 500), 1)}
        for name, bound in {"plain": "abs:0.02", "cut": "abs:0.02,cut:3"}.items():
            ft.compress(exact, tmp_path / f"{name}.ftup", tolerance=bound, effort="fast")
        with ft.open(tmp_path / "cut.ftup") as file:
            assert (file.version, file.flags) == ("1.0", 0)
            assert str(file.table().lattices["x"].bound) == "lossless"

    def test_recompress_merge_and_recover(self, path: Path, tmp_path: Path) -> None:
        again = tmp_path / "again.ftup"
        assert ft.recompress(path, again, effort="fast").bounds == {}
        assert ft.decompress(again).tolist() == ft.decompress(path).tolist()
        both = tmp_path / "both.ftup"
        tolerance = TOLERANCE | {"met": "abs:0.4,cut:50"}
        for seed in (6, 7):
            part = tmp_path / f"{seed}.ftup"
            ft.compress(jets(90, seed), part, tolerance=tolerance, effort="fast")
            assert ft.verify(jets(90, seed), part).violations == 0
        ft.merge([tmp_path / "6.ftup", tmp_path / "7.ftup"], both)
        whole = ft.decompress(both).tolist()
        data = bytearray(both.read_bytes())
        data[:16] = bytes(16)
        (tmp_path / "headless.ftup").write_bytes(data)
        ft.recover(tmp_path / "headless.ftup", tmp_path / "saved.ftup")
        assert ft.decompress(tmp_path / "saved.ftup").tolist() == whole
        with ft.open(tmp_path / "saved.ftup") as file:
            assert file.flags & layout.FURTHER_BOUNDS

    def test_wider_bounds_keep_the_cuts_that_both_have(
        self, path: Path, tmp_path: Path
    ) -> None:
        done = ft.recompress(
            path,
            tmp_path / "w.ftup",
            tolerance={"Jet_pt": "abs:0.1,cut:30"},
            effort="fast",
        )
        bound = "abs:0.15000000000000002,cut:30"
        assert done.bounds == {"events/Jet_pt": bound}
        assert ft.verify(jets(), tmp_path / "w.ftup").violations == 0
        with pytest.raises(
            InvalidArgument, match=r"may have crossed cut:25; compress the"
        ):
            ft.recompress(path, tmp_path / "x.ftup", tolerance={"Jet_pt": "abs:1,cut:25"})

    def test_a_header_that_is_silent_about_them_is_refused(
        self, path: Path, tmp_path: Path
    ) -> None:
        parts, other = pieces(path), tmp_path / "other.ftup"
        assemble(other, *parts, flags=layout.FURTHER_BOUNDS)
        assert ft.decompress(other).tolist() == ft.decompress(path).tolist()
        assemble(other, *parts)
        with pytest.raises(
            Corrupt, match=r"has bounds of format 1\.1, of which the header"
        ):
            ft.open(other)
        with pytest.raises(Invalid):
            read_file(other.read_bytes())

    @pytest.mark.parametrize(
        "bound", ["abs:1,cut:1e999", "abs:1,cut:+1", "abs:1,cut", "abs:1" + ",cut:1" * 65]
    )
    def test_hostile_bounds_are_refused(self, path: Path, bound: str) -> None:
        meta, sections, contents = pieces(path)
        meta["tables"][0]["columns"][1]["lattice"]["bound"] = bound
        assemble(path, meta, sections, contents, flags=layout.FURTHER_BOUNDS)
        with pytest.raises(Corrupt, match="describes a lattice that does not exist"):
            ft.open(path)
        with pytest.raises(Invalid):
            read_file(path.read_bytes())
