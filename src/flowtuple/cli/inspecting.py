"""Commands to begin with: demo, inspect, bench."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from flowtuple import api
from flowtuple.benchmark import pages
from flowtuple.benchmark.result import Bench
from flowtuple.cli.app import app
from flowtuple.cli.declaring import command, option
from flowtuple.cli.files import sizes_in_words, type_in_words
from flowtuple.cli.lines import note, print_json, warn, write
from flowtuple.cli.options import (
    RESOURCES,
    Columns,
    Effort,
    Exclude,
    Inputs,
    Json,
    Names,
    Selection,
    Tolerance,
    read_bound,
    split,
)
from flowtuple.cli.terminal import show_facts, show_table, shown
from flowtuple.data.resources import Resources
from flowtuple.reporting.page import format_bytes, format_number


@command(app)
def demo(
    *,
    output: Path = option(
        "--output -o DIR", "Where the files go.", Path("flowtuple-demo")
    ),
    effort: Effort,
) -> None:
    """Train, compress, decompress, verify and report on the embedded sample of jets.

    Example: flowtuple demo -o demo
    """
    with shown() as resources:
        made = api.demo(output, effort=effort, resources=resources)
    figures = (
        "coded_bytes",
        "model_bytes",
        "max_over_std",
        "bits_per_value",
        "ratio_raw",
        "ratio_quantise+pcodec",
    )
    show_table(
        "Embedded sample: jets in events",
        "column | bound | method | >bytes | >model | >max |diff|/std | >bits/value | >raw/ours | "
        ">q+pcodec/ours",
        [
            [
                f"{row['table']}/{row['column']}",
                row["bound"],
                row["method"],
                *(row[figure] for figure in figures),
            ]
            for row in made.rows
        ],
    )
    total = made.totals
    rival = format_bytes(total["quantise+pcodec"])
    show_facts(
        {
            "values": f"{total['values']}, {total['violations']} outside their bound",
            "input file": format_bytes(total["input"]),
            "raw columns": format_bytes(total["raw"]),
            "quantise+pcodec": f"{rival} (no container, no header)",
            "flowtuple": f"{format_bytes(total['bytes'])} ({total['bytes']} bytes)",
            **sizes_in_words(
                {f"of which {part}": n for part, n in total["parts"].items()}
            ),
            "raw / flowtuple": format_number(total["ratio_raw"]),
            "report": made.report,
        }
    )
    if made.violations:
        raise typer.Exit(1)


@command(app)
def inspect(
    *,
    source: Inputs,
    columns: Columns,
    exclude: Exclude,
    names: Names,
    gain: bool = option(
        "--gain", "Predict sizes from a short training, before a long one.", False
    ),
    tolerance: Tolerance,
    as_json: Json,
) -> None:
    """Show types, roles, ranges, special values and lattices of columns; predict sizes.

    Example: flowtuple inspect nano.root:Events --gain -t '*=rel:1e-3'
    """
    with shown() as resources:
        content = api.inspect(
            source,
            columns=columns,
            exclude=exclude,
            names=names,
            tolerance=tolerance,
            gain=gain,
            resources=resources,
        )
    if as_json:
        print_json(content)
    else:
        _show_inspection(content)


def _show_inspection(content: Mapping[str, Any]) -> None:
    """Show the columns of an input, its carried objects and the refused parts."""
    for table in content["tables"]:
        show_table(
            f"{table['name']}: {table['events']} events",
            "column | type | role | lattice | special | >min | >max",
            [
                [
                    column["name"],
                    type_in_words(column),
                    column["role"],
                    column["lattice"],
                    _special_in_words(column),
                    _range_end(column.get("low")),
                    _range_end(column.get("high")),
                ]
                for column in table["columns"]
            ],
        )
        for column in table["columns"]:
            if "warning" in column:
                warn(f"column {column['name']!r}: {column['warning']}")
    note(*content.get("notes", ()))
    write(*(f"carried: {name}" for name in content["carried"]))
    for table in content.get("gain", []):
        size = format_bytes(table["flowtuple"])
        write(
            f"predicted for {table['table']}: {size}, {table['ratio']:.3f} of quantise+pcodec "
            f"(trained on {table['trained_on']} events at effort fast, "
            f"judged on {table['judged_on']} others)"
        )
    for name, reason in content["refused"].items():
        warn(f"{name} cannot be carried: {reason}")


def _special_in_words(column: Mapping[str, Any]) -> str:
    specials = [f"{value} x{count}" for value, count in column.get("special", {}).items()]
    return ", ".join(
        [*specials, *(f"{value:g} repeated" for value in column.get("repeated", []))]
    )


def _range_end(value: Any) -> str:
    return str(value) if isinstance(value, int) else format_number(value, digits=5)


@command(app)
def bench(
    *,
    source: Inputs,
    tolerance: Tolerance,
    scan: str = option(
        "--scan BOUND,...", "Measure at each of these bounds for '*'.", ""
    ),
    selection: Selection,
    codecs: str | None = option("--codecs A,B,...", "Default: all with a promise."),
    effort: Effort,
    workers: int = option("--workers", "Threads of each codec.", 1, RESOURCES, min=1),
    unit: str = option(
        "--unit", "Unit of energies for reference methods: GeV or MeV.", "GeV"
    ),
    output: Path | None = option("--output -o DIR", "Folder for the tables and a plot."),
    as_json: Json,
) -> None:
    """Measure size, error, speed and memory of codecs at the same bounds.

    Reference methods, which have no bound, take part where they are named: --codecs
    latent-13,autoencoder-tanh,baler,flowtuple

    Example: flowtuple bench nano.root -t '*=std:1e-3' -o bench
    """
    with shown(Resources(workers)) as resources:
        result = api.bench(
            source,
            tolerance=tolerance,
            scan=[read_bound(bound, f"--scan {scan!r}") for bound in split(scan)],
            selection=selection,
            codecs=None if codecs is None else split(codecs),
            effort=effort,
            unit=unit,
            folder=output,
            command=shlex.join(["flowtuple", *sys.argv[1:]]),
            resources=resources,
        )
    if as_json:
        print_json(result)
        return
    _show_bench(result)
    if output:
        write(output)


def _show_bench(bench: Bench) -> None:
    """Show a table of codecs for each bound, with the smallest marked, and notes."""
    for bound in bench.bounds:
        lines = []
        for row in bench.at(bound):
            first, *others = pages.cells(bench, row)
            lines.append(
                [f"{first} *" if row.codec == bench.best(bound) else first, *others]
            )
            if trained := pages.cells_with_model(row):
                lines.append(trained)
        show_table(
            f"{bench.source} at {bound}: {bench.values} values, {format_bytes(bench.raw_bytes)}",
            " | >".join(pages.HEADINGS),
            lines,
        )
    write("* smallest that keeps its bound")
    warn(*bench.notes)
    for row in bench.rows:
        if row.failed:
            warn(f"{row.codec} failed at {row.bound}: {row.failed}")
