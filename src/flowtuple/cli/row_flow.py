"""A flow over rows from what the command line says of it, by itself or by a preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import typer

from flowtuple.cli.options import explicit_options
from flowtuple.errors import InvalidArgument
from flowtuple.flows.options import RowFlow, Shape, Training
from flowtuple.flows.presets import FLOW_PRESETS

_FLOW, _SHAPE, _TRAINING = RowFlow(), Shape(), Training()
Options = TypeVar("Options", Shape, Training)


def row_flow(
    context: typer.Context,
    kind: str | None,
    preset: str | None,
    shape: Shape,
    training: Training,
    recipes: Mapping[str, str],
    log: Path | None,
    device: str,
) -> RowFlow | None:
    """The flow over rows that is asked for, by itself or by a preset, of which holds what nothing else is said of."""
    if preset in FLOW_PRESETS:
        usual = FLOW_PRESETS[preset].flow
        kind, recipes = kind or usual.kind, {**usual.transforms, **recipes}
        shape, training = (
            _said(context, usual.shape, shape),
            _said(context, usual.training, training),
        )
    if kind not in (None, "lattice"):
        return RowFlow(kind, shape, training, recipes, None if log is None else str(log), device)
    if recipes or log or (shape, training, device) != (_SHAPE, _TRAINING, _FLOW.device):
        raise InvalidArgument(
            "--transform, --steps, --epochs and the like are for flows over rows; name one with --flow"
        )
    return None


def _said(context: typer.Context, preset: Options, asked: Options) -> Options:
    """A preset's options, but for those that the command line names."""
    names = explicit_options(context).keys() & {f.name for f in fields(asked)}
    return replace(preset, **{name: getattr(asked, name) for name in names})
