"""Commands for existing files: verify, info, report, merge, recover."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.batch import jobs
from flowtuple.batch.tasks import plan
from flowtuple.benchmark.published.layout import check_reference, is_reference
from flowtuple.benchmark.published.layout import describe as describe_reference
from flowtuple.cli.app import app
from flowtuple.cli.many import OnDask, goes_with_dask, run_each
from flowtuple.cli.options import (
    Columns,
    Compressed,
    Drop,
    GivenFile,
    Json,
    Memory,
    ModelFile,
    Names,
    Originals,
    one_or_many,
    print_json,
    read_memory,
    resources,
    split_names,
)
from flowtuple.cli.terminal import (
    show_absent,
    show_damage,
    show_fidelity,
    show_info,
    show_reference,
    shown_progress,
    warn_left_out,
)
from flowtuple.file.damage import check_integrity
from flowtuple.file.file import File
from flowtuple.reporting.page import format_bytes
from flowtuple.runtime.progress import silent


@app.command()
def verify(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[ORIGINAL...] IN.ftup",
            help="The file; before it the inputs that it was made from.",
        ),
    ],
    names: Names = "",
    model: ModelFile = None,
    memory: Memory = "2GB",
    dask: OnDask = None,
    as_json: Json = False,
) -> None:
    """Check every value against its original and bound; exit code 1 if one fails.

    Without the original every checksum is checked. A .ref has one checksum; flowtuple reference
    report shows the errors of its values. With --dask the last is the folder that compress --dask
    filled: verify 'data/*.root' out --dask local:4

    Example: flowtuple verify nano.root nano.ftup
    """
    *original, path = files
    if dask is not None:
        _verify_each(context, original, Path(path), model, dask, as_json)
        return
    if original:
        _verify_values(original, path, names, model, memory, as_json)
        return
    if is_reference(path):
        damage = check_reference(path)
    else:
        with shown_progress() as progress:
            damage = check_integrity(path, progress, read_memory(memory))
    if as_json:
        print_json({"damage": [vars(d) for d in damage]})
    else:
        show_damage(path, damage)
        if damage and not is_reference(path):
            saving = f"flowtuple recover {path} -o SAVED.ftup"
            sys.stdout.write(f"restore it from a copy, or save what is whole with {saving}\n")
    if damage:
        raise typer.Exit(1)


def _verify_each(
    context: typer.Context,
    original: list[str],
    folder: Path,
    model: Path | None,
    dask: str,
    as_json: bool,
) -> None:
    goes_with_dask(context, "model", "as_json")
    if original:
        run_each(
            jobs.Verify(None if model is None else str(model)),
            plan(original, folder, ".ftup"),
            folder,
            dask,
            as_json,
        )
    else:
        run_each(
            jobs.Examine(),
            plan([str(folder / "**" / "*.ftup")], folder, ""),
            folder,
            dask,
            as_json,
        )


def _verify_values(
    original: list[str], path: str, names: str, model: Path | None, memory: str, as_json: bool
) -> None:
    from flowtuple import api

    with shown_progress() as progress:
        verified = api.verify(
            one_or_many(original),
            path,
            names=split_names(names),
            model=model,
            resources=resources(progress, memory=memory),
        )
    with File(path, model=model, resources=resources(silent, memory=memory)) as file:
        left_out = file.left_out
    if as_json:
        columns = [column.to_json() for column in verified]
        parts = [part.to_json() for part in left_out]
        print_json(
            {
                "violations": verified.violations,
                "columns": columns,
                "absent": list(verified.absent),
                "left_out": parts,
            }
        )
    else:
        show_fidelity(f"{path} against {', '.join(original)}", verified)
        show_absent(verified.absent)
        warn_left_out(left_out, " at compression")
    if verified.violations:
        raise typer.Exit(1)


@app.command()
def info(
    path: Compressed, model: ModelFile = None, memory: Memory = "2GB", as_json: Json = False
) -> None:
    """Show schema, bounds, sizes, model, checksums and provenance of a file.

    For a .ref it shows the method and sizes.

    Example: flowtuple info nano.ftup
    """
    if is_reference(path):
        content, show = describe_reference(path), show_reference
    else:
        from flowtuple.reporting.describe import info as describe

        content = describe(path, model, resources=resources(silent, memory=memory))
        show = show_info
    if as_json:
        print_json(content)
        return
    show(content)


@app.command()
def report(
    original: Originals,
    path: Compressed,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder for report.html."),
    ],
    names: Names = "",
    model: ModelFile = None,
    memory: Memory = "2GB",
) -> None:
    """Write a self-contained HTML page about a file (bounds, sizes, histograms) or about a model.

    Example: flowtuple report nano.root nano.ftup -o report
    """
    from flowtuple import api

    with shown_progress() as progress:
        page = api.report(
            one_or_many(original),
            path,
            output,
            names=split_names(names),
            model=model,
            resources=resources(progress, memory=memory),
        )
    sys.stdout.write(f"{page}\n")


@app.command()
def merge(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="A.ftup B.ftup...", help="Files of one schema and model, in order."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.ftup", help="The file to write.")
    ],
    drop: Annotated[
        bool, typer.Option("--drop", help="Leave out carried objects that differ.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Join files that were compressed with one model, without coding anything again.

    Example: flowtuple merge run1.ftup run2.ftup -o both.ftup
    """
    from flowtuple.file.merge import merge as join

    with shown_progress() as progress:
        size = join(files, output, drop=drop, resources=resources(progress))
    with File(output) as merged:
        left_out = merged.left_out
    warn_left_out(left_out)
    if as_json:
        print_json(
            {
                "path": str(output),
                "file_bytes": size,
                "left_out": [part.to_json() for part in left_out],
            }
        )
        return
    sys.stdout.write(f"{output}: {format_bytes(size)} from {len(files)} files\n")


@app.command()
def recover(
    path: Compressed,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="OUT.ftup: whole chunks; OUT.root and others: what decodes.",
        ),
    ],
    columns: Columns = [],  # noqa: B006
    given: GivenFile = [],  # noqa: B006
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="M.flow", help="In place of a damaged model."),
    ] = None,
    drop: Drop = False,
    as_json: Json = False,
) -> None:
    """Save the intact parts of a damaged file and list the others; exit code 1 if there are some.

    Example: flowtuple recover broken.ftup -o saved.ftup
    """
    from flowtuple.file.recover import recover as save
    from flowtuple.io.source import WriteOptions

    with shown_progress() as progress:
        saved = save(
            path,
            output,
            columns=columns,
            given=one_or_many(given) if given else None,
            model=model,
            options=WriteOptions(drop=drop),
            resources=resources(progress),
        )
    warn_left_out(saved.left_out)
    if as_json:
        missing = [vars(d) for d in saved.missing]
        left_out = [part.to_json() for part in saved.left_out]
        print_json(
            {
                "path": saved.path,
                "events": saved.events,
                "missing": missing,
                "left_out": left_out,
            }
        )
    else:
        show_damage(path, saved.missing)
        for name, (count, total) in saved.events.items():
            sys.stdout.write(f"{saved.path}: {count} of {total} events of {name}\n")
    if saved.missing:
        raise typer.Exit(1)
