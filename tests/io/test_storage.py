"""Bytes by ranges: from disk and from behind URLs, close ranges in one read, and a short file is
called by its name.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.table import difference, read_all
from flowtuple.errors import InvalidArgument, Truncated
from flowtuple.file import storage as module
from flowtuple.file.storage import GAP, Storage

CONTENT = np.random.default_rng(0).integers(0, 256, 5 * GAP, dtype=np.uint8).tobytes()


@pytest.fixture(params=["path", "Path", "file://", "memory://"])
def place(request, tmp_path):
    """The same bytes on disk and behind URLs."""
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    if request.param != "memory://":
        yield {"path": str(path), "Path": path, "file://": f"file://{path}"}[
            request.param
        ]
        return
    system = fsspec.filesystem("memory")
    system.pipe_file("/storage/content.bin", CONTENT)
    yield "memory://storage/content.bin"
    system.rm("/storage", recursive=True)


@pytest.fixture
def reads(monkeypatch):
    found, take = [], Storage.read
    monkeypatch.setattr(
        Storage, "read", lambda self, *span: found.append(span) or take(self, *span)
    )
    return found


def test_ranges(place):
    with contextlib.closing(Storage(place)) as storage:
        assert (storage.path, storage.size) == (str(place), len(CONTENT))
        for offset, length in [
            (0, 1),
            (0, len(CONTENT)),
            (7, 0),
            (len(CONTENT), 0),
            (len(CONTENT) - 3, 3),
            (GAP, 77),
        ]:
            assert storage.read(offset, length) == CONTENT[offset : offset + length]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(5, 9)], [(5, 4)]),
        ([(5, 9), (9, 20)], [(5, 15)]),
        ([(5, 9), (9 + GAP, 20 + GAP)], [(5, 15 + GAP)]),
        ([(5, 9), (10 + GAP, 20 + GAP)], [(5, 4), (10 + GAP, 10)]),
        (
            [(0, 4), (8, 12), (3 * GAP, 3 * GAP + 1), (4 * GAP, 4 * GAP + 2)],
            [(0, 12), (3 * GAP, GAP + 2)],
        ),
        ([(5, 9), (5, 9)], [(5, 4), (5, 4)]),
    ],
    ids=["none", "one", "touching", "close", "far", "groups", "twice"],
)
def test_close_ranges_are_read_together(place, reads, spans, expected):
    with contextlib.closing(Storage(place)) as storage:
        assert storage.read_ranges(spans) == [
            CONTENT[begin:stop] for begin, stop in spans
        ]
    assert reads == expected


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (-1, 2), (-9, 10), (100, 1)])
def test_reading_past_the_end_is_truncated(place, offset, length):
    begin = len(CONTENT) + offset
    with contextlib.closing(Storage(place)) as storage:
        with pytest.raises(
            Truncated,
            match=rf"content\.bin: ends at byte {max(begin, len(CONTENT))}, .*fetch or copy it again",
        ):
            storage.read(begin, length)
        with pytest.raises(Truncated, match="within its contents"):
            storage.read_ranges([(3, 4), (begin, begin + length)])


@pytest.mark.parametrize("most", [1, 1000])
def test_reads_that_the_system_cuts_short_go_on(tmp_path, monkeypatch, most):
    """Linux hands out 2 GiB at most."""
    (tmp_path / "content.bin").write_bytes(CONTENT[:3000])
    pread, asked = module.os.pread, []

    def little(handle, length, offset):
        asked.append(offset)
        return pread(handle, min(length, most), offset)

    monkeypatch.setattr(module.os, "pread", little)
    with contextlib.closing(Storage(tmp_path / "content.bin")) as storage:
        assert storage.read(500, 2500) == CONTENT[500:3000]
        assert asked == list(range(500, 3000, most))
        with pytest.raises(Truncated, match="ends at byte 3000"):
            storage.read(500, 2501)


def test_threads_share_it(place):
    with contextlib.closing(Storage(place)) as storage, ThreadPoolExecutor(8) as pool:
        spans = [(k * 997 % len(CONTENT), 300) for k in range(200)]
        found = pool.map(
            lambda span: storage.read(*span),
            [s for s in spans if s[0] + 300 <= len(CONTENT)],
        )
        assert list(found) == [
            CONTENT[a : a + n] for a, n in spans if a + n <= len(CONTENT)
        ]


def test_missing_file_names_the_nearest(tmp_path):
    for name in ("events.ftup", "event.root", ".evens.ftup.0123abcd.part.ftup"):
        (tmp_path / name).touch()
    with pytest.raises(
        InvalidArgument, match=r"evens\.ftup: no such file; nearest: events\.ftup$"
    ):
        Storage(tmp_path / "evens.ftup")
    with pytest.raises(
        InvalidArgument,
        match=r"nowhere/x\.ftup: no such file; the folder .* does not exist",
    ):
        Storage(tmp_path / "nowhere" / "x.ftup")


@pytest.mark.parametrize(
    "url", ["memory://storage/absent.ftup", "file:///nowhere/absent.ftup"]
)
def test_missing_file_behind_a_url(url):
    with pytest.raises(
        InvalidArgument, match=rf"^{url}: no such file; check the address$"
    ):
        Storage(url)


def test_folder_cannot_be_read(tmp_path):
    with pytest.raises(InvalidArgument, match=r"cannot be read \(Is a directory\)"):
        Storage(tmp_path)


def test_unknown_protocol_cannot_be_read():
    with pytest.raises(
        InvalidArgument,
        match=r"^nosuch://host/x\.ftup: cannot be read \(.*nosuch.*\); check the address",
    ):
        Storage("nosuch://host/x.ftup")


def test_size_that_a_server_does_not_tell(monkeypatch):
    system = fsspec.filesystem("memory")
    monkeypatch.setattr(type(system), "size", lambda self, name: None)
    with pytest.raises(InvalidArgument, match=r"memory://storage/x: cannot be read \("):
        Storage("memory://storage/x")


def test_closed_file_cannot_be_read(tmp_path):
    (tmp_path / "content.bin").write_bytes(CONTENT[:10])
    storage = Storage(tmp_path / "content.bin")
    storage.close()
    storage.close()
    with pytest.raises(InvalidArgument, match=r"content\.bin: cannot be read \("):
        storage.read(0, 1)


def test_file_in_memory_reads_as_on_disk(tmp_path):
    path = Path(tmp_path / "events.ftup")
    ft.compress({"x": np.arange(500.0), "Jet_pt": [[1.5, 2.5], []] * 250}, path)
    system = fsspec.filesystem("memory")
    system.pipe_file("/storage/events.ftup", path.read_bytes())
    with ft.File("memory://storage/events.ftup") as remote, ft.File(path) as local:
        assert (remote.path, remote.size) == ("memory://storage/events.ftup", local.size)
        assert difference(read_all(remote.table()), read_all(local.table())) is None
    system.pipe_file("/storage/events.ftup", path.read_bytes()[:-1])
    with pytest.raises(
        Truncated,
        match=r"^memory://storage/events\.ftup: does not end with the flowtuple end mark",
    ):
        ft.File("memory://storage/events.ftup")
    system.rm("/storage", recursive=True)
