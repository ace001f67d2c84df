"""The page about scores of labelled events: verdict, reliability plot, log-loss, slope, area."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.comparison.calibration.reliability import Reliability
from flowtuple.reporting.page import (
    Block,
    Figure,
    Heading,
    TableBlock,
    Text,
    Verdict,
    format_number,
    four_digits,
    write_page,
)
from flowtuple.reporting.plots import COLORS, INK, plain_label, png, points

NAMES = {
    "log_ratio": "ratio of the flows, raw",
    "probability": "calibrated",
    "classifier_probability": "classifier",
}
SLOPES = (0.9, 1.1)
"""Slopes of odds that count as calibrated."""

_COIN = float(np.log(2.0))


def write_score_page(
    title: str,
    figures: Mapping[str, Reliability],
    cross_fitted: Mapping[str, Reliability],
    notes: Sequence[str],
    folder: Path,
) -> Path:
    """Write the page about scores, `score.html`, into an existing folder.

    Args:
        title: Model and events, in the first line.
        figures: Reliability of each probability on the scored events; may be empty.
        cross_fitted: Reliability on the events of the calibration, each by a fit that has not seen
            it; may be empty, but not both.
        notes: What to know about the scores.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    header: list[Block] = [Text(title, "soft files"), _verdict(figures or cross_fitted)]
    body: list[Block] = []
    if figures:
        body += _section("Scored events", "judged", figures)
    if cross_fitted:
        body += _section(
            "Events of the calibration, cross-fitted", "cross-fitted", cross_fitted
        )
    body.extend(Text(note) for note in notes)
    return write_page(folder / "score.html", "Scores as probabilities", header, body)


def verdict(figures: Mapping[str, Reliability]) -> tuple[str, bool]:
    """Return in one sentence if the best statement of the flows is calibrated, and if it is not.

    Example:
        >>> from flowtuple.comparison.two_sample.auc import Area
        >>> bold = Reliability(100, 0.8, 0.01, 0.25, 0.0, Area(0.7, 0.6, 0.8), ())
        >>> verdict({"log_ratio": bold})[0]
        'The ratio of the flows, raw, is too bold: slope 0.250, log-loss 0.800 (a coin has 0.693)'
    """
    name = "probability" if "probability" in figures else next(iter(figures))
    chosen = figures[name]
    low, high = SLOPES
    bad = not low <= chosen.slope <= high
    what = "too bold" if chosen.slope < low else "too timid"
    subject = {
        "probability": "The calibrated probability",
        "log_ratio": "The ratio of the flows, raw,",
    }.get(name, "The classifier")
    said = (
        f"{subject} is {what if bad else 'reliable'}: slope {format_number(chosen.slope)}"
    )
    loss = (
        f"log-loss {format_number(chosen.log_loss)} (a coin has {format_number(_COIN)})"
    )
    return f"{said}, {loss}", bad


def _verdict(figures: Mapping[str, Reliability]) -> Verdict:
    return Verdict(*verdict(figures))


def _section(
    heading: str, name: str, figures: Mapping[str, Reliability]
) -> Iterator[Block]:
    """Return the drawing and the table of some events."""
    rows = next(iter(figures.values())).rows
    yield Heading(
        heading,
        f"{rows:,} rows. Slope: of the true log-odds in the stated ones, 1 if calibrated, below 1 "
        "if too bold. Log-loss: mean of -ln p of the labels.",
    )
    yield Figure(
        reliability_png(figures),
        "Share of signal against stated probability, in bins of like weight; on the diagonal the "
        "statement is true.",
    )
    columns = {
        "Score": "score",
        "Log-loss": "loss",
        "Slope": "slope",
        "Intercept": "intercept",
        "AUC": "auc",
        "AUC, 95 %": "interval",
    }
    table = [
        {
            "score": NAMES.get(key, key),
            "loss": (f.log_loss, f.error),
            "slope": f.slope,
            "intercept": f.intercept,
            "auc": f.auc.value,
            "interval": f"{four_digits(f.auc.low)} to {four_digits(f.auc.high)}",
        }
        for key, f in figures.items()
    ]
    yield TableBlock(name, columns, table, {"auc": four_digits}, part="")


def reliability_png(figures: Mapping[str, Reliability]) -> bytes:
    """Draw the share of signal against the stated probability, for each score.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for (name, reliability), color in zip(figures.items(), COLORS, strict=False):
            columns = [
                np.array([getattr(b, key) for b in reliability.bins])
                for key in ("probability", "share", "error")
            ]
            label = plain_label(NAMES.get(name, name))
            axes.plot(columns[0], columns[1], color=color, linewidth=0.8)
            points(axes, columns[0], columns[1], columns[2], color, label)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("Stated probability of signal", loc="right")
        axes.set_ylabel("Share of signal", loc="top")
        axes.legend(loc="upper left")

    return png(draw, 5.2, 4.8)
