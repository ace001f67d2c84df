"""Tables in memory: their laws, their pieces, and the way from and to awkward arrays."""

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtuple.data.awkward import from_block, kind_of, same_values, without_idle_options
from flowtuple.data.awkward_tables import table_from_awkward, table_to_awkward
from flowtuple.data.schema import Column, bit_patterns
from flowtuple.data.table import (
    Dataset,
    Table,
    concatenate,
    difference,
    ranges,
    read_all,
    with_counters,
)
from flowtuple.errors import InvalidArgument

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]


def random_values(draw, dtype, count):
    """Any bit patterns at all, NaN payloads and denormals among them."""
    width = np.dtype(dtype).itemsize
    raw = draw(st.binary(min_size=count * width, max_size=count * width))
    return (
        np.frombuffer(raw, np.uint8) % 2 == 1
        if dtype == "bool"
        else np.frombuffer(raw, dtype)
    )


@st.composite
def event_arrays(draw, max_events=6):
    """Record arrays with flat, fixed, counted and text fields, down to no event."""
    n = draw(st.integers(0, max_events))
    counts = np.array(
        draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), dtype=np.int64
    )
    fields = {}
    for i, dtype in enumerate(
        draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4))
    ):
        shape = draw(st.sampled_from([(), (2,), (2, 3)]))
        block = random_values(draw, dtype, n * int(np.prod(shape))).reshape(n, *shape)
        fields[f"x{i}"] = ak.from_numpy(block, regulararray=True)
        fields[f"Jet_{i}"] = ak.unflatten(
            random_values(draw, dtype, int(counts.sum())), counts
        )
    fields["nothing"] = ak.unflatten(np.zeros(0, np.float32), np.zeros(n, np.int64))
    fields["text"] = ak.from_iter(
        ["", *draw(st.lists(st.text(), min_size=n, max_size=n))]
    )[1:]
    return ak.zip(fields, depth_limit=1)


@pytest.mark.slow
@given(event_arrays())
def test_awkward_arrays_come_back_bit_for_bit(array):
    table = table_from_awkward("t", array)
    back = table_to_awkward(table)
    assert back.fields == array.fields
    again = table_from_awkward("t", back)
    assert again.columns == table.columns
    assert difference(table, again) is None
    for column in table.columns:
        if column.counter is None and not column.is_opaque and not column.hidden:
            assert np.array_equal(
                bit_patterns(table[column.name]),
                bit_patterns(ak.to_numpy(array[column.name])),
            )
        elif not column.hidden:
            assert same_values(back[column.name], array[column.name])


@pytest.mark.slow
@given(event_arrays(), st.integers(-1, 8), st.integers(-1, 8), st.integers(1, 4))
def test_pieces_are_slices_and_make_the_whole(array, start, stop, step):
    table = table_from_awkward("t", array)
    names = [c.name for c in table.columns]
    piece = table.read(names, start, stop)
    n = table.num_entries
    first = min(max(start, 0), n)
    assert difference(
        piece, table_from_awkward("t", array[first : max(first, min(stop, n))])
    ) in (
        None,
        "the columns differ",
    )
    assert (
        table_to_awkward(piece).tolist().__repr__()
        == array[first : max(first, min(stop, n))].tolist().__repr__()
    )
    pieces = [table.read(names, *bounds) for bounds in ranges(n, step)] or [table]
    assert difference(concatenate(pieces), table) is None
    assert difference(read_all(table), table) is None


def test_lists_of_records_are_collections():
    array = ak.Array(
        [
            {
                "Jet": [
                    {"pt": 1.0, "tag": "b", "p4": {"x": 1}},
                    {"pt": 2.0, "tag": "", "p4": {"x": 2}},
                ],
                "MET": {"pt": 3.0},
            },
            {"Jet": [], "MET": {"pt": 4.0}},
        ]
    )
    table = table_from_awkward("t", array, titles={"Jet_pt": "transverse momentum"})
    assert [c.name for c in table.columns] == [
        "n(Jet_pt)",
        "Jet_pt",
        "Jet_tag",
        "Jet_p4_x",
        "MET_pt",
    ]
    assert [c.counter for c in table.columns] == [
        None,
        "n(Jet_pt)",
        None,
        "n(Jet_pt)",
        None,
    ]
    assert table.column("Jet_pt").title == "transverse momentum"
    assert table.column("Jet_tag").is_opaque
    assert table["Jet_p4_x"].tolist() == [1, 2]


def test_counters_are_shared_where_counts_are_equal():
    array = ak.Array({"a": [[1.0], []], "b": [[2], []], "c": [[], [1]]})
    assert [
        c.counter for c in table_from_awkward("t", array).columns if not c.hidden
    ] == [
        "n(a)",
        "n(a)",
        "n(c)",
    ]


def test_a_visible_counter_is_a_column():
    array = ak.Array({"nJet": np.array([1, 0], np.uint8), "Jet_pt": [[5.0], []]})
    table = table_from_awkward("t", array, counters={"Jet_pt": "nJet"})
    assert table.column("nJet").role == "counter"
    assert table.column("Jet_pt").counter == "nJet"
    assert table_to_awkward(table).fields == ["nJet", "Jet_pt"]


@pytest.mark.parametrize("counter", [[0, 1], [2, 0]])
def test_a_counter_that_miscounts_is_refused(counter):
    with pytest.raises(
        InvalidArgument, match="'Jet_pt' does not have as many values as 'nJet' says"
    ):
        table_from_awkward(
            "t",
            ak.Array({"nJet": counter, "Jet_pt": [[5.0], []]}),
            counters={"Jet_pt": "nJet"},
        )


@pytest.mark.parametrize(
    ("event", "match"),
    [
        (
            {"MET": {"pt": 1.0}, "MET_pt": 2.0},
            r"table 't': 'MET.pt' and 'MET_pt' would both be column 'MET_pt'; rename one",
        ),
        (
            {"a_b": 5, "a": [{"b": 1}]},
            r"'a_b' and 'a.b' would both be column 'a_b'; rename one",
        ),
        (
            {"a": {"b": {"c": 1}, "b_c": 2}},
            r"'a.b.c' and 'a.b_c' would both be column 'a_b_c'",
        ),
    ],
)
def test_names_that_meet_are_refused(event, match):
    with pytest.raises(InvalidArgument, match=match):
        table_from_awkward("t", ak.Array([event]))


@pytest.mark.parametrize("names", [["a", "n(a)"], ["n(a)", "a"]])
def test_hidden_counters_give_way_to_visible_columns(names):
    array = ak.Array({"a": [[1.0], []], "n(a)": [7, 8]})[names]
    table = table_from_awkward("t", array)
    assert [c.name for c in table.columns if not c.hidden] == names
    assert table.column("a").counter == "n(a)_"
    assert table["n(a)_"].tolist() == [1, 0]
    assert table["n(a)"].tolist() == [7, 8]
    assert table_to_awkward(table).tolist() == array.tolist()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], ("int64", (), False)),
        ([[1.0], []], ("float64", (), True)),
        ([True], ("bool", (), False)),
        (np.zeros((2, 3, 0), np.float16), ("float16", (3, 0), False)),
        (["a"], ("opaque", (), False)),
        ([[[1]]], ("opaque", (), False)),
        ([["a"]], ("opaque", (), False)),
        ([1, None], ("opaque", (), False)),
        ([[1, None]], ("opaque", (), False)),
        ([1, "a"], ("opaque", (), False)),
        ([1j], ("opaque", (), False)),
        (np.array(["2020-01-01"], "M8[D]"), ("opaque", (), False)),
        ([[], []], ("opaque", (), False)),
    ],
)
def test_what_is_a_column_and_what_is_opaque(values, kind):
    array = from_block(values) if isinstance(values, np.ndarray) else ak.Array(values)
    assert kind_of(array) == kind
    (column,) = [
        c
        for c in table_from_awkward("t", ak.zip({"x": array}, depth_limit=1)).columns
        if not c.hidden
    ]
    assert column.is_opaque == (kind[0] == "opaque")


def test_an_option_type_counts_only_where_a_value_is_missing():
    array = ak.Array(
        {
            "whole": ak.Array([1, None, 3])[[0, 2]],
            "lists": ak.Array([[1.5], None])[[0, 0]],
            "gaps": [1, None],
        }
    )
    table = table_from_awkward("t", array)
    assert [c.dtype for c in table.columns] == ["int64", "int64", "float64", "opaque"]
    assert table["gaps"].tolist() == [1, None]
    assert (
        without_idle_options(ak.Array([[1, None], [2]])[1:]).type.content
        == ak.Array([[1]]).type.content
    )


def test_missing_records_stay_missing():
    table = table_from_awkward("t", ak.Array([{"MET": {"pt": 1.0}}, {"MET": None}]))
    assert [(c.name, c.dtype) for c in table.columns] == [("MET", "opaque")]
    assert table["MET"].tolist() == [{"pt": 1.0}, None]


COUNTED = (Column("n", "int32", "counter"), Column("x", "float32", counter="n"))


@pytest.mark.parametrize(
    ("columns", "data", "match"),
    [
        (COUNTED[:1], {}, "'n' is in the schema but has no data"),
        (
            COUNTED[1:],
            {"x": np.zeros(1, np.float32)},
            "'x' is counted by 'n', absent here",
        ),
        (
            COUNTED,
            {"n": np.array([1, 1], np.int32), "x": np.zeros(3, np.float32)},
            "'x' has 3 values, not 2",
        ),
        (
            COUNTED,
            {"n": np.array([2, -1], np.int32), "x": np.zeros(1, np.float32)},
            "other than whole numbers from 0 on",
        ),
        (COUNTED[:1], {"n": np.zeros(3, np.int32)}, "'n' has 3 values, not 2"),
        (
            COUNTED[:1],
            {"n": np.zeros(2, np.int64)},
            r"'n' holds int64\(\), not int32\(\)",
        ),
        (COUNTED[:1], {"n": np.zeros(2, ">i4")}, r"'n' holds >i4\(\), not int32\(\)"),
        (
            COUNTED[:1],
            {"n": np.zeros((2, 1), np.int32)},
            r"'n' holds int32\(1,\), not int32\(\)",
        ),
    ],
)
def test_contents_and_schema_have_to_fit(columns, data, match):
    with pytest.raises(InvalidArgument, match=match):
        Table("t", columns, 2, data)


def small(**changes):
    data = {
        "n": np.array([1, 2], np.int32),
        "x": np.array([1, 2, np.nan], np.float32),
        "s": ak.Array(["a", "b"]),
    } | changes
    columns = (*COUNTED, Column("s", "opaque"))
    return Table(
        "t",
        tuple(c for c in columns if c.name in data and data[c.name] is not None),
        2,
        data,
    )


def test_differences_are_named():
    assert difference(small(), small()) is None
    assert difference(small(), small(s=ak.Array(["a", "c"]))) == "column 's' differs"
    assert (
        difference(small(), small(x=np.array([1, 3, np.nan], np.float32)))
        == "column 'x' differs"
    )
    assert difference(small(), small(x=-small()["x"])) == "column 'x' differs"
    assert difference(small(), small(s=None)) == "the columns differ"
    assert difference(small(), small().read(["s"], 0, 1)) == "2 events against 1"
    other = Table("t", (Column("n", "int64"),), 2, {"n": np.array([1, 2])})
    assert (
        difference(small().read(["n"], 0, 2), other)
        == "column 'n' is int32(2,) against int64(2,)"
    )


def test_a_column_is_found_by_name_and_else_the_nearest_is_told():
    assert small()["n"].tolist() == [1, 2]
    assert small().offsets("n").tolist() == [0, 1, 3]
    with pytest.raises(InvalidArgument, match="table 't' has no column 'xx'; nearest: x"):
        small()["xx"]


def test_bytes_are_counted_at_their_own_types():
    assert small(s=None).nbytes == 2 * 4 + 3 * 4
    assert small().read(["s"], 0, 1).nbytes < small().read(["s"], 0, 2).nbytes


def test_counters_come_along():
    assert [c.name for c in with_counters(COUNTED, ["x"])] == ["n", "x"]
    assert with_counters(COUNTED, ["n"]) == COUNTED[:1]


def test_ranges_cover_everything_once():
    assert list(ranges(0, 3)) == []
    assert list(ranges(7, 3)) == [(0, 3), (3, 6), (6, 7)]


def test_a_data_set_knows_its_tables():
    dataset = Dataset("file.root", {"t": small()}, {"h": b"x"}, {"g": "no"})
    assert dataset.only("t").carried == dataset.only("t").refused == {}
    with pytest.raises(InvalidArgument, match=r"file.root: no tree 'tt'; nearest: t"):
        dataset.table("tt")


def test_a_table_without_columns_keeps_its_events():
    array = table_to_awkward(Table("t", (), 3, {}))
    assert len(array) == 3
    assert table_from_awkward("t", array).num_entries == 3
