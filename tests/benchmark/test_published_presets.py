"""Published sets of variables: every formula against numbers worked out by hand, event filters,
columns found by name.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("zuko")

import flowtuple as ft
from flowtuple.api import decode_rows, encode_rows, report_rows
from flowtuple.benchmark.published.filters import EventFilter, cut_rows
from flowtuple.benchmark.published.layout import describe, read_parts
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.presets import PRESETS, reference_preset
from flowtuple.cli import app
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument
from flowtuple.transforms import Chain
from in_process import run_here

SMALL = Autoencoder(hidden=(16, 8), training=ft.Training(epochs=1, batch=256, patience=0))
ATLAS = "HLT_xAOD__JetContainer_TrigHLTJetDSSelectorCollectionAuxDyn."

# Variable, value in the file (energies in MeV), normalised value.
FOUR = [
    ("m", 9_000.0, 1 / 1.8),  # log10(9 + 1) = 1
    ("m", 0.0, 0.0),
    ("pt", 100_000.0, 0.7 / 1.2),  # log10(100) - 1.3 = 0.7
    ("pt", 10_000.0, -0.25),  # 1 - 1.3 = -0.3
    ("phi", -1.5, -0.5),
    ("eta", 2.5, 0.5),
]
ATLAS_27 = [
    *FOUR,
    ("ActiveArea", 0.4, 0.5),
    ("ActiveArea4vec_pt", 0.35, 0.5),
    ("ActiveArea4vec_eta", -1.0, -0.2),
    ("ActiveArea4vec_phi", 3.0, 1.0),
    ("ActiveArea4vec_m", 0.09, 0.35),  # 0.5 - 0.15
    ("AverageLArQF", 0.0, 0.0),
    ("AverageLArQF", 900.0, 0.4),  # log10(1000) - 2 = 1, over 2.5
    ("NegativeE", 0.0, 0.0),
    ("NegativeE", -9_000.0, 0.625),  # log10(9 + 1) = 1, over 1.6
    ("HECQuality", 0.3, 0.3),
    ("LArQuality", 0.3, 0.5),
    ("Width", 0.15, 0.25),
    ("WidthPhi", 0.3, 0.5),
    ("CentroidR", 1000.0, 0.0),
    ("CentroidR", 10_000.0, 1.25),  # 4 - 3 = 1, over 0.8
    ("DetectorEta", -2.5, -0.5),
    ("LeadingClusterCenterLambda", 900.0, 0.5),  # 1 over 2
    ("LeadingClusterPt", 1_000_000.0, 2.5),  # log10(1000) = 3, over 1.2
    ("LeadingClusterSecondLambda", 900_000.0, 1.0),  # 900 + 100
    ("LeadingClusterSecondR", 9_900_000.0, 2 / 0.6),  # log10(9900 + 100) - 2 = 2
    ("N90Constituents", 5.0, 0.25),
    ("EMFrac", 0.8, 0.5),
    ("HECFrac", 0.4, 0.4),
    ("Timing", -10.0, -0.25),
    ("OotFracClusters10", 0.0, 0.0),
    ("OotFracClusters10", 9.0, 1 / 0.3),
    ("OotFracClusters5", 99.0, 2 / 0.3),
]


@pytest.mark.parametrize(
    ("preset", "variable", "value", "expected"),
    [*(("jets4", *row) for row in FOUR), *(("atlas27", *row) for row in ATLAS_27)],
)
def test_formulas(preset: str, variable: str, value: float, expected: float) -> None:
    variables = reference_preset(preset)
    recipe = variables.formulas({v.name: v.name for v in variables.variables}, "MeV")[
        variable
    ]
    chain = Chain.fit(recipe, np.array([value]))
    assert chain.forward(np.array([value]))[0] == pytest.approx(expected, abs=1e-12)
    assert chain.inverse(np.array([expected]))[0] == pytest.approx(
        value, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("variable", [v.name for v in PRESETS["cms24"].variables])
def test_the_24_variables_go_from_0_to_1(variable: str) -> None:
    variables = reference_preset("cms24")
    recipe = variables.formulas({v.name: v.name for v in variables.variables}, "GeV")[
        variable
    ]
    x = np.array([2.0, 4.0, 10.0])  # (4 - 2) / 8
    assert Chain.fit(recipe, x).forward(x).tolist() == [0.0, 0.25, 1.0]


def test_every_variable_has_its_formula_in_the_table() -> None:
    assert {row[0] for row in FOUR} == {v.name for v in PRESETS["jets4"].variables}
    assert {row[0] for row in ATLAS_27} == {v.name for v in PRESETS["atlas27"].variables}
    assert {name: len(p.variables) for name, p in PRESETS.items()} == {
        "jets4": 4,
        "cms24": 24,
        "atlas27": 27,
    }


def test_energies_in_gev_are_not_divided() -> None:
    variables = reference_preset("jets4")
    assert (
        variables.formulas({v.name: v.name for v in variables.variables}, "GeV")["pt"]
        == "log10,subtract:1.3,divide:1.2"
    )


# -- event filters
# ----------------------------------------------------------------------------------------------------------

GOOD = dict.fromkeys((v.name for v in PRESETS["atlas27"].variables), 0.1)


@pytest.mark.parametrize(
    ("changed", "passes"),
    [
        ({}, True),
        ({"EMFrac": -5.0}, False),
        ({"EMFrac": 0.04, "eta": 2.0}, False),
        ({"EMFrac": 0.04, "eta": 1.9}, True),
        ({"EMFrac": 0.06, "eta": -2.0}, True),
        ({"AverageLArQF": 0.9, "EMFrac": 0.96, "LArQuality": 0.9, "eta": 2.7}, False),
        ({"AverageLArQF": 0.9, "EMFrac": 0.96, "LArQuality": 0.9, "eta": 2.9}, True),
        ({"NegativeE": -299_000.0}, True),
        ({"NegativeE": -300_000.0}, False),  # MeV
        ({"AverageLArQF": 0.9, "HECQuality": -0.6, "HECFrac": 0.6}, False),
        ({"AverageLArQF": 0.7, "HECQuality": -0.6, "HECFrac": 0.6}, True),
        ({"OotFracClusters10": -0.1}, False),
        ({"OotFracClusters5": -0.2}, False),
        ({"Width": 5.0}, False),
        ({"Width": -1.0}, False),
        ({"WidthPhi": -5.0}, False),
        ({"Timing": -125.0}, False),
        ({"Timing": 124.0}, True),
        ({"LArQuality": 4.0}, False),
        ({"HECQuality": 2.5}, False),
    ],
)
def test_the_event_filter_of_the_27(changed: dict[str, float], passes: bool) -> None:
    variables = reference_preset("atlas27")
    values = np.array([list((GOOD | changed).values()), list(GOOD.values())])
    rows = Rows("jets", tuple(GOOD), values, np.arange(2), 2)
    columns = {v.name: v.name for v in variables.variables}
    kept, left_out = cut_rows(
        rows, variables.cuts, variables.values(rows, columns, "MeV")
    )
    assert len(kept) == 1 + passes
    assert sum(left_out.values()) == 1 - passes


def test_a_row_counts_for_the_first_cut_that_it_fails() -> None:
    rows = Rows("x", ("x",), np.array([[1.0], [2.0], [3.0]]), np.arange(3), 3)
    assert cut_rows(rows, ["x > 1", "x > 0", "x > 2"])[1] == {
        "x > 1": 1,
        "x > 0": 0,
        "x > 2": 1,
    }
    assert cut_rows(rows, ["x > 1", "x > 1"])[1] == {"x > 1": 1}
    four = Rows(
        "x",
        ("m", "pt", "phi", "eta"),
        np.array([[0.0, 9, 1, 2], [3, 9, 1, 2]]),
        np.arange(2),
        2,
    )
    assert EventFilter("jets4", ("abs(m) > 1e-9",)).apply(four)[1] == {"abs(m) > 1e-9": 1}
    with pytest.raises(
        InvalidArgument, match="x: the cut 'x > 9' leaves no row; widen it"
    ):
        cut_rows(rows, ["x > 9"])


# -- columns
# ----------------------------------------------------------------------------------------------------------------


def test_columns_are_found_behind_the_name_of_their_collection() -> None:
    variables = reference_preset("atlas27")
    names = [ATLAS + v.name for v in variables.variables]
    found = variables.find([*names, ATLAS + "EnergyPerSampling", "mu"], "x.root")
    assert list(found.values()) == names  # pt is not taken for ActiveArea4vec_pt


def test_columns_of_aod_are_found() -> None:
    collection = "recoPFJets_ak5PFJets__RECO.obj."
    plain, deep = (
        ("pt_", "eta_", "phi_", "mass_", "mJetArea"),
        [v.others[1] for v in PRESETS["cms24"].variables[5:]],
    )
    found = reference_preset("cms24").find(
        [collection + name for name in (*plain, *deep)], "aod.root"
    )
    assert found["chHadE"] == collection + "m_specific.mChargedHadronEnergy"
    assert found["area"] == collection + "mJetArea"


def test_what_cannot_be_found_is_refused() -> None:
    jets = reference_preset("jets4")
    with pytest.raises(
        InvalidArgument, match=r"x: lacks Jet_eta of the preset jets4; nearest: .*Jet_"
    ):
        jets.find(["Jet_pt", "Jet_mass", "Jet_phi", "MET_pt"], "x")
    names = [
        f"{kind}_{name}"
        for kind in ("Jet", "FatJet")
        for name in ("pt", "eta", "phi", "mass")
    ]
    with pytest.raises(
        InvalidArgument,
        match=r" as Jet_\* and FatJet_\*; choose with `columns=` 'Jet_\*'",
    ):
        jets.find(names, "x")
    with pytest.raises(
        InvalidArgument,
        match="no preset 'cms42' of the reference methods; nearest: cms24",
    ):
        reference_preset("cms42")


# -- files
# ------------------------------------------------------------------------------------------------------------------


def atlas_jets(n: int = 600) -> dict[str, np.ndarray]:
    """The 27 variables in MeV, all within the domain of their formulas; one row in ten late."""
    draw = np.random.default_rng(0)
    values = {v.name: draw.uniform(0.1, 0.7, n) for v in PRESETS["atlas27"].variables}
    for name in ("pt", "m", "LeadingClusterPt", "CentroidR"):
        values[name] = draw.uniform(2e4, 3e5, n)
    values["NegativeE"] = -draw.exponential(500, n)
    values["Timing"] = np.where(np.arange(n) % 10 == 0, 200.0, values["Timing"])
    return {name: x.astype("f4") for name, x in values.items()} | {
        "other": np.zeros(n, "f4")
    }


@pytest.mark.slow
def test_a_preset_chooses_columns_rows_and_formulas(tmp_path: Path) -> None:
    asked = replace(SMALL, unit="MeV", latent=6)
    found = encode_rows(
        atlas_jets(), tmp_path / "x.ref", asked, preset="atlas27", cuts=["phi < 0.6"]
    )
    late = np.arange(600) % 10 == 0
    turned = int((atlas_jets()["phi"][~late] >= 0.6).sum())
    assert [a.column for a in found.accuracy] == [
        v.name for v in PRESETS["atlas27"].variables
    ]
    assert {cut: n for cut, n in found.left_out.items() if n} == {
        "abs(Timing) < 125": 60,
        "phi < 0.6": turned,
    }
    decoded = decode_rows(tmp_path / "x.ref")
    assert len(decoded) == found.rows == 540 - turned
    kept = ~late & (atlas_jets()["phi"] < 0.6)
    for a in found.accuracy:
        distance = np.abs(
            atlas_jets()[a.column][kept].astype("f8")
            - np.asarray(decoded[a.column], "f8")
        )
        assert float(distance.max()) == a.largest
    assert (
        np.asarray(decoded["NegativeE"]) < 1000
    ).all()  # 1 - 10^y is below 1 GeV for any y
    plain = encode_rows(
        atlas_jets(),
        tmp_path / "y.ref",
        asked,
        preset="atlas27",
        selection=ft.Selection(),
    )
    assert plain.rows == 540


@pytest.mark.slow
def test_custom_formulas_are_the_presets(tmp_path: Path) -> None:
    """A preset changes what is learned: `standard` does not, which has no formulas of its own."""
    asked = replace(SMALL, unit="MeV", latent=6)
    preset = reference_preset("atlas27")
    formulas = preset.formulas({v.name: v.name for v in preset.variables}, "MeV")
    data = {name: x for name, x in atlas_jets().items() if name != "other"}
    cuts = ["Timing < 125"]
    encode_rows(data, tmp_path / "preset.ref", asked, preset="atlas27")
    encode_rows(
        data, tmp_path / "formulas.ref", replace(asked, formulas=formulas), cuts=cuts
    )
    encode_rows(data, tmp_path / "own.ref", asked, cuts=cuts)
    parts = [
        read_parts(tmp_path / f"{name}.ref") for name in ("preset", "formulas", "own")
    ]
    by_preset, by_formulas, own = (
        (p.weights, p.codes, p.content["settings"]) for p in parts
    )
    assert by_preset == by_formulas != own
    cut = EventFilter("", ("Timing < 125",), "MeV")
    assert [p.event_filter for p in parts] == [
        EventFilter("atlas27", (), "MeV"),
        cut,
        cut,
    ]


def massless_among_jets() -> ak.Array:
    """1,200 jets in MeV in 400 events, every tenth without a mass, and one without a p_T that is a
    number.
    """
    draw, counts = (
        np.random.default_rng(0),
        np.random.default_rng(1).multinomial(1200, np.full(400, 1 / 400)),
    )
    pt = 2e4 + draw.exponential(3e4, 1200)
    mass = np.where(np.arange(1200) % 10, pt * draw.uniform(0.05, 0.2, 1200), 0)
    pt[7] = np.nan
    values = {
        "m": mass,
        "pt": pt,
        "phi": draw.uniform(-3.1, 3.1, 1200),
        "eta": draw.normal(0, 1.5, 1200),
    }
    return ak.zip(
        {
            f"Jet_{name}": ak.unflatten(x.astype("f4"), counts)
            for name, x in values.items()
        },
        depth_limit=1,
    )


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["", "jets4"])
@pytest.mark.parametrize(
    "cuts", [[], ["Jet_pt > 30000", "abs(Jet_eta) < 2.5"]], ids=["all", "cuts"]
)
@pytest.mark.parametrize(
    "method",
    [SMALL, Latent(model=2, training=SMALL.training)],
    ids=["autoencoder", "latent"],
)
def test_a_report_leaves_out_what_the_file_was_made_without(
    method: Autoencoder | Latent, cuts: list[str], preset: str, tmp_path: Path
) -> None:
    pytest.importorskip("mplhep")
    path, selection = tmp_path / "x.ref", ft.Selection(columns=("Jet_*",))
    done = encode_rows(
        massless_among_jets(),
        path,
        replace(method, unit="MeV"),
        selection=selection,
        preset=preset,
        cuts=cuts,
    )
    found = report_rows(path, massless_among_jets(), tmp_path / "report")
    assert (found.rows, found.dropped, found.left_out) == (
        done.rows,
        done.dropped,
        done.left_out,
    )
    assert found.accuracy == done.accuracy
    assert (found.rows < 1199) == bool(cuts or preset)
    assert found.left_out.get("abs(m) > 1e-9", 0) == (120 if preset else 0)
    text = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert (
        "rows of the original are not in the file: not abs(m) &gt; 1e-9." in text
    ) == bool(preset)
    expected = {"preset": preset, "cuts": cuts, "unit": "MeV"} if cuts or preset else None
    assert describe(path)["filter"] == expected


def test_what_is_no_filter_of_events_is_refused() -> None:
    assert EventFilter.from_json(
        json.loads(json.dumps(EventFilter("jets4", ("x > 1",), "MeV").to_json()))
    ).cuts == ("x > 1",)
    for wrong in ({"preset": 3}, {"cuts": [1]}, {"unit": "TeV"}):
        with pytest.raises(ValueError, match="its rows were chosen by what is no cut"):
            EventFilter.from_json({"preset": "", "cuts": [], "unit": "GeV"} | wrong)


@pytest.mark.slow
def test_a_report_on_the_command_line_of_a_file_with_cuts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mplhep")
    names = ["other", *(v.name for v in PRESETS["jets4"].variables)]
    jets = {name: x for name, x in atlas_jets().items() if name in names}
    jets["m"][::10] = 0
    np.savez(tmp_path / "jets.npz", **jets)
    asked = replace(SMALL, unit="MeV")
    encode_rows(jets, tmp_path / "x.ref", asked, preset="jets4", cuts=["phi < 0.6"])
    command = [
        "reference",
        "report",
        str(tmp_path / "x.ref"),
        str(tmp_path / "jets.npz"),
        "-o",
        str(tmp_path / "report"),
    ]
    app(command, standalone_mode=False)
    said = capsys.readouterr().out
    assert "60 rows left out: not abs(m) > 1e-9\n" in said
    assert "rows left out: not phi < 0.6\n" in said
    app([*command, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["left_out"]["abs(m) > 1e-9"] == 60
    app(["info", str(tmp_path / "x.ref")], standalone_mode=False)
    assert "jets4" in capsys.readouterr().out
    fewer = {name: x[:500] for name, x in jets.items()}
    with pytest.raises(
        InvalidArgument,
        match=r"rows without NaN or infinite values that pass the file's cuts, .*x\.ref holds",
    ):
        report_rows(tmp_path / "x.ref", fewer, tmp_path / "report")


@pytest.mark.slow
def test_the_command_line_tells_how_many_rows_are_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "jets.npz", **atlas_jets())

    method = (
        "--codec",
        "autoencoder",
        "--preset",
        "atlas27",
        "--unit",
        "MeV",
        "--epochs",
        "1",
        "--where",
        "phi < 0.6",
    )
    done = run_here(
        "reference",
        "encode",
        str(tmp_path / "jets.npz"),
        "-o",
        str(tmp_path / "x.ref"),
        *method,
    )
    assert done.returncode == 0, done.stderr
    assert "60 rows left out: not abs(Timing) < 125\n" in done.stdout
    assert "0 rows left out: not LArQuality < 4\n" in done.stdout
    assert "rows left out: not phi < 0.6\n" in done.stdout
    shown = run_here("reference", "presets", "atlas27").stdout
    assert "only rows with not (abs(EMFrac) < 0.05 and abs(eta) >= 2)" in shown
    assert "log10:100,subtract:2,divide:2.5" in shown
    assert "cms24" in run_here("reference", "presets").stdout
    listed = json.loads(run_here("reference", "presets", "--json").stdout)
    assert {p["name"]: len(p["variables"]) for p in listed} == {
        "jets4": 4,
        "cms24": 24,
        "atlas27": 27,
    }
    one = json.loads(run_here("reference", "presets", "jets4", "--json").stdout)
    assert one["variables"]["pt"]["formula"] == "log10,subtract:1.3,divide:1.2"
    assert one["cuts"] == ["abs(m) > 1e-9"]
