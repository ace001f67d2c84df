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


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (
            {"input_bytes": 2350, "raw_bytes": 3890},
            "2.35 times smaller than the input file (2.35 kB), "
            "3.89 than its columns raw (3.89 kB), ",
        ),
        (
            {"input_bytes": 500, "raw_bytes": 2000},
            "2.00 times larger than the input file (500 B), "
            "2.00 times smaller than its columns raw (2.00 kB), ",
        ),
        (
            {"input_bytes": 4000, "raw_bytes": 2000, "input_files": 3, "is_part": True},
            "4.00 times smaller than the 3 input files (4.00 kB, with what was left out), "
            "2.00 than its columns raw (2.00 kB), ",
        ),
        (
            {"input_bytes": 0, "raw_bytes": 2000},
            "2.00 times smaller than its columns raw (2.00 kB), ",
        ),
        ({"input_bytes": 0, "raw_bytes": 0, "input_files": 0}, ""),
    ],
)
def test_line(
    capsys: pytest.CaptureFixture[str], sizes: dict[str, Any], expected: str
) -> None:
    assert shown(capsys, **sizes) == expected
