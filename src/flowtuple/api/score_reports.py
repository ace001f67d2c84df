"""Figures of scored events: areas, reliability, calibration; as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowtuple.api.comparing import write_json
from flowtuple.api.inputs import FilePath, pages
from flowtuple.api.scoring import ScoredEvents, reliability, separation
from flowtuple.comparison.calibration.calibrate import Calibration
from flowtuple.comparison.calibration.reliability import Reliability
from flowtuple.comparison.two_sample.auc import Area
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.table import read_all
from flowtuple.errors import InvalidArgument
from flowtuple.reporting.score_page import write_score_page

SURPRISE = "surprise: -log p shifted and scaled, so it orders events as log_prob does"
_PROBABILITIES = ("log_ratio", "probability", "classifier_probability")


@dataclass(frozen=True)
class ScoreReport:
    """Figures of scored events.

    Attributes:
        areas: Area under the ROC curve of each score; empty without labels.
        figures: Reliability of each probability of the scored events; empty without labels.
        cross_fitted: Reliability on the events of the calibration, each by a fit that has not seen
            it; empty without one.
        calibration: The calibration of the scores; `None` without one.
        path: File that it was stored in; `None` if it was not made now.
        notes: What to know about the scores, in words.
    """

    areas: Mapping[str, Area] = field(default_factory=dict)
    figures: Mapping[str, Reliability] = field(default_factory=dict)
    cross_fitted: Mapping[str, Reliability] = field(default_factory=dict)
    calibration: Calibration | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all figures, the areas by name of the score."""
        out: dict[str, Any] = {name: vars(area) for name, area in self.areas.items()}
        if self.figures:
            out["reliability"] = {k: f.to_json() for k, f in self.figures.items()}
        if self.calibration is not None:
            made = self.calibration.to_json()
            out["calibration"] = {"method": self.calibration.method, **made}
            if self.path is not None:
                out["calibration"]["file"] = str(self.path)
            if self.cross_fitted:
                cross_fitted = {k: f.to_json() for k, f in self.cross_fitted.items()}
                out["calibration"]["cross_fitted"] = cross_fitted
        return out | {"notes": list(self.notes)}


def report_scores(
    scored: ScoredEvents, model: FilePath, folder: Path | None, roc: Path | None
) -> ScoreReport:
    """Measure scored events, and write a page and ROC curves where they are named.

    Args:
        scored: Scores from `score_events`.
        model: The model, for the page.
        folder: Folder for `score.html` and `score.json`.
        roc: PNG file of the ROC curves.

    Raises:
        InvalidArgument: A page or curves are named, and there is nothing to show on them.
        MissingExtra: The extra 'plots' is not installed.
    """
    areas: dict[str, Area] = {}
    figures: dict[str, Reliability] = {}
    if scored.has_label:
        events = table_to_awkward(read_all(scored.dataset.only_table()))
        areas = separation(events, roc)
        if set(_PROBABILITIES) & set(events.fields):
            figures = reliability(events)
    elif roc is not None:
        raise InvalidArgument(
            f"{scored.dataset.description}: has no column of labels, which `roc=` needs"
        )
    report = ScoreReport(
        areas,
        figures,
        _cross_fitted(scored),
        scored.calibration,
        scored.path,
        tuple(_notes(scored)),
    )
    if folder is not None and not (report.figures or report.cross_fitted):
        raise InvalidArgument(
            f"{scored.dataset.description}: a page shows probabilities, and there are none; "
            "name labelled events with `calibrate=`, or another model with `against=`"
        )
    with pages(folder) as target:
        if target is not None:
            title = f"{model}: scores of {scored.dataset.description}"
            write_score_page(
                title, report.figures, report.cross_fitted, report.notes, target
            )
            write_json(report.to_json(), target / "score.json")
    return report


def _cross_fitted(scored: ScoredEvents) -> dict[str, Reliability]:
    if scored.fitted is None:
        return {}
    raw = {} if scored.fitted.raw is None else {"log_ratio": scored.fitted.raw}
    return raw | {"probability": scored.fitted.cross_fitted}


def _notes(scored: ScoredEvents) -> list[str]:
    notes = [SURPRISE]
    if scored.learned and scored.has_label:
        notes.append(
            "these events are among the labelled ones that were learned from, so the figures of "
            "them flatter; name other events"
        )
    if scored.calibration is not None:
        made = scored.calibration
        of_signal, others = made.counts
        stored = "" if scored.path is None else f"; stored in {scored.path}"
        notes.append(
            f"calibration: {made.method}, by {of_signal} events of signal and {others} others; "
            f"probability is for as much signal as among these{stored}"
        )
    return notes
