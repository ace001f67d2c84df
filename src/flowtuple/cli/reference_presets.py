"""The command that shows published sets of variables: reference presets."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from flowtuple.benchmark.published.presets import PRESETS, Variables, reference_preset
from flowtuple.cli.options import Json, print_json
from flowtuple.cli.reference import reference
from flowtuple.cli.terminal import show_table


@reference.command()
def presets(
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="jets4, cms24 or atlas27; without one a list."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Show the published sets of variables, or the normalisations and event filter of one.

    Example: flowtuple reference presets atlas27
    """
    if not name:
        if as_json:
            print_json(
                [
                    _listed(p) | {"variables": [v.name for v in p.variables]}
                    for p in PRESETS.values()
                ]
            )
            return
        rows = [
            [p.name, p.about, p.source, str(len(p.variables)), str(len(p.cuts))]
            for p in PRESETS.values()
        ]
        show_table(
            "Sets of variables",
            ["preset", "what", "source", "variables", "cuts"],
            rows,
            text_columns=3,
        )
        return
    preset = reference_preset(name)
    if as_json:
        formulas = {
            v.name: {"formula": v.formula, "in_gev": v.in_gev, "others": v.others}
            for v in preset.variables
        }
        print_json(_listed(preset) | {"variables": formulas})
        return
    shown = [
        [v.name, "GeV" if v.in_gev else "", v.formula, " or ".join(v.others)]
        for v in preset.variables
    ]
    show_table(
        f"{preset.name}: {preset.source}",
        ["variable", "in", "normalisation", "also called"],
        shown,
        text_columns=4,
    )
    for cut in preset.cuts:
        sys.stdout.write(f"only rows with {cut}\n")


def _listed(preset: Variables) -> dict[str, Any]:
    return {
        "name": preset.name,
        "about": preset.about,
        "source": preset.source,
        "cuts": preset.cuts,
    }
