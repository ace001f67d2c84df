"""Keywords of the last release: the same result, with one note that names the new spelling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flowtuple as ft

EVENTS = {"x": np.arange(40.0), "w": np.ones(40)}


def test_resources_as_keywords(tmp_path: Path) -> None:
    with pytest.warns(
        DeprecationWarning, match=r"^workers=, memory= is going away; write"
    ):
        ft.compress(EVENTS, tmp_path / "old.ftup", workers=1, memory=10**9)
    ft.compress(EVENTS, tmp_path / "new.ftup", resources=ft.Resources(1, 10**9))
    assert (tmp_path / "old.ftup").read_bytes() == (tmp_path / "new.ftup").read_bytes()
    with pytest.warns(DeprecationWarning, match=r"write resources=Resources\(\.\.\.\)"):
        ft.open(tmp_path / "old.ftup", workers=1).close()


def test_old_and_new_resources_go_together() -> None:
    stages: list[str] = []
    with pytest.warns(DeprecationWarning, match="progress="):
        ft.snap(
            EVENTS,
            progress=lambda stage, share, detail: stages.append(stage),
            resources=ft.Resources(1),
        )
    assert stages[0] == "scan events"


def test_renamed_keyword(tmp_path: Path) -> None:
    ft.train(EVENTS, tmp_path / "m.flow", lean=True)
    with pytest.warns(
        DeprecationWarning, match=r"^refer= is going away; write model_ref=$"
    ):
        ft.compress(EVENTS, tmp_path / "x.ftup", model=tmp_path / "m.flow", refer=False)


@pytest.mark.slow
def test_options_of_a_comparison() -> None:
    with pytest.warns(
        DeprecationWarning, match=r"write options=ComparisonOptions\(\.\.\.\)"
    ):
        old = ft.compare(EVENTS, EVENTS, tests=["ks"], permutations=50)
    options = ft.ComparisonOptions(permutations=50)
    assert old == ft.compare(EVENTS, EVENTS, tests=["ks"], options=options)


def test_compare_with_given_is_closure() -> None:
    with (
        pytest.warns(
            DeprecationWarning,
            match=r"compare\(given=\.\.\.\) .* closure\(given=\.\.\.\)",
        ),
        pytest.raises(ft.InvalidArgument, match="matches no column"),
    ):
        ft.compare(EVENTS, EVENTS, given=["Gen*"])


def test_train_with_target_is_train_simulation(tmp_path: Path) -> None:
    with (
        pytest.warns(DeprecationWarning, match="is going away"),
        pytest.raises(ft.InvalidArgument, match=r"Jett_|Gen"),
    ):
        ft.train(
            EVENTS, tmp_path / "m.flow", target=["Jett_*"], given=["Gen*"], match=["J=G"]
        )


@pytest.mark.slow
def test_train_with_flow_is_train_flow(tmp_path: Path) -> None:
    flow = ft.RowFlow("maf", ft.Shape(1, (8,)), ft.Training(epochs=1))
    ft.train_flow(ft.Weighted(EVENTS, "w"), tmp_path / "new.flow", flow)
    with pytest.warns(DeprecationWarning, match="is going away") as notes:
        ft.train(
            EVENTS,
            tmp_path / "old.flow",
            flow=flow,
            weights="w",
            report=tmp_path / "page",
        )
    spelled = [str(note.message).partition("write ")[2] for note in notes]
    assert spelled == [
        "Weighted(source, weight=..., mix=...)",
        "ft.report(source, model, folder) after the training",
        "train_flow(flow=...)",
    ]
    assert (tmp_path / "old.flow").read_bytes() == (tmp_path / "new.flow").read_bytes()
    assert (tmp_path / "page" / "train.html").is_file()


@pytest.mark.slow
def test_note_is_at_the_line_of_the_caller(tmp_path: Path) -> None:
    model = tmp_path / "m.flow"
    calls: list[Callable[[], object]] = [
        lambda: ft.train(EVENTS, model, weights="w", effort="fast"),
        lambda: ft.load(path=model, tree="events"),
        lambda: ft.sample(model=model, n=3, tree="events"),
        lambda: ft.sample(model, 3, tree="events", workers=1),
        lambda: ft.score(model=model, source={"x": EVENTS["x"]}, tree="events"),
        lambda: ft.compare(EVENTS, EVENTS, weights="w", tests=["ks"]),
        lambda: ft.snap(EVENTS, workers=1),
    ]
    for call in calls:
        with pytest.warns(DeprecationWarning, match="is going away") as notes:
            call()
        assert {note.filename for note in notes} == {__file__}


@pytest.mark.slow
def test_old_train_takes_keywords_alone(tmp_path: Path) -> None:
    model, page = tmp_path / "a.flow", tmp_path / "page"
    with pytest.warns(
        DeprecationWarning, match="^(weights=, mix=|report=) is going away"
    ):
        ft.train(source=EVENTS, output=model, weights="w", report=page)
    with pytest.warns(DeprecationWarning, match="^path= is going away; write output=$"):
        ft.train(ft.Weighted(EVENTS, "w"), path=tmp_path / "b.flow")
    assert model.read_bytes() == (tmp_path / "b.flow").read_bytes()
    assert (page / "train.html").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"flow": "maf"},
            r"`flow=` takes a RowFlow, such as RowFlow\('maf'\), not 'maf'",
        ),
        ({"target": ["x"]}, "name with `given=` what the events to simulate will hold"),
        (
            {"flow": ft.RowFlow(), "tolerance": "abs:1"},
            "`tolerance=` does not go with `flow=",
        ),
        (
            {"target": ["x"], "given": ["w"], "lean": True},
            "`lean=` does not go with `target=`",
        ),
    ],
)
def test_old_train_refuses_in_one_line(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ft.InvalidArgument, match=message) as refusal:
        ft.train(EVENTS, tmp_path / "m.flow", **arguments)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_calls_that_never_worked_have_ordinary_errors(tmp_path: Path) -> None:
    calls: dict[str, Callable[[], object]] = {
        r"train\(\) missing 1 required positional argument: 'output'": lambda: ft.train(
            EVENTS
        ),
        "unexpected keyword argument 'path'": lambda: ft.sample(path="m.flow"),
        "unexpected keyword argument 'flows'": lambda: ft.train(
            EVENTS, tmp_path, flows=1
        ),
    }
    for message, call in calls.items():
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.slow
def test_tree_is_part_of_the_path(tmp_path: Path) -> None:
    ft.train(EVENTS, tmp_path / "m.flow", effort="fast")
    with pytest.warns(DeprecationWarning, match="^tree= is going away; write PATH:TREE$"):
        old = ft.score(tmp_path / "m.flow", EVENTS, tree="events")
    new = ft.score(f"{tmp_path / 'm.flow'}:events", EVENTS)
    assert old.tolist() == new.tolist()
    with pytest.raises(ft.InvalidArgument, match="no tree 'Events'"):
        ft.load(f"{tmp_path / 'm.flow'}:Events")
