"""One HTML page about one training: how the loss fell, and what was learned of each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.reporting import plots
from flowtuple.reporting.page import image, write_page
from flowtuple.runtime.atomic import new_folder

DRAWN_COLUMNS = 24


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        source: What was trained on.
        model: The file written.
        facts: Names and values, in words.
        about: A sentence about the table of columns.
        headings: Of the table, and whether the column holds text.
        rows: Of the table, the name of the column first.
        alone: By column the bits per value that it takes by itself, and as the model knows it.
        history: Of each epoch the learning rate and the losses in training and on held-out events.
        watched: Epochs after which rows were drawn, and by `measure/column` how far they were from rows held out.
    """

    source: str
    model: str
    facts: Mapping[str, str]
    about: str
    headings: Sequence[tuple[str, int]]
    rows: Sequence[Sequence[Any]]
    alone: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    history: Sequence[Sequence[float]] = ()
    watched: Sequence[tuple[int, Mapping[str, float]]] = ()


def write_training(trained: Trained, folder: Path) -> Path:
    """Write `train.html` into a folder, which is made where it is missing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    plots.require_plots()
    with new_folder(folder):
        content = vars(trained) | {"title": "A model trained", "curve": _curve(trained)}
        return write_page("train", folder / "train.html", content)


def _curve(trained: Trained) -> dict[str, str] | None:
    if trained.history:
        shown = "Loss of each epoch, in training and on held-out events"
        if trained.watched:
            shown += "; distances of rows drawn, of the column where they are largest"
        return image(loss_png(trained.history, trained.watched), f"{shown}.")
    most = sorted(trained.alone, key=lambda name: trained.alone[name][1] - trained.alone[name][0])[
        :DRAWN_COLUMNS
    ]
    if not most:
        return None
    bits = {
        "with the model": [trained.alone[n][1] for n in most],
        "alone": [trained.alone[n][0] for n in most],
    }
    return image(
        plots.bits_svg(most, bits),
        "Bits per value of the columns that gain most, by themselves and with the model.",
    )


def loss_png(
    history: Sequence[Sequence[float]], watched: Sequence[tuple[int, Mapping[str, float]]] = ()
) -> bytes:
    """Losses of each epoch and, below, the largest distances of rows drawn and the learning rate."""
    rate, training, held = np.array(history).T
    epochs = np.arange(1, len(history) + 1)

    def draw(figure: Any) -> None:
        top, *between, bottom = figure.subplots(
            2 + bool(watched), 1, sharex=True, height_ratios=[3, *[2] * bool(watched), 1]
        )
        top.plot(epochs, training, color=plots.BLUE, label="training")
        top.plot(epochs, held, color=plots.RED, label="held out")
        best = int(np.argmin(held))
        top.plot(epochs[best], held[best], "o", color=plots.RED, markersize=5)
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


def _largest(watched: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, list[float]]:
    """Of each measure the largest over the columns, epoch by epoch."""
    measures = dict.fromkeys(name.partition("/")[0] for name in watched[0][1])
    return {
        m: [
            max(v for name, v in found.items() if name.partition("/")[0] == m)
            for _, found in watched
        ]
        for m in measures
    }
