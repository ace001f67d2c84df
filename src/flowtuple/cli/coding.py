"""Commands that code events: compress, decompress, recompress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from flowtuple import api, batch
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, argument, command, option
from flowtuple.cli.lines import note, print_json, warn, write
from flowtuple.cli.many import OnDask
from flowtuple.cli.options import (
    DROP,
    Columns,
    Compressed,
    CompressedOutput,
    Effort,
    GivenColumns,
    GivenFile,
    Inputs,
    Json,
    Limits,
    Memory,
    ModelFile,
    Output,
    PresetSelection,
    Seed,
    Tolerance,
    Workers,
)
from flowtuple.cli.terminal import shown, warn_left_out
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import WriteOptions
from flowtuple.reporting.page import format_bytes, format_number


@command(app)
def compress(
    *,
    source: Inputs,
    output: CompressedOutput,
    tolerance: Tolerance,
    selection: PresetSelection,
    effort: Effort,
    given: GivenColumns,
    model: Path | None = option("--model M.flow", "Use and embed this model."),
    model_ref: bool = option(
        "--model-ref",
        "Store only the hash of --model; readers then need it as well.",
        False,
    ),
    seed: Seed,
    limits: Limits,
    dask: OnDask,
    as_json: Json,
) -> None:
    """Compress events into one self-contained file; every value keeps its bound.

    With --dask each input becomes a file of its own: compress 'data/*.root' -o out --model
    shared.flow --dask local:4

    Example: flowtuple compress nano.root -o nano.ftup -t 'Jet_*=rel:1e-3' -t 'Jet_phi=abs:1e-3'
    """
    if dask is not None:
        dask.refuse("effort", "given", "seed", "checkpoint", "workers")
        if model is None:
            raise InvalidArgument(
                "--dask: name the model that the files share with --model; "
                "flowtuple train makes one of them"
            )
        job = batch.jobs.Compress(
            str(model), tolerance, selection, model_ref, limits.memory
        )
        dask.run(job, batch.tasks.plan(source, output, ".ftup"), output, as_json)
        return
    with shown(limits) as resources:
        result = api.compress(
            source,
            output,
            tolerance=tolerance,
            selection=selection,
            given=given,
            effort=effort,
            model=model,
            model_ref=model_ref,
            seed=seed,
            resources=resources,
        )
    _warn(result)
    if as_json:
        print_json(vars(result) | {"bits_per_value": result.bits_per_value})
    else:
        _show(result)


def _read_entries(
    entries: str = option("--entries A:B", "Events A to B, B left out.", ""),
) -> tuple[int | None, int | None]:
    """Return the first event and the event after the last of `A:B`."""
    start, colon, stop = entries.partition(":")
    try:
        if entries and not colon:
            raise ValueError
        return (int(start) if start else None), (int(stop) if stop else None)
    except ValueError:
        raise InvalidArgument(
            f"--entries {entries!r} is not of the form A:B, such as 0:1000"
        ) from None


_WRITING = {
    "compression": option("--compression NAME:LEVEL", "Compression of ROOT output."),
    "step": option("--basket", "Events per basket or row group.", min=1),
    "drop": DROP,
    "container": option("--as", "Kind of ROOT output. Default: the kind of the input."),
}


@command(app)
def decompress(
    *,
    path: str = argument("IN.ftup[:TREE]", "A flowtuple file or URL."),
    output: Output,
    columns: Columns,
    entries: Annotated[tuple[int | None, int | None], From(_read_entries)],
    options: Annotated[WriteOptions, From(WriteOptions, _WRITING)],
    given: GivenFile,
    model: ModelFile,
    workers: Workers,
    memory: Memory,
    dask: OnDask,
    as_json: Json,
) -> None:
    """Write the events back as ROOT, Parquet, HDF5, npz or CSV.

    This needs neither PyTorch nor the original.

    With --dask many files one by one: decompress 'packed/*.ftup' -o 'out/*.parquet' --dask local:4

    Example: flowtuple decompress nano.ftup -o nano.root --entries 0:1000
    """
    if dask is not None:
        dask.refuse("entries", "given", "workers")
        shared = None if model is None else str(model)
        job = batch.jobs.Decompress(tuple(columns), shared, memory, options)
        dask.each(job, [path], output, ".root", as_json)
        return
    result = api.decompress(
        path,
        output,
        columns=columns,
        entries=entries,
        given=given or None,
        model=model,
        options=options,
        resources=Resources(workers, memory),
    )
    if not isinstance(result, api.Decompressed):
        return  # without an output there is nothing to show
    if as_json:
        print_json(result)
        return
    warn_left_out(result.left_out)
    warn(*result.changes)
    write(f"{result.path}: {format_bytes(result.file_bytes)}")


@command(app)
def recompress(
    path: Compressed,
    output: CompressedOutput,
    tolerance: Tolerance,
    effort: Effort,
    given: GivenFile,
    model: ModelFile,
    seed: Seed,
    limits: Limits,
    as_json: Json,
) -> None:
    """Compress a file again to wider bounds; each adds to the bound that the values already have.

    Example: flowtuple recompress fine.ftup -o coarse.ftup -t 'Jet_*=rel:1e-2'
    """
    with shown(limits) as resources:
        done = api.recompress(
            path,
            output,
            tolerance=tolerance,
            effort=effort,
            given=given or None,
            model=model,
            seed=seed,
            resources=resources,
        )
    _warn(done.result)
    if as_json:
        print_json(vars(done.result) | {"bounds": done.bounds})
        return
    _show(done.result)
    for column, bound in done.bounds.items():
        write(f"{column}: now within {bound} of its original")


def _warn(result: api.Compressed) -> None:
    note(*result.notes)
    warn(*result.warnings)
    warn_left_out(result.left_out)


def _show(result: api.Compressed) -> None:
    """Show one line of sizes."""
    write(
        f"{result.path}: {format_bytes(result.file_bytes)} for {result.events_in_words}: "
        f"{_comparison(result)}{format_number(result.bits_per_value)} bits per value "
        f"(model {format_bytes(result.model_bytes)} included)"
    )


def _comparison(result: api.Compressed) -> str:
    """Return the sizes of input files and raw columns, those that are known, over the file's."""
    files = result.input_files
    words = "input file" if files == 1 else f"{files} input files"
    note = ", with what was left out" if result.is_part else ""
    others = {
        f"the {words} ({format_bytes(result.input_bytes)}{note})": result.input_bytes,
        f"its columns raw ({format_bytes(result.raw_bytes)})": result.raw_bytes,
    }
    text = said = ""
    for other, size in others.items():
        if size:
            ratio = size / result.file_bytes
            direction = " times smaller" if ratio >= 1 else " times larger"
            times = format_number(max(ratio, 1 / ratio)) + direction * (direction != said)
            text += f"{times} than {other}, "
            said = direction
    return text
