"""Compressed files as a collection of dask-awkward: unused columns are neither read nor decoded."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import flowtuple as ft
from flowtuple.errors import Corrupt, InvalidArgument, Truncated
from flowtuple.file.reader import PREFIX, SUFFIX
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
        np.sqrt((j["pt"] * np.cosh(j["eta"])) ** 2 + j["mass"] ** 2)
        for j in (first, second)
    ]
    momentum = [
        (
            j["pt"] * np.cos(j["phi"]),
            j["pt"] * np.sin(j["phi"]),
            j["pt"] * np.sinh(j["eta"]),
        )
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
        dask_awkward.num(from_flowtuple(folder / "0.ftup").Jet_pt, axis=0).compute()
        == EVENTS
    )


def test_names_with_dots(tmp_path: Path) -> None:
    ft.compress(
        {"Jet.PT": [[1.0, 2.0], []], "Jet.Eta": [[0.5, 1.5], []]},
        tmp_path / "delphes.ftup",
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
        str(folder / name) if name != "other.ftup" else str(tmp_path / name)
        for name in names
    ]
    with pytest.raises(InvalidArgument, match=message):
        from_flowtuple(paths)


MANY = 36_000
STEP = 9_000  # of a chunk
VALUES = np.random.default_rng(0).normal(size=MANY)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of four chunks, of which opening reads no byte but of the first and the last."""
    path = tmp_path_factory.mktemp("whole") / "whole.ftup"
    ft.compress({"x": VALUES, "y": np.arange(MANY) % 7}, path, effort="fast")
    with ft.open(path) as file:
        assert [(c.begin, c.stop) for c in file.table().chunks] == [
            (k, k + STEP) for k in range(0, MANY, STEP)
        ]
    return path.read_bytes()


def damage(whole: bytes, path: Path, *numbers: int, column: str = "x") -> Path:
    """Write the file with a wrong byte within a column of some chunks."""
    path.write_bytes(whole)
    with ft.open(path) as file:
        table = file.table()
        places = []
        for number in numbers:
            chunk = table.chunks[number]
            entry = table.directory(chunk)[0].entries[column]
            places.append(chunk.section.begin + chunk.section.head + entry.begin + 5)
    content = bytearray(whole)
    for place in places:
        content[place] ^= 1
    path.write_bytes(content)
    return path


class Noted(MemoryFileSystem):
    """Files in memory, whose ranges that are read are noted."""

    protocol = "noted"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    ranges: ClassVar[list[tuple[int, int]]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("noted://", "memory://"))

    def cat_file(
        self, path: str, start: Any = None, end: Any = None, **options: Any
    ) -> Any:
        self.ranges.append((start, end))
        return super().cat_file(path, start, end, **options)


def test_the_call_reads_the_description_and_no_event(
    whole: bytes, tmp_path: Path
) -> None:
    fsspec.register_implementation("noted", Noted, clobber=True)
    # what it decoded would be an error: all chunks are damaged
    content = damage(whole, tmp_path / "all.ftup", 0, 1, 2, 3).read_bytes()
    fsspec.filesystem("noted").pipe_file("/all.ftup", content)
    Noted.ranges.clear()
    collection = from_flowtuple("noted://all.ftup")
    size = len(content)
    assert sorted(Noted.ranges) == [(0, PREFIX), (size - SUFFIX, size)]
    assert (collection.fields, collection.npartitions) == (["x", "y"], 4)
    Noted.ranges.clear()
    with pytest.raises(
        Corrupt,
        match=r"^noted://all\.ftup: events 9000 to 18000: column 'x' is damaged; restore",
    ):
        collection.x.partitions[1].compute(scheduler="synchronous")
    assert len(Noted.ranges) == 3  # opening, and one chunk


def test_types_of_no_events_are_those_of_events(tmp_path: Path) -> None:
    columns = {
        "n": np.arange(3, dtype=np.int16),
        "list": ak.Array([[1.5], [], [2.5, 3.5]]),
        "matrix": np.zeros((3, 2, 2), np.float32),
        "flag": np.array([True, False, True]),
        "text": ["a", "", "bc"],
        "deep": ak.Array([[[1]], [], [[2], []]]),
    }
    ft.compress(ak.Array(columns), tmp_path / "x.ftup")
    with ft.open(tmp_path / "x.ftup") as file:
        assert file.arrays(entry_stop=0).type.content == file.arrays().type.content
        assert file.arrays(entry_stop=0).layout.form == file.arrays().layout.form
    computed = from_flowtuple(tmp_path / "x.ftup").compute(scheduler="synchronous")
    assert computed.tolist() == ak.Array(columns).tolist()


def test_damage_is_named_with_file_and_events(whole: bytes, tmp_path: Path) -> None:
    path = damage(whole, tmp_path / "x.ftup", 1)
    collection = from_flowtuple(path)
    match = (
        rf"^{path}: events 9000 to 18000: column 'x' is damaged; restore the file [^\n]*$"
    )
    with pytest.raises(Corrupt, match=match):
        collection.x.compute(scheduler="synchronous")
    assert np.array_equal(
        collection.y.compute(scheduler="synchronous"), np.arange(MANY) % 7
    )
    path.write_bytes(whole[:-9])  # after the call
    with pytest.raises(
        Truncated, match=rf"^{path}: events 0 to 9000: does not end with the "
    ):
        collection.y.partitions[0].compute(scheduler="synchronous")


def test_damaged_events_are_skipped_with_a_warning(whole: bytes, tmp_path: Path) -> None:
    damaged = damage(whole, tmp_path / "a.ftup", 1)
    (tmp_path / "b.ftup").write_bytes(whole)
    collection = from_flowtuple(str(tmp_path / "*.ftup"), on_error="skip")
    assert not collection.known_divisions
    match = rf"^{damaged}: events 9000 to 18000: left out; column 'x' is damaged; "
    with pytest.warns(UserWarning, match=match) as noted:
        x = collection.x.compute(scheduler="synchronous")
    assert len(noted) == 1
    assert np.array_equal(x, np.concatenate([VALUES[:STEP], VALUES[2 * STEP :], VALUES]))
    y = collection.y.compute(scheduler="synchronous")  # a column without damage is whole
    assert len(y) == 2 * MANY


def test_damaged_files_are_named_or_skipped(whole: bytes, tmp_path: Path) -> None:
    short = tmp_path / "a.ftup"
    short.write_bytes(whole[:-100])
    (tmp_path / "b.ftup").write_bytes(whole)
    with pytest.raises(
        Truncated, match=rf"^{short}: does not end with the flowtuple end mark"
    ):
        from_flowtuple(str(tmp_path / "*.ftup"))
    match = rf"^{short}: does not end .*; the file is left out$"
    with pytest.warns(UserWarning, match=match):
        collection = from_flowtuple(str(tmp_path / "*.ftup"), on_error="skip")
    assert np.array_equal(collection.x.compute(scheduler="synchronous"), VALUES)
    with (
        pytest.warns(UserWarning, match=match),
        pytest.raises(InvalidArgument, match="hold no events"),
    ):
        from_flowtuple(short, on_error="skip")


def test_a_way_of_errors_that_is_none() -> None:
    with pytest.raises(InvalidArgument, match=r"`on_error=` 'skipp'; nearest: skip$"):
        from_flowtuple("x.ftup", on_error="skipp")  # type: ignore[arg-type]


def column_x(file: Any) -> Any:
    """A column of an opened file, read where the task runs."""
    return file["x"].to_numpy()


@pytest.mark.slow
def test_a_worker_reads_opened_files_and_warns_the_client(
    client: Any, whole: bytes, tmp_path: Path
) -> None:
    (tmp_path / "b.ftup").write_bytes(whole)
    damage(whole, tmp_path / "a.ftup", 3)
    with ft.open(tmp_path / "b.ftup", resources=ft.Resources(1)) as file:
        assert np.array_equal(client.submit(column_x, file).result(60), VALUES)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        collection = from_flowtuple(tmp_path / "a.ftup", on_error="skip")
        x = collection.x.compute(scheduler=client)
        end = time.monotonic() + 10
        while (
            not any("left out" in str(w.message) for w in noted)
            and time.monotonic() < end
        ):
            time.sleep(0.05)
    assert np.array_equal(x, VALUES[: 3 * STEP])
    messages = [str(w.message) for w in noted]
    assert sum("a.ftup: events 27000 to 36000: left out" in m for m in messages) == 1
