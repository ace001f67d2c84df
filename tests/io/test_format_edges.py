"""Files of other programs at their edges: each comes back in its own format as it was, or is
refused by name in one line.
"""

from __future__ import annotations

import decimal
import errno
import os
import shutil
import uuid
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import awkward as ak
import fsspec
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import uproot
from pyarrow import parquet as pq

from flowtuple.data.table import Dataset, Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.io.parquet import ParquetTable
from flowtuple.io.source import ReadOptions, WriteOptions, open_dataset, write_dataset

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def back(path: Path, **options: object) -> Path:
    """The file written again in its own format, and seen to hold the same columns and values."""
    dataset = open_dataset(path)
    suffix = ".csv.gz" if path.name.endswith(".csv.gz") else path.suffix
    again = path.with_name(f"back{suffix}")
    write_dataset(dataset, again, WriteOptions(step=7, **options))  # type: ignore[arg-type]
    found = open_dataset(again)
    assert list(found.tables) == list(dataset.tables)
    for name, table in dataset.tables.items():
        assert found.tables[name].columns == table.columns
        assert difference(read_all(found.tables[name]), read_all(table)) is None
    return again


def names_of(dataset: Dataset) -> dict[str, list[str]]:
    return {
        name: [c.name for c in table.columns] for name, table in dataset.tables.items()
    }


# text


def text_file(folder: Path, content: str, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def columns(path: Path) -> dict[str, list[object]]:
    table = read_all(open_dataset(path).tables["events"])
    return {c.name: table[c.name].tolist() for c in table.columns}


LUMI = "#Data tag : 19v2 , Norm tag: None\n#run:fill,ls,source\n1:2,12:12,HFET\n1:2,13:13,HFET\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            LUMI,
            {"run:fill": ["1:2"] * 2, "ls": ["12:12", "13:13"], "source": ["HFET"] * 2},
        ),
        (
            LUMI + "#Summary:\n#nfill,nrun\n#1,2\n",
            {"run:fill": ["1:2"] * 2, "ls": ["12:12", "13:13"], "source": ["HFET"] * 2},
        ),
        (
            LUMI + "#1,2,3\n",
            {"run:fill": ["1:2"] * 2, "ls": ["12:12", "13:13"], "source": ["HFET"] * 2},
        ),
        ("# pt,tag\n# GeV,name\n1,a\n", {"GeV": [1], "name": ["a"]}),
        ("# pt,eta\n# GeV,rad\n1,2\n", {"GeV": [1], "rad": [2]}),
        ("# made by, me\na,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}),
        ("#run,x\n1,n/a\n2,3.5\n", {"run": [1, 2], "x": ["n/a", "3.5"]}),
        ("#a,b\n1,2\n# second run\n3,4\n#5,6\n", {"a": [1, 3], "b": [2, 4]}),
        ("#a,b\n", {"a": [], "b": []}),
        ("#tag\nalpha\nbeta\n", {"tag": ["alpha", "beta"]}),
        ("# made by me\nname\nalpha\n", {"name": ["alpha"]}),
        ('#it"s made, "so\n#a,b\nu,1\n', {"a": ["u"], "b": [1]}),
    ],
)
def test_the_header_may_stand_in_a_comment(tmp_path, text, expected):
    path = text_file(tmp_path, text)
    assert columns(path) == expected
    assert back(path).read_text() == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a;b"\n1\n2\n', {"a;b": [1, 2]}),
        ('x\n"a;b"\n"c,d"\n', {"x": ["a;b", "c,d"]}),
        ('"a\tb",c\n1,2\n', {"a\tb": [1], "c": [2]}),
        ('"a,b";c\n1;2\n', {"a,b": [1], "c": [2]}),
        ("p [GeV,c];eta\n1;2\n3;4\n", {"p [GeV,c]": [1, 3], "eta": [2, 4]}),
        ("jet pt\tjet eta\n1\t2\n", {"jet pt": [1], "jet eta": [2]}),
        ("\ufeffjet pt,jet eta\r\n1,2\r\n", {"jet pt": [1], "jet eta": [2]}),
        ('a,b\n"#x",1\n"y",2\n', {"a": ["#x", "y"], "b": [1, 2]}),
        ('"#a",b\nx,1\n', {"#a": ["x"], "b": [1]}),
        ('a,b\n"x\ny",1\n', {"a": ["x\ny"], "b": [1]}),
    ],
)
def test_quoted_fields_are_whole(tmp_path, text, expected):
    path = text_file(tmp_path, text)
    assert columns(path) == expected
    back(path)


def test_white_space_parts_what_tabs_do_not(tmp_path):
    assert columns(text_file(tmp_path, "jet pt\tjet eta\n1\t2\n", "x.txt")) == {
        "jet pt": [1],
        "jet eta": [2],
    }
    path = text_file(tmp_path, "# pt name\n1 a\n2 b\n# the end\n", "y.txt")
    assert columns(path) == {"pt": [1, 2], "name": ["a", "b"]}
    assert back(path).read_text() == path.read_text()
    path = text_file(tmp_path, 'name x\n"a" 1\n"b""c" 2\n5" 3\n', "z.dat")
    assert columns(path) == {"name": ["a", 'b"c', '5"'], "x": [1, 2, 3]}
    back(path)


def test_white_space_parts_numbers_of_a_csv(tmp_path):
    table = {"x": [1, 4], "y": [2.5, 5], "z": [3, 6]}
    for above in ("", "# measured\n", "# measured\n# on a\n", "# of all jets\n"):
        path = text_file(tmp_path, f"{above}x y z\n1 2.5 3\n4 5.0 6\n")
        assert columns(path) == table
        assert back(path).read_text() == path.read_text()
    assert columns(text_file(tmp_path, "1 2.5\n4 nan\n")).keys() == {"c0", "c1"}
    assert columns(text_file(tmp_path, "# w h o\n1 2 3\n")) == {
        "w": [1],
        "h": [2],
        "o": [3],
    }


def test_white_space_in_words_of_a_csv_parts_nothing(tmp_path):
    assert columns(text_file(tmp_path, "full name\nAda Byron\nEmmy Noether\n")) == {
        "full name": ["Ada Byron", "Emmy Noether"]
    }
    assert columns(text_file(tmp_path, "point\n1 2\n3 4\n")) == {"point": ["1 2", "3 4"]}
    write_dataset(open_dataset({"a point": ["1 2", "3 4"]}), tmp_path / "x.csv")
    assert columns(tmp_path / "x.csv") == {"a point": ["1 2", "3 4"]}


@pytest.mark.parametrize(
    "names",
    [
        ["a;b"],
        ["a\tb"],
        ['a"b'],
        ["0", "1"],
        ["#x"],
        ["#x", "y"],
        ["a,b", "c;d"],
        ["true"],
    ],
)
def test_any_names_read_back_from_text(tmp_path, names):
    write_dataset(open_dataset({name: [1.5, 2.5] for name in names}), tmp_path / "x.csv")
    assert columns(tmp_path / "x.csv") == {name: [1.5, 2.5] for name in names}


def test_text_comes_back_with_its_delimiter_and_without_a_header(tmp_path):
    for text in (
        "a;b\n1;x\n",
        "1,2\n3,4\n",
        "# by,hand\n# of me\n1,2\n3,4\n",
        "a\tb\n1\tx\n",
    ):
        path = text_file(tmp_path, text)
        assert back(path).read_text() == text
    dataset = open_dataset(text_file(tmp_path, LUMI + "#Summary\n"))
    # other formats take no notice
    write_dataset(dataset.only("events"), tmp_path / "y.root")
    assert dataset.storage["events"]["header"] == "#"


def test_part_of_a_text_file_has_no_comments_of_the_whole(tmp_path):
    from flowtuple.data.selection import select

    part = select(open_dataset(text_file(tmp_path, LUMI)), ["ls", "source"])
    write_dataset(part, tmp_path / "y.csv")
    assert (tmp_path / "y.csv").read_text() == "ls,source\n12:12,HFET\n13:13,HFET\n"


@pytest.mark.slow
def test_comments_too_long_to_travel_are_named(tmp_path):
    dataset = open_dataset(text_file(tmp_path, "# words\n" * 20000 + "a,b\n1,2\n"))
    assert dataset.storage == {}
    assert [part.name for part in dataset.left_out] == ["events/(comments)"]


# Parquet

D = decimal.Decimal
TYPES = {
    "decimal": pa.array([D("1.25"), None, D("-3.50")], pa.decimal128(10, 2)),
    "small decimal": pa.array([D("1E-18"), D("0"), D("-1")], pa.decimal128(38, 18)),
    "wide decimal": pa.array([D("1.5"), D("0"), D("-1")], pa.decimal256(60, 5)),
    "narrow decimal": pa.array([D("1.25"), D("0"), D("-1")], pa.decimal32(6, 2)),
    "map": pa.array([[("a", 1)], None, [("b", None)]], pa.map_(pa.string(), pa.int32())),
    "whole map": pa.array(
        [[("a", 1), ("c", 3)], [], [("b", 2)]], pa.map_(pa.string(), pa.int32())
    ),
    "list of maps": pa.array(
        [[[("a", 1)]], [], [[("b", 2)], []]], pa.list_(pa.map_(pa.string(), pa.int32()))
    ),
    "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(
        np.arange(12.0).reshape(3, 2, 2)
    ),
    "uuid": pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}'] * 3)),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1, 2], pa.int8())),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "times": pa.array([1, None, 3], pa.timestamp("us", tz="Europe/Berlin")),
    "time": pa.array([1, None, 3], pa.timestamp("ns")),
    "of day": pa.array([1, 2, 3], pa.time32("ms")),
    "of day, missing": pa.array([1, None, 3], pa.time64("ns")),
    "duration": pa.array([1, 2, 3], pa.duration("us")),
    "date": pa.array([1, None, 3], pa.date32()),
    "null": pa.nulls(3),
    "large text": pa.array(["a", None, "é"], pa.large_string()),
    "text view": pa.array(["a", None, "more than twelve letters"], pa.string_view()),
    "bytes": pa.array([b"a", None, b"\xff"]),
    "bytes view": pa.array([b"a", None, b"\xff"], pa.binary_view()),
    "fixed bytes": pa.array([b"ab", None, b"\xff\0"], pa.binary(2)),
    "list": pa.array([[1, 2], [], [3]]),
    "list, missing": pa.array([[1, None], None, [3]]),
    "list view": pa.array([[1, 2], None, [3]], pa.list_view(pa.int32())),
    "large list": pa.array([[1, 2], [], [3]], pa.large_list(pa.int32())),
    "lists": pa.array([[[1], []], [], [[3]]]),
    "fixed list": pa.array([[1, 2]] * 3, pa.list_(pa.float32(), 2)),
    "half": pa.array(np.arange(3, dtype="f2")),
    "missing": pa.array([1, None, 3]),
    "record": pa.array([{"a": 1, "b": {"c": 2.5}}] * 3),
    "record, missing": pa.array([{"a": 1, "b": {"c": None}}, None, {"a": 2, "b": None}]),
    "records": pa.array(
        [
            [{"pt": 1.5, "p": {"x": 1}}, {"pt": 2.5, "p": {"x": 2}}],
            [],
            [{"pt": 1.0, "p": {"x": 2}}],
        ]
    ),
    "records, missing": pa.array([[{"pt": 1.5}, None], None, []]),
    "records with lists": pa.array(
        [[{"pt": 1.5, "c": [1, 2]}], [], [{"pt": 2.5, "c": []}]]
    ),
    "record of decimals": pa.array([{"d": D("1.5")}] * 3),
    "list of decimals": pa.array([[D("1.5")], [], [D("2.5"), D("0.5")]]),
}


@pytest.mark.parametrize("rows", [1, 3], ids=["many groups", "one group"])
@pytest.mark.parametrize("name", TYPES)
def test_parquet_types_come_back(tmp_path, name, rows):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": TYPES[name], "y": np.arange(3.0)}), path, row_group_size=rows
    )
    original, again = pq.read_table(path), pq.read_table(back(path))
    assert again.schema.equals(original.schema, check_metadata=True)
    assert again.equals(original)


@pytest.mark.slow
def test_parquet_without_events_comes_back(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(dict(TYPES)).slice(0, 0), path)
    original, again = pq.read_table(path), pq.read_table(back(path))
    assert again.schema.equals(original.schema)


def test_parquet_columns_that_differ_are_written_without_the_others(tmp_path):
    from flowtuple.data.selection import select

    pq.write_table(
        pa.table({name: TYPES[name] for name in ("records", "decimal", "times")}),
        tmp_path / "x.parquet",
    )
    part = select(open_dataset(tmp_path / "x.parquet"), ["records_pt", "decimal"])
    write_dataset(part, tmp_path / "y.parquet")
    table = pq.read_table(tmp_path / "y.parquet")
    assert table.column_names == ["records_pt", "decimal"]
    assert table["decimal"].type == pa.decimal128(10, 2)
    assert table["records_pt"].to_pylist() == [[1.5, 2.5], [], [1.0]]


def test_a_schema_that_is_damaged_is_no_schema(tmp_path):
    pq.write_table(pa.table({"x": TYPES["decimal"]}), tmp_path / "x.parquet")
    dataset = open_dataset(tmp_path / "x.parquet")
    dataset.storage["events"]["schema"] = "!" + dataset.storage["events"]["schema"][1:]
    write_dataset(dataset, tmp_path / "y.parquet")
    assert pq.read_table(tmp_path / "y.parquet")["x"].to_pylist() == [
        "1.25",
        None,
        "-3.50",
    ]


def test_pandas_gets_its_frame_back(tmp_path):
    frame = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "t": pd.to_datetime(["2020-01-01"] * 3).tz_localize("UTC"),
            "c": pd.Categorical(["u", "v", "u"]),
            "i": pd.array([1, None, 2], dtype="Int64"),
        },
        index=pd.Index([7, 8, 9], name="event"),
    )
    frame.to_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(back(tmp_path / "x.parquet")), frame)


def test_the_order_of_categories_is_named_as_left_out(tmp_path):
    kind = pa.DictionaryArray.from_arrays(
        pa.array([1, 0]), pa.array(["low", "high"]), ordered=True
    )
    pq.write_table(pa.table({"x": kind}), tmp_path / "x.parquet")
    assert [part.name for part in open_dataset(tmp_path / "x.parquet").left_out] == [
        "events/x (order)"
    ]
    assert pq.read_table(back(tmp_path / "x.parquet"))["x"].to_pylist() == ["high", "low"]


@pytest.mark.parametrize(
    ("table", "name", "reason"),
    [
        (
            pa.table([pa.array([1.5]), pa.array([2])], names=["x", "x"]),
            "events/x",
            "the name stands for 2 columns",
        ),
        (pa.table([pa.array([1.5])], names=[""]), "events/", "it has no name"),
        (
            pa.table(
                {
                    "x": pa.StructArray.from_arrays(
                        [pa.array([1]), pa.array([2])], names=["a", "a"]
                    )
                }
            ),
            "events/x",
            "two of its members are called 'a'",
        ),
    ],
)
def test_parquet_columns_that_cannot_be_carried_are_refused_by_name(
    tmp_path, table, name, reason
):
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InvalidArgument, match=f"holds no table; {name}: {reason}"):
        open_dataset(tmp_path / "x.parquet")
    pq.write_table(table.append_column("y", pa.array([1.0])), tmp_path / "x.parquet")
    dataset = open_dataset(tmp_path / "x.parquet")
    assert list(dataset.refused) == [name]
    assert names_of(dataset) == {"events": ["y"]}
    assert pq.read_table(back(tmp_path / "x.parquet")).column_names == ["y"]


def test_a_parquet_column_that_fails_does_not_touch_the_others(tmp_path, monkeypatch):
    pq.write_table(
        pa.table({"x": [[1.0], []], "y": [[2.0], []], "z": [1, 2]}),
        tmp_path / "x.parquet",
    )
    original = pq.ParquetFile.read_row_groups

    def failing(self, groups, columns=None, **options):
        if "x" in columns:
            raise pa.ArrowNotImplementedError("a page of a kind that nobody knows")
        return original(self, groups, columns=columns, **options)

    def none(self, group, **options):
        raise pa.ArrowNotImplementedError("a page of a kind that nobody knows")

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", failing)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", none)
    dataset = open_dataset(tmp_path / "x.parquet")
    assert dataset.refused == {
        "events/x": "its values cannot be read (a page of a kind that nobody knows)"
    }
    assert names_of(dataset) == {"events": ["n(y)", "y", "z"]}


def test_damage_in_a_parquet_column_names_it(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": np.arange(5000.0), "y": np.arange(5000.0)}),
        path,
        compression="zstd",
        use_dictionary=False,
    )
    begin = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[begin + 40 : begin + 400] = bytes(360)
    path.write_bytes(content)
    with pytest.raises(
        Corrupt,
        match=r"events 0 to 5000 are damaged; fetch the file again \(column 'y': ",
    ):
        read_all(open_dataset(path).tables["events"])


def test_rows_are_those_of_the_groups(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": [5, 6, 7], "l": [[1], [], [2, 3]]}), path, store_schema=False
    )
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    # num_rows of the file, before its row groups: zigzag of 3
    end = footer.rindex(b"\x16\x06\x19")
    assert footer.count(b"\x16\x06\x19") == 1
    path.write_bytes(
        content[: -8 - length]
        + footer[:end]
        + b"\x16\x00"
        + footer[end + 2 :]
        + content[-8:]
    )
    assert pq.ParquetFile(path).metadata.num_rows == 0
    table = read_all(open_dataset(path).tables["events"])
    assert table.num_entries == 3
    assert table["x"].tolist() == [5, 6, 7]
    assert pq.read_table(back(path)).to_pylist() == [
        {"x": 5, "l": [1]},
        {"x": 6, "l": []},
        {"x": 7, "l": [2, 3]},
    ]


@pytest.mark.slow
@pytest.mark.skipif(not CASES.is_dir(), reason="the public cases are not here")
@pytest.mark.parametrize("name", ["decimals", "map_array", "repeated_no_annotation"])
def test_public_parquet_cases_come_back(tmp_path, name):
    shutil.copy(CASES / f"{name}.parquet", tmp_path)
    again = back(tmp_path / f"{name}.parquet")
    assert pq.read_table(again).equals(pq.read_table(CASES / f"{name}.parquet"))


@pytest.mark.skipif(not CASES.is_dir(), reason="the public cases are not here")
def test_a_public_lumi_file_comes_back(tmp_path):
    shutil.copy(CASES / "lumi_small.csv", tmp_path)
    table = read_all(open_dataset(tmp_path / "lumi_small.csv").tables["events"])
    assert table.num_entries == 998
    assert [c.name for c in table.columns][:3] == ["run:fill", "ls", "time"]
    again = back(tmp_path / "lumi_small.csv").read_text().splitlines()
    assert again[:2] == (CASES / "lumi_small.csv").read_text().splitlines()[:2]


# HDF5

RNG = np.random.default_rng(5)
N = 30
JETS = np.zeros(
    N, [("pt", "f4"), ("eta", "f2"), ("flag", "?"), ("id", ">i4"), ("tag", "S3")]
)
JETS["pt"], JETS["eta"], JETS["id"], JETS["tag"] = (
    RNG.normal(size=N),
    RNG.normal(size=N),
    RNG.integers(0, 9, N),
    b"ab",
)


def tracks(gaps: bool = False, varying: bool = False) -> np.ndarray:
    """Records padded to 12 per event, with a NaN that is not the usual one."""
    made = np.zeros(
        (N, 12),
        [("d0", "f2"), ("valid", "?"), ("q", "i1"), ("z", "f4"), ("c", "f4", (2,))],
    )
    there = np.arange(12) < RNG.integers(0, 13, N)[:, None]
    there = RNG.permuted(there, axis=1) if gaps else there
    made["d0"] = np.where(
        there, RNG.normal(size=there.shape), np.array(0xFE01, "u2").view("f2")
    )
    made["q"] = np.where(there, 1, -99)
    made["z"] = np.where(
        there,
        RNG.normal(size=there.shape),
        RNG.normal(size=there.shape) if varying else -np.inf,
    )
    made["c"] = RNG.normal(size=(N, 12, 2))
    made["valid"] = there
    return made


def assert_same_file(left: Path, right: Path) -> None:
    """Same datasets, types, shapes, bits and attributes."""
    with h5py.File(left) as one, h5py.File(right) as other:
        found: dict[str, list[str]] = {"one": [], "other": []}
        one.visit(found["one"].append)
        other.visit(found["other"].append)
        assert sorted(found["one"]) == sorted(found["other"])
        for name in ("/", *found["one"]):
            assert {k: repr(v) for k, v in one[name].attrs.items()} == {
                k: repr(v) for k, v in other[name].attrs.items()
            }
            if isinstance(one[name], h5py.Dataset):
                assert one[name].dtype == other[name].dtype
                assert one[name].shape == other[name].shape
                values, again = one[name][()], other[name][()]
                assert bits(values) == bits(again), name


def bits(values: np.ndarray) -> object:
    """The values bit for bit, without what lies between the members of records."""
    if values.dtype.names is not None:
        return [bits(values[name]) for name in values.dtype.names]
    return repr(values.tolist()) if values.dtype.hasobject else values.tobytes()


def test_the_layout_of_flavour_tagging_is_ragged_and_comes_back(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["jets"], file["tracks"] = JETS, tracks()
        file.create_dataset("flows", data=tracks()[["valid", "q"]], compression="gzip")
        file.attrs["version"], file["jets"].attrs["cuts"] = "v1", np.arange(3)
    dataset = open_dataset(tmp_path / "x.h5")
    (table,) = dataset.tables.values()
    assert table.name == "jets"
    kinds = {c.name: (c.dtype, c.counter, c.shape) for c in table.columns}
    assert kinds["tracks_d0"] == ("float16", "n(tracks_d0)", ())
    assert kinds["tracks_c"] == ("float32", None, (12, 2))
    assert kinds["flows_q"] == ("int8", "n(flows_q)", ())
    assert "tracks_valid" not in kinds
    with h5py.File(tmp_path / "x.h5") as file:
        valid = file["tracks"]["valid"]
        assert np.array_equal(read_all(table)["n(tracks_d0)"], valid.sum(axis=1))
        assert np.array_equal(read_all(table)["tracks_z"], file["tracks"]["z"][valid])
        piece = table.read(["tracks_q"], 3, 9)
        assert np.array_equal(piece["tracks_q"], file["tracks"]["q"][3:9][valid[3:9]])
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


@pytest.mark.parametrize(
    ("gaps", "varying", "ragged"), [(True, False, []), (False, True, ["d0", "q"])]
)
def test_places_that_are_not_all_filled_alike_are_kept(tmp_path, gaps, varying, ragged):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["jets"], file["tracks"] = JETS, tracks(gaps, varying)
    table = open_dataset(tmp_path / "x.h5").tables["jets"]
    assert [c.name for c in table.columns if c.counter] == [
        f"tracks_{name}" for name in ragged
    ]
    assert {c.shape for c in table.columns if c.name == "tracks_z"} == {(12,)}
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


def test_padded_records_alone_have_their_own_table(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["sub/tracks"] = tracks()
        file["clash/jets"], file["clash/tracks"] = (
            np.zeros(N, [("tracks_d0", "f4")]),
            tracks(),
        )
        file["plain/jets"], file["plain/hits"] = (
            JETS,
            np.zeros((N, 2, 3), [("a", "f4"), ("valid", "?")]),
        )
        file["none/jets"], file["none/tracks"] = JETS[:0], tracks()[:0]
    found = names_of(open_dataset(tmp_path / "x.h5"))
    assert found["sub/tracks"][:3] == ["n(d0)", "d0", "q"]
    assert found["clash/jets"] == ["tracks_d0"]
    assert "d0" in found["clash/tracks"]
    assert found["plain/jets"][-2:] == ["hits_a", "hits_valid"]
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


def test_hdf5_of_other_programs_comes_back(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["run"], file["be"] = np.arange(3, dtype="u4"), np.arange(3, dtype=">f8")
        file["fixed"], file["latin"] = (
            np.array([b"a", b"bc", b""]),
            np.array([b"\xe9", b"a", b""]),
        )
        file["ascii"] = np.array(["a", "b", "c"], dtype=h5py.string_dtype("ascii"))
        file["utf8"] = np.array(
            [b"a", b"b", "é".encode()], dtype=h5py.string_dtype("utf-8", 5)
        )
        file.create_dataset(
            "enum",
            data=np.array([0, 1, 2], "i1"),
            dtype=h5py.enum_dtype({"R": 0, "G": 1, "B": 2}, "i1"),
        )
        file["records"] = np.zeros(
            4, np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2", (3,))], align=True)
        )
        file["m/data"], file["m/names"] = (
            np.arange(6, dtype=">f4").reshape(3, 2),
            ["pt", "eta"],
        )
        file["k/data"] = np.arange(6.0).reshape(3, 2)
        file["k/data"].attrs["columns"] = ["u", "v"]
        file["bare/data"], file["cube/data"] = (
            np.arange(6.0).reshape(3, 2),
            np.zeros((3, 2, 2)),
        )
        file["named/names"], file["named/x"] = ["a", "b", "c"], np.arange(3)
        file["other/names"], file["other/x"] = (
            ["a", "b", "c"],
            np.arange(6.0).reshape(3, 2),
        )
        file["unequal/x"], file["unequal/y"], file["unequal/z"] = (
            np.arange(3.0),
            np.arange(2.0),
            np.arange(2),
        )
    found = names_of(open_dataset(tmp_path / "x.h5"))
    assert found["unequal"] == ["y", "z"]
    assert found["unequal/x"] == ["x"]
    assert found["named"] == ["names", "x"]
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


def test_tables_of_one_name_are_told_apart(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["w"], file["events"] = np.arange(3.0), np.zeros(4, [("a", "f4")])
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["w"], file["events/x"] = np.arange(3.0), np.arange(4.0)
    for name in ("x", "y"):
        assert set(open_dataset(tmp_path / f"{name}.h5").tables) == {"events", "events_"}
        assert_same_file(tmp_path / f"{name}.h5", back(tmp_path / f"{name}.h5"))


def test_lists_of_numbers_are_counted_columns(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(20)
        for name, step in (("a", 4), ("b", 4), ("c", 3)):
            made = file.create_dataset(name, (20,), h5py.vlen_dtype("f4"))
            for i in range(20):
                made[i] = np.arange(i % step) + i
        file.create_dataset("never", (20,), h5py.vlen_dtype("i2"))
    table = open_dataset(tmp_path / "x.h5").tables["events"]
    assert {c.name: c.counter for c in table.columns if c.counter} == {
        "a": "n(a)",
        "b": "n(a)",
        "c": "n(c)",
        "never": "n(never)",
    }
    assert table.read(["b"], 1, 4)["b"].tolist() == [1, 2, 3, 3, 4, 5]
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


def test_padding_in_the_other_byte_order_is_padding(tmp_path):
    made = np.zeros((3, 4), [("valid", "?"), ("p", ">f4")])
    made["valid"][:, :2], made["p"] = True, 7
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["tracks"] = made
    (table,) = open_dataset(tmp_path / "x.h5").tables.values()
    assert {c.name: c.counter for c in table.columns if not c.hidden} == {"p": "n(p)"}
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


@pytest.mark.parametrize("length", [1, 2])
def test_lists_of_one_length_come_back(tmp_path, length):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("a", (3,), h5py.vlen_dtype("f4"))
        for i in range(3):
            made[i] = np.arange(length) + i
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))


def test_hdf5_types_that_no_column_can_hold_are_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"], file["complex"], file["opaque"] = (
            np.arange(3.0),
            np.zeros(3, complex),
            np.zeros(3, "V4"),
        )
        file["long"], file["texts"], file["null"] = (
            np.zeros(3, np.longdouble),
            np.array([[b"a"]] * 3),
            h5py.Empty("f4"),
        )
        file.create_dataset("reference", (3,), h5py.ref_dtype)
        file.create_dataset("words", (3,), h5py.vlen_dtype(h5py.string_dtype()))
        file["jets"] = np.zeros(
            3, [("pt", "f4"), ("p", [("x", "f4")]), ("c", "c8"), ("o", "V4")]
        )
    dataset = open_dataset(tmp_path / "x.h5")
    assert set(dataset.refused) == {
        *(
            f"events/{name}"
            for name in (
                "complex",
                "opaque",
                "long",
                "texts",
                "null",
                "reference",
                "words",
            )
        ),
        *(f"jets/{name}" for name in "pco"),
    }
    assert "real and imaginary" in dataset.refused["events/complex"]
    assert set(dataset.only("jets").refused) == {"jets/p", "jets/c", "jets/o"}
    assert names_of(dataset) == {"jets": ["pt"], "events": ["x"]}
    back(tmp_path / "x.h5")


def test_a_filter_that_is_not_there_names_the_column_and_the_package(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(
            "x", (3,), "f4", chunks=(3,), compression=32015, allow_unknown_filter=True
        )
        file.create_dataset(
            "jets",
            (3,),
            [("pt", "f4")],
            chunks=(3,),
            compression=32001,
            allow_unknown_filter=True,
        )
        file["y"] = np.arange(3.0)
    dataset = open_dataset(tmp_path / "x.h5")
    assert set(dataset.refused) == {"events/x", "jets/pt"}
    assert dataset.refused["events/x"].startswith(
        "its filter 32015 (zstd) is missing; install it: pip install hdf5plugin"
    )
    assert names_of(dataset) == {"events": ["y"]}


def test_values_in_files_that_are_not_there_are_not_zeros(tmp_path):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("gone.h5", "x", (3,))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (3,), "f4", external=[("gone.bin", 0, 12)])
        file["y"] = np.arange(3.0)
    refused = open_dataset(tmp_path / "x.h5").refused
    assert (
        refused["events/virtual"]
        == "its values lie in 'gone.h5', which is not there; fetch that file too"
    )
    assert "gone.bin" in refused["events/external"]


def test_damage_in_a_dataset_names_it(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(
            "x", data=RNG.normal(size=1000), fletcher32=True, chunks=(1000,)
        )
        file["y"] = np.arange(1000.0)
        begin = file["x"].id.get_chunk_info(0).byte_offset
    content = bytearray((tmp_path / "x.h5").read_bytes())
    content[begin + 10] ^= 255
    (tmp_path / "x.h5").write_bytes(content)
    table = open_dataset(tmp_path / "x.h5").tables["events"]
    assert table.read(["y"], 0, 1000).num_entries == 1000
    with pytest.raises(
        Corrupt, match=r"events 0 to 1000 of 'events' are damaged \(dataset '/x'\)"
    ):
        read_all(table)


def test_attributes_travel_or_are_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/x"] = np.arange(3.0)
        file.attrs["root"], file["a"].attrs["k"], file["a/x"].attrs["unit"] = (
            "r",
            1.5,
            "GeV",
        )
        file["a/x"].attrs["big"], file["a/x"].attrs["to"] = np.zeros(5000), file["a"].ref
    dataset = open_dataset(tmp_path / "x.h5")
    assert [part.name for part in dataset.left_out] == ["a/x@big", "a/x@to"]
    with h5py.File(back(tmp_path / "x.h5")) as file:
        assert (file.attrs["root"], file["a"].attrs["k"], file["a/x"].attrs["unit"]) == (
            "r",
            1.5,
            "GeV",
        )


def test_storage_that_does_not_fit_is_told(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["jets"], file["tracks"] = JETS, tracks()
    dataset = open_dataset(tmp_path / "x.h5")
    dataset.storage["jets"]["sets"][1]["shape"] = [1]
    with pytest.raises(
        Unsupported,
        match=r"table 'jets' cannot be HDF5 as it was \(.* objects in an event, 1 places\)",
    ):
        write_dataset(dataset, tmp_path / "y.h5")
    assert not (tmp_path / "y.h5").exists()


# npz


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.arange(3.0), "c": np.zeros((3, 2), "f2")},
        {"data": np.arange(6.0).reshape(3, 2), "names": np.array(["pt", "eta"])},
        {"data": np.arange(6.0).reshape(3, 2), "columns": np.array([b"pt", b"eta"])},
        {"arr_0": np.arange(6.0).reshape(3, 2)},
        {"data": np.arange(6.0).reshape(3, 2), "names": np.array(["a", "b", "c"])},
        {"t": np.zeros(3, [("a", "f4"), ("b", ">i2"), ("c", "f8", (2,)), ("s", "U3")])},
        {"x": np.arange(3.0), "z": np.array([1j, 2, 3])},
        {"x": np.arange(3.0), "t": np.array([1, 2, 3], "M8[s]")},
        {"s": np.array(["a", "é", ""]), "b": np.array([b"a", b"\xff", b""])},
        {"a/x": np.arange(3.0), "b/y": np.arange(2)},
        {"events/x": np.arange(3.0), "y": np.arange(2)},
    ],
)
def test_npz_comes_back_as_the_arrays_that_it_was(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    with np.load(back(tmp_path / "x.npz")) as file:
        assert file.files == list(arrays)
        for name, values in arrays.items():
            assert file[name].dtype == values.dtype
            assert file[name].tobytes() == values.tobytes()


def test_npz_arrays_that_are_no_columns_are_refused_by_name(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros(3, "V3"), y=np.arange(3), one=5)
    dataset = open_dataset(tmp_path / "x.npz")
    assert dataset.refused == {
        "events/x": "bytes without a type are no column; store numbers or text",
        "events/one": "one value is no column",
    }
    assert names_of(dataset) == {"events": ["y"]}
    np.savez(tmp_path / "y.npz", t=np.zeros(3, [("a_b", "f4"), ("a", [("b", "f4")])]))
    dataset = open_dataset(tmp_path / "y.npz")
    assert names_of(dataset) == {"events": ["a_b", "a_b_2"]}
    assert dataset.storage == {"events": {"renamed": {"a_b_2": "a.b"}}}
    assert names_of(open_dataset(back(tmp_path / "y.npz"))) == {
        "events": ["a_b", "a_b_2"]
    }


def test_an_npz_with_a_name_twice_is_refused(tmp_path):
    content = BytesIO()
    np.save(content, np.arange(3.0))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", content.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x.npy", content.getvalue())
    with pytest.raises(
        InvalidArgument,
        match=r"x.npz: holds no table; events/x: the name stands for 2 arrays; rename all",
    ):
        open_dataset(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as file:
        file.writestr("y.npy", content.getvalue())
    dataset = open_dataset(tmp_path / "x.npz")
    assert dataset.refused == {
        "events/x": "the name stands for 2 arrays; rename all but one"
    }
    assert names_of(dataset) == {"events": ["y"]}


# memory


def test_names_that_stand_twice_in_memory_are_told_in_one_line():
    with pytest.raises(
        InvalidArgument,
        match="the name 'a' stands for a column and for the index; rename one",
    ):
        open_dataset(pd.DataFrame({"a": [1, 2]}, index=pd.Index([1, 2], name="a")))
    twice = ak.contents.RecordArray(
        [ak.contents.NumpyArray(np.zeros(2)), ak.contents.NumpyArray(np.ones(2))],
        ["x", "x"],
    )
    with pytest.raises(
        InvalidArgument, match="'x' and 'x' would both be column 'x'; rename one"
    ):
        open_dataset(ak.Array(twice))
    with pytest.raises(
        InvalidArgument, match="column 'd': list is no array of numbers, lists or text"
    ):
        open_dataset({"d": [object()]})


# where files are


def root_file(path: Path, tree: str = "Events", dtype: str = "f4") -> None:
    with uproot.recreate(path.parent / "made.tmp") as file:
        file.mktree(tree, {"x": dtype}).extend({"x": np.arange(3, dtype=dtype)})
    (path.parent / "made.tmp").rename(path)


WRITERS = [".root", ".parquet", ".h5", ".npz", ".csv.gz"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_path_that_exists_is_opened_as_it_stands(tmp_path, suffix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dataset(open_dataset({"x": [1.0, 2.0]}), tmp_path / f"made{suffix}")
    for stem in (
        "a::b",
        "x:y",
        "s*t",
        "q?m",
        "b[1]",
        "http:x",
        "http::x",
        "x.root:t",
        "sp ace",
        "pc%20t",
    ):
        name = f"{stem}{suffix}"
        shutil.copy(tmp_path / f"made{suffix}", tmp_path / name)
        for text in (
            name,
            f"{tmp_path}/{name}",
            f"{name}:events",
            f"file:{tmp_path}/{name}",
            f"file://{tmp_path}/{name}",
        ):
            assert read_all(open_dataset(text).tables["events"])["x"].tolist() == [
                1.0,
                2.0,
            ]


@pytest.mark.parametrize("suffix", WRITERS)
def test_formats_are_known_by_their_first_bytes(tmp_path, suffix):
    write_dataset(open_dataset({"x": [1.0, 2.0]}), tmp_path / f"made{suffix}")
    for name in ("DAOD.1._01.pool.strange.1", "bare"):
        shutil.copy(tmp_path / f"made{suffix}", tmp_path / name)
        for text in (
            f"{tmp_path}/{name}",
            f"{tmp_path}/{name}:events",
            f"file:{tmp_path}/{name}",
        ):
            assert open_dataset(text).tables["events"].num_entries == 2


def test_numbered_names_and_globs_of_them_are_opened(tmp_path):
    for number in (1, 2):
        root_file(tmp_path / f"x.pool.root.{number}")
    assert (
        open_dataset(f"{tmp_path}/*.pool.root.*:Events").tables["Events"].num_entries == 6
    )
    with pytest.raises(
        InvalidArgument, match=r"nothing.root.1: no such file; nearest: x.pool.root"
    ):
        open_dataset(f"{tmp_path}/nothing.root.1:Events")
    (tmp_path / "words").write_text("of no format")
    with pytest.raises(
        InvalidArgument,
        match=r"no suffix that names a format; .*; its first bytes are of none of them",
    ):
        open_dataset(tmp_path / "words")


def test_hdf5_behind_a_user_block_is_known(tmp_path):
    with h5py.File(tmp_path / "bare", "w", userblock_size=1024) as file:
        file["x"] = np.arange(3.0)
    assert open_dataset(tmp_path / "bare").tables["events"].num_entries == 3


def test_trees_named_one_by_one_are_chained(tmp_path):
    root_file(tmp_path / "0.root")
    root_file(tmp_path / "1.root", "Other")
    root_file(tmp_path / "2.root", "Third", "f8")
    for other in ("1.root:Other", "1.root"):
        dataset = open_dataset([f"{tmp_path}/0.root:Events", f"{tmp_path}/{other}"])
        assert read_all(dataset.tables["Events"])["x"].tolist() == [0, 1, 2] * 2
    with pytest.raises(
        InvalidArgument,
        match=r"2.root: table 'Third': unlike in the first file, column 'x' is float64, not float32",
    ):
        open_dataset([f"{tmp_path}/0.root:Events", f"{tmp_path}/2.root:Third"])
    each = r"name one of each file, such as .*/0.root:Events .*/1.root:Other$"
    with pytest.raises(
        InvalidArgument,
        match=f"no table '(Events|Other)', which other files have; {each}",
    ):
        open_dataset([f"{tmp_path}/0.root", f"{tmp_path}/1.root"])


def test_a_chosen_tree_is_not_to_be_chosen_again(tmp_path):
    for name, second in (("a", "Runs"), ("b", "Runs"), ("c", "Lumi")):
        with uproot.recreate(tmp_path / f"{name}.root") as file:
            file["Events"] = {"x": np.arange(3.0)}
            file[second] = {"y": np.arange(2.0)}
    a, b, c = (f"{tmp_path}/{name}.root" for name in "abc")
    for paths in ([f"{a}:Events", b], [b, f"{a}:Events"]):
        message = (
            f"{b}: holds the trees Events, Runs, and none is chosen as in {a}:Events; "
        )
        with pytest.raises(
            InvalidArgument, match=rf"^{message}name one, such as {b}:Events$"
        ):
            open_dataset(paths)
    with pytest.raises(
        InvalidArgument, match=r"; choose one that all have, such as FILE:Events$"
    ):
        open_dataset([a, c])


def test_chained_files_come_back_as_they_were_where_they_agree(tmp_path):
    for name in ("0", "1"):
        pq.write_table(
            pa.table({"x": TYPES["decimal"], "r": TYPES["records"]}),
            tmp_path / f"{name}.parquet",
        )
    write_dataset(open_dataset(f"{tmp_path}/*.parquet"), tmp_path / "y.parquet")
    one = pq.read_table(tmp_path / "0.parquet")
    assert pq.read_table(tmp_path / "y.parquet").equals(pa.concat_tables([one, one]))


def test_names_of_a_matrix_are_kept(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = np.arange(6.0).reshape(3, 2)
    dataset = open_dataset(tmp_path / "x.h5", ReadOptions(("p", "q")))
    write_dataset(dataset, tmp_path / "y.h5")
    assert names_of(open_dataset(tmp_path / "y.h5")) == {"events": ["p", "q"]}


# what is of no table, and links


def assert_alike_with_its_tables(path: Path) -> None:
    """`FILE:TREE` names what `FILE` names, but for the parts of other tables."""
    whole = open_dataset(path)
    for name in whole.tables:
        others = tuple(
            f"{other}/"
            for other in whole.tables
            if other != name and not name.startswith(f"{other}/")
        )
        part = open_dataset(f"{path}:{name}")
        assert part.refused == {
            key: reason
            for key, reason in whole.refused.items()
            if not key.startswith(others)
        }
        assert part.left_out == tuple(
            p for p in whole.left_out if not p.name.startswith(others)
        )


def test_links_that_lead_nowhere_are_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/x"], file["y"] = np.arange(3.0), np.arange(3.0)
        file["soft"], file["a/far"] = (
            h5py.SoftLink("/gone"),
            h5py.ExternalLink("gone.h5", "/x"),
        )
        file["near"] = h5py.SoftLink("/y")
    dataset = open_dataset(tmp_path / "x.h5")
    assert dataset.refused == {
        "/soft": f"a link to {tmp_path / 'x.h5'}:/gone, which is not there; remove it",
        "a/far": "a link to gone.h5:/x, which is not there; fetch that file too",
    }
    assert names_of(dataset) == {"events": ["near", "y"], "a": ["x"]}
    assert_alike_with_its_tables(tmp_path / "x.h5")
    assert list(open_dataset(f"{tmp_path}/x.h5:a").refused) == ["/soft", "a/far"]


def test_types_among_datasets_are_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["kind"], file["jets/record"] = np.dtype("f4"), np.dtype([("a", "f4")])
        file["jets/x"] = np.arange(3.0)
    dataset = open_dataset(tmp_path / "x.h5")
    assert set(dataset.refused) == {"/kind", "jets/record"}
    assert dataset.refused["/kind"].startswith("it is a type and holds no values")
    assert_alike_with_its_tables(tmp_path / "x.h5")
    assert names_of(open_dataset(back(tmp_path / "x.h5"))) == {"jets": ["x"]}


def test_hdf5_parts_of_no_table_come_with_each(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["jets"], file["lumi"], file["g/data"] = JETS, 5.0, np.zeros(3, [("a", "f4")])
        for thing in (file, file["jets"], file["g"], file["g/data"]):
            thing.attrs["big"] = np.zeros(5000)
    dataset = open_dataset(tmp_path / "x.h5")
    assert list(dataset.refused) == ["/lumi"]
    assert [part.name for part in dataset.left_out] == [
        "/@big",
        "jets/@big",
        "/g@big",
        "g/data/@big",
    ]
    assert_alike_with_its_tables(tmp_path / "x.h5")
    assert [part.name for part in open_dataset(f"{tmp_path}/x.h5:jets").left_out] == [
        "/@big",
        "jets/@big",
        "/g@big",
    ]


def test_npz_parts_of_no_table_come_with_each(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        **{
            "a/x": np.arange(3.0),
            "b/y": np.arange(2),
            "a/one": 1,
            "lumi": 5.0,
            "c/one": 2,
        },
    )
    assert list(open_dataset(tmp_path / "x.npz").refused) == ["a/one", "/lumi", "/c/one"]
    assert list(open_dataset(f"{tmp_path}/x.npz:b").refused) == ["/lumi", "/c/one"]
    assert_alike_with_its_tables(tmp_path / "x.npz")


@pytest.mark.slow
def test_text_and_parquet_name_what_is_too_long_with_their_table(tmp_path):
    text_file(tmp_path, "# words\n" * 20000 + "a,b\n1,2\n")
    table = pa.table({"x": [1.0]}).replace_schema_metadata({"long": "x" * 70000})
    pq.write_table(table, tmp_path / "x.parquet")
    for name, part in (
        ("x.csv", "events/(comments)"),
        ("x.parquet", "events/(metadata)"),
    ):
        assert [p.name for p in open_dataset(f"{tmp_path}/{name}:events").left_out] == [
            part
        ]
        assert_alike_with_its_tables(tmp_path / name)


def test_parts_keep_their_names_where_tables_are_renamed():
    dataset = Dataset(
        "f",
        dict(open_dataset({"x": [1.0]}).tables),
        refused={"/lumi": "one", "events/y": "two"},
    )
    assert dataset.renamed("t").refused == {"/lumi": "one", "t/y": "two"}


def test_groups_without_datasets_come_back(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/x"], file["u/long"], file["u/short"] = (
            np.arange(3.0),
            np.arange(4.0),
            np.arange(2.0),
        )
        file.create_group("meta/run").attrs["period"] = "B"
        file.create_group("empty")
        (
            file["a"].attrs["k"],
            file["u/long"].attrs["unit"],
            file["u/short"].attrs["unit"],
        ) = (
            1,
            "GeV",
            "rad",
        )
    assert_same_file(tmp_path / "x.h5", back(tmp_path / "x.h5"))
    write_dataset(open_dataset(f"{tmp_path}/x.h5:u/short"), tmp_path / "y.h5")
    with h5py.File(tmp_path / "y.h5") as file:
        assert file["u/short"].attrs["unit"] == "rad"


def test_groups_that_have_no_place_are_named_as_left_out(tmp_path):
    write_dataset(open_dataset({"x": [1.0, 2.0]}), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file.create_group("meta").attrs["period"] = "B"
    dataset = open_dataset(tmp_path / "x.h5")
    assert [part.name for part in dataset.left_out] == ["/meta@period"]


# numbers and memory


@pytest.mark.parametrize(
    ("cells", "is_text"),
    [
        (["9007199254740993", "0.5"], True),
        (["9007199254740993.0", "0.5"], True),
        (["9007199254740993", ""], True),
        (["1e400", "0.5"], True),
        (["-1e-400", "0.5"], True),
        (["1" * 400, "0.5"], True),
        (["9007199254740992", "0.5"], False),
        (["-1e300", "1e22", "0.0", "0e5", "-inf", "Infinity", "nan", ""], False),
    ],
)
def test_numbers_that_float64_would_change_stay_text(tmp_path, cells, is_text):
    path = text_file(tmp_path, "x,i\n" + "".join(f"{cell},1\n" for cell in cells))
    table = read_all(open_dataset(path).tables["events"])
    assert table.column("x").dtype == ("opaque" if is_text else "float64")
    if is_text:
        assert table["x"].tolist() == cells
        assert back(path).read_text() == path.read_text()


def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    pq.write_table(pa.table({"x": [1.0], "s": ["a"]}), tmp_path / "x.parquet")
    table = open_dataset(tmp_path / "x.parquet").tables["events"]

    def lacking(self, *arguments, **options):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", lacking)
    with pytest.raises(MemoryError, match="malloc of size 64 failed"):
        read_all(table)
    monkeypatch.setattr(pq.ParquetFile, "__init__", lacking)
    with pytest.raises(MemoryError, match="malloc of size 64 failed"):
        open_dataset(tmp_path / "x.parquet")
    monkeypatch.undo()
    monkeypatch.setattr(pq.ParquetWriter, "__init__", lacking)
    with pytest.raises(MemoryError, match="malloc of size 64 failed"):
        write_dataset(open_dataset({"s": ["a"]}), tmp_path / "y.parquet")


# other formats than the input's


def from_root() -> Dataset:
    """A table as the reader of ROOT files hands it out, with what only ROOT files say."""
    made = read_all(
        open_dataset({"x": np.zeros(2, "f4"), "p_a": [1.0, 2.0]}).tables["events"]
    )
    titled = [replace(c, title="in GeV") if c.name == "x" else c for c in made.columns]
    storage = {
        "title": "from run B",
        "aliases": {"twice": "2*x"},
        "records": {"p": {"record": [["a", "p_a"]]}},
        "renamed": {"x": "x."},
        "weight": 2.5,
    }
    return Dataset(
        "f",
        {"events": Table("events", tuple(titled), 2, made.data)},
        storage={"events": storage},
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".h5", ".npz"])
def test_changes_in_another_format_are_said(tmp_path, suffix):
    result = write_dataset(from_root(), tmp_path / f"x{suffix}")
    said = " | ".join(result.changes)
    assert "events: its title 'from run B' is not written" in said
    assert "aliases twice: not written" in said
    assert "the weight 2.5: not written" in said
    assert "p: a record -> columns p_a" in said
    assert "x: another name for 'x.'" in said
    assert ("titles of x are not written: text has none" in said) == (suffix == ".csv")
    assert ("x: float32, read back from text as float64" in said) == (suffix == ".csv")
    assert result.renamed == {"events/x.": ("x",)}


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".npz"])
def test_nothing_is_said_where_all_is_written(tmp_path, suffix):
    for step in ("x", "y"):
        dataset = open_dataset(
            {"x": [1.0, 2.0], "l": [[1], []]} if step == "x" else tmp_path / f"x{suffix}"
        )
        assert write_dataset(dataset, tmp_path / f"{step}{suffix}").changes == ()


def test_names_and_lengths_are_said_where_the_format_is_another(tmp_path):
    pq.write_table(
        pa.Table.from_pylist([{"a": {"b": 1}, "a_b": 5, "l": [1, 2]}]),
        tmp_path / "x.parquet",
    )
    dataset = open_dataset(tmp_path / "x.parquet")
    assert write_dataset(dataset, tmp_path / "y.parquet").changes == ()
    for suffix in (".h5", ".npz"):
        result = write_dataset(dataset, tmp_path / f"y{suffix}")
        assert result.changes == (
            "events: n(l): lengths of lists, written as columns of their own",
            "events: a_b_2: another name for 'a_b'",
        )
        assert result.renamed == {"events/a_b": ("a_b_2",)}


def test_columns_of_one_name_and_different_members_are_not_chained(tmp_path):
    for number, event in enumerate(
        ({"a": {"b": 1}, "a_b": 5}, {"a_b": 5, "a": {"b": 1}})
    ):
        pq.write_table(pa.Table.from_pylist([event]), tmp_path / f"{number}.parquet")
    with pytest.raises(
        InvalidArgument,
        match=r"1.parquet: table 'events': column 'a_b_2' is another member than in the first",
    ):
        open_dataset([tmp_path / "0.parquet", tmp_path / "1.parquet"])


def test_a_locked_file_is_not_to_be_fetched_again(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(3.0)
    with open(tmp_path / "x.h5", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(
            InvalidArgument,
            match=r"x.h5: cannot be read \(Resource temporarily unavailable\); check the disk",
        ):
            open_dataset(tmp_path / "x.h5")


class _BadDisk(BytesIO):
    """A file of which the first half cannot be read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() < len(self.getbuffer()) // 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


class _BadDisks(fsspec.AbstractFileSystem):
    protocol = "baddisk"

    def open(self, path: str, mode: str = "rb", **options: Any) -> _BadDisk:
        return _BadDisk(Path(self._strip_protocol(path)).read_bytes())

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        size = Path(self._strip_protocol(path)).stat().st_size
        return {"name": path, "type": "file", "size": size}


def test_a_disk_that_fails_is_not_taken_for_damage(tmp_path):
    values = np.random.default_rng(1).normal(size=5000)
    write_dataset(open_dataset({"x": values}), tmp_path / "x.parquet")
    fsspec.register_implementation("baddisk", _BadDisks, clobber=True)
    with pytest.raises(
        InvalidArgument,
        match=r"x.parquet: cannot be read \(Input/output error\); check the disk",
    ):
        read_all(open_dataset(f"baddisk://{tmp_path}/x.parquet").tables["events"])


@pytest.mark.parametrize(
    ("signature", "is_ours"),
    [
        (b"TREE", False),
        (b"HEAP", False),
        (b"SNOD", False),
        (b"OHDR", True),
        (b"FHDB", True),
    ],
)
def test_damaged_groups_of_hdf5_are_one_line(
    tmp_path: Path, signature: bytes, is_ours: bool
) -> None:
    path = tmp_path / "x.h5"
    if is_ours:
        columns = {f"column{k}": np.arange(9.0) for k in range(20)}
        write_dataset(open_dataset(columns), path, WriteOptions())
    else:
        with h5py.File(path, "w") as file:
            file["g/x"], file["y"] = np.arange(9), np.arange(9)
    content = path.read_bytes()
    places = [k for k in range(len(content)) if content.startswith(signature, k)]
    refused = []
    for place in places:
        path.write_bytes(content[:place] + bytes(4) + content[place + 4 :])
        try:
            open_dataset(path)
        except (Corrupt, InvalidArgument) as error:
            refused.append(str(error))
    assert refused
    assert all(text.startswith(f"{path}: ") and "\n" not in text for text in refused)


@pytest.mark.parametrize("text", ["{", "[]", "{}", None])
def test_damaged_schema_in_hdf5_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "x.h5"
    write_dataset(open_dataset({"x": np.arange(9.0)}), path, WriteOptions())
    with h5py.File(path, "r+") as file:
        attributes = file["events/x"].attrs
        del attributes["column"]
        if text is not None:
            attributes["column"] = text
    with pytest.raises(
        Corrupt, match=r"x\.h5: its groups or their attributes are damaged \("
    ):
        open_dataset(path)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(6, 100), (8, 1), (8, 32), (10, 97), (10, 14)],
    ids=["later version", "encrypted", "patched", "unknown method", "not LZMA"],
)
def test_zip_members_that_do_not_unpack_are_one_line(
    tmp_path: Path, offset: int, value: int
) -> None:
    """Bytes of the version, the flags and the method of the first member, in both its headers."""
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(9.0), y=np.arange(9.0))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + offset] = value
    content[offset - 2] = value
    path.write_bytes(content)
    with pytest.raises(
        InvalidArgument, match=r"x\.npz: is an npz file that is damaged"
    ) as found:
        open_dataset(path)
    assert "\n" not in str(found.value)


def test_lists_of_parquet_are_scanned_some_row_groups_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else opening a file takes memory for a whole column."""
    counts = np.arange(400_000) % 3
    lists = pa.ListArray.from_arrays(
        np.append(0, np.cumsum(counts)).astype("i4"), np.ones(counts.sum(), "f4")
    )
    pq.write_table(pa.table({"a": lists, "b": lists}), tmp_path / "x.parquet", 50_000)
    fetched: list[int] = []
    plain = ParquetTable._fetch

    def fetch(table: ParquetTable, fields: list[str], start: int, stop: int) -> Any:
        fetched.append(stop - start)
        return plain(table, fields, start, stop)

    monkeypatch.setattr(ParquetTable, "_fetch", fetch)
    dataset = open_dataset(tmp_path / "x.parquet")
    assert fetched == [100_000] * 8
    assert [c.name for c in dataset.tables["events"].columns] == ["n(a)", "a", "b"]
