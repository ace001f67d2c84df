"""The page about a training: the loss by epoch, and the gain of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.reporting import plots
from flowtuple.reporting.page import (
    Block,
    Facts,
    Figure,
    Heading,
    TableBlock,
    Text,
    write_page,
)
from flowtuple.runtime.atomic import new_folder

DRAWN_COLUMNS = 24


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        source: Name of the input.
        model: Name of the file of the model.
        facts: Names and values, in words.
        about: A sentence about the table of columns.
        headings: Headings of the table.
        rows: Rows of the table, the name of the column first.
        alone: Bits per value by column, without and with the model.
        history: Learning rate, loss in training and loss on held-out events of each epoch.
        watched: Epochs after which rows were drawn, with their distance from held-out rows by
            `measure/column`.
    """

    source: str
    model: str
    facts: Mapping[str, str]
    about: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    alone: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    history: Sequence[Sequence[float]] = ()
    watched: Sequence[tuple[int, Mapping[str, float]]] = ()


def write_training(trained: Trained, folder: Path) -> Path:
    """Write `train.html` into a folder, which is created where it is missing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    plots.require_plots()
    with new_folder(folder):
        files = Text(f"{trained.source} → {trained.model}", "soft files")
        columns = {heading: place for place, heading in enumerate(trained.headings)}
        body: list[Block] = [
            Heading("Training"),
            Facts(list(trained.facts.items())),
            *_curve(trained),
            Heading("Columns", trained.about),
            TableBlock("columns", columns, trained.rows),
        ]
        return write_page(folder / "train.html", "A model trained", [files], body)


def _curve(trained: Trained) -> list[Figure]:
    if trained.history:
        shown = "Loss of each epoch, in training and on held-out events"
        if trained.watched:
            shown += "; distances of rows drawn, of the column where they are largest"
        return [Figure(loss_png(trained.history, trained.watched), f"{shown}.")]
    by_gain = sorted(trained.alone.items(), key=lambda item: item[1][1] - item[1][0])
    most = dict(by_gain[:DRAWN_COLUMNS])
    if not most:
        return []
    alone, known = zip(*most.values(), strict=True)
    drawing = plots.bits_svg(list(most), {"with the model": known, "alone": alone})
    words = (
        "Bits per value of the columns that gain most, by themselves and with the model."
    )
    return [Figure(drawing, words)]


def loss_png(
    history: Sequence[Sequence[float]],
    watched: Sequence[tuple[int, Mapping[str, float]]] = (),
) -> bytes:
    """Draw losses of each epoch and, below, the largest distances of rows and the learning rate."""
    rate, training, test = np.array(history).T
    epochs = np.arange(1, len(history) + 1)

    def draw(figure: Any) -> None:
        top, *between, bottom = figure.subplots(
            2 + bool(watched), 1, sharex=True, height_ratios=[3, *[2] * bool(watched), 1]
        )
        top.plot(epochs, training, color=plots.BLUE, label="training")
        top.plot(epochs, test, color=plots.RED, label="held out")
        best = int(np.argmin(test))
        top.plot(epochs[best], test[best], "o", color=plots.RED, markersize=5)
        top.set_ylabel("Loss per row", loc="top")
        top.legend(loc="upper right")
        for middle in between:
            for measure, largest in _largest(watched).items():
                middle.plot([epoch for epoch, _ in watched], largest, ".-", label=measure)
            middle.set_ylabel("Distance / std", loc="top")
            middle.legend(loc="upper right")
        bottom.plot(epochs, rate, color=plots.GREY)
        bottom.set_ylabel("Rate")
        bottom.set_xlabel("Epoch", loc="right")

    return plots.png(draw, 5.2, 5.4 if watched else 4.0)


def _largest(
    watched: Sequence[tuple[int, Mapping[str, float]]],
) -> dict[str, list[float]]:
    """Return the largest distance over columns by measure and epoch."""
    measures = dict.fromkeys(name.partition("/")[0] for name in watched[0][1])
    return {
        measure: [
            max(v for name, v in distances.items() if name.partition("/")[0] == measure)
            for _, distances in watched
        ]
        for measure in measures
    }
