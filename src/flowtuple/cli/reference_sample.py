"""The command reference sample: rows from the flow in a file of the latent codec."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from flowtuple.cli.options import Output, Seed
from flowtuple.cli.reference import reference
from flowtuple.reporting.page import format_bytes


@reference.command()
def sample(
    path: Annotated[
        str, typer.Argument(metavar="IN.ref", help="From reference encode --codec latent.")
    ],
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="Rows: objects, or events.")
    ],
    output: Output,
    seed: Seed = 0,
) -> None:
    """Draw rows from the latent codec's flow; the same seed gives the same rows.

    Example: flowtuple reference sample jets.ref -n 100000 -o more.root
    """
    from flowtuple import api

    begin = time.perf_counter()
    api.sample_rows(path, number, output, seed=seed)
    seconds = time.perf_counter() - begin
    sys.stdout.write(
        f"{output}: {number} rows, {format_bytes(output.stat().st_size)}, "
        f"written in {seconds:.1f} s\n"
    )
