"""The `train` of the last release, which did three jobs; it works once more, with a note."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from flowtuple.api.checking import report
from flowtuple.api.inputs import Weighted
from flowtuple.api.training_flow import train_flow
from flowtuple.api.training_simulation import SimulationOptions, train_simulation
from flowtuple.data.resources import Resources
from flowtuple.flows.processes import Process
from flowtuple.reporting.plots import require_plots
from flowtuple.runtime.old_names import moved, note, renamed

P = ParamSpec("P")
R = TypeVar("R")


def takes_all_jobs(function: Callable[P, R]) -> Callable[P, R]:
    """Let `train` take `target=`, `flow=`, `weights=`, `mix=` and `report=` of the last release."""
    dispatch = moved(target=train_simulation, flow=train_flow)(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        arguments: dict[str, Any] = renamed({"resources": Resources}, dict(kwargs))
        positional: list[Any] = list(args)
        weight = {key: arguments.pop(old) for key, old in _WEIGHT.items() if old in arguments}
        if weight:
            note("weights=, mix=", "Weighted(source, weight=..., mix=...)")
            positional[0] = Weighted(positional[0], **weight)
        folder = arguments.pop("report", None)
        if folder is not None:
            note("report=", "ft.report(source, model, folder) after the training")
            require_plots()
        if arguments.get("target"):
            arguments = renamed({"options": SimulationOptions}, arguments)
        result: R = dispatch(*positional, **arguments)
        if folder is not None and Process.here().is_main:
            source = Weighted.of(positional[0]).source
            report(
                source,
                positional[1],
                Path(folder),
                resources=arguments.get("resources") or Resources(),
            )
        return result

    return call


_WEIGHT = {"weight": "weights", "mix": "mix"}
