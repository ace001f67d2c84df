"""Laws of single flows over rows: NICE, Glow, MADE; their files, seeds and options."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")
special = pytest.importorskip("scipy.special")

import flowtuple as ft  # noqa: E402
from flowtuple import cli  # noqa: E402
from flowtuple.errors import Corrupt, InvalidArgument  # noqa: E402
from flowtuple.flows.glow import Mixing  # noqa: E402
from flowtuple.flows.made import GaussianMixture, lower_quantile, mixture_of  # noqa: E402
from flowtuple.flows.options import RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.registry import build  # noqa: E402
from flowtuple.flows.stored import load_model, save_model  # noqa: E402

NEW = ["nice", "glow", "made"]
SMALL = Shape(transforms=2, hidden=(16, 16), components=5)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("features", [1, 4])
def test_nice_preserves_volume_up_to_scales_of_columns(features: int) -> None:
    flow = build("nice", features, SMALL, seed=1, context=2).double()
    x, given = normal(50, features), normal(1, 2, seed=1).expand(50, 2)
    with torch.no_grad():
        _, ladj = flow(x, given)
        _, other = flow(x, given + 1)
    assert torch.allclose(ladj, ladj[:1].expand_as(ladj), atol=1e-12)
    assert float(abs(ladj - other).max()) > 1e-3


def test_nice_moves_every_column_in_two_steps() -> None:
    flow = build("nice", 5, SMALL, seed=0)
    masks = torch.stack([step.mask for step in flow.flow.transform.transforms])
    assert torch.equal(masks.sum(dim=0), torch.ones(5, dtype=torch.int64))


def test_a_mixing_is_a_linear_map_that_begins_as_a_rotation() -> None:
    torch.manual_seed(3)
    mixing = Mixing(6).double()
    with torch.no_grad():
        matrix = mixing(torch.eye(6, dtype=torch.float64))[0]
        assert torch.allclose(matrix @ matrix.mT, torch.eye(6).double(), atol=1e-6)
        for weights in mixing.parameters():
            weights.add_(0.3 * normal(*weights.shape, seed=len(weights)))
        x = normal(40, 6, seed=2)
        y, ladj = mixing(x)
        moved = mixing(torch.eye(6, dtype=torch.float64))[0] - mixing.shift
        assert torch.allclose(y, x @ moved + mixing.shift, atol=1e-12)
        assert torch.allclose(ladj.sum(dim=1), torch.linalg.slogdet(moved)[1])
        assert torch.allclose(ladj, ladj.mean(dim=1, keepdim=True))
        assert torch.allclose(mixing.inverse(y), x, atol=1e-11)


def test_glow_mixes_all_columns_in_one_step() -> None:
    flow = build("glow", 4, Shape(transforms=1, hidden=(8,)), seed=0).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda row: flow(row[None])[0][0], normal(4)
    )
    assert float(abs(jacobian).min()) > 1e-3


class TestMixtures:
    def test_density_and_quantiles_by_scipy(self) -> None:
        logits, means, log_scales = (normal(3, 2, 4, seed=k) for k in range(3))
        mixture = mixture_of(logits, means, log_scales)
        x = 2 * normal(3, 2, seed=5)
        weights, scales = (
            mixture.log_weights.exp().numpy(),
            mixture.log_scales.exp().numpy(),
        )
        assert np.allclose(weights.sum(axis=-1), 1)
        t = ((x[..., None] - mixture.means) / mixture.log_scales.exp()).numpy()
        normal_density = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
        density = (weights * normal_density / scales).sum(axis=-1)
        below = (weights * special.ndtr(t)).sum(axis=-1)
        z, ladj = (result.numpy() for result in mixture.call_and_ladj(x))
        assert np.allclose(mixture.log_density(x).numpy(), np.log(density), rtol=1e-12)
        assert np.allclose(z, special.ndtri(below), rtol=1e-9)
        slope = np.exp(ladj - 0.5 * z**2) / np.sqrt(2 * np.pi)
        assert np.allclose(slope, density, rtol=1e-12)

    @pytest.mark.parametrize("log_p", [-0.7, -3.0, -79.0, -81.0, -690.0, -1e4, -1e8])
    def test_the_quantile_of_a_logarithm(self, log_p: float) -> None:
        p = torch.tensor(log_p, dtype=torch.float64, requires_grad=True)
        z = lower_quantile(p)
        assert float(special.log_ndtr(z.item())) == pytest.approx(log_p, rel=1e-12)
        (slope,) = torch.autograd.grad(z, p)
        step = 1e-6 * abs(log_p)
        ends = [lower_quantile(p.detach() + sign * step) for sign in (1, -1)]
        expected = float(ends[0] - ends[1]) / (2 * step)
        assert float(slope) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_both_tails_are_finite_and_those_of_a_single_gaussian(self, dtype) -> None:
        one = torch.zeros(1, dtype=dtype)
        mixture = GaussianMixture(one, one, one + np.log(0.1))
        x = torch.tensor([-1e4, -50.0, -1.0, 0.0, 1.0, 50.0, 1e4], dtype=dtype)
        z, ladj = mixture.call_and_ladj(x)
        assert torch.allclose(z, 10 * x, rtol=1e-5)
        assert torch.allclose(z, -z.flip(0))
        assert torch.isfinite(ladj).all()

    @pytest.mark.parametrize("spread", [1.0, 3.0, 6.0])
    def test_an_inverse_in_gaps_and_in_tails(self, spread: float) -> None:
        """Components are up to 1e-3 narrow, so that most values lie in gaps."""
        mixture = mixture_of(*(spread * normal(500, 1, 8, seed=k) for k in range(3)))
        for width in (1.0, 5.0, 50.0):
            x = width * normal(500, 1, seed=7)
            assert float(abs(mixture.inv(mixture(x)) - x).max()) < 1e-4
        z = normal(500, 1, seed=8)
        assert float(abs(mixture(mixture.inv(z)) - z).max()) < 1e-9

    def test_one_component_is_nearly_an_affine_map(self) -> None:
        flow = build("made", 2, Shape(hidden=(8,), components=1), seed=0).double()
        with torch.no_grad():
            x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
            z = flow(x)[0][:, 0]
        assert float(z[2] - z[1]) == pytest.approx(float(z[1] - z[0]), rel=1e-3)

    def test_the_loss_is_that_of_the_latent_numbers(self) -> None:
        flow, x = build("made", 3, SMALL, seed=0).double(), normal(30, 3)
        direct = flow.loss(x, torch.Generator())
        z, ladj = flow(x)
        usual = (0.5 * z.square() + 0.5 * np.log(2 * np.pi) - ladj).sum(dim=1)
        assert torch.allclose(direct, usual)

    @pytest.mark.parametrize("permute", [False, True])
    def test_each_column_reads_those_before_it(self, permute: bool) -> None:
        shape = Shape(hidden=(16,), components=3, permute=permute)
        flow = build("made", 5, shape, seed=2).double()
        order = flow.network.order
        assert torch.equal(order, torch.arange(5)) is not permute
        jacobian = torch.autograd.functional.jacobian(
            lambda row: flow(row[None])[0][0], normal(5)
        )
        reads = order[:, None] >= order
        assert torch.equal(jacobian != 0, reads)


def jets(n: int = 600) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    given = draw.exponential(30, n) + 20
    side = draw.choice([-1.0, 1.0], n)
    return {
        "pt": (given * (1 + 0.1 * draw.normal(0, 1, n))).astype("f4"),
        "side": (side + 0.2 * draw.normal(0, 1, n)).astype("f4"),
        "given": given.astype("f4"),
    }


def described(path: Path) -> dict:
    from safetensors import safe_open

    with safe_open(path, "np") as stored:
        return json.loads(stored.metadata()["flowtuple rows"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEW)
def test_a_model_is_stored_and_read_again(kind: str, tmp_path: Path) -> None:
    flow = RowFlow(kind, SMALL, Training(epochs=1, batch=128, learning_rate=1e-2))
    ft.train_flow(jets(), tmp_path / "a.flow", given=("given",), flow=flow)
    ft.train_flow(jets(), tmp_path / "b.flow", given=("given",), flow=flow)
    data = (tmp_path / "a.flow").read_bytes()
    assert data == (tmp_path / "b.flow").read_bytes()
    ft.train_flow(jets(), tmp_path / "b.flow", given=("given",), flow=flow, seed=1)
    assert data != (tmp_path / "b.flow").read_bytes()
    model = load_model(tmp_path / "a.flow")
    assert model.kind == kind
    save_model(model, tmp_path / "c.flow")
    assert data == (tmp_path / "c.flow").read_bytes()
    drawn = ft.sample(tmp_path / "a.flow", given=jets(50), seed=3)
    assert np.isfinite(np.asarray(drawn["pt"])).all()
    assert (
        drawn.tolist() == ft.sample(tmp_path / "c.flow", given=jets(50), seed=3).tolist()
    )
    latent = ft.load(tmp_path / "a.flow").to_latent(jets(200))
    back = ft.load(tmp_path / "a.flow").from_latent(latent)
    for name in ("pt", "side"):
        assert np.allclose(back[name], jets(200)[name], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_only_files_of_new_kinds_have_a_new_version(tmp_path: Path) -> None:
    for kind, version in (("maf", 2), ("made", 3)):
        path = tmp_path / f"{kind}.flow"
        ft.train_flow(jets(), path, flow=RowFlow(kind, SMALL, Training(epochs=1)))
        content = described(path)
        assert content["version"] == version
        assert ("components" in content["shape"]) == (kind == "made")
    assert load_model(tmp_path / "made.flow").shape.components == 5


@pytest.mark.slow
def test_a_description_of_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "m.flow"
    ft.train_flow(jets(), path, flow=RowFlow("made", SMALL, Training(epochs=1)))
    content, tensors = described(path), load_file(path)
    content["shape"] |= {"hidden": [4096], "components": 256}
    save_file(tensors, path, {"flowtuple rows": json.dumps(content)})
    with pytest.raises(Corrupt, match="a flow larger than the file"):
        load_model(path)
    many = {"columns": [f"x{k}" for k in range(5000)], "dtypes": ["f4"] * 5000}
    many |= {"kind": "glow", "chains": [content["chains"][0]] * 5000}
    save_file(tensors, path, {"flowtuple rows": json.dumps(content | many)})
    with pytest.raises(Corrupt, match="a flow larger than the file"):
        load_model(path)


def test_components_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", **jets())
    words = ["train-flow", str(tmp_path / "a.npz"), "-o", str(tmp_path / "m.flow")]
    words += ["--flow", "made", "--components", "3", "--epochs", "1", "--hidden", "8"]
    monkeypatch.setattr(sys, "argv", ["flowtuple", *words])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert load_model(tmp_path / "m.flow").shape == Shape(hidden=(8,), components=3)
    with pytest.raises(
        InvalidArgument, match="components 0 is out of range; the most is 256"
    ):
        Shape(components=0)
