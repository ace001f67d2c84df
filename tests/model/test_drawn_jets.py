"""Drawn jets of the larger sample beside true ones that the model never saw."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import flowtuple as ft
from flowtuple.data.schema import Array

TRAINED, DRAWN = 6000, 3000
PARTS = ("chHad", "neHad", "pho", "ele", "mu", "hfHad", "hfEm")
NEAR = 0.5

Events = ak.Array | dict[str, ak.Array]


def missing_ht(x: Events) -> Array:
    px, py = (ak.sum(x["Jet_pt"] * f(x["Jet_phi"]), axis=1) for f in (np.cos, np.sin))
    return np.hypot(ak.to_numpy(px), ak.to_numpy(py)).astype(float)


def overlapping(x: Events) -> float:
    """Share of events with two jets within Delta R of 0.5."""
    axes = ak.zip({"eta": x["Jet_eta"], "phi": x["Jet_phi"]})
    a, b = ak.unzip(ak.combinations(axes, 2))
    turn = abs(a.phi - b.phi)
    turn = ak.where(turn > np.pi, 2 * np.pi - turn, turn)
    near = np.sqrt((a.eta - b.eta) ** 2 + turn**2) < NEAR
    return float(ak.mean(ak.any(near, axis=1)))


def contradictions(x: ak.Array) -> int:
    """Jets with a count of a kind and no energy of it, or the reverse."""
    pairs = [(f"Jet_{p}E", f"Jet_{p}N") for p in PARTS]
    there = [(e, n) for e, n in pairs if {e, n} <= set(x.fields)]
    assert len(there) == len(PARTS)
    return sum(int(ak.sum((x[e] > 0) != (x[n] > 0))) for e, n in there)


def columns(sample: Path, names: list[str], **entries: int) -> dict[str, ak.Array]:
    uproot = pytest.importorskip("uproot")
    with uproot.open(sample) as file:
        array = file["Events"].arrays(filter_name=names, **entries)
    return {name: array[name] for name in array.fields if name != "Jet_genJetIdx"}


@pytest.mark.slow
def test_drawn_jets_hold_together(shared_data: Path, tmp_path: Path) -> None:
    sample, path = shared_data / "jets24.root", tmp_path / "m.flow"
    if not sample.is_file():
        pytest.skip(f"{sample} is not there")
    trained = columns(sample, ["Jet_*"], entry_stop=TRAINED)
    true = columns(sample, ["Jet_pt", "Jet_phi"], entry_start=TRAINED)
    ft.train(trained, path, tolerance="std:2.88e-3", effort="fast")
    drawn = ft.load(path).sample(DRAWN, seed=4)
    assert contradictions(drawn) == 0
    assert overlapping(drawn) <= 0.005
    expected = missing_ht(true)
    distance = wasserstein_distance(expected, missing_ht(drawn)) / expected.std()
    assert distance <= 0.5
