"""Rows in the order (index, event), and what a column reads of others, against slow loops over
events.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import (
    RELATIONS,
    Context,
    Parent,
    coding_order,
    collection_counts,
    collection_of,
)
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import Prediction, Term
from flowtuple.lattice.rows import RowSet

COUNTS = st.lists(st.integers(0, 6) | st.sampled_from([0, 1, 300]), max_size=30).map(
    lambda c: np.array(c, np.int64)
)


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
    rows, slow = RowSet(counts), slow_rows(counts)
    assert len(rows) == len(slow)
    assert rows.order.tolist() == [position for _, _, position in slow]
    assert rows.event.tolist() == [event for _, event, _ in slow]
    assert rows.index.dtype == np.uint8
    assert rows.index.tolist() == [256 * index // (index + 8) for index, _, _ in slow]
    stored = np.arange(len(rows)) * 7
    assert np.array_equal(rows.unsort(stored[rows.order]), stored)


@given(counts=COUNTS)
def test_sort_and_unsort(counts: np.ndarray) -> None:
    rows = RowSet(counts)
    stored = np.random.default_rng(len(counts)).integers(0, 99, len(rows))
    assert rows.sort(stored).tolist() == [
        stored[position] for _, _, position in slow_rows(counts)
    ]
    assert np.array_equal(rows.unsort(rows.sort(stored)), stored)
    assert rows.sort(stored)[rows.rank].tolist() == stored.tolist()
    assert rows.in_order == (counts.max(initial=0) <= 1)


@given(counts=COUNTS)
def test_parts_are_the_rows_of_equal_number(counts: np.ndarray) -> None:
    rows, most = RowSet(counts), int(counts.max(initial=0))
    assert [part.stop - part.start for part in rows.parts] == [
        int((counts > j).sum()) for j in range(most)
    ]
    for j, part in enumerate(rows.parts):
        assert rows.number[part].tolist() == [j] * (part.stop - part.start)
    assert [k for part in rows.parts for k in range(part.start, part.stop)] == list(
        range(len(rows))
    )


@given(counts=COUNTS)
def test_find(counts: np.ndarray) -> None:
    rows = RowSet(counts)
    place = {
        (event, number): row for row, (number, event, _) in enumerate(slow_rows(counts))
    }
    requested = [
        (event, n)
        for event in range(len(counts))
        for n in (-(2**63), -1, 0, 1, 5, 299, 300, 2**62)
    ]
    actual = rows.find(
        np.array([e for e, _ in requested], np.int64),
        np.array([n for _, n in requested], np.int64),
    )
    assert actual.tolist() == [place.get(pair, -1) for pair in requested]


MISSING = object()


class Slow:
    """A context as nested lists: `values[column][event][number]`, and what each relation means in
    so many words.
    """

    def __init__(
        self, counts: dict[str, np.ndarray], collection: dict[str, str], seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        self.counts, self.collection = counts, collection
        self.values = {
            name: [rng.integers(-3, 9, n).tolist() for n in counts[key].tolist()]
            for name, key in collection.items()
        }

    def context(self) -> Context:
        rows = {key: RowSet(c) for key, c in self.counts.items()}
        context = Context(rows.__getitem__, self.collection)
        for name, key in self.collection.items():
            stored = np.array([v for event in self.values[name] for v in event], np.int64)
            context.values[name] = rows[key].sort(stored)
            context.levels[name] = (rows[key].sort(stored) + 100).astype(np.uint8)
        return context

    def read(self, parent: Parent, reader: str, event: int, number: int) -> object:
        if parent.relation == "reference":
            wanted = self.values[parent.through][event][number]
        else:
            own = self.collection[parent.column] == reader
            first = MISSING if own and number == 0 else 0
            wanted = {
                "row": number,
                "event": 0,
                "previous": number - 1,
                "leading": first,
                "same": number,
            }[parent.relation]
        there = self.values[parent.column][event]
        return (
            there[wanted]
            if wanted is not MISSING and 0 <= wanted < len(there)
            else MISSING
        )

    def rows(self, reader: str) -> list[tuple[int, int]]:
        return [(event, number) for number, event, _ in slow_rows(self.counts[reader])]


COLLECTION = {
    "met": "",
    "nJet": "",
    "Jet_pt": "#nJet",
    "Jet_genIdx": "#nJet",
    "Gen_pt": "#nGen",
    "p4": "[4]",
}
READ = {
    "": [
        Parent("row", "met"),
        Parent("leading", "Jet_pt"),
        Parent("leading", "p4"),
        Parent("reference", "Gen_pt", "nJet"),
    ],
    "#nJet": [
        Parent("row", "Jet_genIdx"),
        Parent("event", "met"),
        Parent("previous", "Jet_pt"),
        Parent("leading", "Jet_pt"),
        Parent("leading", "Gen_pt"),
        Parent("same", "Gen_pt"),
        Parent("same", "p4"),
        Parent("reference", "Gen_pt", "Jet_genIdx"),
        Parent("reference", "Jet_pt", "Jet_genIdx"),
    ],
    "[4]": [
        Parent("row", "p4"),
        Parent("previous", "p4"),
        Parent("leading", "p4"),
        Parent("same", "Jet_pt"),
    ],
}
EVENTS = st.lists(
    st.tuples(st.integers(0, 4) | st.sampled_from([0, 300]), st.integers(0, 4)),
    max_size=12,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "parent"),
    [(key, parent) for key, parents in READ.items() for parent in parents],
    ids=str,
)
@settings(max_examples=25)
@given(events=EVENTS, seed=st.integers(0, 99))
def test_relations(
    reader: str, parent: Parent, events: list[tuple[int, int]], seed: int
) -> None:
    ones = np.ones(len(events), np.int64)
    jets, gens = (np.array([pair[k] for pair in events], np.int64) for k in (0, 1))
    slow = Slow(
        {"": ones, "#nJet": jets, "#nGen": gens, "[4]": 4 * ones}, COLLECTION, seed
    )
    context, rows = slow.context(), slow.rows(reader)
    expected = [slow.read(parent, reader, event, number) for event, number in rows]
    edges = sorted({0, len(rows) // 3, len(rows) // 2, len(rows)})
    for part in [
        slice(0, len(rows)),
        *(slice(a, b) for a, b in itertools.pairwise(edges)),
    ]:
        values, present = context.fetch(parent, reader, part)
        present = np.broadcast_to(present, len(values))
        assert [
            v if p else MISSING
            for v, p in zip(values.tolist(), present.tolist(), strict=True)
        ] == expected[part]
        levels = context.gather([parent], reader, part)
        assert (levels.dtype, levels.shape) == (np.uint8, (1, part.stop - part.start))
        assert levels[0].tolist() == [
            0 if v is MISSING else v + 100 for v in expected[part]
        ]


@given(counts=COUNTS)
def test_gather_takes_parents_side_by_side(counts: np.ndarray) -> None:
    slow = Slow(
        {"": np.ones(len(counts), np.int64), "#n": counts}, {"met": "", "pt": "#n"}, 0
    )
    context, rows = slow.context(), slow.rows("#n")
    whole, predicted = slice(0, len(rows)), np.arange(len(rows)).astype(np.uint8)
    parents = [
        Parent("row", "pt"),
        Parent("index"),
        Parent("prediction"),
        Parent("event", "met"),
        Parent("row", "pt"),
    ]
    actual = context.gather(parents, "#n", whole, predicted)
    pt, met = slow.values["pt"], slow.values["met"]
    assert actual.T.tolist() == [
        [
            pt[e][n] + 100,
            256 * n // (n + 8),
            predicted[k],
            met[e][0] + 100,
            pt[e][n] + 100,
        ]
        for k, (e, n) in enumerate(rows)
    ]
    assert context.gather([], "#n", whole).shape == (0, len(rows))


def test_every_relation_is_tested() -> None:
    """Features have tests of their own."""
    assert {p.relation for parents in READ.values() for p in parents} | {
        "index",
        "prediction",
    } == set(RELATIONS) - {"feature"}


def test_no_prediction_no_level() -> None:
    context = Slow({"": np.ones(3, np.int64)}, {"met": ""}, 0).context()
    with pytest.raises(Corrupt, match="reads the prediction of a column that has none"):
        context.gather([Parent("prediction")], "", slice(0, 3))


@pytest.mark.parametrize(
    ("through", "actual"),
    [
        (np.array([0, 1, 2, -1, 127], "int8"), [0, 1, None, None, None]),
        (np.array([0, 1, 2, 2**63, 2**64 - 1], "uint64"), [0, 1, None, None, None]),
        (np.array([-(2**63), 2**63 - 1, 1, 0, -1], "int64"), [None, None, 1, 0, None]),
        (np.array([True, False, True, False, True]), [1, 0, 1, 0, 1]),
        (np.array([0.0, 1.0, 0.5, -0.0, -1.0], "float32"), [0, 1, None, 0, None]),
        (np.array([np.nan, np.inf, -np.inf, 1e300, 2.0**63]), [None] * 5),
    ],
    ids=["int8", "uint64", "int64", "bool", "fractions", "specials"],
)
def test_references_of_any_type(through: np.ndarray, actual: list[int | None]) -> None:
    """Values that are no number of an object point to nothing, without a warning."""
    rows = {"": RowSet(np.ones(5, np.int64)), "#n": RowSet(np.full(5, 2, np.int64))}
    context = Context(
        rows.__getitem__,
        {"idx": "", "pt": "#n"},
        values={"idx": through, "pt": rows["#n"].number * 10},
    )
    values, present = context.fetch(Parent("reference", "pt", "idx"), "", slice(0, 5))
    assert [
        v // 10 if p else None
        for v, p in zip(values.tolist(), present.tolist(), strict=True)
    ] == actual


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


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([], ["nJet", "met", "Jet_pt", "p4", "q", "Jet_eta"]),
        (["met", "nJet"], ["met", "nJet", "Jet_pt", "p4", "q", "Jet_eta"]),
        (["Jet_eta", "Jet_pt"], ["nJet", "met", "Jet_eta", "p4", "q", "Jet_pt"]),
        (["Jet_eta", "met", "Jet_pt"], ["nJet", "met", "Jet_eta", "p4", "q", "Jet_pt"]),
        (["q", "Jet_eta", "p4"], ["nJet", "met", "Jet_pt", "q", "Jet_eta", "p4"]),
        (["met"], ["nJet", "met", "Jet_pt", "p4", "q", "Jet_eta"]),
        (["text", "unknown"], ["nJet", "met", "Jet_pt", "p4", "q", "Jet_eta"]),
    ],
    ids=str,
)
def test_named_columns_take_their_places_in_the_order_given(
    first: list[str], expected: list[str]
) -> None:
    assert [c.name for c in coding_order(COLUMNS, first)] == expected


def test_collections() -> None:
    assert [collection_of(c) for c in COLUMNS] == [
        "#nJet",
        "[4]",
        "",
        "",
        "[4]",
        "",
        "#nJet",
    ]
    counters = {"nJet": np.array([2, 0, 255], np.uint8)}
    assert collection_counts(COLUMNS[0], counters, 3).tolist() == [2, 0, 255]
    assert collection_counts(COLUMNS[0], counters, 3).dtype == np.int64
    assert collection_counts(COLUMNS[1], counters, 3).tolist() == [4, 4, 4]
    assert collection_counts(COLUMNS[5], counters, 3).tolist() == [1, 1, 1]
    assert len(RowSet(collection_counts(COLUMNS[0], counters, 3))) == 257


NETWORK = Network((Layer(np.zeros((2, 2), np.int8), np.ones(2, np.uint8)),))
POINT = Bins(np.array([0]), np.array([5]))
TERMS = (
    Term(1.0, "x", (Parent("row", "b"),)),
    Term(2.0, "product", (Parent("row", "g"), Parent("reference", "h", "r"))),
)
FLOW = LatticeFlow(
    {
        "a": ColumnFlow(POINT, (), NETWORK),
        "b": ColumnFlow(POINT, (Parent("row", "a"), Parent("index")), NETWORK),
        "c": ColumnFlow(POINT, (Parent("event", "b"), Parent("row", "a")), NETWORK),
        "d": ColumnFlow(POINT),
        "e": ColumnFlow(POINT, (Parent("row", "d"), Parent("previous", "e")), NETWORK),
        "f": ColumnFlow(POINT, (Parent("prediction"),), NETWORK, Prediction(TERMS)),
        "i": ColumnFlow(
            POINT, (), None, Prediction((Term(1.0, "x", (Parent("leading", "i"),)),))
        ),
        "j": ColumnFlow(POINT, (Parent("reference", "e", "s"),), NETWORK),
    }
)


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        (["a"], {"a"}),
        (["c"], {"a", "b", "c"}),
        (["d"], {"d"}),
        (["e"], {"e", "d"}),
        (["f"], {"f", "a", "b", "g", "h", "r"}),
        (["i"], {"i"}),
        (["j"], {"j", "e", "d", "s"}),
        (["unknown"], {"unknown"}),
        (["e", "b"], {"a", "b", "d", "e"}),
        ([], set()),
    ],
    ids=lambda names: "-".join(sorted(names)),
)
def test_ancestors(wanted: list[str], needed: set[str]) -> None:
    assert FLOW.ancestors(wanted) == needed


def test_what_is_read_of_a_column() -> None:
    assert [name for name in FLOW.columns if FLOW.coded(name)] == [
        "a",
        "b",
        "c",
        "e",
        "f",
        "j",
    ]
    assert FLOW.level_columns == {"a", "b", "d", "e"}
    assert FLOW.value_columns == {"b", "g", "h", "i", "r", "s"}
    assert [name for name, flow in FLOW.columns.items() if name in flow.sources] == [
        "e",
        "i",
    ]
    assert "r" in FLOW.columns["f"].sources
