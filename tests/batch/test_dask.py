"""Compressed files as a collection of dask-awkward: unused columns are neither read nor decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.errors import InvalidArgument
from flowtuple.file.storage import Storage

dask_awkward = pytest.importorskip("dask_awkward")
pytest.importorskip("torch")
vector = pytest.importorskip("vector")

from flowtuple.dask import from_flowtuple  # noqa: E402 (needs dask_awkward)

EVENTS = 3000


def events(seed: int) -> ak.Array:
    draw = np.random.default_rng(seed)
    counts = draw.poisson(2.5, EVENTS)
    n = counts.sum()
    columns = {
        "pt": draw.exponential(30, n) + 20,
        "eta": draw.normal(0, 2, n),
        "phi": draw.uniform(-3, 3, n),
        "mass": draw.exponential(5, n),
    }
    columns |= {f"q{k}": draw.normal(size=n) for k in range(20)}
    jets = {
        f"Jet_{name}": ak.unflatten(x.astype(np.float32), counts)
        for name, x in columns.items()
    }
    return ak.Array(jets | {"MET_pt": draw.exponential(20, EVENTS)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dask")
    for k in range(2):
        ft.compress(events(k), path / f"{k}.ftup", effort="fast")
    return path


def dijet_masses(jets: Any, library: Any) -> Any:
    """Masses of the first two jets of events that have two."""
    two = jets[library.num(jets.Jet_pt) >= 2]
    first, second = (
        {q: two[f"Jet_{q}"][:, k] for q in ("pt", "eta", "phi", "mass")} for k in (0, 1)
    )
    energy = [
        np.sqrt((j["pt"] * np.cosh(j["eta"])) ** 2 + j["mass"] ** 2) for j in (first, second)
    ]
    momentum = [
        (j["pt"] * np.cos(j["phi"]), j["pt"] * np.sin(j["phi"]), j["pt"] * np.sinh(j["eta"]))
        for j in (first, second)
    ]
    squared = (energy[0] + energy[1]) ** 2 - sum(
        (a + b) ** 2 for a, b in zip(*momentum, strict=True)
    )
    return np.sqrt(abs(squared))


@pytest.mark.slow
def test_a_dijet_mass_reads_four_of_25_columns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = Storage.read

    def counted(self: Storage, offset: int, size: int) -> bytes:
        read.append(size)
        return plain(self, offset, size)

    collection = from_flowtuple(str(folder / "*.ftup"))
    masses = dijet_masses(collection, dask_awkward)
    needed = dask_awkward.necessary_columns(masses)
    assert {frozenset(names) for names in needed.values()} == {
        frozenset(f"Jet_{q}" for q in ("pt", "eta", "phi", "mass"))
    }
    monkeypatch.setattr(Storage, "read", counted)
    found = masses.compute(scheduler="synchronous")
    expected = np.concatenate([dijet_masses(events(k), ak) for k in range(2)])
    edges = np.linspace(0, 500, 50)
    assert np.array_equal(np.histogram(found, edges)[0], np.histogram(expected, edges)[0])
    assert np.array_equal(found, expected)
    assert sum(read) < 0.4 * sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.slow
def test_partitions_are_chunks(folder: Path, tmp_path: Path) -> None:
    ft.merge([folder / "0.ftup", folder / "0.ftup"], tmp_path / "both.ftup")
    collection = from_flowtuple([folder / "0.ftup", tmp_path / "both.ftup"])
    assert (collection.npartitions, collection.divisions) == (
        3,
        (0, EVENTS, 2 * EVENTS, 3 * EVENTS),
    )
    assert collection.MET_pt.partitions[2].compute().tolist() == events(0).MET_pt.tolist()


@pytest.mark.slow
def test_only_a_number_of_events(folder: Path) -> None:
    assert (
        dask_awkward.num(from_flowtuple(folder / "0.ftup").Jet_pt, axis=0).compute() == EVENTS
    )


def test_names_with_dots(tmp_path: Path) -> None:
    ft.compress(
        {"Jet.PT": [[1.0, 2.0], []], "Jet.Eta": [[0.5, 1.5], []]}, tmp_path / "delphes.ftup"
    )
    assert from_flowtuple(tmp_path / "delphes.ftup")["Jet.PT"].compute().tolist() == [
        [1.0, 2.0],
        [],
    ]


def test_files_of_other_types(tmp_path: Path) -> None:
    for k, dtype in enumerate((np.float32, np.int64)):
        ft.compress({"x": np.arange(5).astype(dtype)}, tmp_path / f"{k}.ftup")
    with pytest.raises(
        InvalidArgument, match=r"1.ftup: column 'x' is of another type than in .*0.ftup"
    ):
        from_flowtuple(str(tmp_path / "*.ftup"))


@pytest.mark.slow
def test_some_columns(folder: Path) -> None:
    assert from_flowtuple(folder / "0.ftup", columns=["Jet_p*"]).fields == [
        "Jet_pt",
        "Jet_phi",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["*.root"], "the glob matches no file"),
        (["0.ftup", "other.ftup"], "other.ftup: lacks column 'Jet_eta' of .*0.ftup"),
    ],
)
def test_files_that_do_not_fit(
    folder: Path, tmp_path: Path, names: list[str], message: str
) -> None:
    ft.compress({"Jet_pt": [[1.0]], "MET_pt": [2.0]}, tmp_path / "other.ftup")
    paths = [
        str(folder / name) if name != "other.ftup" else str(tmp_path / name) for name in names
    ]
    with pytest.raises(InvalidArgument, match=message):
        from_flowtuple(paths)
