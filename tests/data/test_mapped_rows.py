"""Rows gathered a range of events at a time: in memory and in a mapped file they are the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from flowtuple.data import mapped_rows
from flowtuple.data.mapped_rows import gather_rows
from flowtuple.data.row_source import read_rows, row_source
from flowtuple.data.rows import Rows
from flowtuple.data.table import Dataset, Table
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset, write_dataset

LITTLE, MUCH = 1024, 2**31


def jets(events: int = 5000, seed: int = 0) -> dict[str, ak.Array]:
    draw = np.random.default_rng(seed)
    counts = draw.poisson(1.5, events)
    pt = draw.exponential(30, counts.sum()).astype(np.float32)
    pt[::97] = np.nan
    columns = {"Jet_pt": pt, "Jet_charge": draw.integers(-1, 2, len(pt)).astype(np.int8)}
    return {name: ak.unflatten(values, counts) for name, values in columns.items()} | {
        "w": draw.random(events)
    }


def same(a: Rows, b: Rows) -> bool:
    arrays = ("values", "event", "weights")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays) and (
        a.columns,
        a.events,
        a.dropped,
        a.dtypes,
    ) == (
        b.columns,
        b.events,
        b.dropped,
        b.dtypes,
    )


@pytest.mark.parametrize("memory", [LITTLE, MUCH], ids=["mapped", "resident"])
def test_gathered_rows_are_those_read_at_once(tmp_path: Path, memory: int) -> None:
    dataset = open_dataset(jets())
    rows = gather_rows(row_source(dataset, ["Jet_*"], "w"), memory, tmp_path)
    assert same(rows, read_rows(dataset, ["Jet_*"], "w"))
    assert rows.dropped > 10
    assert rows.values.dtype == np.float32
    assert all(column.flags.c_contiguous for column in rows.values.T)
    # the file has no name, so that nothing is left of it whatever happens
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_several_files_are_one(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_dataset(open_dataset(jets(seed=seed)), tmp_path / f"{seed}.root")
    dataset = open_dataset([tmp_path / "1.root", tmp_path / "2.root"])
    rows = gather_rows(row_source(dataset, ["Jet_*"]), LITTLE)
    assert rows.events == 10_000
    assert same(rows, read_rows(dataset, ["Jet_*"]))


def test_no_range_is_larger_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    table = next(iter(open_dataset({"x": np.arange(50_000.0)}).tables.values()))
    read: list[tuple[int, int]] = []

    class Told:
        name, columns, num_entries = table.name, table.columns, table.num_entries

        def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
            read.append((start, stop))
            return table.read(columns, start, stop)

    monkeypatch.setattr(mapped_rows, "_MOST", 7000)
    rows = gather_rows(row_source(Dataset("told", {"events": Told()})), MUCH)
    assert rows.values[:, 0].tolist() == list(range(50_000))
    assert max(stop - start for start, stop in read) == 7000
    read.clear()
    gather_rows(row_source(Dataset("told", {"events": Told()})), 16 * 8 * 400)
    # the first two measure how large an event is
    assert max(stop - start for start, stop in read[2:]) == 400


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["f4", "i2", "?"], "f4"),
        (["f4", "f8"], "f8"),
        (["i4"], "f8"),
        (["u2", "f2"], "f4"),
        (["i8", "f4"], "f8"),
    ],
)
def test_values_are_as_wide_as_they_have_to_be(dtypes: list[str], expected: str) -> None:
    columns = {f"x{k}": np.arange(30).astype(dtype) for k, dtype in enumerate(dtypes)}
    assert gather_rows(row_source(open_dataset(columns)), MUCH).values.dtype == np.dtype(
        expected
    )


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        InvalidArgument,
        match=r"no room for 0.0 GB of rows \(No space left on device\); name another folder",
    ):
        gather_rows(row_source(open_dataset({"x": np.arange(1000.0)})), LITTLE, tmp_path)


def test_an_input_without_events() -> None:
    rows = gather_rows(
        row_source(open_dataset({"x": np.zeros(0), "v": np.zeros((0, 3))})), MUCH
    )
    assert rows.values.shape == (0, 4)
    assert rows.columns == ("x", "v[0]", "v[1]", "v[2]")
