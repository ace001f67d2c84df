"""The command reference report: a decoded file of a reference method beside its original."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.cli.options import Json, Names, Originals, one_or_many, print_json, split_names
from flowtuple.cli.reference import reference, show_accuracy, show_left_out
from flowtuple.cli.terminal import shown_progress, warn
from flowtuple.reporting.page import format_number


@reference.command()
def report(
    path: Annotated[str, typer.Argument(metavar="IN.ref", help="From reference encode.")],
    original: Originals,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for report.html.")
    ],
    names: Names = "",
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML page: differences and responses, their correlations, dijet mass before and after.

    Example: flowtuple reference report jets.ref jets.root -o report
    """
    from flowtuple import api

    with shown_progress() as progress:
        found = api.report_rows(
            path, one_or_many(original), output, names=split_names(names), progress=progress
        )
    if as_json:
        print_json(found.to_json())
        return
    if found.dropped:
        warn(f"{found.dropped} rows hold NaN or infinite values and are not in the file")
    show_accuracy(found.accuracy)
    show_left_out(found.left_out)
    if found.dijet is not None:
        mass, shift = (
            f"mass of the two leading {found.dijet.collection}",
            "(after - before) / before",
        )
        mean, width, largest = (
            format_number(v) for v in (found.dijet.mean, found.dijet.width, found.dijet.largest)
        )
        sys.stdout.write(f"{mass}, {shift}: mean {mean}, width {width}, largest {largest}\n")
        if found.dijet.left_out:
            sys.stdout.write(
                f"{found.dijet.left_out} of {found.dijet.events} events left out: a mass of 0 or not finite\n"
            )
    sys.stdout.write(f"{found.page}\n")
