"""The command reference report: errors of a decoded file of a reference method."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.cli.options import (
    Json,
    Names,
    Originals,
    one_or_many,
    print_json,
    resources,
    split_names,
)
from flowtuple.cli.reference import reference, show_accuracy, show_left_out
from flowtuple.cli.terminal import shown_progress, warn
from flowtuple.reporting.page import format_number


@reference.command()
def report(
    path: Annotated[str, typer.Argument(metavar="IN.ref", help="From reference encode.")],
    original: Originals,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder for report.html."),
    ],
    names: Names = "",
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML page: differences, responses, correlations, dijet mass.

    Example: flowtuple reference report jets.ref jets.root -o report
    """
    from flowtuple import api

    with shown_progress() as progress:
        report = api.report_rows(
            path,
            one_or_many(original),
            output,
            names=split_names(names),
            resources=resources(progress),
        )
    if as_json:
        print_json(report.to_json())
        return
    if report.dropped:
        warn(f"{report.dropped} rows hold NaN or infinite values and are not in the file")
    show_accuracy(report.accuracy)
    show_left_out(report.left_out)
    if report.dijet is not None:
        mass, shift = (
            f"mass of the two leading {report.dijet.collection}",
            "(after - before) / before",
        )
        mean, width, largest = (
            format_number(v)
            for v in (report.dijet.mean, report.dijet.width, report.dijet.largest)
        )
        sys.stdout.write(f"{mass}, {shift}: mean {mean}, width {width}, largest {largest}\n")
        if report.dijet.left_out:
            sys.stdout.write(
                f"{report.dijet.left_out} of {report.dijet.events} events left out: "
                "a mass of 0 or not finite\n"
            )
    sys.stdout.write(f"{report.page}\n")
