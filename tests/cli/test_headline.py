"""The line of sizes of `compress`: against the input files, and against raw columns."""

from __future__ import annotations

from typing import Any

import pytest

from flowtuple import api
from flowtuple.cli.coding import _show

FILE = {
    "path": "a.ftup",
    "events": 200,
    "values": 1000,
    "file_bytes": 1000,
    "model_bytes": 20,
}


def shown(capsys: pytest.CaptureFixture[str], **sizes: Any) -> str:
    """Return the line without what every line has."""
    entries = {"Events": 200}
    _show(api.Compressed(**FILE, entries=entries, warnings=(), **sizes))
    out = capsys.readouterr().out
    begin, end = (
        "a.ftup: 1.00 kB for 200 events: ",
        "8.00 bits per value (model 20 B included)\n",
    )
    assert out.startswith(begin)
    assert out.endswith(end)
    return out.removeprefix(begin).removesuffix(end)


_WHOLE = {"input_bytes": 2350, "raw_bytes": 3890}
_SMALL = {"input_bytes": 500, "raw_bytes": 2000}
_PARTS = {"input_bytes": 4000, "raw_bytes": 2000, "input_files": 3, "is_part": True}
_UNKNOWN = {"input_bytes": 0, "raw_bytes": 2000}


def test_of_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, **_WHOLE) == (
        "2.35 times smaller than the input file (2.35 kB), "
        "3.89 than its columns raw (3.89 kB), "
    )


def test_larger_than_a_small_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, **_SMALL) == (
        "2.00 times larger than the input file (500 B), "
        "2.00 times smaller than its columns raw (2.00 kB), "
    )


def test_of_parts_of_several_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, **_PARTS) == (
        "4.00 times smaller than the 3 input files (4.00 kB, with what was left out), "
        "2.00 than its columns raw (2.00 kB), "
    )


def test_of_inputs_of_unknown_size(capsys: pytest.CaptureFixture[str]) -> None:
    expected = "2.00 times smaller than its columns raw (2.00 kB), "
    assert shown(capsys, **_UNKNOWN) == expected
    assert shown(capsys, input_bytes=0, raw_bytes=0, input_files=0) == ""
