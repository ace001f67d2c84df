"""The figures of whole events in bench/: numbers by hand, and the command on few made-up events."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

BENCH = Path(__file__).parents[2] / "bench"
EVENTS = ak.Array(
    {
        "MET_pt": np.float32([10, 5, 0]),
        "MET_phi": np.float32([0, 1, 2]),
        "HLT_Jet60": [True, False, False],
        "Jet_pt": [[80.0, 40.0, 20.0], [50.0], []],
        "Jet_eta": [[0.0, 0.0, 0.3], [1.0], []],
        "Jet_phi": [[0.0, 3.0, -3.1], [0.0], []],
        "Jet_muE": [[0.0, 1.0, 0.0], [2.0], []],
        "Jet_muN": [[0, 1, 1], [1], []],
        "Jet_genJetIdx": [[0, 1, -1], [0], []],
    }
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> list[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCH))
    return [importlib.import_module(f) for f in ("event_numbers", "drawn_events")]


def test_numbers_of_an_event_are_those_worked_out_by_hand(
    bench: list[ModuleType],
) -> None:
    numbers, _ = bench
    found = numbers.numbers_of(EVENTS, "Jet")
    assert found["H_T"].tolist() == [140, 50, 0]
    x = 80 + 40 * np.cos(3) + 20 * np.cos(3.1)
    y = 40 * np.sin(3) - 20 * np.sin(3.1)
    assert found["missing H_T"] == pytest.approx([np.hypot(x, y), 50, 0])
    assert found["nearest pair"][0] == pytest.approx(
        np.hypot(0.3, 2 * np.pi - 6.1), rel=1e-6
    )
    assert found["second nearest pair"][0] == pytest.approx(3.0)
    assert np.isnan(found["nearest pair"][1:]).all()
    mass = np.sqrt(2 * 80 * 40 * (1 - np.cos(3)))
    assert found["mass 01"][0] == pytest.approx(mass)
    assert np.isnan(found["mass 01"][1:]).all()
    assert found["contradictions"].tolist() == [1, 0, 0]
    assert found["MET and objects"][2] == 0
    assert not any("genJetIdx" in name for name in found)
    assert set(numbers.event_columns(EVENTS)) == {"MET_pt", "MET_phi", "HLT_Jet60"}


def test_opposite_charges_have_the_mass_of_the_leading_two(
    bench: list[ModuleType],
) -> None:
    numbers, _ = bench
    muons = ak.Array(
        {
            "Muon_pt": [[45.0, 45.0], [9.0, 8.0], [7.0]],
            "Muon_eta": [[0.0, 0.0], [0.0, 1.0], [0.0]],
            "Muon_phi": [[0.0, np.pi], [0.0, 1.0], [0.0]],
            "Muon_charge": [[1, -1], [1, 1], [-1]],
        }
    )
    assert numbers.opposite_mass(muons, "Muon") == pytest.approx([90.0], rel=1e-4)


def test_equal_events_are_counted_and_empty_ones_are_not(bench: list[ModuleType]) -> None:
    numbers, _ = bench
    assert numbers.share_identical(EVENTS, EVENTS) == 1
    others = EVENTS[[1, 2]]
    assert numbers.share_identical(EVENTS, others) == 0.5
    moved = ak.with_field(EVENTS, EVENTS["Jet_pt"] + 1, "Jet_pt")
    assert numbers.share_identical(moved, EVENTS) == 0


def test_flags_that_differ_from_their_cuts_are_counted(bench: list[ModuleType]) -> None:
    _, drawn = bench
    assert drawn.contradictions(EVENTS, "HLT_Jet60=Jet_pt>60") == 0
    assert drawn.contradictions(EVENTS, "HLT_Jet60=Jet_pt>40") == pytest.approx(1 / 3)
    assert drawn.contradictions(EVENTS, "HLT_Jet60=Jet_pt>40&Jet_eta<0.5") == 0
    with pytest.raises(SystemExit, match="is no cut"):
        drawn.contradictions(EVENTS, "HLT_Jet60=Jet_pt")


def test_distances_and_areas_tell_a_shifted_sample(bench: list[ModuleType]) -> None:
    _, drawn = bench
    draw = np.random.default_rng(0)
    a, b = draw.normal(0, 2, (2, 3000, 1))
    assert drawn.w1(a[:, 0], a[:, 0] + 1) == pytest.approx(1 / a.std())
    assert abs(drawn.area(a, b, 3000) - 0.5) < 0.03
    assert drawn.area(a, b + 6, 3000) > 0.95


@pytest.mark.slow
def test_the_command_prints_figures_and_draws_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mplhep")
    draw, paths = np.random.default_rng(0), []
    for name in ("train", "judge"):
        counts = draw.integers(0, 5, 400)
        pt = np.sort(20 + draw.exponential(30, counts.sum()))[::-1]
        flat = {"Jet_pt": pt, "Jet_eta": draw.normal(0, 2, len(pt))}
        flat["Jet_phi"] = draw.uniform(-3, 3, len(pt))
        events = {k: ak.unflatten(np.float32(v), counts) for k, v in flat.items()}
        events["MET_pt"] = np.float32(draw.exponential(20, 400))
        paths.append(str(tmp_path / f"{name}.root"))
        ft.compress(events, tmp_path / f"{name}.ftup", effort="fast")
        ft.decompress(tmp_path / f"{name}.ftup", paths[-1])
    monkeypatch.syspath_prepend(str(BENCH))
    arguments = ["--effort", "fast", "--bound", "std:0.05", "--pictures"]
    arguments.append(str(tmp_path / "pictures"))
    monkeypatch.setattr(sys, "argv", ["drawn_events", "measure", *paths, *arguments])
    runpy.run_path(str(BENCH / "drawn_events.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.search(r"^trained in \d+ CPU seconds", printed, re.MULTILINE)
    assert re.search(r"^bits an event of the judge: \d+\.\d+$", printed, re.MULTILINE)
    rows = re.findall(r"^\| (.+?) \| (\S+) \| (\S+) \|$", printed, re.MULTILINE)
    figures = {name: (float(a), float(b)) for name, a, b in rows}
    assert 0.4 < figures["Jet: AUC of events"][1] < 0.6
    assert len(list(tmp_path.glob("pictures/*.png"))) == 6
