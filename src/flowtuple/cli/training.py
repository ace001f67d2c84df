"""Commands that fit models: train, train-flow, train-simulation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from flowtuple import api
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, command, option
from flowtuple.cli.lines import warn, write
from flowtuple.cli.options import (
    TRAINING,
    Available,
    CheckpointFolder,
    Effort,
    GivenColumns,
    Inputs,
    Limits,
    Match,
    Memory,
    ModelOutput,
    Preset,
    PresetSelection,
    Seed,
    Selection,
    Tolerance,
    Weight,
    explicit_options,
    read_pairs,
    read_sizes,
)
from flowtuple.cli.terminal import shown
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.flows.options import ACTIVATIONS, KINDS, RowFlow, Shape, Training
from flowtuple.flows.presets import FLOW_PRESETS, FlowPreset
from flowtuple.flows.processes import Process
from flowtuple.reporting.page import format_bytes
from flowtuple.reporting.plots import require_plots
from flowtuple.runtime.progress import Progress

_FLOW = RowFlow()
_PANEL = "Flow over rows"
Settings = TypeVar("Settings", Shape, Training)


class LastProgress:
    """Progress that also stores the last detail, which is shown without a bar.

    Attributes:
        detail: The last detail.
    """

    def __init__(self, progress: Progress) -> None:
        self.detail = ""
        self._progress = progress

    def __call__(self, stage: str, share: float, detail: str) -> None:
        self.detail = detail
        self._progress(stage, share, detail)


def _weighted(source: Inputs, weight: Weight) -> api.Weighted:
    """Return events with weights; each input may have a factor: `A.root B.root:0.3`."""
    parts = [_with_factor(text) for text in source]
    if all(factor is None for _, factor in parts):
        return api.Weighted(source, weight)
    mix = [1.0 if factor is None else factor for _, factor in parts]
    return api.Weighted([path for path, _ in parts], weight, mix)


def _with_factor(text: str) -> tuple[str, float | None]:
    path, colon, factor = text.rpartition(":")
    try:
        return (path, float(factor)) if colon else (text, None)
    except ValueError:
        return text, None  # a tree


Events = Annotated[api.Weighted, From(_weighted)]


def _page_folder(
    report: Path | None = option("--report DIR", "Folder for train.html."),
) -> Path | None:
    """Return the folder of the page; raise before a long training if it could not be drawn."""
    if report is not None:
        require_plots()
    return report


ReportFolder = Annotated[Path | None, From(_page_folder)]
Like = Annotated[
    str | None,
    option(
        "--like M.flow",
        "Take over this model's lattices, or transforms, so that score can divide the two.",
        None,
        TRAINING,
    ),
]


@command(app)
def train(
    *,
    events: Events,
    output: ModelOutput,
    tolerance: Tolerance,
    selection: PresetSelection,
    given: GivenColumns,
    effort: Effort,
    seed: Seed,
    lean: bool = option(
        "--lean",
        "Learn only what saves bytes; cannot sample all columns.",
        False,
        TRAINING,
    ),
    like: Like,
    report: ReportFolder,
    limits: Limits,
) -> None:
    """Fit a model of events: to compress many files with, to sample, to score.

    A number after a colon is the weight of the events of a file: background.root signal.root:0.3

    Example: flowtuple train run1.root -o jets.flow -t 'Jet_*=rel:1e-3'
    """
    with shown(limits) as resources:
        notes = api.train(
            events,
            output,
            tolerance=tolerance,
            selection=selection,
            given=given,
            effort=effort,
            seed=seed,
            lean=lean,
            like=like,
            resources=resources,
        )
    if report is not None:
        api.report(events.source, output, report, names=selection.names)
    _show(notes, output)


def _hidden(
    hidden: str = option("--hidden N,N", "Widths of hidden layers.", "64,64", _PANEL),
) -> tuple[int, ...]:
    return read_sizes(hidden, "--hidden")


_SHAPE = {
    "transforms": option(
        "--steps",
        "Transforms of the flow; default 3, flashsim one per column, made always 1.",
        panel=_PANEL,
        min=1,
    ),
    "hidden": From(_hidden),
    "blocks": option(
        "--blocks", "Blocks of residual networks (flashsim).", panel=_PANEL, min=1
    ),
    "bins": option("--bins", "Bins of splines.", panel=_PANEL, min=2),
    "activation": option(
        "--activation", f"{', '.join(ACTIVATIONS)} (flashsim).", panel=_PANEL
    ),
    "normalisation": option(
        "--normalisation",
        "Of hidden rows (flashsim): layer, batch or none.",
        panel=_PANEL,
    ),
    "components": option(
        "--components", "Gaussians of each mixture (made).", panel=_PANEL, min=1
    ),
}
_TRAINING = {
    "epochs": option("--epochs", "Most epochs.", panel=_PANEL, min=1),
    "batch": option("--batch", "Rows per step.", panel=_PANEL, min=1),
    "learning_rate": option("--learning-rate", "Largest rate.", panel=_PANEL),
    "weight_decay": option("--weight-decay", "Decay of AdamW.", panel=_PANEL),
    "schedule": option(
        "--schedule",
        "constant, plateau, cosine, warm-restarts or one-cycle.",
        panel=_PANEL,
    ),
    "clip": option("--clip", "Largest norm of a gradient; 0: any.", panel=_PANEL),
    "patience": option(
        "--patience",
        "Epochs without gain before the end; 0: no limit.",
        panel=_PANEL,
        min=0,
    ),
}


def _row_flow(
    *,
    context: typer.Context,
    transform: list[str] = option(
        "--transform GLOB=STEPS", "Such as 'Jet_pt=log:10,standard'.", (), _PANEL
    ),
    shape: Annotated[Shape, From(Shape, _SHAPE)],
    training: Annotated[Training, From(Training, _TRAINING)],
    log: Path | None = option("--log DIR", "Folder for TensorBoard.", None, _PANEL),
    device: str = option(
        "--device", "cpu, cuda, or auto: a GPU where there is one.", _FLOW.device, _PANEL
    ),
) -> RowFlow:
    """Return the flow over rows that a command line describes; options win over the preset.

    Its kind is the one of the preset, or else the usual one.
    """
    steps = read_pairs(transform, "--transform", "GLOB=STEPS", "'Jet_pt=log:10,standard'")
    kind, preset = _FLOW.kind, context.params.get("preset")
    if preset in FLOW_PRESETS:
        usual = FLOW_PRESETS[preset].flow
        kind, steps = usual.kind, {**usual.transforms, **steps}
        shape = _explicit(context, usual.shape, shape)
        training = _explicit(context, usual.training, training)
    return RowFlow(
        kind, shape, training, steps, None if log is None else str(log), device
    )


def _explicit(context: typer.Context, usual: Settings, options: Settings) -> Settings:
    """Return a preset's settings with those replaced that the command line names."""
    names = explicit_options(context).keys() & {f.name for f in fields(options)}
    return replace(usual, **{name: getattr(options, name) for name in names})


RowOptions = Annotated[RowFlow, From(_row_flow)]


@command(app, "train-flow")
def train_flow(
    *,
    events: Events,
    output: ModelOutput,
    flow: str | None = option(
        "--flow", f"{', '.join(KINDS[:-1])} or {KINDS[-1]}; default {_FLOW.kind}."
    ),
    selection: PresetSelection,
    preset: Preset,
    given: list[str] = option("--given GLOB", "Columns that the density depends on.", ()),
    available: Available,
    seed: Seed,
    like: Like,
    report: ReportFolder,
    checkpoint: CheckpointFolder,
    memory: Memory,
    rows: RowOptions,
) -> None:
    """Fit a flow over rows (events, or objects of one collection): to sample and to score.

    It trains in several processes: torchrun --nproc-per-node 2 -m flowtuple train-flow f.root -o
    m.flow

    A number after a colon is the weight of the events of a file: background.root signal.root:0.3

    With --preset flashsim-jets or flashsim-muons, an input such as NanoAOD is made into rows first,
    as preset-rows does.

    Example: flowtuple train-flow jets.root -o rows.flow --columns 'Jet_*' --flow nsf
    """
    is_main = Process.here().is_main
    limits = Resources(memory=memory, checkpoint=checkpoint)
    with shown(limits, silent=not is_main) as resources:
        if preset in FLOW_PRESETS:
            events, known, left_out = api.prepared_for(
                events, preset, available=available, resources=resources
            )
            rows, selection = _of_preset(rows, selection, FLOW_PRESETS[preset], known)
            given = given or [*known.given]
            warn(*left_out if is_main else ())
        progress = LastProgress(resources.progress)
        notes = api.train_flow(
            events,
            output,
            replace(rows, kind=flow or rows.kind),
            selection=selection,
            given=given,
            seed=seed,
            like=like,
            resources=replace(resources, progress=progress),
        )
    if not is_main:
        return
    if report is not None:
        api.report(events.source, output, report, names=selection.names)
    _show(notes, output, progress.detail)


def _of_preset(
    rows: RowFlow, selection: api.Selection, published: FlowPreset, known: FlowPreset
) -> tuple[RowFlow, api.Selection]:
    """Return a flow and a selection with those columns of a preset alone that are there."""
    absent = published.flow.transforms.keys() - known.flow.transforms.keys()
    steps = {n: text for n, text in rows.transforms.items() if n not in absent}
    if selection.columns == published.columns:
        selection = replace(selection, columns=known.columns)
    return replace(rows, transforms=steps), selection


@command(app, "train-simulation")
def train_simulation(
    *,
    source: Inputs,
    output: ModelOutput,
    target: list[str] = option("--target GLOB", "Columns to simulate.", ...),
    given: list[str] = option(
        "--given GLOB", "Generated columns to simulate them from.", ()
    ),
    match: Match,
    derived: list[str] = option(
        "--derived COL=KIND",
        "Learned relative to the partner: ratio, difference, turn or none.",
        (),
    ),
    selection: Selection,
    effort: Effort,
    seed: Seed,
    limits: Limits,
    flow: str | None = option(
        "--flow",
        "Flow over rows for properties: maf, nsf, ... Default: lattice flows throughout.",
    ),
    rows: RowOptions,
) -> None:
    """Fit a simulation: reconstructed objects, given generated ones.

    Example: flowtuple train-simulation both.root -o sim.flow --target 'Jet_*' --given 'GenJet_*'
    """
    kind = None if flow == "lattice" else flow
    if kind is None and rows != _FLOW:
        raise InvalidArgument(
            "--transform, --steps, --epochs and the like are for flows over rows;"
            " name one with --flow"
        )
    relations = read_pairs(derived, "--derived", "COL=KIND", "Muon_dxy=difference")
    is_main = Process.here().is_main
    with shown(limits, silent=not is_main) as resources:
        progress = LastProgress(resources.progress)
        notes = api.train_simulation(
            source,
            output,
            target=target,
            given=given,
            selection=selection,
            flow=None if kind is None else replace(rows, kind=kind),
            effort=effort,
            seed=seed,
            options=api.SimulationOptions(match, relations),
            resources=replace(resources, progress=progress),
        )
    if is_main:
        _show(notes, output, progress.detail if kind else "")


def _show(notes: Iterable[str], output: Path, detail: str = "") -> None:
    warn(*notes)
    size = format_bytes(output.stat().st_size)
    write(f"{output}: {size}{f', {detail}' if detail else ''}")
