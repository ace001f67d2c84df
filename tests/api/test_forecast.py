"""The forecast of sizes: near to what a file comes to, and from events that training did not see."""

from __future__ import annotations

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.api.measuring import LEAST_EVENTS, forecast
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset


def events(count: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    x = draw.normal(0, 1, count)
    return {"x": x.astype("f4"), "y": (x + draw.normal(0, 0.05, count)).astype("f4")}


@pytest.mark.slow
def test_prediction_is_near_the_file(tmp_path) -> None:
    data = events(16000)
    found = forecast(open_dataset(data), {"*": "abs:1e-3"})[0]
    made = ft.compress(
        data, tmp_path / "a.ftup", tolerance={"*": "abs:1e-3"}, effort="fast"
    )
    assert found.flowtuple == pytest.approx(made.file_bytes, rel=0.05)
    assert found.ratio < 0.9
    assert (found.trained_on, found.judged_on, found.events) == (12000, 4000, 16000)


def test_small_tables_have_no_forecast() -> None:
    assert forecast(open_dataset(events(LEAST_EVENTS - 1)), {}) == []


def test_noise_gains_nothing() -> None:
    data = {"x": np.random.default_rng(1).random(8000).astype("f4")}
    assert forecast(open_dataset(data), {"x": "abs:1e-3"})[0].ratio == pytest.approx(
        1, abs=0.02
    )


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="matches no column"):
        forecast(open_dataset(events(500)), {"z*": "abs:1"})
