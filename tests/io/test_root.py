"""ROOT files in and out: what is read, what comes back, what is refused."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.io.root import open_dataset
from flowtuple.io.root_ttree import type_changes
from flowtuple.io.root_writer import write_dataset
from flowtuple.io.source import ReadOptions, WriteOptions

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data"
SAMPLE_NAMES = [
    "nano_dy",
    "nanoAOD_2015_CMS_Open_Data_ttbar",
    "uproot-HZZ",
    "jets24",
    "qcd_jets",
    "atlas_trigger_jets",
]
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
    "float32",
    "float64",
]


def opened(path: Path) -> Dataset:
    return open_dataset(str(path), ReadOptions())


def rewritten(dataset: Dataset, path: Path, **options: object) -> Dataset:
    write_dataset(dataset, path, WriteOptions(**options))  # type: ignore[arg-type]
    return opened(path)


def of(*tables: Table) -> Dataset:
    return Dataset("memory", {t.name: t for t in tables})


def extreme(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([True, False, True, True])
    if kind == "f":
        return np.array([-0.0, np.nan, np.inf, np.finfo(dtype).smallest_subnormal], dtype)
    return np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1], dtype)


@pytest.fixture
def events() -> Table:
    """Four events: every dtype as scalar, fixed array and counted column, with a uint32 counter and
    titles.
    """
    columns = [Column("nJet", "uint32", "counter", "how many jets")]
    data = {"nJet": np.array([1, 0, 2, 1], "uint32")}
    for dtype in DTYPES:
        columns += [
            Column(f"s_{dtype}", dtype),
            Column(f"x_{dtype}", dtype, shape=(2, 3)),
        ]
        columns += [Column(f"Jet_{dtype}", dtype, title=f"jets' {dtype}", counter="nJet")]
        data[f"s_{dtype}"] = data[f"Jet_{dtype}"] = extreme(dtype)
        data[f"x_{dtype}"] = np.resize(extreme(dtype), (4, 2, 3))
    return Table("dir/Events", tuple(columns), 4, data)


class TestRoundTrip:
    @pytest.mark.parametrize("step", [1, 3, 4, 1000])
    def test_every_dtype_and_place(
        self, events: Table, tmp_path: Path, step: int
    ) -> None:
        back = rewritten(of(events), tmp_path / "a.root", step=step)
        table = read_all(back.table("dir/Events"))
        assert difference(events, table) is None
        assert table.columns == events.columns
        assert back.refused == {}

    @pytest.mark.parametrize(
        "text", ["none", "LZMA:9", "lz4:4", "ZLIB:0", "ZLIB:1", "ZSTD:22"]
    )
    def test_every_compression(self, events: Table, tmp_path: Path, text: str) -> None:
        back = rewritten(of(events), tmp_path / "a.root", compression=text)
        assert difference(events, read_all(back.table("dir/Events"))) is None

    def test_compression_reaches_the_file(self, tmp_path: Path) -> None:
        zeros = Table("t", (Column("x", "float64"),), 10_000, {"x": np.zeros(10_000)})
        for text in ("none", "LZMA:9"):
            write_dataset(
                of(zeros), tmp_path / f"{text}.root", WriteOptions(compression=text)
            )
        assert (
            (tmp_path / "none.root").stat().st_size
            > 80_000
            > 3 * (tmp_path / "LZMA:9.root").stat().st_size
        )

    def test_colon_in_the_path(self, tmp_path: Path, events: Table) -> None:
        assert list(rewritten(of(events), tmp_path / "a:b.root").tables) == ["dir/Events"]

    @pytest.mark.parametrize("n", [0, 5])
    def test_without_events_and_without_objects(self, tmp_path: Path, n: int) -> None:
        columns = (
            Column("nJet", "uint32", "counter"),
            Column("Jet_pt", "float32", counter="nJet"),
            Column("x", "int8", shape=(2,)),
        )
        data = {
            "nJet": np.zeros(n, "uint32"),
            "Jet_pt": np.zeros(0, "float32"),
            "x": np.zeros((n, 2), "int8"),
        }
        table = Table("t", columns, n, data)
        back = rewritten(of(table), tmp_path / "a.root").table("t")
        assert back.columns == columns
        assert difference(table, read_all(back)) is None

    def test_ranges_and_subsets(self, events: Table, tmp_path: Path) -> None:
        source = rewritten(of(events), tmp_path / "a.root", step=2).table("dir/Events")
        for start, stop in [(0, 0), (0, 3), (1, 2), (2, 99), (3, 1)]:
            part = source.read(["Jet_uint16", "s_bool"], start, stop)
            assert [c.name for c in part.columns] == ["nJet", "s_bool", "Jet_uint16"]
            assert (
                difference(part, events.read(["Jet_uint16", "s_bool"], start, stop))
                is None
            )

    def test_contents_are_native_and_contiguous(
        self, events: Table, tmp_path: Path
    ) -> None:
        table = read_all(rewritten(of(events), tmp_path / "a.root").table("dir/Events"))
        assert all(v.dtype.isnative and v.flags.c_contiguous for v in table.data.values())

    def test_counter_after_what_it_counts_moves_before_it(self, tmp_path: Path) -> None:
        columns = (
            Column("a", "int8"),
            Column("pt", "float32", counter="num"),
            Column("num", "int64", "counter"),
        )
        data = {
            "a": np.arange(2, dtype="int8"),
            "pt": np.arange(3, dtype="float32"),
            "num": np.array([1, 2]),
        }
        back = read_all(
            rewritten(of(Table("t", columns, 2, data)), tmp_path / "a.root").table("t")
        )
        assert [c.name for c in back.columns] == ["a", "num", "pt"]
        assert all(np.array_equal(back[name], data[name]) for name in data)

    def test_counter_that_counts_nothing_is_an_ordinary_branch(
        self, tmp_path: Path
    ) -> None:
        table = Table(
            "t",
            (Column("nJet", "uint8", "counter"),),
            2,
            {"nJet": np.array([3, 200], "uint8")},
        )
        back = read_all(rewritten(of(table), tmp_path / "a.root").table("t"))
        assert difference(table, back) is None
        assert back.column("nJet").role == "value"

    def test_narrow_unsigned_counter_is_widened_and_said_so(self, tmp_path: Path) -> None:
        columns = (Column("n", "uint8", "counter"), Column("x", "int8", counter="n"))
        table = Table(
            "t",
            columns,
            2,
            {"n": np.array([200, 1], "uint8"), "x": np.arange(201).astype("int8")},
        )
        back = read_all(rewritten(of(table), tmp_path / "a.root").table("t"))
        assert back["n"].dtype == "int32"
        assert back["n"].tolist() == [200, 1]
        assert np.array_equal(back["x"], table["x"])
        assert type_changes(columns) == ["n: uint8 -> int32"]

    def test_hidden_counters_become_branches(self, tmp_path: Path) -> None:
        array = ak.Array(
            {
                "Jet_pt": [[1.0, 2.0], []],
                "Jet_eta": [[3.0, 4.0], []],
                "w": [[1], [2]],
                "nJet": [7, 8],
            }
        )
        table = table_from_awkward("t", array)
        back = read_all(rewritten(of(table), tmp_path / "a.root").table("t"))
        assert [c.name for c in back.columns] == [
            "nJet_",
            "Jet_pt",
            "Jet_eta",
            "nw",
            "w",
            "nJet",
        ]
        assert back["nJet_"].tolist() == [2, 0]
        assert back["nJet"].tolist() == [7, 8]
        assert type_changes(table.columns) == [
            "n(Jet_pt): hidden -> branch nJet_, int32",
            "n(w): hidden -> branch nw, int32",
        ]

    def test_strings_and_lists_of_fixed_arrays(self, tmp_path: Path) -> None:
        words = ak.Array(["", "muon", "é" * 300])
        blocks = ak.to_regular(ak.Array(np.arange(12, dtype="float32").reshape(4, 3)))
        array = ak.zip(
            {"word": words, "cov": ak.unflatten(blocks, [1, 0, 3]), "x": [1, 2, 3]},
            depth_limit=1,
        )
        table = table_from_awkward("t", array)
        path = tmp_path / "a.root"
        once = rewritten(of(table), path)
        back = read_all(once.table("t"))
        assert [c.name for c in back.columns] == ["word", "ncov", "cov", "x"]
        assert back["word"].to_list() == words.to_list()
        assert back["cov"].to_list() == array["cov"].to_list()
        again = rewritten(once, tmp_path / "b.root").table("t")
        assert again.columns == back.columns
        assert difference(read_all(again), back) is None


class TestReading:
    def test_an_independent_writer(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        arrays = {
            "pt": ak.Array([[1.5], [], [2.5, 3.5]]),
            "x": np.array([1, 2, 3], ">i4"),
            "box": np.arange(6.0).reshape(3, 2),
        }
        with uproot.recreate(path) as file:
            file.mktree(
                "d/e/t",
                {"pt": "var * float64", "x": ">i4", "box": np.dtype(("f8", (2,)))},
            ).extend(arrays)
        table = read_all(opened(path).table("d/e/t"))
        expected = (
            Column("npt", "int32", "counter"),
            Column("pt", "float64", counter="npt"),
            Column("x", "int32"),
            Column("box", "float64", shape=(2,)),
        )
        assert table.columns == expected
        assert table["pt"].tolist() == [1.5, 2.5, 3.5]
        assert table["npt"].tolist() == [1, 0, 2]
        assert table["x"].dtype.isnative

    def test_newest_cycle(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            for value in (1, 2):
                file.mktree("t", {"x": "int32"}).extend({"x": np.array([value], "int32")})
        assert read_all(opened(path).table("t"))["x"].tolist() == [2]

    def test_rntuple(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        array = ak.Array(
            {
                "x": np.arange(3, dtype="float32"),
                "word": ["a", "", "ccc"],
                "v": [[1, 2], [], [3]],
                "w": [[4, 5], [], [6]],
                "other": [[], [1.0], []],
                "Jet": [
                    [{"pt": 1.0, "n": 2}],
                    [],
                    [{"pt": 3.0, "n": 4}, {"pt": 5.0, "n": 6}],
                ],
                "met": [{"px": 1.0, "py": 2.0}] * 3,
                "deep": [[[1], []], [], [[2]]],
            }
        )
        with uproot.recreate(path) as file:
            file.mkrntuple("d/nt", array)
        source = opened(path).table("d/nt")
        expected = table_from_awkward("d/nt", array[source_order(source.columns, array)])
        assert difference(read_all(source), expected) is None
        assert source.columns == expected.columns
        part = source.read(["w", "Jet_n", "deep"], 1, 3)
        assert difference(part, expected.read(["w", "Jet_n", "deep"], 1, 3)) is None

    def test_hidden_counter_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mkrntuple("t", ak.Array({"v": [[1, 2], [], [3]]}))
        part = opened(path).table("t").read(["n(v)"], 0, 2)
        assert part["n(v)"].tolist() == [2, 0]

    def test_vectors_in_a_ttree_share_counts_over_the_whole_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flowtuple.io.root_table._SCAN_STEP", 2)
        path = tmp_path / "a.root"
        arrays = {
            "a": ak.Array([[1], [], [2, 3]]),
            "b": ak.Array([[4], [], [5, 6]]),
            "late": ak.Array([[7], [], [8]]),
        }
        with uproot.recreate(path) as file:
            file.mktree("t", dict.fromkeys(arrays, "var * int64")).extend(arrays)
        monkeypatch.setattr(
            uproot.TBranch, "count_branch", None
        )  # as a std::vector, which uproot cannot write
        table = read_all(opened(path).table("t"), ["a", "b", "late"])
        assert {c.name: c.counter for c in table.columns if c.counter} == {
            "a": "n(a)",
            "b": "n(a)",
            "late": "n(late)",
        }
        assert [c.name for c in table.columns if c.hidden] == ["n(a)", "n(late)"]
        assert table["n(a)"].tolist() == [1, 0, 2]
        assert table["late"].tolist() == [7, 8]

    def test_counter_that_disagrees(
        self, tmp_path: Path, events: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.root"
        write_dataset(of(events), path, WriteOptions())
        monkeypatch.setattr(
            "flowtuple.io.root_table._counts",
            lambda values: np.zeros(len(values), np.int64),
        )
        with pytest.raises(
            Corrupt,
            match=r"column 'Jet_bool' .* not have as many values as 'nJet' says; leave it out with `exclude=`",
        ):
            read_all(opened(path).table("dir/Events"))

    def test_titles_are_kept_only_where_they_say_something(
        self, tmp_path: Path, events: Table
    ) -> None:
        back = rewritten(of(events), tmp_path / "a.root").table("dir/Events")
        titles = {c.name: c.title for c in back.columns}
        assert titles["Jet_bool"] == "jets' bool"
        assert titles["s_bool"] == titles["x_bool"] == ""

    def test_histograms_are_carried(self, tmp_path: Path, events: Table) -> None:
        first, second = tmp_path / "a.root", tmp_path / "b.root"
        counts, edges = np.histogram([0.5, 1.5, 1.7], bins=3, range=(0, 3))
        with uproot.recreate(first) as file:
            file["dir/pileup"] = counts, edges
            file["note"] = "written on a Monday"
            file.mktree("t", {"x": "int32"}).extend({"x": np.arange(3, dtype="int32")})
        dataset = opened(first)
        assert set(dataset.carried) == {"dir/pileup", "note"}
        write_dataset(dataset, second, WriteOptions())
        with uproot.open(second) as file:
            assert file["dir/pileup"].values().tolist() == [1, 2, 0]
            assert str(file["note"]) == "written on a Monday"
        assert opened(second).tables.keys() == {"t"}

    def test_what_cannot_be_carried_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file["note"] = "words"
        monkeypatch.setattr("flowtuple.io.root_objects._LARGEST", 3)
        dataset = opened(path)
        assert dataset.carried == dataset.tables == {}
        assert dataset.refused == {
            "note": "TObjString: it is larger than the 1 GB that ROOT reads"
        }

    def test_branch_without_interpretation_is_refused(
        self, tmp_path: Path, events: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.root"
        write_dataset(of(events), path, WriteOptions())
        known = uproot.interpretation.identify.interpretation_of

        def pretend(branch: object, context: object) -> object:
            if branch.name == "s_int8":
                raise uproot.interpretation.identify.UnknownInterpretation(
                    "no idea", "file", "object"
                )
            return known(branch, context)

        monkeypatch.setattr("uproot.interpretation.identify.interpretation_of", pretend)
        dataset = opened(path)
        assert dataset.refused == {
            "dir/Events/s_int8": "uproot has no interpretation for its type"
        }
        assert (
            len(read_all(dataset.table("dir/Events")).columns) == len(events.columns) - 1
        )


def source_order(columns: tuple[Column, ...], array: ak.Array) -> list[str]:
    """The fields of a record array in the order that a file lists them."""
    position = [c.name.split("_")[0] for c in columns]
    return sorted(array.fields, key=position.index)


class TestErrors:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidArgument, match=r"no\.root: no such file; "):
            opened(tmp_path / "no.root")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidArgument, match="is a folder"):
            opened(tmp_path)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "is empty"),
            (b"x,y\n1,2\n", "is not a ROOT file"),
            (b"y" * 999, "is not"),
        ],
    )
    def test_other_files(self, tmp_path: Path, content: bytes, words: str) -> None:
        (tmp_path / "a.root").write_bytes(content)
        with pytest.raises(InvalidArgument, match=rf"a\.root: {words}"):
            opened(tmp_path / "a.root")

    @pytest.mark.parametrize("fraction", [0.0005, 0.01, 0.2, 0.5, 0.9])
    def test_cut_short(self, tmp_path: Path, events: Table, fraction: float) -> None:
        path = tmp_path / "a.root"
        write_dataset(of(events), path, WriteOptions())
        content = path.read_bytes()
        path.write_bytes(content[: max(5, int(len(content) * fraction))])
        with pytest.raises(
            InvalidArgument, match=r"a\.root: .*is.* cut short.*; fetch it again$"
        ):
            opened(path)

    def test_unknown_protocol(self) -> None:
        with pytest.raises(InvalidArgument, match=r"nowhere://a\.root: cannot be opened"):
            open_dataset("nowhere://a.root", ReadOptions())

    def test_damaged_basket(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        noise = np.random.default_rng(1).normal(size=5000)
        write_dataset(
            of(Table("t", (Column("x", "float64"),), 5000, {"x": noise})),
            path,
            WriteOptions(compression="ZLIB:6"),
        )
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 2000] = bytes(2000)
        path.write_bytes(content)
        with pytest.raises(
            Corrupt, match=r"a\.root: tree 't', events 0 to 5000: the data cannot be read"
        ):
            read_all(opened(path).table("t"))

    @pytest.mark.parametrize(
        "text",
        ["ZSTD", "ZSTD:23", "LZMA:10", "brotli:4", "LZ4:-1", "ZLIB:x", "none:1", ""],
    )
    def test_bad_compression(self, tmp_path: Path, events: Table, text: str) -> None:
        with pytest.raises(
            InvalidArgument,
            match="ZLIB:0 to ZLIB:9, LZMA:0 to LZMA:9, LZ4:0 to LZ4:12, ZSTD:0 to ZSTD:22, or none",
        ):
            write_dataset(of(events), tmp_path / "a.root", WriteOptions(compression=text))

    @pytest.mark.parametrize(
        "bad", [ak.Array([[[1.0]], [[], [2.0]]]), ak.Array([["a"], []]), np.zeros((2, 0))]
    )
    def test_unsupported_is_found_before_writing(
        self, tmp_path: Path, bad: ak.Array
    ) -> None:
        table = table_from_awkward("t", ak.zip({"x": [1, 2], "bad": bad}, depth_limit=1))
        path = tmp_path / "a.root"
        with pytest.raises(
            Unsupported,
            match=r"cannot write t/bad as a branch: .* `drop=` leaves them out, and x\.npz",
        ):
            write_dataset(of(table), path, WriteOptions(container="ttree"))
        assert not path.exists()
        back = rewritten(of(table), path, drop=True, container="ttree")
        assert [c.name for c in back.table("t").columns] == ["x"]

    def test_tree_without_columns_is_left_out(
        self, tmp_path: Path, events: Table
    ) -> None:
        assert list(
            rewritten(of(Table("none", (), 3, {}), events), tmp_path / "a.root").tables
        ) == ["dir/Events"]


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the larger samples")
@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_samples_come_back(name: str, tmp_path: Path) -> None:
    source, target = SAMPLES / f"{name}.root", tmp_path / "a.root"
    first = opened(source)
    second = rewritten(first, target, step=10_000)
    assert first.refused == second.refused == {}
    assert first.carried.keys() == second.carried.keys()
    with uproot.open(source) as left, uproot.open(target) as right:
        assert left.keys(recursive=True, cycle=False) == [*first.tables, *first.carried]
        for tree, table in first.tables.items():
            assert second.table(tree).columns == table.columns
            assert_same_by_uproot(left[tree], right[tree])
            assert_same_by_table(left[tree], read_all(table))
    assert all(type_changes(t.columns) == [] for t in first.tables.values())


def assert_same_by_uproot(left: uproot.TTree, right: uproot.TTree) -> None:
    """The two trees have the same branches, types, titles, counters and values, all as uproot sees
    them.
    """
    assert left.keys() == right.keys()
    for a, b in zip(left.branches, right.branches, strict=True):
        assert (a.typename, str(a.interpretation)) == (b.typename, str(b.interpretation))
        assert b.title == a.title or (
            a.title == "" or a.title[-2] == "/"
        )  # of leaf lists, uproot writes its own
        assert getattr(a.count_branch, "name", None) == getattr(
            b.count_branch, "name", None
        )
    arrays, others = left.arrays(how=dict), right.arrays(how=dict)
    assert all(ak.array_equal(arrays[k], others[k], equal_nan=True) for k in arrays)


def assert_same_by_table(tree: uproot.TTree, table: Table) -> None:
    """The table holds what uproot's NumPy reading, which shares no code with ours, finds."""
    for branch in tree.branches:
        values = branch.array(library="np")
        flat = (
            np.concatenate([*values, np.empty(0, table[branch.name].dtype)])
            if values.dtype == object
            else values
        )
        assert table[branch.name].dtype == flat.dtype
        assert table[branch.name].tobytes() == flat.tobytes()


def test_hidden_counters_give_way_to_branches(tmp_path):
    array = ak.Array({"a": [[1.0], []], "n(a)": [7, 8]})
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mkrntuple("Events", array)
    table = read_all(
        open_dataset(str(tmp_path / "x.root"), ReadOptions()).tables["Events"]
    )
    assert table["n(a)"].tolist() == [7, 8]
    assert table[table.column("a").counter].tolist() == [1, 0]
    assert table["a"].tolist() == [1.0]
