"""Options of flows over rows, and the flow that they describe."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from flowtuple.cli.options import explicit_options, read_pairs, read_sizes
from flowtuple.flows.options import RowFlow, Shape, Training
from flowtuple.flows.presets import FLOW_PRESETS

FLOW, SHAPE, TRAINING = RowFlow(), Shape(), Training()
_PANEL = "Flow over rows"
Settings = TypeVar("Settings", Shape, Training)

Transform = Annotated[
    list[str],
    typer.Option(
        "--transform",
        metavar="GLOB=STEPS",
        help="Such as 'Jet_pt=log:10,standard'.",
        rich_help_panel=_PANEL,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        help="Transforms of the flow; default 3, for flashsim one per column.",
        rich_help_panel=_PANEL,
    ),
]
Hidden = Annotated[
    str,
    typer.Option(
        "--hidden", metavar="N,N", help="Widths of hidden layers.", rich_help_panel=_PANEL
    ),
]
Blocks = Annotated[
    int,
    typer.Option(
        "--blocks",
        min=1,
        help="Blocks of residual networks (flashsim).",
        rich_help_panel=_PANEL,
    ),
]
Bins = Annotated[
    int, typer.Option("--bins", min=2, help="Bins of splines.", rich_help_panel=_PANEL)
]
Epochs = Annotated[
    int, typer.Option("--epochs", min=1, help="Most epochs.", rich_help_panel=_PANEL)
]
Batch = Annotated[
    int, typer.Option("--batch", min=1, help="Rows per step.", rich_help_panel=_PANEL)
]
LearningRate = Annotated[
    float, typer.Option("--learning-rate", help="Largest rate.", rich_help_panel=_PANEL)
]
WeightDecay = Annotated[
    float, typer.Option("--weight-decay", help="Decay of AdamW.", rich_help_panel=_PANEL)
]
Schedule = Annotated[
    str,
    typer.Option(
        "--schedule",
        help="constant, plateau, cosine, warm-restarts or one-cycle.",
        rich_help_panel=_PANEL,
    ),
]
Clip = Annotated[
    float,
    typer.Option(
        "--clip", help="Largest norm of a gradient; 0: any.", rich_help_panel=_PANEL
    ),
]
Patience = Annotated[
    int,
    typer.Option(
        "--patience",
        min=0,
        help="Epochs without gain before the end; 0: no limit.",
        rich_help_panel=_PANEL,
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        "--log", metavar="DIR", help="Folder for TensorBoard.", rich_help_panel=_PANEL
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="cpu, cuda, or auto: a GPU where there is one.",
        rich_help_panel=_PANEL,
    ),
]


def row_flow(context: typer.Context, kind: str | None, preset: str | None = None) -> RowFlow:
    """Return the flow over rows that a command line describes; options win over the preset.

    Args:
        context: Of a command that has all options of this module.
        kind: Kind of flow; `None` for the one of the preset, or else the usual one.
        preset: Name of a published flow, or of columns alone.
    """
    values = context.params
    shape = Shape(
        values["transforms"],
        read_sizes(values["hidden"], "--hidden"),
        values["bins"],
        blocks=values["blocks"],
    )
    named = {f.name: values[f.name] for f in fields(Training) if f.name in values}
    training = Training(**named)
    form = ("GLOB=STEPS", "'Jet_pt=log:10,standard'")
    transforms = read_pairs(values["transform"], "--transform", *form)
    if preset in FLOW_PRESETS:
        usual = FLOW_PRESETS[preset].flow
        kind = kind or usual.kind
        transforms = {**usual.transforms, **transforms}
        shape = _explicit(context, usual.shape, shape)
        training = _explicit(context, usual.training, training)
    log = None if values["log"] is None else str(values["log"])
    return RowFlow(kind or FLOW.kind, shape, training, transforms, log, values["device"])


def _explicit(context: typer.Context, usual: Settings, options: Settings) -> Settings:
    """Return a preset's settings with those replaced that the command line names."""
    names = explicit_options(context).keys() & {f.name for f in fields(options)}
    return replace(usual, **{name: getattr(options, name) for name in names})
