"""Commands that draw from a model: sample, simulate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flowtuple import api, batch
from flowtuple.api.inputs import check_seed
from flowtuple.cli.app import app
from flowtuple.cli.declaring import Declared, From, argument, command, option
from flowtuple.cli.lines import warn, write
from flowtuple.cli.many import OnDask, folder_and_suffix
from flowtuple.cli.old_spellings import note_old_spelling
from flowtuple.cli.options import Drop, Inputs, Output, Seed, Workers
from flowtuple.cli.terminal import shown
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import WriteOptions


def _named(
    *,
    model: str = argument("M.flow[:TREE]", "A model, or a compressed file."),
    tree: Annotated[str | None, Declared(typer.Option("--tree", hidden=True), None)],
) -> str:
    """Return the model with its tree, which the last release named by `--tree`."""
    if tree is None:
        return model
    note_old_spelling("--tree", "M.flow:TREE")
    return f"{model}:{tree}"


Model = Annotated[str, From(_named)]


@contextmanager
def _timed(output: Path) -> Iterator[None]:
    """Show the time that writing an output took."""
    begin = time.perf_counter()
    yield
    write(f"{output}: written in {time.perf_counter() - begin:.1f} s")


@command(app)
def sample(
    *,
    model: Model,
    output: Output,
    number: int | None = option(
        "--number -n", "Events; with --given all of these.", min=0
    ),
    seed: Seed,
    given: list[str] = option(
        "--given FILE", "Events with columns to draw the others from.", ()
    ),
    run: int = option(
        "--run N", "Number of the run; another for each seed keeps ids apart.", 1
    ),
    workers: Workers,
    drop: Drop,
    dask: OnDask,
    per_file: int = option(
        "--per-file K", "With --dask: events of a file.", 100_000, min=1
    ),
) -> None:
    """Draw whole events from a model; the same seed gives the same events.

    With --dask in files of --per-file events, together the same ones: sample jets.flow -n 1000000
    -o out --dask local:4

    Example: flowtuple sample jets.flow -n 100000 -o more.root
    """
    if dask is not None:
        dask.refuse("given", "workers", "drop")
        if number is None:
            raise InvalidArgument("--dask: say how many events with --number")
        folder, suffix = folder_and_suffix(output, ".root")
        tasks = batch.tasks.parts(number, per_file, folder, suffix)
        dask.run(batch.jobs.Sample(model, check_seed(seed), run), tasks, folder)
        return
    with _timed(output):
        api.sample(
            model,
            number,
            output,
            seed=seed,
            given=given or None,
            options=WriteOptions(drop=drop),
            run=run,
            resources=Resources(workers),
        )


@command(app)
def simulate(
    *,
    model: str = argument("M.flow", "From train-simulation."),
    source: Inputs,
    output: Output,
    oversample: int = option("--oversample K", "Simulate each event K times.", 1, min=1),
    weight: str | None = option(
        "--weight COL",
        "Column of event weights, divided by K; default: genWeight, where there is one.",
    ),
    flag: bool = option(
        "--flag",
        "Add GenJet_outside, ..., outside: out of the range of the training sample.",
        False,
    ),
    seed: Seed,
    workers: Workers,
    drop: Drop,
    dask: OnDask,
) -> None:
    """Simulate generated events; the same seed gives the same events.

    With --dask many files one by one: simulate sim.flow 'gen/*.root' -o out --dask local:4

    Example: flowtuple simulate sim.flow generated.root -o simulated.root
    """
    if dask is not None:
        dask.refuse("workers")
        job = batch.jobs.Simulate(model, check_seed(seed), oversample, weight, flag, drop)
        dask.each(job, source, output, ".root")
        return
    with _timed(output):
        with shown(Resources(workers)) as resources:
            notes = api.simulate(
                model,
                source,
                output,
                seed=seed,
                oversample=oversample,
                weight=weight,
                flag=flag,
                options=WriteOptions(drop=drop),
                resources=resources,
            )
        warn(*notes)
