"""Spellings of the command line: old ones with a note, usage errors in one line, the version,
panels.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple import cli
from flowtuple.cli.arguments import OPTIONS, as_options
from flowtuple.cli.old_spellings import current_spelling

VALUED = {"-o", "--flow", "--target", "--given", "--preset", "--columns", "--exclude"}


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        (
            ["train", "f", "--target", "J*"],
            ["train-simulation", "f", "--target", "J*"],
            "--target",
        ),
        (["train", "f", "--flow=nsf"], ["train-flow", "f", "--flow=nsf"], "train --flow"),
        (
            ["train", "f", "--preset", "flashsim-jets"],
            ["train-flow", "f"],
            "train --preset",
        ),
        (["train", "f", "--preset=flashsim-jets"], ["train-flow", "f"], "train --preset"),
        (["train", "f", "--flow", "lattice"], ["train", "f"], "train --flow lattice"),
        (["train", "f", "--flow=lattice"], ["train", "f"], "train --flow lattice"),
        (
            ["compare", "a", "b", "--given", "G*"],
            ["closure", "a", "b", "--given", "G*"],
            "closure",
        ),
        (["bench", "f", "--threads", "2"], ["bench", "f", "--workers", "2"], "--workers"),
        (
            ["compare", "a", "b", "--weights=w"],
            ["compare", "a", "b", "--weight=w"],
            "--weight",
        ),
    ],
)
def test_old_spelling_is_noted_and_replaced(
    old: list[str], new: list[str], note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert current_spelling(old, VALUED)[: len(new)] == new
    said = capsys.readouterr().err
    assert re.fullmatch(r"flowtuple: note: [^\n]+ is going away; write [^\n]+\n", said)
    assert note in said


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train", "f", "-o", "m"],
        ["train-flow", "f", "--flow", "nsf"],
        ["train", "-o", "m", "--", "--flow", "--threads", "--weights=w"],
        ["train", "f", "-o", "--flow", "--exclude", "--threads"],
        ["train", "flashsim-jets", "-o", "flashsim-jets"],
        ["compare", "a", "--columns", "--given"],
    ],
)
def test_current_spelling_is_left_alone(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert current_spelling(words, VALUED) == words
    assert capsys.readouterr().err == ""


def run(patch: pytest.MonkeyPatch, *words: object) -> int:
    patch.setattr(sys, "argv", ["flowtuple", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def test_old_command_does_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(100.0))
    words = ["--flow", "maf", "--epochs", "1", "--hidden", "8", "-o", tmp_path / "m.flow"]
    assert run(monkeypatch, "train", tmp_path / "x.npz", *words) == 0
    shown = capsys.readouterr()
    assert shown.err == "flowtuple: note: train --flow is going away; write train-flow\n"
    assert "m.flow: " in shown.out


def test_values_of_options_are_no_old_spellings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(9.0))
    words = ["--columns", "--threads", "-o", tmp_path / "y.ftup"]
    assert run(monkeypatch, "compress", tmp_path / "x.npz", *words) == 2
    shown = capsys.readouterr().err
    assert "'--threads' matches no column" in shown
    assert "is going away" not in shown


def test_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"flowtuple {ft.__version__}\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["compres"], "No such command 'compres'"),
        (["compress", "x.root"], "Missing option '--output'"),
        (["info", "x.ftup", "--jsn"], "No such option: --jsn"),
        (
            ["sample", "m.flow", "-o", "x.root", "-n", "many"],
            "Invalid value for '--number'",
        ),
    ],
)
def test_usage_error_is_one_line(
    words: list[str],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"flowtuple: [^\n]+; see flowtuple( [a-z]+)? --help\n", shown.err)
    assert reason in shown.err


def test_without_a_command_the_help_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    shown = capsys.readouterr()
    assert "train-simulation" in shown.out
    assert shown.err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "panels"),
    [
        ("compress", ["Input", "Training", "Resources"]),
        ("train-flow", ["Input", "Flow over rows", "Resources"]),
        ("compare", ["Tests", "Cuts"]),
    ],
)
def test_options_are_grouped(
    command: str,
    panels: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, command, "--help") == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"─ {panel} ─", shown) for panel in panels)


def test_arguments_are_translated() -> None:
    message = "leave out `by_column=` and `cuts=`, or use `train_flow()`"
    assert (
        as_options(message)
        == "leave out --by-column and --cut, or use flowtuple train-flow"
    )
    assert as_options("`x` and y=1 stay") == "`x` and y=1 stay"


@pytest.mark.parametrize("argument", OPTIONS)
def test_option_of_an_argument_is_used_by_a_message(argument: str) -> None:
    modules = Path(ft.__file__).parent.rglob("*.py")
    assert any(f"`{argument}=`" in module.read_text() for module in modules)


def test_errors_name_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(10.0))
    words = ["-t", "abs:0.1"]
    assert run(monkeypatch, "inspect", tmp_path / "x.npz", *words) == 2
    assert "--tolerance says nothing to inspect without --gain" in capsys.readouterr().err
    with pytest.raises(ft.InvalidArgument, match="`tolerance=` says nothing"):
        ft.inspect(tmp_path / "x.npz", tolerance="abs:0.1")
