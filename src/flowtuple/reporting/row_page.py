"""The page about rows that a reference method decoded: their errors, and how these correlate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.comparison.fidelity import dijet_masses
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.reporting import plots
from flowtuple.reporting.page import image, write_page
from flowtuple.reporting.row_plots import (
    corner_png,
    correlations,
    correlations_png,
    difference_png,
)
from flowtuple.runtime.progress import Progress

CORNER_COLUMNS = 6
PLOTTED_COLUMNS = 24


@dataclass(frozen=True)
class Dijet:
    """Invariant mass of the first two objects of each event; shift = (after - before) / before.

    Attributes:
        collection: Name of the collection.
        events: Number of events with two objects.
        left_out: Events of these without a shift: their mass is 0 before, or not finite before or
            after.
        mean: Mean shift; NaN, as are the others, where no event has one.
        width: Standard deviation of the shift.
        largest: Largest |shift|.
    """

    collection: str
    events: int
    left_out: int
    mean: float
    width: float
    largest: float


@dataclass(frozen=True, eq=False)
class DecodedRows:
    """Everything that the page shows.

    Attributes:
        source: Name of the input on the page.
        path: Name of the file on the page.
        facts: Names and values, in words.
        notes: Sentences on missing parts.
        original: The original rows with their counter, if they have one.
        decoded: The decoded rows, of equal schema.
        accuracy: Figures of each column, with its name as `column`.
    """

    source: str
    path: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    original: Table
    decoded: Table
    accuracy: Sequence[Mapping[str, Any]]

    def difference(self, column: str) -> Array:
        """Return original - decompressed of a column in its unit, float64 of shape (n,)."""
        return np.asarray(self.original.data[column], np.float64) - np.asarray(
            self.decoded.data[column], np.float64
        )

    def residuals(self, columns: Sequence[str]) -> Array:
        """Return differences over the original standard deviation, shape (n, len(columns))."""
        std = {figures["column"]: figures["std"] or 1.0 for figures in self.accuracy}
        return np.stack([self.difference(name) / std[name] for name in columns], axis=1)


def dijet(rows: DecodedRows) -> Dijet | None:
    """Return the shift of the mass of the first two jets; `None` without a collection of jets."""
    masses = _masses(rows)
    if masses is None:
        return None
    collection, before, after = masses
    defined = np.isfinite(before) & np.isfinite(after) & (before > 0)
    shift = np.array([np.nan])
    if defined.any():
        shift = (after[defined] - before[defined]) / before[defined]
    figures = float(shift.mean()), float(shift.std()), float(np.abs(shift).max())
    return Dijet(collection, len(before), int((~defined).sum()), *figures)


def _masses(rows: DecodedRows) -> tuple[str, Array, Array] | None:
    before, after = dijet_masses(rows.original), dijet_masses(rows.decoded)
    if before is None or after is None or not np.isfinite(before[1]).any():
        return None
    return *before, after[1]


def write_rows(rows: DecodedRows, folder: Path, progress: Progress) -> Path:
    """Write `report.html` into an existing folder, in place of an older page.

    Args:
        rows: At least two rows.
        folder: Folder of the page.
        progress: Called before each drawing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    names = [figures["column"] for figures in rows.accuracy]
    progress("report", 0.0, "drawing residuals against each other")
    by_error = sorted(rows.accuracy, key=lambda figures: -figures["relative_mean"])
    largest = [figures["column"] for figures in by_error]
    corner = [name for name in names if name in largest[:CORNER_COLUMNS]]
    shown = [
        figures for figures in rows.accuracy if figures["column"] in largest[:PLOTTED_COLUMNS]
    ]
    masses, pairs = _masses(rows), f"Residuals of {', '.join(corner)} against each other."
    matrix = correlations_png(correlations(rows.residuals(names)), names)
    content = {
        "rows": rows,
        "corner": image(corner_png(rows.residuals(corner), corner), pairs),
        "cornered": corner,
        "correlation": image(
            matrix, "Rank correlation of the residuals of each pair of columns."
        ),
        "dijet": masses and {"figures": dijet(rows), "image": plots.dijet_image(*masses)},
        "cards": _cards(rows, shown, progress),
        "columns": names,
    }
    return write_page("rows", folder / "report.html", content)


def _cards(
    rows: DecodedRows, shown: Sequence[Mapping[str, Any]], progress: Progress
) -> list[dict[str, Any]]:
    cards = []
    for place, figures in enumerate(shown):
        name = figures["column"]
        progress("report", place / len(shown), f"drawing {name}")
        original, decoded = (np.asarray(t.data[name]) for t in (rows.original, rows.decoded))
        off, overlay = rows.difference(name), plots.overlay_svg(original, decoded, name)
        images = [
            image(overlay, f"{name}, original against decompressed, ratio below."),
            image(difference_png(off, name), f"Histogram of the difference of {name}."),
        ]
        if np.isfinite(off[original != 0]).any():
            words = f"Histogram of the response of {name}: difference over original."
            images.append(image(plots.response_svg(original, decoded, name), words))
        cards.append({"figures": figures, "images": images})
    return cards
