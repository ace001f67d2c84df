"""What a person sees in a terminal: progress with time left, and tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from flowtuple import progress as reporting


@contextmanager
def shown_progress() -> Iterator[reporting.Progress]:
    """Bars on standard error, one per stage with its time left; nothing where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield reporting.silent
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

        yield show


def show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> None:
    """A table on standard output; the first columns are text, the others numbers, set to the right."""
    table = RichTable(title=title, title_justify="left", title_style="bold")
    for k, heading in enumerate(headings):
        if k < text_columns:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    wide = Console(file=sys.stdout, markup=False, emoji=False)  # names hold brackets: Jet_pt [nJet]
    if not wide.is_terminal:
        wide.width = 160
    wide.print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Lines of names and values on standard output, the values aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def warn(message: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"flowtuple: warning: {message}\n")
