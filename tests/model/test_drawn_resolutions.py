"""Events drawn from a model whose values count in a column of resolutions."""

from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.lattice.grid import Steps

TOLERANCE = {"x": "sigma:0.25@s", "y": "sigma:0.5@s"}


def events(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    s = random.choice([0.5, 1.0, 3.0], 1500).astype("float32")
    x = (s * random.normal(0, 3, 1500)).astype("float32")
    return {"x": x, "y": x + s * random.normal(0, 1, 1500), "s": s}


@pytest.mark.slow
def test_drawn_values_are_on_the_grid_of_their_own_row(tmp_path: Path) -> None:
    model = tmp_path / "m.flow"
    ft.train(events(1), model, tolerance=TOLERANCE, effort="fast")
    drawn = ft.sample(model, 800, seed=2)
    s = drawn["s"].to_numpy()
    assert set(np.unique(s)) == {0.5, 1, 3}
    for name, factor in (("x", 0.25), ("y", 0.5)):
        step = Steps("float64", factor).step(s)
        values = drawn[name].to_numpy()
        edges = np.isin(values, [values.min(), values.max()])  # those of the range
        assert ((values / step == np.rint(values / step)) | edges).all()
        assert not (values[s == 0.5] % 1 == 0).all()  # finer than the grid of s = 3
    snapped = ft.snap(drawn, TOLERANCE)
    assert all((snapped[n] == drawn[n]).to_numpy().all() for n in drawn.fields)
    assert np.isfinite(ft.score(model, drawn).bits.to_numpy()).all()
    assert np.isfinite(ft.score(model, events(3)).bits.to_numpy()).all()
