"""Commands that code events: compress, decompress, recompress."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch import jobs
from flowtuple.batch.tasks import plan
from flowtuple.cli.app import app
from flowtuple.cli.many import OnDask, folder_and_suffix, goes_with_dask, run_each
from flowtuple.cli.options import (
    BoundsFile,
    CheckpointFolder,
    Columns,
    Compressed,
    CompressedOutput,
    Drop,
    EffortOption,
    Exclude,
    GivenColumns,
    GivenFile,
    Inputs,
    Json,
    Memory,
    ModelFile,
    Names,
    Output,
    Preset,
    Roles,
    Seed,
    Tolerances,
    Workers,
    make_selection,
    one_or_many,
    print_json,
    read_entries,
    read_memory,
    read_tolerance,
    resources,
)
from flowtuple.cli.terminal import show_compressed, shown_progress, warn, warn_left_out
from flowtuple.errors import InvalidArgument
from flowtuple.reporting.page import format_bytes
from flowtuple.runtime.progress import silent


class RootContainer(StrEnum):
    """The kinds of tables that a ROOT file holds."""

    ttree = "ttree"
    rntuple = "rntuple"


Container = Annotated[
    RootContainer | None,
    typer.Option("--as", help="Kind of ROOT output. Default: the kind of the input."),
]


@app.command()
def compress(
    context: typer.Context,
    source: Inputs,
    output: CompressedOutput,
    tolerance: Tolerances = [],  # noqa: B006 (typer reads it once)
    bounds: BoundsFile = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    preset: Preset = None,
    drop: Drop = False,
    effort: EffortOption = "default",
    given: GivenColumns = [],  # noqa: B006
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="M.flow", help="Use and embed this model."),
    ] = None,
    model_ref: Annotated[
        bool,
        typer.Option(
            "--model-ref",
            help="Store only the hash of --model; readers then need it as well.",
        ),
    ] = False,
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
    workers: Workers = None,
    memory: Memory = "2GB",
    dask: OnDask = None,
    as_json: Json = False,
) -> None:
    """Compress events into one self-contained file; every value keeps its bound.

    With --dask each input becomes a file of its own: compress 'data/*.root' -o out --model
    shared.flow --dask local:4

    Example: flowtuple compress nano.root -o nano.ftup -t 'Jet_*=rel:1e-3' -t 'Jet_phi=abs:1e-3'
    """
    from flowtuple import api

    if dask is not None:
        taken = (
            "tolerance",
            "bounds",
            "columns",
            "exclude",
            "role",
            "names",
            "drop",
            "preset",
            "model_ref",
            "memory",
            "as_json",
        )
        goes_with_dask(context, "output", "model", *taken)
        if model is None:
            raise InvalidArgument(
                "--dask: name the model that the files share with --model; "
                "flowtuple train makes one of them"
            )
        chosen = make_selection(columns, exclude, role, names, drop, preset)
        job = jobs.Compress(
            str(model),
            read_tolerance(tolerance, bounds),
            chosen,
            model_ref,
            read_memory(memory),
        )
        run_each(job, plan(source, output, ".ftup"), output, dask, as_json)
        return
    with shown_progress() as progress:
        result = api.compress(
            one_or_many(source),
            output,
            tolerance=read_tolerance(tolerance, bounds),
            selection=make_selection(columns, exclude, role, names, drop, preset),
            given=given,
            effort=effort,
            model=model,
            model_ref=model_ref,
            seed=seed,
            resources=resources(progress, workers, memory, checkpoint),
        )
    for message in result.warnings:
        warn(message)
    warn_left_out(result.left_out)
    if as_json:
        print_json(asdict(result) | {"bits_per_value": result.bits_per_value})
        return
    show_compressed(result)


@app.command()
def decompress(
    context: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="IN.ftup[:TREE]", help="A flowtuple file or URL.")
    ],
    output: Output,
    columns: Columns = [],  # noqa: B006
    entries: Annotated[
        str, typer.Option("--entries", metavar="A:B", help="Events A to B, B left out.")
    ] = "",
    compression: Annotated[
        str | None,
        typer.Option(
            "--compression", metavar="NAME:LEVEL", help="Compression of ROOT output."
        ),
    ] = None,
    basket: Annotated[
        int, typer.Option("--basket", min=1, help="Events per basket or row group.")
    ] = 16384,
    drop: Drop = False,
    given: GivenFile = [],  # noqa: B006
    model: ModelFile = None,
    workers: Workers = None,
    memory: Memory = "2GB",
    container: Container = None,
    dask: OnDask = None,
    as_json: Json = False,
) -> None:
    """Write the events back as ROOT, Parquet, HDF5, npz or CSV.

    This needs neither PyTorch nor the original.

    With --dask many files one by one: decompress 'packed/*.ftup' -o 'out/*.parquet' --dask local:4

    Example: flowtuple decompress nano.ftup -o nano.root --entries 0:1000
    """
    from flowtuple import api
    from flowtuple.io.source import WriteOptions

    options = WriteOptions(
        compression, basket, drop, None if container is None else container.value
    )
    if dask is not None:
        goes_with_dask(
            context,
            "output",
            "columns",
            "compression",
            "basket",
            "drop",
            "model",
            "memory",
            "container",
            "as_json",
        )
        folder, suffix = folder_and_suffix(output, ".root")
        job = jobs.Decompress(
            tuple(columns),
            None if model is None else str(model),
            read_memory(memory),
            options,
        )
        run_each(job, plan([path], folder, suffix), folder, dask, as_json)
        return
    result = api.decompress(
        path,
        output,
        columns=columns,
        entries=read_entries(entries),
        given=one_or_many(given) if given else None,
        model=model,
        options=options,
        resources=resources(silent, workers, memory),
    )
    if not isinstance(result, api.Decompressed):
        return  # without an output there is nothing to show
    if as_json:
        print_json(asdict(result))
        return
    warn_left_out(result.left_out)
    for change in result.changes:
        warn(change)
    sys.stdout.write(f"{result.path}: {format_bytes(result.file_bytes)}\n")


@app.command()
def recompress(
    path: Compressed,
    output: CompressedOutput,
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    effort: EffortOption = "default",
    given: GivenFile = [],  # noqa: B006
    model: ModelFile = None,
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
    workers: Workers = None,
    memory: Memory = "2GB",
    as_json: Json = False,
) -> None:
    """Compress a file again to wider bounds; each adds to the bound that the values already have.

    Example: flowtuple recompress fine.ftup -o coarse.ftup -t 'Jet_*=rel:1e-2'
    """
    from flowtuple import api

    with shown_progress() as progress:
        done = api.recompress(
            path,
            output,
            tolerance=read_tolerance(tolerance, bounds),
            effort=effort,
            given=one_or_many(given) if given else None,
            model=model,
            seed=seed,
            resources=resources(progress, workers, memory, checkpoint),
        )
    for message in done.result.warnings:
        warn(message)
    warn_left_out(done.result.left_out)
    if as_json:
        print_json(asdict(done.result) | {"bounds": done.bounds})
        return
    show_compressed(done.result)
    for column, bound in done.bounds.items():
        sys.stdout.write(f"{column}: now within {bound} of its original\n")
