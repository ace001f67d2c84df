"""The `train` of the last release, which did three jobs; it works once more, with a note."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from flowtuple.api.checking import report as write_report
from flowtuple.api.inputs import FilePath, Weighted
from flowtuple.api.simulating import SimulationOptions, train_simulation
from flowtuple.data.resources import Resources
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source
from flowtuple.reporting.plots import require_plots
from flowtuple.runtime.old_names import accepts_old, moved, warn_old

P = ParamSpec("P")
R = TypeVar("R")


def takes_all_jobs(
    function: Callable[P, R], train_flow: Callable[..., Any]
) -> Callable[P, R]:
    """Let `train` take `target=`, `flow=`, `weights=`, `mix=` and `report=` of the last release."""
    simulation = accepts_old(options=SimulationOptions)(train_simulation)
    dispatch: Callable[..., R] = moved(target=simulation, flow=train_flow)(function)

    @accepts_old(output="path", resources=Resources)
    @wraps(function)
    def call(
        source: Source | Weighted,
        output: FilePath,
        *,
        weights: str | None = None,
        mix: Sequence[float] = (),
        report: FilePath | None = None,
        **kwargs: Any,
    ) -> R:
        if kwargs.get("target"):
            kwargs.setdefault("given", ())  # its own message says what to name
        if weights or mix:
            warn_old("weights=, mix=", "Weighted(source, weight=..., mix=...)")
            source = Weighted(Weighted.of(source).source, weights, mix)
        if report is None:
            return dispatch(source, output, **kwargs)
        warn_old("report=", "ft.report(source, model, folder) after the training")
        require_plots()
        result = dispatch(source, output, **kwargs)
        if Process.here().is_main:
            limits = kwargs.get("resources", Resources())
            write_report(
                Weighted.of(source).source, output, Path(report), resources=limits
            )
        return result

    typed: Callable[..., R] = call
    return typed
