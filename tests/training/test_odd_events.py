"""Models of whole events of odd tables: without kinematics, with single objects, with many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.training import plan
from flowtuple.training.plan import EffortPreset

EVENTS = 1200


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plan.COMPLETE_EFFORTS, "fast", EffortPreset((0.5,), 40))


def drawn(events: Mapping[str, object], folder: Path, n: int = 500) -> ak.Array:
    """Events of a model of these, which violate none of its rules."""
    ft.train(events, folder / "m.flow", tolerance="abs:0.02", effort="fast")
    model = ft.load(folder / "m.flow")
    assert set(model.violations(events).values()) <= {0}
    made = model.sample(n, seed=2)
    assert set(model.violations(made).values()) <= {0}
    assert np.isfinite(model.log_prob(events)).all()
    assert np.isfinite(model.log_prob(made)).all()
    return made


def test_a_collection_without_kinematics(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    counts = draw.integers(0, 5, EVENTS)
    hits = {
        "Hit_charge": draw.exponential(3, counts.sum()).astype("f4"),
        "Hit_layer": draw.integers(0, 9, counts.sum()).astype("i2"),
    }
    made = drawn({n: ak.unflatten(x, counts) for n, x in hits.items()}, tmp_path)
    assert set(made.fields) == set(hits)
    assert ak.mean(ak.num(made["Hit_layer"])) == pytest.approx(counts.mean(), abs=0.3)
    assert set(np.unique(ak.flatten(made["Hit_layer"]))) == set(range(9))


def test_angles_and_momenta_without_the_others(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    counts = draw.integers(0, 4, EVENTS)
    m = int(counts.sum())
    flat = {
        "A_pt": draw.exponential(20, m),
        "B_phi": draw.uniform(-np.pi, np.pi, m),
        "C_pt": draw.exponential(20, m),
        "C_eta": draw.normal(0, 1, m),
    }
    made = drawn(
        {n: ak.unflatten(x.astype("f4"), counts) for n, x in flat.items()}, tmp_path
    )
    assert ak.max(abs(made["B_phi"])) < 3.2


def test_events_of_one_object(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    one = np.ones(EVENTS, int)
    jets = {
        "Jet_pt": draw.exponential(30, EVENTS),
        "Jet_eta": draw.normal(0, 1, EVENTS),
        "Jet_phi": draw.uniform(-np.pi, np.pi, EVENTS),
        "Jet_mass": draw.exponential(5, EVENTS),
    }
    made = drawn(
        {n: ak.unflatten(x.astype("f4"), one) for n, x in jets.items()}, tmp_path
    )
    assert ak.all(ak.num(made["Jet_pt"]) == 1)
    (table,) = ft.info(tmp_path / "m.flow")["tables"]
    assert not any("rate" in rule or "rise" in rule for rule in table["rules"])


def test_an_event_of_400_objects(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    counts = draw.integers(0, 4, EVENTS)
    counts[77] = 400
    m = int(counts.sum())
    pt = ak.sort(ak.unflatten(draw.exponential(30, m), counts), ascending=False)
    jets = {
        "Jet_pt": ak.values_astype(pt, np.float32),
        "Jet_eta": ak.unflatten(draw.normal(0, 1, m).astype("f4"), counts),
        "Jet_phi": ak.unflatten(draw.uniform(-np.pi, np.pi, m).astype("f4"), counts),
    }
    made = drawn(jets, tmp_path)
    assert 0 < ak.mean(ak.num(made["Jet_pt"])) < 10
    # and another one of so many objects, whether or not the model draws any
    counts = np.array([400, 1, 0])
    other = {
        "Jet_pt": ak.unflatten(np.arange(401, 0, -1).astype("f4"), counts),
        "Jet_eta": ak.unflatten(draw.normal(0, 1, 401).astype("f4"), counts),
        "Jet_phi": ak.unflatten(draw.uniform(-3, 3, 401).astype("f4"), counts),
    }
    model = ft.load(tmp_path / "m.flow")
    given = model.sample(seed=1, given={"Jet_pt": other["Jet_pt"]})
    assert ak.num(given["Jet_phi"]).tolist() == counts.tolist()
    assert ak.all(given["Jet_pt"] == ft.snap(other, "abs:0.02")["Jet_pt"]) or ak.all(
        given["Jet_pt"] == other["Jet_pt"]
    )
    assert np.isfinite(model.log_prob(other)).all()
    ft.compress(other, tmp_path / "x.ftup", model=tmp_path / "m.flow")
    with ft.File(tmp_path / "x.ftup") as file:
        for name, values in other.items():
            assert ak.all(abs(file[name] - values) <= 0.02)


def test_a_flag_that_nothing_explains(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    x = draw.normal(0, 1, EVENTS).astype("f4")
    flag = draw.random(EVENTS) < 1 / (1 + np.exp(-2 * x))
    made = drawn({"x": x, "flag": flag}, tmp_path, 2000)
    (table,) = ft.info(tmp_path / "m.flow")["tables"]
    assert not table.get("rules")
    # without a rule it is still what the network says of it
    above = made["x"] > 0
    assert ak.mean(made["flag"][above]) > ak.mean(made["flag"][~above]) + 0.2


def test_infinite_numbers_do_not_end_a_training(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    x = draw.random(EVENTS).astype("f4")
    flag = x > 0.5
    x[~flag] = -np.inf
    made = drawn({"x": x, "flag": flag}, tmp_path)
    assert ak.all((made["x"] > 0.4) == made["flag"])
