"""Commands that use a model as a density: sample, simulate, score."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.api.inputs import check_seed
from flowtuple.batch import jobs
from flowtuple.batch.tasks import parts, plan
from flowtuple.cli.app import app
from flowtuple.cli.many import OnDask, folder_and_suffix, goes_with_dask, run_each
from flowtuple.cli.old_spellings import note_old_spelling
from flowtuple.cli.options import (
    Drop,
    Inputs,
    Json,
    Output,
    Seed,
    Workers,
    one_or_many,
    print_json,
    resources,
)
from flowtuple.cli.terminal import show_facts, shown_progress, warn
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import silent

Model = Annotated[
    str, typer.Argument(metavar="M.flow[:TREE]", help="A model, or a compressed file.")
]
Tree = Annotated[str | None, typer.Option("--tree", hidden=True)]


def _named(model: str, tree: str | None) -> str:
    """Return the model with its tree, which the last release named by `--tree`."""
    if tree is None:
        return model
    note_old_spelling("--tree", "M.flow:TREE")
    return f"{model}:{tree}"


@app.command()
def sample(
    context: typer.Context,
    model: Model,
    output: Output,
    number: Annotated[
        int | None,
        typer.Option("--number", "-n", min=0, help="Events; with --given all of these."),
    ] = None,
    seed: Seed = 0,
    given: Annotated[
        list[str],
        typer.Option(
            "--given", metavar="FILE", help="Events with columns to draw the others from."
        ),
    ] = [],  # noqa: B006
    tree: Tree = None,
    workers: Workers = None,
    drop: Drop = False,
    dask: OnDask = None,
    per_file: Annotated[
        int,
        typer.Option("--per-file", metavar="K", min=1, help="With --dask: events of a file."),
    ] = 100_000,
) -> None:
    """Draw whole events from a model; the same seed gives the same events.

    With --dask in files of --per-file events, together the same ones: sample jets.flow -n 1000000
    -o out --dask local:4

    Example: flowtuple sample jets.flow -n 100000 -o more.root
    """
    from flowtuple import api
    from flowtuple.io.source import WriteOptions

    model = _named(model, tree)
    if dask is not None:
        goes_with_dask(context, "output", "number", "seed", "tree", "per_file")
        if number is None:
            raise InvalidArgument("--dask: say how many events with --number")
        folder, suffix = folder_and_suffix(output, ".root")
        run_each(
            jobs.Sample(model, check_seed(seed)),
            parts(number, per_file, folder, suffix),
            folder,
            dask,
        )
        return
    begin = time.perf_counter()
    supplied = one_or_many(given) if given else None
    options = WriteOptions(drop=drop)
    api.sample(
        model,
        number,
        output,
        seed=seed,
        given=supplied,
        options=options,
        resources=resources(silent, workers),
    )
    sys.stdout.write(f"{output}: written in {time.perf_counter() - begin:.1f} s\n")


@app.command()
def simulate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="M.flow", help="From train-simulation.")],
    source: Inputs,
    output: Output,
    oversample: Annotated[
        int,
        typer.Option("--oversample", metavar="K", min=1, help="Simulate each event K times."),
    ] = 1,
    weight: Annotated[
        str | None,
        typer.Option(
            "--weight",
            metavar="COL",
            help="Column of event weights, divided by K; default: genWeight, where there is one.",
        ),
    ] = None,
    flag: Annotated[
        bool,
        typer.Option(
            "--flag",
            help="Add GenJet_outside, ..., outside: out of the range of the training sample.",
        ),
    ] = False,
    seed: Seed = 0,
    workers: Workers = None,
    drop: Drop = False,
    dask: OnDask = None,
) -> None:
    """Simulate generated events; the same seed gives the same events.

    With --dask many files one by one: simulate sim.flow 'gen/*.root' -o out --dask local:4

    Example: flowtuple simulate sim.flow generated.root -o simulated.root
    """
    from flowtuple import api
    from flowtuple.io.source import WriteOptions

    if dask is not None:
        goes_with_dask(context, "output", "oversample", "weight", "flag", "seed", "drop")
        folder, suffix = folder_and_suffix(output, ".root")
        job = jobs.Simulate(model, check_seed(seed), oversample, weight, flag, drop)
        run_each(job, plan(source, folder, suffix), folder, dask)
        return
    begin = time.perf_counter()
    with shown_progress() as progress:
        notes = api.simulate(
            model,
            one_or_many(source),
            output,
            seed=seed,
            oversample=oversample,
            weight=weight,
            flag=flag,
            options=WriteOptions(drop=drop),
            resources=resources(progress, workers),
        )
    for message in notes:
        warn(message)
    sys.stdout.write(f"{output}: written in {time.perf_counter() - begin:.1f} s\n")


@app.command()
def score(
    context: typer.Context,
    model: Model,
    source: Inputs,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="OUT.root, .parquet, .h5, .npz or .csv[.gz].",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="OTHER.flow", help="Add the likelihood ratio."),
    ] = None,
    by_column: Annotated[
        bool, typer.Option("--by-column", help="Add the bits of each column.")
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="COL",
            help="Column whose larger values are signal: how well do the scores separate it.",
        ),
    ] = None,
    roc: Annotated[
        Path | None,
        typer.Option("--roc", metavar="PNG", help="With --label: the ROC curves."),
    ] = None,
    tree: Tree = None,
    dask: OnDask = None,
    as_json: Json = False,
) -> None:
    """Write the likelihood of each event under a model: log-density, bits, surprise.

    With --label the scores are measured as a classifier.

    Example: flowtuple score background.flow data.root -o scores.parquet --against signal.flow
    """
    from flowtuple import api

    model = _named(model, tree)
    if dask is not None:
        goes_with_dask(context, "output", "against", "by_column", "label", "tree", "as_json")
        if output is None:
            raise InvalidArgument("--dask: say where the scores go with --output")
        folder, suffix = folder_and_suffix(output, ".parquet")
        run_each(
            jobs.Score(model, against, by_column, label),
            plan(source, folder, suffix),
            folder,
            dask,
            as_json,
        )
        return
    if output is None and label is None:
        raise InvalidArgument(
            "say where the scores go with --output, or what is signal with --label"
        )
    if roc is not None and label is None:
        raise InvalidArgument("--roc needs --label, which says what is signal")
    if label is None:
        api.score(model, one_or_many(source), output, against=against, by_column=by_column)
        sys.stdout.write(f"{output}\n")
        return
    scores = api.score(
        model, one_or_many(source), against=against, by_column=by_column, label=label
    )
    areas = api.separation(scores, roc)
    if output is not None:
        api.write(scores, output)
    if as_json:
        print_json({name: vars(area) for name, area in areas.items()})
    else:
        show_facts({"score": "area under the ROC curve (95 % interval)", **areas})
