"""The figures of muons and tags in bench/: numbers by hand, and what is beyond the limit."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import awkward as ak
import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
N = 3000


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("simulated_physics")


def events(seed: int, isolation: float = 0.1, mass: float = 91.0) -> ak.Array:
    """Return events of a central pair of muons back to back and two jets."""
    draw = np.random.default_rng(seed)
    pt = np.float32(draw.normal(mass, 2, N) / 2)
    two = np.ones((N, 2), "f4")
    opposite = two * np.array([[0, np.pi]], "f4")
    columns = {
        "Muon_pt": pt[:, None] * two,
        "Muon_eta": 0 * two,
        "Muon_phi": opposite,
        "Muon_charge": np.int32(two * [1, -1]),
        "Muon_pfRelIso04_all": np.float32(draw.exponential(isolation, (N, 2))),
        "Jet_pt": np.float32(20 + draw.exponential(30, (N, 2))),
        "Jet_eta": 0 * two,
        "Jet_phi": opposite,
        "Jet_chHadN": np.int32(draw.integers(0, 20, (N, 2))),
        "Jet_genJetIdx": np.int32(two * [0, -1]),
        "GenJet_pt": 30 * two[:, :1],
        "GenJet_eta": 0 * two[:, :1],
        "GenJet_phi": 0 * two[:, :1],
        "GenJet_hadronFlavour": np.int32(draw.choice([0, 4, 5], (N, 1))),
    }
    return ak.Array({name: ak.from_regular(content) for name, content in columns.items()})


def test_equal_samples_hold_and_changed_ones_do_not(bench: ModuleType) -> None:
    true = events(1)
    assert all(v.holds for v in bench.verdicts(true, events(1)).values())
    moved = bench.verdicts(true, events(2, isolation=0.2, mass=95.0))
    failed = {name for name, v in moved.items() if not v.holds}
    assert "median of isolation, p_T >= 30, abs(eta) < 1.2" in failed
    assert "median of m(mu mu), abs(eta) both < 1.2" in failed
    assert "half-width of m(mu mu), abs(eta) both < 1.2" not in failed
    narrow = moved["median of m(mu mu), abs(eta) both < 1.2"]
    assert narrow.true == pytest.approx(91, abs=0.2)
    assert narrow.simulated == pytest.approx(95, abs=0.2)
    assert narrow.limit == pytest.approx(0.03 * narrow.true + 2 * narrow.sigma)


def test_bins_of_few_values_are_not_judged(bench: ModuleType) -> None:
    few = events(1)[:40]
    assert bench.verdicts(few, few) == {}


def test_tags_are_added_and_judged_by_flavour(bench: ModuleType, tmp_path: Path) -> None:
    source, tagged = tmp_path / "a.root", tmp_path / "b.root"
    bench.write_events(source, "Events", events(3))
    bench.write_tagged(f"{source}:Events", tagged, seed=5)
    read = bench.uproot.open(tagged)["Events"].arrays()
    flavour = bench.flavours_of(read)
    tag = ak.to_numpy(ak.flatten(read["Jet_btag"]))
    means = [tag[flavour == k].mean() for k in (-1, 0, 4, 5)]
    assert means == sorted(means)
    assert 0 < tag.min() < tag.max() < 1
    judged = bench.verdicts(read, read)
    assert "mean of tag, flavour b, p_T 25 to 50" in judged
