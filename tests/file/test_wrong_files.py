"""Healthy files in wrong places: what is said of them is true, and helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from safetensors.numpy import save_file

import flowtuple as ft

X = np.linspace(0.0, 1.0, 200)
REMEDIES = "fetch|restore it|recover|damaged|compress it first|train it again"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    with uproot.recreate(folder / "a.root") as file:
        file["Events"] = {"x": X, "y": X}
        file["Runs"] = {"run": np.arange(3)}
    events = f"{folder}/a.root:Events"
    ft.train(events, folder / "m.flow", effort="fast")
    ft.train(f"{folder}/a.root:Runs", folder / "runs.flow", effort="fast")
    ft.train_simulation(
        events, folder / "sim.flow", target=["y"], given=["x"], effort="fast"
    )
    ft.compress(events, folder / "ref.ftup", model=folder / "m.flow", model_ref=True)
    ft.compress(folder / "a.root", folder / "two.ftup", effort="fast")
    ft.compress(events, folder / "given.ftup", given=["x"], effort="fast")
    save_file({"weights": np.zeros(3)}, folder / "other.flow")
    (folder / "page.html").write_text("<html></html>")
    (folder / "folder").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.root",
            "a.root: is not a flowtuple file, but named like events; make a model",
        ),
        ("sim.flow", "sim.flow: simulates events from generated ones; use `simulate"),
        ("other.flow", "other.flow: is a flow over rows, which codes nothing"),
        (
            "page.html",
            "page.html: is not a flowtuple file .*; name one that flowtuple wrote",
        ),
        ("folder", r"folder: cannot be read \(Is a directory\); check its kind"),
        ("runs.flow", "runs.flow: was trained on Runs, none of which .* holds"),
    ],
)
def test_what_is_no_model_of_events(
    files: Path, name: str, message: str, tmp_path: Path
) -> None:
    events = f"{files}/a.root:Events"
    uses: list[Callable[[Path], Any]] = [
        lambda model: ft.snap(events, model=model),
        lambda model: ft.compress(events, tmp_path / "x.ftup", model=model),
    ]
    for use in uses:
        with pytest.raises(ft.FlowtupleError, match=message) as raised:
            use(files / name)
        assert not [word for word in REMEDIES.split("|") if word in str(raised.value)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.root",
            "a.root: is not a flowtuple file, .*; name the model that .*ref.ftup was made",
        ),
        (
            "runs.flow",
            "runs.flow has no model of this table; name the one that it was made with",
        ),
        (
            "m.flow:Events",
            "m.flow:Events: no such file; here a file is taken whole: .*m.flow$",
        ),
    ],
)
def test_what_is_not_the_model_of_a_file(files: Path, name: str, message: str) -> None:
    with pytest.raises(ft.InvalidArgument, match=message):
        ft.decompress(files / "ref.ftup", model=f"{files}/{name}")


@pytest.mark.parametrize(
    ("use", "name", "message"),
    [
        (ft.info, "other.flow", "a flow over rows is for `sample.* and `score"),
        (
            ft.info,
            "page.html",
            "name one that flowtuple wrote, such as a .ftup or .flow$",
        ),
        (ft.load, "other.flow", "is no model of flowtuple; name one that `train_flow"),
        (
            ft.load,
            "two.ftup",
            "holds the trees Events, Runs; choose one, such as .*two.ftup:Events",
        ),
        (ft.inspect, "m.flow", "is a model and no input; name events, or draw some"),
        (
            ft.open,
            "two.ftup:Events",
            "no such file; here a file is taken whole: .*two.ftup$",
        ),
    ],
)
def test_files_in_place_of_others(
    files: Path, use: Callable[[str], Any], name: str, message: str
) -> None:
    with pytest.raises(ft.FlowtupleError, match=rf"{name}: .*{message}") as raised:
        use(f"{files}/{name}")
    assert not [word for word in REMEDIES.split("|") if word in str(raised.value)]


def test_several_trees_are_chosen_as_each_function_takes_them(files: Path) -> None:
    with ft.open(files / "two.ftup") as file:
        for use in (file.keys, file.arrays, lambda: file["x"]):
            with pytest.raises(
                ft.InvalidArgument, match=r"tree='Events', or as f\['Events/x'\]$"
            ):
                use()
        assert file.keys(tree="Events") == ["x", "y"]
        assert file["Events/x"].tolist() == X.tolist()


def test_an_original_of_fewer_trees_than_the_file(files: Path) -> None:
    message = "a.root: lacks the tree 'Runs' of .*two.ftup; name the whole original"
    with pytest.raises(ft.InvalidArgument, match=message):
        ft.verify(f"{files}/a.root:Events", files / "two.ftup")


def test_given_columns_in_memory_need_no_name_of_a_table(files: Path) -> None:
    assert ft.decompress(files / "given.ftup", given={"x": X})["x"].tolist() == X.tolist()


def test_sources_whose_trees_have_other_names_are_mixed(
    files: Path, tmp_path: Path
) -> None:
    with uproot.recreate(tmp_path / "b.root") as file:
        file["Other"] = {"x": X, "y": X}
    paths = [f"{files}/a.root:Events", f"{tmp_path}/b.root:Other"]
    mixed = ft.Weighted(paths, mix=(1.0, 0.5))
    assert ft.train(mixed, tmp_path / "m.flow", effort="fast") == ()


def test_given_lists_are_counted_by_the_model(tmp_path: Path) -> None:
    events = {"Jet_pt": [[1.0, 2.0], []] * 100, "MET_pt": [1.0, 3.0] * 100}
    ft.train(events, tmp_path / "m.flow", effort="fast")
    drawn = ft.sample(tmp_path / "m.flow", given={"Jet_pt": [[1.0, 2.0], []]})
    assert drawn is not None
    assert drawn["Jet_pt"].tolist() == [[1.0, 2.0], []]
