"""Files behind HTTP: few requests, few bytes, the same values; and files that several readers
share.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import awkward as ak
import fsspec
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.table import Dataset, difference, read_all
from flowtuple.errors import InvalidArgument, Truncated
from flowtuple.file.layout import SectionKind
from flowtuple.file.writer import create
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.context import Parent
from flowtuple.lattice.network import Layer, Network
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.write_events import add_models, description
from hand_made import make_flow

EVENTS, STEP = 25_000, 500
COLUMNS = ("a", "b", "c", "Jet_pt", "noise")


def events(seed: int, count: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    a = draw.normal(50, 10, count).astype(np.float32)
    counts = draw.integers(0, 4, count)
    return {
        "a": a,
        "b": (a + draw.normal(0, 0.5, count)).astype(np.float32),
        "c": draw.normal(0, 1, count).astype(np.float32),
        "Jet_pt": ak.unflatten(
            draw.exponential(30, counts.sum()).astype(np.float32), counts
        ),
        "noise": draw.normal(size=(count, 40)),
    }


def write_large_model(path: Path) -> None:
    """A model as large as those of real data: b follows a, the network of c is mere ballast."""
    table = dataset_from_memory(events(1, 5000)).tables["events"]
    (prepared,) = resolve_tables(
        Dataset("by hand", {"events": table}), {"[abc]": "abs:0.01"}, silent
    )
    parents = {"b": (Parent("row", "a"),), "c": (Parent("row", "a"), Parent("row", "b"))}
    flow, draw = make_flow(table, prepared.coding, parents), np.random.default_rng(1)
    symbols = flow.columns["c"].bins.symbols
    first = Layer(
        draw.integers(-90, 91, (450, 3)).astype(np.int8), np.full(450, 7, np.uint8)
    )
    middle = Layer(
        draw.integers(-90, 91, (200, 451)).astype(np.int8), np.full(200, 13, np.uint8)
    )
    last = Layer(
        draw.integers(-90, 91, (symbols, 201)).astype(np.int8),
        np.full(symbols, 12, np.uint8),
    )
    ballast = replace(flow.columns["c"], network=Network((first, middle, last)))
    flow = replace(flow, columns={**flow.columns, "c": ballast})
    prepared = replace(prepared, coding=replace(prepared.coding, flow=flow))
    with create(path) as writer:
        writer.describe(description([prepared], [], {}, entries=False))
        add_models(writer, [prepared])
        writer.finish()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of fifty chunks with a model of 100 kB."""
    folder = tmp_path_factory.mktemp("remote")
    write_large_model(folder / "m.flow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", STEP)
        ft.compress(events(2, EVENTS), folder / "events.ftup", model=folder / "m.flow")
    with ft.open(folder / "events.ftup") as file:
        assert len(file.table().chunks) == 50
        assert file.table().model_bytes > 80_000
    return folder / "events.ftup"


class Served(BaseHTTPRequestHandler):
    """A folder with one file, by ranges; what was asked for is noted, and the server may fail in
    several ways.
    """

    protocol_version = "HTTP/1.1"
    content = b""
    trouble = ""
    asked: list[tuple[str, int, int]]

    def do_HEAD(self) -> None:
        self.begin(404 if self.trouble == "404" else 200, len(self.content), "HEAD", 0)

    def do_GET(self) -> None:
        first, last = (
            int(n)
            for n in self.headers.get("Range", f"bytes=0-{len(self.content) - 1}")[
                6:
            ].split("-")
        )
        if self.trouble == "no ranges":
            first, last = 0, len(self.content) - 1
        data = self.content[first : last + 1]
        if self.trouble in ("404", "500"):
            self.begin(int(self.trouble), 0, "GET", first)
            return
        self.begin(200 if self.trouble == "no ranges" else 206, len(data), "GET", first)
        if self.trouble == "cut":
            data, self.close_connection = data[: len(data) // 2], True
        self.wfile.write(data)

    def begin(self, code: int, length: int, verb: str, first: int) -> None:
        self.asked.append((verb, first, length))
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is shown."""


@pytest.fixture
def served(path: Path) -> Iterator[tuple[str, type[Served]]]:
    handler = type("Handler", (Served,), {"content": path.read_bytes(), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/events.ftup", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between the tries of a request."""
    monkeypatch.setitem(fsspec.config.conf, "flowtuple", {"timeout": 3})


class TestRemote:
    @pytest.mark.slow
    @pytest.mark.parametrize("start", [0, 12_000, 12_345, EVENTS - 1000])
    @pytest.mark.parametrize("column", ["a", "b", "Jet_pt"])
    def test_some_events_of_a_column_take_few_requests(
        self, path: Path, served: Any, column: str, start: int
    ) -> None:
        url, handler = served
        with ft.open(url) as remote, ft.open(path) as local:
            found = remote[column, start : start + 1000]
            sections = [s for s in local.sections if s.kind is SectionKind.CHUNK]
            assert ak.array_equal(found, local[column, start : start + 1000])
        touched = [
            c
            for k, c in enumerate(sections)
            if k * STEP < start + 1000 and k * STEP + STEP > start
        ]
        gets = [(first, length) for verb, first, length in handler.asked if verb == "GET"]
        others = [
            get
            for get in gets
            if not any(c.offset <= get[0] < c.stop for c in touched) or get[0] == 0
        ]
        assert sum(verb == "HEAD" for verb, *_ in handler.asked) <= 1
        assert len(others) <= 3
        assert len(gets) <= 3 + len(touched)
        assert sum(length for _, length in gets) < 0.1 * path.stat().st_size

    @pytest.mark.slow
    def test_reads_as_on_disk(self, path: Path, served: Any) -> None:
        with ft.open(served[0]) as remote, ft.open(path) as local:
            assert difference(read_all(remote.table()), read_all(local.table())) is None
            assert (remote.meta, remote.sections, remote.size) == (
                local.meta,
                local.sections,
                local.size,
            )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("trouble", "message"),
        [
            ("500", r"cannot be read \(500 .*; tried 3 times\); .*try again"),
            (
                "cut",
                r"cannot be read \(the connection breaks: .*; tried 3 times\); .*try again",
            ),
            (
                "no ranges",
                r"cannot be read \(.* by ranges, only the whole file\); .*copy the file",
            ),
        ],
    )
    def test_server_that_fails(
        self, served: Any, impatient: None, trouble: str, message: str
    ) -> None:
        url, handler = served
        handler.trouble = trouble
        with pytest.raises(InvalidArgument, match=message) as opening:
            ft.open(url)
        handler.trouble = ""
        with ft.open(url) as file:
            handler.trouble = trouble
            with pytest.raises(InvalidArgument, match=message) as reading:
                file["Jet_pt", 9000:9100]
            handler.trouble = ""
            # and goes on where the server does
            assert len(file["Jet_pt", 9000:9100]) == 100
        for error in (opening.value, reading.value):
            assert str(error).startswith(f"{url}: ")
            assert "\n" not in str(error)

    @pytest.mark.slow
    def test_file_that_was_replaced_by_a_shorter_one(self, served: Any) -> None:
        url, handler = served
        with ft.open(url) as file:
            handler.content = handler.content[:100_000]
            with pytest.raises((InvalidArgument, Truncated), match=r"events\.ftup: "):
                file["a"]

    @pytest.mark.slow
    def test_server_that_is_gone(self, path: Path) -> None:
        with pytest.raises(
            InvalidArgument,
            match=r"^http://127\.0\.0\.1:9/events\.ftup: cannot be read \(Cannot connect .*\); check the address",
        ):
            ft.open("http://127.0.0.1:9/events.ftup")

    @pytest.mark.slow
    def test_file_that_is_not_there(self, served: Any) -> None:
        served[1].trouble = "404"
        with pytest.raises(
            InvalidArgument,
            match=r"^http://127\.0\.0\.1:\d+/events\.ftup: no such file; check the address$",
        ):
            ft.open(served[0])

    @pytest.mark.slow
    def test_threads_share_a_handle(self, path: Path, served: Any) -> None:
        read_in_threads(served[0], path, 16)


def read_in_threads(place: str | Path, path: Path, count: int) -> None:
    """Other columns and events in each of eight threads."""
    draw = np.random.default_rng(3)
    with (
        ft.open(place, resources=ft.Resources(workers=2)) as file,
        ft.open(path, resources=ft.Resources(workers=1)) as local,
        ThreadPoolExecutor(8) as pool,
    ):
        jobs = [
            (
                COLUMNS[int(draw.integers(5))],
                *sorted(draw.integers(0, EVENTS, 2).tolist()),
            )
            for _ in range(count)
        ]
        jobs = [(name, start, min(stop, start + 2000)) for name, start, stop in jobs]
        found = list(pool.map(lambda job: file[job[0], job[1] : job[2]], jobs))
        for (name, start, stop), values in zip(jobs, found, strict=True):
            assert ak.array_equal(values, local[name, start:stop]), (name, start, stop)


@pytest.mark.slow
def test_eight_threads_share_a_handle(path: Path) -> None:
    read_in_threads(path, path, 48)


@pytest.mark.slow
def test_eight_threads_read_one_event_each_again_and_again(path: Path) -> None:
    """Reading event by event keeps the last chunk; threads must not take one another's."""
    with ft.open(path) as file, ThreadPoolExecutor(8) as pool:
        expected = {name: file[name, :3000].to_list() for name in ("a", "b", "c")}
        jobs = [(name, k) for k in range(100, 3000, 140) for name in expected]
        found = list(pool.map(lambda job: float(file[job]), jobs))
        assert found == [expected[name][k] for name, k in jobs]


@pytest.mark.slow
def test_two_processes_read_a_file(path: Path) -> None:
    program = (
        "import sys, awkward as ak, flowtuple as ft\n"
        "with ft.open(sys.argv[1]) as f:\n"
        "    print(float(ak.sum(f['b'])), float(ak.sum(f['Jet_pt', 5000:])))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=600)[0] for process in running]
    with ft.open(path) as file:
        assert (
            told
            == [f"{float(ak.sum(file['b']))} {float(ak.sum(file['Jet_pt', 5000:]))}\n"]
            * 2
        )
    assert [process.returncode for process in running] == [0, 0]
