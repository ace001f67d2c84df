"""Presets of bounds: names, versions, units, and those that other packages add."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flowtuple as ft
from flowtuple.data.bounds_presets import (
    ENTRY_POINTS,
    UNITS,
    all_presets,
    named_bounds,
    parse_preset,
    preset_names,
)
from flowtuple.data.globs import is_glob

NAMES = [
    *("alice", "delphes", "lhcb", "nanoaod", "nanoaod-resolution"),
    *("physlite-high", "physlite-low"),
]
Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a module of one file as a package with presets."""

    def add(package: str, code: str, points: str) -> None:
        folder = tmp_path / f"{package}-site"
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(code)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{points}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, package, raising=False)

    return add


def test_every_preset_has_units_sources_and_a_sentence() -> None:
    assert set(NAMES) <= set(preset_names())
    presets, faults = all_presets()
    assert faults == []
    for preset in presets:
        assert preset.energy in UNITS
        assert preset.length in ("mm", "cm")
        assert preset.title
        assert preset.version
        assert preset.sources
        assert all(source.startswith("https://") for source in preset.sources)
        assert preset.by_pattern
        assert preset.magnitudes.least < preset.magnitudes.most
        shown = preset.to_json()
        assert shown["bounds"].keys() == preset.by_pattern.keys()


@pytest.mark.parametrize(
    ("column", "bound"),
    [
        ("Jet_pt", "bits:10"),
        ("Muon_ptErr", "bits:6"),
        ("GenPart_eta", "bits:8"),
        ("GenPart_mass", "bits:20"),
        ("TrigObj_phi", "bits:11"),
        ("SV_z", "bits:14"),
        ("PV_z", "bits:16"),
        ("Muon_eta", "bits:12"),
        ("Jet_btagNew", "bits:10"),  # by a glob
        ("Muon_pt", None),
        ("MET_pt", None),
        ("MyJet_pt", None),
    ],
)
def test_table_of_nanoaod(column: str, bound: str | None) -> None:
    found = ft.bounds_preset("nanoaod").of(column)
    assert (None if found is None else str(found)) == bound


def test_columns_choose_the_version() -> None:
    preset = ft.bounds_preset("nanoaod")
    assert preset.for_columns({"Jet_pt"}).version == "v5"
    later = (preset | {"x": "abs:1"}).for_columns({"Jet_pt", "Muon_bsConstrainedPt"})
    assert (later.version, str(later.of("Muon_eta")), list(later.overrides)) == (
        "v13",
        "bits:16",
        ["x"],
    )
    assert str(later.of("Jet_pt")) == "bits:10"  # as in the version that it extends
    assert ft.bounds_preset("nanoaod:v13").by_pattern == later.by_pattern
    assert (
        ft.bounds_preset("nanoaod:v5").for_columns({"Photon_energyRaw"}).version == "v5"
    )


def test_exact_names_go_before_globs() -> None:
    text = (
        '[preset]\nname = "p"\nversion = "1"\nenergy = "GeV"\n'
        '[bounds]\n"x_a" = "bits:3"\n"x_*" = "bits:5"\n"*" = "lossless"\n"y*" = "bits:7"\n'
    )
    preset = parse_preset(text, "p.toml")
    assert [str(preset.of(n)) for n in ("x_a", "x_b", "y")] == [
        "bits:3",
        "lossless",
        "bits:7",
    ]


def test_names_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nanoaod").mkdir()
    ft.write_bounds(tmp_path / "mine", {"x": "abs:1"})
    assert isinstance(named_bounds("nanoaod"), ft.BoundsPreset)
    assert list(named_bounds("mine")) == ["x"]
    with pytest.raises(ft.InvalidArgument, match=r"b\.toml: no such file"):
        named_bounds("b.toml")
    with pytest.raises(ft.InvalidArgument, match="'nanaod'; nearest: nanoaod"):
        named_bounds("nanaod")
    with pytest.raises(ft.InvalidArgument, match="'nanoaod:v9'; nearest: nanoaod:v5"):
        named_bounds("nanoaod:v9")


FAULTS = {
    "no preset": ('[bounds]\n"x" = "abs:1"\n', "needs a name and energy, one of eV"),
    "unit": (
        '[preset]\nname = "p"\nenergy = "cal"\n[bounds]\n"x" = "abs:1"\n',
        "needs a name and energy",
    ),
    "unknown key": (
        '[preset]\nname = "p"\nenergie = "GeV"\n[bounds]\n"x" = "abs:1"\n',
        "the table .preset. does not fit .*energie.*write name",
    ),
    "bound": (
        '[preset]\nname = "p"\n[bounds]\n"x" = "abs"\n',
        "line 4: 'x': bound 'abs'",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_broken_preset_is_named(case: str) -> None:
    text, message = FAULTS[case]
    with pytest.raises(ft.InvalidArgument, match=r"^p\.toml: .*" + message):
        parse_preset(text, "p.toml")


MINE = (
    '[preset]\nname = "mine"\nversion = "2"\nenergy = "TeV"\n[bounds]\n"x" = "bits:9"\n'
)


def test_other_packages_add_presets(install: Install, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    install("plus", f"PATH = {str(tmp_path / 'mine.toml')!r}\n", "mine = plus:PATH")
    preset = ft.bounds_preset("mine")
    assert (preset.package, preset.energy, str(preset["x"])) == ("plus", "TeV", "bits:9")
    assert "mine" in preset_names()


def test_broken_packages_are_named(install: Install, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    install("raises", "1 / 0\n", "sick = raises:PATH")
    install("absent", "PATH = 'nowhere.toml'\n", "lost = absent:PATH")
    install(
        "other",
        f"def path():\n    return {str(tmp_path / 'mine.toml')!r}\n",
        "his = other:path",
    )
    install("twin", "PATH = ''\n", "nanoaod = twin:PATH")
    messages = {
        "sick": "package raises, which adds the preset sick, cannot be loaded .ZeroDivision",
        "lost": "package absent, which adds the preset lost, cannot be loaded .FileNotFound",
        "his": "package other, which adds the preset his, gives the preset 'mine'",
        "nanoaod": "preset 'nanoaod' is added twice, by twin; uninstall",
    }
    for name, message in messages.items():
        with pytest.raises(ft.InvalidArgument, match=message):
            ft.bounds_preset(name)
    presets, faults = all_presets()
    assert len(faults) == 4
    assert "delphes" in {preset.name for preset in presets}


def test_globs_of_rounded_presets_stay_within_collections() -> None:
    for name in ("nanoaod", "alice"):
        for pattern in ft.bounds_preset(name).by_pattern:
            assert not is_glob(pattern) or pattern.partition("_")[0].isalnum()
