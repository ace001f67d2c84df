"""Laws of every flow over rows, by name; preprocessing, training, files and tables around them."""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")
multivariate_normal = pytest.importorskip("scipy.stats").multivariate_normal

import flowtuple as ft  # noqa: E402
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Unsupported  # noqa: E402
from flowtuple.flows.bijection import Bijection  # noqa: E402
from flowtuple.flows.model import RowModel  # noqa: E402
from flowtuple.flows.options import KINDS, SCHEDULES, RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.registry import FLOWS, build  # noqa: E402
from flowtuple.flows.rng import normal_rows  # noqa: E402
from flowtuple.flows.schedule import SCHEDULES as MADE_SCHEDULES  # noqa: E402
from flowtuple.flows.stored import load_model, save_model  # noqa: E402
from flowtuple.transforms import Chain  # noqa: E402

SMALL = Shape(transforms=2, hidden=(16, 16), bins=6, steps=16)


def shaken(
    kind: str, features: int, dtype: torch.dtype = torch.float64, context: int = 0
) -> Bijection:
    """A flow whose weights are far from where they start, so that no law holds by accident."""
    flow = build(kind, features, SMALL, seed=3, context=context).to(dtype)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in flow.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=draw, dtype=dtype))
    return flow


def rows(n: int, features: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 1.2 * torch.randn(
        (n, features), generator=torch.Generator().manual_seed(2), dtype=dtype
    )


def conditions(
    n: int, context: int, dtype: torch.dtype = torch.float64
) -> torch.Tensor | None:
    return (
        torch.randn((n, context), generator=torch.Generator().manual_seed(4), dtype=dtype)
        if context
        else None
    )


def part_of(context: torch.Tensor | None, part: slice) -> torch.Tensor | None:
    return None if context is None else context[part]


def test_the_names_are_those_that_exist() -> None:
    assert tuple(FLOWS) == KINDS
    assert tuple(MADE_SCHEDULES) == SCHEDULES


@pytest.mark.slow
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("features", [1, 2, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_inverse(kind: str, features: int, context: int) -> None:
    flow, x, given = (
        shaken(kind, features, context=context),
        rows(200, features),
        conditions(200, context),
    )
    with torch.no_grad():
        z, _ = flow(x, given)
        assert float((flow.inverse(z, given) - x).abs().max()) < (
            1e-3 if kind == "flow-matching" else 1e-6
        )
        assert float((z - x).abs().max()) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("features", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_log_det_against_autograd(kind: str, features: int, context: int) -> None:
    flow, x, given = (
        shaken(kind, features, context=context),
        rows(20, features),
        conditions(20, context),
    )
    _, ladj = flow(x, given)
    for k in range(len(x)):
        known = part_of(given, slice(k, k + 1))
        jacobian = torch.autograd.functional.jacobian(
            lambda row, known=known: flow(row[None], known)[0][0], x[k]
        )
        truth = float(torch.linalg.slogdet(jacobian)[1])
        assert float(ladj[k].detach().sum()) == pytest.approx(
            truth, abs=2e-3 if kind == "flow-matching" else 1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize(("features", "context"), [(1, 0), (1, 1), (2, 0), (2, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_density_integrates_to_one(kind: str, features: int, context: int) -> None:
    flow = shaken(kind, features, context=context)
    axis = torch.linspace(-9, 9, 4001 if features == 1 else 121, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * features).reshape(-1, features)
    given = torch.full((len(grid), 1), 0.7, dtype=torch.float64) if context else None
    with torch.no_grad():
        z, ladj = flow(grid, given)
    density = torch.exp((ladj - 0.5 * z.square() - 0.5 * np.log(2 * np.pi)).sum(dim=1))
    cell = float(axis[1] - axis[0]) ** features
    assert float(density.sum()) * cell == pytest.approx(1, abs=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_conditions_matter(kind: str) -> None:
    flow, x, given = shaken(kind, 3, context=2), rows(50, 3), conditions(50, 2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        assert float((flow(x, given)[0] - flow(x, given + 1)[0]).abs().max()) > 1e-3
        assert flow.loss(x, generator, given).shape == (50,)


@pytest.mark.parametrize("kind", ["maf", "nsf"])
def test_orders_of_columns_turn_around_or_are_drawn(kind: str) -> None:
    usual, drawn = (
        build(kind, 6, Shape(transforms=4, hidden=(8,), bins=4, permute=permute), 0)
        for permute in (False, True)
    )
    assert [step.order.tolist() for step in usual.flow.transform.transforms] == [
        [*range(6)],
        [*range(5, -1, -1)],
    ] * 2
    orders = [step.order.tolist() for step in drawn.flow.transform.transforms]
    assert all(sorted(order) == [*range(6)] for order in orders)
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("features", [2, 5])
def test_every_column_is_transformed_once_in_two_coupling_steps(features: int) -> None:
    flow = build("flashsim", features, Shape(hidden=(4,), bins=4), seed=0)
    assert len(flow.steps) == features
    for one, other in zip(flow.steps[::2], flow.steps[1::2], strict=False):
        assert sorted([*one.moved.tolist(), *other.moved.tolist()]) == list(
            range(features)
        )
        assert one.kept.tolist() == other.moved.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(
    kind: str, dtype: torch.dtype, context: int
) -> None:
    flow, x, given = (
        shaken(kind, 3, dtype, context),
        rows(64, 3, dtype),
        conditions(64, context, dtype),
    )
    with torch.no_grad():
        z, ladj = flow(x, given)
        back = flow.inverse(z, given)
        assert z.dtype == ladj.dtype == back.dtype == dtype
        for part in (slice(0, 1), slice(5, 12)):
            known = part_of(given, part)
            alone, alone_ladj = flow(x[part], known)
            assert torch.allclose(alone, z[part], atol=1e-5)
            assert torch.allclose(alone_ladj, ladj[part], atol=1e-5)
            assert torch.allclose(flow.inverse(z[part], known), back[part], atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_gives_the_same(kind: str) -> None:
    flow, x = shaken(kind, 3), rows(64, 3)
    with torch.no_grad():
        z, ladj = flow(x)
        there = flow.to("cuda")(x.to("cuda"))
    assert torch.allclose(there[0].cpu(), z, atol=1e-8)
    assert torch.allclose(there[1].cpu(), ladj, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_in_training(kind: str) -> None:
    """Where the loss is a likelihood, nearly to that of the true density of the rows held out."""
    from flowtuple.flows.blocks import SampledRows
    from flowtuple.flows.fit import fit

    draw, mixed = np.random.default_rng(0), np.array([[1.0, 0.9], [0.0, 0.4]])
    x = draw.normal(0, 1, (4000, 2)) @ mixed
    flow = build(kind, 2, SMALL, seed=0)
    sample = SampledRows(
        lambda rows, u: x[rows], x.shape, np.arange(len(x)), np.ones(len(x))
    )
    options = Training(epochs=8, batch=256, learning_rate=5e-3)
    fitted = fit(flow, sample, options, 0, lambda share, loss: None)
    losses = [held for _, _, held in fitted.history]
    assert fitted.best_epoch == int(np.argmin(losses)) + 1
    if kind == "flow-matching":
        assert losses[-1] < losses[0] - 0.3  # 0.83 +- 0.08 lower, 12 models
        return
    held_out = x[sample.validation(options.held_out, 0)]
    truth = multivariate_normal(cov=mixed.T @ mixed).logpdf(held_out).mean()
    # Above the truth by 0.018 +- 0.017 for maf, at most 0.020 +- 0.009 for the others, 12 models;
    # by 0.98 for independent columns.
    assert losses[-1] < 0.1 - truth


def events(n: int = 3000, seed: int = 1) -> ak.Array:
    draw = np.random.default_rng(seed)
    counts = draw.poisson(1.5, n)
    pt = draw.exponential(30, counts.sum()) + 20
    eta = draw.normal(0, 1 + 20 / pt)
    charge = np.where(draw.random(len(pt)) < 0.3 + pt / 400, 1, -1)
    score = np.where(draw.random(len(pt)) < 0.2, -1.0, draw.random(len(pt)) ** 2)
    columns = {
        "Jet_pt": pt.astype(np.float32),
        "Jet_eta": eta.astype(np.float32),
        "Jet_charge": charge.astype(np.int8),
        "Jet_score": score.astype(np.float32),
    }
    record = {name: ak.unflatten(values, counts) for name, values in columns.items()}
    return ak.zip(
        {
            **record,
            "MET": draw.exponential(20, n).astype(np.float32),
            "w": np.where(np.arange(n) % 2, 0.5, 2.0),
        },
        depth_limit=1,
    )


JETS = ft.Selection(columns=("Jet_*",))


@pytest.fixture(scope="module")
def nsf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flows") / "m.flow"
    ft.train_flow(
        events(),
        path,
        selection=JETS,
        flow=RowFlow("nsf", SMALL, Training(epochs=12, batch=256, learning_rate=5e-3)),
    )
    return path


@pytest.mark.slow
def test_rows_drawn_have_types_values_and_shares_of_the_data(nsf: Path) -> None:
    data, drawn = events(), ft.sample(nsf, 20_000, seed=4)
    assert [str(drawn[name].type.content) for name in drawn.fields] == [
        "float32",
        "float32",
        "int8",
        "float32",
    ]
    assert set(np.unique(drawn["Jet_charge"])) == {-1, 1}
    # 0.190 +- 0.0065, 13 models
    assert float(np.mean(drawn["Jet_score"] == -1)) == pytest.approx(0.2, abs=0.04)
    for name in drawn.fields:
        real = ak.to_numpy(ak.flatten(data[name])).astype(float)
        assert float(np.mean(drawn[name])) == pytest.approx(
            real.mean(), abs=0.15 * real.std()
        )
    pt, charge = (
        ak.to_numpy(drawn[name]).astype(float) for name in ("Jet_pt", "Jet_charge")
    )
    # The dependence is there: 0.120 +- 0.009, 13 models
    assert np.corrcoef(pt, charge)[0, 1] > 0.05


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rows_in_any_block(nsf: Path) -> None:
    model = load_model(nsf)
    whole = model.draw(7, 0, 300)
    assert np.allclose(model.draw(7, 100, 200), whole[100:200], rtol=1e-6)
    assert not np.allclose(model.draw(8, 0, 300), whole)
    assert np.array_equal(normal_rows(7, 5, 9, 3), normal_rows(7, 0, 20, 3)[5:9])
    assert abs(normal_rows(1, 0, 50_000, 3).std() - 1) < 0.01


@pytest.mark.slow
def test_latent_rows_lead_back(nsf: Path) -> None:
    model, data = ft.load(nsf), events(500, seed=9)
    z = model.to_latent(data)
    back = model.from_latent(z)
    for name in z.fields:
        values = ak.to_numpy(ak.flatten(data[name]))
        assert np.allclose(ak.to_numpy(back[name]), values, rtol=1e-4, atol=1e-4)
        assert back[name].type.content == ak.flatten(data[name]).type.content
    assert np.array_equal(
        ak.to_numpy(back["Jet_charge"]), ak.to_numpy(ak.flatten(data["Jet_charge"]))
    )
    assert abs(float(np.mean(z["Jet_pt"]))) < 0.15  # 0.039 +- 0.014, 13 models


@pytest.mark.slow
def test_scores(nsf: Path) -> None:
    data = events(400, seed=9)
    scores = ft.score(nsf, data, by_column=True)
    assert scores.fields[:4] == ["event", "log_prob", "bits", "surprise"]
    assert np.array_equal(
        scores["event"],
        ak.flatten(
            ak.local_index(data["Jet_pt"], axis=0)
            + ak.zeros_like(data["Jet_pt"], dtype=np.int64)
        ),
    )
    assert np.allclose(
        sum(
            scores[f"bits_{n}"] for n in ("Jet_pt", "Jet_eta", "Jet_charge", "Jet_score")
        ),
        scores["bits"],
    )
    assert abs(float(np.mean(scores["surprise"]))) < 0.5  # 0.157 +- 0.014, 13 models
    some = ft.score(nsf, data[:100])
    assert np.allclose(some["log_prob"], scores["log_prob"][: len(some)], atol=1e-5)
    assert np.allclose(ft.load(nsf).log_prob(data), scores["log_prob"])
    shuffled = ak.zip({n: data[n] for n in data.fields}, depth_limit=1)
    shuffled["Jet_eta"] = ak.unflatten(
        5 * ak.to_numpy(ak.flatten(data["Jet_eta"])), ak.num(data["Jet_eta"])
    )
    assert float(np.mean(ft.score(nsf, shuffled)["surprise"])) > 0.5


@pytest.mark.slow
def test_log_det_of_a_column_without_a_flow_is_that_of_its_preprocessing(
    nsf: Path,
) -> None:
    model, data = ft.load(nsf), events(50, seed=9)
    ladj, z = model.log_det(data), model.to_latent(data)
    log_prob = model.log_prob(data)
    total = sum(
        ak.to_numpy(ladj[n]) - 0.5 * ak.to_numpy(z[n]) ** 2 - 0.5 * np.log(2 * np.pi)
        for n in z.fields
    )
    # at one place in each cell here, at the mean of several there
    assert np.mean(np.abs(total - log_prob)) < 1.0


@pytest.mark.slow
def test_rows_with_nan_are_scored_nan(nsf: Path) -> None:
    data = {
        "Jet_pt": [np.array([30.0, np.nan], np.float32)],
        "Jet_eta": [np.zeros(2, np.float32)],
    }
    data |= {
        "Jet_charge": [np.array([1, -1], np.int8)],
        "Jet_score": [np.array([0.5, -1.0], np.float32)],
    }
    assert np.isnan(ft.score(nsf, data)["log_prob"]).tolist() == [False, True]


@pytest.mark.slow
def test_a_file_reads_back_the_same(nsf: Path, tmp_path: Path) -> None:
    model = load_model(nsf)
    save_model(model, tmp_path / "again.flow")
    assert (tmp_path / "again.flow").read_bytes() == nsf.read_bytes()
    from safetensors import safe_open

    with safe_open(nsf, "np") as stored:
        assert json.loads(stored.metadata()["flowtuple rows"])["kind"] == "nsf"


def change(content: dict) -> Callable[[str, object], dict]:
    return lambda key, value: {**content, key: value}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("version", 99, TooNew, "version 99"),
        ("kind", "exec", Corrupt, "describes no model"),
        ("columns", ["a"], Corrupt, "describes no model"),
        (
            "shape",
            {"transforms": 10**9, "hidden": [64], "bins": 8, "steps": 8},
            Corrupt,
            "out of range",
        ),
        (
            "shape",
            {"transforms": 1, "hidden": [16, 16], "bins": 6, "steps": 16},
            Corrupt,
            "describes no model",
        ),
        ("chains", [], Corrupt, "describes no model"),
        ("version", "x", Corrupt, "describes no model"),
        ("dtypes", ["O"] * 4, Corrupt, "type is none of numbers"),
        ("dtypes", ["zzz"] * 4, Corrupt, "describes no model"),
        (
            "shape",
            {"transforms": 64, "hidden": [4096] * 16, "bins": 8, "steps": 8},
            Corrupt,
            "larger than the file",
        ),
    ],
)
def test_a_model_that_describes_none(
    nsf: Path,
    tmp_path: Path,
    key: str,
    value: object,
    error: type[Exception],
    message: str,
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(nsf, "np") as stored:
        content = json.loads(stored.metadata()["flowtuple rows"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    save_file(
        tensors,
        tmp_path / "bad.flow",
        {"flowtuple rows": json.dumps({**content, key: value})},
    )
    with pytest.raises(error, match=message):
        ft.load(tmp_path / "bad.flow")


@pytest.mark.slow
def test_damaged_files(nsf: Path, tmp_path: Path) -> None:
    data, bad = nsf.read_bytes(), tmp_path / "bad.flow"
    for size in (9, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:size])
        with pytest.raises(Corrupt, match="is no model"):
            ft.load(bad)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_interrupted_training_ends_with_the_same_model(
    tmp_path: Path, schedule: str
) -> None:
    whole, half = tmp_path / "whole.flow", tmp_path / "half.flow"
    asked = RowFlow(
        "maf", SMALL, Training(epochs=5, batch=256, schedule=schedule, weight_decay=1e-3)
    )
    ft.train_flow(events(), whole, selection=JETS, flow=asked)

    def stop(stage: str, share: float, detail: str) -> None:
        if share >= 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ft.train_flow(
            events(),
            half,
            selection=JETS,
            flow=asked,
            resources=ft.Resources(checkpoint=tmp_path / "c", progress=stop),
        )
    assert not half.exists()
    ft.train_flow(
        events(),
        half,
        selection=JETS,
        flow=asked,
        resources=ft.Resources(checkpoint=tmp_path / "c"),
    )
    assert half.read_bytes() == whole.read_bytes()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "training.safetensors").write_bytes(b"none")
    with pytest.raises(InvalidArgument, match="is no checkpoint"):
        ft.train_flow(
            events(),
            half,
            selection=JETS,
            flow=asked,
            resources=ft.Resources(checkpoint=tmp_path / "d"),
        )
    other = RowFlow("maf", SMALL, Training(epochs=6, batch=256, schedule=schedule))
    with pytest.raises(InvalidArgument, match="of another input, flow or option"):
        ft.train_flow(
            events(),
            half,
            selection=JETS,
            flow=other,
            resources=ft.Resources(checkpoint=tmp_path / "c"),
        )


@pytest.mark.slow
def test_early_stop_and_clipping() -> None:
    from flowtuple.flows.blocks import SampledRows
    from flowtuple.flows.fit import fit

    x = np.random.default_rng(0).normal(0, 1, (600, 2))
    sample = SampledRows(
        lambda rows, u: x[rows], x.shape, np.arange(len(x)), np.ones(len(x))
    )
    options = Training(
        epochs=200, batch=64, learning_rate=2e-2, patience=3, schedule="constant"
    )
    fitted = fit(build("maf", 2, SMALL, 0), sample, options, 0, lambda share, loss: None)
    assert len(fitted.history) == fitted.best_epoch + 3 < 200


def test_a_log_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    ft.train_flow(
        events(),
        tmp_path / "m.flow",
        selection=JETS,
        flow=RowFlow("maf", SMALL, Training(epochs=2), log=str(tmp_path / "log")),
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    assert [point.step for point in log.Scalars("loss/held_out")] == [1, 2]


def shares(path: Path) -> float:
    return float(np.mean(ft.sample(path, 20_000, seed=1)["x"] > 5))


@pytest.mark.slow
@pytest.mark.parametrize(
    "flow",
    [
        None,
        RowFlow(
            "nsf",
            replace(SMALL, bins=16),
            Training(epochs=40, batch=256, learning_rate=1e-2),
        ),
    ],
    ids=["lattice", "nsf"],
)
def test_mixes_and_weights(tmp_path: Path, flow: RowFlow | None) -> None:
    draw = np.random.default_rng(0)
    low, high = (
        draw.normal(0, 1, 3000).astype(np.float32),
        draw.normal(10, 1, 3000).astype(np.float32),
    )
    for name, x in (("low", low), ("high", high)):
        np.savez(tmp_path / f"{name}.npz", x=x)
    paths = [tmp_path / "low.npz", tmp_path / "high.npz"]
    lattice = functools.partial(ft.train, effort="fast", tolerance={"x": "abs:0.01"})
    train = lattice if flow is None else functools.partial(ft.train_flow, flow=flow)
    train(paths, tmp_path / "plain.flow")
    # 0.505 +- 0.005, 12 models
    assert shares(tmp_path / "plain.flow") == pytest.approx(0.5, abs=0.04)
    train(ft.Weighted(paths, mix=(1.0, 0.25)), tmp_path / "mix.flow")
    # 0.206 +- 0.007, 12 models
    assert shares(tmp_path / "mix.flow") == pytest.approx(0.2, abs=0.04)
    x = np.concatenate([low, high])
    weighted = {"x": x, "w": np.where(x > 5, 0.25, 1.0)}
    train(ft.Weighted(weighted, weight="w"), tmp_path / "weighted.flow")
    assert shares(tmp_path / "weighted.flow") == pytest.approx(0.2, abs=0.04)
    assert ft.sample(tmp_path / "weighted.flow", 3).fields == ["x"]
    negative = {
        "x": np.concatenate([x, high]),
        "w": np.concatenate([np.ones(6000), -0.75 * np.ones(3000)]),
    }
    train(ft.Weighted(negative, weight="w"), tmp_path / "negative.flow")
    # 0.209 +- 0.005, 12 models
    assert shares(tmp_path / "negative.flow") == pytest.approx(0.2, abs=0.06)


@pytest.mark.slow
def test_a_ratio_needs_one_measure(tmp_path: Path, nsf: Path) -> None:
    small, wide = (
        {"x": np.random.default_rng(0).normal(0, 1, 2000)},
        {"x": np.random.default_rng(1).normal(1, 2, 2000)},
    )
    ft.train(small, tmp_path / "a.flow", tolerance={"x": "std:1e-2"}, effort="fast")
    ft.train(wide, tmp_path / "b.flow", tolerance={"x": "std:1e-2"}, effort="fast")
    with pytest.raises(InvalidArgument, match="on another grid; train it with `like=`"):
        ft.score(tmp_path / "a.flow", small, against=tmp_path / "b.flow")
    ft.train(wide, tmp_path / "b.flow", like=tmp_path / "a.flow", effort="fast")
    ratio = ft.score(tmp_path / "b.flow", wide, against=tmp_path / "a.flow")["log_ratio"]
    assert float(np.mean(ratio)) > 0.3
    rows = RowFlow("maf", SMALL, Training(epochs=30, batch=128, learning_rate=2e-2))
    ft.train_flow(small, tmp_path / "c.flow", flow=rows)
    ft.train_flow(wide, tmp_path / "d.flow", flow=rows, like=tmp_path / "c.flow")
    assert (
        load_model(tmp_path / "d.flow").chains == load_model(tmp_path / "c.flow").chains
    )
    assert (
        float(
            np.mean(
                ft.score(tmp_path / "d.flow", wide, against=tmp_path / "c.flow")[
                    "log_ratio"
                ]
            )
        )
        > 0.3
    )
    with pytest.raises(InvalidArgument, match="do not share a measure"):
        ft.score(tmp_path / "a.flow", small, against=tmp_path / "c.flow")
    with pytest.raises(InvalidArgument, match="has other columns"):
        ft.score(tmp_path / "c.flow", small, against=nsf)


@pytest.mark.parametrize(
    ("flow", "weights", "message"),
    [
        (
            RowFlow("nsf", transforms={"y": "standard"}),
            {},
            "matches 'y' of `transforms=`",
        ),
        (
            RowFlow("nsf", transforms={"x": "log"}),
            {},
            "column 'x': transform 'log' is not defined",
        ),
        (RowFlow("nsf"), {"weight": "wieght"}, "no column of weights 'wieght'"),
        (None, {"weight": "wieght"}, "no column of weights 'wieght'"),
        (None, {"weight": "zero"}, "weights sum to 0"),
        (RowFlow("nsf"), {"weight": "zero"}, "weights sum to 0"),
        (None, {"mix": (1.0, 2.0)}, "1 sources are mixed by 2 numbers"),
        (
            RowFlow("maf", training=Training(epochs=2, learning_rate=1e9, clip=0)),
            {},
            "the loss is",
        ),
    ],
)
def test_bad_requests(
    tmp_path: Path, flow: RowFlow | None, weights: dict, message: str
) -> None:
    x = np.random.default_rng(0).normal(0, 1, 1000)
    events = ft.Weighted({"x": x, "zero": np.tile([1.0, -1.0], 500)}, **weights)
    train = ft.train if flow is None else functools.partial(ft.train_flow, flow=flow)
    with pytest.raises(InvalidArgument, match=message):
        train(events, tmp_path / "m.flow")
    assert not (tmp_path / "m.flow").exists()


@pytest.mark.slow
def test_a_column_that_is_an_array_and_one_of_another_role(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "a.npz",
        v=draw.normal(0, 1, (500, 3)),
        event=np.arange(500),
        w=draw.random(500),
    )
    asked = ft.Selection(columns=("v", "event"), roles={"event": "value"})
    flow = RowFlow("maf", SMALL, Training(epochs=2))
    notes = ft.train_flow(
        ft.Weighted(tmp_path / "a.npz", weight="w"),
        tmp_path / "m.flow",
        selection=asked,
        flow=flow,
    )
    assert notes == ()
    scores = ft.score(tmp_path / "m.flow", tmp_path / "a.npz", by_column=True)
    assert {"bits_v[0]", "bits_v[2]", "bits_event"} <= set(scores.fields)
    assert np.isfinite(ak.to_numpy(scores["bits"])).all()
    with pytest.raises(InvalidArgument, match="no column of labels 'z'"):
        ft.score(tmp_path / "m.flow", tmp_path / "a.npz", label="z")


def test_rows_that_are_dropped_are_told(tmp_path: Path) -> None:
    x = np.where(np.arange(300) % 3, 1.0 * np.arange(300), np.nan)
    notes = ft.train_flow(
        {"x": x}, tmp_path / "m.flow", flow=RowFlow("maf", SMALL, Training(epochs=1))
    )
    assert "100 rows with NaN or infinite values were dropped" in notes[0]
    ft.train({"x": np.arange(300.0)}, tmp_path / "l.flow", effort="fast")
    with pytest.raises(InvalidArgument, match="is not a flow over rows"):
        ft.train_flow(
            {"x": x}, tmp_path / "m.flow", flow=RowFlow("maf"), like=tmp_path / "l.flow"
        )


def test_bad_options() -> None:
    for make, message in (
        (lambda: RowFlow("nfs"), "no flow 'nfs'; nearest: nsf"),
        (lambda: Training(schedule="cosin"), "no schedule 'cosin'; nearest: cosine"),
        (lambda: Training(batch=0), "batch 0 is out of range; 1024 is usual"),
        (lambda: Shape(hidden=()), "hidden .* is out of range"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            make()


def test_too_few_rows(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match="7 events with rows are too few to train a flow on; 20"
    ):
        ft.train_flow({"x": np.arange(7.0)}, tmp_path / "m.flow", flow=RowFlow("maf"))


@pytest.mark.slow
def test_what_a_flow_over_rows_cannot_do(nsf: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="how many rows are to be drawn"):
        ft.sample(nsf)
    with pytest.raises(Unsupported, match="draws nothing for given ones"):
        ft.sample(nsf, 5, given=events(5))
    with pytest.raises(InvalidArgument, match="Jet_pt"):
        ft.score(nsf, {"Jet_eta": [[1.0]]})
    with pytest.raises(InvalidArgument, match="is a flow over rows"):
        ft.compress(events(), tmp_path / "a.ftup", model=nsf)


def test_transforms_that_a_person_names(tmp_path: Path) -> None:
    asked = RowFlow(
        "maf",
        SMALL,
        Training(epochs=2),
        transforms={"Jet_*": "gauss-rank", "Jet_pt": "log:10,standard"},
    )
    ft.train_flow(events(), tmp_path / "m.flow", selection=JETS, flow=asked)
    chains: tuple[Chain, ...] = load_model(tmp_path / "m.flow").chains
    assert [type(t).__name__ for t in chains[0].transforms] == ["Log", "Affine"]
    assert [type(t).__name__ for t in chains[2].transforms] == ["Ranks"]


@pytest.mark.slow
def test_a_model_is_of_its_columns(nsf: Path) -> None:
    model: RowModel = load_model(nsf)
    assert model.columns == ("Jet_pt", "Jet_eta", "Jet_charge", "Jet_score")
    assert model.counter is not None
    assert model.about["best_epoch"] >= 1
