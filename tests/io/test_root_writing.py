"""ROOT files written: any object bit for bit, any name, RNTuples, and what is said of all that is
not as it was.
"""

from __future__ import annotations

import datetime as dt
import io
import threading
import tomllib
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pytest
import uproot

from flowtuple.data.awkward import same_values
from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, LeftOut, Table, difference, read_all
from flowtuple.errors import Corrupt, Refused, Unsupported
from flowtuple.io import npz, source
from flowtuple.io.root import open_dataset
from flowtuple.io.root_changes import root_changes
from flowtuple.io.root_header import tree_header
from flowtuple.io.root_objects import _no_time
from flowtuple.io.root_private import KNOWN
from flowtuple.io.root_rntuple import NTupleWriter
from flowtuple.io.root_streamers import built_in
from flowtuple.io.root_ttree import type_changes
from flowtuple.io.root_types import set_types
from flowtuple.io.root_writer import root_outlook, write_dataset
from flowtuple.io.source import ReadOptions, WriteOptions, WriteResult


def opened(path: Path) -> Dataset:
    return open_dataset(str(path), ReadOptions())


def rewritten(dataset: Dataset, path: Path, **options: object) -> Dataset:
    write_dataset(dataset, path, WriteOptions(**options))  # type: ignore[arg-type]
    return opened(path)


def written(
    table: Table, path: Path, storage: dict[str, object] | None = None, **options: object
) -> WriteResult:
    dataset = Dataset(
        "memory", {table.name: table}, storage={table.name: storage} if storage else {}
    )
    return write_dataset(dataset, path, WriteOptions(**options))  # type: ignore[arg-type]


def of_one(name: str, values: object) -> Table:
    return table_from_awkward("t", ak.Array({name: values}))


def put(
    file: uproot.WritableDirectory, name: str, classname: str, title: str, content: bytes
) -> None:
    """Write the bytes of an object of any class."""
    file._cascading.add_object(
        file.file.sink, classname, name, title, content, len(content)
    )


def content_of(file: uproot.ReadOnlyDirectory, key: str) -> bytes:
    chunk, cursor = file.key(key).get_uncompressed_chunk_cursor()
    return bytes(chunk.remainder(cursor.index, cursor, {}))


class TestObjects:
    CONTENTS: ClassVar = {
        "stdstring": ("string", "", b"\x09hello std"),
        "parameter": (
            "TParameter<double>",
            "",
            b"@\x00\x00\x18\x00\x02\x00\x01" + bytes(16) + b"\x40\x0a",
        ),
        "unknown": (
            "Our::Histogram",
            "of a class that uproot knows nothing of",
            bytes(range(256)) * 40,
        ),
        "empty": ("map<string,int>", "", b""),
    }

    @pytest.mark.parametrize("compression", ["none", "LZMA:9"])
    def test_any_class_comes_back_bit_for_bit(
        self, tmp_path: Path, compression: str
    ) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            for name, (classname, title, content) in self.CONTENTS.items():
                put(file.mkdir("dir/sub"), name, classname, title, content)
        first = opened(tmp_path / "a.root")
        assert first.refused == {}
        assert set(first.carried) == {f"dir/sub/{name}" for name in self.CONTENTS}
        second = rewritten(first, tmp_path / "b.root", compression=compression)
        assert second.carried == first.carried
        with uproot.open(tmp_path / "b.root") as file:
            for name, (classname, title, content) in self.CONTENTS.items():
                key = file.key(f"dir/sub/{name}")
                assert (key.fClassName, key.fTitle) == (classname, title)
                assert content_of(file, f"dir/sub/{name}") == content

    def test_descriptions_of_classes_travel_along(self, tmp_path: Path) -> None:
        tagged = b"@\x00\x00\x30\xff\xff\xff\xffTLeafO\x00" + bytes(20)
        with uproot.recreate(tmp_path / "a.root") as file:
            put(file, "list", "TList", "", tagged)
        with uproot.open(
            io.BytesIO(opened(tmp_path / "a.root").carried["list"])
        ) as small:
            assert small.file.streamers == {}  # uproot brings that of TLeafO itself
        rewritten(opened(tmp_path / "a.root"), tmp_path / "b.root")
        with uproot.open(tmp_path / "b.root") as file:
            assert {"TLeafO", "TLeaf", "TNamed", "TObject"} <= file.file.streamers.keys()

    def test_keys_come_in_the_order_of_tables_and_objects(self, tmp_path: Path) -> None:
        table = Table("t", (Column("x", "int32"),), 3, {"x": np.arange(3, dtype="int32")})
        with uproot.recreate(tmp_path / "a.root") as file:
            file["h"] = np.histogram([0.5, 1.5], bins=3, range=(0, 3))
        carried = opened(tmp_path / "a.root").carried
        rewritten(Dataset("m", {"t": table}, carried), tmp_path / "b.root")
        with uproot.open(tmp_path / "b.root") as file:
            assert file.keys(cycle=False) == ["t", "h"]
            assert file["h"].values().tolist() == [1, 1, 0]
            assert file["t/x"].array().tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        ("classname", "content"),
        [
            ("TList", b"\xff\xff\xff\xffTNtuple\x00..."),
            ("TBranchElement", b"..."),
            ("TDirectoryFile2", b"\xff\xff\xff\xffTBasket\x00..."),
        ],
    )
    def test_what_points_elsewhere_is_refused(
        self, tmp_path: Path, classname: str, content: bytes
    ) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            put(file, "x", classname, "", content)
        assert opened(tmp_path / "a.root").refused == {
            "x": f"{classname}: it points to other parts of its file"
        }

    def test_equal_objects_give_equal_bytes(self, tmp_path: Path) -> None:
        for name, compression in (("a", None), ("b", uproot.ZLIB(9))):
            with uproot.recreate(
                tmp_path / f"{name}.root", compression=compression
            ) as file:
                file["other" + name] = "noise"
                put(file, "x", "TProfile", "", b"\xff\xff\xff\xffTAxis\x00" * 99)
        assert (
            opened(tmp_path / "a.root").carried["x"]
            == opened(tmp_path / "b.root").carried["x"]
        )

    def test_an_object_that_uproot_cannot_make_is_read_as_before(
        self, tmp_path: Path
    ) -> None:
        version = max(built_in()["TH1D"])
        assert version == 3
        with uproot.recreate(tmp_path / "a.root") as file:
            file["h"] = np.histogram(np.arange(9.0), bins=4)
        second = rewritten(
            rewritten(opened(tmp_path / "a.root"), tmp_path / "b.root"),
            tmp_path / "c.root",
        )
        assert second.carried == opened(tmp_path / "a.root").carried
        with (
            uproot.open(tmp_path / "a.root") as one,
            uproot.open(tmp_path / "c.root") as two,
        ):
            assert one["h"].all_members["fTitle"] == two["h"].all_members["fTitle"]
            assert content_of(one, "h") == content_of(two, "h")

    def test_damaged_bytes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            Corrupt,
            match="the carried object 'h' is damaged; restore the file from a copy",
        ):
            write_dataset(
                Dataset("m", {}, {"h": b"root"}), tmp_path / "a.root", WriteOptions()
            )


class TestTrees:
    KINDS: ClassVar = {
        "x": "f4",
        "v": "var * float64",
        "b": "bool",
        "u1": "u1",
        "i8": "i8",
        "u8": "u8",
        "s": "string",
    }

    @pytest.mark.parametrize("name", ["t", "dir/" + "n" * 300])
    def test_the_header_is_that_of_uproot(self, name: str) -> None:
        kinds = {
            **self.KINDS,
            "fix": np.dtype(("f4", (2, 3))),
            "L" * 300: "i2",
            "\u00e9": "var * bool",
        }
        with uproot.recreate(io.BytesIO()) as file:
            cascade = file.mktree(name, kinds, title="a title")._cascading
            theirs = b"".join(cascade._build_out()), positions(cascade)
            assert (b"".join(tree_header(cascade, {})), positions(cascade)) == theirs

    NAMES: ClassVar = [
        "w[2]",
        "x[2][3]",
        "[5]",
        "w_2_",
        "a[n]",
        "a b",
        "a/b",
        "A.b",
        "a;1",
        "W[2]",
        "L[1]" * 80,
    ]

    def test_any_name_comes_back(self, tmp_path: Path) -> None:
        columns = [Column(name, "float32") for name in self.NAMES]
        data = {
            name: np.arange(4, dtype="float32") + k for k, name in enumerate(self.NAMES)
        }
        columns += [
            Column("n", "int32", "counter"),
            Column("v[2]", "float64", counter="n"),
            Column("f[7]", "int16", shape=(2, 3)),
        ]
        data |= {
            "n": np.array([1, 0, 2, 0], "int32"),
            "v[2]": np.arange(3.0),
            "f[7]": np.arange(24, dtype="int16").reshape(4, 2, 3),
        }
        table = Table("t", tuple(columns), 4, data)
        assert written(table, tmp_path / "a.root", step=3).changes == ()
        assert difference(table, read_all(opened(tmp_path / "a.root").table("t"))) is None
        with uproot.open(tmp_path / "a.root") as file:
            for branch in file["t"].branches:
                values = ak.to_numpy(ak.flatten(branch.array(), axis=None))
                assert np.array_equal(values, data[branch.name].reshape(-1))
                leaf = branch.member("fLeaves")[0]
                assert leaf.member("fName") == branch.name  # by which ROOT looks for it

    def test_a_counter_in_brackets_is_renamed_and_said(self, tmp_path: Path) -> None:
        columns = (
            Column("n[1]", "int64", "counter"),
            Column("x", "int8", counter="n[1]"),
            Column("n_1_", "int8"),
        )
        data = {
            "n[1]": np.array([1, 2]),
            "x": np.arange(3, dtype="int8"),
            "n_1_": np.zeros(2, "int8"),
        }
        result = written(Table("t", columns, 2, data), tmp_path / "a.root")
        assert result.changes == (
            "t: n[1] -> branch n_1__: ROOT finds no counter by a name in brackets",
        )
        back = read_all(opened(tmp_path / "a.root").table("t"))
        assert [c.name for c in back.columns] == ["n_1__", "x", "n_1_"]
        assert back.column("x").counter == "n_1__"

    def test_hidden_counters_of_names_in_brackets(self, tmp_path: Path) -> None:
        table = of_one("w[2]", [[1.0], [], [2.0, 3.0]])
        written(table, tmp_path / "a.root")
        back = read_all(opened(tmp_path / "a.root").table("t"))
        assert [c.name for c in back.columns] == ["nw_2_", "w[2]"]
        assert back["w[2]"].tolist() == [1.0, 2.0, 3.0]

    def test_title_and_aliases(self, tmp_path: Path) -> None:
        aliases = {"y": "2*x", "long" * 80: "x + " * 90 + "1"}
        table = of_one("x", [1, 2, 3])
        result = written(
            table,
            tmp_path / "a.root",
            {"title": "the tree's title", "aliases": aliases},
            step=2,
        )
        assert result.changes == ()
        with uproot.open(tmp_path / "a.root", minimal_ttree_metadata=False) as file:
            assert file["t"].title == "the tree's title"
            assert file["t"].aliases == aliases
            assert file["t/x"].array().tolist() == [1, 2, 3]

    @pytest.mark.slow
    def test_many_branches(self, tmp_path: Path) -> None:
        columns = tuple(Column(f"c{k}", "uint8") for k in range(1500))
        table = Table(
            "t",
            columns,
            2,
            {c.name: np.array([k % 256, 7], "uint8") for k, c in enumerate(columns)},
        )
        written(table, tmp_path / "a.root", step=1)
        with uproot.open(tmp_path / "a.root") as file:
            arrays = file["t"].arrays(library="np")
        assert all(np.array_equal(arrays[name], table[name]) for name in table.data)


def positions(cascade: object) -> list[object]:
    """Places in the header at which uproot writes numbers later."""
    names = ("metadata_start", "basket_metadata_start", "tleaf_reference_number")
    return [
        cascade._metadata_start,
        *([d[n] for n in names] for d in cascade._branch_data),
    ]  # type: ignore[attr-defined]


DEEP = {
    "lists of lists": ak.Array([[[1], [2, 3]], [], [[]], [[4]]]),
    "lists of strings": ak.Array([["a", ""], [], ["\u00e9"], []]),
    "missing numbers": ak.Array([1, None, 3, None]),
    "missing in lists": ak.Array([[1.5, None], [], [None], [2.5]]),
    "missing strings": ak.Array([None, "a", "", None]),
    "missing lists": ak.Array([None, [1], [], [None, 2]]),
    "records in nested lists": ak.Array(
        [[[{"p": 1.0, "q": "z"}]], [], [[]], [[{"p": 3.0, "q": "y"}]]]
    ),
    "tuples in nested lists": ak.Array([[[(1, 2.5)]], [], [[]], [[(3, 4.5)]]]),
    "blocks in nested lists": ak.Array(
        [
            [ak.to_regular(np.zeros((2, 3), "float32"))],
            [],
            [],
            [np.ones((1, 3), "float32")],
        ]
    ),
    "flags in nested lists": ak.Array([[[True], [False, True]], [], [[]], [[False]]]),
}


class TestNTuples:
    @pytest.mark.parametrize("kind", DEEP)
    @pytest.mark.parametrize("step", [1, 3, 100])
    def test_deep_types_make_an_ntuple_which_is_said(
        self, tmp_path: Path, kind: str, step: int
    ) -> None:
        values = DEEP[kind]
        table = table_from_awkward(
            "t", ak.zip({"x": [1, 2, 3, 4], "deep": values}, depth_limit=1)
        )
        result = written(table, tmp_path / "a.root", step=step)
        assert result.left_out == ()
        assert result.changes[0].startswith(
            "t: written as an RNTuple, because no branch of a TTree holds deep ("
        )
        with uproot.open(tmp_path / "a.root") as file:
            assert file.classnames() == {"t;1": "ROOT::RNTuple"}
            assert same_values(file["t"].arrays()["deep"], values)
            assert file["t"].arrays()["x"].tolist() == [1, 2, 3, 4]
        back = read_all(opened(tmp_path / "a.root").table("t"))
        assert same_values(back["deep"], table["deep"])

    def test_a_file_whose_lists_are_all_empty_has_the_type_of_the_others(
        self, tmp_path: Path
    ) -> None:
        for name, values in (("a", [[]]), ("b", [[[1.5]]])):
            table = table_from_awkward("t", ak.Array({"deep": values}))
            npz.write_dataset(
                Dataset("m", {"t": table}), tmp_path / f"{name}.npz", WriteOptions()
            )
        chained = source.open_dataset([tmp_path / "a.npz", tmp_path / "b.npz"])
        written(chained.table("t"), tmp_path / "c.root", step=1)
        back = read_all(opened(tmp_path / "c.root").table("t"))
        assert back["deep"].tolist() == [[], [[1.5]]]

    @pytest.mark.parametrize(
        "dtype", ["bool", "int8", "uint16", "int32", "uint64", "float32", "float64"]
    )
    @pytest.mark.parametrize("compression", ["none", "LZMA:9", "LZ4:1"])
    def test_numbers_in_every_place(
        self, tmp_path: Path, dtype: str, compression: str
    ) -> None:
        if dtype == "bool":
            values = np.array([True, False, True, True])
        elif dtype.startswith("f"):
            values = np.array(
                [-0.0, np.nan, np.inf, np.finfo(dtype).smallest_subnormal], dtype
            )
        else:
            values = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1], dtype)
        columns = (
            Column("x", dtype),
            Column("n(v)", "int64", "counter", hidden=True),
            Column("v", dtype, counter="n(v)"),
        )
        columns += (Column("box", dtype, shape=(2, 3)),)
        data = {
            "x": values,
            "n(v)": np.array([1, 0, 2, 1]),
            "v": values,
            "box": np.resize(values, (4, 2, 3)),
        }
        table = Table("dir/t", columns, 4, data)
        assert (
            written(
                table,
                tmp_path / "a.root",
                {"kind": "rntuple"},
                compression=compression,
                step=3,
            ).changes
            == ()
        )
        back = opened(tmp_path / "a.root").table("dir/t")
        assert back.columns == table.columns
        assert difference(table, read_all(back)) is None

    def test_the_kind_comes_back_or_is_chosen(self, tmp_path: Path) -> None:
        table = of_one("x", [1, 2])
        for storage, container, expected in [
            ({}, None, "TTree"),
            ({"kind": "rntuple"}, None, "ROOT::RNTuple"),
            ({"kind": "rntuple"}, "ttree", "TTree"),
            ({}, "rntuple", "ROOT::RNTuple"),
        ]:
            assert (
                written(table, tmp_path / "a.root", storage, container=container)
                == WriteResult()
            )
            with uproot.open(tmp_path / "a.root") as file:
                assert file.classnames() == {"t;1": expected}

    def test_a_tree_that_was_asked_for_is_refused_by_name(self, tmp_path: Path) -> None:
        table = table_from_awkward(
            "t", ak.zip({"x": [1, 2], "deep": [[[1]], []]}, depth_limit=1)
        )
        with pytest.raises(
            Refused,
            match=r"cannot write t/deep as a branch: .* holds var \* var \* int64; `drop=`",
        ):
            written(table, tmp_path / "a.root", container="ttree")
        result = written(table, tmp_path / "a.root", container="ttree", drop=True)
        assert result.left_out == (
            LeftOut("t/deep", "no branch of a tree holds var * var * int64"),
        )
        assert [c.name for c in opened(tmp_path / "a.root").table("t").columns] == ["x"]

    def test_titles(self, tmp_path: Path) -> None:
        table = table_from_awkward(
            "t",
            ak.Array({"x": [1, 2], "v": [[[1]], []]}),
            titles={"x": "the x", "v": "v in GeV"},
        )
        written(table, tmp_path / "a.root", {"title": "the whole"})
        back = opened(tmp_path / "a.root").table("t")
        assert {c.name: c.title for c in back.columns} == {"x": "the x", "v": "v in GeV"}
        with uproot.open(tmp_path / "a.root") as file:
            assert file["t"].header.ntuple_description == "the whole"

    def test_dotted_names_are_members_and_others_are_renamed(
        self, tmp_path: Path
    ) -> None:
        names = [
            "Jets.pt",
            "Jets.Aux.m",
            "plain",
            "plain.x",
            "a b",
            "a_b",
            "w[2]",
            ".dot",
            "Jets",
        ]
        columns = tuple(Column(name, "int32") for name in names)
        table = Table(
            "t",
            columns,
            2,
            {name: np.array([k, 9], "int32") for k, name in enumerate(names)},
        )
        result = written(table, tmp_path / "a.root", container="rntuple")
        fields = [
            "Jets.pt",
            "Jets.Aux.m",
            "plain_",
            "plain.x",
            "a_b_",
            "a_b",
            "w[2]",
            "_dot",
            "Jets_",
        ]
        renamed = [
            (name, field)
            for name, field in zip(names, fields, strict=True)
            if name != field
        ]
        assert result.changes == tuple(
            f"t: {name} -> field {field}" for name, field in renamed
        )
        assert result.renamed == {f"t/{name}": (field,) for name, field in renamed}
        with uproot.open(tmp_path / "a.root") as file:
            assert set(fields) <= set(file["t"].keys())
            events = file["t"].arrays()
        values = [
            reduce(lambda part, key: part[key], field.split("."), events)[0]
            for field in fields
        ]
        assert values == list(range(9))
        without = Table("t", columns[:8], 2, table.data)
        written(without, tmp_path / "a.root", container="rntuple")
        with uproot.open(tmp_path / "a.root") as file:
            assert {"Jets.pt", "Jets.Aux.m"} <= set(file["t"].keys())
            assert file["t"].arrays()["Jets"].tolist() == [
                {"pt": 0, "Aux": {"m": 1}},
                {"pt": 9, "Aux": {"m": 9}},
            ]

    def test_types_are_those_of_all_events(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flowtuple.io.root_forms._SCAN", 1)
        values = ak.Array([[[]], [[1]], [[None]], [[2, None]]])
        written(of_one("v", values), tmp_path / "a.root", step=1)
        with uproot.open(tmp_path / "a.root") as file:
            assert same_values(file["t"].arrays()["v"], values)

    def test_without_events(self, tmp_path: Path) -> None:
        table = of_one("v", ak.Array([[[1.5]]])[:0])
        written(table, tmp_path / "a.root")
        back = opened(tmp_path / "a.root").table("t")
        assert back.num_entries == 0
        assert str(read_all(back)["v"].type) == "0 * var * var * float64"

    def test_a_type_that_no_value_tells(self, tmp_path: Path) -> None:
        result = written(of_one("v", [[], []]), tmp_path / "a.root", container="rntuple")
        assert result.changes == ("t: v: no value tells its type -> float64",)
        with uproot.open(tmp_path / "a.root") as file:
            assert file["t"].arrays()["v"].tolist() == [[], []]

    def test_marks_of_awkward_are_left_off_and_said(self, tmp_path: Path) -> None:
        bits = ak.with_parameter(
            ak.Array([[True, False], [False, False]]), "__array__", "bitset"
        )
        table = Table("t", (Column("bits", "opaque"),), 2, {"bits": bits})
        result = written(table, tmp_path / "a.root")
        assert result.changes[1:] == ("t: bits: bitset -> var * bool",)
        with uproot.open(tmp_path / "a.root") as file:
            assert file["t"].arrays()["bits"].tolist() == [[True, False], [False, False]]

    def test_arrays_of_records_become_lists_for_root(self, tmp_path: Path) -> None:
        pairs = ak.to_regular(
            ak.Array([[[{"p": 1.5}, {"p": 2.5}]], [], [[{"p": 3.5}, {"p": 4.5}]]]), axis=2
        )
        result = written(
            Table("t", (Column("c", "opaque"),), 3, {"c": pairs}), tmp_path / "a.root"
        )
        assert result.changes[1:] == (
            "t: c: var * 2 * {p: float64} -> var * var * {p: float64}",
        )
        with uproot.open(tmp_path / "a.root") as file:
            assert file["t"].arrays()["c"].tolist() == pairs.tolist()

    def test_a_file_with_trees_ntuples_and_objects(self, tmp_path: Path) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            file["d/h"] = np.histogram([0.5, 1.5], bins=3, range=(0, 3))
        tables = {
            name: table_from_awkward(name, ak.Array({"x": np.arange(5) + k}))
            for k, name in enumerate(("d/a", "d/b", "c"))
        }
        dataset = Dataset(
            "m",
            dict(tables),
            opened(tmp_path / "a.root").carried,
            storage={"d/b": {"kind": "rntuple"}},
        )
        back = rewritten(dataset, tmp_path / "b.root", step=2)
        assert list(back.tables) == ["d/a", "d/b", "c"]
        assert back.carried == dataset.carried
        assert all(
            difference(table, read_all(back.table(name))) is None
            for name, table in tables.items()
        )


class TestSaid:
    def test_what_no_root_file_will_hold_is_said_beforehand(self, tmp_path: Path) -> None:
        unions, records = ak.Array([1, "a", 2.5]), ak.Array([None, {"p": 1}, {"p": 2}])
        columns = (
            Column("x", "int64"),
            Column("half", "float16"),
            Column("none", "int8", shape=(0,)),
        )
        columns += (
            Column("either", "opaque"),
            Column("gone", "opaque"),
            Column("deep", "opaque"),
        )
        data = {
            "x": np.arange(3),
            "half": np.zeros(3, "float16"),
            "none": np.zeros((3, 0), "int8"),
        }
        data |= {"either": unions, "gone": records, "deep": ak.Array([[[1]], [], []])}
        table = Table("t", columns, 3, data)
        kind, sentence = root_outlook(Dataset("m", {"t": table}))[1]
        assert (
            kind
            == "tree 't' will come back as an RNTuple: no branch of a TTree holds deep (var * var * int64)"
        )
        assert sentence.startswith("no ROOT file will hold 3 parts: ")
        assert sentence.endswith("; decompress to .npz, which holds everything")
        result = written(table, tmp_path / "a.root", drop=True)
        assert [part.name for part in result.left_out] == ["t/none", "t/either", "t/gone"]
        assert all(
            part.name in sentence and part.reason in sentence for part in result.left_out
        )
        with pytest.raises(
            Refused,
            match=r"cannot write 3 parts to a ROOT file: .*`drop=` leaves .*x\.npz holds everything",
        ):
            written(table, tmp_path / "b.root")
        assert not (tmp_path / "b.root").exists()

    def test_nothing_is_said_where_all_fits(self) -> None:
        array = ak.zip(
            {"x": [1, 2], "deep": [[["a"]], []], "maybe": [None, 1]}, depth_limit=1
        )
        table = table_from_awkward("t", array)
        assert (
            root_outlook(Dataset("m", {"t": table}, storage={"t": {"kind": "rntuple"}}))[
                1
            ]
            == ()
        )
        (kind,) = root_outlook(Dataset("m", {"t": table}))[1]
        assert kind.startswith(
            "tree 't' will come back as an RNTuple: no branch of a TTree holds deep"
        )

    @pytest.mark.parametrize(
        ("stored", "change"),
        [
            (
                {
                    "kind": "rntuple",
                    "types": {"n": "ROOT::RNTupleCardinality<std::uint32_t>"},
                },
                "types of C++ written otherwise: n (ROOT::RNTupleCardinality<std::uint32_t>)",
            ),
            ({"friends": ["other"]}, "friend trees other: not written to a TTree"),
        ],
    )
    def test_changes_are_those_that_the_output_reports(
        self, stored: dict[str, Any], change: str, tmp_path: Path
    ) -> None:
        table = Table("t", (Column("n", "uint32"),), 1, {"n": np.uint32([1])})
        dataset = Dataset("m", {"t": table}, storage={"t": stored})
        assert root_outlook(dataset)[1] == (f"tree 't' will come back changed: {change}",)
        result = write_dataset(dataset, tmp_path / "a.root", WriteOptions())
        assert result.changes == (f"t: {change}",)

    def test_an_option_without_missing_values_is_no_obstacle(self) -> None:
        idle = ak.mask(ak.Array([{"p": 1}, {"p": 2}]), [True, True])
        table = Table("t", (Column("r", "opaque"),), 2, {"r": idle})
        assert (
            root_outlook(Dataset("m", {"t": table}, storage={"t": {"kind": "rntuple"}}))[
                1
            ]
            == ()
        )

    def test_changes_by_what_the_input_had(self) -> None:
        columns = (
            Column("n(x)", "int64", "counter", hidden=True),
            Column("x", "float32", counter="n(x)"),
            Column("x_", "int8"),
            Column("a b", "int8"),
        )
        stored = {
            "aliases": {"y": "x"},
            "user_info": ["cuts", "lumi"],
            "friends": ["other"],
            "renamed": {"x_": "x"},
        }
        name = "x_: another name for 'x'"

        def not_written(target: str) -> list[str]:
            lists = ["user information cuts, lumi", "friend trees other"]
            return [f"{words}: not written to {target}" for words in lists]

        assert (
            root_changes(columns, {})
            == type_changes(columns)
            == ["n(x): hidden -> branch nx, int32"]
        )
        hidden = "n(x): hidden -> branch nx, int32"
        assert root_changes(columns, stored) == [hidden, name, *not_written("a TTree")]
        assert root_changes(columns, {**stored, "kind": "rntuple"}) == [
            "a b -> field a_b",
            name,
            "aliases y: not written to an RNTuple",
            *not_written("an RNTuple"),
        ]

    def test_an_index_is_named_as_not_written(self) -> None:
        assert root_changes((), {"index": "run, event"}) == [
            "the index run, event: not written to a TTree"
        ]
        said = ["the weight 2.5: not written to an RNTuple"]
        assert root_changes((), {"kind": "rntuple", "weight": 2.5}) == said
        assert root_changes((), {"weight": 2.5}) == []

    def test_the_weight_of_a_tree_comes_back(self, tmp_path: Path) -> None:
        table = table_from_awkward("t", ak.Array({"x": np.arange(5)}))
        dataset = Dataset("m", {"t": table}, storage={"t": {"weight": 2.5}})
        write_dataset(dataset, tmp_path / "a.root", WriteOptions())
        assert open_dataset(str(tmp_path / "a.root"), ReadOptions()).storage == {
            "t": {"weight": 2.5}
        }
        assert read_all(open_dataset(str(tmp_path / "a.root"), ReadOptions()).table("t"))[
            "x"
        ].tolist() == [0, 1, 2, 3, 4]


class TestTypesOfFields:
    """uproot writes some types of C++ under other names; `ROOT` then reads a negative char as a
    number above 127.
    """

    TYPES: ClassVar = {
        "c": "char",
        "b": "std::byte",
        "v": "std::vector<char>",
        "v._0": "char",
        "p": "std::pair<float,std::int32_t>",
        "s": "ROOT::VecOps::RVec<std::set<std::int32_t>>",
        "s._0": "std::set<std::int32_t>",
        "m": "std::map<std::int32_t,double>",
        "m._0": "std::pair<std::int32_t,double>",
        "u": "std::unique_ptr<float>",
    }

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        numbers = ak.Array([[1, 2], [], [3]])
        floats = ak.values_astype(numbers, np.float32)
        pairs = ak.zip(
            (ak.values_astype(numbers, np.int32), ak.values_astype(numbers, np.float64))
        )
        values = {
            "c": np.array([1, 200, 255], np.uint8),
            "b": np.array([7, 8, 9], np.uint8),
            "v": ak.values_astype(numbers, np.uint8),
            "p": ak.zip((np.arange(3, dtype=np.float32), np.arange(3, dtype=np.int32))),
            "s": ak.values_astype(ak.Array([[[1], [2, 3]], [], [[]]]), np.int32),
            "m": pairs,
            "u": floats,
            "x": np.array([1.5, 2.5, 3.5]),
        }
        array = ak.Array(values)
        with uproot.recreate(tmp_path / "a.root") as file:
            form = ak.to_packed(array).layout.form
            made = file.mkrntuple("t", form, "a title")
            set_types(made, self.TYPES)
            made.extend(array)
        return tmp_path / "a.root"

    def test_they_come_back_with_the_types_of_their_columns(
        self, path: Path, tmp_path: Path
    ) -> None:
        first = opened(path)
        assert first.storage["t"]["types"] == self.TYPES
        result = write_dataset(first, tmp_path / "b.root", WriteOptions())
        assert result.changes == ()
        with uproot.open(path) as before, uproot.open(tmp_path / "b.root") as after:
            assert {f.name: f.typename for f in after["t"].fields} == {
                f.name: f.typename for f in before["t"].fields
            }
            assert after["t"].header.ntuple_description == "a title"
            columns = after["t"].column_records
            assert [column.type for column in columns] == [
                column.type for column in before["t"].column_records
            ]
            assert [column.type for column in columns[:4]] == [
                2,
                1,
                0x0F,
                2,
            ]  # Char, Byte, Index64, Char
            assert same_values(after["t"].arrays(), before["t"].arrays())
        assert opened(tmp_path / "b.root").storage == first.storage

    def test_a_ttree_says_which_it_has_not(self, path: Path, tmp_path: Path) -> None:
        dataset = opened(path)
        result = write_dataset(
            dataset, tmp_path / "b.root", WriteOptions(container="ttree", drop=True)
        )
        said = next(text for text in result.changes if "types of C++" in text)
        assert said.startswith(
            "t: types of C++ written otherwise: c (char), b (std::byte), v (std::vector<char>), "
        )

    def test_what_lies_on_disk_otherwise_is_said(self) -> None:
        columns = [Column(name, "bool", shape=(3,)) for name in ("b", "o", "c")]
        types = {
            "b": "std::bitset<3>",
            "o": "Our::Bits",
            "c": "std::array<char,3>",
            "gone": "std::bitset<4>",
        }
        said = ["types of C++ written otherwise: b (std::bitset<3>), o (Our::Bits)"]
        assert root_changes(columns, {"kind": "rntuple", "types": types}) == said

    def test_a_type_that_the_values_do_not_have_is_not_written(
        self, tmp_path: Path
    ) -> None:
        written(
            of_one("x", [1.5]),
            tmp_path / "a.root",
            {"kind": "rntuple", "types": {"x": "char", "y": "char"}},
        )
        with uproot.open(tmp_path / "a.root") as file:
            assert [field.typename for field in file["t"].fields] == ["double"]


class TestPrivateParts:
    """What uproot does not document may go with its next version."""

    def test_a_tree_names_the_version_that_works(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr("uproot.writing._cascadetree.Tree._relocate")
        with pytest.raises(
            Unsupported,
            match=r"uproot .* has no _cascading\._relocate in .*; .*pip install uproot==",
        ):
            written(of_one("x", [1, 2]), tmp_path / "a.root")

    def test_an_ntuple_names_the_version_that_works(self) -> None:
        table = of_one("x", [1, 2])
        made = SimpleNamespace(_cascading=SimpleNamespace(_footer=SimpleNamespace()))
        file = SimpleNamespace(mkrntuple=lambda *_: made)
        writer = NTupleWriter(table, {}, {"types": {"x": "char"}})
        with pytest.raises(
            Unsupported,
            match=r"has no _cascading\._footer\._header_checksum in .*; .*pip install uproot==",
        ):
            writer.begin(file, 10)

    def test_reading_names_the_version_that_works(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written(of_one("x", [1, 2]), tmp_path / "a.root", container="rntuple")
        monkeypatch.delattr("uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.read_page")
        with pytest.raises(
            Unsupported, match=r"has no read_page in .*; .*pip install uproot=="
        ):
            opened(tmp_path / "a.root")

    def test_the_known_version_is_the_required_one(self) -> None:
        project = Path(__file__).parents[2] / "pyproject.toml"
        needed = tomllib.loads(project.read_text())["project"]["dependencies"]
        assert f"uproot>={KNOWN},<5.8" in needed
        assert any(line.startswith("cramjam") for line in needed)


class TestCarrying:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        with uproot.recreate(tmp_path / "a.root") as file:
            file["note"] = "written on a Monday"
            file.mktree("t", {"x": "int32"}).extend({"x": np.arange(3, dtype="int32")})
        return tmp_path / "a.root"

    @pytest.mark.parametrize(
        "step", ["points_elsewhere", "needed", "is_built_in", "_add"]
    )
    @pytest.mark.parametrize(
        "error", [KeyError("k"), AttributeError("a"), TypeError("t"), ValueError("v")]
    )
    def test_odd_descriptions_refuse_the_object(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(f"flowtuple.io.root_objects.{step}", fail)
        if step == "is_built_in":
            monkeypatch.setattr("flowtuple.io.root_objects.needed", lambda *_: [None])
        dataset = opened(path)
        assert dataset.refused == {
            "note": "TObjString: the descriptions of its classes cannot be used"
        }
        assert list(dataset.tables) == ["t"]

    def test_threads_do_not_disturb_each_other(self) -> None:
        inside = threading.Barrier(2, timeout=0.2)
        years: list[int] = []
        alone: list[bool] = []

        def carry_one() -> None:
            with _no_time():
                years.append(uproot.writing.writable.datetime.datetime.now().year)
                try:
                    inside.wait()
                    alone.append(False)
                except threading.BrokenBarrierError:
                    alone.append(True)

        threads = [threading.Thread(target=carry_one) for _ in range(2)]
        for thread in threads:
            thread.start()
        with _no_time():
            pass
        for thread in threads:
            thread.join()
        assert years == [1995, 1995]
        assert alone == [True, True]
        assert uproot.writing.writable.datetime is dt

    def test_others_have_their_own_time(self) -> None:
        years: list[int] = []

        def write() -> None:
            years.append(uproot.writing.writable.datetime.datetime.now().year)

        with _no_time():
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        assert years[0] > 2000


class TestTreesThatBecomeNTuples:
    """The decision is made when events are compressed, from there on `info` and the output agree."""

    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        import flowtuple as ft

        array = ak.zip({"x": [1, 2], "a b": [3, 4], "deep": [[["a"]], []]}, depth_limit=1)
        stored = {"t": {"aliases": {"y": "x"}}, "u": {}}
        tables = {
            "t": table_from_awkward("t", array),
            "u": table_from_awkward("u", ak.Array({"x": [1]})),
        }
        dataset = Dataset("m", dict(tables), storage=stored, format=".root")
        monkeypatch.setattr("flowtuple.api.compressing.read", lambda *_: dataset)
        result = ft.compress({"x": [1]}, tmp_path / "x.ftup", effort="fast")
        assert result.warnings[0].startswith(
            "tree 't' will come back as an RNTuple: no branch of a TTree holds deep"
        )
        return tmp_path / "x.ftup"

    def test_info_says_so(self, path: Path, tmp_path: Path) -> None:
        import flowtuple as ft

        first, other = ft.info(path)["tables"]
        why = "no branch of a TTree holds deep (var * var * string)"
        kind = f"the tree: it comes back as an RNTuple because {why}; without them as a TTree"
        rest = ["a b -> field a_b", "aliases y: not written to an RNTuple"]
        assert first["root_changes"] == [kind, *rest]
        assert first["root_renamed"] == {"t/a b": ("a_b",)}
        assert other["root_changes"] == []
        result = ft.decompress(path, tmp_path / "out.root")
        assert isinstance(result, ft.Decompressed)
        assert result.changes == tuple(
            f"t: {text}" for text in [f"written as an RNTuple, because {why}", *rest]
        )
        assert result.renamed == first["root_renamed"]
        with uproot.open(tmp_path / "out.root") as file:
            assert file.classnames() == {"t;1": "ROOT::RNTuple", "u;1": "TTree"}

    def test_the_other_columns_are_a_tree(self, path: Path, tmp_path: Path) -> None:
        import flowtuple as ft

        result = ft.decompress(path, tmp_path / "out.root", columns=["x", "a b"])
        assert isinstance(result, ft.Decompressed)
        assert result.changes == ()
        with uproot.open(tmp_path / "out.root") as file:
            assert file["t"].classname == "TTree"
            assert file["t"].aliases == {"y": "x"}

    def test_few_events_do_not_change_it(self, tmp_path: Path) -> None:
        table = of_one("v", ["none is missing"])
        result = written(table, tmp_path / "out.root", {"back": {"v": "?string"}})
        assert result.changes == (
            "t: written as an RNTuple, because no branch of a TTree holds v (?string)",
        )
        assert (
            written(
                table,
                tmp_path / "out.root",
                {"back": {"v": "?string"}},
                container="ttree",
            ).changes
            == ()
        )

    def test_missing_values_that_come_late_count(self) -> None:
        late = ak.Array([[1.5]] * 99 + [[None]])
        idle = ak.mask(ak.Array(["a"] * 99), [True] * 99)
        for values, back in [(late, {"v": "var * ?float64"}), (idle, None)]:
            table = Table("t", (Column("v", "opaque"),), len(values), {"v": values})
            outlook, _ = root_outlook(Dataset("m", {"t": table}, format=".root"))
            assert outlook.storage.get("t", {}).get("back") == back


class TestRecords:
    """Records of an RNTuple come back as records; a TTree has their members as branches, and says
    so.
    """

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        record = ak.Array([{"z": 1.0, "a": 2}, {"z": 3.0, "a": 4}])
        hits = ak.Array([[{"t": 1.5, "q": [1, 2]}], []])
        with uproot.recreate(tmp_path / "in.root") as file:
            file.mkrntuple(
                "t",
                ak.Array(
                    {
                        "p": record,
                        "hits": hits,
                        "n": np.arange(2),
                        "pair": ak.zip((record.z, record.a)),
                    }
                ),
            )
        return tmp_path / "in.root"

    def test_they_come_back(self, path: Path, tmp_path: Path) -> None:
        import flowtuple as ft

        ft.compress(path, tmp_path / "x.ftup", effort="fast")
        result = ft.decompress(tmp_path / "x.ftup", tmp_path / "out.root")
        with uproot.open(path) as one, uproot.open(tmp_path / "out.root") as other:
            before, after = one["t"].arrays(), other["t"].arrays()
        assert str(before.type) == str(after.type)
        assert before.tolist() == after.tolist()
        assert isinstance(result, ft.Decompressed)
        assert result.changes == ()

    def test_some_members_are_a_smaller_record(self, path: Path, tmp_path: Path) -> None:
        import flowtuple as ft

        ft.compress(
            path,
            tmp_path / "x.ftup",
            selection=ft.Selection(exclude=("p_z", "hits_q")),
            effort="fast",
        )
        ft.decompress(tmp_path / "x.ftup", tmp_path / "out.root")
        with uproot.open(tmp_path / "out.root") as file:
            events = file["t"].arrays()
        assert events["p"].tolist() == [{"a": 2}, {"a": 4}]
        assert events["hits"].tolist() == [[{"t": 1.5}], []]

    def test_a_tree_says_that_members_are_branches(
        self, path: Path, tmp_path: Path
    ) -> None:
        import flowtuple as ft
        from flowtuple.io.source import WriteOptions

        ft.compress(
            path,
            tmp_path / "x.ftup",
            selection=ft.Selection(exclude=("hits_q",)),
            effort="fast",
        )
        result = ft.decompress(
            tmp_path / "x.ftup",
            tmp_path / "out.root",
            options=WriteOptions(container="ttree"),
        )
        assert isinstance(result, ft.Decompressed)
        assert "t: p: a record -> branches p_z, p_a" in result.changes


@pytest.mark.parametrize("container", ["ttree", "rntuple"])
def test_half_precision_is_written_as_float32(tmp_path: Path, container: str) -> None:
    """float32 holds every value of half precision."""
    columns = (
        Column("n(v)", "int64", "counter", hidden=True),
        Column("v", "float16", counter="n(v)"),
        Column("h", "float16"),
    )
    data = {
        "n(v)": np.array([2, 0]),
        "v": np.array([0.1, 65504], "float16"),
        "h": np.array([6e-8, np.inf], "float16"),
    }
    result = written(
        Table("t", columns, 2, data), tmp_path / "a.root", container=container
    )
    assert {"t: v: float16 -> float32", "t: h: float16 -> float32"} <= set(result.changes)
    back = read_all(opened(tmp_path / "a.root").table("t"))
    assert back["h"].dtype == back["v"].dtype == np.float32
    assert back["h"].tolist() == data["h"].tolist()
    assert back["v"].tolist() == data["v"].tolist()


def test_a_tree_is_no_folder(tmp_path: Path) -> None:
    tables = {
        name: table_from_awkward(name, ak.Array({"x": np.arange(2)}))
        for name in ("t", "t/u")
    }
    with pytest.raises(
        Unsupported,
        match=r"m: 't' would be a folder, too, for 't/u'; write \.npz, or one of them: FILE:t/u",
    ):
        write_dataset(Dataset("m", dict(tables)), tmp_path / "a.root", WriteOptions())
