"""Masses that bounds on momenta and energies move: the numbers of the warning, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.comparison.momentum_shifts import momentum_shifts
from flowtuple.data.bounds import Bound
from flowtuple.data.four_vectors import four_vectors
from flowtuple.data.resources import Resources
from flowtuple.data.schema import Column
from flowtuple.io.source import open_dataset
from flowtuple.training.lattices import resolve_tables

EVENTS = 3000
MUON = 0.10566
AXES = ("px", "py", "pz", "E")


def muons(count: int, seed: int) -> dict[str, Any]:
    """Muons in p_x, p_y, p_z and E, float64."""
    rng = np.random.default_rng(seed)
    pt, eta = 10 + rng.exponential(20, count), rng.normal(0, 1, count)
    phi = rng.uniform(-np.pi, np.pi, count)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return dict(
        zip(AXES, (px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + MUON**2)), strict=True)
    )


def pairs() -> dict[str, Any]:
    """Two muons an event, as columns with numbers."""
    return {f"{axis}{n}": x for n in (1, 2) for axis, x in muons(EVENTS, n).items()}


def shifts_of(columns: Any, bounds: Any) -> list[Any]:
    dataset = open_dataset(columns)
    tolerance = {"*": bounds} if isinstance(bounds, str) else bounds
    (table,) = resolve_tables(dataset, tolerance, Resources().progress)
    return momentum_shifts(table.source, table.coding.lattices)


def mass(columns: Any) -> Any:
    """Mass of the pair, imaginary ones as zero."""
    e, x, y, z = (columns[f"{a}1"] + columns[f"{a}2"] for a in ("E", "px", "py", "pz"))
    return np.sqrt(np.maximum(e**2 - x**2 - y**2 - z**2, 0))


def test_numbers_are_those_of_the_snapped_columns() -> None:
    columns = pairs()
    (shift,) = shifts_of(columns, "rel:1e-3")
    snapped = ft.snap(columns, "rel:1e-3")
    snapped = {name: snapped[name].to_numpy() for name in columns}
    moved = mass(snapped) - mass(columns)
    assert shift.events == EVENTS
    assert shift.largest == pytest.approx(np.abs(moved).max(), rel=1e-6)
    assert shift.rms == pytest.approx(np.sqrt((moved**2).mean()), rel=1e-6)
    assert shift.relative_rms == pytest.approx(
        np.sqrt(((moved / mass(columns)) ** 2).mean()), rel=1e-6
    )
    imaginary = np.concatenate(
        [
            snapped[f"E{n}"] < np.sqrt(sum(snapped[f"p{a}{n}"] ** 2 for a in "xyz"))
            for n in (1, 2)
        ]
    )
    assert shift.imaginary == pytest.approx(imaginary.mean(), abs=1e-3)
    assert shift.imaginary_before == 0
    assert 0.4 < shift.imaginary < 0.6
    assert shift.columns == tuple(f"{a}{n}" for n in (1, 2) for a in AXES)
    text = str(shift)
    assert (
        "store pt, eta, phi and m in place of them, or bound them by about rel:1e-7"
        in text
    )
    assert "(0.0% before)" in text


@pytest.mark.parametrize("bound", ["rel:1e-3", "rel:1e-5", "bits:10", "abs:0.05"])
def test_every_kind_warns(bound: str) -> None:
    assert len(shifts_of(pairs(), bound)) == 1


@pytest.mark.parametrize("bound", ["rel:1e-8", "lossless"])
def test_fine_bounds_do_not(bound: str) -> None:
    assert shifts_of(pairs(), bound) == []


def test_collections_pair_their_leading_two() -> None:
    counts = np.tile([0, 1, 2, 3], EVENTS // 4)
    columns = {
        f"Muon_{a}": ak.unflatten(x, counts)
        for a, x in muons(int(counts.sum()), 1).items()
    }
    (shift,) = shifts_of(columns, "rel:1e-3")
    assert shift.mass == "mass of Muon[0] and Muon[1]"
    assert shift.events == EVENTS // 2
    assert shift.columns == ("Muon_px", "Muon_py", "Muon_pz", "Muon_E")


def test_single_objects_have_their_own_mass() -> None:
    heavy = muons(EVENTS, 1)
    heavy["E"] = np.sqrt(heavy["E"] ** 2 + 5.0**2)
    columns = {f"B_{a.upper()}": x for a, x in heavy.items()}
    (shift,) = shifts_of(columns, "rel:3e-2")
    assert shift.mass == "mass of B"
    photons = {**heavy, "E": np.sqrt(sum(heavy[a] ** 2 for a in AXES[:3]))}
    single = {f"gamma_{a}": x.astype(np.float32) for a, x in photons.items()}
    assert shifts_of(single, "rel:1e-3") == []


def test_nothing_is_read_without_a_bound_on_momenta() -> None:
    columns = pairs() | {"x": np.linspace(0, 1, EVENTS)}
    dataset = open_dataset(columns)
    (table,) = resolve_tables(dataset, {"x": "abs:0.1"}, Resources().progress)

    class Unread:
        name, columns, num_entries = "t", table.source.columns, EVENTS

        def read(self, *_: object) -> Any:
            raise AssertionError("it was read")

    assert momentum_shifts(Unread(), table.coding.lattices) == []


def test_wide_abs_on_small_transverse_momenta() -> None:
    rng = np.random.default_rng(0)
    pt = {
        "Muon_pt": rng.uniform(2, 30, EVENTS),
        "Muon_ptErr": rng.uniform(0, 0.1, EVENTS),
    }
    (shift,) = shifts_of(pt, "abs:0.5")
    assert (shift.column, shift.bound, shift.values) == ("Muon_pt", "abs:0.5", EVENTS)
    assert shift.share == pytest.approx((pt["Muon_pt"] < 5).mean(), abs=1e-3)
    assert 0.1 < shift.largest <= 0.25
    assert "bound it with rel:R" in str(shift)
    assert shifts_of(pt, "abs:0.01") == []
    assert shifts_of(pt, "rel:0.2") == []


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("px1", "py1", "pz1", "E1"), ["1"]),
        (("p_x", "p_y", "p_z", "energy"), [""]),
        (("Jet_Px", "Jet_Py", "Jet_Pz", "Jet_E"), ["Jet"]),
        (("H1_PX", "H1_PY", "H1_PZ", "H1_PE"), ["H1"]),
        (("lep.Px", "lep.Py", "lep.Pz", "lep.En"), ["lep"]),
        (("px_mu", "py_mu", "pz_mu", "E_mu"), ["mu"]),
        (("px1", "py1", "pz1", "E2"), []),
        (("Jet_px", "Jet_py", "Jet_E"), []),
        (("apx", "bpy", "cpz", "E"), []),
    ],
)
def test_names_of_four_vectors(names: tuple[str, ...], labels: list[str]) -> None:
    found = four_vectors(Column(name, "float32") for name in names)
    assert [v.label for v in found] == labels


def test_parts_of_different_lengths_are_no_four_vector() -> None:
    columns = [Column(f"Jet_{a}", "float32", counter="nJet") for a in ("px", "py", "pz")]
    assert four_vectors([*columns, Column("Jet_E", "float32")]) == []


@pytest.mark.slow
def test_compress_warns_on_real_muons(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "dimuon_rntuple.root"
    ft.compress(
        source,
        tmp_path / "a.ftup",
        effort="fast",
        selection=ft.Selection(columns=("Muon_*",)),
    )
    stored = ft.decompress(tmp_path / "a.ftup")
    pt, eta, phi, m = (
        ak.values_astype(stored[f"Muon_{q}"], np.float64)
        for q in ("pt", "eta", "phi", "mass")
    )
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(px**2 + py**2 + pz**2 + m**2)
    columns = dict(zip((f"Muon_{a}" for a in AXES), (px, py, pz, energy), strict=True))
    columns = {name: ak.values_astype(x, np.float32) for name, x in columns.items()}
    done = ft.compress(columns, tmp_path / "b.ftup", tolerance="rel:1e-3", effort="fast")
    (shift,) = done.shifts
    assert str(shift) in done.warnings
    assert isinstance(shift, ft.MassShift)
    assert 0.4 < shift.imaginary < 0.55
    assert 8 < shift.largest < 20
    as_stored = ft.compress(
        stored, tmp_path / "c.ftup", tolerance="rel:1e-3", effort="fast"
    )
    assert as_stored.shifts == ()


def test_bound_of_the_energy_is_named() -> None:
    columns = pairs()
    bounds = {name: Bound() for name in columns} | {"E1": Bound("rel", 1e-3)}
    (shift,) = shifts_of(columns, bounds)
    assert shift.bound == "rel:0.001"
