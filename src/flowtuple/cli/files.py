"""Commands for existing files: verify, info, report, merge, recover."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from flowtuple import api, batch
from flowtuple.benchmark import published
from flowtuple.benchmark.published.signature import is_reference
from flowtuple.cli.app import app
from flowtuple.cli.declaring import argument, command, option
from flowtuple.cli.lines import print_json, write
from flowtuple.cli.many import Dask, OnDask
from flowtuple.cli.options import (
    Columns,
    Compressed,
    CompressedOutput,
    Drop,
    Exclude,
    GivenFile,
    Json,
    Memory,
    ModelFile,
    Names,
    Originals,
    PageFolder,
)
from flowtuple.cli.terminal import show_facts, show_table, shown, warn_left_out
from flowtuple.comparison.verification import Promise
from flowtuple.data.bounds import Bound
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.file.damage import Damage, check_integrity
from flowtuple.file.file import File
from flowtuple.file.merge import merge as join
from flowtuple.file.recover import recover as save
from flowtuple.io.source import WriteOptions
from flowtuple.reporting.describe import info as describe
from flowtuple.reporting.page import format_bytes, format_number

_NAMED = 8  # of a long list, that are shown
_LEFT_OUT_LINES = 20


@command(app)
def verify(
    *,
    files: list[str] = argument(
        "[ORIGINAL...] IN.ftup", "The file; before it the inputs that it was made from."
    ),
    columns: Columns,
    exclude: Exclude,
    names: Names,
    model: ModelFile,
    memory: Memory,
    dask: OnDask,
    every: bool = option("--all", "List every column, not only those that fail.", False),
    as_json: Json,
) -> None:
    """Check every value against its original and bound; exit code 1 if one fails.

    The verdict comes first, then the columns with values outside their bound. Without the original
    every checksum is checked. A .ref has one checksum; flowtuple reference report shows the errors
    of its values. With --dask the last is the folder that compress --dask filled: verify
    'data/*.root' out --dask local:4

    Example: flowtuple verify nano.root nano.ftup
    """
    *original, path = files
    if dask is not None:
        dask.refuse("columns", "exclude", "names", "memory", "every")
        _verify_each(dask, original, Path(path), model, as_json)
        return
    if not original:
        if columns or exclude:
            raise InvalidArgument(
                f"{path}: --columns and --exclude choose values to compare; "
                "name the original before the file"
            )
        _verify_checksums(path, memory, as_json)
        return
    limits = Resources(memory=memory)
    with shown(limits) as resources:
        verified = api.verify(
            original,
            path,
            columns=columns,
            exclude=exclude,
            names=names,
            model=model,
            resources=resources,
        )
    with File(path, model=model, resources=limits) as file:
        left_out = file.left_out
    if as_json:
        print_json(
            {
                "violations": verified.violations,
                "columns": verified,
                "absent": verified.absent,
                "left_out": left_out,
            }
        )
    else:
        write(_verdict(path, verified))
        _show_columns(f"{path} against {', '.join(original)}", verified, every)
        warn_left_out(left_out, " at compression")
    if verified.violations:
        raise typer.Exit(1)


def _verify_each(
    dask: Dask, original: list[str], folder: Path, model: Path | None, as_json: bool
) -> None:
    if original:
        job = batch.jobs.Verify(None if model is None else str(model))
        dask.run(job, batch.tasks.plan(original, folder, ".ftup"), folder, as_json)
    else:
        every = str(folder / "**" / "*.ftup")
        dask.run(
            batch.jobs.Examine(), batch.tasks.plan([every], folder, ""), folder, as_json
        )


def _verify_checksums(path: str, memory: int, as_json: bool) -> None:
    if is_reference(path):
        damage = published.layout.check_reference(path)
    else:
        with shown() as resources:
            damage = check_integrity(path, resources.progress, memory)
    if as_json:
        print_json({"damage": damage})
    elif not damage:
        write(f"ok: {path}: every checksum is right")
    else:
        parts = "1 part is" if len(damage) == 1 else f"{len(damage)} parts are"
        write(f"FAILED: {path}: {parts} damaged or missing")
        _show_damage(path, damage)
        if not is_reference(path):
            saving = f"flowtuple recover {path} -o SAVED.ftup"
            write(f"restore it from a copy, or save what is whole with {saving}")
    if damage:
        raise typer.Exit(1)


def _verdict(path: str, content: api.Verified) -> str:
    """Return one line: the outcome, and the parts of the original that the file lacks."""
    values, columns = sum(c.values for c in content), len(content)
    failing = sum(c.violations > 0 for c in content)
    plural = "" if columns == 1 else "s"
    verdict = (
        f"ok: {path}: {values} values in {columns} column{plural} are within their bounds"
    )
    if failing:
        verdict = (
            f"FAILED: {path}: {failing} of {columns} column{plural} failed, "
            f"{content.violations} of {values} values are outside their bound"
        )
    absent = content.absent
    if not absent:
        return verdict
    tables = tuple({f"{c.table}/" for c in content})
    were = "was" if len(absent) == 1 else "were"
    parts = "columns" if all(name.startswith(tables) for name in absent) else "parts"
    more = ", ... (all with --json)" if len(absent) > _NAMED else ""
    return (
        f"{verdict}; of the original's {parts} {len(absent)} {were} left out: "
        f"{', '.join(absent[:_NAMED])}{more}"
    )


def _show_columns(title: str, content: api.Verified, every: bool) -> None:
    """Show the differences of the columns that fail, or of every column."""
    rows = [
        [
            f"{c.table}/{c.column}",
            Promise.parse(c.bound).short,
            c.values,
            c.violations,
            c.difference.largest if c.difference.count else None,
            c.max_over_std,
            c.mean_over_std,
        ]
        for c in content
        if every or c.violations
    ]
    if rows:
        headings = (
            "column | bound | >values | >outside | >max |diff| | >max/std | >mean/std"
        )
        show_table(title, headings, rows)


def _show_damage(path: str, damage: Sequence[Damage]) -> None:
    """Show the damaged or missing parts of a file, by events and columns."""
    if not damage:
        write(f"{path}: every checksum is right")
        return
    show_table(
        f"{path} is damaged",
        "table | events | columns | what",
        [
            [
                d.table or "(file)",
                "" if d.events is None else f"{d.events[0]}:{d.events[1]}",
                ", ".join(d.columns) or ("all" if d.events else ""),
                d.reason,
            ]
            for d in damage
        ],
    )


@command(app)
def info(path: Compressed, model: ModelFile, memory: Memory, as_json: Json) -> None:
    """Show schema, bounds, sizes, model, checksums and provenance of a file.

    For a .ref it shows the method and sizes.

    Example: flowtuple info nano.ftup
    """
    if is_reference(path):
        content, show = published.layout.describe(path), _show_reference
    else:
        content, show = (
            describe(path, model, resources=Resources(memory=memory)),
            _show_info,
        )
    if as_json:
        print_json(content)
    else:
        show(content)


def type_in_words(column: Mapping[str, Any]) -> str:
    """Return the type of a column with its counter and shape, such as `float32 [nJet]`."""
    counter = f" [{column['counter']}]" if "counter" in column else ""
    shape = "".join(f"[{n}]" for n in column.get("shape", []))
    return f"{column['dtype']}{counter}{shape}"


def _show_info(content: Mapping[str, Any]) -> None:
    """Show columns, sections and provenance of a file."""
    for table in content["tables"]:
        chunks = f"{table['chunks']} chunk{'' if table['chunks'] == 1 else 's'}"
        show_table(
            f"{table['name']}: {table['events']} events in {chunks}",
            "column | type | bound | lattice | method | >bytes | >model",
            [
                [
                    column["name"],
                    type_in_words(column),
                    _bound_in_words(column),
                    column["lattice"],
                    ", ".join(column["methods"]),
                    column["bytes"],
                    column["model_bytes"],
                ]
                for column in table["columns"]
            ],
        )
        write(*(f"rule of drawn events: {rule}" for rule in table["rules"]))
        if table["acceptance"]:
            write(f"drawn events are accepted by {table['acceptance']}")
        write(*(f"ROOT output: {change}" for change in table["root_changes"]))
    left_out = content["left_out"]
    lines = [f"{part['name']} ({part['reason']})" for part in left_out[:_LEFT_OUT_LINES]]
    if len(left_out) > _LEFT_OUT_LINES:
        lines.append(f"{len(left_out)} parts, listed with --json")
    write(*(f"left out at compression: {line}" for line in lines))
    show_facts(sizes_in_words({**content["parts"], "file": content["bytes"]}))
    show_facts(
        {"format": content["format"]}
        | {k: json.dumps(v) for k, v in content["provenance"].items()}
    )


def sizes_in_words(sizes: Mapping[str, int]) -> dict[str, str]:
    """Return sizes to show, to the byte."""
    return {name: f"{size} bytes" for name, size in sizes.items()}


def _bound_in_words(column: Mapping[str, Any]) -> str:
    """Return the requested bound, with the resolved one if it differs."""
    requested, bound = Bound.parse(column["asked"]), Bound.parse(column["bound"])
    same = requested == bound
    return requested.short if same else f"{requested.short} ({bound.short})"


def _show_reference(content: Mapping[str, Any]) -> None:
    """Show method, columns and sizes of a file of a reference method."""
    columns = [[column["name"], column["dtype"]] for column in content["columns"]]
    show_table(f"{content['codec']} codec", "column | type", columns)
    objects = (
        "events"
        if content["counter"] is None
        else f"objects in {content['events']} events, counted by {content['counter']}"
    )
    show_facts({"rows": f"{content['rows']} {objects}"} | content["settings"])
    if content["filter"]:
        show_facts(
            {
                name: value if isinstance(value, str) else "; ".join(value)
                for name, value in content["filter"].items()
                if value
            }
        )
    ratio = (
        f", raw / file {format_number(content['ratio'])}" if "ratio" in content else ""
    )
    whole = {"file": f"{content['bytes']} bytes{ratio}", "format": content["format"]}
    show_facts(sizes_in_words(content["sections"]) | whole)


@command(app)
def report(
    original: Originals,
    path: Compressed,
    output: PageFolder,
    names: Names,
    model: ModelFile,
    memory: Memory,
) -> None:
    """Write a self-contained HTML page about a file (bounds, sizes, histograms) or about a model.

    Example: flowtuple report nano.root nano.ftup -o report
    """
    with shown(Resources(memory=memory)) as resources:
        page = api.report(
            original, path, output, names=names, model=model, resources=resources
        )
    write(page)


@command(app)
def merge(
    *,
    files: list[str] = argument(
        "A.ftup B.ftup...", "Files of one schema and model, in order."
    ),
    output: CompressedOutput,
    drop: bool = option("--drop", "Leave out carried objects that differ.", False),
    as_json: Json,
) -> None:
    """Join files that were compressed with one model, without coding anything again.

    Example: flowtuple merge run1.ftup run2.ftup -o both.ftup
    """
    with shown() as resources:
        size = join(files, output, drop=drop, resources=resources)
    with File(output) as merged:
        left_out = merged.left_out
    warn_left_out(left_out)
    if as_json:
        print_json({"path": output, "file_bytes": size, "left_out": left_out})
    else:
        write(f"{output}: {format_bytes(size)} from {len(files)} files")


@command(app)
def recover(
    *,
    path: Compressed,
    output: Path = option(
        "--output -o OUT",
        "OUT.ftup: whole chunks; OUT.root and others: what decodes.",
        ...,
    ),
    columns: Columns,
    given: GivenFile,
    model: Path | None = option("--model M.flow", "In place of a damaged model."),
    drop: Drop,
    as_json: Json,
) -> None:
    """Save the intact parts of a damaged file and list the others; exit code 1 if there are some.

    Example: flowtuple recover broken.ftup -o saved.ftup
    """
    with shown() as resources:
        saved = save(
            path,
            output,
            columns=columns,
            given=given or None,
            model=model,
            options=WriteOptions(drop=drop),
            resources=resources,
        )
    warn_left_out(saved.left_out)
    if as_json:
        print_json(
            {
                "path": saved.path,
                "events": saved.events,
                "missing": saved.missing,
                "left_out": saved.left_out,
            }
        )
    else:
        _show_damage(path, saved.missing)
        for name, (count, total) in saved.events.items():
            write(f"{saved.path}: {count} of {total} events of {name}")
    if saved.missing:
        raise typer.Exit(1)
