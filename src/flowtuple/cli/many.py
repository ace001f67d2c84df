"""Commands that take many files one by one: the option --dask, and the summary that they show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from flowtuple import batch
from flowtuple.cli.arguments import as_options
from flowtuple.cli.declaring import From, option
from flowtuple.cli.lines import print_json, say, warn, write
from flowtuple.cli.options import RESOURCES, explicit_options
from flowtuple.cli.terminal import shown, warn_left_out
from flowtuple.data.table import LeftOut
from flowtuple.errors import InvalidArgument


@dataclass(frozen=True)
class Dask:
    """The place where many files are worked on one by one.

    Attributes:
        context: Context of the command.
        cluster: Value of `--dask`.
    """

    context: typer.Context
    cluster: str

    def refuse(self, *names: str) -> None:
        """Raise for options that have no effect together with `--dask`.

        Args:
            names: Parameters of these options.

        Raises:
            InvalidArgument: The command line names one of them.
        """
        for name, spelling in explicit_options(self.context).items():
            if name in names:
                raise InvalidArgument(
                    f"{spelling} does not go with --dask; leave out one of them"
                )

    def each(
        self,
        job: batch.jobs.Job,
        sources: list[str],
        output: Path,
        suffix: str,
        as_json: bool = False,
    ) -> None:
        """Do a job for each file, into the folder `out` or `out/*.parquet`."""
        folder, suffix = folder_and_suffix(output, suffix)
        self.run(job, batch.tasks.plan(sources, folder, suffix), folder, as_json)

    def run(
        self,
        job: batch.jobs.Job,
        tasks: list[batch.tasks.Task],
        folder: Path,
        as_json: bool = False,
    ) -> None:
        """Do a job for each task and show what failed; exit code 1 if something did."""
        with shown() as resources:
            summary = batch.run.run(job, tasks, folder, self.cluster, resources.progress)
        failed = {name: as_options(reason) for name, reason in summary.failed.items()}
        summary = replace(summary, failed=failed)
        if as_json:
            print_json(summary)
        else:
            _show(summary, folder)
        if summary.failed:
            raise typer.Exit(1)


def on_dask(
    *,
    context: typer.Context,
    dask: str | None = option(
        "--dask ADDRESS|local[:N]|serial",
        "Each file by itself, into a folder: on a cluster, by N workers, or here; "
        "run again to resume.",
        None,
        RESOURCES,
    ),
) -> Dask | None:
    """Return the place that `--dask` names, if it does."""
    return None if dask is None else Dask(context, dask)


OnDask = Annotated[Dask | None, From(on_dask)]


def folder_and_suffix(output: Path, usual: str) -> tuple[Path, str]:
    """Return the folder of the outputs and their suffix: of `out`, or `out/*.parquet`.

    Example:
        >>> folder_and_suffix(Path("out/*.parquet"), ".root")
        (PosixPath('out'), '.parquet')
    """
    return (
        (output.parent, output.name[1:])
        if output.name.startswith("*.")
        else (output, usual)
    )


def _show(summary: batch.run.Summary, folder: Path) -> None:
    for name, facts in summary.facts.items():
        notes = (*facts.get("warnings", ()), *facts.get("changes", ()))
        warn(*(f"{name}: {note}" for note in notes))
        warn_left_out(
            [LeftOut(**part) for part in facts.get("left_out", ())], f" of {name}"
        )
    for name, reason in summary.failed.items():
        say(f"failed: {name}: {reason}")
    before = f", {summary.skipped} of them before" if summary.skipped else ""
    failed = (
        f"; {len(summary.failed)} failed, run again to do these alone"
        if summary.failed
        else ""
    )
    write(f"{folder}: {summary.done} files done{before}{failed}")
