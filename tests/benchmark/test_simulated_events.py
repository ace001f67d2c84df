"""The figures of simulated events in bench/: numbers by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("sklearn")

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("simulated_events")


def test_figures_of_events_are_those_worked_out_by_hand(bench: ModuleType) -> None:
    events = ak.Array(
        {
            "Jet_pt": [[80.0, 40.0], [50.0, 30.0], [20.0]],
            "Jet_eta": [[0.0, 0.0], [1.0, 1.3], [0.0]],
            "Jet_phi": [[3.1, -3.1], [0.0, 1.0], [0.0]],
            "Jet_mass": [[0.0, 0.0], [0.0, 0.0], [0.0]],
            "Jet_genJetIdx": [[0, 1], [1, 0], [-1]],
            "GenJet_pt": [[100.0, 50.0], [40.0, 40.0], []],
            "MET_pt": [10.0, 20.0, 5.0],
            "MET_phi": [0.0, np.pi / 2, 1.0],
            "GenMET_pt": [4.0, 0.0, 5.0],
            "GenMET_phi": [0.0, 0.0, 1.0],
        }
    )
    near = bench.first(bench.distances(events), 0, 9.0)
    assert near == pytest.approx([2 * np.pi - 6.2, np.hypot(0.3, 1), 9.0])
    assert bench.responses(events)[:, :2] == pytest.approx(
        np.array([[0.8, 0.75], [0.8, 1.25]])
    )
    assert np.isnan(bench.responses(events)[:, 2]).all()
    assert bench.of_met(events) == pytest.approx(
        np.array([[6, 0, 0], [0, 20, 0]]), abs=1e-9
    )
    opening = np.cosh(0.3) - np.cos(1.0)
    masses = bench.mass(events, "Jet", 0, 1)
    assert masses[1:] == pytest.approx([np.sqrt(2 * 50 * 30 * opening), -1])
    assert bench.half_width(np.linspace(0, 1, 1001)) == pytest.approx(0.34)


def test_areas_tell_changed_events_and_no_others(bench: ModuleType) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(0, 1, (2, 3000))
    one, other = ({"nJet": np.zeros(3000), "x": x} for x in (a, b))
    assert abs(bench.area(one, other, paired=False, rounds=20) - 0.5) < 0.04
    assert bench.area(one, {**one, "x": a + 3}, paired=True, rounds=20) > 0.9
