"""Parts that an output does not hold: counted, named, kept in the file, and shown by every command."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.errors import Refused
from flowtuple.io.source import ReadOptions, open_dataset
from in_process import run_here

COMPOUND = [("pt", "f4"), ("p", [("x", "f4")]), ("c", "c8"), ("o", "V4")]


@pytest.fixture(scope="module")
def compound(tmp_path_factory):
    """A table with three members that cannot be carried."""
    path = tmp_path_factory.mktemp("compound") / "compound.h5"
    with h5py.File(path, "w") as file:
        file["jets"] = np.zeros(200, dtype=COMPOUND)
    return path


@pytest.mark.parametrize("tree", ["", ":jets"])
def test_naming_a_tree_refuses_what_the_file_is_refused_for(compound, tmp_path, tree):
    with pytest.raises(
        Refused, match=r"cannot carry 3 parts: jets/p.*jets/c.*jets/o.*`drop=`"
    ) as caught:
        ft.compress(f"{compound}{tree}", tmp_path / "x.ftup", effort="fast")
    assert list(caught.value.parts) == ["jets/p", "jets/c", "jets/o"]
    assert not (tmp_path / "x.ftup").exists()


def test_a_tree_that_cannot_be_read_is_refused_with_its_reason():
    dataset = open_dataset({"x": [1.0]}, ReadOptions())
    dataset.refused["broken"] = "the tree is damaged"
    with pytest.raises(
        ft.InvalidArgument, match=r"tree 'broken' cannot be read: the tree is damaged"
    ):
        dataset.only("broken")


def test_what_is_dropped_is_listed_and_stays_in_the_file(compound, tmp_path):
    path = tmp_path / "x.ftup"
    result = ft.compress(
        f"{compound}:jets", path, selection=ft.Selection(drop=True), effort="fast"
    )
    names = [part.name for part in result.left_out]
    assert names == ["jets/p", "jets/c", "jets/o"]
    assert [part["name"] for part in ft.info(path)["left_out"]] == names
    assert all(part["reason"] for part in ft.info(path)["left_out"])
    back = ft.decompress(path, tmp_path / "x.npz")
    assert [part.name for part in back.left_out] == names
    ft.recompress(path, tmp_path / "again.ftup", effort="fast")
    assert [
        part["name"] for part in ft.info(tmp_path / "again.ftup")["left_out"]
    ] == names


def test_a_whole_file_says_nothing_of_parts_left_out(tmp_path):
    result = ft.compress({"x": [1.0, 2.0]}, tmp_path / "x.ftup", effort="fast")
    assert result.left_out == ()
    with ft.open(tmp_path / "x.ftup") as file:
        assert "left_out" not in file.meta
        assert "storage" not in file.meta["tables"][0]


@pytest.mark.slow
def test_the_terminal_counts_and_names_the_parts(compound, tmp_path):
    refused = run_here(
        "compress", compound, "-o", tmp_path / "x.ftup", "--effort", "fast", "--json"
    )
    assert refused.returncode == 2
    assert [part["name"] for part in json.loads(refused.stdout)["refused"]] == [
        "jets/p",
        "jets/c",
        "jets/o",
    ]
    assert refused.stderr.startswith(f"flowtuple: {compound}: cannot carry 3 parts")
    assert refused.stderr.count("\n") == 1

    done = run_here(
        "compress", compound, "-o", tmp_path / "x.ftup", "--effort", "fast", "--drop"
    )
    assert done.returncode == 0
    assert "warning: left out: 3 parts: jets/p" in done.stderr
    shown = run_here("info", tmp_path / "x.ftup")
    assert "left out at compression: jets/o (" in shown.stdout
    back = run_here("decompress", tmp_path / "x.ftup", "-o", tmp_path / "x.h5", "--json")
    assert [part["name"] for part in json.loads(back.stdout)["left_out"]] == [
        "jets/p",
        "jets/c",
        "jets/o",
    ]


def test_excluding_a_part_by_name_is_no_refusal(compound, tmp_path):
    selection = ft.Selection(exclude=("jets/p", "c", "o"))
    result = ft.compress(
        compound, tmp_path / "x.ftup", selection=selection, effort="fast"
    )
    assert result.left_out == ()
    chosen = ft.compress(
        compound,
        tmp_path / "y.ftup",
        selection=ft.Selection(columns=("pt",)),
        effort="fast",
    )
    assert chosen.left_out == ()
    with pytest.raises(ft.InvalidArgument, match="matches no column"):
        ft.compress(
            compound,
            tmp_path / "z.ftup",
            selection=ft.Selection(exclude=("nothing",), drop=True),
        )


@pytest.mark.slow
def test_an_output_format_lists_what_it_leaves_out(tmp_path):
    with uproot.recreate(tmp_path / "in.root") as file:
        tree = file.mktree("t", {"x": "float32", "cov": np.dtype((np.float32, (2,)))})
        tree.extend({"x": np.ones(5, "f4"), "cov": np.ones((5, 2), "f4")})
        file["h"] = np.histogram(np.arange(4.0), 3)
    path = tmp_path / "x.ftup"
    assert ft.compress(tmp_path / "in.root", path, effort="fast").left_out == ()
    done = run_here("decompress", path, "-o", tmp_path / "x.csv", "--drop")
    assert done.returncode == 0, done.stderr
    assert "t/cov (it has [2] values per event)" in done.stderr
    assert "h (a text file holds tables only)" in done.stderr


def test_every_later_command_keeps_the_list(compound, tmp_path):
    for name in ("a.ftup", "b.ftup"):
        ft.compress(
            compound, tmp_path / name, selection=ft.Selection(drop=True), effort="fast"
        )
    names = ["jets/p", "jets/c", "jets/o"]
    recovered = ft.recover(tmp_path / "a.ftup", tmp_path / "saved.npz")
    assert [part.name for part in recovered.left_out] == names
    ft.merge([tmp_path / "a.ftup", tmp_path / "b.ftup"], tmp_path / "both.ftup")
    assert [part["name"] for part in ft.info(tmp_path / "both.ftup")["left_out"]] == names


@pytest.mark.slow
def test_a_container_of_root_goes_with_root_only(compound, tmp_path):
    ft.compress({"x": [1.0]}, tmp_path / "x.ftup", effort="fast")
    done = run_here(
        "decompress", tmp_path / "x.ftup", "-o", tmp_path / "x.parquet", "--as", "rntuple"
    )
    assert done.returncode == 2
    assert (
        "x.parquet: is no ROOT file, so it holds no rntuple; end its name in .root"
        in done.stderr
    )
    assert not (tmp_path / "x.parquet").exists()


def test_globs_of_columns_do_not_leave_out_objects(tmp_path):
    dataset = open_dataset({"x": [1.0]}, ReadOptions())
    dataset.refused["h"] = "it is larger than the 1 GB that ROOT reads"
    from flowtuple.api.inputs import _is_selected

    assert _is_selected("h", dataset.tables, ("x",), ())
    assert not _is_selected("events/y", dataset.tables, ("x",), ())
    assert not _is_selected("h", dataset.tables, ("x",), ("h",))
