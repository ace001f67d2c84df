"""The command that advises bounds: advise."""

from __future__ import annotations

from pathlib import Path

import typer

from flowtuple import api
from flowtuple.cli.analysis_checks import show_checks
from flowtuple.cli.app import app
from flowtuple.cli.declaring import argument, command, option
from flowtuple.cli.lines import print_json, write
from flowtuple.cli.options import Json, Seed
from flowtuple.cli.terminal import show_table, shown


@command(app)
def advise(
    *,
    source: str = argument("FILE[:TREE]", "The events."),
    analysis: Path = option("--analysis A.toml", "What must survive.", ...),
    output: Path = option(
        "--output -o DIR", "Folder for bounds.toml and evidence.json.", ...
    ),
    seed: Seed,
    as_json: Json,
) -> None:
    """Choose the widest bounds at which an analysis survives, for compress --bounds.

    Bounds are chosen on one half of the events and confirmed on the other; exit code 1 if a demand
    fails there.

    Example: flowtuple advise nano.root --analysis analysis.toml -o advice
    """
    with shown() as resources:
        advice = api.advise(source, analysis, output, seed=seed, resources=resources)
    if as_json:
        print_json(advice.to_json())
    else:
        show_table(
            "Bounds",
            "column | bound | >bits/value | >lossless | why",
            [
                [n, b, advice.bits[n][1], advice.bits[n][0], advice.reasons.get(n, "")]
                for n, b in advice.bounds.items()
            ],
        )
        show_checks("On events that the bounds were not chosen with", advice.confirmed)
        write(output / "bounds.toml", output / "evidence.json")
    if advice.failed:
        raise typer.Exit(1)
