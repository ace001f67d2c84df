"""Commands of the reference methods: reference encode, reference decode."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.cli.app import app
from flowtuple.cli.options import (
    Columns,
    Drop,
    Exclude,
    Inputs,
    Json,
    Names,
    Output,
    Seed,
    make_selection,
    one_or_many,
    print_json,
    read_sizes,
    resources,
)
from flowtuple.cli.terminal import show_table, shown_progress, warn
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.reporting.page import format_bytes, format_number

if TYPE_CHECKING:
    from flowtuple.benchmark.published.accuracy import Accuracy
    from flowtuple.benchmark.published.stored import Encoded

_LATENT, _AUTOENCODER = Latent(), Autoencoder()
_OF_LATENT, _OF_AUTOENCODER = "Latent codec", "Autoencoder"

reference = typer.Typer(
    help="Published methods, as they are documented: rows of floats, without a bound.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(reference, name="reference")


@reference.command()
def encode(
    source: Inputs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.ref", help="The file to write.")
    ],
    codec: Annotated[str, typer.Option("--codec", help="latent or autoencoder.")] = "latent",
    columns: Columns = [],  # noqa: B006 (typer reads it once)
    exclude: Exclude = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="Published variables, event filter and normalisation: jets4, cms24 or atlas27.",
        ),
    ] = "",
    where: Annotated[
        list[str],
        typer.Option(
            "--where",
            metavar="CUT",
            help="Leave other rows out, such as 'Jet_pt > 30'; may be repeated.",
        ),
    ] = [],  # noqa: B006
    unit: Annotated[
        str, typer.Option("--unit", help="Of energies and masses: GeV or MeV.")
    ] = "GeV",
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Default 30 (latent), 100 (autoencoder)."),
    ] = None,
    bits: Annotated[
        int, typer.Option("--bits", help="N, 1 to 31.", rich_help_panel=_OF_LATENT)
    ] = _LATENT.bits,
    model: Annotated[
        int,
        typer.Option("--model", help="1 (6 x 64) or 2 (4 x 32).", rich_help_panel=_OF_LATENT),
    ] = 1,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate",
            help="Cut codes off instead of rounding.",
            rich_help_panel=_OF_LATENT,
        ),
    ] = False,
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            help="By the largest of all, or of each column as published.",
            rich_help_panel=_OF_LATENT,
        ),
    ] = _LATENT.scale,
    latent: Annotated[
        int, typer.Option("--latent", help="Numbers a row.", rich_help_panel=_OF_AUTOENCODER)
    ] = _AUTOENCODER.latent,
    network: Annotated[
        str,
        typer.Option(
            "--network",
            help="tanh, leaky-relu-bn or elu-bn.",
            rich_help_panel=_OF_AUTOENCODER,
        ),
    ] = _AUTOENCODER.network,
    normalisation: Annotated[
        str,
        typer.Option(
            "--normalisation",
            help="none, standard or custom.",
            rich_help_panel=_OF_AUTOENCODER,
        ),
    ] = _AUTOENCODER.normalisation,
    hidden: Annotated[
        str,
        typer.Option(
            "--hidden",
            metavar="N,N",
            help="Widths of hidden layers.",
            rich_help_panel=_OF_AUTOENCODER,
        ),
    ] = "",
    variational: Annotated[
        float,
        typer.Option(
            "--variational",
            metavar="BETA",
            help="Weight of the KL divergence.",
            rich_help_panel=_OF_AUTOENCODER,
        ),
    ] = 0.0,
    residuals: Annotated[
        str,
        typer.Option(
            "--residuals",
            metavar="BOUND",
            help="abs:E or std:S to keep.",
            rich_help_panel=_OF_AUTOENCODER,
        ),
    ] = "",
    then: Annotated[
        str,
        typer.Option(
            "--then", help="zstd, lzma or pcodec, which latent numbers or codes go through."
        ),
    ] = "",
    log: Annotated[
        Path | None, typer.Option("--log", metavar="DIR", help="For TensorBoard.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit a method to rows and write them with it; prints the errors of what the file decodes to.

    Example: flowtuple reference encode jets.root -o jets.ref --codec latent --bits 13 --unit MeV
    """
    from flowtuple import api

    widths = read_sizes(hidden, "--hidden") if hidden else ()
    methods: dict[str, Latent | Autoencoder] = {
        "latent": Latent(
            bits, model=model, truncate=truncate, unit=unit, then=then, scale=scale
        ),
        "autoencoder": Autoencoder(
            latent,
            network=network,
            normalisation=normalisation,
            hidden=widths,
            unit=unit,
            residuals=residuals,
            variational=variational,
            then=then,
        ),
    }
    if codec not in methods:
        raise InvalidArgument(
            f"there is no codec {codec!r} among the reference methods; {nearest(codec, methods)}"
        )
    method = methods[codec]
    if epochs is not None:
        method = replace(method, training=replace(method.training, epochs=epochs))
    selection = make_selection(columns, exclude, [], names, drop)
    with shown_progress() as progress:
        encoded = api.encode_rows(
            one_or_many(source),
            output,
            method,
            selection=selection,
            preset=preset,
            cuts=where,
            seed=seed,
            log=None if log is None else str(log),
            resources=resources(progress),
        )
    for note in encoded.notes:
        warn(note)
    if encoded.dropped:
        warn(f"{encoded.dropped} rows hold NaN or infinite values and were left out")
    if as_json:
        print_json(encoded.to_json())
        return
    _show(encoded)


@reference.command()
def decode(
    path: Annotated[str, typer.Argument(metavar="IN.ref", help="From reference encode.")],
    output: Output,
) -> None:
    """Write the rows back, which needs PyTorch; flowtuple decompress does the same.

    Example: flowtuple reference decode jets.ref -o jets.root
    """
    from flowtuple import api

    api.decode_rows(path, output)
    sys.stdout.write(f"{output}: {format_bytes(output.stat().st_size)}\n")


def show_accuracy(accuracy: Sequence[Accuracy]) -> None:
    """Show a table of the errors of each column."""
    rows = [
        [
            a.column,
            *(
                format_number(v)
                for v in (
                    a.mean,
                    a.largest,
                    a.relative_mean,
                    a.relative_largest,
                    a.response,
                    a.width,
                )
            ),
        ]
        for a in accuracy
    ]
    headings = [
        "column",
        "mean |diff|",
        "max |diff|",
        "mean/std",
        "max/std",
        "mean response",
        "its width",
    ]
    show_table("Errors of what the file decodes to", headings, rows)


def show_left_out(left_out: Mapping[str, int]) -> None:
    """Show the number of rows that each cut left out."""
    for cut, count in left_out.items():
        sys.stdout.write(f"{count} rows left out: not {cut}\n")


def _show(encoded: Encoded) -> None:
    """Show the sizes, and the errors of each column."""
    show_accuracy(encoded.accuracy)
    show_left_out(encoded.left_out)
    raw, model = format_bytes(encoded.raw_bytes), format_bytes(encoded.model_bytes)
    sys.stdout.write(
        f"{encoded.path}: {format_bytes(encoded.file_bytes)} for {encoded.rows} rows, "
        f"{format_number(encoded.ratio)} times smaller than {raw} raw, "
        f"{format_number(encoded.bits_per_value)} bits per value (model {model} included)\n"
    )
