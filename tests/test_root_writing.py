"""ROOT files written: any object bit for bit, any name, RNTuples, and what is said of all that is not as it was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import uproot

from flowtuple.errors import Corrupt
from flowtuple.events.root import open_dataset, write_dataset
from flowtuple.events.root_streamers import built_in
from flowtuple.events.source import ReadOptions, WriteOptions
from flowtuple.schema import Column
from flowtuple.table import Dataset, Table


def opened(path: Path) -> Dataset:
    return open_dataset(str(path), ReadOptions())


def rewritten(dataset: Dataset, path: Path, **options: object) -> Dataset:
    write_dataset(dataset, path, WriteOptions(**options))  # type: ignore[arg-type]
    return opened(path)


def put(file: uproot.WritableDirectory, name: str, classname: str, title: str, content: bytes) -> None:
    """Write the bytes of an object of any class."""
    file._cascading.add_object(file.file.sink, classname, name, title, content, len(content))


def content_of(file: uproot.ReadOnlyDirectory, key: str) -> bytes:
    chunk, cursor = file.key(key).get_uncompressed_chunk_cursor()
    return bytes(chunk.remainder(cursor.index, cursor, {}))


class TestObjects:
    CONTENTS: ClassVar = {
        "stdstring": ("string", "", b"\x09hello std"),
        "parameter": ("TParameter<double>", "", b"@\x00\x00\x18\x00\x02\x00\x01" + bytes(16) + b"\x40\x0a"),
        "unknown": ("Our::Histogram", "of a class that uproot knows nothing of", bytes(range(256)) * 40),
        "empty": ("map<string,int>", "", b""),
    }

    @pytest.mark.parametrize("compression", ["none", "LZMA:9"])
    def test_any_class_comes_back_bit_for_bit(self, tmp_path: Path, compression: str) -> None:
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
        with uproot.open(io.BytesIO(opened(tmp_path / "a.root").carried["list"])) as small:
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
    def test_what_points_elsewhere_is_refused(self, tmp_path: Path, classname: str, content: bytes) -> None:
        with uproot.recreate(tmp_path / "a.root") as file:
            put(file, "x", classname, "", content)
        assert opened(tmp_path / "a.root").refused == {"x": f"{classname}: it points to other parts of its file"}

    def test_equal_objects_give_equal_bytes(self, tmp_path: Path) -> None:
        for name, compression in (("a", None), ("b", uproot.ZLIB(9))):
            with uproot.recreate(tmp_path / f"{name}.root", compression=compression) as file:
                file["other" + name] = "noise"
                put(file, "x", "TProfile", "", b"\xff\xff\xff\xffTAxis\x00" * 99)
        assert opened(tmp_path / "a.root").carried["x"] == opened(tmp_path / "b.root").carried["x"]

    def test_an_object_that_uproot_cannot_make_is_read_as_before(self, tmp_path: Path) -> None:
        version = max(built_in()["TH1D"])
        assert version == 3
        with uproot.recreate(tmp_path / "a.root") as file:
            file["h"] = np.histogram(np.arange(9.0), bins=4)
        second = rewritten(rewritten(opened(tmp_path / "a.root"), tmp_path / "b.root"), tmp_path / "c.root")
        assert second.carried == opened(tmp_path / "a.root").carried
        with uproot.open(tmp_path / "a.root") as one, uproot.open(tmp_path / "c.root") as two:
            assert one["h"].all_members["fTitle"] == two["h"].all_members["fTitle"]
            assert content_of(one, "h") == content_of(two, "h")

    def test_damaged_bytes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Corrupt, match="the carried object 'h' is damaged; restore the file from a copy"):
            write_dataset(Dataset("m", {}, {"h": b"root"}), tmp_path / "a.root", WriteOptions())
