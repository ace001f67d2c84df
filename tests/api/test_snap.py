"""Snapped events are those that a file gives back, bit for bit, and stay where they are when they
are stored again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import pytest
import uproot
from hypothesis import given, settings

import flowtuple as ft
from random_tables import FLOATS, INTEGERS, KINDS, Drawn, made_by, tables
from short_training import shorten_training

BOUNDS = ("lossless", "abs:0.05", "rel:1e-3", "std:1e-2", "bits:6")


def assert_same(actual: Any, expected: Any) -> None:
    """Equal fields, types, lists and bits; of several tables, each."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        for name in expected:
            assert_same(actual[name], expected[name])
        return
    assert actual.fields == expected.fields
    assert len(actual) == len(expected)
    for name in expected.fields:
        assert str(actual[name].type) == str(expected[name].type)
        one, other = (ak.to_buffers(ak.to_packed(a[name]))[2] for a in (actual, expected))
        assert {k: np.asarray(b).tobytes() for k, b in one.items()} == {
            k: np.asarray(b).tobytes() for k, b in other.items()
        }


def stored(
    source: Any, folder: Path, tolerance: Mapping[str, str] | None = None, **options: Any
) -> Any:
    ft.compress(
        source,
        folder / "out.ftup",
        tolerance=tolerance,
        effort="fast",
        **options,
        resources=ft.Resources(workers=1),
    )
    return ft.decompress(folder / "out.ftup", resources=ft.Resources(workers=1))


def mixture() -> dict[str, Any]:
    """Every kind of values in every type, flat, in lists and in boxes."""
    random = np.random.default_rng(11)
    with np.errstate(all="ignore"):
        columns = {
            f"{kind} {dtype}": made_by(random, kind, dtype, 300)
            for kind in KINDS
            for dtype in FLOATS
        }
    columns |= {d: random.integers(0, np.iinfo(d).max, 300, dtype=d) for d in INTEGERS}
    lists = {
        f"Jet_{d}": ak.unflatten(made_by(random, "repeated", d, 450), np.arange(300) % 4)
        for d in FLOATS
    }
    boxes = {"box": random.normal(0, 1, (300, 2, 2)), "flag": random.random(300) < 0.5}
    return (
        columns
        | lists
        | boxes
        | {"text": ak.Array(["a", "bc", ""] * 100), "deep": ak.Array([[[1.5], []]] * 300)}
    )


class TestAsStored:
    @pytest.mark.slow
    @pytest.mark.parametrize("bound", BOUNDS)
    def test_every_kind_of_column(self, bound: str, tmp_path: Path) -> None:
        events, tolerance = mixture(), {"*": bound, "int32": "abs:7", "uint64": "std:0.1"}
        snapped = ft.snap(events, tolerance)
        assert_same(snapped, stored(events, tmp_path, tolerance))
        assert (
            bound == "lossless"
            or (
                np.asarray(snapped["ordinary float64"]) != events["ordinary float64"]
            ).any()
        )

    @pytest.mark.slow
    @given(tables())
    @settings(max_examples=100)
    def test_any_table(
        self, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn
    ) -> None:
        folder = tmp_path_factory.getbasetemp()
        assert_same(
            ft.snap(drawn.columns, drawn.tolerance),
            stored(drawn.columns, folder, drawn.tolerance),
        )

    def test_longer_than_a_step_of_reading(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # no network is trained on so few values
        monkeypatch.setattr("flowtuple.training.fit.MIN_ROWS", 10**6)
        events = {"x": np.random.default_rng(3).normal(0, np.linspace(1, 9, 70_000))}
        assert_same(
            ft.snap(events, {"x": "std:1e-3"}),
            stored(events, tmp_path, {"x": "std:1e-3"}),
        )

    def test_columns_on_a_common_grid(self, tmp_path: Path) -> None:
        random = np.random.default_rng(2)
        a = random.normal(0, 10, 2000)
        events = {
            "a": a,
            "b": np.where(random.random(2000) < 0.7, a, random.normal(0, 20, 2000)),
        }
        snapped = ft.snap(events, {"*": "std:1e-2"})
        assert_same(snapped, stored(events, tmp_path, {"*": "std:1e-2"}))
        shared = events["a"] == events["b"]
        assert (snapped["a"] == snapped["b"])[shared].to_numpy().all()

    def test_several_tables_and_a_selection(self, tmp_path: Path) -> None:
        random = np.random.default_rng(4)
        with uproot.recreate(tmp_path / "in.root") as file:
            for tree, rows in (("Events", 500), ("Runs", 20)):
                branches = {
                    "x": random.normal(0, 1, rows).astype("float32"),
                    "run": np.arange(rows),
                }
                file.mktree(tree, {name: b.dtype for name, b in branches.items()}).extend(
                    branches
                )
        assert list(ft.snap(tmp_path / "in.root")) == ["Events", "Runs"]
        for source in (tmp_path / "in.root", f"{tmp_path / 'in.root'}:Events"):
            tolerance = {"x": "abs:0.1"}
            assert_same(ft.snap(source, tolerance), stored(source, tmp_path, tolerance))
            chosen = ft.Selection(columns=("x",))
            assert_same(
                ft.snap(source, selection=chosen),
                stored(source, tmp_path, selection=chosen),
            )

    @pytest.mark.parametrize("kind", [dict, ak.Array, pd.DataFrame])
    def test_memory(self, kind: Any, tmp_path: Path) -> None:
        source = kind(
            {"x": np.array([1.26, -0.0, np.nan]), "n": np.array([1, 2, 3], "uint8")}
        )
        assert_same(
            ft.snap(source, {"x": "abs:0.1"}), stored(source, tmp_path, {"x": "abs:0.1"})
        )

    def test_the_lattices_of_a_model(self, tmp_path: Path) -> None:
        events = {"x": np.random.default_rng(6).normal(0, 3, 500)}
        ft.train(
            {"x": events["x"] / 2},
            tmp_path / "m.flow",
            tolerance={"x": "std:0.1"},
            effort="fast",
        )
        snapped = ft.snap(events, model=tmp_path / "m.flow")
        assert_same(snapped, stored(events, tmp_path, model=tmp_path / "m.flow"))
        assert not np.array_equal(snapped["x"], ft.snap(events, {"x": "std:0.1"})["x"])

    def test_given_columns_stay(self) -> None:
        events = {
            "x": np.random.default_rng(6).normal(0, 3, 50),
            "y": np.linspace(0, 1, 50),
        }
        snapped = ft.snap(events, {"*": "rel:0.1"}, given=["x"])
        assert np.array_equal(snapped["x"], events["x"])
        assert not np.array_equal(snapped["y"], events["y"])

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "some"), [("uproot-HZZ.root", "*_P[xy]"), ("Zee_Run2011A.csv", "eta*")]
    )
    def test_a_real_file(
        self,
        name: str,
        some: str,
        shared_data: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        shorten_training(monkeypatch)
        tolerance = {"*": "rel:1e-3", some: "std:1e-3"}
        assert_same(
            ft.snap(shared_data / name, tolerance),
            stored(shared_data / name, tmp_path, tolerance),
        )

    def test_mistakes_are_those_of_compress(self) -> None:
        with pytest.raises(ft.InvalidArgument, match="the name 'y' matches no column"):
            ft.snap({"x": [1.0]}, {"y": "abs:1"})

    @pytest.mark.slow
    def test_nothing_is_trained(self) -> None:
        script = (
            "import sys, numpy as np, flowtuple as ft\n"
            "ft.snap({'x': np.random.default_rng(0).normal(0, 1, 10_000)}, {'x': 'std:0.1'})\n"
            "print('torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
        assert done.stdout == "False\n"


class TestAgain:
    @pytest.mark.slow
    @given(tables())
    @settings(max_examples=300)
    def test_nothing_moves(self, drawn: Drawn) -> None:
        bounds = {
            name: bound
            for name, bound in drawn.tolerance.items()
            if not bound.startswith("std")
        }
        once = ft.snap(drawn.columns, bounds)
        assert_same(ft.snap(once, bounds), once)

    @pytest.mark.slow
    @given(tables())
    @settings(max_examples=60)
    def test_at_the_bounds_that_std_stood_for(
        self, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn
    ) -> None:
        folder = tmp_path_factory.getbasetemp()
        bounds = {
            name: "std:0.1" if bound.startswith("abs") else bound
            for name, bound in drawn.tolerance.items()
        }
        once = stored(drawn.columns, folder, bounds)
        found = {
            c["name"]: c["bound"]
            for c in ft.info(folder / "out.ftup")["tables"][0]["columns"]
        }
        assert_same(ft.snap(once, {name: found[name] for name in bounds}), once)

    def test_many_repeated_values_beside_a_crowded_end(self) -> None:
        """The values brought to the low end are the most frequent then, and leave the 40 repeated
        ones alone.
        """
        random = np.random.default_rng(0)
        x = random.normal(0, 100, 20_000)
        place = random.permutation(len(x))
        for k in range(40):
            x[place[200 * k : 200 * (k + 1)]] = 10 * k - 200.03
        x[place[8000:8600]] = random.uniform(-999.98, -999.951, 600)
        once = ft.snap({"x": x}, {"x": "abs:0.05"})
        assert np.array_equal(np.asarray(once["x"])[place[:8000]], x[place[:8000]])
        assert_same(ft.snap(once, {"x": "abs:0.05"}), once)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    with uproot.recreate(folder / "two.root") as file:
        file["Events"] = {"x": np.linspace(0.0, 1.0, 200)}
        file["Runs"] = {"run": np.arange(50)}
    bounds = {"x": "abs:0.25"}
    for name in ("one.root:Events", "two.root"):
        source = f"{folder}/{name.replace('one', 'two')}"
        path = folder / f"{name.partition('.')[0]}.flow"
        ft.train(source, path, tolerance=bounds, effort="fast")
    return folder


class TestModelsOfOneTable:
    """Events in memory, whose table has no name of its own, and models of named tables."""

    @pytest.mark.parametrize("source", [dict, pd.DataFrame, ak.Array])
    def test_the_only_table_is_taken(
        self, source: Any, models: Path, tmp_path: Path
    ) -> None:
        events = source({"x": np.array([0.1, 0.6, 0.9])})
        snapped = ft.snap(events, model=models / "one.flow")
        named = ft.snap(events, model=f"{models}/two.flow:Events")
        ft.compress(events, tmp_path / "x.ftup", model=models / "one.flow")
        assert (
            snapped.tolist()
            == named.tolist()
            == ft.decompress(tmp_path / "x.ftup").tolist()
        )
        assert snapped["x"].tolist() != [0.1, 0.6, 0.9]
        np.testing.assert_allclose(snapped["x"], [0.1, 0.6, 0.9], atol=0.25)

    def test_lists_have_the_counters_of_the_model(self, tmp_path: Path) -> None:
        """As uproot reads them: `nJet` beside the lists that it counts."""
        draw = np.random.default_rng(3)
        counts = draw.integers(0, 4, 300)
        jets = ak.zip({"pt": ak.unflatten(draw.exponential(40, counts.sum()), counts)})
        with uproot.recreate(tmp_path / "jets.root") as file:
            file.mktree("Events", {"Jet": jets.type.content, "x": "f8"}).extend(
                {"Jet": jets, "x": np.linspace(0.0, 1.0, 300)}
            )
        source, model = f"{tmp_path}/jets.root:Events", tmp_path / "m.flow"
        ft.train(source, model, tolerance={"Jet_pt": "abs:0.5"}, effort="fast")
        events = uproot.open(source).arrays()
        expected = ft.snap(source, model=model)
        for own in (events, dict(zip(events.fields, ak.unzip(events), strict=True))):
            snapped = ft.snap(own, model=model)
            assert ak.num(snapped["Jet_pt"]).tolist() == counts.tolist()
            assert snapped.tolist() == expected.tolist()
        fewer = {
            **{k: events[k] for k in events.fields},
            "nJet": np.maximum(events["nJet"] - 1, 0),
        }
        with pytest.raises(ft.InvalidArgument, match=r"'Jet_pt' is .* counted by"):
            ft.snap(fewer, model=model)

    def test_one_of_several_is_to_be_named(self, models: Path) -> None:
        path = models / "two.flow"
        message = f"{path}: was trained on the trees Events, Runs, .*; choose one as {path}:Events"
        with pytest.raises(ft.InvalidArgument, match=message):
            ft.snap({"x": [0.5]}, model=path)
        with pytest.raises(ft.InvalidArgument, match="no tree 'Run'; nearest: Runs"):
            ft.snap({"x": [0.5]}, model=f"{path}:Run")

    def test_tables_of_files_are_matched_by_name(self, models: Path) -> None:
        message = (
            "two.root find theirs in the model by name; name the model as .*one.flow$"
        )
        with pytest.raises(ft.InvalidArgument, match=message):
            ft.snap(models / "two.root", model=f"{models}/one.flow:Events")

    def test_a_tree_by_position(self, models: Path) -> None:
        with pytest.warns(
            DeprecationWarning, match="tree= is going away; write PATH:TREE"
        ):
            assert ft.load(models / "two.flow", "Runs").facts()["names"] == "run"  # type: ignore[call-arg]
