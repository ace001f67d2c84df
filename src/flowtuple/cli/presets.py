"""The command that makes rows of published flows: preset-rows."""

from __future__ import annotations

from flowtuple import api
from flowtuple.cli.app import app
from flowtuple.cli.declaring import command, option
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.options import Available, Inputs, Json, Output
from flowtuple.cli.terminal import shown
from flowtuple.flows.presets import FLOW_PRESETS


@command(app, "preset-rows")
def preset_rows(
    *,
    source: Inputs,
    output: Output,
    preset: str = option("--preset", f"{' or '.join(FLOW_PRESETS)}.", ...),
    available: Available,
    by_distance: bool = option(
        "--by-distance",
        "Match by Delta R < 0.4, one to one, even where the input has an index.",
        False,
    ),
    extra: list[str] = option("--extra COL", "Column of events to copy, too.", ()),
    as_json: Json,
) -> None:
    """Make the columns that the flow of a preset learns, of NanoAOD or a like file.

    A row is a reconstructed object with a generated partner. train-flow makes the same rows itself;
    this command is for looking at them, and for making them once.

    Example: flowtuple preset-rows nano.root -o jets.root --preset flashsim-jets
    """
    with shown() as resources:
        made = api.preset_rows(
            source,
            preset,
            output,
            available=available,
            by_distance=by_distance,
            extra=extra,
            resources=resources,
        )
    warn(*made.notes)
    if as_json:
        print_json({"path": output, **made.to_json()})
        return
    columns, given = len(made.preset.columns), len(made.preset.given)
    write(
        f"{output}: {made.rows} of {made.objects} objects, "
        f"{columns} columns given {given}"
    )
