"""Rows in the order (index, event), and what a conditioner reads of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, Rows, coding_order, collection_counts, collection_of, gather
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.schema import Column

COUNTS = st.lists(st.integers(0, 6) | st.sampled_from([0, 1, 300]), max_size=30).map(lambda c: np.array(c, np.int64))


def slow_rows(counts: np.ndarray) -> list[tuple[int, int, int]]:
    """(index, event, stored position) of every object, sorted."""
    rows, position = [], 0
    for event, count in enumerate(counts.tolist()):
        for index in range(count):
            rows.append((index, event, position))
            position += 1
    return sorted(rows)


@given(counts=COUNTS)
def test_order(counts: np.ndarray) -> None:
    rows, slow = Rows(counts), slow_rows(counts)
    assert len(rows) == len(slow)
    assert rows.order.tolist() == [position for _, _, position in slow]
    assert rows.event.tolist() == [event for _, event, _ in slow]
    assert rows.index.dtype == np.uint8
    assert rows.index.tolist() == [256 * index // (index + 8) for index, _, _ in slow]
    stored = np.arange(len(rows)) * 7
    assert np.array_equal(rows.unsort(stored[rows.order]), stored)


@given(counts=COUNTS, seed=st.integers(0, 99))
def test_gather(counts: np.ndarray, seed: int) -> None:
    rng, rows = np.random.default_rng(seed), Rows(counts)
    levels = {"mass": rng.integers(0, 256, len(rows), np.uint8), "met": rng.integers(0, 256, len(counts), np.uint8)}
    parents = [Parent("row", "mass"), Parent("event", "met"), Parent("index"), Parent("row", "mass")]
    expected = [
        [levels["mass"][k], levels["met"][event], 256 * index // (index + 8), levels["mass"][k]]
        for k, (index, event, _) in enumerate(slow_rows(counts))
    ]
    found = gather(parents, levels, rows)
    assert found.dtype == np.uint8
    assert found.tolist() == expected
    assert gather([], levels, rows).shape == (len(rows), 0)


COLUMNS = (
    Column("Jet_pt", "float32", counter="nJet"),
    Column("p4", "float64", shape=(2, 2)),
    Column("text", "opaque"),
    Column("nJet", "uint8", "counter"),
    Column("q", "int8", shape=(4,)),
    Column("met", "float32"),
    Column("Jet_eta", "float32", counter="nJet"),
)


def test_event_columns_come_first() -> None:
    names = [c.name for c in coding_order(COLUMNS)]
    assert names == ["nJet", "met", "Jet_pt", "p4", "q", "Jet_eta"]


def test_collections() -> None:
    assert [collection_of(c) for c in COLUMNS] == ["#nJet", "[4]", "", "", "[4]", "", "#nJet"]
    counters = {"nJet": np.array([2, 0, 255], np.uint8)}
    assert collection_counts(COLUMNS[0], counters, 3).tolist() == [2, 0, 255]
    assert collection_counts(COLUMNS[0], counters, 3).dtype == np.int64
    assert collection_counts(COLUMNS[1], counters, 3).tolist() == [4, 4, 4]
    assert collection_counts(COLUMNS[5], counters, 3).tolist() == [1, 1, 1]
    assert len(Rows(collection_counts(COLUMNS[0], counters, 3))) == 257


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        (["a"], {"a"}),
        (["c"], {"a", "b", "c"}),
        (["d"], {"d"}),
        (["e"], {"e", "d"}),
        (["unknown"], {"unknown"}),
        (["e", "b"], {"a", "b", "d", "e"}),
        ([], set()),
    ],
)
def test_ancestors(wanted: list[str], needed: set[str]) -> None:
    bins = Bins(np.array([0]), np.array([5]))
    network = Network((Layer(np.zeros((2, 2), np.int8), np.ones(2, np.uint8)),))
    flow = LatticeFlow(
        {
            "a": ColumnFlow(bins, (), network),
            "b": ColumnFlow(bins, (Parent("row", "a"), Parent("index")), network),
            "c": ColumnFlow(bins, (Parent("event", "b"), Parent("row", "a")), network),
            "d": ColumnFlow(bins, (Parent("row", "a"),)),
            "e": ColumnFlow(bins, (Parent("row", "d"),), network),
        }
    )
    assert flow.ancestors(wanted) == needed
    assert [flow.coded(n) for n in "aden"] == [True, False, True, False]
