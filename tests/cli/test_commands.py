"""The list of commands: what it says of each, and that help imports nothing else."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from inspect import getdoc

import pytest
import typer

from flowtuple.cli.app import app
from flowtuple.cli.commands import COMMANDS

HEAVY = ("numpy", "awkward", "numba", "uproot", "fsspec", "flowtuple.data.table")


def test_lists_every_command_as_its_docstring_begins() -> None:
    for entry in COMMANDS.values():
        import_module(f"flowtuple.cli.{entry.module}")
    made = {
        info.name or info.callback.__name__: info.callback
        for info in app.registered_commands
        if info.callback is not None
    }
    groups = {
        info.name: info.typer_instance.info.help
        for info in app.registered_groups
        if info.typer_instance is not None
    }
    first = {
        name: " ".join((getdoc(function) or "").split("\n\n")[0].split())
        for name, function in made.items()
    }
    assert {name: entry.help for name, entry in COMMANDS.items()} == first | groups


def test_a_command_is_in_its_module() -> None:
    for name, entry in COMMANDS.items():
        import_module(f"flowtuple.cli.{entry.module}")
        command = typer.main.get_command(app).commands[name]
        if name != "reference":
            assert command.callback is not None
            assert command.callback.__module__ == f"flowtuple.cli.{entry.module}"


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys; from flowtuple.cli import app; "
        f"app({words!r}, standalone_mode=False); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_package_imports_a_name_when_it_is_used() -> None:
    script = (
        "import sys, flowtuple as ft; "
        f"before = [name for name in {HEAVY} if name in sys.modules]; "
        "ft.Bound; print(before, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["[]", "True"]
