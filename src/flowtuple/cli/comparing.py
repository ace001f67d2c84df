"""The command that compares two samples."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch.histograms import Difference, compare_histograms
from flowtuple.batch.tasks import plan
from flowtuple.cli.app import app
from flowtuple.cli.many import goes_with_dask, show_differences
from flowtuple.cli.options import Columns, Json, Names, Seed, print_json, split_names
from flowtuple.cli.terminal import show_closure, show_comparison, shown_progress


@app.command()
def compare(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE[:TREE]", help="One sample.")],
    other: Annotated[
        str, typer.Argument(metavar="OTHER[:TREE]", help="Another with the same columns.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="For compare.json and compare.html."),
    ] = None,
    columns: Columns = [],  # noqa: B006
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="COL", help="Column of weights in both.")
    ] = None,
    tests: Annotated[str, typer.Option("--tests", metavar="A,B,...", help="Default: all.")] = "",
    train: Annotated[
        str | None,
        typer.Option(
            "--train",
            metavar="FILE",
            help="Look for copies of these rows; REFERENCE was not trained on.",
        ),
    ] = None,
    names: Names = "",
    level: Annotated[
        float, typer.Option("--level", help="Of the verdict, over all tests together.")
    ] = 0.01,
    permutations: Annotated[
        int | None,
        typer.Option(
            "--permutations", min=1, help="Default: as many as the number of tests asks for."
        ),
    ] = None,
    seed: Seed = 0,
    derived: Annotated[
        str | None,
        typer.Option(
            "--derived", metavar="COLLECTION", help="Compare H_T, m_jj, ... of its objects instead."
        ),
    ] = None,
    cuts: Annotated[
        list[str],
        typer.Option(
            "--cut",
            metavar="EXPR",
            help="Shares that pass, such as 'Jet_pt > 30 and abs(Jet_eta) < 2'.",
        ),
    ] = [],  # noqa: B006
    paired: Annotated[
        bool, typer.Option("--paired", help="Same rows in both: count what a cut gains and loses.")
    ] = False,
    ratio: Annotated[
        bool, typer.Option("--ratio", help="Learn the density ratio; say where it fails.")
    ] = False,
    given: Annotated[
        list[str],
        typer.Option(
            "--given", metavar="GLOB", help="Generated columns: are objects right, given these?"
        ),
    ] = [],  # noqa: B006
    match: Annotated[
        list[str],
        typer.Option(
            "--match",
            metavar="COL[=COLLECTION]",
            help="With --given: points to partners: Jet_genJetIdx.",
        ),
    ] = [],  # noqa: B006
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="COL",
            help="With --given: event columns to draw against, as pile-up.",
        ),
    ] = [],  # noqa: B006
    real: Annotated[
        str | None,
        typer.Option(
            "--real",
            metavar="FILE",
            help="With --given: more real events; default: halves of REFERENCE.",
        ),
    ] = None,
    fail: Annotated[
        bool,
        typer.Option(
            "--fail", help="Exit code 1 where the samples differ, rows are copied or closure fails."
        ),
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS|local[:N]|serial",
            help="Globs of many files: histograms; p is approximate.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Test whether two samples are of one kind: p-values from permuting events, one verdict.

    With --given: whether reconstructed objects are right given the generated ones, by efficiency, response and more.

    With --dask two samples of many files by what adds up: compare 'real/*.root' 'made/*.root' --dask local:4

    Example: flowtuple compare held_out.root generated.root -o compare --columns 'Jet_*' --train train.root
    """
    from flowtuple import api

    if dask is not None:
        goes_with_dask(context, "columns", "level", "fail", "as_json")
        differences = _over_files(reference, other, tuple(columns), dask)
        if as_json:
            print_json([d.to_json() for d in differences])
        else:
            show_differences(differences)
        if fail and min((d.p_value for d in differences), default=1.0) * len(differences) < level:
            raise typer.Exit(1)
        return
    with shown_progress() as progress:
        found = api.compare(
            reference,
            other,
            output,
            columns=columns,
            weights=weights,
            tests=[name.strip() for name in tests.split(",")] if tests else (),
            train=train,
            names=split_names(names),
            level=level,
            permutations=permutations,
            seed=seed,
            derived=derived,
            cuts=cuts,
            paired=paired,
            ratio=ratio,
            given=given,
            match=match,
            against=against,
            real=real,
            progress=progress,
        )
    if as_json:
        print_json(found.to_json())
    else:
        if isinstance(found, api.Closure):
            show_closure(found)
        else:
            show_comparison(found)
        if output:
            sys.stdout.write(f"{output / 'compare.html'}\n")
    if fail and found.rejected:
        raise typer.Exit(1)


def _over_files(
    reference: str, other: str, columns: tuple[str, ...], dask: str
) -> list[Difference]:
    nowhere = Path()
    with shown_progress() as progress:
        return compare_histograms(
            plan([reference], nowhere, ""), plan([other], nowhere, ""), columns, dask, progress
        )
