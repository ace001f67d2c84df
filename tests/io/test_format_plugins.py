"""Formats of other packages: registered as entry points, loaded only when a file needs them."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.io.formats import (
    ENTRY_POINTS,
    Format,
    ReadOptions,
    WriteOptions,
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
    return re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S
    )


def test_the_example_of_the_page_reads_and_writes(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code, check), (project,) = blocks("python"), blocks("toml")
    points = tomllib.loads(project)["project"]["entry-points"][ENTRY_POINTS]
    assert ".jsonl" not in input_suffixes()
    install("flowtuple_jsonl", code, "\n".join(f"{k} = {v}" for k, v in points.items()))
    assert (input_suffixes()[-1], output_suffixes()[-1]) == (".jsonl", ".jsonl")
    monkeypatch.chdir(tmp_path)
    exec(check, {})
    assert capsys.readouterr().out.splitlines() == [
        "WriteResult(left_out=(), changes=(), renamed={})",
        "[50. 20.]",
    ]
    events = {"MET_pt": [31.5, 12.0], "Jet_pt": [[50.0, 20.0], []]}
    ft.compress(events, tmp_path / "x.ftup", effort="fast")
    ft.decompress(tmp_path / "x.ftup", tmp_path / "x.jsonl")
    assert (tmp_path / "x.jsonl").read_text().count("\n") == 2
    table = open_dataset(f"{tmp_path}/x.jsonl:events").table("events")
    assert table.read(["Jet_pt"], 0, 2)["Jet_pt"].tolist() == [50.0, 20.0]
    with pytest.raises(
        InvalidArgument, match=r"x\.jsonl: has the suffix of another format"
    ):
        ft.compress(events, tmp_path / "x.jsonl")


def test_the_example_of_the_page_writes_strict_json(
    install: Install, tmp_path: Path
) -> None:
    install("flowtuple_jsonl", blocks("python")[0], "jsonl = flowtuple_jsonl:FORMAT")
    events = {
        "MET_pt": np.float32([0.1, np.nan, np.inf]),
        "Jet_pt": ak.values_astype(ak.Array([[0.3, -np.inf], [], [2.5]]), "float32"),
        "weight": [0.1, 1 / 3, 1e300],
        "run": [1, 2, 3],
        "name": ["a", "b", "c"],
        "cov": np.float32([[0.7, np.nan], [1.0, 2.0], [3.0, 4.0]]),
    }
    result = write_dataset(
        open_dataset(events), tmp_path / "x.jsonl", WriteOptions(step=2)
    )
    assert result.changes == (
        "events: MET_pt, Jet_pt, cov: float32, read back from JSON lines as float64",
        "events: 4 values that are not finite are null",
    )

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = (tmp_path / "x.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == [
        {
            "MET_pt": 0.1,
            "Jet_pt": [0.3, None],
            "weight": 0.1,
            "run": 1,
            "name": "a",
            "cov": [0.7, None],
        },
        {
            "MET_pt": None,
            "Jet_pt": [],
            "weight": 1 / 3,
            "run": 2,
            "name": "b",
            "cov": [1.0, 2.0],
        },
        {
            "MET_pt": None,
            "Jet_pt": [2.5],
            "weight": 1e300,
            "run": 3,
            "name": "c",
            "cov": [3.0, 4.0],
        },
    ]
    assert '"MET_pt": 0.1,' in lines[0]
    back = open_dataset(tmp_path / "x.jsonl").table("events")
    assert back.read(["weight"], 0, 3)["weight"].tolist() == events["weight"]


LATE = r"""
from flowtuple.data.table import Dataset
from flowtuple.errors import Unsupported
from flowtuple.io.formats import Format

class Table:
    name, num_entries, columns = "events", 1, ()
    def read(self, columns, start, stop):
        raise KeyError("no such block")

def read(path, options):
    if "late" in path:
        return Dataset(path, {"events": Table()})
    if "none" in path:
        return None
    return {}["pt"]

def write(dataset, path, options):
    path.write_text("half")
    if options.drop:
        raise Unsupported("h: cannot be written; exclude it")
    if options.step == 1:
        return None
    raise RuntimeError("one\ntwo")

FORMAT = Format((".late",), read, write)
"""


def test_an_error_of_a_writer_names_file_and_package(
    install: Install, tmp_path: Path
) -> None:
    install("flowtuple_late", LATE, "late = flowtuple_late:FORMAT")
    by = "by the package flowtuple_late"
    advice = r"update or uninstall it$"
    folder = tmp_path / "early"
    folder.mkdir()
    data = open_dataset({"x": [1]})
    cases = [
        (WriteOptions(), r"RuntimeError: one"),
        (
            WriteOptions(step=1),
            r"TypeError: its writer returned NoneType, no WriteResult",
        ),
    ]
    for options, reason in cases:
        with pytest.raises(
            InvalidArgument,
            match=rf"early/y\.late: cannot be written {by} \({reason}\); {advice}",
        ) as caught:
            write_dataset(data, folder / "y.late", options)
        assert caught.value.__cause__ is not None
    with pytest.raises(Unsupported, match=r"^h: cannot be written; exclude it$"):
        write_dataset(data, folder / "y.late", WriteOptions(drop=True))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.odd", r"KeyError: 'pt'"),
        ("none.odd", r"TypeError: its reader returned NoneType, no Dataset"),
        ("late.odd", r"KeyError: 'no such block'"),
    ],
)
def test_an_error_of_a_reader_names_file_and_package(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    reason: str,
) -> None:
    install("flowtuple_odd", LATE.replace(".late", ".odd"), "odd = flowtuple_odd:FORMAT")
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InvalidArgument,
        match=rf"^{name}: cannot be read by the package flowtuple_odd \({reason}\); update or un",
    ):
        open_dataset(name).table("events").read([], 0, 1)


def test_a_broken_package_does_not_stop_others(install: Install, tmp_path: Path) -> None:
    install("flowtuple_broken", "1 / 0", "broken = flowtuple_broken:FORMAT")
    (tmp_path / "unnamed").write_text("odd!")
    with pytest.raises(
        InvalidArgument,
        match=r"unnamed: no suffix .*; its first bytes are of none of them; the package "
        r"flowtuple_broken, which adds \.broken, cannot be loaded \(ZeroDivisionError: .*\); update",
    ):
        open_dataset(tmp_path / "unnamed")
    code = "from flowtuple.io.formats import Format\nFORMAT = Format(('.odd',), magic=(b'odd!',))\n"
    install("flowtuple_odd", code, "odd = flowtuple_odd:FORMAT")
    with pytest.raises(
        InvalidArgument, match=r"unnamed: files of this format are only written"
    ):
        open_dataset(tmp_path / "unnamed")


def test_a_format_without_writer_refuses_to_write(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"y\.odd: files of this format are only read"
    ):
        Format((".odd",)).write(
            open_dataset({"x": [1]}), tmp_path / "y.odd", WriteOptions()
        )


def test_a_package_is_imported_when_a_file_needs_it(
    install: Install, tmp_path: Path
) -> None:
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
    with pytest.raises(
        InvalidArgument, match=r"y\.odd: files of this format are only read"
    ):
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
    message = (
        rf"[xy]\.broken: the package flowtuple_broken, which adds \.broken, {reason}"
    )
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
