"""Commands of the reference methods: reference encode, decode, sample, report, presets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowtuple import api
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.benchmark.published.presets import PRESETS, Variables, reference_preset
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, argument, command, option
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.options import (
    Columns,
    Drop,
    Exclude,
    Inputs,
    Json,
    Names,
    Originals,
    Output,
    PageFolder,
    Seed,
    read_sizes,
)
from flowtuple.cli.terminal import show_table, shown
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.reporting.page import format_bytes, format_number

if TYPE_CHECKING:
    from flowtuple.benchmark.published.accuracy import Accuracy

_OF_LATENT, _OF_AUTOENCODER = "Latent codec", "Autoencoder"

reference = typer.Typer(
    help="Published methods, as they are documented: rows of floats, without a bound.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(reference, name="reference")

ReferenceFile = Annotated[str, argument("IN.ref", "From reference encode.")]


def _number(
    model: int = option("--model", "1 (6 x 64) or 2 (4 x 32).", 1, _OF_LATENT),
) -> int:
    return model


def _hidden(
    hidden: str = option("--hidden N,N", "Widths of hidden layers.", "", _OF_AUTOENCODER),
) -> tuple[int, ...]:
    return read_sizes(hidden, "--hidden") if hidden else ()


_BOTH = {
    "unit": option("--unit", "Of energies and masses: GeV or MeV."),
    "then": option(
        "--then", "zstd, lzma or pcodec, which latent numbers or codes go through."
    ),
}
_LATENT = _BOTH | {
    "bits": option("--bits", "N, 1 to 31.", panel=_OF_LATENT),
    "model": From(_number),
    "truncate": option(
        "--truncate", "Cut codes off instead of rounding.", panel=_OF_LATENT
    ),
    "scale": option(
        "--scale",
        "By the largest of all, or of each column as published.",
        panel=_OF_LATENT,
    ),
}
_AUTOENCODER = _BOTH | {
    "latent": option("--latent", "Numbers a row.", panel=_OF_AUTOENCODER),
    "network": option(
        "--network", "tanh, leaky-relu-bn or elu-bn.", panel=_OF_AUTOENCODER
    ),
    "normalisation": option(
        "--normalisation", "none, standard or custom.", panel=_OF_AUTOENCODER
    ),
    "hidden": From(_hidden),
    "variational": option(
        "--variational BETA", "Weight of the KL divergence.", panel=_OF_AUTOENCODER
    ),
    "residuals": option(
        "--residuals BOUND", "abs:E or std:S to keep.", panel=_OF_AUTOENCODER
    ),
}


def _method(
    *,
    codec: str = option("--codec", "latent or autoencoder.", "latent"),
    latent_codec: Annotated[Latent, From(Latent, _LATENT)],
    autoencoder: Annotated[Autoencoder, From(Autoencoder, _AUTOENCODER)],
    epochs: int | None = option(
        "--epochs", "Default 30 (latent), 100 (autoencoder).", min=1
    ),
) -> Latent | Autoencoder:
    methods: dict[str, Latent | Autoencoder] = {
        "latent": latent_codec,
        "autoencoder": autoencoder,
    }
    if codec not in methods:
        raise InvalidArgument(
            f"there is no codec {codec!r} among the reference methods; {nearest(codec, methods)}"
        )
    method = methods[codec]
    if epochs is None:
        return method
    return replace(method, training=replace(method.training, epochs=epochs))


@command(reference)
def encode(
    *,
    source: Inputs,
    output: Path = option("--output -o OUT.ref", "The file to write.", ...),
    columns: Columns,
    exclude: Exclude,
    names: Names,
    drop: Drop,
    preset: str = option(
        "--preset",
        "Published variables, event filter and normalisation: jets4, cms24 or atlas27.",
        "",
    ),
    where: list[str] = option(
        "--where CUT",
        "Leave other rows out, such as 'Jet_pt > 30'; may be repeated.",
        (),
    ),
    method: Annotated[Latent | Autoencoder, From(_method)],
    log: Path | None = option("--log DIR", "For TensorBoard."),
    seed: Seed,
    as_json: Json,
) -> None:
    """Fit a method to rows and write them with it; prints the errors of what the file decodes to.

    Example: flowtuple reference encode jets.root -o jets.ref --codec latent --bits 13 --unit MeV
    """
    with shown() as resources:
        encoded = api.encode_rows(
            source,
            output,
            method,
            selection=api.Selection(tuple(columns), tuple(exclude), None, names, drop),
            preset=preset,
            cuts=where,
            seed=seed,
            log=None if log is None else str(log),
            resources=resources,
        )
    warn(*encoded.notes)
    if encoded.dropped:
        warn(f"{encoded.dropped} rows hold NaN or infinite values and were left out")
    if as_json:
        print_json(encoded)
        return
    _show_errors(encoded.accuracy, encoded.left_out)
    raw, model = format_bytes(encoded.raw_bytes), format_bytes(encoded.model_bytes)
    write(
        f"{encoded.path}: {format_bytes(encoded.file_bytes)} for {encoded.rows} rows, "
        f"{format_number(encoded.ratio)} times smaller than {raw} raw, "
        f"{format_number(encoded.bits_per_value)} bits per value (model {model} included)"
    )


@command(reference)
def decode(path: ReferenceFile, output: Output) -> None:
    """Write the rows back, which needs PyTorch; flowtuple decompress does the same.

    Example: flowtuple reference decode jets.ref -o jets.root
    """
    api.decode_rows(path, output)
    write(f"{output}: {format_bytes(output.stat().st_size)}")


def _show_errors(accuracy: Sequence[Accuracy], left_out: Mapping[str, int]) -> None:
    """Show the errors of each column, and the number of rows that each cut left out."""
    show_table(
        "Errors of what the file decodes to",
        "column | >mean |diff| | >max |diff| | >mean/std | >max/std | >mean response | >its width",
        [
            [
                a.column,
                a.mean,
                a.largest,
                a.relative_mean,
                a.relative_largest,
                a.response,
                a.width,
            ]
            for a in accuracy
        ],
    )
    write(*(f"{count} rows left out: not {cut}" for cut, count in left_out.items()))


@command(reference)
def presets(
    *,
    name: str = argument("[NAME]", "jets4, cms24 or atlas27; without one a list.", ""),
    as_json: Json,
) -> None:
    """Show the published sets of variables, or the normalisations and event filter of one.

    Example: flowtuple reference presets atlas27
    """
    if name:
        _show_preset(reference_preset(name), as_json)
    elif as_json:
        print_json(
            [
                _listed(p) | {"variables": [v.name for v in p.variables]}
                for p in PRESETS.values()
            ]
        )
    else:
        show_table(
            "Sets of variables",
            "preset | what | source | >variables | >cuts",
            [
                [p.name, p.about, p.source, len(p.variables), len(p.cuts)]
                for p in PRESETS.values()
            ],
        )


def _show_preset(preset: Variables, as_json: bool) -> None:
    if as_json:
        formulas = {
            v.name: {"formula": v.formula, "in_gev": v.in_gev, "others": v.others}
            for v in preset.variables
        }
        print_json(_listed(preset) | {"variables": formulas})
        return
    show_table(
        f"{preset.name}: {preset.source}",
        "variable | in | normalisation | also called",
        [
            [v.name, "GeV" if v.in_gev else "", v.formula, " or ".join(v.others)]
            for v in preset.variables
        ],
    )
    write(*(f"only rows with {cut}" for cut in preset.cuts))


def _listed(preset: Variables) -> dict[str, Any]:
    return {
        "name": preset.name,
        "about": preset.about,
        "source": preset.source,
        "cuts": preset.cuts,
    }


@command(reference)
def report(
    path: ReferenceFile,
    original: Originals,
    output: PageFolder,
    names: Names,
    as_json: Json,
) -> None:
    """Write a self-contained HTML page: differences, responses, correlations, dijet mass.

    Example: flowtuple reference report jets.ref jets.root -o report
    """
    with shown() as resources:
        made = api.report_rows(path, original, output, names=names, resources=resources)
    if as_json:
        print_json(made)
        return
    if made.dropped:
        warn(f"{made.dropped} rows hold NaN or infinite values and are not in the file")
    _show_errors(made.accuracy, made.left_out)
    if made.dijet is not None:
        pair = made.dijet
        mean, width, largest = map(format_number, (pair.mean, pair.width, pair.largest))
        write(
            f"mass of the two leading {pair.collection}, (after - before) / before: "
            f"mean {mean}, width {width}, largest {largest}"
        )
        if pair.left_out:
            write(
                f"{pair.left_out} of {pair.events} events left out: a mass of 0 or not finite"
            )
    write(made.page)


@command(reference)
def sample(
    *,
    path: str = argument("IN.ref", "From reference encode --codec latent."),
    number: int = option("--number -n", "Rows: objects, or events.", ..., min=0),
    output: Output,
    seed: Seed,
) -> None:
    """Draw rows from the latent codec's flow; the same seed gives the same rows.

    Example: flowtuple reference sample jets.ref -n 100000 -o more.root
    """
    begin = time.perf_counter()
    api.sample_rows(path, number, output, seed=seed)
    seconds = time.perf_counter() - begin
    write(
        f"{output}: {number} rows, {format_bytes(output.stat().st_size)}, "
        f"written in {seconds:.1f} s"
    )
