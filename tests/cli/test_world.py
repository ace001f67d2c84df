"""The world around a command: names, owners, signals, full disks, pipes, damaged checkpoints, files
that claim too much.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import flowtuple as ft
from flowtuple.api import Selection, demo
from flowtuple.batch.manifest import Manifest, Record, opened
from flowtuple.batch.run import _cleared
from flowtuple.batch.tasks import Task as FileTask
from flowtuple.cli.stopping import Stopped, stopping
from flowtuple.codec.column import Method, StoredColumn
from flowtuple.codec.directory import join
from flowtuple.codec.packing import zstd
from flowtuple.codec.varint import write_signed
from flowtuple.comparison.verification import Promise, first_bounds
from flowtuple.data.bounds import Bound
from flowtuple.data.memory import Gate, entries_within
from flowtuple.data.schema import Column
from flowtuple.data.schema_diff import check_same_columns, read_like
from flowtuple.data.table import Table, read_all
from flowtuple.errors import InvalidArgument, TooLarge
from flowtuple.file.layout import SectionKind
from flowtuple.file.merge import merge
from flowtuple.file.writer import create
from flowtuple.io.full_disk import DeferredErrorFile
from flowtuple.io.source import open_dataset
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import Integers
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.network import Layer, Network
from flowtuple.reporting.describe import info
from flowtuple.runtime.atomic import atomic_path, remove_parts
from flowtuple.runtime.threads import ordered_map
from flowtuple.training.checkpoint import Checkpoint
from flowtuple.training.conditioners import Schedule
from flowtuple.training.plan import Candidate, ColumnTask
from flowtuple.training.relations import References, reach
from flowtuple.training.train import _Job, _trained
from in_process import run_here
from opcodes import count_opcodes


def columns(events: int = 3000) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    wide = draw.normal(size=(events, 20)).astype("f4")
    return {"x": draw.normal(size=events), "k": np.arange(events), "wide": wide}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events, compressed, and a model of them."""
    made = tmp_path_factory.mktemp("world")
    np.savez(made / "events.npz", **columns())
    ft.compress(columns(), made / "events.ftup")
    flat = {name: values for name, values in columns().items() if values.ndim == 1}
    ft.compress(flat, made / "flat.ftup")
    ft.train(columns(), made / "m.flow")
    merge([made / "events.ftup"] * 160, made / "long.ftup")
    return made


def run(*words: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "flowtuple", *map(str, words)]
    return subprocess.run(
        whole, capture_output=True, text=True, timeout=120, check=False, **settings
    )


@pytest.mark.skipif(
    sys.getfilesystemencoding() != "utf-8", reason="names of files are ASCII here"
)
class TestNames:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "stem", ["n" * 247, "é" * 123, "\U0001f680" * 61, "a" + "é" * 123]
    )
    @pytest.mark.parametrize("suffix", [".h5", ".npz", ".root", ".parquet"])
    def test_as_long_as_the_system_allows(
        self, folder: Path, tmp_path: Path, stem: str, suffix: str
    ) -> None:
        while len(f"{stem}{suffix}".encode()) > 255:
            stem = stem[:-1]
        target = tmp_path / f"{stem}{suffix}"
        ft.decompress(folder / "flat.ftup", target)
        assert [path.name for path in tmp_path.iterdir()] == [target.name]
        assert (
            ft.decompress(folder / "flat.ftup")["k"].tolist()
            == open_dataset(target)
            .tables.popitem()[1]
            .read(["k"], 0, 3000)
            .data["k"]
            .tolist()
        )

    def test_one_that_is_too_long_is_refused_before_the_work(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(
            InvalidArgument,
            match=r"cannot be written \(File name too long\); .* a shorter name",
        ):
            ft.compress({"x": [1.0]}, tmp_path / f"{'n' * 256}.ftup")
        assert list(tmp_path.iterdir()) == []

    def test_the_temporary_name_keeps_a_suffix_and_no_long_end(
        self, tmp_path: Path
    ) -> None:
        for name, end in ((f"{'n' * 250}.npz", ".npz"), ("a." + "s" * 240, ".part")):
            with atomic_path(tmp_path / name) as temporary:
                temporary.write_bytes(b"")
                assert temporary.name.endswith(end)
                assert temporary.parent == tmp_path

    def test_what_a_killed_writer_left_is_found_again(self, tmp_path: Path) -> None:
        names = ["out.ftup", "run0123abcd.ftup", f"{'é' * 120}.ftup"]
        for name in names:
            with atomic_path(tmp_path / name) as temporary:
                temporary.with_name(
                    re.sub(r"\.[0-9a-f]{8}\.part", ".01234567.part", temporary.name)
                ).touch()
            (tmp_path / f".{name}.part").touch()  # somebody else's
            remove_parts(tmp_path / name)
        assert {path.name for path in tmp_path.iterdir()} == {
            *names,
            *(f".{name}.part" for name in names),
        }


class TestReplacing:
    @pytest.mark.slow
    def test_mode_is_kept_and_a_new_file_obeys_the_umask(
        self, folder: Path, tmp_path: Path
    ) -> None:
        before = os.umask(0o027)
        try:
            for suffix in (".npz", ".h5", ".root", ".parquet", ".csv"):
                new, old = tmp_path / f"new{suffix}", tmp_path / f"old{suffix}"
                old.write_bytes(b"")
                old.chmod(0o604)
                for target in (new, old):
                    ft.decompress(folder / "flat.ftup", target)
                assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [
                    0o640,
                    0o604,
                ], suffix
            model = tmp_path / "m.ftup"
            model.touch(0o600)
            ft.compress({"x": [1.0]}, model)
            assert stat.S_IMODE(model.stat().st_mode) == 0o600
        finally:
            os.umask(before)

    def test_nobody_else_reads_while_it_is_written(self, tmp_path: Path) -> None:
        target = tmp_path / "secret.ftup"
        target.touch(0o400)
        with atomic_path(target) as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert stat.S_IMODE(target.stat().st_mode) == 0o400

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_owner_is_kept(self, tmp_path: Path) -> None:
        target = tmp_path / "theirs.ftup"
        target.touch(0o640)
        os.chown(target, 12345, 23456)
        ft.compress({"x": [1.0]}, target)
        found = target.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (
            12345,
            23456,
            0o640,
        )

    def test_an_owner_that_may_not_be_given_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "theirs.ftup"
        target.touch(0o640)
        there = os.stat_result((0o100640, 0, 0, 1, 7, 8, 0, 0, 0, 0))

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "fchown", refuse, raising=False)
        monkeypatch.setattr(os, "chown", refuse)
        monkeypatch.setattr(os, "fstat", lambda _: there)
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"ours")
        assert target.read_bytes() == b"ours"


class TestSignals:
    @pytest.mark.slow
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    @pytest.mark.parametrize("suffix", [".npz", ".h5"])
    def test_temporary_files_go(
        self, folder: Path, tmp_path: Path, number: signal.Signals, suffix: str
    ) -> None:
        target = tmp_path / f"out{suffix}"
        words = ["decompress", str(folder / "long.ftup"), "-o", str(target)]
        command = [sys.executable, "-m", "flowtuple", *words]
        for _ in range(
            10
        ):  # a command that ends before the signal comes is started again
            target.write_bytes(b"old")
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            while process.poll() is None and len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.002)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            if process.returncode != 0:
                break
        assert process.returncode == 128 + number, err
        assert [path.name for path in tmp_path.iterdir()] == [target.name]
        assert target.read_bytes() == b"old"
        named = (
            ""
            if number == signal.SIGINT
            else f"flowtuple: stopped by {number.name}; what was not complete is removed\n"
        )
        assert (out, err) == ("", named)

    def test_nohup_is_obeyed(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with stopping():
                assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
                assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        finally:
            signal.signal(signal.SIGHUP, before)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_trainings_that_nobody_waits_for_end_at_their_step(self) -> None:
        started, ended = threading.Event(), threading.Event()

        def train(
            job: Any, progress: Callable[..., None], check: Callable[[], None]
        ) -> list:
            if job.hidden == (0, 0):
                started.wait(60)
                return []
            for _ in range(1000):
                started.set()
                try:
                    check()
                except Exception:
                    ended.set()
                    raise
                time.sleep(0.01)
            return []

        jobs = [_Job(None, hidden, Schedule(1, 1)) for hidden in ((0, 0), (1, 1))]
        trained = _trained(jobs, train, lambda share, bits: None, 2)
        assert next(trained) == (jobs[0], [])
        trained.close()
        assert ended.wait(5)

    def test_a_signal_does_not_wait_for_threads(self) -> None:
        go_on, ended = threading.Event(), threading.Event()

        def work(item: int) -> int:
            if item:
                go_on.wait(60)
                ended.set()
            return item

        results = ordered_map(work, range(8), workers=2)
        assert next(results) == 0
        try:
            with pytest.raises(Stopped, match="15"):
                results.throw(Stopped(15))  # type: ignore[attr-defined]
            assert not ended.is_set()
        finally:
            go_on.set()

    def test_workers_that_end_with_us_leave_nothing(self, tmp_path: Path) -> None:
        task, done = (
            FileTask(name, "in", str(tmp_path / name)) for name in ("a.npz", "b.npz")
        )
        manifest = Manifest(tmp_path / "m", "job")
        for name in ("a", "b"):
            (tmp_path / f".{name}.01234567.part.npz").touch()
        with contextlib.suppress(Stopped), _cleared([task, done], manifest, "local:2"):
            manifest.add(Record("b.npz", "in", "key"))
            raise Stopped(15)
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [
            ".b.01234567.part.npz"
        ]
        with contextlib.suppress(Stopped), _cleared([done], manifest, "tcp://there:8786"):
            raise Stopped(15)
        assert (
            tmp_path / ".b.01234567.part.npz"
        ).exists()  # somebody elsewhere may be writing it


class TestStreams:
    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_full_output_is_one_line(self, folder: Path, more: list[str]) -> None:
        with open("/dev/full", "w") as full:
            words = [
                sys.executable,
                "-m",
                "flowtuple",
                "info",
                str(folder / "events.ftup"),
                *more,
            ]
            ended = subprocess.run(
                words, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert ended.returncode == 2
        assert re.fullmatch(
            r"flowtuple: [^\n]*cannot be written \(No space left on device\)[^\n]*\n",
            ended.stderr,
        )

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
    @pytest.mark.parametrize("words", [["info", "nofile"], ["info", "--nothing"]])
    def test_full_error_stream_keeps_the_exit_code(self, words: list[str]) -> None:
        with open("/dev/full", "w") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "flowtuple", *words], stderr=full, check=False
            )
        assert ended.returncode == 2

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_full_output_is_named(self, unbuffered: str) -> None:
        with open("/dev/full", "w") as full:
            ended = subprocess.run(
                [sys.executable, "-m", "flowtuple", "--version"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            )
        assert ended.returncode == 2
        assert re.fullmatch(
            r"flowtuple: standard output[^\n]*: cannot be written \(No space[^\n]*\n",
            ended.stderr,
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_a_reader_that_has_seen_enough(self, folder: Path, more: list[str]) -> None:
        read, write = os.pipe()
        os.close(read)
        words = [
            sys.executable,
            "-m",
            "flowtuple",
            "info",
            str(folder / "events.ftup"),
            *more,
        ]
        ended = subprocess.run(
            words, stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert (ended.returncode, ended.stderr) == (0, "")

    @pytest.mark.slow
    @pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
    def test_closed_streams(self, folder: Path, tmp_path: Path, closed: str) -> None:
        command = f"{shlex.quote(sys.executable)} -m flowtuple decompress events.ftup -o {tmp_path}/o.npz {closed}"
        ended = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, check=False, cwd=folder
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert (tmp_path / "o.npz").exists()


def limited(nbytes: int) -> Callable[[], None]:
    """In the child: no file may grow beyond so many bytes, as if the disk were full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))


class TestFullDisk:
    OUTPUTS = (".h5", ".root", ".parquet", ".npz", ".csv", ".csv.gz", ".txt")

    @pytest.mark.slow
    @pytest.mark.parametrize("suffix", OUTPUTS)
    def test_decompress(self, folder: Path, tmp_path: Path, suffix: str) -> None:
        target = tmp_path / f"out{suffix}"
        target.write_bytes(b"old")
        ended = run(
            "decompress", folder / "flat.ftup", "-o", target, preexec_fn=limited(6000)
        )
        assert ended.returncode == 2, ended.stderr
        assert re.fullmatch(
            r"flowtuple: [^\n]*cannot be written \([^\n]*\n", ended.stderr
        )
        assert target.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [target]

    @pytest.mark.slow
    @pytest.mark.parametrize("room", [0, 2000, 10_000])
    def test_hdf5_at_any_moment(self, folder: Path, tmp_path: Path, room: int) -> None:
        ended = run(
            "decompress",
            folder / "events.ftup",
            "-o",
            tmp_path / "out.h5",
            preexec_fn=limited(room),
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "words",
        [
            ("compress", "events.npz", "--model", "m.flow", "-o", "OUT.ftup"),
            ("merge", "events.ftup", "events.ftup", "-o", "OUT.ftup"),
            ("score", "m.flow", "events.npz", "-o", "OUT.h5"),
            ("sample", "m.flow", "-n", "5000", "-o", "OUT.root"),
            ("report", "events.npz", "events.ftup", "-o", "OUT"),
        ],
    )
    def test_other_commands(
        self, folder: Path, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        if words[0] == "report":
            pytest.importorskip("matplotlib")
        asked = [word.replace("OUT", str(tmp_path / "out")) for word in words]
        ended = run(*asked, preexec_fn=limited(3000), cwd=folder)
        assert ended.returncode == 2, ended.stderr
        assert re.fullmatch(
            r"flowtuple: [^\n]*cannot be written \([^\n]*\n", ended.stderr
        )
        assert list(tmp_path.iterdir()) == []  # the folder of the report among it

    @pytest.mark.slow
    def test_a_real_full_disk(self, folder: Path, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = shutil.which("mount")
        options = ["-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)]
        if (
            mount is None
            or subprocess.run(
                [mount, *options], capture_output=True, check=False
            ).returncode
        ):
            pytest.skip("no file system may be mounted here")
        try:
            ended = run("decompress", folder / "events.ftup", "-o", disk / "out.h5")
            assert re.fullmatch(
                r"flowtuple: [^\n]*No space left on device[^\n]*\n", ended.stderr
            )
            assert (ended.returncode, list(disk.iterdir())) == (2, [])
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_what_did_not_reach_the_disk_is_still_read_back(self, tmp_path: Path) -> None:
        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        file = DeferredErrorFile(tmp_path / "f")
        file.write(memoryview(b"abcdef"))
        file.check()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            file.write(memoryview(b"ghi"))
        assert file.seek(0, os.SEEK_END) == 9
        file.seek(4)
        assert file.read(6) == b"efghi\0"
        assert file.tell() == 10
        with pytest.raises(OSError, match="No space left"):
            file.check()
        file.close()


class TestFolders:
    @pytest.mark.slow
    def test_a_report_that_fails_leaves_no_folder(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("matplotlib")

        def fail(*_: object) -> None:
            raise InvalidArgument("no page today")

        monkeypatch.setattr("flowtuple.reporting.report.write_page", fail)
        with pytest.raises(InvalidArgument, match="no page today"):
            ft.report(folder / "events.npz", folder / "events.ftup", tmp_path / "a" / "b")
        assert list(tmp_path.iterdir()) == []

    def test_a_contest_and_a_demo_that_fail_leave_no_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("matplotlib")
        with pytest.raises(InvalidArgument, match="matches no column"):
            ft.bench({"x": [1.0]}, tolerance={"y": "abs:1"}, folder=tmp_path / "bench")

        def fail(*_: object, **__: object) -> None:
            raise InvalidArgument("no model today")

        monkeypatch.setattr("flowtuple.api.measuring.compress", fail)
        with pytest.raises(InvalidArgument, match="no model today"):
            demo(tmp_path / "demo")
        assert list(tmp_path.iterdir()) == []


def described(name: str, dtype: str = "int64", **place: Any) -> dict[str, Any]:
    """A column as a description has it, exact whole numbers."""
    lattice = Lattice(dtype, Bound(), Integers(dtype)).to_json()
    return Column(name, dtype, **place).to_json() | {"lattice": lattice}


def constant(number: int) -> StoredColumn:
    return StoredColumn(Method.CONSTANT, write_signed([number]))


def crafted(
    path: Path,
    columns: list[dict[str, Any]],
    chunks: list[tuple[int, list[StoredColumn]]],
) -> Path:
    """A file with all its checksums right."""
    entries = sum(events for events, _ in chunks)
    with create(path) as writer:
        tables = [{"name": "t", "entries": entries, "columns": columns}]
        writer.describe({"tables": tables, "carried": [], "provenance": {}})
        for events, stored in chunks:
            head, body = join(stored)
            writer.add(SectionKind.CHUNK, 0, head, body, events)
        writer.finish()
    return path


def zeros(nbytes: int) -> bytes:
    """A zstd frame of so many zeros, made piece by piece."""
    packer = zstandard.ZstdCompressor(level=1).compressobj(size=nbytes)
    block = bytes(2**20)
    return b"".join(
        [*(packer.compress(block) for _ in range(nbytes // 2**20)), packer.flush()]
    )


COUNTED = [described("n", role="counter"), described("x", counter="n")]
OPAQUE_ZEROS = StoredColumn(Method.OPAQUE, zeros(2**29))
CLAIMS: dict[str, tuple[list[dict[str, Any]], list[tuple[int, list[StoredColumn]]]]] = {
    "objects of an event": (COUNTED, [(1, [constant(2**28), constant(1)])]),
    "objects of all events": (COUNTED, [(2**20, [constant(255), constant(1)])]),
    "a shape": ([described("x", "int8", shape=(2**28,))], [(1, [constant(1)])]),
    "shapes of all events": (
        [described("x", "int8", shape=(2**8,))],
        [(2**20, [constant(1)])],
    ),
    "events": ([described("x")], [(2**20, [constant(1)])] * 300),
    "columns": ([described(f"x{k}") for k in range(300)], [(2**20, [constant(1)] * 300)]),
    "opaque": ([{"name": "x", "dtype": "opaque"}], [(1, [OPAQUE_ZEROS])]),
}


def peak(code: str, path: Path) -> tuple[int, str]:
    """Peak memory of a process in bytes, and what it printed."""
    whole = f"import re, sys\nimport flowtuple as ft\nfrom flowtuple.errors import TooLarge\npath = sys.argv[1]\n{code}"
    whole += "\nprint(1024 * int(re.search('VmHWM:[^0-9]*([0-9]+)', open('/proc/self/status').read())[1]))"
    ended = subprocess.run(
        [sys.executable, "-c", whole, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    *said, last = ended.stdout.splitlines()
    return int(last), "\n".join(said)


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="the system does not tell the peak of memory",
)
class TestClaims:
    @pytest.mark.slow
    @pytest.mark.parametrize("claim", CLAIMS)
    def test_what_a_small_file_claims_is_refused_before_it_is_allocated(
        self, tmp_path: Path, claim: str
    ) -> None:
        path = crafted(tmp_path / "small.ftup", *CLAIMS[claim])
        assert path.stat().st_size < 50_000
        tried = "try:\n    ft.open(path).arrays()\nexcept TooLarge as error:\n    print(error)\nelse:\n    print('read')"
        taken, said = peak(
            f"from flowtuple.reporting.describe import info\ninfo(path)\n{tried}", path
        )
        assert re.fullmatch(
            r"[^\n]*small\.ftup: [^\n]*events 0 to [^\n]*allow more with `memory=`[^\n]*",
            said,
        )
        assert taken < 600e6

    def test_the_person_may_allow_more(self, tmp_path: Path) -> None:
        path = crafted(
            tmp_path / "some.ftup", COUNTED, [(1, [constant(2**20), constant(7)])]
        )
        message = r"takes 51MB once it is decoded, more than the memory limit of 20MB"
        with (
            ft.open(path, resources=ft.Resources(memory=20_000_000)) as file,
            pytest.raises(TooLarge, match=message),
        ):
            file.arrays()
        with ft.open(path, resources=ft.Resources(memory=100_000_000)) as file:
            assert file["x"][0, -1] == 7

    def test_results_count_also_where_each_chunk_is_small(self, tmp_path: Path) -> None:
        path = crafted(
            tmp_path / "long.ftup", COUNTED, [(1000, [constant(100), constant(7)])] * 40
        )
        with ft.open(path, resources=ft.Resources(memory=16_000_000)) as file:
            assert len(file["x", 0:10_000]) == 10_000
            with pytest.raises(
                TooLarge,
                match=r"events 0 to 40000 of table 't' take 17MB or more, .* memory limit is 16MB",
            ):
                file["x"]
            assert sum(len(part) for part in file.iterate()) == 40_000

    @pytest.mark.slow
    def test_many_equal_rows_go_out_by_ranges(self, tmp_path: Path) -> None:
        path = crafted(
            tmp_path / "rows.ftup", [described("x")], [(2**20, [constant(3)])] * 64
        )
        taken, _ = peak(
            "ft.decompress(path, path + '.parquet', memory=300_000_000)", path
        )
        assert taken < 700e6
        assert (
            open_dataset(tmp_path / "rows.ftup.parquet").tables.popitem()[1].num_entries
            == 64 * 2**20
        )

    def test_events_that_are_large_are_read_few_at_a_time(self) -> None:
        counts, columns = (
            np.full(100, 10_000),
            (Column("n", "int64", "counter"), Column("x", "int64", counter="n")),
        )
        table = Table("t", columns, 100, {"n": counts, "x": np.zeros(10**6, np.int64)})
        assert entries_within(table, ["x"], 800_000, 65_536) == 9
        assert entries_within(table, ["n"], 800_000, 65_536) == 65_536

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "kind", [SectionKind.CARRIED, SectionKind.MODEL, SectionKind.DESCRIPTION]
    )
    def test_sections_that_unfold(self, tmp_path: Path, kind: SectionKind) -> None:
        path, size = tmp_path / "folded.ftup", 60_000_000
        with create(path) as writer:
            name = ["h"] if kind is SectionKind.CARRIED else []
            text = {"t": " " * size} if kind is SectionKind.DESCRIPTION else {}
            tables = [{"name": "t", "entries": 0, "columns": [described("x")]}]
            writer.describe({"tables": tables, "carried": name, "provenance": text})
            if kind is not SectionKind.DESCRIPTION:
                writer.add(kind, 0, zstd(bytes(size)))
            writer.finish()
        assert path.stat().st_size < 10_000
        message = (
            r"folded\.ftup: its [a-z ]+ takes 6[01]MB, .*open it with more `memory=`"
        )
        with (
            pytest.raises(TooLarge, match=message),
            ft.open(path, resources=ft.Resources(memory=50_000_000)) as file,
        ):
            assert (file.carried, file.table().flow) == ({}, None)

    @pytest.mark.parametrize("claimed", [(2**40,), (10**6, 10**6), (1000,)])
    def test_arrays_of_npz_claim_no_more_than_they_hold(
        self, tmp_path: Path, claimed: tuple[int, ...]
    ) -> None:
        path = tmp_path / "claims.npz"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w") as stream,
        ):
            header = {"descr": "<i8", "fortran_order": False, "shape": claimed}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.write(bytes(800))
        with pytest.raises(
            InvalidArgument,
            match=r"claims\.npz: array 'x' claims \d+ bytes and has at most \d+; it is damaged",
        ):
            open_dataset(path)

    def test_threads_share_what_there_is(self) -> None:
        gate, order = Gate(100), []

        def use(nbytes: int) -> None:
            with gate.share() as take:
                take(nbytes)
                order.append(nbytes)

        with gate.share() as take:
            take(60)
            thread = threading.Thread(target=use, args=(50,))
            thread.start()
            use(40)
            time.sleep(0.05)
            assert order == [40]
        thread.join(5)
        assert order == [40, 50]
        with (
            pytest.raises(
                TooLarge,
                match="takes 1MB once it is decoded, more than the memory limit of 1MB",
            ),
            gate.share() as take,
        ):
            take(101)


class TestWideTables:
    @pytest.mark.slow
    def test_work_is_in_proportion_to_the_columns(self, tmp_path: Path) -> None:
        """The steps of four times the columns, which a quadratic part would make sixteen times as
        many.
        """
        taken = []
        for count in (200, 800):
            columns = [described(f"x{k}") for k in range(count)]
            path = crafted(
                tmp_path / f"{count}.ftup",
                columns,
                [(100, [constant(k) for k in range(count)])],
            )

            def use(path: Path = path) -> None:
                with ft.open(path) as file:
                    assert file["x7"].tolist() == [7] * 100
                    read_all(file.table())
                info(path)

            use()
            taken.append(count_opcodes(use))
        assert taken[1] < 6 * taken[0]

    def test_columns_are_looked_up_and_not_searched(self) -> None:
        taken = []
        for count in (200, 800):
            columns = tuple(
                Column(f"x{k}", "int64", counter=f"n{k}") for k in range(count)
            )
            counters = tuple(
                Column(f"n{k}", "int64", "counter", hidden=True) for k in range(count)
            )
            table = Table(
                "t",
                counters + columns,
                1,
                {c.name: np.ones(1, np.int64) for c in counters + columns},
            )

            def use(table: Table = table, columns: tuple[Column, ...] = columns) -> None:
                assert read_like(table, table.columns, 0, 1).num_entries == 1
                assert [table.column(c.name) for c in columns] == list(columns)
                check_same_columns(table.columns, table.columns, "here")

            taken.append(count_opcodes(use))
        assert taken[1] < 6 * taken[0]

    def test_relations_are_looked_for_within_reach(self) -> None:
        assert reach(1000) > 1000
        assert reach(100_000) == 64

    def test_pointers_are_those_of_a_plain_search(self) -> None:
        names = [
            "Jet_pt",
            "Jet_genJetIdx",
            "GenJet_pt",
            "GenJet_eta",
            "Muon_jetIdx",
            "Muon_pt",
        ]
        columns = [
            Column(f"n{name}", "int64", "counter") for name in ("Jet", "GenJet", "Muon")
        ]
        columns += [
            Column(
                n,
                "int32",
                "reference" if n.endswith("Idx") else "value",
                counter=f"n{n.partition('_')[0]}",
            )
            for n in names
        ]
        found = {
            c.name: [
                (t.name, [o.name for o in others])
                for t, others in References(columns).of(c)
            ]
            for c in columns
        }
        assert found["Jet_pt"] == [("Jet_genJetIdx", ["GenJet_pt", "GenJet_eta"])]
        assert found["Muon_pt"] == [("Muon_jetIdx", ["Jet_pt", "Jet_genJetIdx"])]
        assert found["Jet_genJetIdx"] == found["nJet"] == found["GenJet_pt"] == []


BOUNDS = ("abs:0.125", "abs:0.1", "rel:0.01", "rel:0.3", "bits:4", "bits:9")


def values(dtype: str) -> np.ndarray:
    draw = np.random.default_rng(5)
    x = np.concatenate(
        [draw.normal(0, 30, 800), draw.exponential(1e-3, 200), 2.0 ** np.arange(-9, 9)]
    )
    return np.concatenate([x, -x, [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30]]).astype(
        dtype
    )


class TestPromises:
    @pytest.mark.parametrize("second", BOUNDS)
    @pytest.mark.parametrize("first", BOUNDS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_pairs_hold_and_no_more_is_allowed(
        self, first: str, second: str, dtype: str
    ) -> None:
        x = values(dtype)
        promise = Promise.parse(f"{first}, then {second}")
        moved = x.astype(np.float64)
        with np.errstate(invalid="ignore"):
            for bound in (
                Bound.parse(first),
                Bound.parse(second),
            ):  # as far away from zero as each allows
                allowed = np.where(
                    np.isfinite(moved), bound.largest_difference(moved), 0.0
                )
                before, moved = moved, moved + np.sign(moved) * allowed
                for _ in range(3):  # the sum was rounded
                    moved = np.where(
                        bound.holds(before, moved), moved, np.nextafter(moved, before)
                    )
        ordinary = np.isfinite(x) & (x != 0) & (np.abs(x) < 1e29)
        x, moved = x[ordinary], moved[ordinary]
        wide = x.astype(np.float64)
        if dtype == "float64":
            assert promise.holds(x, moved).all()
        assert promise.holds(x, (wide + (moved - wide) * 0.999).astype(dtype)).all()
        share = (
            2.2 if "bits" in first + second else 1.001
        )  # a value that leaves its binade may move twice as far in the next
        beyond = (wide + (moved - wide) * share).astype(dtype)
        assert not promise.holds(x, beyond)[
            np.abs(beyond - wide) > share * 0.9999 * np.abs(moved - wide)
        ].any()
        assert not promise.holds(x, beyond).all()

    @pytest.mark.parametrize("second", ["abs:0.1", "rel:0.05", "bits:5"])
    @pytest.mark.parametrize("first", ["abs:0.05", "rel:0.01", "bits:7"])
    def test_files_that_were_compressed_again(
        self, tmp_path: Path, first: str, second: str
    ) -> None:
        x = np.random.default_rng(1).exponential(30, 300)
        ft.compress({"x": x, "y": x}, tmp_path / "a.ftup", tolerance={"x": first})
        again = ft.recompress(
            tmp_path / "a.ftup", tmp_path / "b.ftup", tolerance={"x": second}
        )
        (found, other) = ft.verify({"x": x, "y": x}, tmp_path / "b.ftup")
        assert (found.violations, other.violations) == (0, 0)
        assert found.bound == again.bounds["events/x"]
        wrong = x.copy()
        wrong[17] *= 1.5
        assert [
            column.violations
            for column in ft.verify({"x": wrong, "y": x}, tmp_path / "b.ftup")
        ] == [1, 0]

    def test_merged_files_may_have_kept_either(self) -> None:
        promise = Promise.parse("abs:1 or rel:0.5, then abs:0.25")
        x = np.array([1.0, 10.0])
        assert promise.largest_difference(x).round(9).tolist() == [1.25, 5.25]
        assert promise.holds(x, np.array([2.25, 15.25])).all()
        assert not promise.holds(x, np.array([2.26, 15.26])).any()
        assert promise.short == str(promise) == "abs:1 or rel:0.5, then abs:0.25"

    def test_whole_numbers_are_counted_exactly(self) -> None:
        promise = Promise.parse("abs:1.9 or abs:0.5, then abs:2.5")
        x = np.array([2**63 - 1, 2**63 - 1, 0], np.uint64)
        assert promise.holds(
            x, np.array([2**63 + 2, 2**63 + 3, 3], np.uint64)
        ).tolist() == [
            True,
            False,
            True,
        ]

    def test_special_values_stay(self) -> None:
        promise = Promise.parse("abs:1, then rel:0.5")
        x = np.array([np.nan, np.inf, -0.0, 1.0, 1e308])
        assert promise.holds(x, x).all()
        assert (
            promise.holds(x, np.array([0.0, 1e308, 0.0, np.nan, np.inf])).tolist()
            == [False] * 5
        )

    def test_one_bound_is_that_bound(self) -> None:
        for text in ("lossless", "abs:0.5", "rel:0.25", "bits:3"):
            assert Promise.parse(text).bound == Bound.parse(text)
            assert Promise.parse(text).kind == text.partition(":")[0]
        with pytest.raises(
            InvalidArgument, match="std bound has no meaning before it is resolved"
        ):
            Promise.parse("std:1, then abs:2")


class TestAbsent:
    @pytest.mark.slow
    def test_what_the_file_lacks_is_named(self, folder: Path, tmp_path: Path) -> None:
        ft.compress(
            columns(), tmp_path / "part.ftup", selection=Selection(columns=("x",))
        )
        found = ft.verify(folder / "events.npz", tmp_path / "part.ftup")
        assert found.absent == ("events/k", "events/wide")
        assert [column.column for column in found] == ["x"]
        ended = run_here("verify", folder / "events.npz", tmp_path / "part.ftup")
        assert ended.returncode == 0
        lost = "; of the original's columns 2 were left out: events/k, events/wide\n"
        assert ended.stdout.endswith(lost)
        shown = run_here(
            "verify", folder / "events.npz", tmp_path / "part.ftup", "--json"
        )
        assert json.loads(shown.stdout)["absent"] == ["events/k", "events/wide"]

    @pytest.mark.slow
    def test_nothing_is_named_where_all_is_there(self, folder: Path) -> None:
        assert ft.verify(folder / "events.npz", folder / "events.ftup").absent == ()


class TestCheckpoints:
    @pytest.mark.slow
    def test_every_changed_byte_of_a_part_counts_as_none(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        flow = ColumnFlow(Bins(np.array([0]), np.array([5])))
        task = ColumnTask(
            (Candidate("x", flow, np.arange(3), (0,)),), np.empty((1, 3)), np.arange(3)
        )
        network = Network((Layer(np.zeros((2, 2), np.int8), np.ones(2, np.uint8)),))
        Checkpoint(tmp_path).save("key", [network])
        path = tmp_path / "key.npz"
        whole = path.read_bytes()
        assert Checkpoint(tmp_path).load("key", task) is not None
        for position in range(len(whole)):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            caplog.clear()
            assert Checkpoint(tmp_path).load("key", task) is None, position
            assert caplog.messages == [
                f"{path}: is damaged and counts as none; this part is trained again"
            ]
        path.unlink()
        caplog.clear()
        assert Checkpoint(tmp_path).load("key", task) is None
        assert caplog.messages == []

    @pytest.mark.slow
    def test_every_changed_byte_of_a_row_flow_counts_as_none(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        torch = pytest.importorskip("torch")
        from flowtuple.flows import train_state

        def parts() -> tuple[torch.nn.Module, torch.optim.Optimizer, object]:
            module = torch.nn.Linear(2, 1)
            optimiser = torch.optim.Adam(module.parameters())
            module(torch.ones(1, 2)).sum().backward()
            optimiser.step()
            return module, optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser)

        module, optimiser, schedule = parts()
        where = train_state.TrainState("print", 3, (0.5, 2), [(0.1, 1.0, 0.9)])
        train_state.save(
            tmp_path, where, module, train_state.weights_of(module), optimiser, schedule
        )
        path = tmp_path / train_state.NAME
        whole = path.read_bytes()
        found = train_state.load(tmp_path, "print", *parts())
        assert found is not None
        assert found[0] == where
        caplog.set_level(logging.WARNING)
        into = parts()
        for position in range(len(whole)):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            caplog.clear()
            assert train_state.load(tmp_path, "print", *into) is None, position
            assert caplog.messages == [
                f"{path}: is damaged and counts as none; the training begins again"
            ]


class TestManifests:
    LINES = (
        '{"task": [], "source": "", "key": ""}',
        '{"task": "a", "source": "b", "key": "c", "nbytes": "x"}',
        "[" * 10**5,
        "null",
    )

    @pytest.mark.parametrize(
        "line",
        [*LINES, '{"task": "a", "source": "b", "key": "c", "facts": null}', "\xff"],
    )
    def test_a_line_of_something_else_is_named(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "job.jsonl").write_text(f"{line}\n", encoding="latin-1")
        with pytest.raises(
            InvalidArgument,
            match=r"job\.jsonl: line 1 is no record .* remove that line to do its task again",
        ):
            Manifest(tmp_path, "job")

    def test_every_changed_byte_is_noticed(self, tmp_path: Path) -> None:
        record = Record(
            "x", "x.root", "key", nbytes=123, written=5, facts={"events": 100}
        )
        Manifest(tmp_path, "job").add(record)
        path = tmp_path / "job.jsonl"
        whole = path.read_bytes()
        assert Manifest(tmp_path, "job").records == {"x": record}
        for position in range(len(whole) - 1):
            data = bytearray(whole)
            data[position] ^= 1
            path.write_bytes(data)
            with pytest.raises(
                InvalidArgument, match=r"job\.jsonl: line [12] is no record"
            ):
                Manifest(tmp_path, "job")

    def test_lines_of_earlier_versions_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "job.jsonl").write_text('{"task": "a", "source": "b", "key": "c"}\n')
        assert Manifest(tmp_path, "job").records == {"a": Record("a", "b", "c")}

    def test_a_folder_in_its_place_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "job.jsonl").mkdir()
        with (
            pytest.raises(
                InvalidArgument, match=r"job\.jsonl: cannot be written \(Is a directory\)"
            ),
            opened(tmp_path, "job"),
        ):
            pass


def test_chains_of_merged_files_are_held_apart():
    """Each alternative is a chain of its own: what one allows is not added to the other."""
    words = first_bounds(
        {
            "merged": [
                {"bounds": {"t/x": "abs:1, then abs:2"}},
                {"bounds": {"t/x": "abs:4, then abs:0.5"}},
            ]
        }
    )["t/x"]
    assert words == "(abs:1, then abs:2) or (abs:4, then abs:0.5)"
    promise = Promise.parse(words)
    values = np.zeros(3)
    assert promise.holds(values, np.array([3.0, 4.5, 4.6])).tolist() == [
        True,
        True,
        False,
    ]
    assert promise.largest_difference(values)[0] == pytest.approx(4.5)
    chained = Promise.parse(f"{words}, then abs:1")
    assert chained.holds(values, np.array([5.5, -5.5, 5.6])).tolist() == [
        True,
        True,
        False,
    ]
    whole = np.zeros(2, "int64")
    assert chained.holds(whole, np.array([5, 6])).tolist() == [True, False]
