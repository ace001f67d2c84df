"""Flows over rows given other columns: trained, drawn from, scored, stored."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft  # noqa: E402
from flowtuple.errors import Corrupt, InvalidArgument  # noqa: E402
from flowtuple.flows.options import KINDS, RowFlow, Shape, Training  # noqa: E402
from flowtuple.flows.stored import load_model  # noqa: E402

SMALL = Shape(transforms=2, hidden=(16, 16), bins=6, steps=8)
GIVEN = ("Jet_genPt", "Jet_flavour", "nPU")
TARGET = ft.Selection(columns=("Jet_pt", "Jet_n"))


def asked(kind: str = "nsf", epochs: int = 25) -> RowFlow:
    return RowFlow(kind, SMALL, Training(epochs=epochs, batch=256, learning_rate=1e-2))


def events(n: int = 3000, seed: int = 1) -> ak.Array:
    """Jets whose p_T is that of their partner, wider with pile-up, and whose multiplicity goes with
    flavour.
    """
    draw = np.random.default_rng(seed)
    counts, pileup = draw.poisson(1.5, n), draw.poisson(20, n)
    size = counts.sum()
    gen, flavour = draw.exponential(30, size) + 20, draw.choice([1, 5, 21], size)
    pt = gen * (1 + 0.005 * np.repeat(pileup, counts) * draw.normal(0, 1, size))
    jets = {
        "Jet_pt": pt.astype("f4"),
        "Jet_n": (flavour + draw.poisson(2, size)).astype("i4"),
    }
    jets |= {"Jet_genPt": gen.astype("f4"), "Jet_flavour": flavour.astype("i1")}
    record = {name: ak.unflatten(values, counts) for name, values in jets.items()}
    return ak.zip(
        {**record, "nPU": pileup.astype("i4"), "GenJet_pt": record["Jet_genPt"][:, :1]},
        depth_limit=1,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conditional") / "m.flow"
    assert (
        ft.train_flow(events(), path, selection=TARGET, given=GIVEN, flow=asked()) == ()
    )
    return path


def flat(array: ak.Array, name: str) -> np.ndarray:
    return ak.to_numpy(ak.flatten(array[name], axis=None)).astype(np.float64)


@pytest.mark.slow
def test_rows_are_drawn_given_their_conditions(model: Path) -> None:
    data = events(seed=2)
    drawn = ft.sample(model, given=data, seed=3)
    assert drawn.fields == ["Jet_pt", "Jet_n", *GIVEN]
    assert [str(drawn[name].type.content) for name in drawn.fields] == [
        "float32",
        "int32",
        "float32",
        "int8",
        "int32",
    ]
    assert np.array_equal(flat(drawn, "Jet_genPt"), flat(data, "Jet_genPt"))
    assert np.array_equal(
        flat(drawn, "nPU"), np.repeat(flat(data, "nPU"), ak.num(data["Jet_pt"]))
    )
    response = flat(drawn, "Jet_pt") / flat(drawn, "Jet_genPt")
    # 1.001 +- 0.003, 13 models
    assert np.median(response) == pytest.approx(1.0, abs=0.05)
    assert response.std() < 0.4  # 0.1 in truth; 1.2 were they drawn without the condition
    for flavour in (1, 21):
        n = flat(drawn, "Jet_n")[flat(drawn, "Jet_flavour") == flavour]
        assert n.mean() == pytest.approx(flavour + 2, abs=1.5)  # -0.23 +- 0.09, 13 models
    assert len(ft.sample(model, 5, given=data)) == 5
    again = ft.sample(model, given=data, seed=3)
    assert again.tolist() == drawn.tolist()


@pytest.mark.slow
def test_scores_are_those_of_the_conditional_density(model: Path) -> None:
    data = events(400, seed=5)
    scores = ft.score(model, data, by_column=True)
    assert scores.fields == [
        "event",
        "log_prob",
        "bits",
        "surprise",
        "bits_Jet_pt",
        "bits_Jet_n",
    ]
    assert abs(float(np.mean(scores["surprise"]))) < 0.5
    swapped = ak.with_field(
        data,
        ak.unflatten(flat(data, "Jet_genPt")[::-1].astype("f4"), ak.num(data["Jet_pt"])),
        "Jet_genPt",
    )
    worse = ft.score(model, swapped)
    assert float(np.mean(worse["bits"])) > float(np.mean(scores["bits"])) + 1
    assert float(
        np.mean(ft.score(model, data, against=model)["log_ratio"])
    ) == pytest.approx(0.0, abs=1e-9)
    undefined = {
        name: [[np.nan]] if name == "Jet_genPt" else data[name][:1]
        for name in data.fields
    }
    undefined |= {name: ak.Array([[1]]) for name in ("Jet_pt", "Jet_n", "Jet_flavour")}
    assert np.isnan(ak.to_numpy(ft.score(model, undefined)["log_prob"])).all()


@pytest.mark.slow
def test_latent_rows_carry_their_conditions(model: Path) -> None:
    data, opened = events(200, seed=6), ft.load(model)
    latent = opened.to_latent(data)
    assert latent.fields == ["Jet_pt", "Jet_n", *GIVEN]
    back = opened.from_latent(latent)
    assert np.allclose(flat(back, "Jet_pt"), flat(data, "Jet_pt"), rtol=1e-4)
    assert np.array_equal(flat(back, "Jet_n"), flat(data, "Jet_n"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_given_conditions(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.flow"
    ft.train_flow(
        events(500), path, selection=TARGET, given=GIVEN, flow=asked(kind, epochs=1)
    )
    assert load_model(path).context.columns == GIVEN
    assert len(ft.sample(path, 7, given=events(20))) == 7


@pytest.mark.slow
def test_models_share_transforms_of_conditions(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "o.flow"
    ft.train_flow(
        events(seed=8),
        other,
        selection=TARGET,
        given=GIVEN,
        flow=asked(epochs=1),
        like=model,
    )
    assert load_model(other).context.chains == load_model(model).context.chains
    with pytest.raises(
        InvalidArgument, match=r"is given Jet_genPt.*name the same with `given=`"
    ):
        ft.train_flow(
            events(seed=8),
            other,
            selection=TARGET,
            given=("nPU",),
            flow=asked(epochs=1),
            like=model,
        )


def test_transforms_of_conditions_may_be_named(tmp_path: Path) -> None:
    flow = RowFlow("maf", SMALL, Training(epochs=1), {"Jet_genPt": "log,standard"})
    ft.train_flow(
        events(500), tmp_path / "m.flow", selection=TARGET, given=GIVEN, flow=flow
    )
    names = [
        [type(t).__name__ for t in chain.transforms]
        for chain in load_model(tmp_path / "m.flow").context.chains
    ]
    assert names == [["Log", "Affine"], ["Ranks", "Clip"], ["Ranks", "Clip"]]


@pytest.mark.slow
def test_an_interrupted_training_with_conditions_ends_the_same(tmp_path: Path) -> None:
    def stop(stage: str, share: float, detail: str) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    request = {"selection": TARGET, "given": GIVEN, "flow": asked("flashsim", epochs=4)}
    ft.train_flow(events(500), tmp_path / "whole.flow", **request)
    with pytest.raises(KeyboardInterrupt):
        ft.train_flow(
            events(500),
            tmp_path / "half.flow",
            **request,
            resources=ft.Resources(checkpoint=tmp_path / "c", progress=stop),
        )
    ft.train_flow(
        events(500),
        tmp_path / "half.flow",
        **request,
        resources=ft.Resources(checkpoint=tmp_path / "c"),
    )
    assert (tmp_path / "half.flow").read_bytes() == (tmp_path / "whole.flow").read_bytes()
    changed = ak.with_field(events(500), events(500)["nPU"][::-1], "nPU")
    with pytest.raises(InvalidArgument, match="of another input, flow or option"):
        ft.train_flow(
            changed,
            tmp_path / "half.flow",
            **request,
            resources=ft.Resources(checkpoint=tmp_path / "c"),
        )


def test_a_model_without_conditions_of_an_older_version_loads(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    ft.train_flow(
        {"x": np.random.default_rng(0).normal(0, 1, 500)},
        tmp_path / "new.flow",
        flow=asked("maf", epochs=1),
    )
    with safe_open(tmp_path / "new.flow", "np") as stored:
        content = json.loads(stored.metadata()["flowtuple rows"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    del content["given"], content["shape"]["blocks"]
    old = tmp_path / "old.flow"
    save_file(tensors, old, {"flowtuple rows": json.dumps(content | {"version": 1})})
    assert (
        ft.sample(old, 9, seed=1).tolist()
        == ft.sample(tmp_path / "new.flow", 9, seed=1).tolist()
    )
    bad = content | {"given": {"columns": ["a"], "dtypes": [], "chains": []}}
    save_file(tensors, old, {"flowtuple rows": json.dumps(bad)})
    with pytest.raises(Corrupt, match="conditions, types and transforms do not fit"):
        ft.load(old)


@pytest.mark.slow
def test_bad_conditions(model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"draws given Jet_genPt, Jet_flavour, nPU; name a file"
    ):
        ft.sample(model, 5)
    with pytest.raises(InvalidArgument, match=r"name 'nPU' matches no column"):
        ft.sample(model, given=events(5)[["Jet_genPt", "Jet_flavour"]])
    with pytest.raises(InvalidArgument, match=r"cannot draw 500 rows from 5 given ones"):
        ft.sample(
            model,
            500,
            given={"Jet_genPt": np.ones(5), "Jet_flavour": np.ones(5), "nPU": np.ones(5)},
        )
    with pytest.raises(
        InvalidArgument, match=r"column 'nPU': 1 values are NaN or infinite"
    ):
        ft.sample(
            model,
            given={
                "Jet_genPt": np.ones(2),
                "Jet_flavour": np.ones(2),
                "nPU": np.array([1.0, np.inf]),
            },
        )
    with pytest.raises(
        InvalidArgument,
        match=r"'GenJet_pt' is none of the same objects.*`train_simulation",
    ):
        ft.train_flow(
            events(),
            tmp_path / "m.flow",
            selection=TARGET,
            given=("GenJet_pt",),
            flow=asked(),
        )
    with pytest.raises(
        InvalidArgument, match=r"name 'Jet_genpt' matches no column; nearest: Jet_genPt"
    ):
        ft.train_flow(
            events(),
            tmp_path / "m.flow",
            selection=TARGET,
            given=("Jet_genpt",),
            flow=asked(),
        )
    drawn = ft.sample(
        model,
        given={
            "Jet_genPt": np.full(9, 1e6),
            "Jet_flavour": np.full(9, 77),
            "nPU": np.full(9, -3),
        },
    )
    # conditions far outside read as the edge
    assert np.isfinite(flat(drawn, "Jet_pt")).all()
