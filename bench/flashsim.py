"""Published flows of FlashSim on small samples: a learning curve, and the time of a full step."""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from commands import OneOf, Script, save, show_header, show_row

import flowtuple as ft
from flowtuple.comparison.closure.verdicts import find_distances
from flowtuple.comparison.two_sample.ratio import joint_area
from flowtuple.data.row_source import read_rows
from flowtuple.data.rows import Rows
from flowtuple.flows.options import NORMALISATIONS
from flowtuple.flows.presets import FLOW_PRESETS, FlowPreset
from flowtuple.flows.stored import load_model
from flowtuple.io.source import open_dataset
from flowtuple.reporting import plots

PUBLISHED_ROWS = 5_000_000
FEWEST = 3  # points, from which a power law is no more than drawn through them
TRAIN, DRAWN = 0.6, 0.8  # shares of events: to learn from, to draw for; the rest judges

script = Script(__doc__)


@dataclass(frozen=True)
class Point:
    """One training of a learning curve.

    Attributes:
        rows: Rows learned from, a tenth of which select the epoch.
        epoch: Best epoch.
        seconds: CPU seconds of the training.
        loss: Nats of a row that was not learned from, mean.
        error: Standard error of that, over events.
        without: Such rows with a value that the learned rows lack; they have no density.
        area: AUC of trees between drawn and true rows.
        w1: Mean Wasserstein-1 over columns, in standard deviations.
        columns: Nats of each column, in the order of the flow.
        distances: Wasserstein-1 of each column.
    """

    rows: int
    epoch: int
    seconds: float
    loss: float
    error: float
    without: int
    area: float
    w1: float
    columns: dict[str, float]
    distances: dict[str, float]


@script.command(
    "source",
    "preset",
    shares=[0.125, 0.25, 0.5, 1.0],
    available=False,
    epochs=40,
    patience=10,
    batch=256,
    learning_rate=2e-3,
    hidden=64,
    blocks=2,
    bins=32,
    normalisation=OneOf(NORMALISATIONS, "batch"),
    seeds=1,
    output=Path,
)
def curve(a: argparse.Namespace) -> None:
    """Train on parts of a sample, and show what more rows are worth.

    The rows are those of `flowtuple preset-rows`; a row is matched to a generated object. Of the
    events, in a random order, 60 % are learned from (or a share of them), rows are drawn for the
    next 20 %, and the last 20 % judge. Neither takes part in the training or selects its epoch:
    that is done by a tenth of the learned events. Epochs and patience are those of all
    rows; a share of them has as many steps in more epochs. The flow has the columns, conditions and
    transforms of the preset and its coupling steps, one for each column; size and schedule are
    those of the options, because the published ones need a GPU.

    Nats are of the rows of both last parts. AUC is that of gradient-boosted trees (as in
    `bench/generation.py flashsim`) with columns and conditions. The line "real" is for true rows in
    place of drawn ones: the best that can be reached. Seconds are CPU seconds of the training. The
    extrapolation fits a + b rows^-c to the nats of the row numbers; its range is that of the
    fits without one of the points.
    """
    made = ft.preset_rows(a.source, a.preset, available=a.available)
    events, preset = made.events, made.preset
    order = np.random.default_rng(0).permutation(len(events))
    first, second = (int(share * len(order)) for share in (TRAIN, DRAWN))
    learned, given, judge = order[:first], order[first:second], order[second:]
    truth = rows_of(events[np.sort(given)], preset)
    other = rows_of(events[np.sort(judge)], preset)
    print(f"{a.preset} of {a.source}: ", end="")
    print(f"{len(preset.columns)} columns given {len(preset.given)}; ", end="")
    print(
        f"{made.rows} rows in {len(events)} events, {len(truth)} and {len(other)} unseen"
    )
    head = (
        "share",
        "rows",
        "best epoch",
        "CPU s",
        "nats of a row",
        "rows without",
        "AUC",
        "W1",
    )
    show_header(*head)
    floor = list(compared(truth, other).values())
    show_row(
        "real", "", "", "", "", "", f"{area(truth, other):.3f}", f"{np.mean(floor):.3f}"
    )
    points = []
    for seed, share in itertools.product(range(a.seeds), a.shares):
        some = events[np.sort(learned[: round(share * len(learned))])]
        flow = flow_of(preset, share, a)
        points.append(
            point(some, events[np.sort(given)], truth, other, preset, flow, seed)
        )
        show_row(f"{share:g}", *cells(points[-1]))
    by_column(points[-1], compared(truth, other))
    foretold = extrapolated(points) if len(points) > FEWEST else ""
    print(foretold)
    save(
        a.output,
        a.preset,
        {"points": [asdict(p) for p in points], "extrapolation": foretold},
        **{f"{a.preset}-curve": lambda: drawing(points, area(truth, other))},
    )


def cells(p: Point) -> tuple[str, ...]:
    """Return the cells of a training."""
    return (
        f"{p.rows}",
        f"{p.epoch}",
        f"{p.seconds:.0f}",
        f"{p.loss:.2f} +- {p.error:.2f}",
        f"{p.without}",
        f"{p.area:.3f}",
        f"{p.w1:.3f}",
    )


def rows_of(events: ak.Array, preset: FlowPreset) -> Rows:
    """Return the rows of some events, with their conditions."""
    return read_rows(
        open_dataset(events), exactly=preset.columns, conditions=preset.given
    ).only(preset.columns, preset.given)


def point(
    some: ak.Array,
    given: ak.Array,
    truth: Rows,
    other: Rows,
    preset: FlowPreset,
    flow: ft.RowFlow,
    seed: int,
) -> Point:
    """Train on some events, and compare drawn rows with true ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.flow"
        begin = time.process_time()
        selection = ft.Selection(columns=preset.columns)
        ft.train_flow(
            some, path, flow, selection=selection, given=preset.given, seed=seed
        )
        seconds = time.process_time() - begin
        model = load_model(path)
        drawn = ft.sample(path, given=given[list(preset.given)], seed=seed)
    parts = [np.log(2) * model.bits(rows.values, rows.context) for rows in (truth, other)]
    nats = np.concatenate(parts)
    event = np.concatenate([truth.event, truth.events + other.event])
    defined = np.isfinite(nats).all(axis=1)
    total = nats.sum(axis=1)[defined]
    columns = zip(preset.columns, nats[defined].mean(axis=0), strict=True)
    made = replace(truth, values=drawn_values(drawn, preset))
    distances = compared(made, other)
    history = np.array(model.about["history"])
    return Point(
        len(rows_of(some, preset)),
        int(history[:, 2].argmin()) + 1,
        seconds,
        float(total.mean()),
        error_of_mean(total, event[defined]),
        int((~defined).sum()),
        area(made, other),
        float(np.mean(list(distances.values()))),
        {name: float(value) for name, value in columns},
        distances,
    )


def flow_of(preset: FlowPreset, share: float, a: argparse.Namespace) -> ft.RowFlow:
    """Return the flow of a preset with size and schedule of the options.

    Every share of the rows has about as many steps.
    """
    shape = replace(
        preset.shape,
        hidden=(a.hidden,),
        blocks=a.blocks,
        bins=a.bins,
        normalisation=a.normalisation,
    )
    training = ft.Training(
        epochs=round(a.epochs / share),
        batch=a.batch,
        learning_rate=a.learning_rate,
        patience=round(a.patience / share),
        schedule="cosine",
    )
    return replace(preset.flow, shape=shape, training=training, device="cpu")


def drawn_values(drawn: ak.Array, preset: FlowPreset) -> np.ndarray:
    """Return drawn columns as float64 of shape (n, d)."""
    flat = [
        np.asarray(ak.flatten(drawn[n], axis=None), np.float64) for n in preset.columns
    ]
    return np.stack(flat, axis=1)


def with_conditions(rows: Rows) -> Rows:
    """Return rows whose conditions are columns."""
    given = rows.conditions.columns
    values = np.concatenate([rows.values, rows.context], axis=1)
    return Rows(rows.source, rows.columns + given, values, rows.event, rows.events)


def area(one: Rows, other: Rows) -> float:
    """Return the area under the ROC curve of boosted trees."""
    return joint_area(with_conditions(other), with_conditions(one), seed=0).value


def compared(one: Rows, other: Rows) -> dict[str, float]:
    """Return the Wasserstein-1 distance of each column over its standard deviation."""
    plain = (replace(rows, conditions=None) for rows in (other, one))
    return {d.column: d.w1 for d in find_distances(*plain)}


def error_of_mean(values: np.ndarray, event: np.ndarray) -> float:
    """Return the standard error of a mean, whose independent units are events."""
    sums = np.bincount(event, values - values.mean())
    return float(np.sqrt(np.square(sums).sum()) / len(values))


def by_column(p: Point, floor: dict[str, float]) -> None:
    """Print nats and Wasserstein-1 of each column."""
    print("\nThe last training by column:\n")
    show_header("column", "nats", "W1", "W1, real")
    for name, nats in p.columns.items():
        w1 = (f"{d[name]:.3f}" if name in d else "" for d in (p.distances, floor))
        show_row(f"`{name}`", f"{nats:.2f}", *w1)


def extrapolated(points: Sequence[Point]) -> str:
    """Return what the curve lets expect at the published number of rows."""
    fits = [expected_at(points, PUBLISHED_ROWS)]
    fits += [
        expected_at([*points[:k], *points[k + 1 :]], PUBLISHED_ROWS)
        for k in range(len(points))
    ]
    last = max(points, key=lambda p: p.rows)
    half = min(points, key=lambda p: abs(p.rows - last.rows / 2))
    return (
        f"\nThe last doubling of the rows is worth {half.loss - last.loss:.2f} nats of a row. "
        f"At {PUBLISHED_ROWS} rows the power law expects {fits[0]:.2f}, from {min(fits):.2f} to "
        f"{max(fits):.2f} without one of the points: {last.loss - fits[0]:.2f} less than now."
    )


def expected_at(points: Sequence[Point], rows: float) -> float:
    """Return a + b rows^-c of the least squares among exponents from 0.1 to 1."""
    x, y = (np.array(v) for v in zip(*((p.rows, p.loss) for p in points), strict=True))
    best = (np.inf, 0.0)
    for c in np.linspace(0.1, 1, 91):
        terms = np.stack([np.ones(len(x)), x**-c], axis=1)
        (level, slope), *_ = np.linalg.lstsq(terms, y, rcond=None)
        error = float(np.square(terms @ (level, slope) - y).sum())
        best = min(best, (error, float(level + slope * rows**-c)))
    return best[1]


def drawing(points: Sequence[Point], real: float) -> bytes:
    """Return the curve: nats of a row and AUC by number of rows."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        rows = [p.rows for p in points]
        losses, errors = [p.loss for p in points], [p.error for p in points]
        left.errorbar(rows, losses, errors, fmt="o", color="C0")
        left.set_ylabel("nats of an unseen row")
        right.plot(rows, [p.area for p in points], "o", color="C0", label="drawn")
        right.axhline(real, color="grey", linestyle="--", label="real")
        right.set_ylabel("AUC")
        right.legend(frameon=False)
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xticks(sorted(set(rows)), map(str, sorted(set(rows))), size="small")
            axes.minorticks_off()
            axes.set_xlabel("rows learned from")

    return plots.png(draw, 7.2, 3.2)


@script.command(preset=OneOf(tuple(FLOW_PRESETS), "flashsim-jets"), rows=256, repeats=3)
def step(a: argparse.Namespace) -> None:
    """Time a training step of the published size, and foretell the published training.

    Times are CPU seconds: set OMP_NUM_THREADS=1, so that no thread waits.
    """
    import torch

    from flowtuple.flows.registry import build

    preset = ft.flow_preset(a.preset)
    columns, context = len(preset.columns), len(preset.given)
    flow = build("flashsim", columns, preset.shape, 0, context).train()
    weights = sum(w.numel() for w in flow.parameters())
    optimiser = torch.optim.Adam(flow.parameters(), lr=preset.training.learning_rate)
    draw = torch.Generator().manual_seed(0)
    x, given = (torch.randn((a.rows, n), generator=draw) for n in (columns, context))
    seconds = []
    for _ in range(a.repeats + 1):
        begin = time.process_time()
        optimiser.zero_grad()
        flow.loss(x, draw, given).mean().backward()
        optimiser.step()
        seconds.append(time.process_time() - begin)
    row = float(np.median(seconds[1:])) / a.rows
    days = row * PUBLISHED_ROWS * preset.training.epochs / 86400
    print(
        f"{a.preset}: {weights} weights, {1e3 * row:.2f} CPU ms a row of a step; ", end=""
    )
    print(
        f"{PUBLISHED_ROWS} rows in {preset.training.epochs} epochs take {days:.0f} days of one core"
    )


if __name__ == "__main__":
    script.main()
