"""Scores that mean what they say: calibrated on labelled events, stored, and used by later calls."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.runtime import extras
from in_process import run_here

pytest.importorskip("torch")

LIMIT = {"tolerance": {"*": "abs:0.05"}, "effort": "fast"}


def events(seed: int, n: int = 1500) -> dict[str, np.ndarray]:
    """Two columns: signal is shifted in both, and narrower in y."""
    draw = np.random.default_rng(seed)
    signal = draw.random(n) < 0.4
    x = draw.normal(np.where(signal, 1.0, 0.0), 1.0)
    y = 0.5 * x + draw.normal(np.where(signal, 0.5, 0.0), np.where(signal, 0.7, 1.0))
    return {
        "x": x.astype(np.float32),
        "y": y.astype(np.float32),
        "is_signal": signal.astype(np.int32),
        "w": draw.uniform(0.5, 1.5, n),
    }


def true_odds(data: dict[str, np.ndarray]) -> np.ndarray:
    """Log-odds by the densities that the events are drawn from."""
    x, y = data["x"].astype(float), data["y"].astype(float)
    residual = y - 0.5 * x
    one = -((x - 1) ** 2) / 2 - (residual - 0.5) ** 2 / (2 * 0.49) - np.log(0.7)
    return one + x**2 / 2 + residual**2 / 2 + np.log(0.4 / 0.6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models of background and signal, which learned few events."""
    folder = tmp_path_factory.mktemp("models")
    data = events(1)
    signal = data["is_signal"] == 1
    columns = {name: data[name] for name in ("x", "y")}
    ft.train({n: v[~signal] for n, v in columns.items()}, folder / "b.flow", **LIMIT)
    ft.train(
        {n: v[signal] for n, v in columns.items()},
        folder / "s.flow",
        like=folder / "b.flow",
        effort="fast",
    )
    np.savez(folder / "labelled.npz", **events(2))
    np.savez(folder / "judge.npz", **events(3, 4000))
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the models and events, without a calibration."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def calibrated(folder: Path, **options) -> ak.Array:
    return ft.score(
        folder / "b.flow",
        events(3, 4000),
        against=folder / "s.flow",
        label="is_signal",
        **options,
    )


def test_a_calibrated_ratio_is_a_probability(folder: Path) -> None:
    scores = calibrated(folder, calibrate=events(2))
    figures = ft.reliability(scores)
    assert list(figures) == ["log_ratio", "probability"]
    assert 0.85 < figures["probability"].slope < 1.15
    assert figures["probability"].log_loss < figures["log_ratio"].log_loss
    sign = 2 * scores["label"].to_numpy() - 1
    best = np.logaddexp(0, -true_odds(events(3, 4000)) * sign).mean()
    assert figures["probability"].log_loss < best + 0.03
    assert figures["probability"].slope == pytest.approx(1, abs=0.15)
    # the ratio has the sign of log_ratio and no share of signal
    odds = np.log(scores["probability"] / (1 - scores["probability"]))
    share = np.mean(events(2)["is_signal"])
    assert np.allclose(
        odds, np.log(share / (1 - share)) - scores["calibrated_log_ratio"], atol=1e-6
    )
    areas = ft.separation(scores)
    assert areas["probability"].value > 0.7


def test_later_calls_use_what_is_stored(folder: Path) -> None:
    first = calibrated(folder, calibrate=events(2))
    later = ft.score(folder / "b.flow", events(3, 4000), against=folder / "s.flow")
    assert later.fields == [
        *("log_prob", "bits", "surprise", "log_ratio"),
        *("probability", "calibrated_log_ratio"),
    ]
    assert (later["probability"] == first["probability"]).to_numpy().all()
    assert (folder / "b.flow.calibration.json").is_file()
    alone = ft.score(folder / "b.flow", events(3, 10))
    assert "probability" not in alone.fields  # of another score
    ft.score(folder / "b.flow", events(3), label="is_signal", calibrate=events(2))
    both = ft.score(folder / "b.flow", events(3, 10)), calibrated(folder)
    assert all("probability" in scores.fields for scores in both)
    assert (both[1]["probability"] == first["probability"]).to_numpy().all()
    by_column = calibrated(folder, by_column=True)
    shares = by_column["log_ratio_x"] + by_column["log_ratio_y"]
    assert np.allclose(shares, by_column["log_ratio"])


def test_a_named_file_holds_the_calibration(folder: Path, tmp_path: Path) -> None:
    name = tmp_path / "own.json"
    scores = calibrated(folder, calibrate=events(2), calibration=name)
    assert not (folder / "b.flow.calibration.json").exists()
    assert "probability" not in calibrated(folder).fields
    again = calibrated(folder, calibration=name)
    assert (again["probability"] == scores["probability"]).to_numpy().all()
    with pytest.raises(
        ft.InvalidArgument, match=r"owm\.json: no such file; nearest: own"
    ):
        calibrated(folder, calibration=tmp_path / "owm.json")
    with pytest.raises(
        ft.InvalidArgument, match=r"own\.json: has no calibration of the surprise under"
    ):
        ft.score(folder / "b.flow", events(3), calibration=name)


def test_a_calibration_of_another_model_is_refused(folder: Path) -> None:
    calibrated(folder, calibrate=events(2))
    stored = folder / "b.flow.calibration.json"
    shutil.copy(stored, folder / "other.json")
    shutil.copy(folder / "s.flow", folder / "b.flow")  # trained again
    with pytest.raises(ft.InvalidArgument, match=r"b\.flow\.calibration\.json: calibrates "
                       "another model .* or one since trained again; calibrate with"):  # fmt: skip
        calibrated(folder)
    with pytest.raises(ft.InvalidArgument, match="name another file with `calibration=`"):
        calibrated(folder, calibrate=events(2), calibration=folder / "other.json")
    assert "probability" in calibrated(folder, calibrate=events(2)).fields
    stored.write_text(stored.read_text().replace('"prior": ', '"prior": 1'))
    with pytest.raises(ft.Corrupt, match=r"calibration\.json: is no calibration"):
        calibrated(folder)


def test_events_without_a_label_are_scored(folder: Path) -> None:
    data = {name: events(3, 50)[name] for name in ("x", "y")}
    scores = ft.score(
        folder / "b.flow",
        data,
        against=folder / "s.flow",
        label="is_signal",
        calibrate=events(2),
        classifier=events(2),
    )
    assert "label" not in scores.fields
    assert {"probability", "classifier_probability"} <= set(scores.fields)
    assert len(scores) == 50


def changed(**columns: object) -> dict[str, np.ndarray]:
    data = events(2)
    return data | {name: change(data[name]) for name, change in columns.items()}


def with_first(value: float):
    def change(values: np.ndarray) -> np.ndarray:
        out = values.astype(float)
        out[7] = value
        return out

    return change


@pytest.mark.parametrize("use", ["calibrate", "classifier"])
@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (events(2), {"label": "is_singal"}, "'is_singal'.*; nearest: is_signal"),
        (events(2), {"label": None}, "`{use}=` needs `label=`"),
        (
            events(2),
            {"label": "x"},
            "has learned the label 'x'; train it with `exclude=`",
        ),
        (
            changed(is_signal=np.ones_like),
            {},
            "column 'is_signal': all 1500 labels are 1; .* add events of the other kind",
        ),
        (
            changed(is_signal=with_first(np.nan)),
            {},
            "column 'is_signal': 1 labels are NaN or infinite, the first in row 7; leave",
        ),
        (
            {n: v[:60] for n, v in events(2).items()},
            {},
            r"has \d+ events of signal and \d+ others .*needs 50 of each; add",
        ),
        (
            changed(w=with_first(-1.0)),
            {"weight": "w"},
            "column 'w': 1 weights are negative, the first in row 7; .* `weight=`",
        ),
        (
            changed(w=with_first(np.inf)),
            {"weight": "w"},
            "column 'w': 1 weight is NaN or infinite, the first in event 7",
        ),
        (events(2), {"weight": "ww"}, "column 'ww' for weights.*; nearest: w"),
        (
            {n: v for n, v in events(2).items() if n != "y"},
            {},
            "column 'y' is missing; there are: x",
        ),
    ],
)
def test_wrong_labelled_events_are_refused(
    trained: Path, use: str, data: dict, options: dict, message: str
) -> None:
    arguments = {"label": "is_signal", use: data} | options
    with pytest.raises(
        ft.InvalidArgument, match=message.replace("{use}", use)
    ) as refusal:
        ft.score(
            trained / "b.flow", events(3, 10), against=trained / "s.flow", **arguments
        )
    assert "\n" not in str(refusal.value)
    assert not (trained / "b.flow.calibration.json").exists()


def test_weights_are_those_of_the_labelled_events(folder: Path) -> None:
    data = events(2)
    heavy = data | {"w": np.where(data["is_signal"] == 1, 3.0, 1.0)}
    plain = calibrated(folder, calibrate=data)
    scores = calibrated(folder, calibrate=heavy, weight="w")
    assert (scores["probability"] > plain["probability"]).to_numpy().mean() > 0.9
    assert np.allclose(scores["weight"], events(3, 4000)["w"])


def test_a_classifier_is_like_boosted_trees(folder: Path) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    scores = calibrated(folder, classifier=events(2))
    assert "probability" not in scores.fields
    figures = ft.reliability(scores)["classifier_probability"]

    def rows(data: dict) -> np.ndarray:
        return np.stack([data["x"], data["y"]], axis=1)

    theirs = ensemble.HistGradientBoostingClassifier(random_state=0).fit(
        rows(events(2)), events(2)["is_signal"]
    )
    columns = {
        "probability": theirs.predict_proba(rows(events(3, 4000)))[:, 1],
        "label": scores["label"],
    }
    other = ft.reliability(ak.Array(columns))["probability"]
    assert figures.auc.value > other.auc.value - 0.01
    assert figures.log_loss < other.log_loss + 0.005


def test_a_missing_package_is_named_with_its_command(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = extras.importlib.import_module

    def without(name: str):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(extras.importlib, "import_module", without)
    with pytest.raises(ft.MissingExtra, match=r"pip install 'flowtuple\[compare\]'$"):
        ft.score(
            trained / "b.flow", events(3, 10), label="is_signal", classifier=events(2)
        )


def test_the_surprise_is_log_p_shifted_and_scaled(folder: Path) -> None:
    scores = ft.score(folder / "b.flow", events(3))
    line = np.polyfit(scores["log_prob"], scores["surprise"], 1)
    assert np.allclose(np.polyval(line, scores["log_prob"]), scores["surprise"])
    assert line[0] < 0


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_here("score", *arguments)


def test_the_command_calibrates_and_shows_figures(folder: Path) -> None:
    models = folder / "b.flow", folder / "judge.npz", "--against", folder / "s.flow"
    labelled = "--label", "is_signal", "--calibrate", folder / "labelled.npz"
    more = "--classifier", folder / "labelled.npz", "-o", folder / "scores.npz"
    ended = run(*models, *labelled, *more, "--json")
    assert ended.returncode == 0, ended.stderr
    content = json.loads(ended.stdout)
    assert set(content["reliability"]) == {
        *("log_ratio", "probability", "classifier_probability")
    }
    assert content["calibration"]["file"].endswith("b.flow.calibration.json")
    assert set(content["calibration"]["cross_fitted"]) == {"log_ratio", "probability"}
    assert "shifted and scaled" in content["notes"][0]
    assert 0.5 < content["probability"]["value"] < 1
    ended = run(*models, "--label", "is_signal")  # with what is stored
    assert ended.returncode == 0, ended.stderr
    assert "Slope" in ended.stdout
    assert "surprise: -log p shifted and scaled" in ended.stdout
    assert "calibration: " in ended.stdout
    with np.load(folder / "scores.npz") as scores:
        assert {"probability", "classifier_log_ratio", "label"} <= set(scores)


def test_figures_of_learned_events_are_said_to_flatter(folder: Path) -> None:
    models = folder / "b.flow", folder / "labelled.npz", "--against", folder / "s.flow"
    labelled = "--label", "is_signal", "--calibrate", folder / "labelled.npz"
    ended = run(*models, *labelled)
    assert ended.returncode == 0, ended.stderr
    assert "the figures of them flatter" in ended.stdout
    ended = run(*models, "--label", "is_signal")
    assert "flatter" not in ended.stdout


@pytest.mark.slow
def test_objects_are_calibrated_too(tmp_path: Path) -> None:
    pytest.importorskip("zuko")

    def jets(seed: int, n: int, kinds: tuple[int, ...]) -> dict[str, ak.Array]:
        draw = np.random.default_rng(seed)
        label = draw.choice(kinds, n)
        counts = draw.integers(0, 4, n)
        kind = np.repeat(label, counts)
        columns = {
            "Jet_x": draw.normal(kind, 1.0),
            "Jet_y": np.where(draw.random(len(kind)) < 0.02, np.nan, draw.normal(0, 1.0)),
        }
        return {k: ak.unflatten(v, counts) for k, v in columns.items()} | {"kind": label}

    flow = ft.RowFlow("maf", ft.Shape(hidden=(8,)), ft.Training(epochs=15, batch=128))
    for name, kind in (("b", 0), ("s", 1)):
        columns = {k: v for k, v in jets(kind, 400, (kind,)).items() if k != "kind"}
        like = None if name == "b" else tmp_path / "b.flow"
        ft.train_flow(columns, tmp_path / f"{name}.flow", flow=flow, like=like)
    judge = jets(5, 800, (0, 1))
    options = {"against": tmp_path / "s.flow", "label": "kind"}
    labelled = jets(4, 600, (0, 1))
    scores = ft.score(
        tmp_path / "b.flow", judge, calibrate=labelled, classifier=labelled, **options
    )
    undefined = np.isnan(ak.flatten(judge["Jet_y"]).to_numpy())
    assert (np.isnan(scores["probability"].to_numpy()) == undefined).all()
    figures = ft.reliability(scores)
    assert 0.7 < figures["probability"].slope < 1.4
    assert figures["probability"].auc.value > 0.7
    assert figures["classifier_probability"].auc.value > 0.7
    again = ft.score(tmp_path / "b.flow", judge, **options)
    assert ak.array_equal(again["probability"], scores["probability"], equal_nan=True)


def test_wrong_options_end_with_code_2(folder: Path) -> None:
    models = folder / "b.flow", folder / "judge.npz", "-o", folder / "out.npz"
    labelled = "--calibrate", folder / "labelled.npz"
    for arguments, message in (
        (labelled, "--calibrate needs --label"),
        ((*labelled, "--label", "is_singal"), "nearest: is_signal"),
        (("--report", folder / "page"), "--report needs --label"),
        (("--weight", "w"), "--weight needs --label"),
        (("--calibration", folder / "none.json"), "no such file"),
        ((*labelled, "--label", "is_signal", "--dask", "serial"), "--calibrate does not"),
    ):
        ended = run(*models, *arguments)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
        assert message in ended.stderr
    assert not (folder / "out.npz").exists()


@pytest.mark.slow
def test_a_page_shows_reliability(folder: Path) -> None:
    pytest.importorskip("mplhep")
    models = folder / "b.flow", folder / "judge.npz", "--against", folder / "s.flow"
    labelled = "--label", "is_signal", "--calibrate", folder / "labelled.npz"
    ended = run(*models, *labelled, "--report", folder / "page")
    assert ended.returncode == 0, ended.stderr
    page = (folder / "page" / "score.html").read_text()
    for words in (
        "The calibrated probability is",
        "Scored events",
        "cross-fitted",
        "Slope",
    ):
        assert words in page
    assert page.count("data:image/png") == 2
    content = json.loads((folder / "page" / "score.json").read_text())
    assert len(content["reliability"]["probability"]["bins"]) == 10
