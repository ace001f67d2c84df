"""Presets on events: what is rounded already stays, and what is not gets the bits of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.api.bounds_on_events import decide_bounds
from flowtuple.data.awkward_tables import tables_to_awkward
from flowtuple.data.bounds import Bound
from flowtuple.data.bounds_presets import parse_preset
from flowtuple.data.table import Dataset, Table, read_all
from flowtuple.data.variations import nominal_columns
from flowtuple.io.source import open_dataset
from flowtuple.training.preset_bounds import SHARE_OF_SHIFT, two_digits_down

ROWS = 2000
Values = np.ndarray[Any, np.dtype[Any]]


def rounded(values: Values, bits: int) -> Values:
    """Values rounded to nearest with some mantissa bits, by arithmetic alone."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    whole = np.rint(mantissa * 2.0 ** (bits + 1))
    return np.ldexp(whole, exponent - bits - 1).astype(np.float32)


def bits_of(values: Values) -> int:
    """Mantissa bits that values of float32 need."""
    mantissas = values.view(np.uint32) & np.uint32(2**23 - 1)
    together = int(np.bitwise_or.reduce(mantissas))
    return 0 if not together else 23 - ((together & -together).bit_length() - 1)


def widened(values: Values, rng: np.random.Generator) -> Values:
    """The same exponents with random full mantissas."""
    out = values.copy()
    usual = np.isfinite(out) & (out != 0)
    patterns = out.view(np.uint32)
    noise = rng.integers(0, 2**23, int(usual.sum()), dtype=np.uint32)
    patterns[usual] = (patterns[usual] & np.uint32(0xFF800000)) | noise
    return out


def events() -> dict[str, Values]:
    """Columns of a NanoAOD file of full precision."""
    rng = np.random.default_rng(3)
    pt = (20 + rng.exponential(30, ROWS)).astype(np.float32)
    return {
        "MET_pt": pt,
        "MET_covXX": (pt * 11).astype(np.float32),
        "MET_phi": rng.uniform(-3.14159, 3.14159, ROWS).astype(np.float32),
        "PV_z": rng.normal(0, 4, ROWS).astype(np.float32),
        "MyMET_pt": (pt * 1.01).astype(np.float32),
    }


def dataset(columns: dict[str, Values]) -> Dataset:
    return open_dataset(columns)


TABLE = {"MET_covXX": 8, "MET_phi": 12, "PV_z": 16}


def test_rounded_file_does_not_change() -> None:
    full = events()
    central = full | {name: rounded(full[name], bits) for name, bits in TABLE.items()}
    decided = decide_bounds(ft.bounds_preset("nanoaod"), dataset(central))
    assert decided.by_pattern == {}
    (note,) = decided.notes
    assert note == (
        "the preset nanoaod (v5): 0 values changed: 3 columns are already rounded as it says, "
        "and 2 other columns of floats are not in it"
    )


def test_full_mantissas_get_the_bits_of_the_table() -> None:
    full = events()
    snapped = ft.snap(full, ft.bounds_preset("nanoaod"))
    for name, values in full.items():
        decoded = snapped[name].to_numpy()
        if name in TABLE:
            assert bits_of(values) == 23
            assert bits_of(decoded) <= TABLE[name]
            assert (decoded == rounded(values, TABLE[name])).all()
        else:
            assert (decoded == values).all()


def test_what_another_version_rounded_stays(tmp_path: Path) -> None:
    full = events()
    finer = full | {"MET_phi": rounded(full["MET_phi"], 16)}
    decided = decide_bounds(ft.bounds_preset("nanoaod"), dataset(finer))
    assert "events/MET_phi" not in decided.by_pattern
    assert "MET_phi (16 bits, the table has 12)" in decided.notes[1]
    assert "name them with `tolerance=`" in decided.notes[1]
    named = ft.bounds_preset("nanoaod") | {"MET_phi": "bits:12"}
    decoded = ft.snap(finer, named)["MET_phi"].to_numpy()
    inner = (decoded > finer["MET_phi"].min()) & (decoded < finer["MET_phi"].max())
    assert bits_of(decoded[inner]) <= 12


def test_presets_round_the_ends_of_a_column_and_other_bounds_keep_them(
    tmp_path: Path,
) -> None:
    columns = events()
    columns["PV_z"][:2] = (-15.99999, 15.99999)
    by_preset = ft.snap(columns, ft.bounds_preset("nanoaod"))["PV_z"].to_numpy()
    by_bound = ft.snap(columns, {"PV_z": "bits:16"})["PV_z"].to_numpy()
    assert (by_preset[:2] == (-16, 16)).all()
    assert (by_bound[:2] == columns["PV_z"][:2]).all()
    assert (by_preset[2:] == by_bound[2:]).all()
    ft.compress(
        columns, tmp_path / "x.ftup", tolerance=ft.bounds_preset("nanoaod"), effort="fast"
    )
    assert (ft.decompress(tmp_path / "x.ftup")["PV_z"].to_numpy() == by_preset).all()
    assert ft.verify(columns, tmp_path / "x.ftup").violations == 0


def test_custom_column_that_only_a_glob_names_stays() -> None:
    rng = np.random.default_rng(0)
    columns = {"Jet_btagMine": rng.uniform(0, 1, ROWS).astype(np.float32)}
    decided = decide_bounds(ft.bounds_preset("nanoaod"), dataset(columns))
    assert decided.by_pattern == {}
    assert "and lossless: Jet_btagMine (23 bits" in decided.notes[1]


def test_preset_that_is_no_table_of_a_producer_takes_globs() -> None:
    rng = np.random.default_rng(0)
    columns = {
        "AnalysisJetsAuxDyn.Width": rng.uniform(0, 1, ROWS).astype(np.float32),
        "AnalysisJetsAuxDyn.pt": rng.uniform(2e4, 9e4, ROWS).astype(np.float32),
    }
    snapped = ft.snap(columns, ft.bounds_preset("physlite-high"))
    assert bits_of(snapped["AnalysisJetsAuxDyn.Width"].to_numpy()) <= 7
    pt = "AnalysisJetsAuxDyn.pt"
    assert (snapped[pt].to_numpy() == columns[pt]).all()


def test_decimal_steps_are_a_lattice_too() -> None:
    rng = np.random.default_rng(0)
    steps = {"B_PX": np.round(rng.normal(0, 1e4, ROWS), 2), "B_PT": np.full(ROWS, 1500.0)}
    decided = decide_bounds(ft.bounds_preset("lhcb"), dataset(steps))
    assert decided.by_pattern == {}
    fine = steps | {"B_PX": rng.normal(0, 1e4, ROWS)}
    decided = decide_bounds(ft.bounds_preset("lhcb"), dataset(fine))
    assert {k: str(b) for k, b in decided.by_pattern.items()} == {
        "events/B_PX": "abs:0.005"
    }


@pytest.mark.parametrize(("scale", "unit"), [(1e3, "MeV"), (1e-3, "TeV")])
def test_other_unit_is_refused(scale: float, unit: str) -> None:
    columns = {
        name: (values * scale).astype(np.float32) for name, values in events().items()
    }
    message = (
        rf"column 'MET_pt' has a 10 % quantile of .* is for GeV; .* in {unit}: choose"
    )
    with pytest.raises(ft.InvalidArgument, match=message) as error:
        ft.snap(columns, ft.bounds_preset("nanoaod"))
    assert "\n" not in str(error.value)


def test_preset_without_a_column_of_the_file_is_refused() -> None:
    with pytest.raises(ft.InvalidArgument, match="has no column of the preset nanoaod"):
        ft.snap({"x": [1.0, 2.0]}, ft.bounds_preset("nanoaod"))


def varied(size: float) -> dict[str, Values]:
    """Events with the corrected p_T of a central column and a variation of it."""
    rng = np.random.default_rng(5)
    full = events()
    nominal = rounded(20 + rng.exponential(30, ROWS), 10)
    shift = 1 + size * rng.normal(1, 0.3, ROWS)
    return full | {
        "GenMET_pt": nominal,
        "GenMET_pt_jesUp": (nominal * shift).astype(np.float32),
    }


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_variations_keep_their_distance(size: float) -> None:
    columns = varied(size)
    up, nominal = columns["GenMET_pt_jesUp"], columns["GenMET_pt"]
    median = np.median(np.abs(up.astype(np.float64) - nominal))
    snapped = ft.snap(columns, ft.bounds_preset("nanoaod"))
    moved = np.abs(snapped["GenMET_pt_jesUp"].to_numpy().astype(np.float64) - up)
    assert 0 < moved.max() <= SHARE_OF_SHIFT * median
    by_parent = np.abs(rounded(up, 10).astype(np.float64) - up).max()
    assert by_parent > SHARE_OF_SHIFT * median
    decided = decide_bounds(ft.bounds_preset("nanoaod"), dataset(columns))
    bound = decided.by_pattern["events/GenMET_pt_jesUp"]
    assert isinstance(bound, ft.Bound)
    assert bound.kind == "abs"
    assert "variations: GenMET_pt_jesUp abs:" in decided.notes[-1]


def test_variation_without_a_distance_stays_lossless() -> None:
    columns = varied(1e-2)
    columns["GenMET_pt"] = events()["MET_pt"]
    columns["GenMET_pt_jesUp"] = columns["GenMET_pt"].copy()
    columns["GenMET_pt_jesUp"][:20] += 1
    snapped = ft.snap(columns, ft.bounds_preset("nanoaod"))
    same = snapped["GenMET_pt_jesUp"].to_numpy() == columns["GenMET_pt_jesUp"]
    assert same.all()


def test_nominal_columns_are_of_the_same_length() -> None:
    table = open_dataset(
        {"Jet_pt": [[1.0], [2.0, 3.0]], "Jet_pt_Up": [1.0, 2.0]}
    ).only_table()
    assert nominal_columns(table.columns) == {}


@pytest.mark.parametrize("number", [0.0123, 9.99, 1e-9, 123456.0, 3e-320, 1.0])
def test_two_digits_are_never_more(number: float) -> None:
    down = two_digits_down(number)
    assert 0 < down <= number
    assert down > 0.89 * number


class TestFilesOfBounds:
    """Bounds of a person's file against a selection."""

    COLUMNS: ClassVar[dict[str, list[float]]] = {
        "x": [1.125, 2.75, -999.0],
        "y": [0.1, 0.2, 0.3],
    }

    def bounds(self, tmp_path: Path, **bounds: str) -> ft.Bounds:
        return ft.read_bounds(ft.write_bounds(tmp_path / "b.toml", bounds))

    def test_column_that_is_left_out_is_a_note(self, tmp_path: Path) -> None:
        bounds = self.bounds(tmp_path, x="abs:0.25", y="abs:1")
        done = ft.compress(
            self.COLUMNS,
            tmp_path / "x.ftup",
            tolerance=bounds,
            selection=ft.Selection(columns=("x",)),
        )
        (note,) = done.notes
        assert note.endswith("b.toml: ignored for columns that are left out: y")
        assert ft.decompress(tmp_path / "x.ftup")["x"].tolist() == [1.0, 2.75, -999.0]

    def test_external_column_is_a_note(self, tmp_path: Path) -> None:
        bounds = self.bounds(tmp_path, x="abs:0.25", y="abs:1")
        done = ft.compress(
            self.COLUMNS, tmp_path / "x.ftup", tolerance=bounds, given=["y"]
        )
        assert done.notes[0].endswith("left out: y")

    @pytest.mark.parametrize("pattern", ["yy", "z*"])
    def test_pattern_that_matches_nothing_is_refused(
        self, tmp_path: Path, pattern: str
    ) -> None:
        bounds = self.bounds(tmp_path, **{pattern: "abs:1"})
        with pytest.raises(
            ft.InvalidArgument, match=r"b\.toml: in .* matches no column; "
        ) as e:
            ft.snap(self.COLUMNS, bounds)
        assert pattern == "z*" or "nearest: y" in str(e.value)

    def test_later_bounds_override(self, tmp_path: Path) -> None:
        bounds = self.bounds(tmp_path, **{"*": "abs:0.25", "nothing": "abs:1"})
        both = bounds | {"nothing": "abs:2"}
        with pytest.raises(ft.InvalidArgument, match="'nothing' matches no column"):
            ft.snap(self.COLUMNS, both)
        both = self.bounds(tmp_path, x="abs:5") | {"*": "abs:0.25"}
        assert ft.snap(self.COLUMNS, both)["x"].tolist() == [1.0, 2.75, -999.0]


@pytest.mark.slow
class TestCentralFile:
    """A real file of central production, v5."""

    def test_nothing_changes(self, shared_data: Path) -> None:
        path = shared_data / "nanoAODv5_1000.root"
        decided = decide_bounds(ft.bounds_preset("nanoaod"), open_dataset(path))
        assert decided.by_pattern == {}
        assert "0 values changed: 241 columns" in decided.notes[0]

    def test_random_mantissas_get_the_bits_of_the_table(self, shared_data: Path) -> None:
        preset = ft.bounds_preset("nanoaod")
        source = open_dataset(shared_data / "nanoAODv5_1000.root").tables["Events"]
        table = read_all(source, [c.name for c in source.columns if c.is_float])
        rng = np.random.default_rng(1)
        data = {
            c.name: widened(table[c.name], rng) if c.is_float else table[c.name]
            for c in table.columns
        }
        wide = Table("Events", table.columns, table.num_entries, data)
        snapped = ft.snap(tables_to_awkward({"Events": wide}), preset)
        listed = 0
        for column in table.columns:
            bound = preset.of(column.name) if column.is_float else None
            if bound is not None and len(data[column.name]):
                listed += 1
                values = ak.flatten(snapped[column.name], axis=None).to_numpy()
                assert (
                    bits_of(values[np.isfinite(values)].astype(np.float32))
                    <= bound.amount
                )
        assert listed > 230

    @pytest.mark.parametrize("name", ["nano_dy", "nanoAOD_2015_CMS_Open_Data_ttbar"])
    def test_other_central_files_do_not_change(
        self, shared_data: Path, name: str
    ) -> None:
        decided = decide_bounds(
            ft.bounds_preset("nanoaod"), open_dataset(shared_data / f"{name}.root")
        )
        assert decided.by_pattern == {}


def test_preset_of_a_producer_in_float64() -> None:
    text = (
        '[preset]\nname = "p"\nversion = "1"\nenergy = "GeV"\nrounded = true\n'
        '[bounds]\n"x" = "bits:10"\n'
    )
    rng = np.random.default_rng(0)
    wide = {"x": rng.normal(0, 1, ROWS).astype(np.float32).astype(np.float64)}
    snapped = ft.snap(wide, parse_preset(text, "p.toml"))["x"].to_numpy()
    assert bits_of(snapped.astype(np.float32)) <= 10


class TestResolutions:
    PRESET = "nanoaod-resolution"

    def muons(self) -> dict[str, Values]:
        rng = np.random.default_rng(4)
        error = rng.lognormal(-6, 0.5, ROWS).astype(np.float32)
        dxy = (error * rng.normal(0, 2, ROWS)).astype(np.float32)
        return {"Muon_dxy": dxy, "Muon_dxyErr": error, "Muon_sip3d": dxy / error}

    def test_a_tenth_of_the_decoded_resolution(self) -> None:
        muons = self.muons()
        decided = decide_bounds(ft.bounds_preset(self.PRESET), dataset(muons))
        assert {name: str(b) for name, b in decided.by_pattern.items()} == {
            "events/Muon_dxy": "sigma:0.1@Muon_dxyErr",
            "events/Muon_dxyErr": "bits:6",
        }
        snapped = ft.snap(muons, ft.bounds_preset(self.PRESET))
        moved = np.abs(snapped["Muon_dxy"].to_numpy().astype(float) - muons["Muon_dxy"])
        error = snapped["Muon_dxyErr"].to_numpy().astype(float)
        assert 0.05 < (moved / error).max() <= 0.1
        assert bits_of(snapped["Muon_dxyErr"].to_numpy()) <= 6

    def test_without_its_resolution_a_column_is_lossless(self) -> None:
        muons = self.muons() | {"Muon_pt": events()["MET_pt"]}
        del muons["Muon_dxyErr"]
        decided = decide_bounds(ft.bounds_preset(self.PRESET), dataset(muons))
        assert decided.by_pattern == {}
        assert any(
            "they count in: Muon_dxy (no Muon_dxyErr), Muon_pt (no Muon_ptErr)" in note
            or "they count in: Muon_pt (no Muon_ptErr), Muon_dxy (no Muon_dxyErr)" in note
            for note in decided.notes
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "file", ["nanoAODv5_1000.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]
    )
    def test_constants_are_a_tenth_on_real_events(
        self, shared_data: Path, file: str
    ) -> None:
        """p_T and MET of full precision move by a tenth of their own uncertainty at most."""
        names = ["MET_covXX", "MET_covXY", "MET_covYY", "MET_pt", "Jet_pt", "Jet_bRegRes"]
        names += [
            f"{c}_{x}" for c in ("Electron", "Photon") for x in ("pt", "eta", "energyErr")
        ]
        source = open_dataset(shared_data / file).tables["Events"]
        table = source.read(names, 0, source.num_entries)
        rng = np.random.default_rng(1)
        full = {n: table.data[n].reshape(-1) for n in names}
        resolution = {
            c: full[f"{c}_energyErr"] / np.cosh(full[f"{c}_eta"].astype(float))
            for c in ("Electron", "Photon")
        }
        resolution["Jet"] = full["Jet_pt"].astype(float) * full["Jet_bRegRes"]
        xx, xy, yy = (full[f"MET_cov{k}"].astype(float) for k in ("XX", "XY", "YY"))
        middle, split = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        resolution["MET"] = np.sqrt(middle - split)
        preset = ft.bounds_preset(self.PRESET)
        for name, sigma in resolution.items():
            x = widened(full[f"{name}_pt"], rng)
            same = (
                x > full[f"{name}_pt"] / 2
            )  # a wider mantissa moves a value by less than 2
            bound = preset[f"{name}_pt"]
            assert isinstance(bound, str) or bound.kind in ("rel", "abs")
            y = ft.snap({f"{name}_pt": x}, {f"{name}_pt": bound})[f"{name}_pt"].to_numpy()
            moved = np.abs(y.astype(float) - x)
            assert same.all()
            assert moved.max() > 0
            # energies of the same uncertainty, at most twice the original
            assert (moved <= 0.1 * sigma * np.maximum(1, x / full[f"{name}_pt"])).all()

    def test_angles_of_jets_are_a_tenth_of_their_spread(self, shared_data: Path) -> None:
        source = open_dataset(shared_data / "jets24.root").tables["Events"]
        names = [
            "Jet_pt",
            "Jet_eta",
            "Jet_phi",
            "Jet_genJetIdx",
            "GenJet_eta",
            "GenJet_phi",
        ]
        table = source.read(names, 0, source.num_entries)
        x = {name: table.data[name] for name in names}
        counts = table.data["nGenJet"].astype(np.int64)
        first = np.cumsum(counts) - counts
        event = np.repeat(np.arange(source.num_entries), table.data["nJet"])
        matched = (x["Jet_genJetIdx"] >= 0) & (x["Jet_pt"] > 300)
        partner = (first[event] + x["Jet_genJetIdx"])[matched]
        preset = ft.bounds_preset(self.PRESET)
        for name in ("eta", "phi"):
            shift = x[f"Jet_{name}"][matched] - x[f"GenJet_{name}"][partner]
            low, high = np.quantile(shift[np.abs(shift) < 0.4], [0.16, 0.84])
            bound = Bound.parse(str(preset[f"Jet_{name}"]))
            assert bound.amount <= 0.1 * (high - low) / 2
