"""Every proper prefix and every changed byte of small golden files is noticed.

FLOWTUPLE_DAMAGE=all tries every change of every seventh byte (a quarter of an hour).
"""

import os
from pathlib import Path

import numpy as np
import pytest
from test_golden import FOLDER

import flowtuple as ft
from flowtuple.data.table import Dataset, read_all
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.io.memory import dataset_from_memory

NAMES = ("given", "plain", "bounds")
# between bytes of which every change is tried
STEP = 7 if os.environ.get("FLOWTUPLE_DAMAGE") == "all" else 199
ENDS = 20  # first and last bytes of which every change is tried, too, one in four
DAMAGED = (Corrupt, Truncated, TooNew)


@pytest.fixture(scope="module")
def supplied():
    """The column that a golden file does not hold."""
    with np.load(FOLDER / "given.npz", allow_pickle=False) as expected:
        return Dataset("given", dataset_from_memory({"a": expected["a"]}).tables)


@pytest.fixture(params=NAMES)
def copied(request, tmp_path):
    """A golden file to be damaged."""
    path = tmp_path / f"{request.param}.ftup"
    path.write_bytes((FOLDER / path.name).read_bytes())
    return path


def noticed(path: Path, supplied: Dataset) -> str:
    """The kind of error that reading everything ends in; any other, or none, in words."""
    try:
        with ft.File(path, given=supplied, resources=ft.Resources(workers=1)) as file:
            for table in file.tables.values():
                read_all(table)
            return f"read with {len(file.carried)} objects"
    except DAMAGED as error:
        return (
            type(error).__name__
            if str(error).startswith(f"{path}: ")
            else f"does not name its file: {error}"
        )
    except Exception as error:
        return repr(error)


def with_byte(path: Path, position: int, value: int) -> None:
    with open(path, "r+b") as stream:
        stream.seek(position)
        stream.write(bytes([value]))


def changes(
    path: Path, supplied: Dataset, position: int, values: list[int]
) -> dict[tuple[int, int], str]:
    """Return the outcome of reading a file with one byte changed to each of some values."""
    old, found = path.read_bytes()[position], {}
    for value in values:
        if value != old:
            with_byte(path, position, value)
            found[position, value] = noticed(path, supplied)
    with_byte(path, position, old)
    return found


def unexpected(found: dict[tuple[int, int], str]) -> dict[tuple[int, int], str]:
    return {
        place: error
        for place, error in found.items()
        if error not in ("Corrupt", "Truncated", "TooNew")
    }


def test_the_file_itself_is_read(copied, supplied):
    assert noticed(copied, supplied) == "read with 0 objects"


def test_every_proper_prefix_is_truncated_or_corrupt(copied, supplied):
    found = {}
    for length in reversed(range(copied.stat().st_size)):
        os.truncate(copied, length)
        found[length, 0] = noticed(copied, supplied)
    assert unexpected(found) == {}
    assert set(found.values()) == {"Truncated"}


@pytest.mark.slow
def test_a_change_of_each_byte_is_noticed(copied, supplied):
    data, draw, found = copied.read_bytes(), np.random.default_rng(1), {}
    masks = draw.integers(1, 256, len(data))
    for position, mask in enumerate(masks.tolist()):
        found |= changes(copied, supplied, position, [data[position] ^ mask])
    assert copied.read_bytes() == data
    assert len(found) == len(data)
    assert unexpected(found) == {}


@pytest.mark.slow
def test_every_change_of_a_byte_is_noticed(copied, supplied):
    data, found = copied.read_bytes(), {}
    ends = [*range(ENDS), *range(len(data) - ENDS, len(data))]
    positions = sorted(
        {*range(STEP // 2, len(data), STEP), *ends[:: 4 if STEP > 7 else 1]}
    )
    for position in positions:
        found |= changes(copied, supplied, position, list(range(256)))
    assert copied.read_bytes() == data
    assert len(found) == 255 * len(positions)
    assert unexpected(found) == {}


@pytest.mark.parametrize("extra", [b"\0", b"\n", b"appended text" * 9, bytes(2**17)])
def test_bytes_after_the_end_are_an_error(copied, supplied, extra):
    copied.write_bytes(copied.read_bytes() + extra)
    assert noticed(copied, supplied) in ("Truncated", "Corrupt")


@pytest.mark.parametrize("begin", [0, -32, -8])
def test_another_end_after_the_end_is_an_error(copied, supplied, begin):
    copied.write_bytes(copied.read_bytes() + copied.read_bytes()[begin:])
    assert noticed(copied, supplied) == "Corrupt"
