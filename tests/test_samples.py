"""The embedded sample is the file its README describes, and holds physically sane events."""

import hashlib
import re

import awkward as ak
import numpy as np
import pytest
import uproot

from flowtuple.samples import sample_path
from make_sample import USAGE, delta_r, main, round_mantissa

README = sample_path().with_name("README.md")
PI = np.float32(np.pi)
BRANCHES = {
    "run": "uint32_t",
    "luminosityBlock": "uint32_t",
    "event": "uint64_t",
    "genWeight": "float",
    "Pileup_nPU": "int32_t",
    "MET_pt": "float",
    "MET_phi": "float",
    "HLT_Jet80": "bool",
    "nJet": "int32_t",
    "Jet_pt": "float[]",
    "Jet_eta": "float[]",
    "Jet_phi": "float[]",
    "Jet_mass": "float[]",
    "Jet_area": "float[]",
    "Jet_chHEF": "float[]",
    "Jet_neEmEF": "float[]",
    "Jet_btagScore": "float[]",
    "Jet_nConstituents": "uint8_t[]",
    "Jet_nMuons": "uint8_t[]",
    "Jet_partonFlavour": "int16_t[]",
}


@pytest.fixture(scope="module")
def events():
    with uproot.open(sample_path()) as file:
        return file["Events"].arrays()


def jets(events, name):
    return ak.to_numpy(ak.flatten(events[f"Jet_{name}"]))


def low_mantissa_bits(values, kept):
    return values.view(np.uint32) & np.uint32((1 << (23 - kept)) - 1)


def test_the_file_is_the_one_in_the_readme():
    (noted,) = re.findall(r"sha256 `([0-9a-f]{64})`", README.read_text(encoding="utf-8"))
    assert hashlib.sha256(sample_path().read_bytes()).hexdigest() == noted
    assert 0.9e6 < sample_path().stat().st_size < 1.1e6


def test_the_readme_names_every_branch():
    assert set(
        re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    ) == set(BRANCHES)


def test_trees_and_branches():
    with uproot.open(sample_path()) as file:
        assert set(file.keys(cycle=False)) == {"Events", "Runs", "pileup"}
        assert {
            name: branch.typename for name, branch in file["Events"].items()
        } == BRANCHES
        assert file["Runs"].keys() == ["run", "genEventCount", "genEventSumw"]


def test_the_readme_counts_the_events_and_jets(events):
    (noted,) = re.findall(
        r"([\d,]+) events with ([\d,]+) jets", README.read_text(encoding="utf-8")
    )
    assert tuple(int(number.replace(",", "")) for number in noted) == (
        len(events),
        len(jets(events, "pt")),
    )


def test_runs_and_the_histogram_agree_with_the_events(events):
    with uproot.open(sample_path()) as file:
        runs = file["Runs"].arrays(library="np")
        contents, edges = file["pileup"].to_numpy()
    assert runs["genEventCount"].tolist() == [len(events)]
    assert runs["genEventSumw"][0] == pytest.approx(
        np.sum(ak.to_numpy(events.genWeight).astype(np.float64)), rel=1e-12
    )
    expected, _ = np.histogram(ak.to_numpy(events.Pileup_nPU), edges)
    assert edges.tolist() == list(range(41))
    assert contents.tolist() == expected.tolist()


def test_every_collection_branch_has_the_counted_length(events):
    for name in BRANCHES:
        if name.startswith("Jet_"):
            assert ak.all(ak.num(events[name]) == events.nJet), name
    assert ak.any(events.nJet == 0)
    assert ak.max(events.nJet) > 5


def test_event_identifiers_are_unique_and_ordered(events):
    assert set(events.run.tolist()) == {1}
    assert np.all(np.diff(ak.to_numpy(events.event).astype(np.int64)) == 1)
    assert set(
        np.diff(ak.to_numpy(events.luminosityBlock).astype(np.int64)).tolist()
    ) == {
        0,
        1,
    }


def test_kinematics(events):
    pt = events.Jet_pt
    assert ak.all(pt[:, :-1] >= pt[:, 1:])
    assert ak.min(pt) >= 20.0
    assert np.all(np.abs(jets(events, "eta")) < 4.7)
    assert np.all(np.abs(jets(events, "phi")) <= PI)
    assert np.all(np.abs(ak.to_numpy(events.MET_phi)) <= PI)
    assert np.all(jets(events, "mass") >= 0)
    assert ak.all(events.MET_pt >= 0)
    assert ak.all(events.genWeight > 0)


def test_jet_contents(events):
    charged, photons = jets(events, "chHEF"), jets(events, "neEmEF")
    for fraction in (charged, photons):
        assert 0 <= fraction.min() < 0.1
        assert 0.9 < fraction.max() <= 1
    assert np.all(charged + photons <= 1.01)
    assert np.all(jets(events, "nConstituents") >= 1)
    assert np.all(jets(events, "nMuons") <= jets(events, "nConstituents"))
    assert set(np.abs(jets(events, "partonFlavour")).tolist()) == {0, 1, 2, 3, 4, 5, 21}
    assert np.median(jets(events, "area")) == pytest.approx(np.pi * 0.4**2, rel=0.05)


def test_the_discriminator_separates_b_jets_and_has_its_sentinel(events):
    score, flavour = jets(events, "btagScore"), np.abs(jets(events, "partonFlavour"))
    defined = score != -1
    assert np.all((score[defined] >= 0) & (score[defined] <= 1))
    assert not np.any(defined & (np.abs(jets(events, "eta")) > 2.501))
    assert np.median(score[defined & (flavour == 5)]) > 5 * np.median(
        score[defined & (flavour == 21)]
    )


@pytest.mark.parametrize(("name", "kept"), [("area", 10), ("chHEF", 8), ("neEmEF", 8)])
def test_truncated_branches_keep_few_mantissa_bits(events, name, kept):
    assert not low_mantissa_bits(jets(events, name), kept).any()
    assert low_mantissa_bits(jets(events, name), kept - 1).any()


@pytest.mark.parametrize("name", ["pt", "eta", "phi", "mass", "btagScore"])
def test_other_floats_use_the_whole_mantissa(events, name):
    assert np.mean(low_mantissa_bits(jets(events, name), 22)) > 0.3


def test_the_trigger_follows_the_leading_jet(events):
    leading = ak.fill_none(ak.firsts(events.Jet_pt), 0.0)
    assert not ak.any(events.HLT_Jet80[leading < 60])
    assert ak.all(events.HLT_Jet80[leading > 110])


@pytest.mark.parametrize("bits", [6, 8, 10, 12])
def test_round_mantissa_against_the_nearest_representable_value(bits):
    values = np.random.default_rng(3).uniform(-4, 4, 500).astype(np.float32)
    step = np.exp2(np.floor(np.log2(np.abs(values.astype(np.float64)))) - bits)
    assert (
        round_mantissa(values, bits).tolist()
        == (np.copysign(np.floor(np.abs(values) / step + 0.5), values) * step).tolist()
    )


def test_delta_r_is_periodic_in_phi():
    phi = np.linspace(-np.pi, np.pi, 9)
    np.testing.assert_allclose(
        delta_r(np.zeros(9), phi, 0.0, 0.5),
        delta_r(np.zeros(9), phi, 0.0, 0.5 - 2 * np.pi),
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["1", "2"],
        ["x", "2", "out.root"],
        ["1", "0", "out.root"],
        ["1", "-2", "out.root"],
    ],
)
def test_the_script_says_how_it_is_called(arguments):
    with pytest.raises(SystemExit, match=re.escape(USAGE)):
        main(arguments)
