"""Commands that take many files one by one: the option --dask, and the summary that they show."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch.histograms import Difference
from flowtuple.batch.jobs import Job
from flowtuple.batch.run import Summary, run
from flowtuple.batch.tasks import Task
from flowtuple.cli.arguments import as_options
from flowtuple.cli.options import RESOURCES, explicit_options, print_json
from flowtuple.cli.terminal import show_table, shown_progress, warn, warn_left_out
from flowtuple.data.table import LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.reporting.page import format_number

OnDask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS|local[:N]|serial",
        help="Each file by itself, into a folder: on a cluster, by N workers, or here; "
        "run again to resume.",
        rich_help_panel=RESOURCES,
    ),
]


def goes_with_dask(context: typer.Context, *names: str) -> None:
    """Raise for options that have no effect together with `--dask`.

    Args:
        context: Of the command.
        names: Parameters of the options that have an effect.

    Raises:
        InvalidArgument: The command line names another option.
    """
    for name, option in explicit_options(context).items():
        if name not in ("dask", *names):
            raise InvalidArgument(f"{option} does not go with --dask; leave out one of them")


def run_each(
    job: Job, tasks: list[Task], folder: Path, dask: str, as_json: bool = False
) -> None:
    """Do a job for each task and show what failed; exit code 1 if something did."""
    with shown_progress() as progress:
        summary = run(job, tasks, folder, dask, progress)
    failed = {name: as_options(reason) for name, reason in summary.failed.items()}
    summary = replace(summary, failed=failed)
    if as_json:
        print_json(
            {
                "done": summary.done,
                "skipped": summary.skipped,
                "failed": summary.failed,
                "facts": summary.facts,
            }
        )
    else:
        _show(summary, folder)
    if summary.failed:
        raise typer.Exit(1)


def folder_and_suffix(output: Path, usual: str) -> tuple[Path, str]:
    """Return the folder of the outputs and their suffix: of `out`, or `out/*.parquet`.

    Example:
        >>> folder_and_suffix(Path("out/*.parquet"), ".root")
        (PosixPath('out'), '.parquet')
    """
    return (
        (output.parent, output.name[1:]) if output.name.startswith("*.") else (output, usual)
    )


def show_differences(differences: list[Difference]) -> None:
    """Show a line for each column of two samples, the most different first."""
    rows = [
        [
            d.column,
            *(format_number(m.mean) for m in d.moments),
            *(format_number(m.std) for m in d.moments),
            format_number(d.wasserstein),
            f"{d.chi2:.1f}/{d.ndf}",
            format_number(d.p_value),
        ]
        for d in sorted(differences, key=lambda d: d.p_value)
    ]
    show_table(
        "Histograms",
        ["column", "mean", "other", "std", "other", "W1/std", "chi2/ndf", "p"],
        rows,
    )


def _show(summary: Summary, folder: Path) -> None:
    for name, facts in summary.facts.items():
        for message in facts.get("warnings", ()):
            warn(f"{name}: {message}")
        for change in facts.get("changes", ()):
            warn(f"{name}: {change}")
        warn_left_out([LeftOut(**part) for part in facts.get("left_out", ())], f" of {name}")
    for name, reason in summary.failed.items():
        sys.stderr.write(f"flowtuple: failed: {name}: {reason}\n")
    before = f", {summary.skipped} of them before" if summary.skipped else ""
    failed = (
        f"; {len(summary.failed)} failed, run again to do these alone"
        if summary.failed
        else ""
    )
    sys.stdout.write(f"{folder}: {summary.done} files done{before}{failed}\n")
