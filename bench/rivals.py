"""Generators side by side on the same rows and events: lattice flow, flows over rows, trees.

One command makes all figures and pictures of docs/generating.md:

    python bench/rivals.py measure --folder rivals --pictures docs/images
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands import OneOf, Script, write_json
from event_pictures import draw_pictures
from rival_cells import CELLS, EVENT_MODELS, Sources
from rival_cells import measure as measure_cell
from rival_methods import METHODS
from rival_tables import tables

import flowtuple as ft
from flowtuple.benchmark.machine import machine
from flowtuple.benchmark.run import POOLS

POOLS_OF_RIVALS = (*POOLS, "NUMBA_NUM_THREADS")
OPTIONS: dict[str, Any] = {
    "jets": "../shared/data/jets24.root:Events",
    "higgs": "../shared/data/higgs_train_10k.csv",
    "folder": Path("rivals"),
    "rows": 10_000,
    "events": 5000,
    "seed": 0,
}
FIGURES = "figures.json"
script = Script(__doc__)


@script.command(
    **OPTIONS,
    samples=OneOf(list(CELLS), list(CELLS)),
    limit=900,
    pictures=Path,
)
def measure(a: argparse.Namespace) -> None:
    """Measure what is not in --folder yet, and print the tables.

    Every method learns the same rows, in a process of its own with one thread, and draws as many;
    its CPU seconds are those of user and system, of the process and its children. After --limit CPU
    seconds it is ended. Rows are 5,000 of HIGGS, the other 5,000 judge, and the first --rows jets
    of every second event; whole events are every second one of the file, and --events of the others
    judge. All rows and events are brought to the grids of the lattice flow, since grids would
    betray those on them. Figures, models and drawn jets stay in --folder.

    AUC: area under the ROC curve of boosted trees, mean of three seeds; half of the rows train and
    half judge. Relations: numbers that columns make together, such as the masses of pairs of jets
    of HIGGS and what the parts of a jet's energy miss of the whole. Nearer to training: share of
    drawn rows whose nearest neighbour among as many rows of training and of the judge is one of
    training. Methods of rows make events of independent jets, sorted by p_T, with the number of
    jets of a true event.
    """
    a.folder.mkdir(parents=True, exist_ok=True)
    cells = load(a)
    for sample in a.samples:
        for name in stale(cells, a.folder, sample):
            cells[f"{sample}/{name}"] = run_cell(a, sample, name)
            save_cells(a, cells)
    if a.pictures is not None:
        show_pictures(a)
    print("\n".join(tables(cells)))


@script.command(folder=Path("rivals"))
def table(a: argparse.Namespace) -> None:
    """Print the tables of figures that have been measured."""
    path = a.folder / FIGURES
    if not path.exists():
        raise SystemExit(f"{path} is not there; `rivals.py measure` writes it")
    print("\n".join(tables(json.loads(path.read_text())["cells"])))


@script.command("sample", "method", **OPTIONS, limit=900)
def cell(a: argparse.Namespace) -> None:
    """Measure one method on one sample in this process, and print its figures as JSON."""
    resource.setrlimit(resource.RLIMIT_CPU, (a.limit, a.limit))
    result = measure_cell(sources(a), a.sample, a.method)
    print(json.dumps({"settings": settings_of(a.method), **result}))


def sources(a: argparse.Namespace) -> Sources:
    """Return the inputs that the options name."""
    return Sources(a.jets, a.higgs, a.folder, a.rows, a.events, a.seed)


def settings(a: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures of all methods depend on."""
    return {name: getattr(a, name) for name in OPTIONS if name != "folder"}


def settings_of(name: str) -> str:
    """Return settings of a method, which its figures depend on."""
    return METHODS[name].settings if name in METHODS else ""


def load(a: argparse.Namespace) -> dict[str, Any]:
    """Return the figures in the folder, none where they were measured with other settings."""
    path = a.folder / FIGURES
    if path.exists():
        stored = json.loads(path.read_text())
        if stored["settings"] == settings(a):
            return dict(stored["cells"])
    return {}


def save_cells(a: argparse.Namespace, cells: dict[str, Any]) -> None:
    """Write the figures of methods that have any."""
    content = {"settings": settings(a), "machine": machine(), "cells": cells}
    write_json(a.folder / FIGURES, content)


def stale(cells: dict[str, Any], folder: Path, sample: str) -> Iterator[str]:
    """Yield methods without figures, lattice flows first: the others need their grids."""
    for name in CELLS[sample]:
        known = cells.get(f"{sample}/{name}", {"missing": "not measured yet"})
        is_other = known.get("settings", "") != settings_of(name)
        is_lattice = name in EVENT_MODELS and (sample == "events" or name == "lattice")
        lost = is_lattice and not (folder / f"{sample}-{name}.flow").exists()
        if lost or is_other or "failed" in known or "missing" in known:
            yield name


def run_cell(a: argparse.Namespace, sample: str, name: str) -> dict[str, Any]:
    """Measure one method in a fresh process with one thread."""
    missing = METHODS[name].missing() if name in METHODS else ""
    if missing:
        return {"missing": missing}
    options = [f"--{k}={getattr(a, k)}" for k in (*OPTIONS, "limit")]
    command = [sys.executable, __file__, "cell", sample, name, *options]
    environment = os.environ | dict.fromkeys(POOLS_OF_RIVALS, "1")
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )
    print(f"{sample}/{name}: {done.stdout[-600:].strip()}", file=sys.stderr, flush=True)
    if done.returncode < 0:
        return {"failed": f"no result within {a.limit} CPU seconds"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"failed": f"failed: {last[:90]}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show_pictures(a: argparse.Namespace) -> None:
    """Draw pictures of events of the lattice flow next to true ones."""
    at = sources(a)
    model = at.model("events", "lattice-all")
    drawn = ft.sample(model, a.events, seed=a.seed + 1)
    judge = at.true_events(EVENT_MODELS["lattice-all"])[1][: a.events]
    draw_pictures(a.pictures, ft.snap(judge, model=model), drawn)


if __name__ == "__main__":
    script.main()
