"""Servers that are busy, stall, or do not tell sizes or send ranges: right values, or one line
within the stated time.
"""

from __future__ import annotations

import http.server
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.data.table import read_all
from flowtuple.errors import InvalidArgument
from flowtuple.io.remote import TIMEOUT, TRIES
from flowtuple.io.source import open_dataset, write_dataset

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
SHORT = 0.25  # seconds of the time-out here
X = np.random.default_rng(0).normal(size=20_000)  # more than is read on opening
SUFFIXES = (".ftup", ".root", ".parquet", ".h5", ".npz", ".csv")
FORMATS = pytest.mark.parametrize("suffix", SUFFIXES)


class Faulty(http.server.BaseHTTPRequestHandler):
    """A folder behind HTTP by ranges, with a fault: `fault` names it, `times` says how often."""

    protocol_version = "HTTP/1.1"
    folder: Path
    fault = ""
    times = 10**9
    asked: list[str]
    go_on: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.command)
        content = (self.folder / self.path[1:]).read_bytes()
        is_faulty, handler = len(self.asked) > 1 and self.times > 0, type(self)
        is_range = "Range" in self.headers and "no ranges" not in self.fault
        first, last = 0, len(content) - 1
        if is_range:
            first, last = map(int, self.headers["Range"][6:].split("-"))
        part = content[first : last + 1]
        if self.fault in ("busy", "gone", "stall", "stall within") and is_faulty:
            handler.times -= 1
            if self.fault == "stall":
                self.go_on.wait(20)
            if self.fault in ("busy", "gone"):
                self.send_response(503 if self.fault == "busy" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if is_range else 200)
        if "no length" in self.fault:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(part)))
        if is_range:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            if self.fault == "stall within" and is_faulty:
                self.wfile.write(part[: len(part) // 2])
                self.go_on.wait(20)
            self.wfile.write(part)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing is shown."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the reader has given up
            self.close_connection = True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    ft.compress({"x": X}, folder / "x.ftup", effort="fast")
    for suffix in SUFFIXES[1:]:
        write_dataset(open_dataset({"x": X}), folder / f"x{suffix}")
    return folder


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The handler of a server with a short time-out, and its `url`."""
    monkeypatch.setitem(fsspec.config.conf, "flowtuple", {"timeout": SHORT})
    content = {"folder": folder, "asked": [], "go_on": threading.Event()}
    handler: Any = type("Handler", (Faulty,), content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        handler.url = f"http://127.0.0.1:{served.server_port}/x"
        yield handler
        handler.go_on.set()
        served.shutdown()
        thread.join()


def values(url: str) -> Any:
    """The column of a compressed file or an input."""
    if url.endswith(".ftup"):
        with ft.open(url) as file:
            return file["x"].to_numpy()
    (table,) = open_dataset(url).tables.values()
    return read_all(table)["x"]


FAULTS = pytest.mark.parametrize(
    ("fault", "suffix"),
    [("busy", suffix) for suffix in SUFFIXES]
    + [("stall", ".ftup"), ("stall", ".csv"), ("stall", ".root")],
)


@FAULTS
def test_a_server_that_fails_twice_gives_the_values(
    server: Any, suffix: str, fault: str
) -> None:
    server.fault, server.times = fault, 2
    assert np.array_equal(values(server.url + suffix), X)


@pytest.mark.parametrize("suffix", [".ftup", ".parquet"])
def test_a_server_that_stalls_within_an_answer_gives_the_values(
    server: Any, suffix: str
) -> None:
    server.fault, server.times = "stall within", 2
    assert np.array_equal(values(server.url + suffix), X)


REASONS = {
    "busy": r"503 Service Unavailable; tried 3 times",
    "stall": r"the server sends nothing for 0\.25 s; tried 3 times",
}


@FAULTS
def test_a_server_that_stays_so_is_one_line_in_time(
    server: Any, suffix: str, fault: str
) -> None:
    server.fault, url = fault, server.url + suffix
    begin = time.monotonic()
    with pytest.raises(InvalidArgument, match=REASONS[fault]) as caught:
        values(url)
    assert time.monotonic() - begin < 8 * SHORT
    advice = "check the address and your access, try again, or copy the file here"
    message = rf"{url}: cannot be read \({REASONS[fault]}\); {advice}"
    assert re.fullmatch(message, str(caught.value))


@pytest.mark.parametrize("suffix", [".ftup", ".root", ".parquet", ".h5"])
def test_a_server_that_fails_after_opening_is_no_damage(
    server: Any, folder: Path, suffix: str
) -> None:
    url = f"{server.url}{suffix}"
    if suffix in (".h5", ".parquet"):  # more than fsspec reads ahead
        write_dataset(open_dataset({"x": np.tile(X, 40)}), folder / f"xl{suffix}")
        url = f"{server.url}l{suffix}"
    if suffix == ".ftup":
        table: Any = ft.open(url).table()
    else:
        (table,) = open_dataset(url).tables.values()
    server.fault, stop = "busy", table.num_entries
    with pytest.raises(InvalidArgument, match="503") as caught:
        table.read(["x"], stop - 10, stop)
    assert "tried 3 times" in str(caught.value)
    assert str(caught.value).startswith(f"{url}: ")
    server.fault = ""
    assert np.array_equal(table.read(["x"], stop - 10, stop)["x"], X[-10:])


def test_the_stated_times() -> None:
    """The documentation names 30 seconds and three tries."""
    assert (TIMEOUT, TRIES) == (30, 3)
    for text in (ft.open.__doc__, DOCS.read_text(encoding="utf-8")):
        assert "30 seconds" in str(text)
        assert "three times" in " ".join(str(text).split())
        assert "minute and a half" in " ".join(str(text).split())


@FORMATS
def test_a_server_without_content_length_gives_the_values(
    server: Any, suffix: str
) -> None:
    server.fault = "no length"
    assert np.array_equal(values(server.url + suffix), X)


@FORMATS
@pytest.mark.parametrize("fault", ["no ranges", "no ranges, no length"])
def test_a_server_without_ranges_is_named(server: Any, suffix: str, fault: str) -> None:
    server.fault, url = fault, server.url + suffix
    if fault == "no ranges" and suffix in (".npz", ".csv", ".h5"):
        assert np.array_equal(values(url), X)  # one range is the whole file
        return
    with pytest.raises(
        InvalidArgument,
        match=rf"^{url}: cannot be read \(.* by ranges, only the whole file\); .* copy the file",
    ):
        values(url)


@FORMATS
def test_a_missing_file_is_not_asked_for_again(server: Any, suffix: str) -> None:
    server.fault, server.asked[:] = "gone", [""]
    with pytest.raises(InvalidArgument, match=r"no such file; check the address$"):
        values(server.url + suffix)
    assert server.asked[1:].count("HEAD") <= 1
    assert len(server.asked[1:]) <= 2


@pytest.mark.parametrize("timeout", ["soon", 0, "nan"])
def test_a_time_out_that_is_none(
    server: Any, timeout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "flowtuple", {"timeout": timeout})
    with pytest.raises(
        InvalidArgument,
        match=rf"option flowtuple\.timeout is {timeout!r}; give it seconds",
    ):
        ft.open(f"{server.url}.ftup")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("is_remote", [True, False])
def test_a_forked_process_reads_an_open_file(
    server: Any, folder: Path, is_remote: bool
) -> None:
    with ft.open(
        f"{server.url}.ftup" if is_remote else folder / "x.ftup",
        resources=ft.Resources(1),
    ) as file:
        assert np.array_equal(file["x", :10], X[:10])
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if np.array_equal(file["x", 15_000:], X[15_000:]) else 1)
            finally:
                os._exit(2)
        deadline = time.monotonic() + 20
        status = (0, 0)
        while status[0] == 0 and time.monotonic() < deadline:
            assert np.array_equal(file["x", 5:90], X[5:90])
            status = os.waitpid(child, os.WNOHANG)
        if status[0] == 0:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert status == (child, 0)
