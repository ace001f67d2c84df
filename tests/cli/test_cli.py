"""The command line: every bad input ends in one line and exit code 2 and leaves nothing behind;
good input is shown.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple import api, cli
from flowtuple.cli import commands
from flowtuple.file.layout import SectionKind
from flowtuple.reporting.page import format_bytes
from flowtuple.training import train as training

COMMANDS = [
    "demo",
    "inspect",
    "compress",
    "presets",
    "advise",
    "train",
    "train-flow",
    "train-simulation",
    "decompress",
    "recompress",
    "verify",
    "info",
    "report",
    "merge",
    "recover",
    "sample",
    "simulate",
    "score",
    "compare",
    "closure",
    "bench",
    "limits",
    "preset-rows",
]
HEADER_SIZE = 16


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def write_nano(
    path: Path,
    *,
    events: int = 60,
    seed: int = 1,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """A small NanoAOD-like file: trees Events (with a counter) and Runs, and a histogram."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, events)
    branches: dict[str, Any] = {
        "run": np.full(events, 273158, np.uint32),
        "MET_pt": draw.exponential(20, events).astype(np.float32),
        "Jet": {
            "pt": draw.exponential(30, counts.sum()).astype(np.float32),
            "phi": draw.uniform(-3, 3, counts.sum()).astype(np.float32),
        },
    }
    if change is not None:
        change(branches)
    jets = ak.zip(
        {name: ak.unflatten(values, counts) for name, values in branches["Jet"].items()}
    )
    with uproot.recreate(path) as file:
        file.mktree(
            "Events",
            {
                "run": "uint32",
                "MET_pt": branches["MET_pt"].dtype,
                "Jet": jets.type.content,
            },
        )
        file["Events"].extend(branches | {"Jet": jets})
        file.mktree("Runs", {"run": "uint32", "sumw": "float64"}).extend(
            {"run": np.uint32([1, 2]), "sumw": [0.5, 1.5]}
        )
        file["pileup"] = np.histogram(draw.normal(size=50), bins=5)


def write_tree(path: Path, tree: str, **branches: Any) -> None:
    with uproot.recreate(path) as file:
        file.mktree(
            tree, {name: values.dtype for name, values in branches.items()}
        ).extend(branches)


def _raise_met(branches: dict[str, Any]) -> None:
    branches["MET_pt"][7] *= 1.01


def _widen_met(branches: dict[str, Any]) -> None:
    branches["MET_pt"] = branches["MET_pt"].astype(np.float64)


def changed(data: bytes, place: int, xor: int = 1) -> bytes:
    copy = bytearray(data)
    copy[place] ^= xor
    return bytes(copy)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad inputs; no test may change it."""
    folder = tmp_path_factory.mktemp("inputs")
    write_nano(folder / "nano.root")
    write_nano(folder / "nano_longer.root", events=61)
    write_nano(folder / "nano_other.root", seed=2)
    write_nano(folder / "nano_met_raised.root", change=_raise_met)
    write_nano(folder / "nano_float64.root", change=_widen_met)
    write_tree(
        folder / "no_jets.root", "Events", run=np.uint32([1]), MET_pt=np.float32([1.0])
    )
    write_tree(folder / "other_tree.root", "events", x=np.float32([1.0]))
    with uproot.recreate(folder / "histogram.root") as file:
        file["pileup"] = np.histogram([1.0], bins=2)
    bounds = {"Jet_pt": "rel:1e-3", "MET_pt": "rel:1e-3"}
    ft.compress(folder / "nano.root", folder / "nano.ftup", tolerance=bounds)
    ft.compress(
        {"x": np.float32([1.5, 2.5]), "n": np.int64([1, 2])}, folder / "flat.ftup"
    )
    ft.compress({"Jet_pt": [[1.0, 2.0], []], "MET": [1.0, 2.0]}, folder / "ragged.ftup")
    ft.compress(
        {"x": np.array([1.0]), "deep": ak.Array([[[1.0], [2.0, 3.0]]])},
        folder / "deep.ftup",
    )
    ft.train(folder / "nano.root", folder / "nano.flow", tolerance=bounds)

    (folder / "text.root").write_text("pt,eta\n")
    (folder / "empty.root").touch()
    whole = (folder / "nano.root").read_bytes()
    (folder / "cut.root").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_early.root").write_bytes(whole[:50])
    packed = (folder / "nano.ftup").read_bytes()
    (folder / "cut.ftup").write_bytes(packed[: len(packed) // 2])
    (folder / "cut_early.ftup").write_bytes(packed[:5])
    (folder / "empty.ftup").touch()
    with ft.File(folder / "nano.ftup") as file:
        chunk = next(s for s in file.sections if s.kind is SectionKind.CHUNK)
    (folder / "flipped.ftup").write_bytes(changed(packed, chunk.begin + chunk.head // 2))
    (folder / "flipped_body.ftup").write_bytes(changed(packed, chunk.stop - 1))
    (folder / "flipped_description.ftup").write_bytes(changed(packed, HEADER_SIZE + 100))
    (folder / "flipped_index.ftup").write_bytes(changed(packed, -60))
    (folder / "newer.ftup").write_bytes(changed(packed, 8, 0x40))
    (folder / "table.csv").write_text("pt,eta\n" + "1.5,2.5\n" * 20)
    (folder / "uneven.csv").write_text("pt,eta\n1,2\n3\n")
    (folder / "events.dat2").write_text("1 2\n")
    for name in ("frame.pkl", "disguised.root"):
        with open(folder / name, "wb") as out:
            pickle.dump({"x": np.zeros(3)}, out)
    (folder / "broken.toml").write_text("[bounds\n")
    (folder / "empty.toml").write_text("tolerances = 1\n")
    (folder / "number.toml").write_text("[bounds]\nMET_pt = 0.1\n")
    (folder / "negative.toml").write_text("[bounds]\n'Jet_*' = 'abs:-1'\n")
    (folder / "folder").mkdir()
    return folder


@pytest.fixture
def run(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run the command line in this process, in the folder of inputs."""
    monkeypatch.chdir(inputs)

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["flowtuple", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Ended(code, *capsys.readouterr())

    return call


def tree_of(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns
        for p in sorted(folder.rglob("*"))
    }


def assert_refused(ended: Ended, *words: str) -> None:
    """One line that says what is wrong, and exit code 2."""
    assert (ended.code, ended.out) == (2, ""), ended
    assert re.fullmatch(r"flowtuple: [^\n]+\n", ended.err), ended.err
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


BAD_INPUTS = {
    "missing": ("nanoo.root", "nanoo.root: no such file", "nearest: nano.root"),
    "missing folder": (
        "nowhere/nano.root",
        "nowhere/nano.root: no such file",
        "the folder nowhere does not exist",
    ),
    "folder": ("folder", "folder: is a folder", "folder/*.root"),
    "text named root": (
        "text.root",
        "text.root: is not a ROOT file",
        "suffix of its format",
    ),
    "empty": ("empty.root", "empty.root: is empty"),
    "cut": ("cut.root", "cut.root: is cut short", "fetch it again"),
    "cut early": (
        "cut_early.root",
        "cut_early.root: ",
        "cut short or damaged",
        "fetch it again",
    ),
    "no such tree": ("nano.root:Event", "nano.root: no tree 'Event'", "nearest: Events"),
    "no tree at all": (
        "histogram.root",
        "histogram.root: holds no table",
        "name a file with events",
    ),
    "glob": ("*.rooot", "*.rooot: the glob matches no file", "check the folder"),
    "suffix": ("events.dat2", "events.dat2: unknown suffix '.dat2'", ".root", ".csv.gz"),
    "compressed already": (
        "nano.ftup",
        "nano.ftup: is a compressed file and no input",
        "flowtuple info nano.ftup",
        "flowtuple recompress",
    ),
    "pickle": (
        "frame.pkl",
        "frame.pkl: a pickle can run any program",
        'python -c "import numpy',
        "frame.npz",
    ),
    "disguised pickle": (
        "disguised.root",
        "disguised.root: a pickle can run any program",
    ),
    "uneven csv": ("uneven.csv", "uneven.csv: line 3 has 1 fields, not 2"),
    "protocol": ("nosuch://host/nano.csv", "nosuch://host/nano.csv: "),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect", "compress", "train", "verify", "report"])
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_input_is_refused_by_every_command(
    run: Callable[..., Ended], inputs: Path, tmp_path: Path, command: str, case: str
) -> None:
    before = tree_of(inputs)
    source, *words = BAD_INPUTS[case]
    rest: dict[str, list[str | Path]] = {
        "inspect": [],
        "compress": ["-o", tmp_path / "out.ftup"],
        "train": ["-o", tmp_path / "out.flow"],
        "verify": ["nano.ftup"],
        "report": ["nano.ftup", "-o", tmp_path / "report"],
    }
    assert_refused(run(command, source, *rest[command]), *words)
    assert not list(tmp_path.iterdir())
    assert tree_of(inputs) == before


BAD_OPTIONS = {
    "column": (
        ["--columns", "Jet_pT"],
        "nano.root: ",
        "'Jet_pT' matches no column",
        "nearest: Jet_pt",
    ),
    "column glob": (
        ["--columns", "Z*"],
        "nano.root: ",
        "glob 'Z*' matches no column",
        "there are: run, MET_pt",
    ),
    "exclude": (
        ["--exclude", "MET_pT"],
        "nano.root: ",
        "'MET_pT' matches no column",
        "nearest: MET_pt",
    ),
    "nothing left": (
        ["--exclude", "*"],
        "nano.root: no column is left",
        "widen the globs",
    ),
    "bounded column": (
        ["-t", "MET=rel:1e-3"],
        "nano.root: ",
        "name 'MET' matches no column",
        "nearest: MET_pt",
    ),
    "bounded glob": (
        ["-t", "Mu_*=rel:1e-3"],
        "nano.root: ",
        "glob 'Mu_*' matches no column",
    ),
    "bounded counter": (
        ["-t", "nJet=abs:1"],
        "nano.root: column 'nJet' is a counter",
        "lossless",
    ),
    "relative integer": (
        ["-t", "run=rel:1e-3"],
        "nano.root: column 'run' is uint32",
        "abs:E",
    ),
    "no such bound": (
        ["-t", "Jet_pt=relative:1"],
        "'Jet_pt=relative:1'",
        "does not parse",
        "rel:R",
    ),
    "bare number": (["-t", "Jet_pt=1e-3"], "'Jet_pt=1e-3'", "does not parse", "abs:E"),
    "no number": (["-t", "Jet_pt=rel:"], "'Jet_pt=rel:'", "rel:1e-3"),
    "word": (["-t", "Jet_pt=abs:small"], "'Jet_pt=abs:small'", "abs:1e-3"),
    "negative": (["-t", "Jet_pt=abs:-1"], "'Jet_pt=abs:-1'", "positive, finite"),
    "nan": (["-t", "Jet_pt=abs:nan"], "'Jet_pt=abs:nan'", "positive, finite"),
    "zero": (["-t", "Jet_pt=rel:0"], "'Jet_pt=rel:0'", "for exact values write lossless"),
    "infinite": (["-t", "Jet_pt=std:inf"], "'Jet_pt=std:inf'", "positive, finite"),
    "underflowing": (
        ["-t", "Jet_pt=abs:1e-400"],
        "'Jet_pt=abs:1e-400'",
        "positive, finite",
    ),
    "rel of one": (["-t", "Jet_pt=rel:1"], "'Jet_pt=rel:1'", "below 1"),
    "half a bit": (["-t", "Jet_pt=bits:7.5"], "'Jet_pt=bits:7.5'", "0 to 52"),
    "no equals": (
        ["-t", "Jet_pt"],
        "--tolerance 'Jet_pt'",
        "GLOB=BOUND",
        "Jet_*=rel:1e-3",
    ),
    "no glob": (["-t", "=rel:1e-3"], "--tolerance '=rel:1e-3'", "GLOB=BOUND"),
    "effort": (["--effort", "maximal"], "'maximal'", "fast, default, best"),
    "seed": (["--seed", "-1"], "seed -1", "from 0"),
    "role": (["--role", "MET_pt=energy"], "role 'energy' for 'MET_pt'", "angle"),
    "role of no column": (
        ["--role", "MET_pT=id"],
        "nano.root: ",
        "'MET_pT' matches no column",
        "nearest: MET_pt",
    ),
    "role of a counter": (["--role", "nJet=id"], "nano.root: column 'nJet' is a counter"),
    "no role": (["--role", "MET_pt"], "--role 'MET_pt'", "GLOB=ROLE"),
    "missing TOML": (
        ["--bounds", "numbr.toml"],
        "numbr.toml: no such file",
        "nearest: number.toml",
    ),
    "TOML folder": (["--bounds", "folder"], "folder: cannot be read"),
    "broken TOML": (["--bounds", "broken.toml"], "broken.toml: is not TOML", "line 1"),
    "binary TOML": (["--bounds", "nano.root"], "nano.root: is not TOML"),
    "TOML without bounds": (
        ["--bounds", "empty.toml"],
        "empty.toml: has no table [bounds]",
        '"Jet_*" = "rel:1e-3"',
    ),
    "TOML number": (
        ["--bounds", "number.toml"],
        "number.toml: line 2: 'MET_pt': the bound 0.1 is no text",
    ),
    "TOML negative": (
        ["--bounds", "negative.toml"],
        "negative.toml: line 2: 'Jet_*': bound 'abs:-1'",
        "positive",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["compress", "train"])
@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_option_is_refused(
    run: Callable[..., Ended], tmp_path: Path, command: str, case: str
) -> None:
    options, *words = BAD_OPTIONS[case]
    assert_refused(
        run(command, "nano.root", "-o", tmp_path / "out.ftup", *options), *words
    )
    assert not list(tmp_path.iterdir())


BAD_MODELS = {
    "missing": (
        "nano.root",
        "nanoo.flow",
        [],
        "nanoo.flow: no such file",
        "nearest: nano.flow",
    ),
    "no model": ("nano.root", "nano.root", [], "nano.root: is not a flowtuple file"),
    "cut": (
        "nano.root",
        "cut.ftup",
        [],
        "cut.ftup: does not end with the flowtuple end mark",
    ),
    "newer": (
        "nano.root",
        "newer.ftup",
        [],
        "newer.ftup: has format version",
        "update flowtuple",
    ),
    "missing column": (
        "no_jets.root",
        "nano.flow",
        [],
        "nano.flow: does not fit table 'Events', whose column 'nJet' is missing",
        "train a model",
    ),
    "other type": (
        "nano_float64.root",
        "nano.flow",
        [],
        "column 'MET_pt' is float64, not float32",
        "train a model",
    ),
    "no common tree": (
        "other_tree.root",
        "nano.flow",
        [],
        "trained on Events, Runs",
        "other_tree.root",
        "(events)",
    ),
    "other bound": (
        "nano.root",
        "nano.flow",
        ["-t", "MET_pt=abs:1"],
        "fixes rel:0.001",
        "'MET_pt', not abs:1",
        "train with it",
    ),
    "effort": (
        "nano.root",
        "nano.flow",
        ["--effort", "maximal"],
        "'maximal'",
        "fast, default, best",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD_MODELS)
def test_model_that_does_not_fit_is_refused(
    run: Callable[..., Ended], tmp_path: Path, case: str
) -> None:
    source, model, options, *words = BAD_MODELS[case]
    assert_refused(
        run("compress", source, "--model", model, "-o", tmp_path / "out.ftup", *options),
        *words,
    )
    assert not list(tmp_path.iterdir())


BAD_FILES = {
    "missing": ("nanoo.ftup", "nanoo.ftup: no such file", "nearest: nano.ftup"),
    "folder": ("folder", "folder: cannot be read (Is a directory)"),
    "ROOT": ("nano.root", "nano.root: is not a flowtuple file"),
    "text": ("table.csv", "table.csv: is not a flowtuple file"),
    "pickle": (
        "frame.pkl",
        "frame.pkl: is not a flowtuple file",
        "compress it first with flowtuple compress",
    ),
    "empty": ("empty.ftup", "empty.ftup: "),
    "cut": (
        "cut.ftup",
        "cut.ftup: does not end with the flowtuple end mark",
        "fetch or copy it again",
    ),
    "cut early": ("cut_early.ftup", "cut_early.ftup: ", "fetch or copy it again"),
    "flipped": (
        "flipped.ftup",
        "flipped.ftup: events 0 to 60: chunk section at bytes ",
        "is damaged",
        "restore it from a copy, or save what is whole with flowtuple recover",
    ),
    "flipped description": (
        "flipped_description.ftup",
        "flipped_description.ftup: description section at bytes 16 to",
        "restore it from a copy",
    ),
    "flipped index": (
        "flipped_index.ftup",
        "flipped_index.ftup: its index is damaged",
        "restore it from a copy, or save what is whole with flowtuple recover",
    ),
    "newer": ("newer.ftup", "newer.ftup: has format version 65.0", "update flowtuple"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["decompress", "info", "verify", "report"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused(
    run: Callable[..., Ended], tmp_path: Path, command: str, case: str
) -> None:
    path, *words = BAD_FILES[case]
    arguments: dict[str, list[str | Path]] = {
        "decompress": [path, "-o", tmp_path / "out.root"],
        "info": [path],
        "verify": ["nano.root", path],
        "report": ["nano.root", path, "-o", tmp_path / "report"],
    }
    assert_refused(run(command, *arguments[command]), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("command", ["decompress", "verify", "report"])
def test_damaged_column_is_refused_by_its_name(
    run: Callable[..., Ended], tmp_path: Path, command: str
) -> None:
    path = "flipped_body.ftup"
    arguments: dict[str, list[str | Path]] = {
        "decompress": [path, "-o", tmp_path / "out.root"],
        "verify": ["nano.root", path],
        "report": ["nano.root", path, "-o", tmp_path / "report"],
    }
    assert_refused(
        run(command, *arguments[command]),
        f"{path}: events 0 to 60: column '",
        "is damaged; restore the file from a copy, or save what is whole with flowtuple recover",
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (
            ["decompress", "nano.root", "-o", "x.root"],
            "compress it first with flowtuple compress",
        ),
        (["info", "nano.root"], "compress it first with flowtuple compress"),
        (["verify", "nano.root", "nano_other.root"], "the last argument is the .ftup"),
        (
            ["report", "nano.root", "nano_other.root", "-o", "x"],
            "the last argument is the .ftup",
        ),
    ],
)
def test_an_original_in_place_of_a_file_is_refused(
    run: Callable[..., Ended], words: list[str], advice: str
) -> None:
    assert_refused(run(*words), ".root: is not a flowtuple file", advice)


def test_verify_of_a_damaged_file_names_the_next_step(run: Callable[..., Ended]) -> None:
    ended = run("verify", "flipped_body.ftup")
    assert ended.code == 1
    assert "flowtuple recover flipped_body.ftup -o SAVED.ftup\n" in ended.out
    assert "flowtuple recover" not in run("verify", "nano.ftup").out


BAD_DECOMPRESSIONS = {
    "compression of another format": (
        "nano.ftup",
        "out.npz",
        ["--compression", "LZMA:9"],
        "out.npz: only ROOT files take a compression",
        "leave out --compression",
    ),
    "kind of output": (
        "nano.ftup",
        "out.root",
        ["--as", "rtuple"],
        "Invalid value for '--as': 'rtuple' is not one of 'ttree', 'rntuple'",
    ),
    "suffix": (
        "nano.ftup",
        "out.rooot",
        [],
        "out.rooot: unknown suffix '.rooot'",
        ".root, .parquet",
    ),
    "no suffix": (
        "nano.ftup",
        "out",
        [],
        "out: no suffix that names a format",
        ".root, .parquet",
    ),
    "own suffix": ("nano.ftup", "out.ftup", [], "out.ftup: unknown suffix '.ftup'"),
    "missing folder": (
        "nano.ftup",
        "nowhere/out.root",
        [],
        "nowhere/out.root: cannot be written",
        "is no folder); make it first",
    ),
    "tree": (
        "nano.ftup:Event",
        "out.root",
        [],
        "nano.ftup: no tree 'Event'",
        "nearest: Events",
    ),
    "column": (
        "nano.ftup",
        "out.root",
        ["--columns", "Jet_pT"],
        "nano.ftup: ",
        "'Jet_pT' matches no",
        "nearest: Jet_pt",
    ),
    "glob": (
        "nano.ftup",
        "out.root",
        ["--columns", "Mu*"],
        "nano.ftup: ",
        "glob 'Mu*' matches no column",
    ),
    "entries word": (
        "nano.ftup",
        "out.root",
        ["--entries", "a:b"],
        "--entries 'a:b'",
        "0:1000",
    ),
    "entries number": (
        "nano.ftup",
        "out.root",
        ["--entries", "5"],
        "--entries '5'",
        "A:B",
    ),
    "entries backwards": (
        "nano.ftup",
        "out.root",
        ["--entries", "5:2"],
        "5:2 holds no events",
        "START below STOP",
    ),
    "entries empty": (
        "nano.ftup",
        "out.root",
        ["--entries", "5:5"],
        "5:5 holds no events",
    ),
    "entries negative": (
        "nano.ftup",
        "out.root",
        ["--entries", "-5:2"],
        "-5:2 holds no events",
    ),
    "entries beyond": (
        "nano.ftup",
        "out.root",
        ["--entries", "60:70"],
        "nano.ftup: ",
        "event 60 of 60",
    ),
    "compression": (
        "nano.ftup",
        "out.root",
        ["--compression", "ZIP:3"],
        "compression 'ZIP:3'",
        "LZMA:0 to LZMA:9",
    ),
    "compression level": (
        "nano.ftup",
        "out.root",
        ["--compression", "ZLIB:10"],
        "'ZLIB:10'",
        "ZLIB:9",
    ),
    "lists as CSV": (
        "ragged.ftup",
        "out.csv",
        [],
        "ragged.ftup: cannot write events/Jet_pt as text",
        "--drop",
    ),
    "lists as packed CSV": (
        "ragged.ftup",
        "out.csv.gz",
        [],
        "ragged.ftup: cannot write events/Jet_pt as text: it has lists",
        ".npz",
    ),
    "tables as CSV": ("nano.ftup", "out.csv", [], "Events, Runs", "choose one"),
    "tables as Parquet": ("nano.ftup", "out.parquet", [], "Events, Runs", "choose one"),
    "nesting as HDF5": (
        "deep.ftup",
        "out.h5",
        [],
        "deep.ftup: cannot write events/deep as HDF5",
        "--drop",
    ),
    "nesting as ROOT": (
        "deep.ftup",
        "out.root",
        ["--as", "ttree"],
        "cannot write events/deep",
        "--drop",
        ".npz",
    ),
}


@pytest.mark.slow
def test_weights_of_several_trees_are_refused(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = run("train", "nano.root", "-o", tmp_path / "out.flow", "--weight", "MET_pt")
    assert_refused(
        ended, "nano.root: --weight goes with one tree", "choose one, such as FILE:Events"
    )


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD_DECOMPRESSIONS)
def test_bad_decompression_is_refused(
    run: Callable[..., Ended], tmp_path: Path, case: str
) -> None:
    path, output, options, *words = BAD_DECOMPRESSIONS[case]
    assert_refused(run("decompress", path, "-o", tmp_path / output, *options), *words)
    assert not list(tmp_path.iterdir())


WRONG_ORIGINALS = {
    "other number of events": (
        "nano_longer.root",
        "nano_longer.root against nano.ftup",
        "61 events against 60",
    ),
    "other events": (
        "nano_other.root",
        "nano_other.root against nano.ftup",
        "column 'Jet_pt' has",
        "that was compressed",
    ),
    "other type": (
        "nano_float64.root",
        "nano_float64.root against nano.ftup",
        "column 'MET_pt' is float64, not float32",
    ),
    "no common table": (
        "other_tree.root",
        "other_tree.root: has no tree of nano.ftup (Events, Runs) but events",
        "it seems to be another original",
    ),
    "one tree only": (
        "nano.root:Events",
        "nano.root: ",
        "tree 'Runs'",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["verify", "report"])
@pytest.mark.parametrize("case", WRONG_ORIGINALS)
def test_wrong_original_is_refused(
    run: Callable[..., Ended], tmp_path: Path, command: str, case: str
) -> None:
    original, *words = WRONG_ORIGINALS[case]
    options = ["-o", tmp_path / "report"] if command == "report" else []
    assert_refused(run(command, original, "nano.ftup", *options), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_original_without_a_column_is_refused(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    api.compress({"x": [1.0], "y": [2.0]}, tmp_path / "two.ftup")
    np.savez(tmp_path / "one.npz", x=[1.0], z=[2.0])
    ended = run("verify", tmp_path / "one.npz", tmp_path / "two.ftup")
    assert_refused(
        ended,
        "one.npz against",
        "in the original, column 'y' is missing",
        "there are: x, z",
    )


BAD_OUTPUTS = {
    "compress": ["compress", "nano.root"],
    "train": ["train", "nano.root"],
    "decompress": ["decompress", "nano.ftup"],
}
OUTPUT_NAMES = {"compress": "out.ftup", "train": "out.flow", "decompress": "out.root"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("info", "nanoo.ftup", "--json"), "InvalidArgument"),
        (("compress", "nano.root:Event", "-o", "x.ftup", "--json"), "InvalidArgument"),
        (("inspect", "--json", "empty.root"), "InvalidArgument"),
        (("info", "short.ftup", "--json"), "Truncated"),
    ],
)
def test_json_holds_the_error_and_its_kind(
    run: Callable[..., Ended],
    inputs: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    kind: str,
) -> None:
    (tmp_path / "short.ftup").write_bytes((inputs / "nano.ftup").read_bytes()[:1000])
    ended = run(*(tmp_path / word if word == "short.ftup" else word for word in words))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert json.loads(ended.out) == {
        "error": ended.err.removeprefix("flowtuple: ").removesuffix("\n"),
        "kind": kind,
    }


class TestOutputThatCannotBeWritten:
    @pytest.mark.slow
    @pytest.mark.parametrize("command", BAD_OUTPUTS)
    def test_missing_folder(
        self, run: Callable[..., Ended], tmp_path: Path, command: str
    ) -> None:
        ended = run(
            *BAD_OUTPUTS[command], "-o", tmp_path / "nowhere" / OUTPUT_NAMES[command]
        )
        assert_refused(
            ended,
            f"nowhere/{OUTPUT_NAMES[command]}: cannot be written (",
            "is no folder); make it first",
        )
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    @pytest.mark.parametrize("command", BAD_OUTPUTS)
    def test_folder(
        self, run: Callable[..., Ended], tmp_path: Path, command: str
    ) -> None:
        folder = tmp_path / OUTPUT_NAMES[command]
        folder.mkdir()
        assert_refused(
            run(*BAD_OUTPUTS[command], "-o", folder),
            f"{folder}: is a folder",
            "name a file inside it",
        )
        assert not list(folder.iterdir())

    @pytest.mark.slow
    @pytest.mark.parametrize("command", BAD_OUTPUTS)
    def test_file_as_a_folder(
        self, run: Callable[..., Ended], tmp_path: Path, command: str
    ) -> None:
        (tmp_path / "file").touch()
        ended = run(
            *BAD_OUTPUTS[command], "-o", tmp_path / "file" / OUTPUT_NAMES[command]
        )
        assert_refused(ended, "is no folder); make it first")
        assert [p.name for p in tmp_path.iterdir()] == ["file"]

    @pytest.mark.slow
    @pytest.mark.parametrize("command", ["compress", "train"])
    def test_suffix_of_another_format(
        self, run: Callable[..., Ended], tmp_path: Path, command: str
    ) -> None:
        """`compress nano.root -o nano.root` must not overwrite its input."""
        shutil.copy("nano.root", tmp_path / "nano.root")
        before = tree_of(tmp_path)
        ended = run(command, tmp_path / "nano.root", "-o", tmp_path / "nano.root")
        assert_refused(ended, "nano.root: has the suffix of another format", ".ftup")
        assert tree_of(tmp_path) == before

    @pytest.mark.slow
    @pytest.mark.parametrize("command", ["compress", "train"])
    def test_nothing_is_trained_for_an_output_that_cannot_be(
        self,
        run: Callable[..., Ended],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        command: str,
    ) -> None:
        monkeypatch.setattr("flowtuple.training.fit.MIN_ROWS", 1)
        monkeypatch.setattr(training, "train_flow", None)
        assert_refused(
            run(command, "nano.root", "-o", tmp_path / "nowhere" / "out"),
            "cannot be written",
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("command", ["demo", "report"])
    def test_folder_that_is_a_file(
        self, run: Callable[..., Ended], tmp_path: Path, command: str
    ) -> None:
        (tmp_path / "taken").touch()
        arguments = ["nano.root", "nano.ftup"] if command == "report" else []
        ended = run(command, *arguments, "-o", tmp_path / "taken")
        assert_refused(
            ended, "taken: cannot be made (File exists)", "choose another folder"
        )
        assert tree_of(tmp_path).keys() == {"taken"}

    @pytest.mark.slow
    def test_demo_of_an_unknown_effort_makes_no_folder(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        assert_refused(
            run("demo", "--effort", "maximal", "-o", tmp_path / "demo"),
            "fast, default, best",
        )
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_an_output_that_was_there_stays(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        (tmp_path / "out.csv").write_text("kept")
        assert_refused(
            run("decompress", "ragged.ftup", "-o", tmp_path / "out.csv"),
            "cannot write events/Jet_pt",
        )
        assert (tmp_path / "out.csv").read_text() == "kept"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.slow
    def test_disk_full(
        self, run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("flowtuple.file.writer.Writer.finish", fail)
        ended = run("compress", "nano.root", "-o", tmp_path / "out.ftup")
        assert_refused(ended, "out.ftup: cannot be written (No space left on device)")
        assert not list(tmp_path.iterdir())


# Capabilities of Linux that let root read and write anything: CAP_DAC_OVERRIDE and
# CAP_DAC_READ_SEARCH.
ANYTHING = 1 << 1 | 1 << 2


@contextmanager
def without_capabilities() -> Iterator[None]:
    """Permissions count for root as for any owner of files.

    Another user could not enter the folders of root, where Python, this package or temporary files
    may lie.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        pytest.skip("root may write anywhere")
    version_3, this_thread, numbers = 0x20080522, 0, ctypes.c_uint32 * 6
    header, before = (ctypes.c_uint32 * 2)(version_3, this_thread), numbers()
    assert libc.capget(header, before) == 0
    after = numbers(*before)
    after[0] &= ~ANYTHING  # of the effective ones
    assert libc.capset(header, after) == 0
    try:
        yield
    finally:
        libc.capset(header, before)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A folder, with the rights of an ordinary person."""
    if not hasattr(os, "geteuid"):
        pytest.skip("files have other permissions here")
    folder = tmp_path / "unprivileged"
    folder.mkdir()
    with without_capabilities() if os.geteuid() == 0 else nullcontext():
        yield folder
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)


class TestPermissions:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "name", ["secret.root", "secret.csv", "secret.npz", "secret.h5", "secret.parquet"]
    )
    def test_unreadable_input(
        self, run: Callable[..., Ended], unprivileged: Path, tmp_path: Path, name: str
    ) -> None:
        secret = unprivileged / name
        secret.write_bytes(b"x")
        secret.chmod(0)
        assert_refused(
            run("inspect", secret),
            f"{name}: cannot be read (Permission denied)",
            "check its permissions",
        )

    @pytest.mark.slow
    def test_unreadable_file(
        self, run: Callable[..., Ended], inputs: Path, unprivileged: Path
    ) -> None:
        secret = unprivileged / "secret.ftup"
        shutil.copy(inputs / "nano.ftup", secret)
        secret.chmod(0)
        assert_refused(
            run("info", secret), "secret.ftup: cannot be read (Permission denied)"
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("command", ["compress", "decompress"])
    def test_folder_that_is_read_only(
        self, run: Callable[..., Ended], inputs: Path, unprivileged: Path, command: str
    ) -> None:
        for name in ("table.csv", "flat.ftup"):
            shutil.copy(inputs / name, unprivileged)
        unprivileged.chmod(0o555)
        source, output = {
            "compress": ("table.csv", "out.ftup"),
            "decompress": ("flat.ftup", "out.csv"),
        }[command]
        ended = run(command, unprivileged / source, "-o", unprivileged / output)
        assert_refused(
            ended,
            f"{output}: cannot be written (Permission denied)",
            "choose another folder",
        )
        assert {p.name for p in unprivileged.iterdir()} == {"table.csv", "flat.ftup"}


class TestHelp:
    @pytest.mark.slow
    @pytest.mark.parametrize("command", COMMANDS)
    def test_shows_an_example(self, run: Callable[..., Ended], command: str) -> None:
        ended = run(command, "--help")
        assert ended.code == 0
        assert re.search(rf"Example: flowtuple {command}\b", ended.out)

    @pytest.mark.slow
    def test_lists_every_command(self, run: Callable[..., Ended]) -> None:
        assert set(commands.COMMANDS) - {"reference"} == set(COMMANDS)
        ended = run("-h")
        assert ended.code == 0
        assert all(
            re.search(rf"^\W+{command} ", ended.out, re.MULTILINE) for command in COMMANDS
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "arguments",
        [["compres"], ["compress", "nano.root"], ["info", "nano.ftup", "--jsn"]],
    )
    def test_usage_errors_end_with_2(
        self, run: Callable[..., Ended], arguments: list[str]
    ) -> None:
        ended = run(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "Traceback" not in ended.err


class TestInspect:
    @pytest.mark.slow
    def test_table_names_columns_and_counters(self, run: Callable[..., Ended]) -> None:
        ended = run("inspect", "nano.root")
        assert (ended.code, ended.err) == (0, "")
        assert "Events: 60 events" in ended.out
        assert "Runs: 2 events" in ended.out
        assert re.search(r"Jet_phi .* float32 \[nJet\] .* angle ", ended.out)
        assert "carried: pileup" in ended.out

    @pytest.mark.slow
    def test_json(self, run: Callable[..., Ended]) -> None:
        found = json.loads(run("inspect", "nano.root:Events", "--json").out)
        (table,) = found["tables"]
        columns = {c["name"]: c for c in table["columns"]}
        assert (table["name"], table["events"]) == ("Events", 60)
        assert list(columns) == ["run", "MET_pt", "nJet", "Jet_pt", "Jet_phi"]
        assert (columns["run"]["role"], columns["run"]["low"]) == ("id", 273158)
        assert (columns["nJet"]["role"], columns["Jet_pt"]["counter"]) == (
            "counter",
            "nJet",
        )

    @pytest.mark.slow
    def test_names_of_columns_without_any(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        np.savetxt(tmp_path / "plain.txt", np.ones((3, 2)))
        found = json.loads(
            run("inspect", tmp_path / "plain.txt", "--names", "pt, eta", "--json").out
        )
        assert [c["name"] for c in found["tables"][0]["columns"]] == ["pt", "eta"]

    @pytest.mark.slow
    def test_brackets_and_colons_are_no_markup(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        np.savez(
            tmp_path / "odd.npz",
            **{"pt[GeV]": np.ones(2), ":smile:": np.ones(2), "[bold]x": np.ones((2, 3))},
        )
        out = run("inspect", tmp_path / "odd.npz").out
        assert all(name in out for name in ("pt[GeV]", ":smile:", "[bold]x", "[3]"))


class TestCompress:
    @pytest.mark.slow
    def test_says_what_it_came_to(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        ended = run(
            "compress", "nano.root", "-o", tmp_path / "out.ftup", "-t", "Jet_*=rel:1e-3"
        )
        assert (ended.code, ended.err) == (0, "")
        assert re.search(
            r"out\.ftup: .* for 60 events of Events \(2 of other trees\): .* times \w+ than "
            r"the input file \(.* kB\), .* than its columns raw \(.* kB\), .* bits per value",
            ended.out,
        )
        assert [p.name for p in tmp_path.iterdir()] == ["out.ftup"]

    @pytest.mark.slow
    def test_json(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        found = json.loads(
            run(
                "compress",
                "nano.root",
                "-o",
                tmp_path / "out.ftup",
                "--json",
                "--workers",
                "1",
            ).out
        )
        assert found["file_bytes"] == (tmp_path / "out.ftup").stat().st_size
        assert found["bits_per_value"] == pytest.approx(
            8 * found["file_bytes"] / found["values"]
        )
        assert (found["events"], found["warnings"]) == (62, [])

    @pytest.mark.slow
    def test_warns_on_one_line(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        values = np.where(
            np.arange(2000) % 4 == 0, -999.0, np.random.default_rng(1).normal(0, 1, 2000)
        )
        np.savez(tmp_path / "events.npz", x=values)
        ended = run(
            "compress",
            tmp_path / "events.npz",
            "-o",
            tmp_path / "out.ftup",
            "-t",
            "x=std:1e-3",
        )
        assert ended.code == 0
        assert re.fullmatch(
            r"flowtuple: warning: column 'x': the repeated value -999 [^\n]*\n", ended.err
        )

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--columns", "Jet_pt"], ["nJet", "Jet_pt"]),
            (["--columns", "nJet"], ["nJet"]),
            (
                ["--columns", "Jet_*", "--columns", "run", "--exclude", "*phi"],
                ["run", "nJet", "Jet_pt"],
            ),
            (["--exclude", "Jet_*"], ["run", "MET_pt", "nJet"]),
            (
                ["--exclude", "nJet", "--exclude", "run"],
                ["MET_pt", "nJet", "Jet_pt", "Jet_phi"],
            ),
        ],
    )
    def test_columns(
        self,
        run: Callable[..., Ended],
        tmp_path: Path,
        options: list[str],
        expected: list[str],
    ) -> None:
        assert (
            run(
                "compress", "nano.root:Events", "-o", tmp_path / "out.ftup", *options
            ).code
            == 0
        )
        with ft.open(tmp_path / "out.ftup") as file:
            assert [c.name for c in file.tables["Events"].columns] == expected

    @pytest.mark.slow
    def test_bounds_of_a_file_come_before_those_of_the_command_line(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        toml = tmp_path / "bounds.toml"
        toml.write_text(
            "[bounds]\n'*' = 'rel:1e-2'\n'Jet_*' = 'rel:1e-3'\n'Jet_phi' = 'abs:1e-3'\n"
        )
        options = ["--bounds", toml, "-t", "*_pt=rel:1e-4", "-t", "MET_pt=lossless"]
        assert (
            run("compress", "nano.root", "-o", tmp_path / "out.ftup", *options).code == 0
        )
        tables = json.loads(run("info", tmp_path / "out.ftup", "--json").out)["tables"]
        assert {c["name"]: c["asked"] for c in tables[0]["columns"]} == {
            "run": "lossless",
            "MET_pt": "lossless",
            "nJet": "lossless",
            "Jet_pt": "rel:0.0001",
            "Jet_phi": "abs:0.001",
        }
        assert tables[1]["columns"][1]["asked"] == "rel:0.01"

    @pytest.mark.slow
    def test_a_pattern_given_again_takes_its_later_place(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        options = ["-t", "*=rel:1e-2", "-t", "Jet_pt=abs:1", "-t", "*=rel:1e-3"]
        assert (
            run("compress", "nano.root", "-o", tmp_path / "out.ftup", *options).code == 0
        )
        assert (
            ft.info(tmp_path / "out.ftup")["tables"][0]["columns"][3]["asked"]
            == "rel:0.001"
        )

    @pytest.mark.slow
    def test_several_files_and_globs_are_one_data_set(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        for output, sources in (
            ("a", ["nano.root", "nano_other.root"]),
            ("b", ["nano_[!fml]*.root", "nano.root"][::-1]),
        ):
            assert run("compress", *sources, "-o", tmp_path / output, "--drop").code == 0
            with ft.open(tmp_path / output) as file:
                assert file.tables["Events"].num_entries == 120

    @pytest.mark.slow
    def test_with_a_model(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        assert (
            run(
                "compress",
                "nano_other.root",
                "--model",
                "nano.flow",
                "-o",
                tmp_path / "out.ftup",
            ).code
            == 0
        )
        ended = run("verify", "nano_other.root", tmp_path / "out.ftup", "--json")
        assert ended.code == 0
        assert {c["column"]: c["bound"] for c in json.loads(ended.out)["columns"]}[
            "Jet_pt"
        ] == "rel:0.001"

    @pytest.mark.slow
    def test_same_seed_same_file(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        for name in ("a.ftup", "b.ftup"):
            assert (
                run("compress", "nano.root", "-o", tmp_path / name, "--seed", "3").code
                == 0
            )
        assert (tmp_path / "a.ftup").read_bytes() == (tmp_path / "b.ftup").read_bytes()


@pytest.mark.slow
def test_train_says_what_it_wrote(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run("train", "nano.root", "-o", tmp_path / "out.flow", "-t", "Jet_*=rel:1e-3")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r".*out\.flow: [\d.]+ k?B\n", ended.out)


class TestDecompress:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "suffix",
        [".root", ".parquet", ".h5", ".hdf5", ".npz", ".csv", ".csv.gz", ".txt", ".dat"],
    )
    def test_flat_columns_into_every_format(
        self, run: Callable[..., Ended], tmp_path: Path, suffix: str
    ) -> None:
        output = tmp_path / f"out{suffix}"
        ended = run("decompress", "flat.ftup", "-o", output)
        is_text = suffix in (".csv", ".csv.gz", ".txt", ".dat")
        note = (
            "flowtuple: warning: events: x: float32, read back from text as float64\n"
            if is_text
            else ""
        )
        assert ended == Ended(
            0, f"{output}: {format_bytes(output.stat().st_size)}\n", note
        )
        assert [p.name for p in tmp_path.iterdir()] == [f"out{suffix}"]
        (table,) = json.loads(run("inspect", tmp_path / f"out{suffix}", "--json").out)[
            "tables"
        ]
        assert [(c["name"], c["low"], c["high"]) for c in table["columns"]] == [
            ("x", 1.5, 2.5),
            ("n", 1, 2),
        ]

    @pytest.mark.slow
    @pytest.mark.parametrize("suffix", [".root", ".parquet", ".h5", ".npz"])
    def test_lists_into_every_format_that_holds_them(
        self, run: Callable[..., Ended], tmp_path: Path, suffix: str
    ) -> None:
        assert (
            run(
                "decompress",
                "nano.ftup:Events",
                "-o",
                tmp_path / f"out{suffix}",
                "--workers",
                "1",
            ).code
            == 0
        )
        table = json.loads(run("inspect", tmp_path / f"out{suffix}", "--json").out)[
            "tables"
        ][0]
        assert table["events"] == 60
        assert {"MET_pt", "nJet", "Jet_pt"} <= {c["name"] for c in table["columns"]}

    @pytest.mark.slow
    def test_part_of_the_columns_and_events(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        options = ["--columns", "Jet_p*", "--entries", "10:25"]
        assert (
            run(
                "decompress", "nano.ftup:Events", "-o", tmp_path / "out.root", *options
            ).code
            == 0
        )
        with (
            uproot.open(tmp_path / "out.root") as part,
            uproot.open("nano.root") as whole,
        ):
            assert part["Events"].keys() == ["nJet", "Jet_pt", "Jet_phi"]
            expected = whole["Events"]["Jet_phi"].array(entry_start=10, entry_stop=25)
            assert ak.array_equal(part["Events"]["Jet_phi"].array(), expected)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("entries", "count"), [(":5", 5), ("55:", 5), (":", 60), ("58:1000", 2)]
    )
    def test_open_ranges(
        self, run: Callable[..., Ended], tmp_path: Path, entries: str, count: int
    ) -> None:
        options = ["--columns", "nJet", "--entries", entries]
        assert (
            run(
                "decompress", "nano.ftup:Events", "-o", tmp_path / "out.csv", *options
            ).code
            == 0
        )
        assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + count

    @pytest.mark.slow
    def test_drop(self, run: Callable[..., Ended], tmp_path: Path) -> None:
        assert (
            run("decompress", "ragged.ftup", "-o", tmp_path / "out.csv", "--drop").code
            == 0
        )
        assert (tmp_path / "out.csv").read_text() == "MET\n1.0\n2.0\n"

    @pytest.mark.slow
    def test_compression_and_basket(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        options = ["--compression", "LZMA:2", "--basket", "20"]
        assert (
            run("decompress", "nano.ftup", "-o", tmp_path / "out.root", *options).code
            == 0
        )
        with uproot.open(tmp_path / "out.root") as file:
            assert file["Events"]["MET_pt"].num_baskets == 3
            assert file.file.compression == uproot.LZMA(2)

    @pytest.mark.slow
    def test_root_again_compresses_to_the_same_values(
        self, run: Callable[..., Ended], tmp_path: Path
    ) -> None:
        assert run("decompress", "nano.ftup", "-o", tmp_path / "out.root").code == 0
        assert run("verify", tmp_path / "out.root", "nano.ftup").code == 0
        assert run("verify", "nano.root", "nano.ftup").code == 0


class TestVerify:
    @pytest.mark.slow
    def test_every_value_within_its_bound(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "nano.root", "nano.ftup", "--all")
        assert (ended.code, ended.err) == (0, "")
        assert re.search(r"Events/Jet_pt .* rel:0.001 ", ended.out)
        assert re.match(r"ok: nano\.ftup: \d+ values in 8 columns are within", ended.out)

    @pytest.mark.slow
    def test_a_value_outside_its_bound_ends_with_1(
        self, run: Callable[..., Ended]
    ) -> None:
        ended = run("verify", "nano_met_raised.root", "nano.ftup")
        assert (ended.code, ended.err) == (1, "")
        verdict = r"FAILED: nano\.ftup: 1 of 8 columns failed, 1 of \d+ values are outside their"
        assert re.match(verdict, ended.out)

    @pytest.mark.slow
    def test_json(self, run: Callable[..., Ended]) -> None:
        ended = run("verify", "nano_met_raised.root", "nano.ftup", "--json")
        found = json.loads(ended.out)
        assert (ended.code, found["violations"]) == (1, 1)
        assert {
            c["column"]: c["violations"] for c in found["columns"] if c["violations"]
        } == {"MET_pt": 1}


_BYTES = r"^(\w[\w ]*?)  +(\d+) bytes$"


class TestInfo:
    @pytest.mark.slow
    def test_table_names_columns_bounds_and_sections(
        self, run: Callable[..., Ended]
    ) -> None:
        ended = run("info", "nano.ftup")
        assert (ended.code, ended.err) == (0, "")
        assert re.search(r"Jet_pt .* float32 \[nJet\] .* rel:0.001 ", ended.out)
        footer = {
            name: int(size) for name, size in re.findall(_BYTES, ended.out, re.MULTILINE)
        }
        assert footer.keys() >= {"columns", "chunk directories", "description", "file"}
        assert sum(footer.values()) == 2 * footer["file"]
        assert re.search(r"^flowtuple +\"", ended.out, re.MULTILINE)

    @pytest.mark.slow
    def test_json_adds_up_to_the_file(
        self, run: Callable[..., Ended], inputs: Path
    ) -> None:
        found = json.loads(run("info", "nano.ftup", "--json").out)
        assert (
            sum(found["sections"].values())
            == found["bytes"]
            == (inputs / "nano.ftup").stat().st_size
            == sum(row["bytes"] for row in found["rows"])
        )
        assert found["carried"] == ["pileup"]
        assert [t["name"] for t in found["tables"]] == ["Events", "Runs"]

    @pytest.mark.slow
    def test_hidden_counters_change_in_root(self, run: Callable[..., Ended]) -> None:
        assert (
            "ROOT output: n(Jet_pt): hidden -> branch nJet_pt, int32"
            in run("info", "ragged.ftup").out
        )


@pytest.mark.slow
def test_report_is_one_page(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run("report", "nano.root", "nano.ftup", "-o", tmp_path / "report")
    assert (ended.code, ended.err, ended.out) == (
        0,
        "",
        f"{tmp_path}/report/report.html\n",
    )
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Jet_pt" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert [p.name for p in (tmp_path / "report").iterdir()] == ["report.html"]


class TestProcess:
    """The same through a real process, where nothing is caught for us."""

    @staticmethod
    def run(
        *arguments: str | Path, module: bool = True
    ) -> subprocess.CompletedProcess[str]:
        command = (
            [sys.executable, "-m", "flowtuple"]
            if module
            else [str(Path(sys.executable).with_name("flowtuple"))]
        )
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    @pytest.mark.slow
    def test_as_a_module(self, inputs: Path, tmp_path: Path) -> None:
        output = tmp_path / "out.root"
        ended = self.run("decompress", inputs / "nano.ftup", "-o", output)
        written = f"{output}: {format_bytes(output.stat().st_size)}\n"
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, written, "")

    @pytest.mark.slow
    @pytest.mark.skipif(
        not Path(sys.executable).with_name("flowtuple").exists(),
        reason="flowtuple is not installed as a command",
    )
    def test_as_a_command(self, inputs: Path) -> None:
        ended = self.run(
            "verify", inputs / "nano_met_raised.root", inputs / "nano.ftup", module=False
        )
        assert (ended.returncode, ended.stderr) == (1, "")

    @pytest.mark.slow
    def test_in_a_terminal_that_knows_no_letters_beyond_ascii(
        self, inputs: Path, tmp_path: Path
    ) -> None:
        named = os.fsencode(tmp_path) + b"/gr\xc3\xb6\xff.ftup"
        shutil.copy(inputs / "nano.ftup", named)
        command = [
            sys.executable.encode(),
            b"-m",
            b"flowtuple",
            b"verify",
            os.fsencode(inputs / "nano_met_raised.root"),
            named,
            b"--all",
        ]
        plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "400"}
        ended = subprocess.run(
            command, capture_output=True, check=False, timeout=600, env=plain
        )
        assert (ended.returncode, ended.stderr) == (1, b"")
        assert named in ended.stdout  # as it is
        assert b"\\u2013" in ended.stdout  # the dash where there is no difference

    @pytest.mark.slow
    def test_refusal(self, inputs: Path, tmp_path: Path) -> None:
        ended = self.run("compress", inputs / "nanoo.root", "-o", tmp_path / "out.ftup")
        assert_refused(
            Ended(ended.returncode, ended.stdout, ended.stderr),
            "nanoo.root: no such file",
            "nearest: nano.root",
        )
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_damage(self, inputs: Path, tmp_path: Path) -> None:
        ended = self.run(
            "decompress", inputs / "flipped.ftup", "-o", tmp_path / "out.root"
        )
        assert_refused(
            Ended(ended.returncode, ended.stdout, ended.stderr),
            "flipped.ftup: events 0 to 60: chunk section",
        )
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_demo_shows_a_table(
    run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole demo without its training, which other tests cover."""
    monkeypatch.setattr("flowtuple.training.fit.MIN_ROWS", 10**9)
    ended = run("demo", "-o", tmp_path / "demo", "--effort", "fast")
    assert (ended.code, ended.err) == (0, "")
    assert "Events/Jet_pt" in ended.out
    assert "0 outside their bound" in ended.out
    cells = [[c.strip() for c in line.split("│")] for line in ended.out.splitlines()]
    rows = [row for row in cells if len(row) > 9]
    parts = {
        name: int(size) for name, size in re.findall(_BYTES, ended.out, re.MULTILINE)
    }
    assert sum(parts.values()) == (tmp_path / "demo" / "jets.ftup").stat().st_size
    assert sum(int(row[4]) for row in rows) == parts["of which columns"]
    assert all(row[5] == "0" for row in rows)  # trained on nothing
    assert {p.name for p in (tmp_path / "demo").iterdir()} == {
        "jets.ftup",
        "jets.root",
        "report.html",
    }
