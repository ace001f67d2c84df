"""The lattice flow as a bijection: events to places in their distributions and back, exactly; its
density adds up to one.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from scipy.stats import kstest

import flowtuple as ft
from flowtuple.data.table import read_all
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.model.events import SampledTable
from flowtuple.model.index_sampler import AtRandom
from flowtuple.model.score import to_latent
from flowtuple.samples import sample_path
from short_training import shorten_training


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("latent") / "m.flow"
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        ft.train(
            f"{sample_path()}:Events", path, tolerance={"*": "rel:1e-3"}, effort="fast"
        )
    return path


@pytest.fixture(scope="module")
def events(model: Path) -> ak.Array:
    return ft.snap(f"{sample_path()}:Events", model=model)


@pytest.mark.slow
def test_events_come_back_bit_for_bit(model: Path, events: ak.Array) -> None:
    loaded = ft.load(model)
    latent = loaded.to_latent(events)
    back = loaded.from_latent(latent)
    assert back.fields == events.fields == latent.fields
    for name in events.fields:
        before, after = (
            ak.to_numpy(ak.flatten(a[name], axis=None)) for a in (events, back)
        )
        assert before.dtype == after.dtype
        assert np.array_equal(before, after), name
    assert np.array_equal(latent["nJet"], events["nJet"])
    assert np.array_equal(latent["event"], events["event"])


@pytest.mark.slow
def test_latent_values_are_uniform(model: Path) -> None:
    """Events that the model has drawn are uniform; columns of few values are steps instead."""
    loaded = ft.load(model)
    latent = loaded.to_latent(loaded.sample(4000, seed=3))
    for name in ("Jet_eta", "Jet_mass", "MET_pt", "genWeight"):
        u = ak.to_numpy(ak.flatten(latent[name], axis=None))
        assert kstest(u, "uniform").pvalue > 1e-3, name
    pt, mass = (ak.to_numpy(ak.flatten(latent[name])) for name in ("Jet_pt", "Jet_mass"))
    assert abs(np.corrcoef(pt, mass)[0, 1]) < 0.05


@pytest.mark.slow
def test_rules_bind_drawn_events_and_not_the_density(model: Path) -> None:
    """p_T falls in drawn events; draws without rules rise at times, and have a place in (0, 1)."""
    with ft.open(model) as file:
        coding = file.table().coding
    assert "falling" in {r.kind for r in coding.flow.rules if r.columns == ("Jet_pt",)}
    rising = []
    for rules in (AtRandom(3, "Events"), None):
        drawn = read_all(
            SampledTable(
                "Events", coding, 4000, AtRandom(3, "Events"), workers=1, obey=rules
            )
        )
        pt = ak.unflatten(drawn.data["Jet_pt"], drawn.data["nJet"])
        rising.append(int(ak.sum(pt[:, 1:] > pt[:, :-1])))
        u = to_latent(drawn, coding).data["Jet_pt"]
        assert ((u > 0) & (u < 1)).all()
    assert rising[0] == 0 < rising[1]


@pytest.mark.slow
def test_events_do_not_depend_on_other_events(model: Path, events: ak.Array) -> None:
    loaded = ft.load(model)
    whole, part = loaded.to_latent(events), loaded.to_latent(events[700:713])
    for name in part.fields:
        assert np.array_equal(
            ak.flatten(part[name], axis=None), ak.flatten(whole[name][700:713], axis=None)
        ), name
    some = loaded.from_latent(whole[700:713])
    assert ak.array_equal(some["Jet_pt"], events["Jet_pt"][700:713])
    assert np.array_equal(
        loaded.log_prob(events[700:713]), loaded.log_prob(events)[700:713]
    )


@pytest.mark.slow
def test_log_dets_add_up(model: Path, events: ak.Array) -> None:
    loaded = ft.load(model)
    by_column = loaded.log_det(events[:200])
    total = sum(ak.to_numpy(by_column[name]) for name in by_column.fields)
    assert np.allclose(total, loaded.log_prob(events[:200]), rtol=1e-12)


@pytest.mark.slow
def test_the_density_adds_up_to_one(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a = draw.integers(0, 4, 12_000)
    data = {"a": a, "b": (a + draw.integers(0, 3, 12_000)) % 5}
    ft.train(data, tmp_path / "m.flow", effort="fast")
    grid = np.array(list(itertools.product(range(4), range(5))))
    density = np.exp(
        ft.load(tmp_path / "m.flow").log_prob({"a": grid[:, 0], "b": grid[:, 1]})
    )
    assert 0.995 < density.sum() <= 1  # what is left is for values never seen
    seen = np.array([np.mean((data["a"] == p) & (data["b"] == q)) for p, q in grid])
    assert np.abs(density - seen).max() < 0.02  # 0.0065 +- 0.0028, 12 models


def test_columns_of_too_many_values_are_refused(tmp_path: Path) -> None:
    ft.train(
        {"x": np.random.default_rng(0).normal(0, 1, 3000)},
        tmp_path / "m.flow",
        effort="fast",
    )
    loaded = ft.load(tmp_path / "m.flow")
    with pytest.raises(
        Unsupported, match="column 'x' has more values than a latent number tells apart"
    ):
        loaded.to_latent(loaded.sample(5))


def test_references_come_back_whatever_they_point_to(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    jets, muons = draw.integers(0, 3, 2000), draw.integers(0, 3, 2000)
    events = {
        "Jet_pt": ak.unflatten(draw.exponential(30, jets.sum()).astype(np.float32), jets),
        "Muon_jetIdx": ak.unflatten(
            draw.integers(-1, 4, muons.sum()).astype(np.int32), muons
        ),
    }
    ft.train(events, tmp_path / "m.flow", effort="fast", tolerance={"Jet_pt": "rel:1e-2"})
    loaded = ft.load(tmp_path / "m.flow")
    data = ft.snap(events, model=tmp_path / "m.flow")
    assert ak.array_equal(
        loaded.from_latent(loaded.to_latent(data))["Muon_jetIdx"], data["Muon_jetIdx"]
    )


def test_a_value_off_the_lattice_has_no_place(tmp_path: Path) -> None:
    ft.train({"x": np.repeat([1.0, 2.0, 3.0], 500)}, tmp_path / "m.flow", effort="fast")
    loaded = ft.load(tmp_path / "m.flow")
    latent = loaded.to_latent({"x": [2.0, 2.5]})
    assert np.isnan(latent["x"]).tolist() == [False, True]
    with pytest.raises(
        InvalidArgument, match="column 'x': a latent value is not from 0 to 1"
    ):
        loaded.from_latent(latent)
    with pytest.raises(InvalidArgument, match="lacks column 'x'"):
        loaded.from_latent({"y": [0.5]})
    with pytest.raises(InvalidArgument, match=r"lacks|missing|no column"):
        loaded.to_latent({"y": [2.0]})
