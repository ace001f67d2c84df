"""Published flows over rows: their columns, the exactness of their preprocessing, their size, and
one trained small.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.cli.app import app
from flowtuple.errors import InvalidArgument
from flowtuple.flows.presets import FLOW_PRESETS
from flowtuple.transforms import Chain

CHAINS = [
    (name, column) for name, preset in FLOW_PRESETS.items() for column in preset.targets
]


def made_up(recipe: str, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Values of the kind that a chain is for, and which of them have to come back exactly."""
    draw = np.random.default_rng(len(recipe))
    if "smear" in recipe or "dequantise" in recipe:
        return draw.integers(0, 7, n).astype(np.float64), np.ones(n, bool)
    if "peak" in recipe:
        peak = -1.0 if "peak:-0.01" in recipe else 0.0
        values = np.where(draw.random(n) < 0.3, peak, 0.05 + draw.random(n))
        return values, values == peak
    return (0.01 + draw.exponential(0.1, n)).clip(0, 0.9), np.zeros(n, bool)


@pytest.mark.parametrize(("name", "column"), CHAINS)
def test_every_chain_comes_back(name: str, column: str) -> None:
    recipe = FLOW_PRESETS[name].targets[column]
    x, exact = made_up(recipe)
    chain = Chain.fit(recipe, x)
    for u in (0.0, 0.5, np.random.default_rng(1).random(len(x)), 1.0):
        y = chain.forward(x, u)
        back = chain.inverse(y)
        assert np.array_equal(back[exact], x[exact])
        assert np.allclose(back, x, rtol=1e-9, atol=1e-12)
        assert np.abs(y.mean()) < 6
    assert Chain.from_config(chain.config()) == chain


def test_columns_and_sizes_are_those_published() -> None:
    jets, muons = ft.flow_preset("flashsim-jets"), ft.flow_preset("flashsim-muons")
    assert (len(jets.columns), len(jets.given)) == (17, 14)
    assert (len(muons.columns), len(muons.given)) == (22, 30)
    assert [
        (p.flow.kind, p.shape.hidden, p.shape.blocks, p.shape.bins) for p in (jets, muons)
    ] == [
        ("flashsim", (298,), 10, 128),
        ("flashsim", (256,), 10, 128),
    ]
    for preset, epochs, rate in ((jets, 600, 1e-5), (muons, 1000, 1e-4)):
        assert (preset.shape.activation, preset.shape.normalisation) == ("relu", "batch")
        training = preset.training
        assert (training.epochs, training.batch, training.learning_rate) == (
            epochs,
            2048,
            rate,
        )
        assert (training.schedule, training.clip, training.weight_decay) == (
            "cosine",
            0,
            0,
        )
    assert ft.preset("flashsim-jets").columns == jets.columns
    with pytest.raises(
        InvalidArgument,
        match="no preset of a flow 'flashsim-jet'; nearest: flashsim-jets",
    ):
        ft.flow_preset("flashsim-jet")


def test_the_flow_of_jets_has_more_than_fifty_million_weights() -> None:
    torch = pytest.importorskip("torch")
    zoo = pytest.importorskip("flowtuple.flows.registry")
    jets = ft.flow_preset("flashsim-jets")
    with torch.device("meta"):
        flow = zoo.build(
            jets.flow.kind, len(jets.columns), jets.shape, seed=0, context=len(jets.given)
        )
    assert len(flow.steps) == 17
    assert sum(weights.numel() for weights in flow.parameters()) > 50_000_000


def jets(n: int) -> dict[str, np.ndarray]:
    """Rows with the columns of the preset, without any physics."""
    draw = np.random.default_rng(0)
    preset = ft.flow_preset("flashsim-jets")
    columns = {
        column: made_up(recipe, n)[0][draw.permutation(n)].astype("f4")
        for column, recipe in preset.targets.items()
    }
    whole = [
        c
        for c, recipe in preset.targets.items()
        if "smear" in recipe or "dequantise" in recipe
    ]
    columns |= {column: columns[column].astype("i4") for column in whole}
    return columns | {
        column: (0.1 + draw.exponential(1, n)).astype("f4") for column in preset.given
    }


def test_options_that_are_named_go_before_those_of_a_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are what goes without saying otherwise."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        "flowtuple.api.train_flow",
        lambda *args, **options: seen.update(flow=args[2]) or (),
    )
    usual = ft.Training()
    words = [
        "--epochs",
        str(usual.epochs),
        "--hidden",
        "64,64",
        "--preset",
        "flashsim-jets",
    ]
    (tmp_path / "m.flow").touch()
    np.savez(tmp_path / "x.npz", **jets(30))
    source, model = str(tmp_path / "x.npz"), str(tmp_path / "m.flow")
    ended = CliRunner().invoke(app, ["train-flow", source, "-o", model, *words])
    assert ended.exit_code == 0
    preset = ft.flow_preset("flashsim-jets").flow
    assert (seen["flow"].training.epochs, seen["flow"].shape.hidden) == (
        usual.epochs,
        (64, 64),
    )
    assert (seen["flow"].training.schedule, seen["flow"].shape.bins) == (
        preset.training.schedule,
        preset.shape.bins,
    )


def test_a_preset_is_all_that_a_training_has_to_be_told(tmp_path: Path) -> None:
    pytest.importorskip("zuko")
    np.savez(tmp_path / "jets.npz", **jets(600))
    small = [
        "--steps",
        "2",
        "--hidden",
        "8",
        "--blocks",
        "1",
        "--bins",
        "4",
        "--epochs",
        "2",
        "--learning-rate",
        "1e-3",
    ]
    asked = [
        "train-flow",
        str(tmp_path / "jets.npz"),
        "-o",
        str(tmp_path / "m.flow"),
        "--preset",
        "flashsim-jets",
        *small,
    ]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    drawn = ft.sample(tmp_path / "m.flow", given=tmp_path / "jets.npz", seed=1)
    preset = ft.flow_preset("flashsim-jets")
    assert drawn.fields == [*preset.columns, *preset.given]
    assert str(drawn["Jet_jetId"].type.content) == "int32"
    assert (
        0
        <= float(np.min(drawn["Jet_ptRatio"]))
        <= float(np.max(drawn["Jet_ptRatio"]))
        <= 3
    )
    assert (np.asarray(drawn["Jet_qgl"]) == -1).any()
    from flowtuple.flows.stored import load_model

    model = load_model(tmp_path / "m.flow")
    assert (model.kind, model.shape.hidden, model.about["training"]["batch"]) == (
        "flashsim",
        (8,),
        2048,
    )
