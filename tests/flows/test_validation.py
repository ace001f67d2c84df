"""What is said of rows that a flow draws: right numbers for shapes, for conditioning and for rows
far out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")
stats = pytest.importorskip("scipy.stats")

import flowtuple as ft  # noqa: E402
from flowtuple.data.schema import Array  # noqa: E402
from flowtuple.flows.bijection import Bijection  # noqa: E402
from flowtuple.flows.options import RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.registry import build  # noqa: E402
from flowtuple.flows.stored import load_model  # noqa: E402
from flowtuple.flows.validation import Validation, quantiles, wasserstein  # noqa: E402
from flowtuple.reporting.training_page import loss_png  # noqa: E402

# the numbers here come from functions in its place
FLOW = build("maf", 2, Shape(1, (4,), 4), 0)


def gives(rows: Array) -> Callable[[Bijection], Array]:
    return lambda flow: rows


def test_wasserstein_is_scipys() -> None:
    draw = np.random.default_rng(0)
    x, y, u, v = (
        draw.normal(size=300),
        draw.normal(0.3, 2, 200),
        draw.random(300),
        draw.random(200),
    )
    assert wasserstein(x, y, u, v) == pytest.approx(
        stats.wasserstein_distance(x, y, u, v)
    )
    assert wasserstein(x, x[::-1], u, u[::-1]) == pytest.approx(0, abs=1e-12)


def test_a_negative_weight_takes_a_row_away() -> None:
    draw = np.random.default_rng(0)
    x, extra, y = draw.normal(size=300), draw.normal(size=50), draw.normal(size=200)
    both, weight = (
        np.concatenate([x, extra, extra]),
        np.repeat([1.0, 0.7, -0.7], [300, 50, 50]),
    )
    assert wasserstein(both, y, weight, np.ones(200)) == pytest.approx(
        wasserstein(x, y, np.ones(300), np.ones(200))
    )


def test_quantiles() -> None:
    x = np.random.default_rng(0).permutation(1001).astype(float)
    assert quantiles(x, np.ones(1001)).tolist() == [160.0, 500.0, 840.0]
    assert quantiles(x, np.where(x < 500, 0.0, 1.0))[1] == 750
    assert quantiles(np.array([1.0, 2.0, 3.0]), np.array([1.0, -0.5, 1.0])).tolist() == [
        1.0,
        1.0,
        3.0,
    ]


def test_shapes() -> None:
    draw = np.random.default_rng(0)
    true, drawn = draw.normal(0, [1, 10], (4000, 2)), draw.normal(0, [1, 10], (4000, 2))
    found = Validation(("a", "b"), true, np.ones(4000), gives(drawn))(FLOW)
    assert list(found) == ["wasserstein/a", "wasserstein/b"]
    assert max(found.values()) < 0.06
    moved = Validation(("a", "b"), true, np.ones(4000), gives(drawn + np.array([0, 5])))(
        FLOW
    )
    assert moved["wasserstein/a"] == found["wasserstein/a"]
    # in units of the column's own width
    assert moved["wasserstein/b"] == pytest.approx(0.5, abs=0.06)


def test_conditioning_is_seen_where_shapes_are_right() -> None:
    draw = np.random.default_rng(0)
    context = draw.normal(size=(4000, 3))
    true, good = (
        context[:, :1] + (1 + (context[:, 1:2] > 0)) * draw.normal(size=(4000, 1))
        for _ in range(2)
    )
    shuffled = draw.permutation(good)
    right, wrong = (
        Validation(("y",), true, np.ones(4000), gives(y), context)(FLOW)
        for y in (good, shuffled)
    )
    assert list(right) == ["wasserstein/y", "median/y", "width/y"]
    assert wrong["wasserstein/y"] < 0.06 > right["wasserstein/y"]
    assert right["median/y"] < 0.15
    assert wrong["median/y"] > 0.4
    assert right["width/y"] < 0.12
    assert wrong["width/y"] > 0.2


def test_a_condition_of_one_value_and_of_few() -> None:
    draw = np.random.default_rng(0)
    context = np.stack([np.zeros(500), draw.integers(0, 2, 500)], axis=1)
    y = draw.normal(size=(500, 1))
    found = Validation(("y",), y, np.ones(500), gives(y), context)(FLOW)
    assert set(found.values()) == {0.0}
    assert (
        Validation(("y",), y, np.ones(500), gives(y + context[:, 1:]), context)(FLOW)[
            "median/y"
        ]
        > 0.5
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_rows_far_out_are_far_and_no_error(bad: float) -> None:
    true = np.random.default_rng(0).normal(size=(1000, 1))
    drawn = true.copy()
    drawn[:100] = bad
    found = Validation(("y",), true, np.ones(1000), gives(drawn))(FLOW)
    # a tenth of the rows, a hundred standard deviations away
    assert 9 < found["wasserstein/y"] < 12
    constant = Validation(("y",), np.ones((1000, 1)), np.ones(1000), gives(drawn))(FLOW)
    assert np.isfinite(constant["wasserstein/y"])


@pytest.mark.slow
def test_a_training_is_watched_and_its_page_shows_it(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data, path = (
        {"x": draw.normal(3, 2, 2000).astype("f4"), "k": draw.integers(0, 3, 2000)},
        tmp_path / "m.flow",
    )
    options = Training(epochs=23, batch=256, learning_rate=5e-3)
    ft.train_flow(data, path, flow=RowFlow("nsf", Shape(1, (16,), 6), options))
    ft.report(data, path, tmp_path)
    watched = load_model(path).about["watched"]
    # ten times or a few more
    assert [epoch for epoch, _ in watched] == list(range(2, 23, 2))
    assert all(set(found) == {"wasserstein/x", "wasserstein/k"} for _, found in watched)
    assert max(watched[-1][1].values()) < 0.3  # 0.11 +- 0.03, 13 models
    page = (tmp_path / "train.html").read_text()
    assert "Wasserstein" in page
    assert "Distances between rows drawn after epoch 22 and rows held out" in page
    assert f"{watched[-1][1]['wasserstein/x']:.3g}"[:5] in page


def test_the_curve_has_room_for_distances() -> None:
    history = [[1e-3, 2.0, 2.1], [1e-3, 1.0, 1.1]]
    without, beside = (
        loss_png(history),
        loss_png(history, [(2, {"median/a": 0.1, "median/b": 0.2, "width/a": 0.3})]),
    )
    assert without[:8] == beside[:8] == b"\x89PNG\r\n\x1a\n"
    height = [int.from_bytes(png[20:24], "big") for png in (without, beside)]
    assert height[1] > height[0]
