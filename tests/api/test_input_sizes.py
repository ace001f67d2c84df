"""Sizes of the input in the result of `compress`, and whether all of it was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

import flowtuple as ft


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of one tree, and one of two trees with an object."""
    made = tmp_path_factory.mktemp("inputs")
    for name in ("a", "b"):
        with uproot.recreate(made / f"{name}.root") as file:
            file["Events"] = {"x": np.arange(90.0), "y": np.arange(90)}
    with uproot.recreate(made / "two.root") as file:
        file["Events"] = {"x": np.arange(90.0)}
        file["Runs"] = {"run": np.arange(3)}
        file["h"] = np.histogram(np.arange(9.0))
    return made


@pytest.mark.parametrize(
    ("names", "options", "is_part"),
    [
        (["a.root"], {}, False),
        (["a.root:Events"], {}, False),
        (["a.root", "b.root"], {}, False),
        (["[ab].root"], {}, False),
        (["two.root"], {}, False),
        (["two.root:Events"], {}, True),
        (["a.root"], {"selection": ft.Selection(columns=("x",))}, True),
        (["a.root"], {"selection": ft.Selection(exclude=("y",))}, True),
        (["a.root"], {"given": ("y",)}, True),
    ],
)
def test_size_of_the_input(
    folder: Path, tmp_path: Path, names: list[str], options: dict[str, Any], is_part: bool
) -> None:
    result = ft.compress([f"{folder}/{n}" for n in names], tmp_path / "x.ftup", **options)
    patterns = [name.partition(":")[0] for name in names]
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    assert result.input_bytes == sum(path.stat().st_size for path in files)
    assert (result.input_files, result.is_part) == (len(files), is_part)


def test_events_in_memory_have_no_input_file(tmp_path: Path) -> None:
    result = ft.compress({"x": np.arange(90.0)}, tmp_path / "x.ftup")
    assert (result.input_bytes, result.input_files, result.is_part) == (0, 0, False)
    assert "input" not in result.facts()


def test_a_recompressed_file_is_compared_with_the_file_before(
    folder: Path, tmp_path: Path
) -> None:
    first = ft.compress(folder / "two.root", tmp_path / "x.ftup", given=["run"])
    assert first.is_part
    given = folder / "two.root"
    again = ft.recompress(tmp_path / "x.ftup", tmp_path / "y.ftup", given=given).result
    assert (again.input_bytes, again.is_part) == (first.file_bytes, False)
