"""The command that fits a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.cli.app import app
from flowtuple.cli.options import (
    BoundsFile,
    CheckpointFolder,
    Columns,
    Drop,
    EffortOption,
    Exclude,
    GivenColumns,
    Inputs,
    Memory,
    Names,
    Preset,
    Roles,
    Seed,
    Tolerances,
    make_selection,
    one_or_many,
    read_memory,
    read_mix,
    read_pairs,
    read_sizes,
    read_tolerance,
)
from flowtuple.cli.row_flow import row_flow
from flowtuple.cli.terminal import LastProgress, shown_progress, warn
from flowtuple.flows.options import RowFlow, Shape, Training
from flowtuple.flows.presets import FLOW_PRESETS
from flowtuple.flows.processes import Process
from flowtuple.reporting.page import format_bytes

_FLOW, _SHAPE, _TRAINING = RowFlow(), Shape(), Training()
_ROWS = "Flows over rows"
_SIMULATION = "Simulation"


@app.command()
def train(
    context: typer.Context,
    source: Inputs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="M.flow", help="The model to write.")
    ],
    tolerance: Tolerances = [],  # noqa: B006 (typer reads it once)
    bounds: BoundsFile = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    preset: Preset = None,
    drop: Drop = False,
    given: GivenColumns = [],  # noqa: B006
    effort: EffortOption = "default",
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
    memory: Memory = "2GB",
    lean: Annotated[
        bool, typer.Option("--lean", help="Only what gains bytes; cannot sample all columns.")
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(
            "--like", metavar="M.flow", help="Take over this model's lattices, to be divided by it."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="COL", help="Column of weights; it is not learned."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="For train.html.")
    ] = None,
    target: Annotated[
        list[str],
        typer.Option(
            "--target",
            metavar="GLOB",
            help="Columns to simulate from --given ones.",
            rich_help_panel=_SIMULATION,
        ),
    ] = [],  # noqa: B006
    match: Annotated[
        list[str],
        typer.Option(
            "--match",
            metavar="COL[=COLLECTION]",
            help="Points to generated partners.",
            rich_help_panel=_SIMULATION,
        ),
    ] = [],  # noqa: B006
    derived: Annotated[
        list[str],
        typer.Option(
            "--derived",
            metavar="COL=KIND",
            help="Learned as ratio, difference, turn or none.",
            rich_help_panel=_SIMULATION,
        ),
    ] = [],  # noqa: B006
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow",
            help="lattice, or over rows: maf, nsf, coupling, realnvp, flashsim, flow-matching.",
        ),
    ] = None,
    transform: Annotated[
        list[str],
        typer.Option(
            "--transform",
            metavar="GLOB=STEPS",
            help="Such as 'Jet_pt=log:10,standard'.",
            rich_help_panel=_ROWS,
        ),
    ] = [],  # noqa: B006
    transforms: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            help="Of the flow; default 3, flashsim one a column.",
            rich_help_panel=_ROWS,
        ),
    ] = None,
    hidden: Annotated[
        str,
        typer.Option(
            "--hidden", metavar="N,N", help="Widths of hidden layers.", rich_help_panel=_ROWS
        ),
    ] = "64,64",
    blocks: Annotated[
        int,
        typer.Option(
            "--blocks", min=1, help="Of residual networks (flashsim).", rich_help_panel=_ROWS
        ),
    ] = _SHAPE.blocks,
    bins: Annotated[
        int, typer.Option("--bins", min=2, help="Of splines.", rich_help_panel=_ROWS)
    ] = _SHAPE.bins,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="At most.", rich_help_panel=_ROWS)
    ] = _TRAINING.epochs,
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Rows of a step.", rich_help_panel=_ROWS)
    ] = _TRAINING.batch,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="The largest.", rich_help_panel=_ROWS)
    ] = _TRAINING.learning_rate,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", help="As of AdamW.", rich_help_panel=_ROWS)
    ] = _TRAINING.weight_decay,
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            help="constant, plateau, cosine, warm-restarts or one-cycle.",
            rich_help_panel=_ROWS,
        ),
    ] = _TRAINING.schedule,
    clip: Annotated[
        float,
        typer.Option("--clip", help="Largest norm of a gradient; 0: any.", rich_help_panel=_ROWS),
    ] = _TRAINING.clip,
    patience: Annotated[
        int,
        typer.Option(
            "--patience",
            min=0,
            help="Epochs without gain before the end; 0: none.",
            rich_help_panel=_ROWS,
        ),
    ] = _TRAINING.patience,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="DIR", help="For TensorBoard.", rich_help_panel=_ROWS),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device", help="cpu, cuda, or auto: a GPU where there is one.", rich_help_panel=_ROWS
        ),
    ] = _FLOW.device,
) -> None:
    """Fit a model alone: to compress many files with, to sample, to score, to simulate.

    With --target it learns to simulate: train f.root -o sim.flow --target 'Jet_*' --given 'GenJet_*' --match Jet_genJetIdx.

    A flow over rows trains in several processes: torchrun --nproc-per-node 2 -m flowtuple train f.root -o m.flow --flow nsf

    A number after a colon is what a file's events count for: background.root signal.root:0.3

    Example: flowtuple train run1.root -o jets.flow -t 'Jet_*=rel:1e-3'
    """
    from flowtuple import api

    sources, mix = read_mix(source)
    shape = Shape(transforms, read_sizes(hidden, "--hidden"), bins, blocks=blocks)
    options = Training(epochs, batch, learning_rate, weight_decay, schedule, clip, patience)
    recipes = read_pairs(transform, "--transform", "GLOB=STEPS", "'Jet_pt=log:10,standard'")
    rows = row_flow(context, flow, preset, shape, options, recipes, log, device)
    if preset in FLOW_PRESETS and not given:
        given = [*FLOW_PRESETS[preset].given]
    is_main = Process.here().is_main
    with shown_progress(silent=not is_main) as shown:
        progress = LastProgress(shown)
        notes = api.train(
            one_or_many(sources),
            output,
            tolerance=read_tolerance(tolerance, bounds),
            selection=make_selection(columns, exclude, role, names, drop, preset),
            given=given,
            effort=effort,
            seed=seed,
            checkpoint=checkpoint,
            memory=read_memory(memory),
            lean=lean,
            flow=rows,
            like=like,
            weights=weights,
            mix=mix,
            report=report,
            target=target,
            match=match,
            derived=read_pairs(derived, "--derived", "COL=KIND", "Muon_dxy=difference"),
            progress=progress,
        )
    if not is_main:
        return
    for note in notes:
        warn(note)
    told = f", {progress.detail}" if rows else ""
    sys.stdout.write(f"{output}: {format_bytes(output.stat().st_size)}{told}\n")
