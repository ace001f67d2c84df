"""Formats of other packages: registered as entry points, loaded only when a file needs them."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import flowtuple as ft
from flowtuple.errors import InvalidArgument
from flowtuple.io.formats import (
    ENTRY_POINTS,
    Format,
    ReadOptions,
    format_of,
    input_suffixes,
    output_suffixes,
)
from flowtuple.io.source import open_dataset, write_dataset

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a module of one file as a package with entry points."""

    def add(package: str, code: str, points: str) -> None:
        folder = tmp_path / f"{package}-site"
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(code)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{points}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, package, raising=False)

    return add


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def test_the_example_of_the_page_reads_and_writes(install: Install, tmp_path: Path) -> None:
    (code,), (project,) = blocks("python"), blocks("toml")
    points = tomllib.loads(project)["project"]["entry-points"][ENTRY_POINTS]
    assert ".jsonl" not in input_suffixes()
    install("flowtuple_jsonl", code, "\n".join(f"{k} = {v}" for k, v in points.items()))
    assert (input_suffixes()[-1], output_suffixes()[-1]) == (".jsonl", ".jsonl")
    events = {"MET_pt": [31.5, 12.0], "Jet_pt": [[50.0, 20.0], []]}
    ft.compress(events, tmp_path / "x.ftup", effort="fast")
    ft.decompress(tmp_path / "x.ftup", tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text().count("\n") == 2
    table = open_dataset(f"{tmp_path}/x.jsonl:events").table("events")
    assert table.read(["Jet_pt"], 0, 2)["Jet_pt"].tolist() == [50.0, 20.0]
    with pytest.raises(InvalidArgument, match=r"x\.jsonl: has the suffix of another format"):
        ft.compress(events, tmp_path / "x.jsonl")


def test_a_package_is_imported_when_a_file_needs_it(install: Install, tmp_path: Path) -> None:
    code = "from flowtuple.io.formats import Format\nFORMAT = Format(('.odd',), magic=(b'odd!',))\n"
    install("flowtuple_odd", code, "odd = flowtuple_odd:FORMAT")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert open_dataset(tmp_path / "x.csv").table("events").num_entries == 1
    assert ".odd" in input_suffixes()
    assert "flowtuple_odd" not in sys.modules
    (tmp_path / "unnamed").write_text("odd!")
    with pytest.raises(
        InvalidArgument, match=r"unnamed: files of this format are only written"
    ):
        open_dataset(tmp_path / "unnamed")
    with pytest.raises(InvalidArgument, match=r"y\.odd: files of this format are only read"):
        write_dataset(open_dataset(tmp_path / "x.csv"), tmp_path / "y.odd")
    assert "flowtuple_odd" in sys.modules


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
        (
            "import no_such",
            r"cannot be loaded \(ModuleNotFoundError: No module named 'no_such'\)",
        ),
        ("OTHER = 1", r"cannot be loaded \(AttributeError: .*FORMAT"),
        ("FORMAT = 1", r"gives no Format with this suffix"),
    ],
)
def test_a_broken_package_is_named(
    install: Install, tmp_path: Path, code: str, reason: str
) -> None:
    install("flowtuple_broken", code, "broken = flowtuple_broken:FORMAT")
    (tmp_path / "x.broken").write_text("")
    message = rf"[xy]\.broken: the package flowtuple_broken, which adds \.broken, {reason}"
    with pytest.raises(InvalidArgument, match=rf"{message}.*; update or uninstall it$"):
        open_dataset(tmp_path / "x.broken")
    with pytest.raises(InvalidArgument, match=message):
        write_dataset(open_dataset({"x": [1]}), tmp_path / "y.broken")
    assert [path.name for path in tmp_path.glob("*y.broken*")] == []


def test_two_packages_of_one_suffix_are_named(install: Install) -> None:
    for package in ("flowtuple_one", "flowtuple_two"):
        install(package, "", f"twice = {package}:FORMAT")
    with pytest.raises(
        InvalidArgument,
        match=r"^a\.twice: the packages flowtuple_two and flowtuple_one both add \.twice; uninst",
    ):
        format_of(".twice", "a.twice")


def test_a_built_in_suffix_stays_built_in(install: Install) -> None:
    install("flowtuple_csv", "1 / 0", "csv = flowtuple_csv:FORMAT")
    assert format_of(".csv").reader == "flowtuple.io.delimited:open_dataset"


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^no_such:open: cannot be imported \(No module"
    ):
        Format((".x",), "no_such:open").read("a.x", ReadOptions())


def test_every_built_in_function_can_be_imported() -> None:
    for suffix in input_suffixes():
        known = format_of(suffix)
        for name in (known.reader, known.writer):
            if name is None:
                assert suffix == ".ref"
                continue
            module, function = str(name).split(":")
            assert callable(getattr(__import__(module, fromlist=[function]), function))
