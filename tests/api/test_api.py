"""The Python interface end to end: anything in, one file, everything back within its bounds, the
same bytes every time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import flowtuple as ft
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table
from flowtuple.file.file import File
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED, write_dataset

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
MANTISSA_BITS = {"float16": 10, "float32": 23, "float64": 52}


def bits_of(values: Any) -> np.ndarray:
    values = np.ascontiguousarray(values)
    return values.view(f"u{values.dtype.itemsize}")


def assert_same_bits(actual: Any, expected: Any) -> None:
    actual, expected = (
        np.asarray(ak.to_numpy(ak.flatten(a, axis=None))) for a in (actual, expected)
    )
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(bits_of(actual), bits_of(expected))


def round_trip(
    source: Any, tolerance: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        ft.compress(
            source,
            Path(folder) / "events.ftup",
            tolerance=tolerance,
            **options,
            resources=ft.Resources(workers=1),
        )
        return ft.decompress(
            Path(folder) / "events.ftup", resources=ft.Resources(workers=1)
        )


def related_columns(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Three columns of which each tells about the next, so that a flow pays."""
    draw = np.random.default_rng(seed)
    pt = draw.exponential(30, rows)
    mass = pt * draw.normal(0.1, 0.01, rows)
    return {
        "pt": pt.astype(np.float32),
        "mass": mass.astype(np.float32),
        "width": (mass / (pt + 1) + draw.normal(0, 0.001, rows)).astype(np.float64),
    }


RELATED_BOUNDS = {"*": "rel:1e-3", "width": "abs:1e-4"}


class TestSources:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        for k in range(3):
            with uproot.recreate(tmp_path / f"part{k}.root") as file:
                file.mktree("Events", {"x": "float32"}).extend(
                    {"x": np.arange(4, dtype=np.float32) + 10 * k}
                )
                file.mktree("Runs", {"run": "uint32"}).extend({"run": np.uint32([k])})
        return tmp_path

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", [dict, ak.Array, pd.DataFrame])
    def test_memory(self, kind: Callable[[Any], Any]) -> None:
        columns = {
            "x": np.array([1.5, -0.0, math.nan]),
            "n": np.array([1, 2, 3], np.uint8),
            "b": np.array([True, False, True]),
        }
        back = round_trip(kind(columns))
        assert back.fields == ["x", "n", "b"]
        for name, values in columns.items():
            assert_same_bits(back[name], values)

    @pytest.mark.slow
    def test_lists_and_records(self) -> None:
        events = ak.Array(
            [{"Jet": [{"pt": 1.0, "m": 2}], "MET": 3.0}, {"Jet": [], "MET": 4.0}]
        )
        back = round_trip(events)
        assert back.tolist() == [
            {"Jet_pt": [1.0], "Jet_m": [2], "MET": 3.0},
            {"Jet_pt": [], "Jet_m": [], "MET": 4.0},
        ]

    @pytest.mark.parametrize("as_text", [str, Path])
    def test_list_of_paths(self, files: Path, as_text: Callable[[Path], Any]) -> None:
        back = round_trip([as_text(files / f"part{k}.root") for k in (2, 0)])
        assert back["Events"]["x"].tolist() == [20, 21, 22, 23, 0, 1, 2, 3]
        assert back["Runs"]["run"].tolist() == [2, 0]

    def test_glob(self, files: Path) -> None:
        assert round_trip(str(files / "part*.root"))["Runs"]["run"].tolist() == [0, 1, 2]

    def test_tree(self, files: Path) -> None:
        back = round_trip(f"{files / 'part1.root'}:Events")
        assert isinstance(back, ak.Array)
        assert back["x"].tolist() == [10, 11, 12, 13]

    @pytest.mark.parametrize("source", [5, None, [], [1.0, 2.0], object()])
    def test_anything_else_is_refused(self, source: Any, tmp_path: Path) -> None:
        with pytest.raises(
            ft.InvalidArgument, match="cannot be read: give a path, a list of paths"
        ):
            ft.compress(source, tmp_path / "out.ftup")
        assert not list(tmp_path.iterdir())

    def test_what_cannot_be_carried_is_refused_by_name(self, files: Path) -> None:
        for k in range(2):
            with uproot.update(files / f"part{k}.root") as file:
                file["pileup"] = np.histogram(np.full(5, k), bins=3, range=(0, 3))
        sources = [files / "part0.root", files / "part1.root"]
        with pytest.raises(
            ft.Unsupported, match=r"part1.root: cannot carry pileup: .*`drop=`"
        ):
            round_trip(sources)
        assert len(round_trip(sources, selection=ft.Selection(drop=True))["Events"]) == 8

    @pytest.mark.slow
    def test_open_is_lazy(self, tmp_path: Path) -> None:
        ft.compress({"x": np.arange(10), "y": np.arange(10)}, tmp_path / "out.ftup")
        with ft.open(tmp_path / "out.ftup") as file:
            table = file.tables["events"].read(["y"], 3, 6)
        assert [c.name for c in table.columns] == ["y"]
        assert table["y"].tolist() == [3, 4, 5]


class TestDecompress:
    def test_tables_columns_and_entries(self, tmp_path: Path) -> None:
        ft.compress(
            {"x": np.arange(10), "Jet_pt": [[float(i)] * (i % 3) for i in range(10)]},
            tmp_path / "out.ftup",
        )
        back = ft.decompress(
            f"{tmp_path / 'out.ftup'}:events", columns=["Jet_*"], entries=(4, None)
        )
        assert back.fields == ["Jet_pt"]
        assert back["Jet_pt"].tolist() == [[float(i)] * (i % 3) for i in range(4, 10)]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a.ftup", ("a.ftup", None)),
            ("a.ftup:Events", ("a.ftup", "Events")),
            ("a.ftup:dir/Events", ("a.ftup", "dir/Events")),
            ("a.flow:Events", ("a.flow", "Events")),
            ("https://host:80/a.ftup", ("https://host:80/a.ftup", None)),
            ("https://host:80/a.ftup:Events", ("https://host:80/a.ftup", "Events")),
            ("C:a.ftup", ("C:a.ftup", None)),
        ],
    )
    def test_tree_of_a_stored_file(
        self, text: str, expected: tuple[str, str | None]
    ) -> None:
        assert split_tree(text, STORED) == expected

    def test_a_file_with_a_colon_in_its_name(self, tmp_path: Path) -> None:
        ft.compress({"x": [1.0]}, tmp_path / "a.ftup:b")
        assert ft.decompress(tmp_path / "a.ftup:b")["x"].tolist() == [1.0]

    def test_missing_table(self, tmp_path: Path) -> None:
        ft.compress({"x": [1.0]}, tmp_path / "out.ftup")
        with pytest.raises(
            ft.InvalidArgument, match=r"out.ftup: no tree 'Events'; nearest: events"
        ):
            ft.decompress(f"{tmp_path / 'out.ftup'}:Events")

    def test_url(self, tmp_path: Path) -> None:
        ft.compress({"x": [1.0, 2.0]}, tmp_path / "out.ftup")
        assert ft.decompress(f"file://{tmp_path}/out.ftup")["x"].tolist() == [1.0, 2.0]


def special_floats(dtype: str) -> st.SearchStrategy[Any]:
    """Any bit pattern at all: NaN payloads, infinities, -0.0 and denormals come up often."""
    patterns = np.array(
        [
            0.0,
            -0.0,
            np.nan,
            -np.nan,
            np.inf,
            -np.inf,
            1.0,
            -999.0,
            0.1,
            np.finfo(dtype).max,
        ],
        dtype,
    )
    patterns = np.concatenate(
        [
            patterns,
            np.array([np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny], dtype),
        ]
    )
    largest = 2 ** (8 * np.dtype(dtype).itemsize) - 1
    return st.sampled_from(bits_of(patterns).tolist()) | st.integers(0, largest)


@st.composite
def float_column(draw: st.DrawFn, count: int) -> np.ndarray:
    dtype = draw(st.sampled_from(FLOATS))
    kind = draw(
        st.sampled_from(
            ["any", "ordinary", "constant", "decimal", "sentinel", "integers"]
        )
    )
    if kind == "any":
        return draw(
            arrays(f"u{np.dtype(dtype).itemsize}", count, elements=special_floats(dtype))
        ).view(dtype)
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(
        draw(st.sampled_from([0, 100])), 5, count
    )
    if kind == "constant":
        values = np.full(count, values[0] if count else 0.0)
    if kind in ("decimal", "integers"):
        values = np.round(values, 2 if kind == "decimal" else 0)
    if kind == "sentinel":
        values = np.where(np.arange(count) % 3 == 0, -999.0, values)
    return values.astype(dtype)


FLOAT_BOUNDS = [
    "lossless",
    "abs:0.5",
    "abs:1e-3",
    "abs:1e-30",
    "rel:1e-3",
    "rel:0.3",
    "rel:1e-9",
    "std:0.01",
    "bits:0",
    "bits:7",
]
INTEGER_BOUNDS = ["lossless", "abs:0.5", "abs:1", "abs:3.7", "abs:1e30"]


@st.composite
def mixed_table(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """Columns of all kinds, as NumPy arrays or awkward lists, each with a bound of its own."""
    events = draw(st.sampled_from([0, 1, 2, 30]))
    counts = draw(st.sampled_from([np.zeros(events, int), np.arange(events) % 4]))
    columns: dict[str, Any] = {
        "flag": draw(arrays(bool, events)),
        "x": draw(float_column(events)),
        "y": draw(float_column(events)),
        "n": draw(arrays(st.sampled_from(INTEGERS), events)),
        "m": draw(arrays(st.sampled_from(INTEGERS), events)),
        "Jet_pt": ak.unflatten(draw(float_column(int(counts.sum()))), counts),
        "Jet_n": ak.unflatten(
            draw(arrays(st.sampled_from(INTEGERS), int(counts.sum()))), counts
        ),
        "box": draw(float_column(2 * events)).reshape(events, 2),
    }
    bounds = {
        name: draw(st.sampled_from(FLOAT_BOUNDS)) for name in ("x", "y", "Jet_pt", "box")
    }
    return columns, bounds | {
        name: draw(st.sampled_from(INTEGER_BOUNDS)) for name in ("n", "m", "Jet_n")
    }


def is_held(x: Any, y: Any, bound: str) -> bool:
    """The bound of one value, read from the documentation and written as slowly as can be."""
    if x.tobytes() == y.tobytes():
        return True
    kind, _, number = bound.partition(":")
    if kind == "lossless":
        return False
    if x.dtype.kind in "iu":
        return abs(int(x) - int(y)) <= float(number)
    original, decoded = float(x), float(y)
    if (
        not math.isfinite(original)
        or not math.isfinite(decoded)
        or (original == 0 and math.copysign(1, original) < 0)
    ):
        return False
    if kind == "bits":
        reach = (
            math.ldexp(1.0, math.frexp(original)[1] - 2 - int(float(number)))
            if original
            else 0.0
        )
    else:
        reach = float(number) * (abs(original) if kind == "rel" else 1.0)
    return abs(decoded - original) <= reach


def assert_bounded(original: Any, decoded: Any, bound: str) -> None:
    original, decoded = (
        np.asarray(ak.to_numpy(ak.flatten(a, axis=None))) for a in (original, decoded)
    )
    assert original.dtype == decoded.dtype
    assert original.shape == decoded.shape
    for x, y in zip(original, decoded, strict=True):
        assert is_held(x, y, bound), (x, y, bound)
        assert x.dtype.kind not in "fi" or not (x > 0 > y or x < 0 < y), (
            "changed sign",
            x,
            y,
        )
    finite = original[np.isfinite(original)]
    if finite.size:
        kept = decoded[np.isfinite(decoded)]
        assert kept.min() >= finite.min()
        assert kept.max() <= finite.max()


class TestBounds:
    @pytest.mark.slow
    @given(mixed_table())
    @settings(max_examples=60)
    def test_every_value_of_every_kind_keeps_its_bound(
        self, table: tuple[dict[str, Any], dict[str, str]]
    ) -> None:
        columns, tolerance = table
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.ftup"
            ft.compress(
                columns, path, tolerance=tolerance, resources=ft.Resources(workers=1)
            )
            decoded, described = (
                ft.decompress(path, resources=ft.Resources(workers=1)),
                ft.info(path)["tables"][0]["columns"],
            )
            assert all(
                c.violations == 0
                for c in ft.verify(columns, path, resources=ft.Resources(workers=1))
            )
        resolved = {c["name"]: c["bound"] for c in described}
        assert decoded.fields == list(columns)
        for name, values in columns.items():
            assert_bounded(values, decoded[name], resolved[name])
            if not tolerance.get(name, "lossless").startswith("std"):
                assert_bounded(values, decoded[name], tolerance.get(name, "lossless"))
            if name.startswith("Jet"):
                assert ak.num(decoded[name]).tolist() == ak.num(values).tolist()

    @pytest.mark.slow
    @given(mixed_table())
    @settings(max_examples=40)
    def test_compressing_decoded_values_again_changes_nothing(
        self, table: tuple[dict[str, Any], dict[str, str]]
    ) -> None:
        columns, tolerance = table
        tolerance = {
            name: bound
            for name, bound in tolerance.items()
            if not bound.startswith("std")
        }
        once = round_trip(columns, tolerance)
        twice = round_trip(once, tolerance)
        for name in columns:
            assert_same_bits(twice[name], once[name])

    @pytest.mark.slow
    @given(mixed_table())
    @settings(max_examples=30)
    def test_nothing_is_lost_unless_asked(
        self, table: tuple[dict[str, Any], dict[str, str]]
    ) -> None:
        columns, _ = table
        back = round_trip(columns)
        for name, values in columns.items():
            assert_same_bits(back[name], values)

    def test_std_is_resolved_once(self, tmp_path: Path) -> None:
        x = np.random.default_rng(1).normal(5, 3, 3000)
        ft.compress({"x": x}, tmp_path / "out.ftup", tolerance={"x": "std:1e-2"})
        (column,) = ft.info(tmp_path / "out.ftup")["tables"][0]["columns"]
        kind, _, amount = column["bound"].partition(":")
        assert (kind, column["asked"]) == ("abs", "std:0.01")
        assert float(amount) == pytest.approx(0.01 * x.std(), rel=1e-12)
        assert_bounded(x, ft.decompress(tmp_path / "out.ftup")["x"], column["bound"])

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("bound", ["abs:0.5", "abs:0.01", "rel:0.01", "bits:3"])
    def test_angles_stay_in_their_period(self, dtype: str, bound: str) -> None:
        pi = np.array(np.pi, dtype)
        pi = np.nextafter(pi, np.array(0, dtype)) if float(pi) > np.pi else pi
        phi = np.concatenate(
            [np.random.default_rng(1).uniform(-3.1, 3.1, 300), [pi, -pi, 0.0]]
        ).astype(dtype)
        decoded = np.asarray(round_trip({"Jet_phi": phi}, {"Jet_phi": bound})["Jet_phi"])
        assert float(np.abs(decoded).max()) <= np.pi
        assert_bounded(phi, decoded, bound)

    @pytest.mark.parametrize("bound", ["abs:1", "rel:0.1", "bits:2"])
    def test_values_do_not_change_sign(self, bound: str) -> None:
        x = np.linspace(-3, 3, 601)
        decoded = np.asarray(round_trip({"x": x}, {"x": bound})["x"])
        assert (np.sign(decoded) * np.sign(x) >= 0).all()
        assert len(np.unique(decoded)) < len(x) / 2

    @pytest.mark.parametrize("dtype", ["int64", "uint64"])
    @pytest.mark.parametrize("bound", ["lossless", "abs:10"])
    def test_integers_at_their_extremes(self, dtype: str, bound: str) -> None:
        ends = np.iinfo(dtype)
        values = np.array([ends.min, ends.min + 1, ends.max - 1, ends.max, 0, 5], dtype)
        assert_bounded(values, round_trip({"n": values}, {"n": bound})["n"], bound)

    def test_sentinels_are_exact_and_a_std_bound_warns_of_them(
        self, tmp_path: Path
    ) -> None:
        x = np.where(
            np.arange(3000) % 4 == 0, -999.0, np.random.default_rng(1).normal(0, 1, 3000)
        ).astype(np.float32)
        result = ft.compress(
            {"x": x, "y": x},
            tmp_path / "out.ftup",
            tolerance={"x": "rel:1e-2", "y": "std:1e-3"},
        )
        decoded = np.asarray(ft.decompress(tmp_path / "out.ftup")["x"])
        np.testing.assert_array_equal(decoded == -999, x == -999)
        (warning,) = result.warnings
        assert warning.startswith(
            "column 'y': the repeated value -999 carries most of the standard deviation"
        )

    @pytest.mark.parametrize(
        "tolerance",
        [{"x": "rel"}, {"x": "abs:nan"}, {"x": ft.Bound("rel", 0.1), "y": "abs:1"}],
    )
    def test_bad_bounds_leave_nothing(
        self, tmp_path: Path, tolerance: dict[str, Any]
    ) -> None:
        with pytest.raises(
            ft.InvalidArgument,
            match=r"no number|positive, finite|dict in memory: the name 'y' matches no column",
        ):
            ft.compress({"x": [1.0]}, tmp_path / "out.ftup", tolerance=tolerance)
        assert not list(tmp_path.iterdir())

    def test_a_broken_bound_is_never_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from flowtuple.lattice.lattice import Lattice

        decode = Lattice.decode
        monkeypatch.setattr(
            Lattice,
            "decode",
            lambda self, q, escapes=None: decode(self, q, escapes) * np.float64(1.1),
        )
        with pytest.raises(ft.BoundViolated, match="x"):
            ft.compress(
                {"x": np.random.default_rng(1).normal(size=50)},
                tmp_path / "out.ftup",
                tolerance={"x": "rel:1e-3"},
            )
        assert not list(tmp_path.iterdir())


ROLE_COLUMNS = {
    "run": np.array([1.5, 2.5, 3.5]),
    "event": np.array([2**60 + 1, 2**60 + 2, 5]),
    "genWeight": np.float32([0.123456, -0.987654, 1.11111]),
    "flag": np.array([True, False, True]),
    "n": np.array([10, 20, 35]),
    "Jet_pt": np.float32([50.123456, 20.654321, 33.333333]),
}


class TestRoles:
    def asked(self, path: Path) -> set[str]:
        return {
            c["name"]
            for c in ft.info(path)["tables"][0]["columns"]
            if c["bound"] != "lossless"
        }

    @pytest.mark.parametrize("pattern", ["*", "[!z]*", "events/*"])
    def test_globs_pass_over_ids_weights_and_integers(
        self, tmp_path: Path, pattern: str
    ) -> None:
        ft.compress(ROLE_COLUMNS, tmp_path / "out.ftup", tolerance={pattern: "abs:0.2"})
        assert self.asked(tmp_path / "out.ftup") == {"Jet_pt"}
        back = ft.decompress(tmp_path / "out.ftup")
        for name in ("run", "event", "genWeight", "flag", "n"):
            assert_same_bits(back[name], ROLE_COLUMNS[name])

    def test_named_in_full_they_follow(self, tmp_path: Path) -> None:
        tolerance = {
            "event": "abs:2",
            "n": "abs:3",
            "genWeight": "abs:0.2",
            "events/run": "abs:0.4",
        }
        ft.compress(ROLE_COLUMNS, tmp_path / "out.ftup", tolerance=tolerance)
        assert self.asked(tmp_path / "out.ftup") == {"event", "n", "genWeight", "run"}

    def test_a_role_can_be_given(self, tmp_path: Path) -> None:
        selection = ft.Selection(roles={"Jet_*": "weight", "genWeight": "value"})
        ft.compress(
            ROLE_COLUMNS,
            tmp_path / "out.ftup",
            tolerance={"*": "abs:0.2"},
            selection=selection,
        )
        assert self.asked(tmp_path / "out.ftup") == {"genWeight"}
        assert {
            c["name"]: c["role"]
            for c in ft.info(tmp_path / "out.ftup")["tables"][0]["columns"]
        }["Jet_pt"] == "weight"

    def test_the_last_role_wins(self, tmp_path: Path) -> None:
        ft.compress(
            ROLE_COLUMNS,
            tmp_path / "o",
            selection=ft.Selection(roles={"*": "id", "n": "label"}),
        )
        roles = {
            c["name"]: c["role"] for c in ft.info(tmp_path / "o")["tables"][0]["columns"]
        }
        assert roles == dict.fromkeys(ROLE_COLUMNS, "id") | {"n": "label"}

    def test_globs_leave_counters_alone(self, tmp_path: Path) -> None:
        ft.compress(
            {"Jet_pt": [[1.0], []]},
            tmp_path / "o",
            selection=ft.Selection(roles={"*": "label"}),
        )
        assert [c["role"] for c in ft.info(tmp_path / "o")["tables"][0]["columns"]] == [
            "counter",
            "label",
        ]
        with pytest.raises(
            ft.InvalidArgument, match=r"column 'n\(Jet_pt\)' is a counter"
        ):
            ft.compress(
                {"Jet_pt": [[1.0], []]},
                tmp_path / "o",
                selection=ft.Selection(roles={"n(Jet_pt)": "label"}),
            )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on one half: 5,000 rows."""
    path = tmp_path_factory.mktemp("model") / "jets.flow"
    ft.train(related_columns(5000, 1), path, tolerance=RELATED_BOUNDS, effort="fast")
    return path


class TestModel:
    @pytest.mark.slow
    def test_serves_other_files(self, model: Path, tmp_path: Path) -> None:
        other = related_columns(5000, 2)
        shared = ft.compress(other, tmp_path / "shared.ftup", model=model)
        decoded = ft.decompress(tmp_path / "shared.ftup")
        for name in other:
            assert_bounded(
                other[name], decoded[name], RELATED_BOUNDS.get(name, RELATED_BOUNDS["*"])
            )
        assert shared.model_bytes > 0
        methods = {
            c["name"]: list(c["methods"])
            for c in ft.info(tmp_path / "shared.ftup")["tables"][0]["columns"]
        }
        assert ["flow"] in methods.values()

    @pytest.mark.slow
    def test_the_acceptance_of_drawn_events_stays_in_the_model(
        self, model: Path, tmp_path: Path
    ) -> None:
        few = tmp_path / "few.ftup"
        ft.compress(related_columns(300, 2), few, model=model)
        flows = []
        for path in (model, few):
            with File(path) as file:
                flows.append(file.table().coding.flow)
        assert flows[0].acceptance is not None
        assert flows[1].acceptance is None
        assert flows[1].rules == flows[0].rules

    @pytest.mark.slow
    def test_pays(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = related_columns(5000, 2)
        shared = ft.compress(other, tmp_path / "shared.ftup", model=model)
        monkeypatch.setattr("flowtuple.training.fit.MIN_ROWS", 10**9)
        without = ft.compress(other, tmp_path / "without.ftup", tolerance=RELATED_BOUNDS)
        assert without.model_bytes == 0
        # 0.9295 +- 0.0034, 13 models
        assert shared.file_bytes < 0.97 * without.file_bytes

    @pytest.mark.slow
    def test_values_outside_the_trained_range(self, model: Path, tmp_path: Path) -> None:
        other = related_columns(300, 3)
        other["pt"][:8] = [1e9, -1e9, math.inf, math.nan, -0.0, 1e-42, -999, 3e38]
        other["mass"][:3] = [-500.0, 1e30, 0.0]
        other["width"][:4] = [1e300, -1e300, math.inf, 5e-324]
        ft.compress(other, tmp_path / "out.ftup", model=model)
        decoded = ft.decompress(tmp_path / "out.ftup")
        for name in other:
            assert_bounded(
                other[name], decoded[name], RELATED_BOUNDS.get(name, RELATED_BOUNDS["*"])
            )

    @pytest.mark.slow
    def test_columns_never_seen_in_training_are_lossless_or_bounded(
        self, model: Path, tmp_path: Path
    ) -> None:
        other = related_columns(50, 4) | {
            "new": np.linspace(0.1, 1, 50),
            "more": np.linspace(0.1, 1, 50),
        }
        ft.compress(
            other, tmp_path / "out.ftup", model=model, tolerance={"new": "rel:1e-2"}
        )
        decoded = ft.decompress(tmp_path / "out.ftup")
        assert_same_bits(decoded["more"], other["more"])
        assert_bounded(other["new"], decoded["new"], "rel:1e-2")
        assert len(np.unique(decoded["new"])) < 50 or not np.array_equal(
            decoded["new"], other["new"]
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("rows", [0, 1])
    def test_hardly_any_events(self, model: Path, tmp_path: Path, rows: int) -> None:
        ft.compress(related_columns(rows, 5), tmp_path / "out.ftup", model=model)
        assert len(ft.decompress(tmp_path / "out.ftup")) == rows

    @pytest.mark.slow
    def test_the_file_needs_no_model_beside_it(self, model: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copy(model, tmp_path / "copy.flow"))
        ft.compress(related_columns(500, 6), tmp_path / "out.ftup", model=copy)
        copy.unlink()
        assert len(ft.decompress(tmp_path / "out.ftup")) == 500

    def test_small_tables_train_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flowtuple.training.train.train_flow", None)
        assert (
            ft.compress(related_columns(500, 7), tmp_path / "out.ftup").model_bytes == 0
        )

    @pytest.mark.slow
    def test_progress(self, tmp_path: Path) -> None:
        told: dict[str, list[float]] = {}
        columns = related_columns(5000, 8)
        ft.compress(
            columns,
            tmp_path / "out.ftup",
            effort="fast",
            resources=ft.Resources(
                progress=lambda stage, share, _: told.setdefault(stage, []).append(share)
            ),
        )
        ft.verify(
            columns,
            tmp_path / "out.ftup",
            resources=ft.Resources(
                progress=lambda stage, share, _: told.setdefault(stage, []).append(share)
            ),
        )
        assert list(told) == [
            "scan events",
            "train events",
            "compress events",
            "verify events",
        ]
        for shares in told.values():
            assert shares == sorted(shares)
            assert (shares[0] >= 0, shares[-1]) == (True, 1.0)


FOLDERS = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
TRAIN_AND_COMPRESS = """
import hashlib, sys
sys.path[:0] = {folders!r}
import flowtuple as ft
from test_api import RELATED_BOUNDS, related_columns
ft.compress(related_columns(5000, 9), {path!r}, tolerance=RELATED_BOUNDS, effort="fast", seed={seed})
print(hashlib.sha256(open({path!r}, "rb").read()).hexdigest())
"""


def run_python(code: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | environment,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout.strip()


class TestSameBytes:
    @pytest.mark.slow
    def test_workers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flowtuple.training.fit.MIN_ROWS", 10**9)
        draw, counts = np.random.default_rng(1), np.arange(40_000) % 3
        columns: dict[str, Any] = {
            "Jet_pt": ak.unflatten(draw.normal(size=int(counts.sum())), counts),
            "n": np.arange(40_000),
            "s": ak.Array([str(i % 7) for i in range(40_000)]),
        }
        made, decoded = set(), []
        for workers in (1, 2, None):
            ft.compress(
                columns,
                tmp_path / "out.ftup",
                tolerance={"*": "rel:1e-3"},
                resources=ft.Resources(workers=workers),
            )
            made.add((tmp_path / "out.ftup").read_bytes())
            decoded.append(
                ft.decompress(
                    tmp_path / "out.ftup", resources=ft.Resources(workers=workers)
                )
            )
        assert len(made) == 1
        for other in decoded[1:]:
            assert other["s"].tolist() == decoded[0]["s"].tolist()
            assert_same_bits(other["Jet_pt"], decoded[0]["Jet_pt"])

    @pytest.mark.slow
    def test_any_range_of_events_decodes_to_the_same_bits(self, tmp_path: Path) -> None:
        ft.compress(
            related_columns(20_000, 9),
            tmp_path / "out.ftup",
            tolerance=RELATED_BOUNDS,
            effort="fast",
        )
        whole = ft.decompress(tmp_path / "out.ftup", resources=ft.Resources(workers=1))
        assert ft.info(tmp_path / "out.ftup")["tables"][0]["model_bytes"] > 0
        for start, stop in ((0, 1), (16_000, 17_000), (19_999, 20_000), (5, 12_345)):
            part = ft.decompress(
                tmp_path / "out.ftup",
                entries=(start, stop),
                resources=ft.Resources(workers=2),
            )
            for name in whole.fields:
                assert_same_bits(part[name], whole[name][start:stop])

    @pytest.mark.slow
    def test_seed_and_threads_of_training(self, tmp_path: Path) -> None:
        def digest(threads: int) -> str:
            code = TRAIN_AND_COMPRESS.format(
                folders=FOLDERS, path=str(tmp_path / "out.ftup"), seed=1
            )
            return run_python(
                code, OMP_NUM_THREADS=str(threads), NUMBA_NUM_THREADS=str(threads)
            )

        first = digest(1)
        assert ft.info(tmp_path / "out.ftup")["tables"][0]["model_bytes"] > 0
        assert digest(2) == first
        for seed in (1, 2):
            ft.compress(
                related_columns(5000, 9),
                tmp_path / "here.ftup",
                tolerance=RELATED_BOUNDS,
                effort="fast",
                seed=seed,
            )
            here = hashlib.sha256((tmp_path / "here.ftup").read_bytes()).hexdigest()
            assert (here == first) == (seed == 1)

    def test_equal_inputs_at_other_places_and_times(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with uproot.recreate(tmp_path / "secret_name.root") as file:
            file.mktree("Events", {"x": "float64"}).extend({"x": np.arange(50) / 7})
            file["h"] = np.histogram([1.0, 2.0])
        (tmp_path / "elsewhere").mkdir()
        shutil.copy(tmp_path / "secret_name.root", tmp_path / "elsewhere" / "other.root")
        ft.compress(tmp_path / "secret_name.root", tmp_path / "a.ftup")
        monkeypatch.setattr("time.time", lambda: 4e9)
        monkeypatch.setattr("time.time_ns", lambda: 4 * 10**18)
        ft.compress(f"{tmp_path}/elsewhere/other.root", tmp_path / "b.ftup")
        assert (tmp_path / "a.ftup").read_bytes() == (tmp_path / "b.ftup").read_bytes()

    def test_provenance_holds_neither_path_nor_time(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "secret_name.npz", x=np.arange(50) / 7)
        ft.compress(
            tmp_path / "secret_name.npz", tmp_path / "out.ftup", seed=5, effort="fast"
        )
        with ft.open(tmp_path / "out.ftup") as file:
            description = json.dumps(file.meta)
        assert "secret_name" not in description
        assert str(tmp_path) not in description
        provenance = ft.info(tmp_path / "out.ftup")["provenance"]
        assert {k: provenance[k] for k in ("effort", "seed", "flowtuple")} == {
            "effort": "fast",
            "seed": 5,
            "flowtuple": ft.__version__,
        }
        assert [source["bytes"] for source in provenance["source"]] == [
            (tmp_path / "secret_name.npz").stat().st_size
        ]
        assert provenance.keys() == {"effort", "seed", "flowtuple", "source"}


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import flowtuple as ft
{work}
"""


class TestWithoutTorch:
    @pytest.mark.slow
    def test_decompress(self, tmp_path: Path) -> None:
        columns = related_columns(5000, 10)
        ft.compress(
            columns, tmp_path / "out.ftup", tolerance=RELATED_BOUNDS, effort="fast"
        )
        here = ft.decompress(tmp_path / "out.ftup")
        assert ft.info(tmp_path / "out.ftup")["tables"][0]["model_bytes"] > 0
        run_python(
            WITHOUT_TORCH.format(
                work=f"ft.decompress({str(tmp_path / 'out.ftup')!r}, {str(tmp_path / 'out.npz')!r})"
            )
        )
        with np.load(tmp_path / "out.npz") as there:
            for name in columns:
                assert_same_bits(there[name], here[name])

    @pytest.mark.slow
    def test_training_names_the_extra(self, tmp_path: Path) -> None:
        work = f"""
import numpy as np
ft.compress({{"x": np.arange(10.0)}}, {str(tmp_path / "small.ftup")!r})
try:
    ft.compress({{"x": np.arange(9000.0) ** 0.5}}, {str(tmp_path / "large.ftup")!r})
except ft.MissingExtra as error:
    print(error)
"""
        said = run_python(WITHOUT_TORCH.format(work=work))
        assert (
            said
            == "training a flow needs the extra 'train': pip install 'flowtuple[train]'"
        )
        assert [p.name for p in tmp_path.iterdir()] == ["small.ftup"]


class TestCarried:
    def test_strings_and_deeper_nesting(self) -> None:
        events = ak.Array(
            [
                {
                    "name": "dijet",
                    "tracks": [[1.5, 2.5], []],
                    "maybe": None,
                    "union": 1,
                    "pt": 1.0,
                },
                {"name": "Z → µµ", "tracks": [], "maybe": 2.0, "union": "two", "pt": 2.0},
            ]
        )
        back = round_trip(events, {"*": "rel:1e-3"})
        assert back.fields == events.fields
        assert (
            back[["name", "tracks", "maybe", "union"]].tolist()
            == events[["name", "tracks", "maybe", "union"]].tolist()
        )

    def test_titles(self, tmp_path: Path) -> None:
        titles = {"nJet": "number of jets", "Jet_pt": "pT of jets [GeV]", "MET_pt": ""}
        columns = (
            Column("nJet", "int32", "counter", titles["nJet"]),
            Column("Jet_pt", "float32", "value", titles["Jet_pt"], "nJet"),
            Column("MET_pt", "float32"),
        )
        data = {
            "nJet": np.int32([1, 2]),
            "Jet_pt": np.float32([1, 2, 3]),
            "MET_pt": np.float32([4, 5]),
        }
        write_dataset(
            Dataset("memory", {"Events": Table("Events", columns, 2, data)}),
            tmp_path / "in.root",
        )
        ft.compress(tmp_path / "in.root", tmp_path / "out.ftup")
        ft.decompress(tmp_path / "out.ftup", tmp_path / "out.root")
        (table,) = ft.info(tmp_path / "out.ftup")["tables"]
        assert {c["name"]: c.get("title", "") for c in table["columns"]} == titles
        with uproot.open(tmp_path / "out.root") as copy:
            found = {b.name: b.title for b in copy["Events"].branches}
        assert found == titles | {"MET_pt": "MET_pt/F"}

    def test_histograms(self, tmp_path: Path) -> None:
        counts, edges = np.histogram(np.random.default_rng(1).normal(size=100), bins=7)
        with uproot.recreate(tmp_path / "in.root") as file:
            file.mktree("Events", {"x": "float32"}).extend({"x": np.float32([1, 2])})
            file["pileup"] = counts, edges
            file["folder/map"] = np.histogram2d([1.0, 2.0], [3.0, 4.0], bins=(2, 3))
        ft.compress(tmp_path / "in.root", tmp_path / "out.ftup")
        ft.decompress(tmp_path / "out.ftup", tmp_path / "out.root")
        with (
            uproot.open(tmp_path / "out.root") as copy,
            uproot.open(tmp_path / "in.root") as original,
        ):
            assert copy.classnames(cycle=False) == original.classnames(cycle=False)
            np.testing.assert_array_equal(copy["pileup"].to_numpy()[0], counts)
            np.testing.assert_array_equal(copy["pileup"].to_numpy()[1], edges)
            for left, right in zip(
                copy["folder/map"].to_numpy(),
                original["folder/map"].to_numpy(),
                strict=True,
            ):
                np.testing.assert_array_equal(left, right)


class TestHardlyAnything:
    @pytest.mark.parametrize(
        "columns",
        [
            {"x": np.empty(0, np.float32)},
            {"x": np.empty(0, np.int64), "Jet_pt": ak.Array([[1.0]])[:0]},
            {"x": np.float32([1.5])},
            {"Jet_pt": ak.Array([[1.5, 2.5]])[:, :0], "x": np.array([2.0])},
            {"Jet_pt": ak.values_astype(ak.Array([[1.0], [1.0]])[:, :0], np.float32)},
            {"s": ak.Array(["only"])},
            {"x": np.full(3, np.nan)},
            {"x": np.full(3, -0.0), "y": np.full(3, np.inf)},
            {"box": np.zeros((2, 3, 4), np.int8)},
        ],
    )
    @pytest.mark.parametrize("suffix", [".root", ".npz", ".parquet", ".h5"])
    def test_works(self, columns: dict[str, Any], suffix: str, tmp_path: Path) -> None:
        is_text = "s" in columns
        ft.compress(
            columns, tmp_path / "out.ftup", tolerance={} if is_text else {"*": "rel:1e-3"}
        )
        ft.decompress(tmp_path / "out.ftup", tmp_path / f"out{suffix}")
        back = ft.decompress(tmp_path / "out.ftup")
        assert all(c.violations == 0 for c in ft.verify(columns, tmp_path / "out.ftup"))
        assert back.fields == list(columns)
        for name, values in columns.items():
            assert len(back[name]) == len(values)
            assert (
                is_text
                or ak.to_packed(back[name]).type.content == ak.Array(values).type.content
            )

    def test_result(self, tmp_path: Path) -> None:
        result = ft.compress({"x": np.float32([1, 2, 3])}, tmp_path / "out.ftup")
        assert (result.events, result.values, result.raw_bytes) == (3, 3, 12)
        assert result.file_bytes == (tmp_path / "out.ftup").stat().st_size
        assert result.bits_per_value == pytest.approx(8 * result.file_bytes / 3)
        assert ft.compress({"x": np.empty(0)}, tmp_path / "none.ftup").bits_per_value == 0

    @pytest.mark.parametrize("call", [ft.compress, ft.train])
    def test_arguments_are_checked_first(
        self, tmp_path: Path, call: Callable[..., Any]
    ) -> None:
        with pytest.raises(
            ft.InvalidArgument, match="effort 'all' is not one of fast, default, best"
        ):
            call(tmp_path / "missing.root", tmp_path / "out", effort="all")
        with pytest.raises(
            ft.InvalidArgument, match="seed -1 is not a whole number from 0"
        ):
            call(tmp_path / "missing.root", tmp_path / "out", seed=-1)
        with pytest.raises(
            ft.InvalidArgument, match=r"out.NPZ: has the suffix of another format"
        ):
            call(tmp_path / "missing.root", tmp_path / "out.NPZ")


class TestModelAndBounds:
    @pytest.fixture
    def trained(self, tmp_path: Path) -> Path:
        path = tmp_path / "m.flow"
        ft.train(
            {"x": np.arange(50) / 7, "n": np.arange(50)},
            path,
            tolerance={"x": "bits:10", "n": "abs:3"},
        )
        return path

    def test_the_same_bounds_again(self, trained: Path, tmp_path: Path) -> None:
        data = {"x": np.arange(9) / 3, "n": np.arange(9)}
        ft.compress(
            data,
            tmp_path / "o.ftup",
            tolerance={"x": "bits:10", "n": "abs:3.0"},
            model=trained,
        )
        assert ft.verify(data, tmp_path / "o.ftup")[0].bound == "bits:10"

    def test_lossless_is_a_bound_too(self, trained: Path, tmp_path: Path) -> None:
        with pytest.raises(
            ft.InvalidArgument, match="fixes bits:10 for column 'x', not lossless"
        ):
            ft.compress(
                {"x": np.arange(9) / 3, "n": np.arange(9)},
                tmp_path / "o",
                tolerance={"x": "lossless"},
                model=trained,
            )

    def test_a_model_holds_no_events(self, trained: Path, tmp_path: Path) -> None:
        with pytest.raises(ft.InvalidArgument, match="is a model and holds no events"):
            ft.decompress(trained, tmp_path / "o.npz")
        assert [p.name for p in tmp_path.iterdir()] == ["m.flow"]


class TestOddNames:
    def test_a_name_with_the_characters_of_a_glob(self, tmp_path: Path) -> None:
        data = {"x[0]": np.arange(20) / 7, "x0": np.arange(20) / 7, "n*": np.arange(20)}
        ft.compress(
            data, tmp_path / "o.ftup", tolerance={"x[0]": "abs:0.5", "n*": "abs:2"}
        )
        asked = {
            c["name"]: c["asked"]
            for c in ft.info(tmp_path / "o.ftup")["tables"][0]["columns"]
        }
        assert asked == {"x[0]": "abs:0.5", "x0": "lossless", "n*": "abs:2"}

    def test_no_name_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(ft.InvalidArgument, match="has no name"):
            ft.compress({"": [1.0]}, tmp_path / "o.ftup")

    @pytest.mark.parametrize(
        ("kind", "amount"),
        [("abs", -1), ("abs", math.nan), ("rel", 2.0), ("bits", 1.5), ("odd", 1)],
    )
    def test_bounds_that_cannot_be(self, kind: str, amount: float) -> None:
        with pytest.raises(ft.InvalidArgument, match="bound"):
            ft.Bound(kind, amount)

    def test_a_bound_that_is_no_text(self, tmp_path: Path) -> None:
        with pytest.raises(ft.InvalidArgument, match="for 'x' is no text"):
            ft.compress({"x": [1.0]}, tmp_path / "o.ftup", tolerance={"x": 0.5})


class TestOutput:
    def test_what_is_no_ordinary_file_is_left_alone(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ft.InvalidArgument, match="is no ordinary file"):
            ft.compress({"x": [1.0]}, tmp_path / "pipe")
        assert (tmp_path / "pipe").is_fifo()

    def test_a_link_keeps_pointing(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "real.ftup")
        ft.compress({"x": [1.0]}, tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert ft.decompress(tmp_path / "real.ftup")["x"].tolist() == [1.0]

    def test_strings_of_no_events_keep_their_type(self, tmp_path: Path) -> None:
        events = ak.Array([{"name": "a", "x": 1.0}])[:0]
        ft.compress(events, tmp_path / "o.ftup")
        assert str(ft.decompress(tmp_path / "o.ftup").type) == str(events.type)


class TestVerify:
    def test_lists_without_a_counter_of_their_own(self, tmp_path: Path) -> None:
        events = {"Jet_pt": [[1.0, 2.0], [], [3.0]], "Jet_n": [[1, 2], [], [3]]}
        ft.compress(events, tmp_path / "o.ftup")
        ft.decompress(tmp_path / "o.ftup", tmp_path / "o.root")
        assert (
            sum(c.violations for c in ft.verify(tmp_path / "o.root", tmp_path / "o.ftup"))
            == 0
        )
        shifted = {"Jet_pt": [[1.0], [2.0], [3.0]], "Jet_n": [[1], [2], [3]]}
        found = {c.column: c.violations for c in ft.verify(shifted, tmp_path / "o.ftup")}
        assert found == {"n(Jet_pt)": 2, "Jet_pt": 0, "Jet_n": 0}

    def test_a_signalling_nan(self, tmp_path: Path) -> None:
        data = {"x": np.array([0x7FA00001, 0x3F800000], "u4").view("f4")}
        ft.compress(data, tmp_path / "o.ftup", tolerance={"x": "abs:0.1"})
        assert [c.violations for c in ft.verify(data, tmp_path / "o.ftup")] == [0]

    def test_another_histogram(self, tmp_path: Path) -> None:
        for name, counts in (("a", [1.0, 2.0]), ("b", [1.0, 3.0])):
            with uproot.recreate(tmp_path / f"{name}.root") as file:
                file.mktree("Events", {"x": "float32"}).extend({"x": np.float32([1, 2])})
                file["pileup"] = np.array(counts), np.array([0.0, 1.0, 2.0])
        ft.compress(tmp_path / "a.root", tmp_path / "a.ftup")
        assert (
            sum(c.violations for c in ft.verify(tmp_path / "a.root", tmp_path / "a.ftup"))
            == 0
        )
        assert {
            c.column
            for c in ft.verify(tmp_path / "b.root", tmp_path / "a.ftup")
            if c.violations
        } == {"pileup"}
