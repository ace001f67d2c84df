"""`flowtuple presets` and `compress --bounds`: what they show, and one line for each fault."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from in_process import run_here


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file with a column that is rounded as in NanoAOD, one that is not, and another."""
    rng = np.random.default_rng(2)
    pt = 20 + rng.exponential(30, 500)
    path = tmp_path / "nano.npz"
    np.savez(
        path,
        MET_pt=pt.astype(np.float32),
        MET_phi=rng.uniform(-3, 3, 500).astype(np.float16).astype(np.float32),
        PV_z=rng.normal(0, 4, 500).astype(np.float32),
    )
    return path


def test_list_names_every_preset() -> None:
    ended = run_here("presets")
    assert ended.returncode == 0
    for name in ("nanoaod", "physlite-high", "physlite-low", "alice", "lhcb", "delphes"):
        assert name in ended.stdout
    assert "16 since v13" in ended.stdout
    listed = json.loads(run_here("presets", "--json").stdout)
    assert listed["faults"] == []
    assert {(p["name"], p["version"]) for p in listed["presets"]} > {
        ("nanoaod", "v5"),
        ("nanoaod", "v13"),
    }


def test_one_preset_shows_bounds_units_and_sources() -> None:
    shown = run_here("presets", "lhcb").stdout
    for words in (
        "energies in  MeV",
        "*_PX",
        "abs:0.005",
        "source: https://gitlab.cern.ch",
    ):
        assert words in shown
    preset = json.loads(run_here("presets", "nanoaod:v13", "--json").stdout)
    assert preset["bounds"]["Muon_eta"] == "bits:16"
    assert preset["versions"] == ["v13"]
    assert json.loads(run_here("presets", "nanoaod", "--json").stdout)["versions"] == [
        "v5",
        "v13",
    ]


def test_unknown_preset_is_one_line() -> None:
    ended = run_here("presets", "nanaod")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "flowtuple: there is no preset of bounds 'nanaod'; nearest: nanoaod, "
        "nanoaod-resolution\n"
    )


@pytest.mark.slow
def test_compress_says_what_a_preset_does(source: Path, tmp_path: Path) -> None:
    packed = tmp_path / "x.ftup"
    options = ("-o", packed, "--bounds", "nanoaod", "--effort", "fast")
    ended = run_here("compress", source, *options)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == (
        "flowtuple: note: the preset nanoaod (v5): bounds 1 column: PV_z; "
        "1 column is already rounded as it says\n"
    )
    columns = json.loads(run_here("info", packed, "--json").stdout)["tables"][0][
        "columns"
    ]
    assert {c["name"]: c["asked"] for c in columns} == {
        "MET_pt": "lossless",
        "MET_phi": "lossless",
        "PV_z": "bits:16",
    }
    again = run_here(
        "compress", source, *options, "-t", "PV_z=lossless", "-t", "MET_pt=bits:12"
    )
    assert again.returncode == 0
    columns = json.loads(run_here("info", packed, "--json").stdout)["tables"][0][
        "columns"
    ]
    assert [c["asked"] for c in columns] == ["bits:12", "lossless", "lossless"]
    as_json = json.loads(run_here("compress", source, *options, "--json").stdout)
    assert as_json["notes"][0].startswith("the preset nanoaod (v5): bounds 1 column")
    assert as_json["shifts"] == []


@pytest.mark.slow
def test_compress_warns_of_masses_in_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    momenta = {f"p{a}{n}": rng.normal(0, 20, 400) for n in (1, 2) for a in "xyz"}
    for n in (1, 2):
        p = np.sqrt(sum(momenta[f"p{a}{n}"] ** 2 for a in "xyz"))
        momenta[f"E{n}"] = np.sqrt(p**2 + 0.10566**2)
    np.savez(tmp_path / "mu.npz", **momenta)
    out = ("-o", tmp_path / "mu.ftup", "--effort", "fast", "-t", "*=rel:1e-3")
    ended = run_here("compress", tmp_path / "mu.npz", *out)
    assert ended.returncode == 0
    (line,) = ended.stderr.splitlines()
    assert line.startswith(
        "flowtuple: warning: events: rel:0.001 on px1, py1, pz1, E1, px2"
    )
    assert "of the single masses imaginary (0.0% before), in 400 sampled events; " in line
    shift = json.loads(run_here("compress", tmp_path / "mu.npz", *out, "--json").stdout)[
        "shifts"
    ]
    assert shift[0]["imaginary"] > 0.3


FAULTS = {
    "unknown": (
        ("--bounds", "nanaod"),
        "there is no preset of bounds 'nanaod'; nearest: nanoaod",
    ),
    "nothing matches": (("--bounds", "delphes"), "has no column of the preset delphes"),
    "broken": (("--bounds", "broken.toml"), "broken.toml: is not TOML"),
    "no bound": (
        ("--bounds", "bad.toml"),
        "bad.toml: line 2: 'PV_z': bound 'abs' has no number",
    ),
    "no column": (
        ("--bounds", "other.toml"),
        "other.toml: in nano.npz the name 'PV_zz' matches no column; nearest: PV_z",
    ),
    "unit": (("--bounds", "nanoaod"), "column 'MET_pt' has a 10 % quantile of"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_is_one_line(
    source: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(source.parent)
    Path("broken.toml").write_text("[bounds\n")
    Path("bad.toml").write_text("[bounds]\n'PV_z' = 'abs'\n")
    Path("other.toml").write_text("[bounds]\n'PV_zz' = 'abs:1'\n")
    with np.load("nano.npz") as columns:
        np.savez(
            "mev.npz", MET_pt=columns["MET_pt"] * np.float32(1000), PV_z=columns["PV_z"]
        )
    options, message = FAULTS[case]
    name = "mev.npz" if case == "unit" else "nano.npz"
    ended = run_here("compress", name, "-o", "x.ftup", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not Path("x.ftup").exists()
