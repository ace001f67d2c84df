"""Generators side by side in bench/: donors, dealt and padded events, relations, tables, figures
kept from run to run.
"""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

BENCH = Path(__file__).parents[2] / "bench"
Bench = Callable[[str], ModuleType]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def test_donors_give_values_of_the_training_and_follow_columns_before(
    bench: Bench,
) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2000, 1))
    rows = np.hstack(
        [x, x + 0.1 * draw.normal(size=x.shape), draw.integers(0, 3, x.shape)]
    )
    donors = bench("rival_methods").LeafDonors(rows)
    drawn = donors.draw(1500, seed=1)
    assert drawn.shape == (1500, 3)
    assert all(np.isin(drawn[:, k], rows[:, k]).all() for k in range(3))
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.98
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 0.1
    assert (drawn == donors.draw(1500, seed=1)).all()
    assert (drawn != donors.draw(1500, seed=2)).any()


def test_columns_keep_names_and_types(bench: Bench) -> None:
    methods = bench("rival_methods")
    columns = {"x": np.float32([0.5, 1.5]), "n": np.int32([3, 7])}
    made = methods.as_columns([[0.25, 2.6], [9.0, 6.4]], columns)
    assert made["x"].dtype == np.float32
    assert made["x"].tolist() == [0.25, 9.0]
    assert made["n"].dtype == np.int32
    assert made["n"].tolist() == [3, 6]
    many = {"few": np.array([1.0, 2, 2, 1, 1]), "many": np.arange(5.0)}
    assert list(methods.categories(many)) == [0]


def test_a_missing_package_is_named_with_what_installs_it(bench: Bench) -> None:
    methods = bench("rival_methods")
    absent = methods.Method("x", methods.fit_donors, package="no_such_package_here")
    assert absent.missing().startswith("no_such_package_here is not installed: pip")
    assert methods.METHODS["donors"].missing() == ""
    cells = {"jets/arfpy": {"missing": absent.missing()}}
    line = list(bench("rival_tables").tables(cells))[-1]
    assert line.startswith(
        "| adversarial random forest (arfpy) | no_such_package_here is"
    )
    assert line.count("|") == 9


def test_dealt_events_hold_the_jets_they_are_made_of(bench: Bench) -> None:
    samples = bench("rival_samples")
    jets = {"Jet_pt": np.float32([1, 5, 3, 4, 2]), "Jet_muN": np.arange(5)}
    events = samples.deal(jets, np.array([2, 0, 3]), seed=0)
    assert ak.num(events["Jet_pt"]).tolist() == events["nJet"].tolist() == [2, 0, 3]
    assert sorted(ak.flatten(events["Jet_pt"])) == [1, 2, 3, 4, 5]
    assert all(sorted(e, reverse=True) == e for e in events["Jet_pt"].tolist())
    own = dict(zip(jets["Jet_pt"], jets["Jet_muN"], strict=True))
    pairs = zip(ak.flatten(events["Jet_pt"]), ak.flatten(events["Jet_muN"]), strict=True)
    assert all(own[pt] == n for pt, n in pairs)
    with pytest.raises(SystemExit, match="5 jets are too few for events of 6"):
        samples.deal(jets, np.array([6]), seed=0)


def test_padded_events_come_back_up_to_the_most_jets(bench: Bench) -> None:
    samples = bench("rival_samples")
    pt = [[3.0, 2.0], [], list(range(samples.MOST + 2, 0, -1))]
    events = ak.Array({"Jet_pt": pt, "Jet_muN": [[1, 2], [], [0] * len(pt[2])]})
    names = ["Jet_pt", "Jet_muN"]
    back = samples.unpad(samples.pad(events, names), events, names)
    assert back["Jet_pt"].tolist() == [pt[0], pt[1], pt[2][: samples.MOST]]
    assert back["Jet_muN"][0].tolist() == [1, 2]
    assert back["nJet"].tolist() == [2, 0, samples.MOST]


def test_relations_of_jets_vanish_where_parts_add_up(bench: Bench) -> None:
    samples = bench("rival_samples")
    parts = {f"Jet_{p}{k}": np.array([1.0, 1.0]) for p in samples.PARTS for k in "EN"}
    sums = {
        f"Jet_{k}": sum(parts[f"Jet_{p}"] for p in v) for k, v in samples.SUMS.items()
    }
    axes = {"Jet_pt": np.full(2, 7.0), "Jet_eta": np.zeros(2), "Jet_mass": np.zeros(2)}
    parts["Jet_muE"] = np.array([1.0, 0.0])
    related = samples.jet_relations(axes | sums | parts)
    assert related["parts against the whole"] == pytest.approx(
        [-9, np.log10(1 / 7)], abs=1e-3
    )
    assert related["contradictions"].tolist() == [0, 1]
    assert related["chMuE less its parts"].tolist() == [0, 1]


def test_masses_of_pairs_of_higgs_are_those_of_back_to_back_jets(bench: Bench) -> None:
    samples = bench("rival_samples")
    columns = {f"x{k}": np.ones(1) for k in range(1, 29)}
    half = np.pi / samples.TURN
    columns |= {"x8": np.zeros(1), "x12": np.full(1, half), "x10": np.full(1, 4.0)}
    related = samples.higgs_relations(columns)
    assert related["mass ab"] == pytest.approx([2 * np.sqrt(1 * 4.0)])
    columns["x22"] = related["mass ab"] / np.exp(samples.UNITS["x22"])
    assert samples.higgs_relations(columns)["x22 against pairs"] < np.log(2e-4)


def test_figures_stay_until_settings_change(bench: Bench, tmp_path: Path) -> None:
    rivals = bench("rivals")
    a = Namespace(**rivals.OPTIONS | {"folder": tmp_path}, limit=9)
    names = rivals.CELLS["higgs"]
    assert list(rivals.stale(rivals.load(a), tmp_path, "higgs")) == list(names)
    cells: dict[str, Any] = {
        f"higgs/{n}": {"settings": rivals.settings_of(n)} for n in names
    }
    rivals.save_cells(a, cells)
    stored = rivals.load(a)
    assert list(rivals.stale(stored, tmp_path, "higgs")) == [
        "lattice"
    ]  # its model is gone
    (tmp_path / "higgs-lattice.flow").touch()
    assert list(rivals.stale(stored, tmp_path, "higgs")) == []
    stored["higgs/arfpy"]["settings"] = "others"
    stored["higgs/nsf"] = {"failed": "no result within 9 CPU seconds"}
    assert list(rivals.stale(stored, tmp_path, "higgs")) == ["nsf", "arfpy"]
    assert rivals.load(Namespace(**vars(a) | {"seed": 1})) == {}


def test_the_table_is_printed_again_from_stored_figures(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rivals = bench("rivals")
    monkeypatch.setattr(sys, "argv", ["rivals", "table", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"figures\.json is not there; `rivals.py meas"):
        rivals.script.main()
    row = {"auc": 0.6138, "auc with relations": 0.9, "nearer": 0.5, "identical": 0.0123}
    figures = dict.fromkeys(bench("rival_tables").KEYS.values(), 0.25)
    cells = {
        "higgs/donors": row | {"training": 2.24, "drawing": 0.08, "bytes": 77},
        "higgs/true": row,
        "events/lattice": {
            "figures": figures,
            "bits": 446.067,
            "rules": {"sum": 0.001, "x": 0.001},
        },
        "events/nsf": {"figures": figures},
        "events/arfpy": {"failed": "no result within 9 CPU seconds"},
    }
    (tmp_path / "figures.json").write_text(json.dumps({"cells": cells}))
    rivals.script.main()
    printed = capsys.readouterr().out
    line = "| leaf-donor trees | 0.614 | 0.900 | 0.500 | 1.23 % | 2.24 | 0.08 | 77 |"
    assert line in printed.splitlines()
    assert "| no result within 9 CPU seconds | |" in printed.replace("  ", " ")
    assert "| bits an event of the judge | 446.1 |" in printed
    assert "| events against rules, sum over rules | 0.10 % |" in printed


def test_a_run_of_a_method_that_fails_says_why(bench: Bench, tmp_path: Path) -> None:
    rivals = bench("rivals")
    options = rivals.OPTIONS | {"folder": tmp_path, "higgs": "no-such.csv"}
    cell = rivals.run_cell(Namespace(**options, limit=60), "higgs", "donors")
    assert "no-such.csv" in cell["failed"]
