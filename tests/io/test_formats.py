"""Every format but ROOT, in and out: what is written reads back, and what cannot be is refused in
one line.
"""

import gzip
import http.server
import os
import pickle
import socket
import tempfile
import threading
from pathlib import Path

import awkward as ak
import fsspec
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtuple.data.awkward_tables import table_from_awkward, table_to_awkward
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, MissingExtra, TooNew, Unsupported
from flowtuple.io.formats import output_suffixes
from flowtuple.io.location import expand, split_tree, suffix_of
from flowtuple.io.source import ReadOptions, WriteOptions, open_dataset, write_dataset

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
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
BINARY = [".parquet", ".h5", ".npz"]
TEXT = [".csv", ".csv.gz", ".txt", ".dat"]


def random_values(rng, dtype, count):
    """Any bit patterns, NaN payloads and denormals among them."""
    raw = rng.bytes(count * np.dtype(dtype).itemsize)
    return (
        rng.integers(0, 2, count).astype(bool)
        if dtype == "bool"
        else np.frombuffer(raw, dtype)
    )


def every_kind(n, seed=1):
    """A table with a scalar, a fixed and two counted columns of every type, one collection always
    empty, and text.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, n)
    fields = {"nJet": counts.astype(np.uint8)}
    for dtype in DTYPES:
        fields[f"x_{dtype}"] = random_values(rng, dtype, n)
        fields[f"cov_{dtype}"] = random_values(rng, dtype, n * 6).reshape(n, 2, 3)
        fields[f"Jet_{dtype}"] = ak.unflatten(
            random_values(rng, dtype, int(counts.sum())), counts
        )
        fields[f"v_{dtype}"] = ak.unflatten(
            random_values(rng, dtype, int(counts[::-1].sum())), counts[::-1]
        )
    fields["never"] = ak.unflatten(np.zeros(0, np.float32), np.zeros(n, np.int64))
    fields["text"] = ak.from_iter(["é", "", "a b,c"] * 40)[:n]
    array = ak.zip(
        {
            k: ak.from_numpy(v, regulararray=True) if isinstance(v, np.ndarray) else v
            for k, v in fields.items()
        },
        depth_limit=1,
    )
    counters = {f"Jet_{dtype}": "nJet" for dtype in DTYPES}
    return table_from_awkward(
        "Events", array, titles={"nJet": "jets with pₜ > 15"}, counters=counters
    )


def assert_same(left, right):
    assert left.columns == right.columns
    assert left.num_entries == right.num_entries
    assert difference(read_all(left), read_all(right)) is None


def dataset(*tables, **rest):
    return Dataset("memory", {t.name: t for t in tables}, **rest)


@pytest.mark.parametrize("suffix", BINARY)
@pytest.mark.parametrize("n", [0, 1, 25])
def test_every_type_and_shape_reads_back_bit_for_bit(tmp_path, suffix, n):
    table = every_kind(n)
    path = tmp_path / f"events{suffix}"
    write_dataset(dataset(table), path, WriteOptions(step=7))
    found = open_dataset(path)
    assert list(found.tables) == ["Events"]
    assert found.nbytes == path.stat().st_size
    source = found.tables["Events"]
    assert_same(source, table)
    for start, stop in [(0, 0), (-3, 5), (3, 18), (20, 99), (30, 40)]:
        names = ["Jet_float32", "cov_uint8", "v_int16", "text"]
        assert (
            difference(source.read(names, start, stop), table.read(names, start, stop))
            is None
        )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", BINARY)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 12), step=st.integers(1, 13))
def test_any_values_read_back(tmp_path_factory, suffix, seed, n, step):
    table = every_kind(n, seed)
    path = tmp_path_factory.mktemp("any") / f"events{suffix}"
    write_dataset(dataset(table), path, WriteOptions(step=step))
    assert_same(open_dataset(path).tables["Events"], table)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_several_tables_and_carried_objects(tmp_path, suffix):
    runs = Table(
        "dir/Runs",
        (Column("run", "uint32", "id"),),
        2,
        {"run": np.array([1, 2], np.uint32)},
    )
    whole = dataset(
        every_kind(3),
        runs,
        Table("none", (), 4, {}),
        carried={"dir/h": b"\0root\0", "empty": b""},
    )
    write_dataset(whole, tmp_path / f"x{suffix}")
    found = open_dataset(tmp_path / f"x{suffix}")
    assert list(found.tables) == list(whole.tables)
    assert found.carried == whole.carried
    for name, table in whole.tables.items():
        assert_same(found.tables[name], table)
    assert list(open_dataset(f"{tmp_path}/x{suffix}:dir/Runs").tables) == ["dir/Runs"]
    with pytest.raises(InvalidArgument, match=r"no tree 'Run'; nearest: "):
        open_dataset(f"{tmp_path}/x{suffix}:Run")


def deep_events():
    return ak.Array(
        [
            {
                "gap": 1,
                "tags": ["a", ""],
                "deep": [[1.5], []],
                "sometimes": "x",
                "either": 1,
            },
            {"gap": None, "tags": [], "deep": [], "sometimes": None, "either": "one"},
        ]
        * 4
    )


@pytest.mark.parametrize(("suffix", "but"), [(".parquet", ["either"]), (".npz", [])])
@pytest.mark.parametrize("n", [0, 1, 8])
def test_what_is_opaque_reads_back(tmp_path, suffix, but, n):
    array = deep_events()[:n]
    table = table_from_awkward("Events", array[[f for f in array.fields if f not in but]])
    write_dataset(dataset(table), tmp_path / f"x{suffix}", WriteOptions(step=3))
    assert_same(open_dataset(tmp_path / f"x{suffix}").tables["Events"], table)


@pytest.mark.parametrize(
    ("suffix", "column", "match"),
    [
        (
            ".parquet",
            "either",
            r"memory: cannot write Events/either as Parquet: .*union\[int64, string\]; write .npz",
        ),
        (".h5", "gap", r"memory: cannot write Events/gap as HDF5: its type is \?int64"),
        (".h5", "deep", r"cannot write Events/deep as HDF5"),
        (
            ".csv",
            "deep",
            r"cannot write Events/deep as text: its type is var \* var \* float64; write .npz",
        ),
        (".csv.gz", "sometimes", r"cannot write Events/sometimes as text"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_or_dropped(tmp_path, suffix, column, match):
    path = tmp_path / f"x{suffix}"
    table = table_from_awkward(
        "Events",
        ak.with_field(deep_events()[["tags", column]], [1.5] * 8, "x")[[column, "x"]],
    )
    with pytest.raises(Unsupported, match=match):
        write_dataset(dataset(table), path)
    assert list(tmp_path.iterdir()) == []
    write_dataset(dataset(table), path, WriteOptions(drop=True))
    (left,) = open_dataset(path).tables.values()
    assert [c.name for c in left.columns] == ["x"]


@pytest.mark.parametrize(
    ("suffix", "name"), [(".parquet", "Parquet"), (".csv", "a text file")]
)
def test_formats_of_one_table_hold_nothing_else(tmp_path, suffix, name):
    table = Table("a", (Column("x", "int64"),), 1, {"x": np.array([1])})
    other = Table("b", table.columns, 1, table.data)
    with pytest.raises(
        Unsupported,
        match=f"{name} holds one table and there are a, b; choose one: FILE:a, or write .npz",
    ):
        write_dataset(
            dataset(table, other), tmp_path / f"x{suffix}", WriteOptions(drop=True)
        )
    with pytest.raises(
        Unsupported,
        match=f"cannot write h as {name}: {name} holds tables only; write .npz, .*`drop=`",
    ):
        write_dataset(dataset(table, carried={"h": b""}), tmp_path / f"x{suffix}")
    write_dataset(
        dataset(table, carried={"h": b""}),
        tmp_path / f"x{suffix}",
        WriteOptions(drop=True),
    )
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InvalidArgument, match="holds no table to write"):
        write_dataset(dataset(), tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".csv.gz", ".txt", ".parquet", ".h5"])
def test_equal_data_makes_equal_files(tmp_path, suffix):
    table = every_kind(9).read(["nJet", "x_float64", "text"], 0, 9)
    for name in "ab":
        write_dataset(
            dataset(table), tmp_path / f"{name}{suffix}", WriteOptions(drop=True)
        )
    assert (tmp_path / f"a{suffix}").read_bytes() == (
        tmp_path / f"b{suffix}"
    ).read_bytes()


# text


def write_text(path, text):
    path.write_bytes(
        gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    )
    return path


def columns_of(path, options=ReadOptions()):  # noqa: B008 - it is frozen
    (table,) = open_dataset(path, options).tables.values()
    return {c.name: (c.dtype, table[c.name].tolist()) for c in table.columns}


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "-2", "+3"], "int64", [1, -2, 3]),
        (["1", str(2**63)], "uint64", [1, 2**63]),
        (["-1", str(2**63)], "float64", [-1.0, 2.0**63]),
        ([str(-(2**63)), str(2**63 - 1)], "int64", [-(2**63), 2**63 - 1]),
        (["1", ""], "float64", [1.0, None]),
        (["0.1", "1e-320", "-0.0"], "float64", [0.1, 1e-320, -0.0]),
        (["inf", "-Infinity", "NaN"], "float64", [np.inf, -np.inf, None]),
        (["true", "False"], "bool", [True, False]),
        (["true", "1"], "opaque", ["true", "1"]),
        (["1_000", "2"], "opaque", ["1_000", "2"]),
        (["EE", ""], "opaque", ["EE", ""]),
        (["0x1F", "2"], "opaque", ["0x1F", "2"]),
        ([str(2**53), ""], "float64", [2.0**53, None]),
        ([str(2**53 + 1), ""], "opaque", [str(2**53 + 1), ""]),
        (["nan", str(-(2**53) - 1)], "opaque", ["nan", str(-(2**53) - 1)]),
        (["-1", str(2**64 + 1)], "opaque", ["-1", str(2**64 + 1)]),
        (["1" * 40, "2"], "opaque", ["1" * 40, "2"]),
        (["1" * 5000, ""], "opaque", ["1" * 5000, ""]),
        (["1" * 5000, "2"], "opaque", ["1" * 5000, "2"]),
        ([str(2**53 + 1), "0.5"], "opaque", [str(2**53 + 1), "0.5"]),
    ],
)
def test_a_column_of_text_gets_the_narrowest_type(tmp_path, cells, dtype, values):
    path = write_text(
        tmp_path / "x.csv", "x,pad\n" + "".join(f"{cell},0\n" for cell in cells)
    )
    found, content = columns_of(path)["x"]
    assert found == dtype
    assert [
        None if isinstance(v, float) and np.isnan(v) else v for v in content
    ] == values
    assert repr(content).count("-0.0") == cells.count("-0.0")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("x.csv", "pt,eta\n1,2\n", ["pt", "eta"]),
        ("x.csv", "\ufeffpt,eta\r\n1,2\r\n\r\n", ["pt", "eta"]),
        ("x.csv", '"p,t",\n1,2\n', ["p,t", "c1"]),
        ("x.csv", "1,2\n3,4\n", ["c0", "c1"]),
        ("x.csv", "pt;eta\n1;2\n", ["pt", "eta"]),
        ("x.csv", "# pt,eta\n1,2\n", ["pt", "eta"]),
        ("x.csv.gz", "pt,eta\n1,2\n", ["pt", "eta"]),
        ("x.txt", "pt \t eta\n 1   2  \n", ["pt", "eta"]),
        ("x.dat", "# made by hand\n# pt eta\n1 2\n", ["pt", "eta"]),
        ("x.dat", "# this is a comment of many words\n1 2\n", ["c0", "c1"]),
        ("x.txt", "pt,eta\n1,2\n", ["pt", "eta"]),
    ],
)
def test_headers_are_told_from_events(tmp_path, name, text, names):
    found = columns_of(write_text(tmp_path / name, text))
    assert list(found) == names
    assert [values[0] for _, values in found.values()] == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("x.csv", "# made\na,b\n# units\nu,1\n#v,2\n", {"a": ["u", "#v"], "b": [1, 2]}),
        ("x.csv", "1,2\n#3,4\n", {"c0": ["1", "#3"], "c1": [2, 4]}),
        ("x.txt", "1 2\n# 3\n", {"c0": ["1", "#"], "c1": [2, 3]}),
        ("x.txt", "1 2\n\n3 4\n\n", {"c0": [1, 3], "c1": [2, 4]}),
        ("x.csv", "\na,b\n\n1,2\n\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
        ("x.csv", "a\n1\n\n3\n\n\n", {"a": [1, None, 3]}),
        ("x.csv", "\n\na\n\n1\n", {"a": [None, 1]}),
        ("x.csv", "1\r\n\r\n\r\n2\r\n", {"c0": [1, None, None, 2]}),
        ("x.csv", "a\nu\n\nv\n", {"a": ["u", "", "v"]}),
        ("x.csv", "# a\n\n1\n\n2", {"a": [1, None, 2]}),
        ("x.csv", "a\n\n\n", {"a": []}),
        ("x.txt", "1\n\n2\n", {"c0": [1, 2]}),
    ],
)
def test_no_line_below_the_first_event_vanishes(tmp_path, name, text, columns):
    found = columns_of(write_text(tmp_path / name, text))
    assert {
        k: [None if repr(v) == "nan" else v for v in values]
        for k, (_, values) in found.items()
    } == columns


def test_names_can_be_given_where_there_is_no_header(tmp_path):
    path = write_text(tmp_path / "x.csv", "1,2\n")
    assert list(columns_of(path, ReadOptions(("a", "b")))) == ["a", "b"]
    with pytest.raises(InvalidArgument, match="3 names for 2 columns"):
        open_dataset(path, ReadOptions(("a", "b", "c")))
    with pytest.raises(InvalidArgument, match="the name 'a' stands for two columns"):
        open_dataset(path, ReadOptions(("a", "a")))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, not 2; correct that line"),
        ("x.txt", b"1 2\n\n1\n", "line 3 has 1 fields, not 2"),
        (
            "x.csv",
            b"a,b\n1,2\n# the end\n",
            "line 3 has 1 fields, not 2; correct that line",
        ),
        ("x.csv", b"\n\n", "holds no line of data"),
        ("x.csv", b"a,a\n1,2\n", "the name 'a' stands for two columns"),
        ("x.csv", b"", "holds no line of data"),
        ("x.csv", b'a,b\n"1,2\n', "line 2 cannot be read"),
        ("x.csv", b"a,b\n1,\xff\n", "line 2 is no UTF-8 text"),
        (
            "x.csv.gz",
            gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9],
            "gzip stream is damaged or cut short",
        ),
    ],
)
def test_damaged_text_is_refused_with_its_line(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgument, match=match):
        open_dataset(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", TEXT)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_text_reads_back(tmp_path_factory, suffix, data):
    n = data.draw(st.integers(1, 6))
    columns = {}
    for dtype in ("float16", "float32", "float64"):
        width = np.dtype(dtype).itemsize
        columns[dtype] = np.frombuffer(
            data.draw(st.binary(min_size=n * width, max_size=n * width)), dtype
        )
    columns["int64"] = np.array(
        data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)),
        np.int64,
    )
    columns["bool"] = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    if suffix.startswith(".csv"):
        letters = st.text(
            st.characters(codec="utf-8", exclude_characters="\r#"), max_size=5
        )
        columns["text"] = [
            "no number",
            *data.draw(st.lists(letters, min_size=n - 1, max_size=n - 1)),
        ]
    path = tmp_path_factory.mktemp("text") / f"x{suffix}"
    write_dataset(open_dataset(columns), path, WriteOptions(step=2))
    found = columns_of(path)
    assert list(found) == list(columns)
    for name, values in columns.items():
        if name == "text":
            assert found[name] == ("opaque", values)
        elif name.startswith("float"):
            back = np.array(found[name][1], np.float64).astype(name)
            assert np.array_equal(np.isnan(back), np.isnan(values))
            assert back[~np.isnan(back)].tobytes() == values[~np.isnan(values)].tobytes()
        else:
            assert found[name] == (name, values.tolist())


def test_a_text_file_without_events_keeps_its_names(tmp_path):
    write_dataset(open_dataset({"x": np.zeros(0), "y": np.zeros(0)}), tmp_path / "x.csv")
    assert columns_of(tmp_path / "x.csv") == {"x": ("float64", []), "y": ("float64", [])}


def test_a_lone_column_with_a_missing_value_keeps_its_events(tmp_path):
    write_dataset(open_dataset({"x": [1.5, np.nan, 2.5]}), tmp_path / "x.csv")
    assert open_dataset(tmp_path / "x.csv").tables["events"].num_entries == 3


@pytest.mark.parametrize(
    ("columns", "suffix", "match"),
    [
        (
            {"x": [[1.0], []]},
            ".csv",
            r"cannot write events/x as text: it has lists; write .npz",
        ),
        (
            {"x": np.zeros((2, 3))},
            ".csv",
            r"cannot write events/x as text: it has \[3\] values per event;",
        ),
        (
            {"x": ["a b"]},
            ".txt",
            "cannot write events/x as text: it has words with white space, use .csv",
        ),
        (
            {"x y": [1]},
            ".dat",
            "cannot write events/x y as text: it has words with white space, use .csv",
        ),
        ({"x": ["#a"]}, ".txt", "words with '#' at the start, use .csv"),
    ],
)
def test_lists_and_arrays_are_no_text(tmp_path, columns, suffix, match):
    with pytest.raises(Unsupported, match=match):
        write_dataset(open_dataset(columns), tmp_path / f"x{suffix}")
    with pytest.raises(Unsupported, match="no column of 'events' can be text"):
        write_dataset(
            open_dataset(columns), tmp_path / f"x{suffix}", WriteOptions(drop=True)
        )
    assert list(tmp_path.iterdir()) == []


# files of other origin


@pytest.mark.slow
def test_a_foreign_parquet_file_is_looked_through(tmp_path):
    array = ak.Array(
        [
            {
                "x": 1.5,
                "s": "a",
                "gap": 1,
                "Jet": [{"pt": 1.0, "tag": "b"}, {"pt": 2.0, "tag": ""}],
                "K": [1],
                "m": {"a": 1},
            },
            {"x": 2.5, "s": "b", "gap": None, "Jet": [], "K": [2, 3], "m": {"a": 2}},
        ]
        * 5
    )
    for extension in (False, True):
        path = tmp_path / f"{extension}.parquet"
        ak.to_parquet(array, path, row_group_size=3, extensionarray=extension)
        source = open_dataset(path).tables["events"]
        expected = table_from_awkward("events", array)
        assert_same(source, expected)
        for start in range(10):
            for stop in range(start, 11):
                names = [c.name for c in expected.columns]
                assert (
                    difference(
                        source.read(names, start, stop), expected.read(names, start, stop)
                    )
                    is None
                )


def test_parquet_counters_give_way_to_columns_of_the_file(tmp_path):
    array = ak.Array({"a": [[1.0], []], "n(a)": [7, 8]})
    ak.to_parquet(array, tmp_path / "x.parquet")
    source = open_dataset(tmp_path / "x.parquet").tables["events"]
    assert_same(source, table_from_awkward("events", array))
    assert read_all(source)["n(a)"].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("event", "columns"),
    [
        ({"a": {"b": 1}, "a_b": 5}, {"a_b": 1, "a_b_2": 5}),
        ({"a_b": 5, "a": {"b": 1}}, {"a_b": 5, "a_b_2": 1}),
        ({"a_b": 5, "a": {"b": 1}, "a_b_2": 6}, {"a_b": 5, "a_b_3": 1, "a_b_2": 6}),
        ({"a": {"b": {"c": 1}, "b_c": 2}}, {"a_b_c": 1, "a_b_c_2": 2}),
        ({"a": {"b": {"c": 1}}, "a_b": 2}, {"a_b_c": 1, "a_b": 2}),
        ({"a": [{"b": 1}], "a_b": [7]}, {"a_b": [1], "a_b_2": [7]}),
    ],
)
def test_parquet_names_that_meet_are_told_apart_and_come_back(tmp_path, event, columns):
    pq.write_table(pa.Table.from_pylist([event] * 2), tmp_path / "x.parquet")
    dataset = open_dataset(tmp_path / "x.parquet")
    assert table_to_awkward(read_all(dataset.tables["events"])).tolist() == [columns] * 2
    write_dataset(dataset, tmp_path / "y.parquet")
    again, original = (
        pq.read_table(tmp_path / "y.parquet"),
        pq.read_table(tmp_path / "x.parquet"),
    )
    assert again.equals(original)
    assert again.schema.equals(original.schema)


def test_parquet_columns_that_differ_between_row_groups_are_opaque(tmp_path):
    table = pa.table(
        {
            "x": [1, 2, None],
            "l": [[1.0], [], None],
            "r": [{"a": 1}, {"a": 2}, None],
            "whole": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    source = open_dataset(tmp_path / "x.parquet").tables["events"]
    assert {c.name: c.dtype for c in source.columns} == {
        "x": "opaque",
        "l": "opaque",
        "r": "opaque",
        "whole": "int64",
    }
    back = table_to_awkward(read_all(source))
    assert back.tolist() == table.to_pylist()
    assert (
        table_to_awkward(source.read(["x", "l", "r", "whole"], 0, 2)).tolist()
        == table.to_pylist()[:2]
    )


def test_parquet_reads_no_more_row_groups_than_it_must(tmp_path, monkeypatch):
    write_dataset(dataset(every_kind(20)), tmp_path / "x.parquet", WriteOptions(step=5))
    source = open_dataset(tmp_path / "x.parquet").tables["Events"]
    seen = []
    original = pq.ParquetFile.read_row_groups

    def spy(self, groups, columns=None, **options):
        seen.append((list(groups), columns))
        return original(self, groups, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    source.read(["Jet_float32"], 6, 12)
    assert seen == [([1, 2], ["nJet", "Jet_float32"])]


def test_parquet_metadata_that_no_longer_fits_is_left_alone(tmp_path):
    write_dataset(dataset(every_kind(3)), tmp_path / "x.parquet")
    pq.write_table(
        pq.read_table(tmp_path / "x.parquet").select(["nJet", "Jet_float32"]),
        tmp_path / "y.parquet",
    )
    (table,) = open_dataset(tmp_path / "y.parquet").tables.values()
    assert [c.counter for c in table.columns if c.name == "Jet_float32"] == [
        "n(Jet_float32)"
    ]


def test_hdf5_of_other_origin(tmp_path):
    compound = np.array(
        [(1, 2.5, b"e", [1, 2])],
        dtype=[("id", ">i4"), ("pt", "f8"), ("tag", "S2"), ("cov", "f4", (2,))],
    )
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["run"] = np.array([1, 2], ">u4")
        file["one"] = 5
        file["complex"] = np.zeros(2, complex)
        file["tracks"] = compound
        file["a/b/x"] = np.arange(3.0)
        file["a/b/name"] = ["ä", "b", ""]
        file["a/b/cov"] = np.zeros((3, 2, 2), np.float16)
        file["jets/data"], file["jets/names"] = (
            np.arange(6).reshape(3, 2),
            ["pt", "Jet_phi"],
        )
        file["attribute/data"] = np.arange(6.0).reshape(3, 2)
        file["attribute/data"].attrs["columns"] = ["u", "v"]
        file["bare/data"] = np.zeros((3, 2))
        file["nowhere"] = h5py.SoftLink("/missing")
        file["again"] = h5py.SoftLink("/a")
        file["a/round"] = h5py.SoftLink("/a")
    found = open_dataset(tmp_path / "x.h5", ReadOptions(("p", "q")))
    names = {
        name: [(c.name, c.dtype) for c in table.columns]
        for name, table in found.tables.items()
    }
    assert names == {
        "events": [("run", "uint32")],
        "tracks": [
            ("id", "int32"),
            ("pt", "float64"),
            ("tag", "opaque"),
            ("cov", "float32"),
        ],
        "jets": [("pt", "int64"), ("Jet_phi", "int64")],
        "attribute": [("u", "float64"), ("v", "float64")],
        "bare": [("p", "float64"), ("q", "float64")],
        "a/b": [("cov", "float16"), ("name", "opaque"), ("x", "float64")],
    }
    assert set(found.refused) == {"events/one", "events/complex", "/nowhere"}
    assert found.tables["jets"].read(["Jet_phi"], 1, 3)["Jet_phi"].tolist() == [3, 5]
    assert found.tables["a/b"].read(["name"], 0, 2)["name"].tolist() == ["ä", "b"]
    tracks = read_all(found.tables["tracks"])
    assert [tracks[c].tolist() for c in ("id", "pt", "tag", "cov")] == [
        [1],
        [2.5],
        ["e"],
        [[1, 2]],
    ]


def test_hdf5_text_that_is_not_utf8_is_bytes(tmp_path):
    texts = [b"a", b"\xff\xfe", b"", b"\xc3\xa4"]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["g/fixed"] = np.array(texts, "S2")
        file["g/free"] = np.array(texts, object)
        file["g/fine"] = np.array([b"a", b"b", b"", b"\xc3\xa4"])
        file["compound"] = np.array([(1, texts[1])], dtype=[("id", "i4"), ("tag", "S2")])
        file["named/data"], file["named/names"] = (
            np.zeros((3, 2)),
            np.array([b"x", b"\xff"]),
        )
    found = open_dataset(tmp_path / "x.h5")
    table = found.tables["g"]
    for start, stop in [(0, 4), (0, 1), (2, 2), (1, 3)]:
        piece = table.read(["fixed", "free", "fine"], start, stop)
        assert piece["fixed"].tolist() == piece["free"].tolist() == texts[start:stop]
        assert [str(ak.type(piece[n]).content) for n in ("fixed", "free", "fine")] == [
            "bytes",
            "bytes",
            "string",
        ]
    assert read_all(table)["fine"].tolist() == ["a", "b", "", "ä"]
    assert read_all(found.tables["compound"])["tag"].tolist() == [b"\xff\xfe"]
    assert [c.name for c in found.tables["named"].columns] == ["x", r"\xff"]
    write_dataset(found.only("g"), tmp_path / "y.npz")
    assert_same(open_dataset(tmp_path / "y.npz").tables["g"], table)


def test_hdf5_datasets_of_unequal_length_are_tables_of_their_own(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["g/x"], file["g/y"], file["g/z"] = np.zeros(3), np.zeros(2), np.ones(2)
        file["h/x"], file["h/y"] = np.zeros(3), np.zeros(2)
    found = open_dataset(tmp_path / "x.h5")
    names = {
        name: [c.name for c in table.columns] for name, table in found.tables.items()
    }
    assert names == {"g": ["y", "z"], "g/x": ["x"], "h": ["x"], "h/y": ["y"]}
    write_dataset(found, tmp_path / "y.h5")
    with h5py.File(tmp_path / "y.h5") as file:
        assert {key: len(file[key]) for key in ("g/x", "g/y", "g/z", "h/x", "h/y")} == {
            "g/x": 3,
            "g/y": 2,
            "g/z": 2,
            "h/x": 3,
            "h/y": 2,
        }


def test_hdf5_reads_slices_only(tmp_path, monkeypatch):
    write_dataset(dataset(every_kind(20)), tmp_path / "x.h5", WriteOptions(step=5))
    source = open_dataset(tmp_path / "x.h5").tables["Events"]
    counts = read_all(source, ["nJet"])["nJet"]
    seen = {}
    original = h5py.Dataset.__getitem__

    def spy(self, key, **options):
        values = original(self, key, **options)
        seen[self.name] = len(values)
        return values

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    source.read(["x_int8"], 6, 12)
    source.read(["Jet_float32"], 6, 12)
    assert seen["/Events/x_int8"] == 6
    assert seen["/Events/Jet_float32"] == counts[6:12].sum()


def test_hdf5_names_with_slashes_are_paths(tmp_path):
    table = Table("t", (Column("a/b", "int64"),), 1, {"a/b": np.array([1])})
    with pytest.raises(
        Unsupported, match=r"cannot write t/a/b as HDF5: HDF5 takes its name for a path"
    ):
        write_dataset(dataset(table), tmp_path / "x.h5")


@pytest.mark.parametrize(
    "names",
    [
        ["x", "x.npy"],
        ["x.npy", "x"],
        ["x", "a/x"],
        ["__flowtuple__"],
        ["a\0b", "a\\b", "é"],
        ["__carried__/h"],
    ],
)
def test_npz_keeps_columns_apart_whatever_their_names(tmp_path, names):
    columns = tuple(Column(name, "int64") for name in names)
    table = Table("a", columns, 1, {name: np.array([i]) for i, name in enumerate(names)})
    whole = dataset(table, carried={"h": b"1", "h.npy": b"2"})
    write_dataset(whole, tmp_path / "x.npz")
    found = open_dataset(tmp_path / "x.npz")
    assert_same(found.tables["a"], table)
    assert found.carried == whole.carried


def test_npz_keeps_tables_apart_whatever_their_names(tmp_path):
    one = Table(
        "a/b",
        (Column("c", "int64"), Column("x.npy", "int64")),
        1,
        {"c": np.array([1]), "x.npy": np.array([2])},
    )
    text = table_from_awkward("a", ak.Array({"b/c": ["2", None], "b": [[[1]], []]}))
    write_dataset(dataset(one, text), tmp_path / "x.npz")
    found = open_dataset(tmp_path / "x.npz")
    assert_same(found.tables["a/b"], one)
    assert_same(found.tables["a"], text)


def test_npz_members_are_named_as_the_columns_where_that_is_clear(tmp_path):
    write_dataset(open_dataset({"pt": [1.5], "eta": [2]}), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        assert file.files == ["pt", "eta", "__flowtuple__"]


def test_npz_of_other_origin(tmp_path):
    np.savez(
        tmp_path / "flat.npz",
        x=np.arange(2, dtype=">f4"),
        cov=np.zeros((2, 3)),
        s=np.array(["a", "bc"]),
        one=5,
    )
    flat = open_dataset(tmp_path / "flat.npz")
    assert [(c.name, c.dtype, c.shape) for c in flat.tables["events"].columns] == [
        ("x", "float32", ()),
        ("cov", "float64", (3,)),
        ("s", "opaque", ()),
    ]
    assert list(flat.refused) == ["events/one"]
    np.savez(
        tmp_path / "named.npz", data=np.zeros((2, 2)), names=np.array([b"pt", b"eta"])
    )
    assert list(columns_of(tmp_path / "named.npz")) == ["pt", "eta"]
    np.savez(tmp_path / "bare.npz", np.zeros((2, 2)))
    assert list(columns_of(tmp_path / "bare.npz")) == ["c0", "c1"]
    assert list(columns_of(tmp_path / "bare.npz", ReadOptions(("a", "b")))) == ["a", "b"]
    np.savez(tmp_path / "record.npz", t=np.zeros(2, [("pt", "f4"), ("q", "i1")]))
    assert list(columns_of(tmp_path / "record.npz")) == ["pt", "q"]
    np.savez(tmp_path / "trees.npz", **{"a/x": np.zeros(2), "b/x": np.zeros(3)})
    assert {
        n: t.num_entries for n, t in open_dataset(tmp_path / "trees.npz").tables.items()
    } == {
        "a": 2,
        "b": 3,
    }


def test_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", jets=np.array([[1], [2, 3]], dtype=object))
    with pytest.raises(
        InvalidArgument,
        match="array 'jets' holds Python objects, which are not opened; save numbers",
    ):
        open_dataset(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", x=np.zeros(2), y=np.zeros(3))
    with pytest.raises(InvalidArgument, match="'y' has 3 values and 'x' has 2"):
        open_dataset(tmp_path / "y.npz")
    with open(tmp_path / "z.npz", "wb") as file:
        np.save(file, np.zeros(2))
    with pytest.raises(InvalidArgument, match="holds one bare array"):
        open_dataset(tmp_path / "z.npz")


@pytest.mark.parametrize("suffix", BINARY)
def test_cut_and_damaged_files_are_told(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_dataset(dataset(every_kind(5)), path)
    content = path.read_bytes()
    for cut in (content[:9], content[: len(content) // 2], content[:-3]):
        path.write_bytes(cut)
        with pytest.raises(
            InvalidArgument,
            match=rf"x{suffix}: is an? \w+ file that is damaged or cut short .*; fetch it again$",
        ):
            open_dataset(path)
    path.write_bytes(b"")
    with pytest.raises(
        InvalidArgument, match=rf"x{suffix}: is empty; make or fetch it again$"
    ):
        open_dataset(path)


@pytest.mark.parametrize("suffix", BINARY)
@pytest.mark.parametrize(
    ("content", "right"), [(b"nonsense", "of its format"), (b"root\0\0\xf1\x18", ".root")]
)
def test_files_of_another_kind_are_not_to_be_fetched(tmp_path, suffix, content, right):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        InvalidArgument,
        match=rf"x{suffix}: is not an? \w+ file; name one, or give it the suffix {right}$",
    ):
        open_dataset(path)


def test_damage_within_is_told_at_the_read(tmp_path):
    path = tmp_path / "x.parquet"
    values = np.random.default_rng(1).normal(size=5000)
    write_dataset(open_dataset({"x": values}), path)
    content = bytearray(path.read_bytes())
    content[100:20000] = bytes(19900)
    path.write_bytes(content)
    source = open_dataset(path).tables["events"]
    with pytest.raises(
        Corrupt, match=r"x.parquet: events 0 to 5000 are damaged; fetch the file again"
    ):
        read_all(source)


def test_an_npz_whose_description_lies_is_corrupt(tmp_path):
    write_dataset(dataset(every_kind(2)), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        arrays = {key: file[key] for key in file.files if key != "nJet"}
    np.savez(tmp_path / "y.npz", **arrays)
    with pytest.raises(Corrupt, match=r"y.npz: its arrays are not the ones it describes"):
        open_dataset(tmp_path / "y.npz")


@pytest.mark.parametrize("suffix", BINARY)
def test_files_of_later_versions_are_refused(tmp_path, suffix, monkeypatch):
    constant = {
        ".parquet": "parquet_writer.VERSION",
        ".h5": "hdf5_writer.VERSION",
        ".npz": "npz._VERSION",
    }[suffix]
    with monkeypatch.context() as patch:
        patch.setattr(f"flowtuple.io.{constant}", 99)
        write_dataset(dataset(every_kind(1)), tmp_path / f"x{suffix}")
    with pytest.raises(TooNew, match="version 99"):
        open_dataset(tmp_path / f"x{suffix}")


# memory


def test_dicts_arrays_and_frames_are_data_sets():
    (table,) = open_dataset(
        {
            "x": [1, 2],
            "cov": np.zeros((2, 3), ">f4"),
            "l": [[1.5], []],
            "s": np.array(["a", "b"]),
        }
    ).tables.values()
    assert [(c.name, c.dtype, c.shape, c.counter) for c in table.columns] == [
        ("x", "int64", (), None),
        ("cov", "float32", (3,), None),
        ("n(l)", "int64", (), None),
        ("l", "float64", (), "n(l)"),
        ("s", "opaque", (), None),
    ]
    assert [
        c.name
        for c in open_dataset(ak.Array([{"Jet": [{"pt": 1.0}]}])).tables["events"].columns
    ] == [
        "n(Jet_pt)",
        "Jet_pt",
    ]
    assert [
        c.name
        for c in open_dataset(np.zeros((3, 2)), ReadOptions(("a", "b")))
        .tables["events"]
        .columns
    ] == ["a", "b"]
    assert [
        c.dtype
        for c in open_dataset(np.zeros(3, [("a", "i1"), ("b", "f2")]))
        .tables["events"]
        .columns
    ] == [
        "int8",
        "float16",
    ]


def test_a_frame_keeps_its_types():
    frame = pd.DataFrame(
        {
            "x": np.array([1, 2], np.float32),
            "whole": pd.array([1, 2], dtype="UInt8"),
            "gap": pd.array([1, None], dtype="Int8"),
            "flag": pd.array([True, False], dtype="boolean"),
            "s": ["a", None],
            "c": pd.Categorical(["u", "v"]),
        },
        index=pd.Index([7, 8], name="event"),
    )
    (table,) = open_dataset(frame).tables.values()
    assert {c.name: c.dtype for c in table.columns} == {
        "event": "int64",
        "x": "float32",
        "whole": "uint8",
        "gap": "opaque",
        "flag": "bool",
        "s": "opaque",
        "c": "opaque",
    }
    assert [table[n].tolist() for n in ("gap", "s", "c")] == [
        [1, None],
        ["a", None],
        ["u", "v"],
    ]
    assert [
        c.name
        for c in open_dataset(frame[["x"]].reset_index(drop=True))
        .tables["events"]
        .columns
    ] == ["x"]
    with pytest.raises(InvalidArgument, match="the name 'x' stands for two columns"):
        open_dataset(pd.concat([frame["x"], frame["x"]], axis=1).reset_index(drop=True))


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (5, "int cannot be read: give a path, a list of paths"),
        ([], "an empty list cannot be read"),
        ([1, 2], "list cannot be read"),
        (ak.Array([1, 2]), "has no fields"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\) is no table"),
        ({"a": [1], "b": [1, 2]}, "events: 'b' has 2 values and 'a' has 1"),
        ({"a": np.float64(1)}, "column 'a'"),
        ({"a": np.array(1)}, "'a' is one number"),
        ({"a": np.ma.array(1)}, "'a' is one number"),
        (
            {1: [1.0], "1": [2.0]},
            "events: the name '1' stands for two columns; rename one",
        ),
        (
            {"s": ["a\ud800"]},
            r"column 's': holds text that is no Unicode \(a lone surrogate\); encode it",
        ),
        ({"s": np.array(["a\udfff"])}, "column 's': holds text that is no Unicode"),
        ({"s": [["a"], ["\ud800"]]}, "column 's': holds text that is no Unicode"),
        (
            pd.DataFrame({"s": ["a", "\ud800"]}, dtype=object),
            "column 's': holds text that is no Unicode",
        ),
        ({"a": [object()]}, "column 'a': list is no array of numbers"),
    ],
)
def test_what_is_no_data_set_is_refused(source, match):
    with pytest.raises(InvalidArgument, match=match):
        open_dataset(source)


def test_masked_values_are_missing_values():
    masked = {
        "x": np.ma.array([1.5, 2.5], mask=[True, False], dtype=">f4"),
        "cov": np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]]),
        "s": np.ma.array(["a", "b"], mask=[False, True]),
        "o": np.ma.array([1, 2], mask=[False, True], dtype=object),
        "whole": np.ma.array([1, 2], mask=False),
    }
    table = read_all(open_dataset(masked).tables["events"])
    assert {c.name: c.dtype for c in table.columns if not c.is_opaque} == {
        "whole": "int64"
    }
    assert table_to_awkward(table).tolist() == [
        {"x": None, "cov": [1, None], "s": "a", "o": 1, "whole": 1},
        {"x": 2.5, "cov": [3, 4], "s": None, "o": None, "whole": 2},
    ]
    assert str(ak.type(table["x"])) == "2 * ?float32"
    (table,) = open_dataset(
        np.ma.array([[1.0, 2.0]], mask=[[True, False]]), ReadOptions(("a", "b"))
    ).tables.values()
    assert table_to_awkward(table).tolist() == [{"a": None, "b": 2.0}]


@pytest.mark.parametrize("suffix", BINARY)
def test_columns_without_events_keep_their_type(tmp_path, suffix):
    frame = pd.DataFrame({"p": pd.array([], dtype="string")})
    assert (
        str(ak.type(read_all(open_dataset(frame).tables["events"])["p"])) == "0 * string"
    )
    none = open_dataset(
        {
            "s": np.array([], "U3"),
            "x": np.zeros(0, np.float32),
            "cov": np.zeros((0, 2), np.float16),
        }
    )
    write_dataset(none, tmp_path / f"x{suffix}")
    (table,) = open_dataset(tmp_path / f"x{suffix}").tables.values()
    assert [c.dtype for c in table.columns] == ["opaque", "float32", "float16"]
    assert str(ak.type(read_all(table)["s"])) == "0 * string"


# locations


def test_errors_of_opening_are_one_line(tmp_path):
    (tmp_path / "events.npz").write_bytes(b"")
    (tmp_path / "events.foo").write_bytes(b"")
    (tmp_path / "plain").write_bytes(b"")
    (tmp_path / "folder.root").mkdir()
    (tmp_path / "sneaky.npz").write_bytes(pickle.dumps({"x": 1}, protocol=4))
    cases = {
        "event.npz": r"event.npz: no such file; nearest: events.npz",
        "event.npz:Events": r"event.npz: no such file; nearest: events.npz",
        "no/such.csv": r"no/such.csv: no such file; the folder .*no does not exist either",
        "*.parquet": r"\*.parquet: the glob matches no file",
        "events.foo": rf"unknown suffix '.foo'; the formats are {', '.join(output_suffixes())}",
        "plain": r"no suffix that names a format; the formats are \.root",
        "folder.root": r"folder.root: is a folder; name a file inside it",
        "x.pkl": r"x.pkl: a pickle can run any program, .*numpy.savez\('x.npz'",
        "sneaky.npz": r"sneaky.npz: a pickle can run any program",
    }
    for name, match in cases.items():
        with pytest.raises(InvalidArgument, match=match) as caught:
            open_dataset(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_file_without_permission_is_named():
    match = r"events.npz: cannot be read \(Permission denied\); check its permissions"
    with tempfile.TemporaryDirectory() as folder:
        # others cannot enter the folders of pytest
        Path(folder).chmod(0o755)
        path = Path(folder) / "events.npz"
        np.savez(path, x=[1.0])
        open_dataset(path)  # loads the modules that another user could not read
        path.chmod(0)
        is_root = os.geteuid() == 0  # root may read everything
        try:
            if is_root:
                os.seteuid(65534)
            with pytest.raises(InvalidArgument, match=match):
                open_dataset(path)
        finally:
            if is_root:
                os.seteuid(0)


def test_the_line_that_converts_a_pickle_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"x": [1.0, 2.0], "y": [3, 4]}).to_pickle("jets.pkl")
    with pytest.raises(InvalidArgument, match="a pickle") as caught:
        open_dataset("jets.pkl")
    exec(str(caught.value).split('python -c "')[1].rstrip('"'))
    assert columns_of("jets.npz") == {
        "x": ("float64", [1.0, 2.0]),
        "y": ("int64", [3, 4]),
    }


@pytest.mark.parametrize(
    ("text", "path", "tree"),
    [
        ("a.root", "a.root", None),
        ("a.root:Events", "a.root", "Events"),
        ("a.root:dir/Events", "a.root", "dir/Events"),
        ("a:b/c.h5:g", "a:b/c.h5", "g"),
        ("root://host:1094//a.root:Events", "root://host:1094//a.root", "Events"),
        ("root://host:1094//a.root", "root://host:1094//a.root", None),
        ("https://host:80/a.csv.gz?token=1:t", "https://host:80/a.csv.gz?token=1", "t"),
        ("*.root:Events", "*.root", "Events"),
    ],
)
def test_paths_and_trees_are_parted(text, path, tree):
    assert split_tree(text, output_suffixes()) == (path, tree)


def test_a_file_with_a_colon_is_a_file(tmp_path):
    write_dataset(open_dataset({"x": [1]}), tmp_path / "a.npz:b.npz")
    assert split_tree(f"{tmp_path}/a.npz:b.npz", output_suffixes()) == (
        f"{tmp_path}/a.npz:b.npz",
        None,
    )
    assert (
        open_dataset(f"{tmp_path}/a.npz:b.npz:events").tables["events"].num_entries == 1
    )
    assert expand(f"{tmp_path}/a.npz:b.npz") == [f"{tmp_path}/a.npz:b.npz"]


def test_suffixes_know_no_case_and_prefer_the_longest():
    assert suffix_of("A.CSV.GZ", output_suffixes()) == ".csv.gz"
    assert suffix_of("https://host/a.root?x=.csv", output_suffixes()) == ".root"


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".npz", ".csv.gz"])
def test_urls_are_read_through_fsspec(tmp_path, suffix):
    write_dataset(open_dataset({"x": [1.5, 2.5]}), tmp_path / f"x{suffix}")
    url = f"memory://test_events/x{suffix}"
    with fsspec.open(url, "wb") as file:
        file.write((tmp_path / f"x{suffix}").read_bytes())
    found = open_dataset(url)
    (table,) = found.tables.values()
    assert read_all(table)["x"].tolist() == [1.5, 2.5]
    assert found.nbytes == (tmp_path / f"x{suffix}").stat().st_size
    assert (
        open_dataset(f"memory://test_events/*{suffix}").tables[table.name].num_entries
        == 2
    )
    with pytest.raises(
        InvalidArgument,
        match=r"memory://test_events/y.*: no such file; check the address",
    ):
        open_dataset(f"memory://test_events/y{suffix}")
    with pytest.raises(InvalidArgument, match="output is written to local files only"):
        write_dataset(found, url)


class Failing(http.server.BaseHTTPRequestHandler):
    """Answers `/CODE/...` with that code, and code 200 with a part that is shorter than announced."""

    def do_GET(self):
        code = int(self.path.split("/")[1])
        if code != 200:
            self.send_error(code)
            return
        first, _, last = self.headers.get("Range", "bytes=0-999")[6:].partition("-")
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(int(last) - int(first) + 1))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"x,y\n1,2\n")
        self.close_connection = True

    do_HEAD = do_GET

    def log_message(self, *_arguments):
        """Keeps quiet."""


@pytest.fixture(scope="module")
def failing_server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".h5", ".parquet", ".root"])
@pytest.mark.parametrize(
    ("code", "match"),
    [
        (404, r"no such file; check the (address|path)$"),
        (
            403,
            r"cannot be read \(403 Forbidden\); check the address and your access, try again, or copy the file here$",
        ),
        (
            500,
            r"cannot be read \(500 Internal Server Error; tried 3 times\); check the address",
        ),
        (
            200,
            r"cannot be read \(.*payload is not completed.*; tried 3 times\); check the address",
        ),
    ],
)
def test_what_a_server_answers_is_told_in_one_line(
    failing_server, suffix, code, match, monkeypatch
):
    pytest.importorskip("aiohttp")
    monkeypatch.setitem(fsspec.config.conf, "flowtuple", {"timeout": 1})
    url = f"{failing_server}/{code}/x{suffix}"
    with pytest.raises(InvalidArgument, match=f"^{url}: .*{match}") as caught:
        open_dataset(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".h5", ".root"])
def test_a_server_that_is_not_there_is_told(suffix):
    pytest.importorskip("aiohttp")
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/x{suffix}"
        with pytest.raises(
            InvalidArgument,
            match=rf"^{url}: cannot be read \(Cannot connect to host .*\); check the address",
        ):
            open_dataset(url)


def test_output_names_have_to_be_formats(tmp_path):
    with pytest.raises(
        InvalidArgument, match=r"unknown suffix '.xyz'; the formats are .root, .parquet"
    ):
        write_dataset(open_dataset({"x": [1]}), tmp_path / "a.xyz")
    with pytest.raises(
        InvalidArgument, match=r"cannot be written \(.* is no folder\); make it first"
    ):
        write_dataset(open_dataset({"x": [1]}), tmp_path / "no" / "a.npz")


def test_a_file_without_tables_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["one"] = 1
    with pytest.raises(
        InvalidArgument,
        match=r"x.h5: holds no table; events/one: one value is no column; name a file",
    ):
        open_dataset(tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("suffix", "package", "extra"),
    [(".parquet", "pyarrow", "parquet"), (".h5", "h5py", "hdf5")],
)
def test_a_missing_package_names_its_extra(tmp_path, suffix, package, extra, monkeypatch):
    write_dataset(open_dataset({"x": [1]}), tmp_path / f"x{suffix}")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(
        MissingExtra,
        match=rf"reading .* needs the extra '{extra}': pip install 'flowtuple\[{extra}\]'",
    ):
        open_dataset(tmp_path / f"x{suffix}")
    with pytest.raises(
        MissingExtra, match=rf"writing {suffix} needs the extra '{extra}'"
    ):
        write_dataset(open_dataset({"x": [1]}), tmp_path / f"y{suffix}")


# chains


@pytest.mark.slow
def test_files_are_chained_in_order(tmp_path):
    whole = every_kind(20)
    names = [c.name for c in whole.columns]
    for i, (start, stop) in enumerate([(0, 7), (7, 7), (7, 20)]):
        write_dataset(
            dataset(whole.read(names, start, stop)), tmp_path / f"part{i}.parquet"
        )
    for source in (
        f"{tmp_path}/part*.parquet",
        f"{tmp_path}/*.parquet:Events",
        [tmp_path / f"part{i}.parquet" for i in range(3)],
    ):
        chained = open_dataset(source)
        (table,) = chained.tables.values()
        assert chained.nbytes == sum(p.stat().st_size for p in tmp_path.iterdir())
        shown = [c.name for c in whole.columns if not c.hidden]
        assert [c.name for c in table.columns if not c.hidden] == shown
        for start, stop in [(0, 20), (0, 0), (5, 9), (7, 8), (6, 7), (19, 30), (25, 30)]:
            piece, expected = (
                table.read(shown, start, stop),
                whole.read(shown, start, stop),
            )
            assert piece.num_entries == expected.num_entries
            assert repr(table_to_awkward(piece).tolist()) == repr(
                table_to_awkward(expected).tolist()
            )


def test_counters_that_only_some_files_share_are_parted(tmp_path):
    write_dataset(
        open_dataset({"a": [[1.0], []], "b": [[2.0], []], "c": [[1], []]}),
        tmp_path / "0.npz",
    )
    write_dataset(
        open_dataset({"a": [[3.0]], "b": [[4.0, 5.0]], "c": [[2]]}), tmp_path / "1.npz"
    )
    (table,) = open_dataset(f"{tmp_path}/*.npz").tables.values()
    assert [c.counter for c in table.columns if not c.hidden] == ["n(a)", "n(b)", "n(a)"]
    content = read_all(table)
    assert content["n(a)"].tolist() == [1, 0, 1]
    assert content["n(b)"].tolist() == [1, 0, 2]
    assert content["b"].tolist() == [2, 4, 5]


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (
            {"x": [1.5]},
            r"b.npz: table 'events': unlike in the first file, column 'Jet_pt' is missing",
        ),
        (
            {"x": [1.5], "Jet_pt": [[1.0]], "z": [1]},
            r"b.npz: table 'events': unlike in the first file, column 'z' is additional",
        ),
        (
            {"x": [1], "Jet_pt": [[1.0]]},
            r"b.npz: table 'events': unlike in the first file, column 'x' is int64, not float64",
        ),
        (
            {"x": np.zeros((1, 2)), "Jet_pt": [[1.0]]},
            r"column 'x' is float64 \[2\], not float64;",
        ),
        (
            {"x": [1.5], "Jet_pt": [1.0]},
            r"column 'Jet_pt' is float64, not float64 lists counted by their own",
        ),
    ],
)
def test_files_that_differ_are_not_chained(tmp_path, other, match):
    write_dataset(open_dataset({"x": [1.5], "Jet_pt": [[1.0]]}), tmp_path / "a.npz")
    write_dataset(open_dataset(other), tmp_path / "b.npz")
    with pytest.raises(InvalidArgument, match=match):
        open_dataset([tmp_path / "a.npz", tmp_path / "b.npz"])


def test_files_with_other_trees_are_not_chained(tmp_path):
    one = Table("one", (Column("x", "int64"),), 1, {"x": np.array([1])})
    write_dataset(dataset(one), tmp_path / "a.npz")
    write_dataset(dataset(Table("two", one.columns, 1, one.data)), tmp_path / "b.npz")
    with pytest.raises(
        InvalidArgument,
        match=r"\.npz: no table '(one|two)', which other files have; name one of each file, such as .*a.npz:one .*b.npz:two",
    ):
        open_dataset(f"{tmp_path}/*.npz")


def test_histograms_are_carried_where_all_files_hold_the_same(tmp_path):
    for name, entries in (("a", 1.0), ("b", 2.0)):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file.mktree("Events", {"x": "int32"}).extend({"x": np.zeros(2, np.int32)})
            file["same"] = np.histogram([1.0, 2.0], bins=2)
            file["other"] = np.histogram([entries], bins=2, range=(0, 3))
    chained = open_dataset(f"{tmp_path}/*.root")
    assert chained.tables["Events"].num_entries == 4
    assert list(chained.carried) == ["same"]
    assert list(chained.refused) == ["other"]
    assert "hadd" in chained.refused["other"]


# samples


@pytest.fixture(scope="module")
def sample(request):
    """An open sample and all values of its only table, read once for all formats."""
    events = open_dataset(f"{SHARED}/{request.param}")
    (table,) = events.tables.values()
    return events, read_all(table)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the larger samples are not here")
@pytest.mark.parametrize("suffix", [*TEXT, *BINARY])
@pytest.mark.parametrize("sample", ["Zee_Run2011A.csv"], indirect=True)
def test_measured_dielectrons_survive_every_format(tmp_path, suffix, sample):
    events, table = sample
    assert table.num_entries == 18885
    write_dataset(events, tmp_path / f"z{suffix}")
    assert_same(open_dataset(tmp_path / f"z{suffix}").tables["events"], table)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the larger samples are not here")
@pytest.mark.parametrize("suffix", BINARY)
@pytest.mark.parametrize(
    "sample",
    ["uproot-HZZ.root:events", "nano_dy.root:Events", "jets24.root:Events"],
    indirect=True,
)
def test_root_trees_survive_every_binary_format(tmp_path, suffix, sample):
    events, table = sample
    write_dataset(events, tmp_path / f"z{suffix}")
    assert_same(open_dataset(tmp_path / f"z{suffix}").tables[table.name], table)
