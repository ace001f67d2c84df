"""Rows of published flows, made of NanoAOD and like files, against loops over objects."""

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

import flowtuple as ft
from flowtuple.cli.app import app
from flowtuple.errors import InvalidArgument
from slow_preset_rows import rows_of

BOTH = "flashsim-jets", "flashsim-muons"
COUNTED = ("Jet_", "Muon_", "GenJet_", "GenPart_", "GenMuon_", "Closest", "Second")


def branches_of(preset: str) -> list[str]:
    """Names of NanoAOD that the rows are made from."""
    published = ft.flow_preset(preset)
    own = ("Jet", "genJetIdx") if preset == "flashsim-jets" else ("Muon", "genPartIdx")
    names = [f"{own[0]}_{name}" for name in ("pt", "eta", "phi", "mass", own[1])]
    names += [f"GenPart_{q}" for q in ("pt", "eta", "phi", "pdgId", "status")]
    names += [f"GenJet_{q}" for q in ("pt", "eta", "phi", "mass")]
    names.append("GenPart_statusFlags")
    made = ("MinusGen", "Ratio")
    for name in (*published.columns, *published.given):
        if not name.endswith(made) and not name.startswith(
            ("Closest", "Second", "GenMuon", "GenPart")
        ):
            names.append(name)
    return list(dict.fromkeys(names))


def made_up(preset: str, events: int = 200, seed: int = 0) -> ak.Array:
    """Events in the form of NanoAOD: few objects close together, some without a partner."""
    draw = np.random.default_rng(seed)
    counts = {
        "Jet": draw.integers(0, 5, events),
        "Muon": draw.integers(0, 4, events),
        "GenJet": draw.integers(0, 5, events),
        "GenPart": draw.integers(0, 9, events),
    }
    limits = {
        "Jet_genJetIdx": (-1, 7),  # some beyond the generated jets
        "Muon_genPartIdx": (-1, 9),
        "GenPart_status": (1, 3),
        "GenPart_statusFlags": (0, 2**15),
        "GenJet_partonFlavour": (-5, 22),
        "GenJet_hadronFlavour": (0, 6),
    }
    fields: dict[str, Any] = {}
    for name in branches_of(preset):
        collection, _, quantity = name.partition("_")
        n = int(counts[collection].sum()) if collection in counts else events
        if name == "GenPart_pdgId":
            values = draw.choice([13, -13, 13, 211], n)
        elif name in limits:
            values = draw.integers(*limits[name], n)
        elif quantity == "phi":
            values = draw.choice([-1, 1], n) * draw.uniform(2.9, np.pi, n)
        elif quantity == "eta":
            values = draw.uniform(-0.3, 0.3, n)
        elif quantity.startswith(("is", "medium", "softId", "softMvaId")):
            values = draw.random(n) < 0.5
        else:
            values = draw.exponential(20, n) + 0.1
        values = values.astype("f4") if values.dtype.kind == "f" else values
        fields[name] = (
            ak.unflatten(values, counts[collection]) if collection in counts else values
        )
    return ak.zip(fields, depth_limit=1)


def flat(made: ft.PresetRows, name: str) -> list[float]:
    return ak.flatten(made.events[name]).to_list()


def check_rows(made: ft.PresetRows, events: ak.Array, preset: str) -> int:
    """Compare every column of every row with the loops."""
    expected = [list(rows_of(event, preset)) for event in events.to_list()]
    rows = [row for event in expected for row in event]
    names = (*made.preset.columns, *made.preset.given)
    for name in names:
        values = made.events[name]
        if name.startswith(COUNTED):
            assert ak.num(values).to_list() == [len(event) for event in expected]
        else:
            values = ak.flatten(
                ak.broadcast_arrays(values, made.events[names[0]])[0], axis=None
            )
        got = ak.to_numpy(ak.flatten(values, axis=None)).astype(np.float64)
        want = np.array([row[name] for row in rows], np.float64)
        assert np.allclose(got, want, rtol=1e-6, atol=1e-7), name
    assert made.rows == len(rows)
    assert made.objects == made.rows + sum(made.dropped.values())
    return len(rows)


@pytest.mark.parametrize("preset", BOTH)
def test_made_up_events_give_the_rows_of_the_loops(preset: str) -> None:
    events = made_up(preset)
    made = ft.preset_rows(events, preset)
    assert check_rows(made, events, preset) > 30
    published = ft.flow_preset(preset)
    assert (made.preset.columns, made.preset.given) == (
        published.columns,
        published.given,
    )
    name = "ClosestMuon_dr" if preset == "flashsim-jets" else "ClosestJet_dr"
    near = ak.flatten(made.events[name])
    assert ak.any(near < 0.4)
    assert ak.any(near == 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "columns", "given"), [(BOTH[0], 17, 14), (BOTH[1], 22, 30)]
)
def test_every_column_of_nanoaod_is_that_of_the_loops(
    preset: str, columns: int, given: int, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "nanoAODv5_1000.root"
    made = ft.preset_rows(path, preset, tmp_path / "rows.root")
    assert (len(made.preset.columns), len(made.preset.given)) == (columns, given)
    events = uproot.open(path)["Events"].arrays(branches_of(preset))
    assert check_rows(made, events, preset) == {BOTH[0]: 6872, BOTH[1]: 578}[preset]
    written = uproot.open(tmp_path / "rows.root")["Events"].arrays()
    for name in (*made.preset.columns, *made.preset.given):
        assert ak.array_equal(written[name], made.events[name], dtype_exact=False)


@pytest.mark.slow
def test_delta_r_finds_the_partners_that_nanoaod_numbers(shared_data: Path) -> None:
    """Of muons with an index nearly all have the same partner by distance."""
    path = shared_data / "nanoAODv5_1000.root"
    numbered = ft.preset_rows(path, "flashsim-muons")
    near = ft.preset_rows(path, "flashsim-muons", by_distance=True)
    pairs, others = (
        set(zip(*(flat(x, n) for n in ("Muon_dxy", "GenMuon_pt")), strict=True))
        for x in (numbered, near)
    )
    assert len(pairs & others) > 0.98 * len(pairs)


@pytest.mark.slow
def test_reduced_files_give_the_columns_that_they_have(shared_data: Path) -> None:
    names = ["Muon_*", "GenMuon_*", "GenJet_*", "Pileup_nPU"]
    tree = uproot.open(shared_data / "jets24.root")["Events"]
    events = tree.arrays(filter_name=names, entry_start=20_000, entry_stop=21_000)
    made = ft.preset_rows(events, "flashsim-muons", available=True)
    assert (len(made.preset.columns), len(made.preset.given)) == (15, 10)
    assert check_rows(made, events, "flashsim-muons") > 100


def test_absent_branches_are_named_and_may_be_left_out() -> None:
    events = made_up("flashsim-jets")
    less = events[[n for n in events.fields if n not in ("Jet_btagCMVA", "Jet_mass")]]
    with pytest.raises(
        InvalidArgument,
        match=r"lacks Jet_btagCMVA, Jet_mass, from which 2 of the 31 columns of flashsim-jets",
    ):
        ft.preset_rows(less, "flashsim-jets")
    made = ft.preset_rows(less, "flashsim-jets", available=True)
    assert [part.name for part in made.left_out] == [
        "events/Jet_btagCMVA",
        "events/Jet_massRatio",
    ]
    assert "left out for want of branches: Jet_btagCMVA, Jet_massRatio" in made.notes[-1]
    assert len(made.preset.columns) == 15
    assert not {"Jet_btagCMVA", "Jet_massRatio"} & set(made.events.fields)
    check_rows(made, events, "flashsim-jets")


def test_what_matches_objects_is_never_left_out() -> None:
    events = made_up("flashsim-muons")
    less = events[[n for n in events.fields if n not in ("Muon_genPartIdx", "Muon_eta")]]
    with pytest.raises(
        InvalidArgument,
        match=r"lacks Muon_eta, which match .* or Muon_genPartIdx in their place",
    ):
        ft.preset_rows(less, "flashsim-muons", available=True)
    with pytest.raises(InvalidArgument, match="no preset of a flow 'jets'"):
        ft.preset_rows(events, "jets")


def test_without_an_index_objects_are_matched_by_distance() -> None:
    events = made_up("flashsim-jets")
    less = events[[n for n in events.fields if n != "Jet_genJetIdx"]]
    near, asked = (
        ft.preset_rows(x, "flashsim-jets", by_distance=x is events)
        for x in (less, events)
    )
    assert near.events.to_list() == asked.events.to_list()
    distance = np.hypot(
        ak.flatten(near.events["Jet_etaMinusGen"]),
        ak.flatten(near.events["Jet_phiMinusGen"]),
    )
    assert near.rows > 0
    assert np.all(distance < 0.4)


def test_objects_without_a_row_are_counted_by_reason() -> None:
    events = made_up("flashsim-jets", 3)
    number = np.array([0, 1, 2, -1, 0, 0])
    fields = {
        n: events[n] for n in events.fields if not n.startswith(("Jet_", "GenJet_"))
    }
    fields |= {
        n: [[0.5] * 4, [0.5], [0.5]] for n in events.fields if n.startswith("Jet_")
    }
    fields["Jet_genJetIdx"] = ak.unflatten(number, [4, 1, 1])
    fields["Jet_pt"] = [[1.0, np.nan, 1.0, 1.0], [1.0], [1.0]]
    fields |= {
        n: [[0.5, 0.5], [0.5], []] for n in events.fields if n.startswith("GenJet_")
    }
    fields["GenJet_mass"] = [[0.5, 0.5], [0.0], []]
    made = ft.preset_rows(ak.zip(fields, depth_limit=1), "flashsim-jets")
    assert made.rows == 1
    assert made.dropped == {
        "Jet_genJetIdx beyond the GenJet_* of the event": 2,
        "no generated partner": 1,
        "NaN or an infinity": 2,
    }
    assert made.notes[1].endswith("1 of 6 jets have no row: no generated partner")


def test_partners_of_muons_are_muons_of_the_final_state() -> None:
    events = made_up("flashsim-muons", 400)
    made = ft.preset_rows(events, "flashsim-muons")
    assert made.dropped["a partner that is no muon of the final state"] > 0
    check_rows(made, events, "flashsim-muons")


@pytest.mark.parametrize("preset", BOTH)
def test_events_without_objects_and_files_without_events(preset: str) -> None:
    events = made_up(preset)
    own = "nJet" if preset == "flashsim-jets" else "nMuon"
    none = events[ak.num(events[f"{own[1:]}_pt"]) == 0]
    assert len(none) > 0
    made = ft.preset_rows(none, preset)
    assert (made.objects, made.rows, len(made.events)) == (0, 0, len(none))
    empty = ft.preset_rows(events[:0], preset)
    assert (empty.rows, len(empty.events)) == (0, 0)
    assert set(ft.flow_preset(preset).columns) <= set(empty.events.fields)


def test_collections_of_unequal_lengths_are_refused() -> None:
    events = made_up("flashsim-jets")
    one = ak.without_field(events, "GenJet_mass")
    wrong = ak.with_field(one, ak.Array([[1.0] * 6] * len(events)), "GenJet_mass")
    with pytest.raises(
        InvalidArgument, match=r"has other numbers of objects than 'GenJet_"
    ):
        ft.preset_rows(wrong, "flashsim-jets")


def test_the_command_writes_what_the_function_returns(tmp_path: Path) -> None:
    events = made_up("flashsim-muons")
    source, out = tmp_path / "nano.parquet", tmp_path / "rows.parquet"
    ak.to_parquet(events, source)
    words = ["preset-rows", str(source), "-o", str(out), "--preset", "flashsim-muons"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    made = ft.preset_rows(events, "flashsim-muons")
    assert json.loads(result.stdout)["rows"] == made.rows
    assert ak.array_equal(
        ak.from_parquet(out)["Muon_ptRatio"],
        made.events["Muon_ptRatio"],
        dtype_exact=False,
    )


SMALL = [
    "--steps",
    "2",
    "--hidden",
    "8",
    "--blocks",
    "1",
    "--bins",
    "4",
    "--epochs",
    "2",
    "--learning-rate",
    "1e-3",
]


@pytest.mark.slow
def test_train_flow_makes_the_rows_itself(tmp_path: Path) -> None:
    pytest.importorskip("zuko")
    source, rows = tmp_path / "nano.parquet", tmp_path / "rows.parquet"
    events = made_up("flashsim-muons", 400)
    ak.to_parquet(ak.without_field(events, "Muon_softMva"), source)
    words = ["--preset", "flashsim-muons"]
    refused = CliRunner().invoke(
        app, ["train-flow", str(source), "-o", str(tmp_path / "m.flow"), *words]
    )
    assert "lacks Muon_softMva, from which 1 of the 52 columns" in str(refused.exception)
    words.append("--available")
    made = ["preset-rows", str(source), "-o", str(rows), *words]
    assert CliRunner().invoke(app, made).exit_code == 0
    models = [tmp_path / "one.flow", tmp_path / "two.flow"]
    for path, model in zip((source, rows), models, strict=True):
        learned = ["train-flow", str(path), "-o", str(model), *words, *SMALL]
        result = CliRunner().invoke(app, learned)
        assert result.exit_code == 0, (result.output, result.exception)
    drawn, same = (ft.sample(model, given=rows, seed=1) for model in models)
    assert drawn.to_list() == same.to_list()
    assert len(drawn) == ft.preset_rows(events, "flashsim-muons").rows
    assert "Muon_softMva" not in drawn.fields


def test_factors_of_files_go_with_rows_that_are_made(tmp_path: Path) -> None:
    pytest.importorskip("zuko")
    source = tmp_path / "nano.parquet"
    ak.to_parquet(made_up("flashsim-muons"), source)
    words = ["-o", str(tmp_path / "m.flow"), "--preset", "flashsim-muons"]
    result = CliRunner().invoke(app, ["train-flow", f"{source}:0.5", str(source), *words])
    assert "make those of each file with `preset_rows()` first" in str(result.exception)


ONE_MUON: dict[str, Any] = {
    "Muon_pt": [[21.0], []],
    "Muon_genMuonIdx": [[0], []],
    "GenMuon_pt": [[20.0], []],
    "weight": [1.0, 2.0],
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weigth", "no column 'weigth' .*nearest: weight"),
        ("Muon_pt", "no column 'Muon_pt'"),
    ],
)
def test_a_column_that_cannot_be_copied_is_named(name: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ft.preset_rows(ONE_MUON, "flashsim-muons", available=True, extra=[name])


@pytest.mark.parametrize("index", [0.5, np.nan])
def test_an_index_that_is_no_whole_number_is_refused(index: float) -> None:
    events = ONE_MUON | {"Muon_genMuonIdx": [[index], []]}
    with pytest.raises(
        InvalidArgument, match=r"Muon_genMuonIdx is of type float64.*`by_d"
    ):
        ft.preset_rows(events, "flashsim-muons", available=True)
