"""What a simulation takes to another process: what is near an object, and not what process it is."""

from __future__ import annotations

import json
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.schema_diff import OwnCounters
from flowtuple.data.table import read_all
from flowtuple.io.source import open_dataset
from flowtuple.simulation.block import Block
from flowtuple.simulation.build_spec import build_spec
from flowtuple.simulation.conditions import of_the_process
from flowtuple.simulation.contents import as_shares, is_ratio, rare_first, with_ratios
from flowtuple.simulation.fit_spec import fit_spec
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import TrainingTargets
from flowtuple.simulation.visible import visible

EVENTS = 4000


def jets_with_muons(
    seed: int, share: tuple[float, float], prompt: float, n: int = EVENTS
) -> dict[str, Any]:
    """Return one jet an event with a muon in every second one.

    Args:
        seed: Of the random numbers.
        share: Smallest and largest share of the jet's p_T that the muon has.
        prompt: Share of the muons that are flagged, which reconstructed jets do not hold.
        n: Number of events.
    """
    draw = np.random.default_rng(seed)
    pt = 20 + draw.exponential(30, n)
    eta, phi = draw.uniform(-2, 2, n), draw.uniform(-3, 3, n)
    has = np.arange(n) % 2 == 0
    muon = pt * draw.uniform(*share, n)
    flagged = has & (draw.random(n) < prompt)
    inside = has & ~flagged
    left = np.where(flagged, pt - muon, pt) * draw.normal(1, 0.02, n)
    energy = left * np.cosh(eta)
    muons = np.where(inside, muon * np.cosh(eta) * draw.normal(1, 0.01, n), 0)
    energy = np.maximum(energy, muons * 1.001)
    parts = (energy - muons) * draw.uniform(0.3, 0.7, n)
    columns = {
        "GenJet": {"pt": pt, "eta": eta, "phi": phi, "mass": 0 * pt},
        "Jet": {
            "pt": energy / np.cosh(eta + 0.01),
            "eta": eta + 0.01,
            "phi": phi,
            "mass": 0 * pt,
            "chE": parts,
            "muE": muons,
            "neE": energy - muons - parts,
        },
        "GenMuon": {"pt": muon, "eta": eta, "phi": phi + 0.1},
    }
    counts = {"GenJet": np.ones(n, int), "Jet": np.ones(n, int), "GenMuon": has * 1}
    out: dict[str, Any] = {
        f"{name}_{column}": ak.unflatten(
            np.float32(np.repeat(values, counts[name])), counts[name]
        )
        for name, group in columns.items()
        for column, values in group.items()
    }
    out["GenMuon_isPrompt"] = ak.unflatten(flagged[has], counts["GenMuon"])
    out["Jet_muN"] = ak.unflatten(np.int32(inside), counts["Jet"])
    out["Jet_genJetIdx"] = ak.unflatten(np.zeros(n, "i4"), counts["Jet"])
    out["GenMET_pt"] = np.float32(draw.exponential(20, n))
    out["GenMET_phi"] = np.float32(draw.uniform(-3, 3, n))
    return out


def fitted(events: dict[str, Any]) -> tuple[SimulationSpec, Block]:
    table = read_all(OwnCounters(open_dataset(events).table("events")))
    spec = build_spec("events", table.columns, ["Jet_*"], ["Gen*"])
    block = Block.of(table, spec.collections)
    return fit_spec(spec, block), block


def test_muons_in_jets_and_those_that_jets_do_not_hold_are_recognised() -> None:
    spec, _ = fitted(jets_with_muons(1, (0.2, 0.5), prompt=0.5))
    (target,) = spec.targets
    assert target.hidden == ("GenMuon", "GenMuon_isPrompt")
    assert target.contents == {"Jet_muE": "GenMuon"}
    assert target.numbers == {"Jet_muN": "GenMuon"}
    again = SimulationSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec


def test_jets_that_hold_all_muons_have_none_that_are_hidden() -> None:
    events = jets_with_muons(2, (0.2, 0.5), prompt=0.0)
    flag = np.random.default_rng(0).random(EVENTS // 2) < 0.5
    events["GenMuon_isPrompt"] = ak.unflatten(flag, ak.num(events["GenMuon_pt"]))
    (target,) = fitted(events)[0].targets
    assert target.hidden == ()
    assert target.contents == {"Jet_muE": "GenMuon"}


def test_hidden_muons_are_gone_from_jets_and_others_stay() -> None:
    spec, block = fitted(jets_with_muons(1, (0.2, 0.5), prompt=0.5))
    seen = visible(block, spec, spec.targets[0])
    flagged = block.values["GenMuon_isPrompt"]
    event = block.event("GenMuon")
    assert np.array_equal(seen.event("GenMuon"), event[~flagged])
    left = block.values["GenJet_pt"].copy()
    left[event[flagged]] -= block.values["GenMuon_pt"][flagged]
    assert seen.values["GenJet_pt"] == pytest.approx(left, rel=1e-5)
    lost = np.isin(np.arange(EVENTS), event[flagged])
    assert np.array_equal(seen.values["GenJet_mass"] > 0, lost)
    assert seen.counts["GenJet"] is block.counts["GenJet"]


def test_the_truth_comes_back_from_ratios_to_generated_muons() -> None:
    spec, true = fitted(jets_with_muons(3, (0.2, 0.5), prompt=0.3))
    block = true.without(spec.simulated, spec.generated)
    source = TrainingTargets(true, spec)
    run(block, spec, source)
    for name in ("Jet_muN", "Jet_muE", "Jet_chE", "Jet_neE"):
        assert block.values[name] == pytest.approx(true.values[name], rel=1e-3, abs=1e-3)
    rows = next(t for t in source.tables if t.table.name == "Jet properties")
    assert (rows.table["Jet_muNLessGenerated"] == 0).all()
    assert is_ratio(rows.table["Jet_muEShare"]).sum() == true.values["Jet_muN"].sum()


def test_ratios_stand_above_shares_and_come_back_as_shares() -> None:
    share, total = np.array([0.3, 0.3, 0.9]), np.array([100.0, 100.0, 100.0])
    energy = np.array([29.0, 3.0, 99.0])
    learned = with_ratios(share, share * total, energy)
    assert learned == pytest.approx([1 + 30 / 29, 0.3, 1 + 90 / 99])
    assert as_shares(learned, energy, total) == pytest.approx(share)
    assert as_shares(np.array([2.1]), np.array([99.0]), np.array([50.0])) == [1.0]


def test_rare_parts_are_shares_of_the_whole() -> None:
    spec, block = fitted(jets_with_muons(4, (0.2, 0.5), prompt=0.9))
    assert block.values["Jet_muE"].astype(bool).mean() < 0.1
    assert rare_first(spec.targets[0], block)[0] == "Jet_muE"


def test_objects_do_not_learn_from_what_process_it_is() -> None:
    spec, true = fitted(jets_with_muons(5, (0.2, 0.5), prompt=0.5))
    source = TrainingTargets(true, spec)
    run(true.without(spec.simulated, spec.generated), spec, source)
    read = {rows.table.name: set(rows.conditions) for rows in source.tables}
    whole = {"n_GenJet", "sum_GenJet_pt", "first_GenJet_pt", "GenMET_pt", "n_GenMuon"}
    for step in ("Jet found", "Jet response", "Jet properties", "Jet extras"):
        assert not whole & read[step]
        assert whole <= of_the_process(spec, step)
    assert "GenJet_GenMuon_dR" in read["Jet properties"]
    assert of_the_process(spec, "event") == frozenset()


@pytest.mark.slow
def test_jets_that_are_almost_a_muon_follow_from_jets_with_a_soft_one(
    tmp_path: Any,
) -> None:
    model = tmp_path / "sim.flow"
    known = jets_with_muons(6, (0.1, 0.4), prompt=0.4)
    ft.train_simulation(known, model, target=["Jet_*"], given=["Gen*"], effort="fast")
    other = jets_with_muons(7, (0.8, 0.95), prompt=0.0, n=1000)
    given = {name: v for name, v in other.items() if name.startswith("Gen")}
    with pytest.warns(UserWarning, match="outside those"):
        made = ft.simulate(model, given)
    number = ak.to_numpy(ak.num(made["Jet_pt"]))
    assert number.mean() > 0.95
    some = number == 1
    muons, true = (
        ak.to_numpy(ak.flatten(e["Jet_muE"][some])) for e in (made, ak.Array(other))
    )
    close = np.abs(muons / np.maximum(true, 1e-9) - 1) < 0.1
    assert close[true > 0].mean() > 0.8
    assert (muons[true == 0] == 0).mean() > 0.95
