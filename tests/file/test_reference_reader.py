"""The reference reader, which shares no code with flowtuple, decodes golden files to known bits."""

import ast
from pathlib import Path

import numpy as np
import pytest

from reference_reader import Invalid, check_file, read_carried, read_file

TESTS = Path(__file__).parents[1]
FOLDER = TESTS / "golden"
NAMES = sorted(p.stem for p in FOLDER.glob("*.ftup"))
ALLOWED = {"numpy", "pcodec", "zstandard", "xxhash", "awkward", "reference_reader"}
STANDARD = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "fractions",
    "itertools",
    "json",
    "math",
    "operator",
}
STANDARD |= {"re", "struct", "typing"}


def load(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected:
        return dict(expected)


def golden_bytes(name):
    return (FOLDER / f"{name}.ftup").read_bytes()


def bits(values):
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


@pytest.fixture(scope="module")
def given():
    return {
        "events": {"a": load("given")["a"]},
        "given": {name: load("awkward")[f"given/{name}"].ravel() for name in "ngm"},
    }


@pytest.mark.parametrize("name", NAMES)
def test_golden_file_decodes_to_the_same_bits(name, given):
    expected, found = load(name), read_file(golden_bytes(name), given=given)
    decoded = {
        c if table == "events" else f"{table}/{c}": v
        for table, columns in found.items()
        for c, v in columns.items()
    }
    assert set(decoded) == set(expected)
    for column, values in decoded.items():
        known = expected[column]
        if isinstance(values, list):
            plain = all(isinstance(v, str) for v in values)
            assert [v if plain else repr(v) for v in values] == known.tolist(), column
        else:
            assert (values.dtype, values.shape) == (known.dtype, known.shape), column
            assert np.array_equal(bits(values), bits(known)), column


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_are_refused(name):
    data = golden_bytes(name)
    check_file(data)
    for at in {*range(0, len(data), 97), *range(len(data) - 32, len(data)), *range(16)}:
        with pytest.raises(Invalid):
            check_file(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


@pytest.mark.parametrize("name", NAMES)
def test_prefixes_are_refused(name):
    data = golden_bytes(name)
    for length in {*range(64), *range(64, len(data), 97), len(data) - 1}:
        with pytest.raises(Invalid):
            check_file(data[:length])


def test_carried_objects():
    (note,) = read_carried(golden_bytes("awkward")).values()
    assert note[:4] == b"root"


def test_given_values_are_needed_and_checked(given):
    data = golden_bytes("given")
    with pytest.raises(Invalid):
        read_file(data)
    other = given["events"]["a"].copy()
    other[0] = 1
    with pytest.raises(Invalid):
        read_file(data, given={"events": {"a": other}})


@pytest.mark.parametrize(
    "path",
    sorted((TESTS / "support" / "reference_reader").glob("*.py")),
    ids=lambda path: path.stem,
)
def test_it_imports_nothing_of_flowtuple(path):
    tree = ast.parse(path.read_text("utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in imported} <= ALLOWED | STANDARD
    assert not {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} & {
        "__import__",
        "eval",
        "exec",
    }
