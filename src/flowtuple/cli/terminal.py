"""Output in a terminal: lines, tables, JSON, and progress with time left."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flowtuple.cli.arguments import as_options
from flowtuple.data.resources import Resources
from flowtuple.data.table import LeftOut
from flowtuple.errors import name_parts
from flowtuple.reporting.page import format_number


@contextmanager
def shown(limits: Resources = Resources(), *, silent: bool = False) -> Iterator[Resources]:
    """Give resources whose progress is a bar with the time left for each stage.

    The bars are on standard error, if it is a terminal.
    """
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield limits
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, share: float, detail: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0, detail="")
            bars.update(tasks[stage], completed=share, detail=detail)

        yield replace(limits, progress=show)


class _Output(Console):
    """Standard output, where a reader that has seen enough is no failure of ours."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends well; rich would end with exit code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def show_table(title: str, headings: str, rows: Iterable[Sequence[Any]]) -> None:
    """Print a table.

    Args:
        title: Line above it.
        headings: Between bars; those behind a `>` are of numbers, aligned to the right.
        rows: Cells: floats have three digits, `None` is a dash.
    """
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings.split(" | "):
        if heading.startswith(">"):
            table.add_column(heading.removeprefix(">"), justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    wide = _Output(
        file=sys.stdout, markup=False, emoji=False
    )  # names hold brackets: Jet_pt [nJet]
    if not wide.is_terminal:
        wide.width = 160
    wide.print(table)


def _cell(value: Any) -> str:
    is_number = value is None or isinstance(value, float)
    return format_number(value) if is_number else str(value)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, the values aligned."""
    width = max((len(name) for name in facts), default=0)
    write(*(f"{name:<{width}}  {value}" for name, value in facts.items()))


def write(*lines: object) -> None:
    """Print lines on standard output."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


def print_json(content: Any) -> None:
    """Print indented JSON on standard output; results may be anywhere in the content."""
    write(json.dumps(content, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    return vars(value) if is_dataclass(value) else str(value)


def warn(*messages: str) -> None:
    """Write lines on standard error, with options for arguments."""
    for message in messages:
        sys.stderr.write(f"flowtuple: warning: {as_options(message)}\n")


def warn_left_out(parts: Sequence[LeftOut], when: str = "") -> None:
    """Count and name the parts of an input that an output lacks, on standard error."""
    if parts:
        warn(f"left out{when}: {name_parts({part.name: part.reason for part in parts})}")
