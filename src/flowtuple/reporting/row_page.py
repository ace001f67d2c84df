"""One HTML page about rows that a reference method decoded beside the original ones: how far they lie off, and how together.

The page carries everything it shows and fetches nothing. It needs the extra 'plots'.
"""

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
from flowtuple.reporting.row_plots import corner_png, correlations, correlations_png, difference_png
from flowtuple.runtime.progress import Progress

CORNER_COLUMNS = 6
PLOTTED_COLUMNS = 24


@dataclass(frozen=True)
class Dijet:
    """Invariant mass of the first two objects of each event, before and after; shift = (after - before) / before.

    Attributes:
        collection: Its name.
        events: That have two objects.
        left_out: Of these, events whose mass is 0 before, or not finite before or after: they have no shift.
        mean: Of the shift; NaN, as are the others, where no event has one.
        width: Standard deviation of the shift.
        largest: Of |shift|.
    """

    collection: str
    events: int
    left_out: int
    mean: float
    width: float
    largest: float


@dataclass(frozen=True, eq=False)
class DecodedRows:
    """All that the page speaks of.

    Attributes:
        source: The input as the reader should see it named.
        path: The file, likewise.
        facts: Names and values, in words.
        notes: Sentences on what is not there.
        original: The rows with their counter, if they have one.
        decoded: The same of the file, of equal schema.
        accuracy: Figures of each column, `column` its name.
    """

    source: str
    path: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    original: Table
    decoded: Table
    accuracy: Sequence[Mapping[str, Any]]

    def difference(self, column: str) -> Array:
        """Of a column, in its unit: original - decompressed in float64, shape (n,)."""
        return np.asarray(self.original.data[column], np.float64) - np.asarray(
            self.decoded.data[column], np.float64
        )

    def residuals(self, columns: Sequence[str]) -> Array:
        """Differences over the standard deviation of the original column, shape (n, len(columns))."""
        std = {figures["column"]: figures["std"] or 1.0 for figures in self.accuracy}
        return np.stack([self.difference(name) / std[name] for name in columns], axis=1)


def dijet(rows: DecodedRows) -> Dijet | None:
    """The mass of the two leading objects, in the order in which they are stored; `None` without a collection of jets."""
    masses = _masses(rows)
    if masses is None:
        return None
    collection, before, after = masses
    defined = np.isfinite(before) & np.isfinite(after) & (before > 0)
    shift = (
        (after[defined] - before[defined]) / before[defined]
        if defined.any()
        else np.array([np.nan])
    )
    figures = float(shift.mean()), float(shift.std()), float(np.abs(shift).max())
    return Dijet(collection, len(before), int((~defined).sum()), *figures)


def _masses(rows: DecodedRows) -> tuple[str, Array, Array] | None:
    before, after = dijet_masses(rows.original), dijet_masses(rows.decoded)
    return (
        None
        if before is None or after is None or not np.isfinite(before[1]).any()
        else (*before, after[1])
    )


def write_rows(rows: DecodedRows, folder: Path, progress: Progress) -> Path:
    """Write `report.html` into a folder that is there; an older page there is replaced once the new one is complete.

    Args:
        rows: At least two.
        folder: Where to write.
        progress: Told of each drawing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    names = [figures["column"] for figures in rows.accuracy]
    progress("report", 0.0, "drawing residuals against each other")
    widest = sorted(names, key=lambda name: -_of(rows, name)["relative_mean"])[:CORNER_COLUMNS]
    corner = [name for name in names if name in widest]
    rho = correlations(rows.residuals(names))
    content = {
        "rows": rows,
        "corner": image(
            corner_png(rows.residuals(corner), corner),
            f"Residuals of {', '.join(corner)} against each other.",
        ),
        "cornered": corner,
        "correlation": image(
            correlations_png(rho, names),
            "Rank correlation of the residuals of each pair of columns.",
        ),
        "dijet": _dijet_card(rows),
        "cards": _cards(rows, names, progress),
        "columns": names,
    }
    return write_page("rows", folder / "report.html", content)


def _of(rows: DecodedRows, column: str) -> Mapping[str, Any]:
    return next(figures for figures in rows.accuracy if figures["column"] == column)


def _dijet_card(rows: DecodedRows) -> dict[str, Any] | None:
    masses = _masses(rows)
    if masses is None:
        return None
    alt = f"Invariant mass of the two leading {masses[0]}, original against decompressed, with their ratio below."
    return {"found": dijet(rows), "image": image(plots.dijet_svg(*masses), alt)}


def _cards(rows: DecodedRows, names: Sequence[str], progress: Progress) -> list[dict[str, Any]]:
    chosen = sorted(names, key=lambda name: -_of(rows, name)["relative_mean"])[:PLOTTED_COLUMNS]
    drawn = [name for name in names if name in chosen]
    cards = []
    for place, name in enumerate(drawn):
        progress("report", place / len(drawn), f"drawing {name}")
        original, decoded = (
            np.asarray(table.data[name]) for table in (rows.original, rows.decoded)
        )
        overlay = image(
            plots.overlay_svg(original, decoded, name),
            f"{name}, original against decompressed, ratio below.",
        )
        images = [
            overlay,
            image(
                difference_png(rows.difference(name), name),
                f"Histogram of the difference of {name}.",
            ),
        ]
        if np.isfinite(rows.difference(name)[original != 0]).any():
            response = plots.response_svg(original, decoded, name)
            images.append(
                image(response, f"Histogram of the response of {name}: difference over original.")
            )
        cards.append({"figures": _of(rows, name), "images": images})
    return cards
