"""Rules of a model in words, and events that violate them: named and counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.cli import app
from flowtuple.lattice.context import Parent
from flowtuple.lattice.event_features import KINDS, EventFeature
from flowtuple.reporting import describe
from flowtuple.reporting.describe import parent_in_words

EVENTS = 800
RULES = {
    "Jet_muN is 0 exactly where Jet_muE is 0",
    "Jet_pt does not rise from object to object",
    "HLT_Jet60 = Jet_pt > 60",
}


def events(seed: int) -> dict[str, ak.Array]:
    """Events with falling p_T, counts and energies that agree, and a flag of the leading p_T."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 4, EVENTS)
    pt = ak.unflatten(np.float32(20 + draw.exponential(30, counts.sum())), counts)
    pt = ak.sort(pt, axis=1, ascending=False)
    has_muon = draw.random(counts.sum()) < 0.3
    energy = np.where(has_muon, draw.exponential(5, counts.sum()) + 0.1, 0)
    return {
        "HLT_Jet60": np.asarray(pt[:, 0] > 60),
        "Jet_pt": pt,
        "Jet_muE": ak.unflatten(np.float32(energy), counts),
        "Jet_muN": ak.unflatten(has_muon.astype(np.int32), counts),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "m.flow"
    # At the end of a wide cell the range clips: the value there lies in the cell next to it, too.
    tolerance = {"Jet_pt": "abs:0.405", "Jet_muE": "abs:0.01"}
    ft.train(events(1), path, tolerance=tolerance, effort="fast")
    return path


def violating() -> dict[str, ak.Array]:
    """Events of which four, one and two violate the rules of flag, counts and p_T."""
    made = events(2)
    flag = made["HLT_Jet60"].copy()
    flag[:4] = ~flag[:4]
    pt = ak.to_list(made["Jet_pt"])
    long = [k for k, values in enumerate(pt) if len(values) > 2][10:12]
    for k in long:
        pt[k][1:] = [19.0, 21.0]
    muons = ak.to_list(made["Jet_muN"])
    muons[7] = [1 - n for n in muons[7]]
    numbers = {"Jet_pt": (pt, np.float32), "Jet_muN": (muons, np.int32)}
    changed = {k: ak.values_astype(ak.Array(v), t) for k, (v, t) in numbers.items()}
    return made | changed | {"HLT_Jet60": flag}


def test_info_lists_the_rules_of_a_model(model: Path) -> None:
    (table,) = ft.info(model)["tables"]
    assert set(table["rules"]) >= RULES
    shown = CliRunner().invoke(app, ["info", str(model)]).stdout
    assert "rule of drawn events: HLT_Jet60 = Jet_pt > 60" in shown


def test_events_that_violate_rules_are_counted(model: Path) -> None:
    loaded = ft.load(model)
    true = loaded.violations(events(2))
    assert {rule: true[rule] for rule in RULES} == dict.fromkeys(RULES, 0)
    found = loaded.violations(violating())
    assert {rule: found[rule] for rule in RULES} == {
        "Jet_muN is 0 exactly where Jet_muE is 0": 1,
        "Jet_pt does not rise from object to object": 2,
        "HLT_Jet60 = Jet_pt > 60": 4,
    }


def test_drawn_events_violate_no_rule(model: Path) -> None:
    loaded = ft.load(model)
    assert set(loaded.violations(loaded.sample(3000, seed=5)).values()) == {0}


def test_score_says_which_rules_the_events_violate(model: Path, tmp_path: Path) -> None:
    ft.compress(violating(), tmp_path / "x.ftup")
    ft.decompress(tmp_path / "x.ftup", tmp_path / "x.root")
    out = str(tmp_path / "scores.npz")
    arguments = ["score", str(model), str(tmp_path / "x.root"), "-o", out]
    ended = CliRunner().invoke(app, arguments)
    assert (
        "held for all training events, not for 4 of these: HLT_Jet60 = Jet_pt > 60"
        in ended.stderr
    )
    content = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert content["output"] == out
    assert content["violations"]["Jet_pt does not rise from object to object"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_has_words(kind: str) -> None:
    own, group = KINDS[kind]
    columns = tuple(f"c{k}" for k in range(own + 2 * group))
    words = parent_in_words(Parent("feature", feature=EventFeature(kind, columns)))
    assert kind in describe._FEATURES
    assert "{" not in words
    assert re.search(r"\bc\d", words)
