"""Real files of the field, compressed and back, against readers of their own; skipped where the
samples are not at hand.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple.io.root_ttree import type_changes
from short_training import shorten_training

ROOT_FILES = ["nano_dy.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root", "uproot-HZZ.root"]
TEXT_FILES = ["Zee_Run2011A.csv", "higgs_train_10k.csv"]
RELATIVE = 1e-3


@dataclass(frozen=True)
class Trip:
    """A sample, the file it became, and what came back in its own format."""

    original: Path
    packed: Path
    back: Path
    tolerance: dict[str, str]


@pytest.fixture(scope="module", params=["lossless", f"rel:{RELATIVE}"])
def bound(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make_trip(original: Path, folder: Path, bound: str) -> Trip:
    tolerance = {} if bound == "lossless" else {"*": bound}
    trip = Trip(
        original, folder / "events.ftup", folder / f"back{original.suffix}", tolerance
    )
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        ft.compress(original, trip.packed, tolerance=tolerance, effort="fast")
    ft.decompress(trip.packed, trip.back)
    return trip


@pytest.fixture(scope="module", params=ROOT_FILES)
def root_trip(
    request: pytest.FixtureRequest,
    shared_data: Path,
    bound: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trip:
    return make_trip(shared_data / request.param, tmp_path_factory.mktemp("root"), bound)


@pytest.fixture(scope="module", params=TEXT_FILES)
def text_trip(
    request: pytest.FixtureRequest,
    shared_data: Path,
    bound: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trip:
    return make_trip(shared_data / request.param, tmp_path_factory.mktemp("text"), bound)


def assert_verified(trip: Trip) -> None:
    found = ft.verify(trip.original, trip.packed)
    assert sum(c.values for c in found) > 0
    assert {f"{c.table}/{c.column}": c.violations for c in found if c.violations} == {}


def assert_near(
    name: str, original: np.ndarray, decoded: np.ndarray, relative: float
) -> None:
    """Every finite value within |x' - x| <= R |x|, everything else bit for bit."""
    assert original.shape == decoded.shape, name
    same = original == decoded
    if original.dtype.kind == "f":
        same |= np.isnan(original) & np.isnan(decoded)
        x, y = original.astype(np.float64), decoded.astype(np.float64)
        finite = np.isfinite(x)
        same |= finite & (
            np.abs(np.where(finite, y, 0) - np.where(finite, x, 0))
            <= relative * np.abs(np.where(finite, x, 0))
        )
    assert same.all(), (name, original[~same][:5], decoded[~same][:5])


def trees(file: Any) -> Iterator[tuple[str, Any]]:
    for name in file.keys(cycle=False, filter_classname="TTree"):
        yield name, file[name]


class TestRoot:
    @pytest.mark.slow
    def test_every_bound_is_kept(self, root_trip: Trip) -> None:
        assert_verified(root_trip)

    @pytest.mark.slow
    def test_same_trees_branches_and_order(self, root_trip: Trip) -> None:
        with (
            uproot.open(root_trip.original) as original,
            uproot.open(root_trip.back) as back,
        ):
            assert original.classnames(cycle=False) == back.classnames(cycle=False)
            for name, tree in trees(original):
                assert back[name].num_entries == tree.num_entries
                assert [b.name for b in back[name].branches] == [
                    b.name for b in tree.branches
                ]
                found = {b.name: b.title for b in back[name].branches}
                # a title that is empty or a leaf list (`x/F`, `x[n]/F`) documents nothing; ROOT's
                # own leaf list stands there
                documented = {
                    b.name: b.title
                    for b in tree.branches
                    if not re.fullmatch(r"|[\w\[\]]+/\w", b.title)
                }
                assert {branch: found[branch] for branch in documented} == documented

    @pytest.mark.slow
    def test_same_types_but_for_the_changes_that_are_listed(
        self, root_trip: Trip
    ) -> None:
        with ft.open(root_trip.packed) as file:
            listed = {
                change.partition(":")[0]
                for t in file.tables.values()
                for change in type_changes(t.columns)
            }
        changed = set()
        with (
            uproot.open(root_trip.original) as original,
            uproot.open(root_trip.back) as back,
        ):
            for name, tree in trees(original):
                copy = {b.name: b.typename for b in back[name].branches}
                changed |= {b.name for b in tree.branches if copy[b.name] != b.typename}
        assert changed <= listed

    @pytest.mark.slow
    def test_same_values_and_counters(self, root_trip: Trip) -> None:
        is_lossy = bool(root_trip.tolerance)
        compared = 0
        with (
            uproot.open(root_trip.original) as original,
            uproot.open(root_trip.back) as back,
        ):
            for name, tree in trees(original):
                for branch in tree.branches:
                    expected, found = branch.array(), back[name][branch.name].array()
                    if "string" in str(expected.type):
                        assert found.tolist() == expected.tolist()
                        continue
                    if expected.ndim > 1:
                        assert ak.array_equal(ak.num(found), ak.num(expected)), (
                            branch.name
                        )
                    x, y = (
                        ak.to_numpy(ak.flatten(a, axis=None)) for a in (expected, found)
                    )
                    assert_near(branch.name, x, y, RELATIVE if is_lossy else 0.0)
                    if not is_lossy and x.dtype == y.dtype and x.dtype.kind == "f":
                        np.testing.assert_array_equal(
                            x.view(f"u{x.itemsize}"), y.view(f"u{x.itemsize}")
                        )
                    compared += len(x)
        assert compared > 1000

    @pytest.mark.slow
    def test_something_was_won(self, root_trip: Trip) -> None:
        assert root_trip.packed.stat().st_size < root_trip.original.stat().st_size
        if root_trip.tolerance:
            with ft.open(root_trip.packed) as file:
                assert any(
                    lattice.bound.kind == "rel"
                    for t in file.tables.values()
                    for lattice in t.lattices.values()
                )


class TestText:
    @pytest.mark.slow
    def test_every_bound_is_kept(self, text_trip: Trip) -> None:
        assert_verified(text_trip)

    @pytest.mark.slow
    def test_same_header_and_values(self, text_trip: Trip) -> None:
        with (
            open(text_trip.original, newline="") as left,
            open(text_trip.back, newline="") as right,
        ):
            original, back = list(csv.reader(left)), list(csv.reader(right))
        assert [name.strip() for name in original[0]] == back[0]
        assert len(original) == len(back)
        for name, expected, found in zip(
            back[0],
            zip(*original[1:], strict=True),
            zip(*back[1:], strict=True),
            strict=True,
        ):
            if not all(map(is_number, expected)):
                assert found == expected, name
                continue
            x, y = (
                np.array([float(word) if word.strip() else np.nan for word in cells])
                for cells in (expected, found)
            )
            assert_near(name, x, y, RELATIVE if text_trip.tolerance else 0.0)


def is_number(word: str) -> bool:
    try:
        float(word.strip() or "nan")
    except ValueError:
        return False
    return True


@pytest.mark.slow
def test_trigger_jets_take_at_most_8_60_bits_a_value(
    shared_data: Path, tmp_path: Path
) -> None:
    """quantise+pcodec alone takes 8.66 bits per value there."""
    original, packed = shared_data / "atlas_trigger_jets.root", tmp_path / "jets.ftup"
    ft.compress(original, packed, tolerance={"*": "std:2.88e-3"}, effort="fast")
    decoded = ft.decompress(packed)
    with uproot.open(original) as file:
        events = file["jets"].arrays()
    values = 0
    for name in events.fields:
        x, y = (
            np.asarray(ak.to_numpy(a[name])).astype(np.float64) for a in (events, decoded)
        )
        assert np.abs(y - x).max() <= 2.88e-3 * x.std() * (1 + 1e-9)
        values += len(x)
    assert values == 4 * 27945
    assert 8 * packed.stat().st_size / values <= 8.60  # 8.414 +- 0.005, 11 models
    assert_verified(Trip(original, packed, packed, {}))
