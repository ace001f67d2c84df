"""Commands that compare samples: compare, closure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch.histograms import Difference, compare_histograms
from flowtuple.batch.tasks import plan
from flowtuple.cli.app import app
from flowtuple.cli.many import goes_with_dask, show_differences
from flowtuple.cli.options import (
    INPUT,
    RESOURCES,
    Columns,
    Json,
    Names,
    Seed,
    Weight,
    print_json,
    resources,
    split_names,
)
from flowtuple.cli.terminal import show_closure, show_comparison, shown_progress

_TESTS, _CUTS = "Tests", "Cuts"

Reference = Annotated[str, typer.Argument(metavar="REFERENCE[:TREE]", help="One sample.")]
Other = Annotated[
    str, typer.Argument(metavar="OTHER[:TREE]", help="Another with the same columns.")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder for compare.json and compare.html."
    ),
]
Cuts = Annotated[
    list[str],
    typer.Option(
        "--cut",
        metavar="EXPR",
        help="Shares that pass, such as 'Jet_pt > 30 and abs(Jet_eta) < 2'.",
        rich_help_panel=_CUTS,
    ),
]


@app.command()
def compare(
    context: typer.Context,
    reference: Reference,
    other: Other,
    output: Folder = None,
    columns: Columns = [],  # noqa: B006
    weight: Weight = None,
    derived: Annotated[
        str | None,
        typer.Option(
            "--derived",
            metavar="COLLECTION",
            help="Compare H_T, m_jj, ... of its objects instead.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    names: Names = "",
    tests: Annotated[
        str,
        typer.Option(
            "--tests", metavar="A,B,...", help="Default: all.", rich_help_panel=_TESTS
        ),
    ] = "",
    level: Annotated[
        float,
        typer.Option(
            "--level", help="Of the verdict, over all tests together.", rich_help_panel=_TESTS
        ),
    ] = 0.01,
    permutations: Annotated[
        int | None,
        typer.Option(
            "--permutations",
            min=1,
            help="Default: as many as the number of tests needs.",
            rich_help_panel=_TESTS,
        ),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            "--train",
            metavar="FILE",
            help="Look for copies of these rows; the model has not seen REFERENCE.",
            rich_help_panel=_TESTS,
        ),
    ] = None,
    ratio: Annotated[
        bool,
        typer.Option(
            "--ratio",
            help="Learn the density ratio; say where it fails.",
            rich_help_panel=_TESTS,
        ),
    ] = False,
    cuts: Cuts = [],  # noqa: B006
    paired: Annotated[
        bool,
        typer.Option(
            "--paired",
            help="Same rows in both: count what a cut gains and loses.",
            rich_help_panel=_CUTS,
        ),
    ] = False,
    seed: Seed = 0,
    fail: Annotated[
        bool,
        typer.Option("--fail", help="Exit code 1 if the samples differ or rows are copied."),
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS|local[:N]|serial",
            help="Globs of many files: histograms; p is approximate.",
            rich_help_panel=RESOURCES,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Test whether two samples are of one distribution.

    P-values come from permuting events; there is one verdict.

    With --dask two samples of many files by what adds up: compare 'real/*.root' 'made/*.root'
    --dask local:4

    Example: flowtuple compare test.root generated.root -o compare --columns 'Jet_*' --train
    train.root
    """
    from flowtuple import api

    if dask is not None:
        goes_with_dask(context, "columns", "level", "fail", "as_json")
        differences = _over_files(reference, other, tuple(columns), dask)
        if as_json:
            print_json([d.to_json() for d in differences])
        else:
            show_differences(differences)
        if (
            fail
            and min((d.p_value for d in differences), default=1.0) * len(differences) < level
        ):
            raise typer.Exit(1)
        return
    options = api.ComparisonOptions(
        split_names(names), level, permutations, derived, cuts, paired, ratio
    )
    with shown_progress() as progress:
        result = api.compare(
            reference,
            other,
            output,
            columns=columns,
            weight=weight,
            tests=[name.strip() for name in tests.split(",")] if tests else (),
            train=train,
            seed=seed,
            options=options,
            resources=resources(progress),
        )
    if as_json:
        print_json(result.to_json())
    else:
        show_comparison(result)
        _show_page(output)
    if fail and result.rejected:
        raise typer.Exit(1)


@app.command()
def closure(
    reference: Reference,
    other: Other,
    given: Annotated[
        list[str],
        typer.Option(
            "--given", metavar="GLOB", help="Generated columns, such as 'GenJet_*'."
        ),
    ],
    output: Folder = None,
    real: Annotated[
        str | None,
        typer.Option(
            "--real",
            metavar="FILE",
            help="More real events; default: the halves of REFERENCE.",
        ),
    ] = None,
    match: Annotated[
        list[str],
        typer.Option(
            "--match",
            metavar="COL[=COLLECTION]",
            help="Index column that matches each object to its generated partner.",
        ),
    ] = [],  # noqa: B006
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="COL",
            help="Event columns to draw figures against, as pile-up.",
        ),
    ] = [],  # noqa: B006
    weight: Weight = None,
    names: Names = "",
    cuts: Cuts = [],  # noqa: B006
    seed: Seed = 0,
    fail: Annotated[
        bool, typer.Option("--fail", help="Exit code 1 if closure fails.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare real and simulated objects, given generated ones: efficiency, fakes, response.

    Example: flowtuple closure true.root simulated.root --given 'GenJet_*' -o closure
    """
    from flowtuple import api

    options = api.ClosureOptions(match, against, cuts, split_names(names))
    with shown_progress() as progress:
        result = api.closure(
            reference,
            other,
            output,
            given=given,
            real=real,
            weight=weight,
            seed=seed,
            options=options,
            resources=resources(progress),
        )
    if as_json:
        print_json(result.to_json())
    else:
        show_closure(result)
        _show_page(output)
    if fail and result.rejected:
        raise typer.Exit(1)


def _show_page(folder: Path | None) -> None:
    if folder is not None:
        sys.stdout.write(f"{folder / 'compare.html'}\n")


def _over_files(
    reference: str, other: str, columns: tuple[str, ...], dask: str
) -> list[Difference]:
    no_output = Path()
    with shown_progress() as progress:
        return compare_histograms(
            plan([reference], no_output, ""),
            plan([other], no_output, ""),
            columns,
            dask,
            progress,
        )
