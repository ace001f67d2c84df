"""Bookkeeping of drawn events: new ids, and sums over runs as NanoAOD has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.cli.app import app
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table
from flowtuple.model.run_trees import with_run_trees


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(1)
    events = {
        "run": np.full(400, 362104, np.uint32),
        "luminosityBlock": np.arange(400, dtype=np.uint32) // 50,
        "event": draw.integers(0, 2**40, 400).astype(np.uint64),
        "genWeight": draw.choice(np.array([-1.5, 2.5], np.float32), 400, p=[0.2, 0.8]),
        "x": draw.normal(size=400).astype(np.float32),
    }
    path = tmp_path_factory.mktemp("runs") / "m.flow"
    ft.train(events, path, tolerance={"x": "abs:0.1"}, effort="fast")
    return path


def trees(path: Path) -> dict[str, dict[str, np.ndarray]]:
    with uproot.open(path) as file:
        return {
            name.partition(";")[0]: file[name].arrays(library="np")
            for name in file.keys(filter_classname="TTree")
        }


def test_a_root_file_holds_runs_and_blocks(model: Path, tmp_path: Path) -> None:
    ft.sample(model, 3000, tmp_path / "a.root", seed=5, run=7)
    found = trees(tmp_path / "a.root")
    events, runs, blocks = (
        found[name] for name in ("events", "Runs", "LuminosityBlocks")
    )
    weight = events["genWeight"].astype(float)
    assert set(weight) == {-1.5, 2.5}
    assert runs["run"].tolist() == [7]
    assert runs["genEventCount"].tolist() == [3000]
    assert runs["genEventSumw"][0] == pytest.approx(sum(weight.tolist()), rel=1e-12)
    squares = sum(w * w for w in weight.tolist())
    assert runs["genEventSumw2"][0] == pytest.approx(squares, rel=1e-12)
    pairs = set(
        zip(events["run"].tolist(), events["luminosityBlock"].tolist(), strict=True)
    )
    assert pairs == {(7, 1)}
    assert list(
        zip(blocks["run"].tolist(), blocks["luminosityBlock"].tolist(), strict=True)
    ) == [(7, 1)]
    assert events["event"].tolist() == list(range(1, 3001))


def test_the_run_changes_nothing_else(model: Path, tmp_path: Path) -> None:
    alone = ft.sample(model, 500, seed=5)
    other = ft.sample(model, 500, seed=5, run=7)
    assert set(alone["run"].tolist()) == {1}
    assert set(other["run"].tolist()) == {7}
    for name in ("event", "luminosityBlock", "genWeight", "x"):
        assert alone[name].tolist() == other[name].tolist()


def test_parts_add_up(model: Path, tmp_path: Path) -> None:
    ft.sample(model, 900, tmp_path / "whole.root", seed=2)
    ft.sample(model, 400, tmp_path / "first.root", seed=2)
    ft.sample(model, 900, tmp_path / "second.root", seed=2, first=400)
    whole, first, second = (
        trees(tmp_path / f"{name}.root") for name in ("whole", "first", "second")
    )
    for name in ("genEventCount", "genEventSumw", "genEventSumw2"):
        parts = first["Runs"][name][0] + second["Runs"][name][0]
        assert parts == pytest.approx(whole["Runs"][name][0], rel=1e-12)
    ids = [*first["events"]["event"], *second["events"]["event"]]
    assert ids == whole["events"]["event"].tolist()


def test_other_formats_hold_the_events_alone(model: Path, tmp_path: Path) -> None:
    ft.sample(model, 50, tmp_path / "a.npz", seed=5, run=3)
    with np.load(tmp_path / "a.npz") as file:
        assert set(file["run"].tolist()) == {3}
        assert "genEventSumw" not in file.files


def table(weights: np.ndarray) -> Dataset:
    count = len(weights)
    data = {
        name: np.ones(count, np.uint16) for name in ("run", "luminosityBlock", "event")
    }
    columns = (*(Column(name, "uint16") for name in data), Column("genWeight", "float64"))
    whole = Table("Events", columns, count, {**data, "genWeight": weights})
    return Dataset("drawn", {"Events": whole})


def test_sums_do_not_depend_on_how_events_are_read() -> None:
    weights = np.random.default_rng(1).normal(size=100)
    for parts in ([], [(0, 100)], [(0, 10), (0, 60), (60, 100)], [(50, 100), (20, 70)]):
        tables = with_run_trees(table(weights), 1).tables
        for start, stop in parts:
            tables["Events"].read(["genWeight"], start, stop)
        row = tables["Runs"].read(["genEventSumw", "genEventSumw2"], 0, 1).data
        assert row["genEventSumw"][0] == pytest.approx(weights.sum(), rel=1e-12)
        assert row["genEventSumw2"][0] == pytest.approx((weights**2).sum(), rel=1e-12)


def test_no_events_have_sums_of_zero() -> None:
    row = with_run_trees(table(np.zeros(0)), 1).tables["Runs"]
    assert row.read(["genEventCount", "genEventSumw"], 0, 1).data["genEventSumw"] == [0]


def test_a_run_out_of_range_or_without_a_column(model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ft.InvalidArgument, match=r"run 65536 is out of range; .* to 65535"
    ):
        with_run_trees(table(np.ones(3)), 65536)
    with pytest.raises(ft.InvalidArgument, match="the run -1 is out of range"):
        ft.sample(model, 5, run=-1)
    with pytest.raises(ft.InvalidArgument, match="with `given=` leave it out"):
        ft.sample(model, given={"x": [0.0]}, run=2)
    ft.train({"x": np.arange(100) % 7}, tmp_path / "x.flow", effort="fast")
    with pytest.raises(ft.InvalidArgument, match="no column 'run' to number"):
        ft.sample(tmp_path / "x.flow", 5, run=2)


def test_the_command_line_numbers_the_run(model: Path, tmp_path: Path) -> None:
    words = [
        "sample",
        str(model),
        "-n",
        "20",
        "--run",
        "9",
        "-o",
        str(tmp_path / "r.root"),
    ]
    app(words, standalone_mode=False)
    assert trees(tmp_path / "r.root")["Runs"]["run"].tolist() == [9]


def ids(dtype: str, *names: str) -> Dataset:
    """Three events with some columns of numbers."""
    columns = tuple(Column(name, dtype) for name in names)
    data = {name: np.ones(3, dtype) for name in names}
    return Dataset("m.flow", {"Events": Table("Events", columns, 3, data)})


@pytest.mark.parametrize(
    ("dataset", "absent"),
    [
        (ids("uint32", "run", "event"), "luminosityBlock"),
        (
            ids("float64", "run", "luminosityBlock", "event"),
            "run, luminosityBlock, event",
        ),
    ],
    ids=["one column absent", "no whole numbers"],
)
def test_a_run_that_cannot_be_numbered_is_an_error(dataset: Dataset, absent: str) -> None:
    with pytest.raises(ft.InvalidArgument, match=f"has none in {absent}; leave out"):
        with_run_trees(dataset, 7)
    assert with_run_trees(dataset, 1) is dataset
