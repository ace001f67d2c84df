"""Options of commands that take many files one by one, and how what came of these is shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch.jobs import Job
from flowtuple.batch.run import Summary, run
from flowtuple.batch.tasks import Task, plan
from flowtuple.cli.options import print_json
from flowtuple.terminal import shown_progress, warn

Each = Annotated[bool, typer.Option("--each", help="Each input by itself, into the folder OUT; run again for what is missing.")]
OnDask = Annotated[
    str | None, typer.Option("--dask", metavar="ADDRESS|local[:N]", help="As --each, on a cluster: its address, or N workers.")
]


def run_each(job: Job, tasks: list[Task], folder: Path, dask: str | None, as_json: bool = False) -> None:
    """Do a job for each task, tell what failed; exit code 1 where something did."""
    with shown_progress() as progress:
        summary = run(job, tasks, folder, dask, progress)
    if as_json:
        print_json({"done": summary.done, "skipped": summary.skipped, "failed": summary.failed, "facts": summary.facts})
    else:
        _show(summary, folder)
    if summary.failed:
        raise typer.Exit(1)


def tasks_of(sources: list[str], folder: Path, suffix: str) -> list[Task]:
    """One for each file."""
    return plan(sources, folder, suffix)


def _show(summary: Summary, folder: Path) -> None:
    for name, reason in summary.failed.items():
        warn(f"{name}: {reason}")
    before = f", {summary.skipped} of them before" if summary.skipped else ""
    failed = f"; {len(summary.failed)} failed, run again to try these alone" if summary.failed else ""
    sys.stdout.write(f"{folder}: {summary.done} files done{before}{failed}\n")
