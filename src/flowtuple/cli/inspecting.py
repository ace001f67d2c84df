"""Commands to begin with: demo, inspect, bench."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.cli.app import app
from flowtuple.cli.options import (
    RESOURCES,
    BoundsFile,
    Columns,
    Drop,
    EffortOption,
    Exclude,
    Inputs,
    Json,
    Names,
    Roles,
    Tolerances,
    make_selection,
    one_or_many,
    print_json,
    read_bound,
    read_tolerance,
    resources,
    split_names,
)
from flowtuple.cli.terminal import (
    show_bench,
    show_demonstration,
    show_inspection,
    shown_progress,
)


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")
    ] = Path("flowtuple-demo"),
    effort: EffortOption = "default",
) -> None:
    """Train, compress, decompress, verify and report on the embedded sample of jets.

    Example: flowtuple demo -o demo
    """
    from flowtuple import api

    with shown_progress() as progress:
        made = api.demo(output, effort=effort, resources=resources(progress))
    show_demonstration(made.rows, made.totals, made.report)
    if made.violations:
        raise typer.Exit(1)


@app.command()
def inspect(
    source: Inputs,
    names: Names = "",
    gain: Annotated[
        bool,
        typer.Option(
            "--gain", help="Predict sizes from a short training, before a long one."
        ),
    ] = False,
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    as_json: Json = False,
) -> None:
    """Show types, roles, ranges, special values and lattices of columns; predict sizes.

    Example: flowtuple inspect nano.root:Events --gain -t '*=rel:1e-3'
    """
    from flowtuple import api

    with shown_progress() as progress:
        content = api.inspect(
            one_or_many(source),
            names=split_names(names),
            tolerance=read_tolerance(tolerance, bounds),
            gain=gain,
            resources=resources(progress),
        )
    if as_json:
        print_json(content)
        return
    show_inspection(content)


@app.command()
def bench(
    source: Inputs,
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    scan: Annotated[
        str,
        typer.Option(
            "--scan", metavar="BOUND,...", help="Measure at each of these bounds for '*'."
        ),
    ] = "",
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    codecs: Annotated[
        str | None,
        typer.Option("--codecs", metavar="A,B,...", help="Default: all with a promise."),
    ] = None,
    effort: EffortOption = "default",
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=1, help="Threads of each codec.", rich_help_panel=RESOURCES
        ),
    ] = 1,
    unit: Annotated[
        str,
        typer.Option("--unit", help="Unit of energies for reference methods: GeV or MeV."),
    ] = "GeV",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for the tables and a plot."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure size, error, speed and memory of codecs at the same bounds.

    Reference methods, which have no bound, take part where they are named: --codecs
    latent-13,autoencoder-tanh,baler,flowtuple

    Example: flowtuple bench nano.root -t '*=std:1e-3' -o bench
    """
    from flowtuple import api

    with shown_progress() as progress:
        result = api.bench(
            one_or_many(source),
            tolerance=read_tolerance(tolerance, bounds),
            scan=[read_bound(text.strip(), f"--scan {scan!r}") for text in scan.split(",")]
            if scan
            else [],
            selection=make_selection(columns, exclude, role, names, drop),
            codecs=None if codecs is None else [name.strip() for name in codecs.split(",")],
            effort=effort,
            unit=unit,
            folder=output,
            command=shlex.join(["flowtuple", *sys.argv[1:]]),
            resources=resources(progress, workers),
        )
    if as_json:
        print_json(result.to_json())
        return
    show_bench(result)
    if output:
        sys.stdout.write(f"{output}\n")
