"""Output in a terminal: tables, and progress with time left."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO

from flowtuple.cli.lines import warn, write
from flowtuple.data.resources import Resources
from flowtuple.data.table import LeftOut
from flowtuple.errors import name_parts, visible
from flowtuple.reporting.page import format_number
from flowtuple.runtime.lazy_packages import rich

_PIPE_WIDTH = 160  # columns, where no terminal has a width
_FORCED = {"FORCE_COLOR", "TTY_COMPATIBLE"}  # by these rich writes as to a terminal
_LEAST_WIDTH = 8  # of a column of text that is folded


@contextmanager
def shown(
    limits: Resources = Resources(), *, silent: bool = False
) -> Iterator[Resources]:
    """Give resources whose progress is a bar with the time left for each stage.

    The bars are on standard error, if it is a terminal.
    """
    if silent or not _may_be_terminal(sys.stderr):
        yield limits
        return
    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield limits
        return
    columns = (
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[detail]}", markup=False),
    )
    with rich.progress.Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, rich.progress.TaskID] = {}

        def show(stage: str, share: float, detail: str) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(visible(stage), total=1.0, detail="")
            bars.update(tasks[stage], completed=share, detail=visible(detail))

        yield replace(limits, progress=show)


def _may_be_terminal(stream: TextIO) -> bool:
    """Return whether rich, which takes long to import, can take a stream for a terminal."""
    return stream.isatty() or not _FORCED.isdisjoint(os.environ)


def show_table(title: str, headings: str, rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; where the terminal is too narrow for it, the cells of each row as lines.

    Args:
        title: Line above it.
        headings: Between bars; those behind a `>` are of numbers, aligned to the right.
        rows: Cells: floats have three digits, `None` is a dash.
    """
    cells = [[visible(_cell(value)) for value in row] for row in rows]
    # Jet_pt [nJet] is no markup
    console = rich.console.Console(file=sys.stdout, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_WIDTH
    table = rich.table.Table(
        title=visible(title), title_justify="left", title_style="bold"
    )
    names, total = [], 1
    for number, heading in enumerate(headings.split(" | ")):
        name = heading.removeprefix(">")
        longest = max((rich.cells.cell_len(row[number]) for row in cells), default=0)
        if name == heading:
            table.add_column(name, overflow="fold")
            width = min(_LEAST_WIDTH, max(longest, len(name)))
        else:
            width = max(longest, min(_LEAST_WIDTH, len(name)))
            table.add_column(name, justify="right", overflow="fold", min_width=width)
        names.append(name)
        total += width + 3  # a bar and two blanks
    if total > console.width:
        write(title)
        _write_records(names, cells)
        return
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _write_records(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print the first cell of each row, and below it the others that say something."""
    width = max(map(len, names[1:]))
    for first, *others in rows:
        named = zip(names[1:], others, strict=True)
        write(first, *(f"  {name:<{width}}  {cell}" for name, cell in named if cell))


def _cell(value: Any) -> str:
    is_number = value is None or isinstance(value, float)
    return format_number(value) if is_number else str(value)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, the values aligned."""
    width = max((len(name) for name in facts), default=0)
    write(*(f"{name:<{width}}  {value}" for name, value in facts.items()))


def warn_left_out(parts: Sequence[LeftOut], when: str = "") -> None:
    """Count and name the parts of an input that an output lacks, on standard error."""
    if parts:
        warn(f"left out{when}: {name_parts({part.name: part.reason for part in parts})}")
