"""Commands that fit models: train, train-flow, train-simulation."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from flowtuple.cli.app import app
from flowtuple.cli.options import (
    TRAINING,
    BoundsFile,
    CheckpointFolder,
    Columns,
    Drop,
    EffortOption,
    Exclude,
    GivenColumns,
    Inputs,
    Memory,
    ModelOutput,
    Names,
    Preset,
    Roles,
    Seed,
    Tolerances,
    Weight,
    Workers,
    make_selection,
    one_or_many,
    read_mix,
    read_pairs,
    read_tolerance,
    resources,
)
from flowtuple.cli.row_flow import (
    FLOW,
    SHAPE,
    Batch,
    Bins,
    Blocks,
    Clip,
    Device,
    Epochs,
    Hidden,
    LearningRate,
    Log,
    Patience,
    Schedule,
    Steps,
    Transform,
    WeightDecay,
    row_flow,
)
from flowtuple.cli.row_flow import TRAINING as USUAL
from flowtuple.cli.terminal import LastProgress, shown_progress, warn
from flowtuple.errors import InvalidArgument
from flowtuple.flows.presets import FLOW_PRESETS
from flowtuple.flows.processes import Process
from flowtuple.reporting.page import format_bytes

Like = Annotated[
    str | None,
    typer.Option(
        "--like",
        metavar="M.flow",
        help="Take over this model's lattices, or transforms, so that score can divide the two.",
        rich_help_panel=TRAINING,
    ),
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="DIR", help="Folder for train.html.")
]


@app.command()
def train(
    source: Inputs,
    output: ModelOutput,
    tolerance: Tolerances = [],  # noqa: B006 (typer reads it once)
    bounds: BoundsFile = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    preset: Preset = None,
    drop: Drop = False,
    given: GivenColumns = [],  # noqa: B006
    weight: Weight = None,
    effort: EffortOption = "default",
    seed: Seed = 0,
    lean: Annotated[
        bool,
        typer.Option(
            "--lean",
            help="Learn only what saves bytes; cannot sample all columns.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    like: Like = None,
    report: Report = None,
    checkpoint: CheckpointFolder = None,
    workers: Workers = None,
    memory: Memory = "2GB",
) -> None:
    """Fit a model of events: to compress many files with, to sample, to score.

    A number after a colon is the weight of the events of a file: background.root signal.root:0.3

    Example: flowtuple train run1.root -o jets.flow -t 'Jet_*=rel:1e-3'
    """
    from flowtuple import api

    _check_plots(report)
    sources, mix = read_mix(source)
    events = one_or_many(sources)
    selection = make_selection(columns, exclude, role, names, drop, preset)
    with shown_progress() as progress:
        notes = api.train(
            api.Weighted(events, weight, mix),
            output,
            tolerance=read_tolerance(tolerance, bounds),
            selection=selection,
            given=given,
            effort=effort,
            seed=seed,
            lean=lean,
            like=like,
            resources=resources(progress, workers, memory, checkpoint),
        )
    if report is not None:
        api.report(events, output, report, names=selection.names)
    _show(notes, output)


@app.command("train-flow")
def train_flow(
    context: typer.Context,
    source: Inputs,
    output: ModelOutput,
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow",
            help="maf, nsf (default), coupling, realnvp, flashsim or flow-matching.",
        ),
    ] = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    preset: Preset = None,
    drop: Drop = False,
    given: Annotated[
        list[str],
        typer.Option("--given", metavar="GLOB", help="Columns that the density depends on."),
    ] = [],  # noqa: B006
    weight: Weight = None,
    seed: Seed = 0,
    like: Like = None,
    report: Report = None,
    checkpoint: CheckpointFolder = None,
    memory: Memory = "2GB",
    transform: Transform = [],  # noqa: B006
    transforms: Steps = None,
    hidden: Hidden = "64,64",
    blocks: Blocks = SHAPE.blocks,
    bins: Bins = SHAPE.bins,
    epochs: Epochs = USUAL.epochs,
    batch: Batch = USUAL.batch,
    learning_rate: LearningRate = USUAL.learning_rate,
    weight_decay: WeightDecay = USUAL.weight_decay,
    schedule: Schedule = USUAL.schedule,
    clip: Clip = USUAL.clip,
    patience: Patience = USUAL.patience,
    log: Log = None,
    device: Device = FLOW.device,
) -> None:
    """Fit a flow over rows (events, or objects of one collection): to sample and to score.

    It trains in several processes: torchrun --nproc-per-node 2 -m flowtuple train-flow f.root -o
    m.flow

    A number after a colon is the weight of the events of a file: background.root signal.root:0.3

    Example: flowtuple train-flow jets.root -o rows.flow --columns 'Jet_*' --flow nsf
    """
    from flowtuple import api

    _check_plots(report)
    sources, mix = read_mix(source)
    events = one_or_many(sources)
    selection = make_selection(columns, exclude, role, names, drop, preset)
    if preset in FLOW_PRESETS and not given:
        given = [*FLOW_PRESETS[preset].given]
    is_main = Process.here().is_main
    with shown_progress(silent=not is_main) as shown:
        progress = LastProgress(shown)
        notes = api.train_flow(
            api.Weighted(events, weight, mix),
            output,
            row_flow(context, flow, preset),
            selection=selection,
            given=given,
            seed=seed,
            like=like,
            resources=resources(progress, memory=memory, checkpoint=checkpoint),
        )
    if not is_main:
        return
    if report is not None:
        api.report(events, output, report, names=selection.names)
    _show(notes, output, progress.detail)


@app.command("train-simulation")
def train_simulation(
    context: typer.Context,
    source: Inputs,
    output: ModelOutput,
    target: Annotated[
        list[str], typer.Option("--target", metavar="GLOB", help="Columns to simulate.")
    ],
    given: Annotated[
        list[str],
        typer.Option(
            "--given", metavar="GLOB", help="Generated columns to simulate them from."
        ),
    ] = [],  # noqa: B006
    match: Annotated[
        list[str],
        typer.Option(
            "--match",
            metavar="COL[=COLLECTION]",
            help="Index column that matches each object to its generated partner.",
        ),
    ] = [],  # noqa: B006
    derived: Annotated[
        list[str],
        typer.Option(
            "--derived",
            metavar="COL=KIND",
            help="Learned relative to the partner: ratio, difference, turn or none.",
        ),
    ] = [],  # noqa: B006
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    effort: EffortOption = "default",
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
    workers: Workers = None,
    memory: Memory = "2GB",
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow",
            help="Flow over rows for properties: maf, nsf, ... Default: lattice flows throughout.",
        ),
    ] = None,
    transform: Transform = [],  # noqa: B006
    transforms: Steps = None,
    hidden: Hidden = "64,64",
    blocks: Blocks = SHAPE.blocks,
    bins: Bins = SHAPE.bins,
    epochs: Epochs = USUAL.epochs,
    batch: Batch = USUAL.batch,
    learning_rate: LearningRate = USUAL.learning_rate,
    weight_decay: WeightDecay = USUAL.weight_decay,
    schedule: Schedule = USUAL.schedule,
    clip: Clip = USUAL.clip,
    patience: Patience = USUAL.patience,
    log: Log = None,
    device: Device = FLOW.device,
) -> None:
    """Fit a simulation: reconstructed objects, given generated ones.

    Example: flowtuple train-simulation both.root -o sim.flow --target 'Jet_*' --given 'GenJet_*'
    """
    from flowtuple import api

    kind = None if flow == "lattice" else flow
    rows = row_flow(context, kind)
    if kind is None and rows != FLOW:
        raise InvalidArgument(
            "--transform, --steps, --epochs and the like are for flows over rows;"
            " name one with --flow"
        )
    is_main = Process.here().is_main
    with shown_progress(silent=not is_main) as shown:
        progress = LastProgress(shown)
        notes = api.train_simulation(
            one_or_many(source),
            output,
            target=target,
            given=given,
            selection=make_selection(columns, exclude, role, names, drop),
            flow=None if kind is None else rows,
            effort=effort,
            seed=seed,
            options=api.SimulationOptions(
                match, read_pairs(derived, "--derived", "COL=KIND", "Muon_dxy=difference")
            ),
            resources=resources(progress, workers, memory, checkpoint),
        )
    if is_main:
        _show(notes, output, progress.detail if kind else "")


def _check_plots(report: Path | None) -> None:
    """Raise before a long training if its page could not be drawn."""
    if report is not None:
        from flowtuple.reporting.plots import require_plots

        require_plots()


def _show(notes: Iterable[str], output: Path, detail: str = "") -> None:
    for note in notes:
        warn(note)
    size = format_bytes(output.stat().st_size)
    sys.stdout.write(f"{output}: {size}{f', {detail}' if detail else ''}\n")
