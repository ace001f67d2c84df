"""ROOT files as others write them: every branch is read, or named with the reason, and nothing
takes the others with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import xxhash

from flowtuple.api.checking import verify
from flowtuple.api.compressing import compress
from flowtuple.api.inputs import Selection
from flowtuple.api.reading import decompress
from flowtuple.data.bounds import requested_bounds
from flowtuple.data.globs import select_columns
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import check_same_columns, read_like
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset, Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, Unsupported
from flowtuple.io import root_pages
from flowtuple.io.root import open_dataset
from flowtuple.io.root_baskets import c_strings, counted_lists
from flowtuple.io.root_changes import root_changes
from flowtuple.io.root_interpretation import (
    HiddenError,
    TreeBranch,
    _leaf_list,
    check_members,
    interpretation_of,
    type_name,
)
from flowtuple.io.root_pages import Pages
from flowtuple.io.root_tree import _walk, describe
from flowtuple.io.source import ReadOptions
from opcodes import count_opcodes

SHARED = Path(__file__).parents[2].parent / "shared"
CASES = SHARED / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="without the larger samples")
N = 60


def opened(path: Path) -> Dataset:
    return open_dataset(str(path), ReadOptions())


def tree(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    with uproot.recreate(path, compression=None) as file:
        types = {
            name: "string" if isinstance(v, list) else v.dtype
            for name, v in columns.items()
        }
        file.mktree("t", types, **options).extend(columns)
    return path


def renamed(path: Path, **names: str) -> Path:
    """The file with names replaced by others of the same length."""
    content = path.read_bytes()
    for old, new in names.items():
        assert len(old) == len(new)
        assert old.encode() in content
        content = content.replace(old.encode(), new.encode())
    path.write_bytes(content)
    return path


def ntuple(path: Path, array: ak.Array, name: str = "nt") -> Path:
    with uproot.recreate(path) as file:
        file.mkrntuple(name, array)
    return path


def fail_for(
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    name: str,
    error: Exception,
    basket: int | None = None,
) -> None:
    """Let uproot raise an error when it decodes a branch, or one basket of it."""
    decode = kind.basket_array

    def pretend(
        self: Any, data: Any, offsets: Any, read: Any, branch: Any, *rest: Any
    ) -> Any:
        if branch.name == name and basket in (None, read.basket_num):
            raise error
        return decode(self, data, offsets, read, branch, *rest)

    monkeypatch.setattr(kind, "basket_array", pretend)


def numbers(start: float) -> np.ndarray:
    return np.arange(start, start + N, dtype=np.float32)


class TestRepeatedNames:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        made = tree(
            tmp_path / "a.root",
            {
                "aa_x": numbers(0),
                "bb_x": numbers(100),
                "y": numbers(7),
                "cc_x": numbers(200),
            },
        )
        return renamed(made, bb_x="aa_x", cc_x="aa_x")

    def test_every_branch_has_its_values(self, path: Path) -> None:
        dataset = opened(path)
        table = read_all(dataset.table("t"))
        assert [c.name for c in table.columns] == ["aa_x", "aa_x_2", "y", "aa_x_3"]
        for name, start in {"aa_x": 0, "aa_x_2": 100, "y": 7, "aa_x_3": 200}.items():
            assert np.array_equal(table[name], numbers(start))
        assert dataset.storage["t"]["renamed"] == {"aa_x_2": "aa_x", "aa_x_3": "aa_x"}

    def test_ranges_of_the_second(self, path: Path) -> None:
        part = opened(path).table("t").read(["aa_x_2"], 5, 9)
        assert np.array_equal(part["aa_x_2"], numbers(100)[5:9])

    def test_verify_counts_both(self, path: Path, tmp_path: Path) -> None:
        compress(path, tmp_path / "a.ftup", effort="fast")
        found = verify(path, tmp_path / "a.ftup")
        assert [c.column for c in found] == ["aa_x", "aa_x_2", "y", "aa_x_3"]
        assert sum(c.violations for c in found) == 0

    def test_a_name_that_is_taken_is_passed_over(self, tmp_path: Path) -> None:
        made = tree(
            tmp_path / "a.root", {"u": numbers(0), "w": numbers(1), "u_2": numbers(2)}
        )
        content = (
            made.read_bytes().replace(b"\x01w", b"\x01u").replace(b"\x03w/F", b"\x03u/F")
        )
        made.write_bytes(content)
        table = read_all(opened(made).table("t"))
        assert {c.name: float(table[c.name][0]) for c in table.columns} == {
            "u": 0,
            "u_3": 1,
            "u_2": 2,
        }

    def test_slashes_in_names(self, tmp_path: Path) -> None:
        made = renamed(
            tree(tmp_path / "a.root", {"a_b": numbers(0), "_lead": numbers(1)}),
            a_b="a/b",
            _lead="/lead",
        )
        table = read_all(opened(made).table("t"))
        assert np.array_equal(table["a/b"], numbers(0))
        assert np.array_equal(table["/lead"], numbers(1))

    def test_leaves_of_one_name(self) -> None:
        def leaf(kind: str, name: str, length: int = 1, unsigned: bool = False) -> Any:
            members = {"fName": name, "fLen": length, "fIsUnsigned": unsigned}
            return SimpleNamespace(classname=kind, member=members.__getitem__)

        found = _leaf_list(
            [leaf("TLeafF", "a"), leaf("TLeafI", "a", 2, True), leaf("TLeafD", "b")]
        )
        assert found == np.dtype([("a", ">f4"), ("a_2", ">u4", (2,)), ("b", ">f8")])


def with_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of numbers and of strings, which uproot decodes."""
    monkeypatch.setattr(
        "flowtuple.io.root_interpretation.TreeBranch.decoder", lambda self: None
    )
    return tree(path, {"x": numbers(0), "word": ["a"] * N})


class TestUndecodable:
    @pytest.mark.parametrize(
        "error",
        [
            KeyError("k"),
            AttributeError("a"),
            IndexError("i"),
            NotImplementedError(),
            RecursionError(),
            TypeError("t"),
            uproot.DeserializationError("no", None, None, {}, "path"),
        ],
    )
    def test_any_error_names_the_branch_and_leaves_the_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        path = with_words(tmp_path / "a.root", monkeypatch)
        fail_for(monkeypatch, uproot.AsStrings, "word", error)
        dataset = opened(path)
        assert dataset.refused == {"t/word": "uproot cannot decode its type char*"}
        assert [c.name for c in dataset.table("t").columns] == ["x"]

    def test_too_little_memory_is_no_fault_of_a_branch(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = with_words(tmp_path / "a.root", monkeypatch)
        fail_for(monkeypatch, uproot.AsStrings, "word", MemoryError("of decoding"))
        with pytest.raises(MemoryError, match="of decoding"):
            opened(path)

    def test_too_little_memory_while_reading(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = opened(tree(tmp_path / "a.root", {"x": numbers(0)})).table("t")
        fail_for(monkeypatch, uproot.AsDtype, "x", MemoryError("of decoding"))
        with pytest.raises(MemoryError, match="of decoding"):
            read_all(source)
        with pytest.raises(MemoryError, match="of decoding"):
            source._fetch(["x"], 0, 1)

    @pytest.mark.parametrize("where", ["interpretation", "typename"])
    def test_too_little_memory_for_a_description(self, where: str) -> None:
        def fail(self: Any) -> Any:
            raise MemoryError(where)

        branch = type("Branch", (), {where: property(fail)})()
        ask = interpretation_of if where == "interpretation" else type_name
        with pytest.raises(MemoryError, match=where):
            ask(branch)

    def test_too_little_memory_for_a_tree_or_its_lists(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tree(tmp_path / "a.root", {"x": numbers(0)})
        get = uproot.reading.ReadOnlyKey.get

        def fail(self: Any) -> Any:
            if not self.file.options["minimal_ttree_metadata"]:
                raise MemoryError("of the tree")
            return get(self)

        monkeypatch.setattr(uproot.reading.ReadOnlyKey, "get", fail)
        with pytest.raises(MemoryError, match="of the tree"):
            opened(path)

    def test_too_little_memory_for_a_field(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = ntuple(tmp_path / "a.root", ak.Array({"x": [1, 2]}))

        def fail(*_: Any, **__: Any) -> Any:
            raise MemoryError("of the field")

        monkeypatch.setattr(
            "uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.field_form", fail
        )
        with pytest.raises(MemoryError, match="of the field"):
            opened(path)

    @pytest.mark.parametrize(
        ("interpretation", "paths"),
        [
            (uproot.AsDtype(">i4"), ["jets", "jets/pt"]),
            (uproot.AsStrings(), ["jets", "jets/pt"]),
            (NotImplementedError(), ["jets", "jets/pt"]),
            (uproot.AsGrouped(None, {}), ["jets/pt"]),
        ],
    )
    def test_branches_above_others_with_values_are_not_passed_over(
        self, interpretation: Any, paths: list[str]
    ) -> None:
        class Above(SimpleNamespace):
            @property
            def interpretation(self) -> Any:
                if isinstance(interpretation, Exception):
                    raise interpretation
                return interpretation

        child = SimpleNamespace(name="pt", branches=[])
        above = Above(
            name="jets", branches=[child], num_baskets=1, member=lambda *_, **__: None
        )
        assert [path for path, _ in _walk(SimpleNamespace(branches=[above]), "")] == paths

    def test_drop_leaves_it_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = with_words(tmp_path / "a.root", monkeypatch)
        fail_for(monkeypatch, uproot.AsStrings, "word", ValueError("no"))
        with pytest.raises(Unsupported, match=r"t/word: uproot cannot decode its type"):
            compress(path, tmp_path / "a.ftup", effort="fast")
        compress(path, tmp_path / "a.ftup", effort="fast", selection=Selection(drop=True))
        back = decompress(tmp_path / "a.ftup")
        assert back.fields == ["x"]

    def test_the_last_event_is_tried(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            made = file.mktree("t", {"x": "float32", "word": "string"})
            for k in range(3):
                made.extend({"x": numbers(k), "word": ["a"] * N})
        fail_for(monkeypatch, uproot.AsStrings, "word", ValueError("no"), basket=2)
        monkeypatch.setattr(
            "flowtuple.io.root_interpretation.TreeBranch.decoder", lambda self: None
        )
        assert list(opened(tmp_path / "a.root").refused) == ["t/word"]

    def test_a_later_failure_names_its_column(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tree(
            tmp_path / "a.root", {"x": numbers(0), "bad": numbers(1), "y": numbers(2)}
        )
        fail_for(monkeypatch, uproot.AsDtype, "bad", IndexError("no"))
        dataset = opened(path)
        with pytest.raises(
            Unsupported,
            match=r"a\.root: tree 't'.*cannot decode column 'bad'; leave it out with `exclude=` 'bad'",
        ):
            read_all(dataset.table("t"))
        rest = read_all(select(dataset, exclude=["bad"]).table("t"))
        assert [c.name for c in rest.columns] == ["x", "y"]

    def test_lists_that_fail_in_the_scan_can_be_excluded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arrays = {
            name: ak.Array([[k], [], [1, 2]]) for k, name in enumerate(("a", "b", "c"))
        }
        with uproot.recreate(tmp_path / "a.root") as file:
            made = file.mktree("t", dict.fromkeys(arrays, "var * int64"))
            for _ in range(5):
                made.extend(arrays)
        # as a std::vector, which uproot cannot write
        monkeypatch.setattr(uproot.TBranch, "count_branch", None)
        fail_for(monkeypatch, uproot.AsJagged, "b", ValueError("no"), basket=1)
        dataset = opened(tmp_path / "a.root")
        with pytest.raises(Unsupported, match="cannot decode column 'b'"):
            read_all(dataset.table("t"))
        rest = read_all(select(dataset, exclude=["b", "nb"]).table("t"))
        assert {c.counter for c in rest.columns if c.counter} == {"n(a)"}
        assert rest["c"].tolist() == [2, 1, 2] * 5

    def test_damage_is_told_from_what_uproot_cannot_do(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        noise = np.random.default_rng(1).normal(size=5000)
        with uproot.recreate(path, compression=uproot.ZLIB(6)) as file:
            file.mktree("t", {"x": "float64", "y": "float64"}).extend(
                {"x": noise, "y": -noise}
            )
        with uproot.open(path) as file:
            start = int(file["t"]["y"].member("fBasketSeek")[0])
        content = bytearray(path.read_bytes())
        content[start + 500 : start + 2500] = bytes(2000)
        path.write_bytes(content)
        with pytest.raises(
            Corrupt,
            match=r"column 'y' is damaged; fetch the file again, or leave it out with `exclude=` 'y'",
        ):
            read_all(opened(path).table("t"))

    def test_bits_of_referenced_objects_are_read_in_full(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            made = file.mktree("t", {"x": "float32", "fBits": "uint32"})
            for k in range(4):
                made.extend({"x": numbers(k), "fBits": np.arange(N, dtype="uint32")})
        fail_for(monkeypatch, uproot.AsDtype, "fBits", ValueError("no"), basket=2)
        assert list(opened(tmp_path / "a.root").refused) == ["t/fBits"]

    def test_a_tree_without_readable_branch_says_why(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tree(tmp_path / "a.root", {"fBits": np.arange(N, dtype="uint32")})
        fail_for(monkeypatch, uproot.AsDtype, "fBits", ValueError("no"))
        assert (
            opened(path)
            .refused["t"]
            .startswith("the tree has no branch that can be read; t/fBits: uproot cannot")
        )


def pretend_interpretation(
    monkeypatch: pytest.MonkeyPatch, name: str, interpretation: Any
) -> None:
    """Let uproot read a branch as something that it cannot write."""
    known = uproot.interpretation.identify.interpretation_of

    def found(branch: Any, context: Any) -> Any:
        return interpretation if branch.name == name else known(branch, context)

    monkeypatch.setattr("uproot.interpretation.identify.interpretation_of", found)


class TestStructures:
    def test_leaf_list_with_a_fixed_array(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = np.arange(4 * N, dtype="int32").reshape(N, 4)
        with uproot.recreate(tmp_path / "a.root") as file:
            file.mktree("t", {"hit": np.dtype(("i4", (4,)))}).extend({"hit": values})
        kind = np.dtype([("cell", ">i4", (3,)), ("time", ">i4")])
        pretend_interpretation(monkeypatch, "hit", uproot.AsDtype(kind))
        table = read_all(opened(tmp_path / "a.root").table("t"))
        assert np.array_equal(table["hit_cell"], values[:, :3])
        assert np.array_equal(table["hit_time"], values[:, 3])

    def test_members_that_uproot_hides_are_no_columns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = with_words(tmp_path / "a.root", monkeypatch)
        inner = [ak.forms.NumpyForm("uint8"), ak.forms.NumpyForm("int32")]
        announced = ak.forms.RecordForm(inner, ["@fBits", "ref"])
        monkeypatch.setattr(uproot.AsStrings, "awkward_form", lambda *_: announced)
        shown = ak.Array([{"ref": k} for k in range(N)])
        monkeypatch.setattr(
            TreeBranch, "read", lambda self, start, stop: shown[start:stop]
        )
        assert [c.name for c in opened(path).table("t").columns] == ["x", "word_ref"]

    def test_members_of_one_name_are_refused(self) -> None:
        twice = ak.forms.RecordForm([ak.forms.NumpyForm("int32")] * 2, ["x", "x"])
        with pytest.raises(HiddenError, match="two of its members are called 'x'"):
            check_members(ak.forms.ListOffsetForm("i64", twice))

    def test_records_without_members_are_refused(self) -> None:
        with pytest.raises(HiddenError, match="it holds no member that uproot reads"):
            check_members(ak.forms.RecordForm([], []))

    @pytest.mark.parametrize("members", [[], [("@num_bytes", np.dtype(">u4"))]])
    def test_classes_without_members_are_empty(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[Any]
    ) -> None:
        path = tree(tmp_path / "a.root", {"x": numbers(0), "Aux.": numbers(1)})
        model = SimpleNamespace(__name__="Model_AuxContainerBase")
        interpretation = uproot.AsStridedObjects(model, members, "AuxContainerBase")
        monkeypatch.setattr(uproot.AsStridedObjects, "typename", "AuxContainerBase")
        pretend_interpretation(monkeypatch, "Aux.", interpretation)
        assert opened(path).refused == {
            "t/Aux.": "it is empty: AuxContainerBase has no members of its own"
        }

    def test_bools_of_any_byte_are_true(self, tmp_path: Path) -> None:
        flag = np.tile(np.array([0, 1, 2, 113], "u1"), N // 4).view("?")
        path = tree(tmp_path / "a.root", {"flag": flag, "x": numbers(0)})
        table = read_all(opened(path).table("t"))
        assert table["flag"].view("u1").tolist() == [0, 1, 1, 1] * (N // 4)
        compress(path, tmp_path / "a.ftup", effort="fast")
        assert ak.to_numpy(decompress(tmp_path / "a.ftup")["flag"]).view(
            "u1"
        ).tolist() == [
            0,
            1,
            1,
            1,
        ] * (N // 4)
        assert sum(c.violations for c in verify(path, tmp_path / "a.ftup")) == 0


def stub_branch(
    baskets: list[Any], counts: list[int] | None = None, content: Any = None
) -> Any:
    """A branch as far as decoding its baskets needs one."""
    offsets = [0, *np.cumsum([basket.num_entries for basket in baskets]).tolist()]

    def array(entry_start: int, entry_stop: int, **_: Any) -> Any:
        return np.array(counts, "int32")[entry_start:entry_stop]

    return SimpleNamespace(
        entry_offsets=offsets,
        basket=baskets.__getitem__,
        count_branch=SimpleNamespace(array=array),
        interpretation=SimpleNamespace(content=content),
    )


def stub_basket(entries: int, data: bytes, offsets: list[int] | None = None) -> Any:
    return SimpleNamespace(
        num_entries=entries, data=np.frombuffer(data, "u1"), byte_offsets=offsets
    )


class TestBaskets:
    def test_empty_c_strings_have_no_bytes(self) -> None:
        long = b"\xff" + (300).to_bytes(4, "big") + b"x" * 300
        first = stub_basket(4, b"\x01a\x02bc", [0, 0, 2, 2, 5])
        second = stub_basket(3, long + b"\x00", [0, 305, 305, 306])
        words = ["", "a", "", "bc", "x" * 300, "", ""]
        branch = stub_branch([first, second])
        for start, stop in [(0, 7), (1, 3), (3, 5), (2, 2), (6, 7)]:
            assert c_strings(branch, start, stop).to_list() == words[start:stop]

    def test_a_string_beyond_its_bytes_is_refused(self) -> None:
        with pytest.raises(ValueError, match="a string is longer than its bytes"):
            c_strings(stub_branch([stub_basket(1, b"\xff\x00", [0, 2])]), 0, 1)

    @pytest.mark.parametrize("inner", [(), (2,)])
    def test_lists_without_offsets_are_cut_by_their_counter(
        self, inner: tuple[int, ...]
    ) -> None:
        counts = [2, 0, 1, 3, 1]
        values = np.arange(7 * int(np.prod(inner)), dtype=">f4").reshape(-1, *inner)
        content = uproot.AsDtype(np.dtype((">f4", inner)))
        baskets = [
            stub_basket(2, values[:2].tobytes()),
            stub_basket(3, values[2:].tobytes()),
        ]
        branch = stub_branch(baskets, counts, content)
        expected = ak.unflatten(values.astype("f4"), counts)
        for start, stop in [(0, 5), (1, 4), (3, 3), (2, 5)]:
            assert (
                counted_lists(branch, start, stop).to_list()
                == expected[start:stop].to_list()
            )

    def test_a_counter_that_disagrees_is_refused(self) -> None:
        branch = stub_branch([stub_basket(2, bytes(12))], [1, 1], uproot.AsDtype(">f4"))
        with pytest.raises(ValueError, match="a basket holds 3 values, not 2"):
            counted_lists(branch, 0, 2)


@pytest.fixture
def nested() -> ak.Array:
    n = 500
    counts = np.arange(n) % 4
    total = int(counts.sum())
    inner = ak.unflatten(np.arange(2 * total, dtype="f4"), np.full(total, 2))
    return ak.Array(
        {
            "x": np.arange(n, dtype="f8"),
            "flag": np.arange(n) % 3 == 0,
            "v": ak.unflatten(np.arange(total, dtype="i4"), counts),
            "deep": ak.unflatten(inner, counts),
            "word": [f"w{k % 7}" * (k % 3) for k in range(n)],
            "fixed": ak.to_regular(ak.Array(np.arange(3 * n).reshape(n, 3))),
            "rec": ak.zip({"a": np.arange(n), "b": np.arange(n, dtype="f4")}),
            "jets": ak.unflatten(
                ak.zip({"pt": np.arange(total, dtype="f4"), "n": np.arange(total)}),
                counts,
            ),
            "maybe": ak.from_iter([None if k % 5 == 0 else k for k in range(n)]),
        }
    )


class TestNTuples:
    def test_ranges_are_those_of_uproot(self, tmp_path: Path, nested: ak.Array) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            made = file.mkrntuple("nt", nested[:200])
            made.extend(nested[200:350])
            made.extend(nested[350:])
        source = opened(path).table("nt")
        full = read_all(source)
        with uproot.open(path) as file:
            original = file["nt"].arrays()
        assert full["x"].tolist() == original["x"].to_list()
        assert full["flag"].tolist() == original["flag"].to_list()
        assert full["v"].tolist() == ak.flatten(original["v"]).to_list()
        assert full["deep"].to_list() == original["deep"].to_list()
        assert full["word"].to_list() == original["word"].to_list()
        assert full["fixed"].tolist() == original["fixed"].to_list()
        assert full["jets_pt"].tolist() == ak.flatten(original["jets"]["pt"]).to_list()
        assert full["maybe"].to_list() == original["maybe"].to_list()
        names = [c.name for c in source.columns]
        for start, stop in [
            (0, 1),
            (199, 201),
            (150, 400),
            (350, 500),
            (10, 10),
            (499, 500),
        ]:
            assert (
                difference(source.read(names, start, stop), full.read(names, start, stop))
                is None
            )

    def test_variants_and_empty_structs_are_named(self, tmp_path: Path) -> None:
        array = ak.Array(
            {
                "x": [1, 2],
                "u": ak.from_iter([1, "two"]),
                "e": ak.Array([{}, {}]),
                "v": ak.from_iter([[1], ["a"]]),
            }
        )
        dataset = opened(ntuple(tmp_path / "a.root", array))
        assert set(dataset.refused) == {"nt/u", "nt/e", "nt/v"}
        assert "variant" in dataset.refused["nt/u"]
        assert dataset.refused["nt/u"] == dataset.refused["nt/v"]
        assert dataset.refused["nt/e"] == "it holds a struct without members"
        compress(
            tmp_path / "a.root",
            tmp_path / "a.ftup",
            effort="fast",
            selection=Selection(drop=True),
        )
        assert decompress(tmp_path / "a.ftup")["x"].to_list() == [1, 2]

    def test_a_field_that_fails_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = ntuple(tmp_path / "a.root", ak.Array({"x": [1, 2], "y": [3, 4]}))
        form = uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.field_form

        def pretend(self: Any, number: int, *rest: Any, **options: Any) -> Any:
            if self.field_records[number].field_name == "y":
                raise NotImplementedError("unsplit")
            return form(self, number, *rest, **options)

        monkeypatch.setattr(
            "uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.field_form", pretend
        )
        refused = opened(path).refused
        assert refused == {
            "nt/y": "uproot does not read fields that ROOT stores unsplit, of type std::int64_t"
        }

    def test_opening_reads_no_page_and_searches_no_field(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        array = ak.Array({f"c{k}": np.arange(3) for k in range(300)})
        path = ntuple(tmp_path / "a.root", array)

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("asked")

        for name in ("keys", "arrays", "items"):
            monkeypatch.setattr(uproot.behaviors.RNTuple.HasFields, name, refuse)
        monkeypatch.setattr(
            uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple, "read_page", refuse
        )
        assert len(opened(path).table("nt").columns) == 300

    def test_each_page_is_decoded_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        n = 100_000
        path = ntuple(
            tmp_path / "a.root", ak.Array({"x": np.ones(n, "i2"), "y": np.arange(n)})
        )
        source = opened(path).table("nt")
        calls: list[Any] = []
        decoded = Pages._decoded
        monkeypatch.setattr(
            Pages,
            "_decoded",
            lambda self, *page: calls.append(page) or decoded(self, *page),
        )
        for start in range(0, n, 1000):
            part = source.read(["x", "y"], start, start + 1000)
            assert part["y"][0] == start
            part["y"][:] = -1  # whoever changes what was read changes no page
        assert part["x"].tolist() == [1] * 1000
        assert source.read(["y"], 5, 6)["y"].tolist() == [5]
        assert len(calls) == len(set(calls))

    def test_pages_in_memory_are_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            made = file.mkrntuple("nt", ak.Array({"x": np.arange(1000)}))
            for k in range(1, 20):
                made.extend(ak.Array({"x": np.arange(1000) + 1000 * k}))
        monkeypatch.setattr(root_pages, "CACHE", 20_000)
        with uproot.open(path) as file:
            pages = Pages(file["nt"])
            for cluster in range(20):
                assert pages.elements(cluster, 0, 0, 3).tolist() == [
                    1000 * cluster + k for k in range(3)
                ]
                assert (
                    sum(page.nbytes for page in pages._cache.values())
                    == pages._bytes
                    <= 20_000
                )

    def test_columns_added_late_are_zero_before(self, tmp_path: Path) -> None:
        path = ntuple(tmp_path / "a.root", ak.Array({"x": np.arange(10)}))
        with uproot.open(path) as file:
            made = file["nt"]
            made.column_records[0].first_element_index = 5
            pages = Pages(made)
            assert pages.elements(0, 0, 3, 8, 15).tolist() == [0, 0, 0, 1, 2][:5]
            with pytest.raises(ValueError, match="has 10 elements in cluster 0, not 11"):
                pages.elements(0, 0, 3, 16, 15)

    @pytest.mark.parametrize("is_whole", [True, False])
    def test_the_checksum_of_a_page_is_compared(self, is_whole: bool) -> None:
        content = b"a page of an RNTuple"
        checksum = xxhash.xxh3_64_intdigest(content).to_bytes(8, "little")
        stored = content + (checksum if is_whole else bytes(8))
        chunk = SimpleNamespace(raw_data=np.frombuffer(stored, "u1"))
        made = SimpleNamespace(
            file=SimpleNamespace(source=SimpleNamespace(chunk=lambda start, stop: chunk))
        )
        described = SimpleNamespace(
            has_checksum=True, locator=SimpleNamespace(offset=0, num_bytes=len(content))
        )
        if is_whole:
            Pages(made)._check(described)
        else:
            with pytest.raises(ValueError, match="the checksum of a page differs"):
                Pages(made)._check(described)

    def test_a_damaged_page_names_its_column(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = ntuple(
            tmp_path / "a.root", ak.Array({"x": np.arange(10), "y": np.arange(10)})
        )
        read = uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.read_page

        def pretend(self: Any, values: Any, cluster: int, column: int, *rest: Any) -> Any:
            if column == 1:
                raise AssertionError
            return read(self, values, cluster, column, *rest)

        source = opened(path).table("nt")
        monkeypatch.setattr(
            "uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.read_page", pretend
        )
        with pytest.raises(
            Corrupt,
            match=r"tree 'nt', events 0 to 10: the data cannot be read: column 'y' is damaged",
        ):
            read_all(source)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(NotImplementedError("no"), Unsupported), (ValueError("no"), Corrupt)],
    )
    def test_damage_is_told_from_what_uproot_cannot_do(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
        kind: type[Exception],
    ) -> None:
        source = opened(
            ntuple(tmp_path / "a.root", ak.Array({"x": np.arange(10)}))
        ).table("nt")

        def fail(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(
            "uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.read_page", fail
        )
        with pytest.raises(kind, match="column 'x'"):
            read_all(source)


class TestCycles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        with uproot.recreate(tmp_path / "a.root") as file:
            for k in range(3):
                file.mktree("dir/t", {"x": "int32"}).extend(
                    {"x": np.arange(k + 1, dtype="int32")}
                )
                file["note"] = f"of step {k}"
            file.mktree("u", {"x": "int32"}).extend({"x": np.arange(2, dtype="int32")})
        return tmp_path / "a.root"

    def test_older_ones_are_named(self, path: Path) -> None:
        dataset = opened(path)
        assert dataset.table("dir/t").num_entries == 3
        assert {(part.name, part.reason) for part in dataset.left_out} == {
            (f"{name};{cycle}", f"an older cycle of {name}")
            for name in ("dir/t", "note")
            for cycle in (1, 2)
        }
        assert dataset.refused == {}

    def test_empty_folders_are_named(self, tmp_path: Path) -> None:
        with uproot.recreate(tmp_path / "b.root") as file:
            for folder in ("plots/empty", "plots_of/none", "dir", "dir_2"):
                file.mkdir(folder)
            file.mktree("dir/t", {"x": "int32"}).extend(
                {"x": np.arange(2, dtype="int32")}
            )
            file["plots/note"] = "not empty"
        parts = opened(tmp_path / "b.root").left_out
        assert [part.name for part in parts] == ["plots/empty", "plots_of/none", "dir_2"]
        assert {part.reason for part in parts} == {"an empty folder"}

    def test_those_of_a_chosen_tree(self, path: Path) -> None:
        dataset = opened(path)
        assert [part.name for part in dataset.only("dir/t").left_out] == [
            "dir/t;2",
            "dir/t;1",
        ]
        assert [part.name for part in dataset.only("dir/t").renamed("s").left_out] == [
            "s;2",
            "s;1",
        ]
        assert dataset.only("u").left_out == ()

    def test_a_file_says_what_it_lacks(self, path: Path, tmp_path: Path) -> None:
        result = compress(path, tmp_path / "a.ftup", effort="fast")
        assert {part.name for part in result.left_out} == {
            "dir/t;2",
            "dir/t;1",
            "note;2",
            "note;1",
        }
        assert verify(path, tmp_path / "a.ftup").absent == ()

    def test_those_of_what_is_refused_are_not(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flowtuple.io.root_objects._LARGEST", 1)
        dataset = opened(path)
        assert list(dataset.refused) == ["note"]
        assert {part.name for part in dataset.left_out} == {"dir/t;2", "dir/t;1"}


class TestObjects:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        with uproot.recreate(tmp_path / "a.root", compression=None) as file:
            file["note"] = "written on a Monday"
            file.mktree("t", {"x": "int32"}).extend({"x": np.arange(3, dtype="int32")})
        return tmp_path / "a.root"

    def test_objects_are_carried_as_bytes_without_being_interpreted(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        renamed(path, TObjString="TObjQtring")
        get = uproot.reading.ReadOnlyKey.get

        def watched(self: Any) -> Any:
            assert self.classname() == "TTree"
            return get(self)

        monkeypatch.setattr(uproot.reading.ReadOnlyKey, "get", watched)
        dataset = opened(path)
        assert set(dataset.carried) == {"note"}
        assert b"written on a Monday" in dataset.carried["note"]

    def test_large_objects_are_not_read(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flowtuple.io.root_objects._LARGEST", 10)
        assert "TObjString: it is larger than" in opened(path).refused["note"]

    def test_small_ones_are_carried(self, path: Path) -> None:
        assert set(opened(path).carried) == {"note"}


class TestStorage:
    def test_titles_and_kinds(self, tmp_path: Path) -> None:
        path = tmp_path / "a.root"
        with uproot.recreate(path) as file:
            file.mktree("with", {"x": "int32"}, title="of jets").extend(
                {"x": np.arange(3, dtype="int32")}
            )
            file.mktree("without", {"x": "int32"}).extend(
                {"x": np.arange(3, dtype="int32")}
            )
            file.mkrntuple("nt", ak.Array({"x": [1]}))
        assert opened(path).storage == {
            "with": {"title": "of jets"},
            "nt": {"kind": "rntuple"},
        }

    def test_what_else_a_tree_says(self) -> None:
        def thing(kind: str, **members: Any) -> Any:
            return SimpleNamespace(
                classname=kind,
                member=lambda name, none_if_missing=False: members.get(name),
            )

        info = [
            thing("TNamed", fName="gen", fTitle="pythia"),
            thing("TParameter<double>", fName="lumi", fVal=0.0),
            "words",
        ]
        friend = thing("TFriendElement", fTitle="friend.root", fTreeName="other")
        lists = {"fUserInfo": info, "fFriends": [friend]}
        made = SimpleNamespace(
            title="",
            aliases={"twice": "2*n"},
            member=lambda name, none_if_missing=False: lists.get(name),
        )
        assert describe(made) == {
            "aliases": {"twice": "2*n"},
            "user_info": [
                "gen (TNamed): pythia",
                "lumi (TParameter<double>): 0.0",
                "words",
            ],
            "friends": ["friend.root:other"],
        }

    def test_lists_that_fail_are_named(self) -> None:
        class Failing:
            title = "a tree"

            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(name)

        lost = ["aliases", "user information", "friend trees", "the index", "the weight"]
        assert describe(Failing()) == {"title": "a tree", "unreadable": lost}

    def test_a_tree_whose_lists_fail_is_read_without_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tree(tmp_path / "a.root", {"x": numbers(0)})
        get = uproot.reading.ReadOnlyKey.get

        def watched(self: Any) -> Any:
            if not self.file.options["minimal_ttree_metadata"]:
                raise NotImplementedError("a class in its user information")
            return get(self)

        monkeypatch.setattr(uproot.reading.ReadOnlyKey, "get", watched)
        dataset = opened(path)
        assert np.array_equal(read_all(dataset.table("t"))["x"], numbers(0))
        lost = ["user information", "friend trees", "the index"]
        assert dataset.storage["t"] == {"unreadable": lost}
        said = [f"{words}: cannot be read and not written" for words in lost]
        assert root_changes(dataset.table("t").columns, dataset.storage["t"]) == said

    def test_index_and_weight(self) -> None:
        class Stub:
            title = ""

            def __init__(self, **members: Any) -> None:
                self.members = members
                self.aliases: dict[str, str] = {}

            def member(self, name: str, none_if_missing: bool = False) -> Any:
                return self.members.get(name)

        index = Stub(fMajorName="run", fMinorName="event")
        assert describe(Stub(fTreeIndex=index, fWeight=2.5)) == {
            "index": "run, event",
            "weight": 2.5,
        }
        assert describe(Stub(fIndex=[0, 1], fWeight=1.0)) == {"index": "of 2 events"}
        assert describe(
            Stub(fIndex=[], fUserInfo=[SimpleNamespace(classname="Own")])
        ) == {"user_info": ["(Own)"]}


class TestManyColumns:
    """Four times the columns take four times the steps; a search for each name would take sixteen
    times as many.
    """

    @staticmethod
    def table(count: int) -> Table:
        columns, data = [], {}
        for k in range(count):
            columns += [
                Column(f"n(c{k})", "int64", "counter", hidden=True),
                Column(f"c{k}", "float32", counter=f"n(c{k})"),
            ]
            data |= {f"n(c{k})": np.ones(1, "int64"), f"c{k}": np.zeros(1, "float32")}
        return Table("t", tuple(columns), 1, data)

    @pytest.mark.parametrize(
        "use",
        [
            lambda t: [t[c.name] for c in t.columns],
            lambda t: read_like(t, t.columns, 0, 1),
            lambda t: check_same_columns(t.columns, t.columns, "here"),
            lambda t: select_columns(
                {"t": t.columns}, [c.name for c in t.columns if not c.hidden]
            ),
            lambda t: requested_bounds(
                {"t": t.columns},
                {f"t/{c.name}": "abs:1" for c in t.columns if not c.hidden},
            ),
        ],
        ids=[
            "column",
            "read_like",
            "check_same_columns",
            "select_columns",
            "requested_bounds",
        ],
    )
    def test_names_are_looked_up(self, use: Callable[[Table], Any]) -> None:
        few, many = self.table(100), self.table(400)
        assert count_opcodes(lambda: use(many)) < 6 * count_opcodes(lambda: use(few))

    def test_globs_and_names_select_as_before(self) -> None:
        columns = [Column("a[1]", "int32"), Column("a1", "int32"), Column("b", "int32")]
        chosen = select_columns({"t": columns}, ["a[1]", "t/b"], ["b*"])
        assert [c.name for c in chosen["t"]] == ["a[1]", "a1"]
        with pytest.raises(InvalidArgument, match="the name 'c' matches no column"):
            select_columns({"t": columns}, ["a1", "c"])


@needs_cases
class TestSharedCases:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "columns", "refused"),
        [
            ("delphes_output", 115, 0),
            ("uproot-issue404", 1431, 54),
            ("uproot-small-dy-nooffsets", 8, 0),
            ("uproot-issue-398", 30, 0),
            ("uproot-small-evnt-tree-fullsplit", 42, 0),
            ("test_stl_containers_rntuple_v1-0-0-0", 18, 2),
        ],
    )
    def test_every_branch_is_read_or_named(
        self, name: str, columns: int, refused: int
    ) -> None:
        dataset = opened(CASES / f"{name}.root")
        assert sum(len(read_all(t).columns) for t in dataset.tables.values()) == columns
        assert len(dataset.refused) == refused

    def test_no_tree_is_said_at_once(self) -> None:
        dataset = opened(CASES / "uproot-issue-350.root")
        assert not dataset.tables
