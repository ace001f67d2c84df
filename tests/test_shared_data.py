"""The larger samples: sizes and round trips on real files. Skipped where the samples are absent."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.events.root_writer import type_changes

LOSSLESS: dict[str, str] = {}
RELATIVE = {"*": "rel:1e-3"}
ROOT_FILES = ["nano_dy.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root", "uproot-HZZ.root"]
TEXT_FILES = ["Zee_Run2011A.csv", "higgs_train_10k.csv"]
BITS_ON_ATLAS = 8.60  # quantise+pcodec alone takes 8.66


def violations(original: Path, packed: Path) -> int:
    return sum(column.violations for column in ft.verify(original, packed))


def test_atlas_jets_in_bound_and_small(shared_data: Path, tmp_path: Path) -> None:
    source, packed = shared_data / "atlas_trigger_jets.root", tmp_path / "jets.ftup"
    result = ft.compress(source, packed, tolerance={"*": "std:2.88e-3"}, effort="fast")
    assert violations(source, packed) == 0
    assert result.values == 4 * 27945
    assert 8 * packed.stat().st_size / result.values <= BITS_ON_ATLAS
    with uproot.open(source) as before:
        columns = before["jets"].arrays(library="np")
    decoded = ft.decompress(packed)
    for name, x in columns.items():
        bound = 2.88e-3 * x.astype("float64").std()
        difference = np.abs(decoded[name].to_numpy().astype("float64") - x.astype("float64"))
        assert difference.max() <= bound * (1 + 1e-9)


@pytest.mark.parametrize("tolerance", [LOSSLESS, RELATIVE], ids=["lossless", "rel"])
@pytest.mark.parametrize("name", ROOT_FILES)
def test_root_files_come_back(shared_data: Path, tmp_path: Path, name: str, tolerance: dict[str, str]) -> None:
    source, packed, unpacked = shared_data / name, tmp_path / "out.ftup", tmp_path / "out.root"
    ft.compress(source, packed, tolerance=tolerance, effort="fast")
    assert violations(source, packed) == 0
    ft.decompress(packed, unpacked)
    with uproot.open(source) as before, uproot.open(unpacked) as after, ft.open(packed) as file:
        assert before.keys(cycle=False, filter_classname="TTree") == after.keys(cycle=False, filter_classname="TTree")
        for tree, table in file.tables.items():
            changed = {change.split(":")[0] for change in type_changes(table.columns)}
            exact = {c.name for c in table.columns if c.name not in table.asked} - changed
            compare_trees(before[tree], after[tree], exact)


def compare_trees(before: uproot.TTree, after: uproot.TTree, exact: set[str]) -> None:
    assert before.keys() == after.keys()
    originals, copies = before.arrays(), after.arrays()
    for branch in before.keys():  # noqa: SIM118 (a tree is no dict)
        assert after[branch].count_branch is None or after[branch].count_branch.name == before[branch].count_branch.name
        assert ak.array_equal(ak.num(originals[branch], axis=0), ak.num(copies[branch], axis=0))
        if originals[branch].ndim > 1:
            assert ak.array_equal(ak.num(originals[branch]), ak.num(copies[branch]))
        if branch in exact:
            assert ak.array_equal(originals[branch], copies[branch], equal_nan=True, dtype_exact=True)


@pytest.mark.parametrize("tolerance", [LOSSLESS, RELATIVE], ids=["lossless", "rel"])
@pytest.mark.parametrize("name", TEXT_FILES)
def test_text_files_come_back(shared_data: Path, tmp_path: Path, name: str, tolerance: dict[str, str]) -> None:
    source, packed, unpacked = shared_data / name, tmp_path / "out.ftup", tmp_path / "out.csv"
    ft.compress(source, packed, tolerance=tolerance, effort="fast")
    assert violations(source, packed) == 0
    ft.decompress(packed, unpacked)
    assert unpacked.read_text().splitlines()[0] == source.read_text().splitlines()[0].strip()
    assert violations(unpacked, packed) == 0
