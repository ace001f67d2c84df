"""Opened files: copied, pickled, on a worker of Dask, in a forked process, and closed; and columns
by key where names have slashes.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.errors import InvalidArgument

X = np.arange(1000.0)
EVENTS = {"x": X, "Jet_pt": [[1.5, 2.5], []] * 500, "name": ["a", "bc"] * 500}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opened")
    ft.compress(EVENTS, folder / "x.ftup", effort="fast")
    ft.train(EVENTS, folder / "m.flow", tolerance={"x": "abs:0.25"}, effort="fast")
    ft.compress(EVENTS, folder / "refers.ftup", model=folder / "m.flow", model_ref=True)
    return folder


def read(file: Any) -> Any:
    """A column, for workers and processes, which find this function by name."""
    return file["x"].to_numpy()


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda file: pickle.loads(pickle.dumps(file)),
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_opened_anew(
    folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with ft.open("x.ftup", resources=ft.Resources(1, memory=10**8)) as file:
        monkeypatch.chdir("/")
        with COPIES[way](file) as other:
            file.close()
            assert np.array_equal(read(other), X)
            assert other.arrays().tolist()[1] == {"x": 1.0, "Jet_pt": [], "name": "bc"}


def test_a_copy_behind_a_url_is_opened_anew(folder: Path) -> None:
    url = "memory://opened/x.ftup"
    fsspec.filesystem("memory").pipe_file(
        "/opened/x.ftup", (folder / "x.ftup").read_bytes()
    )
    with ft.open(url) as file, pickle.loads(pickle.dumps(file)) as other:
        assert other.path == url
        assert np.array_equal(read(other), X)


def test_the_model_travels_or_is_named(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.flow"
    model.write_bytes((folder / "m.flow").read_bytes())
    with ft.open(folder / "refers.ftup", model=model) as file:
        sent = pickle.dumps(file)
        with pickle.loads(sent) as other:
            assert np.abs(read(other) - X).max() <= 0.25
        model.unlink()
        with (
            pickle.loads(sent) as other,
            pytest.raises(InvalidArgument, match=r"m\.flow: no such file"),
        ):
            read(other)
    with (
        ft.open(folder / "refers.ftup") as file,
        pickle.loads(pickle.dumps(file)) as other,
        pytest.raises(
            InvalidArgument, match=r"refers\.ftup: needs the model .* `model=`"
        ),
    ):
        read(other)


def test_events_given_to_a_file_travel(tmp_path: Path) -> None:
    path = tmp_path / "given.ftup"
    ft.compress(EVENTS, path, given=["x"])
    with ft.open(path, given=EVENTS) as file, pickle.loads(pickle.dumps(file)) as other:
        assert np.array_equal(read(other), X)


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="no processes are forked",
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_an_opened_file(folder: Path) -> None:
    with ft.open(folder / "x.ftup", resources=ft.Resources(1)) as file:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=lambda: theirs.send(read(file).tolist()))
        child.start()
        here = [read(file) for _ in range(20)]
        assert ours.poll(30)
        assert ours.recv() == X.tolist()
        child.join(30)
        assert child.exitcode == 0
        assert all(np.array_equal(x, X) for x in here)


READS: dict[str, Callable[[Any, Any], Any]] = {
    "key": lambda file, _: file["x"],
    "events": lambda file, _: file["x", 3:5],
    "no events": lambda file, _: file["x", 3:3],
    "event": lambda file, _: file["x", 3],
    "arrays": lambda file, _: file.arrays("x"),
    "no arrays": lambda file, _: file.arrays("x", entry_stop=0),
    "iterate": lambda file, _: next(file.iterate()),
    "steps": lambda file, _: list(file.iterate("x", step_size=10)),
    "mapping": lambda file, _: file.mapping()["x"].tolist(),
    "an older mapping": lambda _, older: older["mapping"]["x"].tolist(),
    "an older iteration": lambda _, older: next(older["iterate"]),
    "table": lambda file, _: file.table().read(["x"], 0, 5),
    "an older table": lambda _, older: older["table"].read(["x"], 3, 5),
    "carried": lambda file, _: file.carried,
    "dataset": lambda file, _: file.dataset(),
    "raw": lambda file, _: file.raw(file.sections[-1]),
    "head": lambda file, _: file.read_head(file.sections[0]),
    "pickle": lambda file, _: pickle.dumps(file),
    "copy": lambda file, _: copy.deepcopy(file),
}


@pytest.mark.parametrize("way", READS)
@pytest.mark.parametrize("place", ["path", "url"])
def test_a_closed_file_fails_alike(folder: Path, way: str, place: str) -> None:
    path: Any = folder / "x.ftup"
    if place == "url":
        fsspec.filesystem("memory").pipe_file("/opened/x.ftup", path.read_bytes())
        path = "memory://opened/x.ftup"
    with ft.open(path) as file:
        older = {
            "mapping": file.mapping(),
            "table": file.table(),
            "iterate": file.iterate(step_size=10),
        }
        assert file["x", 3] == 3  # the chunk stays in memory
        assert len(next(older["iterate"])) == 10
    with pytest.raises(InvalidArgument, match="closed") as caught:
        READS[way](file, older)
    assert (
        str(caught.value)
        == f"{path}: cannot be read (it is closed); open it again with ft.open"
    )
    assert file.keys() == list(EVENTS)  # the description stays
    assert "x.ftup" in repr(file)


@pytest.fixture(scope="module")
def slashes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A file with the trees `tree`, `dir/tree` and `dir`, and columns with slashes."""
    from flowtuple.data.table import Dataset
    from flowtuple.io.memory import dataset_from_memory
    from flowtuple.io.source import write_dataset

    tables = {}
    contents = {
        "tree": {"a/b": [1.0], "b": [2.0]},
        "dir/tree": {"a/b": [3.0], "b": [4.0]},
        "dir": {"tree/b": [5.0], "tree/c": [6.0]},
    }
    for tree, columns in contents.items():
        events = {name: np.array(values) for name, values in columns.items()}
        tables |= dataset_from_memory(events).renamed(tree).tables
    folder = tmp_path_factory.mktemp("slashes")
    write_dataset(Dataset("by hand", tables), folder / "trees.npz")
    ft.compress(folder / "trees.npz", folder / "trees.ftup")
    ft.compress({"a/b": [1.0, 2.0], "b": [3.0, 4.0]}, folder / "one.ftup")
    with ft.open(folder / "trees.ftup") as trees, ft.open(folder / "one.ftup") as one:
        assert set(trees.tables) == set(contents)
        yield {"trees": trees, "one": one}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("trees", "tree/a/b", 1),
        ("trees", "tree/b", 2),
        ("trees", "dir/tree/a/b", 3),
        ("trees", "dir/tree/b", 4),  # of `dir/tree`, whose name is longer
        ("trees", "dir/tree/c", 6),  # `dir/tree` has no c
        ("one", "a/b", 1),
        ("one", "events/a/b", 1),
        ("one", "b", 3),
        ("one", "events/b", 3),
    ],
)
def test_keys_with_slashes(slashes: Any, name: str, key: str, value: float) -> None:
    assert slashes[name][key][0] == slashes[name][key, 0] == value


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("one", "a/c", r"no (column 'a/c'; nearest: a/b|tree 'a'; )"),
        ("one", "events/a/c", "no column 'a/c'; nearest: a/b"),
        ("trees", "dir/tree/a/x", "no column 'a/x'; nearest: a/b"),
        ("trees", "tre/b", "no tree 'tre'; nearest: tree"),
        ("trees", "b", "holds 3 trees .* choose one by tree="),
    ],
)
def test_keys_that_are_none(slashes: Any, name: str, key: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        slashes[name][key]
