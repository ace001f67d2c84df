"""Commands killed at any moment leave the old file or nothing under the name, or the new one whole;
never a part of it.

Half of the moments are spread over the whole run, half over the time from when the temporary file
appears.
FLOWTUPLE_KILLS=200 kills as often, in equal shares of the commands; the default is quick.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.file.damage import check_integrity
from flowtuple.file.merge import merge

COMMANDS = ("compress", "decompress", "merge", "recover")
KILLS = max(1, int(os.environ.get("FLOWTUPLE_KILLS", "8")) // len(COMMANDS))
EVENTS = 12_000
OLD = b"what was there before"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read: events that take a while to write, alone, compressed, damaged."""
    made = tmp_path_factory.mktemp("killed")
    draw = np.random.default_rng(1)
    columns = {"x": draw.normal(size=(EVENTS, 20)), "k": np.arange(EVENTS)}
    np.savez(made / "events.npz", **columns)
    ft.compress(columns, made / "whole.ftup")
    ft.train(columns, made / "m.flow")
    merge([made / "whole.ftup"] * 18, made / "damaged.ftup")
    data = bytearray((made / "damaged.ftup").read_bytes())
    data[len(data) // 2] ^= 1
    (made / "damaged.ftup").write_bytes(data)
    merge([made / "whole.ftup"] * 3, made / "three.ftup")
    return made


def arguments(command: str, folder: Path) -> tuple[list[str], str]:
    """The words of a command but for its output, and the suffix of that."""
    return {
        "compress": (
            ["compress", str(folder / "events.npz"), "--model", str(folder / "m.flow")],
            ".ftup",
        ),
        "decompress": (["decompress", str(folder / "three.ftup")], ".npz"),
        "merge": (["merge", *[str(folder / "three.ftup")] * 6], ".ftup"),
        "recover": (["recover", str(folder / "damaged.ftup")], ".ftup"),
    }[command]


def start(words: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    whole = [sys.executable, "-m", "flowtuple", *words, "-o", str(output)]
    return subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_writing(process: subprocess.Popen[bytes], place: Path) -> float:
    """When a temporary file appeared, or the command ended without."""
    while process.poll() is None and not any(
        ".part" in path.name for path in place.iterdir()
    ):
        time.sleep(0.002)
    return time.monotonic()


def contents(path: Path) -> object:
    """All that a whole file holds, to be compared."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: file[name].tobytes() for name in file.files}
    assert check_integrity(path) == []
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_part_of_a_file_stands_under_its_name(
    folder: Path, tmp_path: Path, command: str
) -> None:
    words, suffix = arguments(command, folder)
    began = time.monotonic()
    finished = start(words, tmp_path / f"reference{suffix}")
    wrote = wait_for_writing(finished, tmp_path)
    assert finished.wait(300) in (0, 1)
    duration, writing = time.monotonic() - began, time.monotonic() - wrote
    expected, draw = (
        contents(tmp_path / f"reference{suffix}"),
        np.random.default_rng(COMMANDS.index(command)),
    )
    ended: dict[str, int] = {}
    for number in range(KILLS):
        place = tmp_path / f"{number}"
        place.mkdir()
        target = place / f"out{suffix}"
        was_there = number % 2 == 1
        if was_there:
            target.write_bytes(OLD)
        process, share = start(words, target), (number + float(draw.random())) / KILLS
        if number % 2:
            wait_for_writing(process, place)
        time.sleep(share * (writing if number % 2 else duration))
        process.send_signal(signal.SIGKILL)
        killed = process.wait(60) == -signal.SIGKILL
        left = sorted(path.name for path in place.iterdir() if path != target)
        assert all(
            re.fullmatch(rf"\.out\.[0-9a-f]{{8}}\.part{re.escape(suffix)}", name)
            for name in left
        ), left
        assert len(left) <= killed
        if was_there and target.read_bytes() == OLD:
            found = "old"
        elif target.exists():
            assert contents(target) == expected
            found = "new"
        else:
            found = "nothing"
        assert killed or found == "new"
        kind = f"{'killed' if killed else 'ended'}, {found}{', with a temporary file' if left else ''}"
        ended[kind] = ended.get(kind, 0) + 1
        shutil.rmtree(place)
    sys.stderr.write(
        f"{command}, {duration:.2f} s, of these {writing:.2f} s writing: {ended}\n"
    )
