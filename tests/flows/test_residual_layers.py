"""Activations and normalisations of the FlashSim flow, in training, in files and by rows alone."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft  # noqa: E402
from flowtuple.errors import InvalidArgument  # noqa: E402
from flowtuple.flows import options  # noqa: E402
from flowtuple.flows.blocks import SampledRows  # noqa: E402
from flowtuple.flows.layers import ACTIVATIONS, NORMALISATIONS, BatchNorm  # noqa: E402
from flowtuple.flows.model import ContextColumns  # noqa: E402
from flowtuple.flows.registry import build  # noqa: E402
from flowtuple.flows.stored import load_model, read_tensors  # noqa: E402
from flowtuple.transforms import Chain, OneHot  # noqa: E402

LAYERS = [
    *(("relu", name) for name in NORMALISATIONS),
    *((a, "batch") for a in ACTIVATIONS),
]


def shape(activation: str, normalisation: str) -> ft.Shape:
    return ft.Shape(
        2, (8,), 4, blocks=1, activation=activation, normalisation=normalisation
    )


def events(n: int = 400) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=n)
    return {"x": x, "y": x + 0.3 * draw.normal(size=n), "g": np.sign(x)}


def train(path: Path, layers: ft.Shape, epochs: int = 3) -> Path:
    training = ft.Training(epochs=epochs, batch=128, learning_rate=1e-2)
    steps = {"*": "divide:1"}  # so that losses are those of the columns
    flow = ft.RowFlow("flashsim", layers, training, steps, device="cpu")
    ft.train_flow(events(), path, flow, given=("g",))
    return path


def test_names_are_those_that_exist() -> None:
    assert tuple(ACTIVATIONS) == options.ACTIVATIONS
    assert tuple(NORMALISATIONS) == options.NORMALISATIONS
    with pytest.raises(InvalidArgument, match="no activation 'rely'; nearest: relu"):
        ft.Shape(activation="rely")
    with pytest.raises(InvalidArgument, match="no normalisation 'bach'; nearest: batch"):
        ft.Shape(normalisation="bach")


@pytest.mark.parametrize(("activation", "normalisation"), LAYERS)
def test_a_trained_flow_inverts_itself_and_takes_rows_alone(
    activation: str, normalisation: str
) -> None:
    flow = build("flashsim", 3, shape(activation, normalisation), seed=1, context=2)
    draw = torch.Generator().manual_seed(1)
    x, context = (torch.randn((64, n), generator=draw) for n in (3, 2))
    optimiser = torch.optim.Adam(flow.parameters(), lr=0.02)
    for _ in range(5):
        flow.train()
        optimiser.zero_grad()
        flow.loss(x, draw, context).mean().backward()
        optimiser.step()
    flow.double().eval()
    x, context = x.double(), context.double()
    z, ladj = flow(x, context)
    assert torch.allclose(flow.inverse(z, context), x, atol=1e-8)
    one, share = flow(x[:1], context[:1])
    assert torch.allclose(one, z[:1], atol=1e-12)
    assert torch.allclose(share, ladj[:1], atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(
        lambda row: flow(row[None], context[:1])[0][0], x[0]
    )
    assert torch.allclose(torch.slogdet(jacobian)[1], ladj[0].sum(), atol=1e-8)


def test_running_means_are_those_of_the_formula() -> None:
    layer, draw = BatchNorm(2), np.random.default_rng(1)
    mean, variance = np.zeros(2), np.ones(2)
    for _ in range(4):
        h = draw.normal(3, 2, (10, 2))
        out = layer(torch.tensor(h, dtype=torch.float32)).detach().numpy()
        assert np.allclose(out, (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-3), atol=1e-5)
        mean, variance = (
            0.9 * mean + 0.1 * h.mean(0),
            0.9 * variance + 0.1 * h.var(0, ddof=1),
        )
    assert np.allclose(layer.running_mean, mean, rtol=1e-5)
    assert np.allclose(layer.running_var, variance, rtol=1e-5)
    single = torch.tensor([[1.0, 2.0]])
    in_training = layer(single)
    assert torch.equal(in_training, layer.eval()(single))
    expected = (single.numpy() - mean) / np.sqrt(variance + 1e-3)
    assert np.allclose(in_training.detach().numpy(), expected, rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("layers") / "m.flow"
    return train(path, shape("gelu", "batch"))


@pytest.mark.slow
def test_a_file_brings_the_layers_back(trained: Path) -> None:
    model = load_model(trained)
    assert (model.shape.activation, model.shape.normalisation) == ("gelu", "batch")
    assert not model.flow.training
    tensors, texts = read_tensors(trained.read_bytes())
    assert json.loads(texts["flowtuple rows"])["version"] == 3
    assert any(name.endswith("running_mean") for name in tensors)
    rows = events(50)
    values, given = np.stack([rows["x"], rows["y"]], axis=1), rows["g"][:, None]
    whole = model.bits(values, given)
    assert model.bits(values[:1], given[:1]) == pytest.approx(whole[:1], abs=1e-9)


def test_files_of_the_usual_layers_stay_as_they_were(tmp_path: Path) -> None:
    path = train(tmp_path / "m.flow", shape("relu", "layer"), epochs=1)
    tensors, texts = read_tensors(path.read_bytes())
    content = json.loads(texts["flowtuple rows"])
    assert content["version"] == 2
    assert set(content["shape"]) == {
        "transforms",
        "hidden",
        "bins",
        "steps",
        "blocks",
        "permute",
    }
    assert not [name for name in tensors if "running" in name]
    assert load_model(path).shape == shape("relu", "layer")


@pytest.mark.slow
def test_the_stored_running_means_are_those_of_the_best_epoch(trained: Path) -> None:
    """The validation loss of the history is that of the stored model."""
    model, rows = load_model(trained), events()
    values = np.stack([rows["x"], rows["y"]], axis=1)
    ones = np.ones(len(values))
    sample = SampledRows(lambda k, u: u, values.shape, np.arange(len(values)), ones)
    held_out = sample.validation(0.1, seed=0)
    bits = model.bits(values[held_out], rows["g"][held_out, None]).sum(axis=1)
    best = min(loss for _, _, loss in model.about["history"])
    assert np.log(2) * bits.mean() == pytest.approx(best, rel=1e-4)


@pytest.mark.slow
def test_one_hot_conditions(tmp_path: Path) -> None:
    rows = events(600) | {"kind": np.resize([-5, 0, 21], 600)}
    rows["x"] = rows["x"] + rows["kind"]
    training = ft.Training(epochs=25, batch=128, learning_rate=1e-2)
    flow = ft.RowFlow(
        "maf", ft.Shape(1, (16,)), training, {"kind": "one-hot"}, device="cpu"
    )
    path = tmp_path / "m.flow"
    some = ft.Selection(columns=("x", "y"))
    ft.train_flow(rows, path, flow, selection=some, given=("kind", "g"))
    model = load_model(path)
    assert model.context.width == 4
    values = np.array([[21.0, 1.0], [7.0, 1.0]])
    assert model.context.forward(values)[:, :3].tolist() == [[0, 0, 1], [0, 0, 0]]
    drawn = ft.sample(path, given={"kind": np.repeat([-5, 21], 200), "g": np.ones(400)})
    x = np.asarray(drawn["x"])
    assert np.median(x[:200]) < 0
    assert np.median(x[200:]) > 15
    assert (
        json.loads(read_tensors(path.read_bytes())[1]["flowtuple rows"])["version"] == 3
    )


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"x": "one-hot"}, "column 'x': one-hot is for conditions, which `given=` names"),
        ({"g": "standard,one-hot"}, "column 'g': one-hot is for conditions"),
        (
            {"z": "one-hot"},
            "column 'z': 400 values are too many for one-hot; the most are 64",
        ),
    ],
)
def test_bad_one_hot(tmp_path: Path, steps: dict[str, str], message: str) -> None:
    rows = events() | {"z": np.arange(400.0)}
    flow = ft.RowFlow("maf", transforms=steps)
    with pytest.raises(InvalidArgument, match=message):
        ft.train_flow(
            rows,
            tmp_path / "m.flow",
            flow,
            selection=ft.Selection(columns=("x", "y")),
            given=("g", "z"),
        )


def test_no_rows_have_conditions_of_the_same_width() -> None:
    given = ContextColumns(
        ("kind", "x"), ("int32", "float32"), (OneHot((1.0, 21.0)), Chain())
    )
    assert given.width == 3
    assert given.forward(np.zeros((0, 2))).shape == (0, 3)
    rows = given.forward(np.array([[21.0, 0.5], [1.0, -2.0]]))
    assert rows.tolist() == [[0.0, 1.0, 0.5], [1.0, 0.0, -2.0]]
