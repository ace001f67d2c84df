"""The page about rows that a reference method decoded: their errors, and how these correlate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.reporting.decoded_figures import (
    PLOTTED_COLUMNS,
    Dijet,
    column_figures,
    dijet,
    dijet_card,
)
from flowtuple.reporting.page import (
    Block,
    Cards,
    Facts,
    Figure,
    Heading,
    TableBlock,
    Text,
    two_digits,
    write_page,
)
from flowtuple.reporting.row_plots import (
    corner_png,
    correlations,
    correlations_png,
    difference_png,
)
from flowtuple.runtime.progress import Progress

CORNER_COLUMNS = 6


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

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [figures["column"] for figures in self.accuracy]

    @cached_property
    def dijet(self) -> Dijet | None:
        """The shift of the mass of the first two jets; `None` without a collection of jets."""
        return dijet(self.original, self.decoded)

    @cached_property
    def correlation(self) -> Array:
        """Rank correlation of the residuals of each pair of columns, shape (d, d)."""
        return correlations(self.residuals(self.names))

    def difference(self, column: str) -> Array:
        """Return original - decompressed of a column in its unit, float64 of shape (n,)."""
        return np.asarray(self.original.data[column], np.float64) - np.asarray(
            self.decoded.data[column], np.float64
        )

    def residuals(self, columns: Sequence[str]) -> Array:
        """Return differences over the original standard deviation, shape (n, len(columns))."""
        std = {figures["column"]: figures["std"] or 1.0 for figures in self.accuracy}
        return np.stack([self.difference(name) / std[name] for name in columns], axis=1)


def write_rows(rows: DecodedRows, folder: Path, progress: Progress) -> Path:
    """Write `report.html` into an existing folder, in place of an older page.

    Args:
        rows: At least two rows.
        folder: Folder of the page.
        progress: Called before each drawing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    progress("report", 0.0, "drawing residuals against each other")
    by_error = sorted(rows.accuracy, key=lambda figures: -figures["relative_mean"])
    body = [
        Heading("File"),
        Facts(list(rows.facts.items())),
        *_columns(rows),
        *_residuals(rows, by_error[:CORNER_COLUMNS]),
    ]
    if rows.dijet is not None:
        body += [Heading("Derived quantities"), Cards([dijet_card(rows.dijet)])]
    body += _cards(rows, by_error[:PLOTTED_COLUMNS], progress)
    files = Text(f"{rows.source} → {rows.path}", "soft files")
    header = [files, *map(Text, rows.notes)]
    return write_page(
        folder / "report.html", "Decoded rows and the original", header, body
    )


def _columns(rows: DecodedRows) -> list[Block]:
    columns = {
        "Column": "column",
        "Mean Δ": "bias",
        "Width\nof Δ": "spread",
        "Mean\n|Δ|": "mean",
        "Largest\n|Δ|": "largest",
        "Mean\n|Δ| / σ": "relative_mean",
        "Largest\n|Δ| / σ": "relative_largest",
        "Response\nmean": "response",
        "Response\nwidth": "width",
        "Response\n68 % half-\nwidth": "half_width",
        "Zeros": "zeros",
    }
    about = (
        "Δ = original − decompressed, width is a standard deviation, σ that of the original "
        "column, response = Δ / original without zeros. The half-width holds 68 % of the "
        "responses; values near 0 do not blow it up."
    )
    return [Heading("Columns", about), TableBlock("columns", columns, rows.accuracy)]


def _residuals(rows: DecodedRows, largest: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Draw pairs of the columns with the largest errors, and the correlations of all."""
    corner = [figures["column"] for figures in rows.accuracy if figures in largest]
    chosen = ""
    if len(corner) < len(rows.names):
        chosen = (
            f"Below the diagonal the {len(corner)} columns of {len(rows.names)} with the largest "
            "mean |Δ| / σ. "
        )
    about = (
        f"Residual = Δ / σ. {chosen}Axes cover 99.5 % of the rows; the number in a square is the "
        "rank correlation over all of them. Where a column comes back exactly it has none."
    )
    pairs = f"Residuals of {', '.join(corner)} against each other."
    matrix = "Rank correlation of the residuals of each pair of columns."
    return [
        Heading("Residuals together", about),
        Figure(corner_png(rows.residuals(corner), corner), pairs),
        Figure(correlations_png(rows.correlation, rows.names), matrix),
    ]


def _cards(
    rows: DecodedRows, largest: Sequence[Mapping[str, Any]], progress: Progress
) -> list[Block]:
    cards: list[list[Block]] = []
    shown = [figures for figures in rows.accuracy if figures in largest]
    for place, figures in enumerate(shown):
        name = figures["column"]
        progress("report", place / len(shown), f"drawing {name}")
        original, decoded = (
            np.asarray(t.data[name]) for t in (rows.original, rows.decoded)
        )
        drawing = difference_png(rows.difference(name), name)
        difference = Figure(drawing, f"Histogram of the difference of {name}.")
        mean, most = (
            two_digits(figures[f"relative_{key}"]) for key in ("mean", "largest")
        )
        cards.append(
            [
                Heading(name, f"Mean |Δ| {mean} σ, largest {most} σ", 3),
                *column_figures(name, original, decoded, [difference]),
            ]
        )
    chosen = ""
    if len(shown) < len(rows.names):
        chosen = f"The {len(shown)} columns of {len(rows.names)} with the largest mean |Δ| / σ. "
    about = (
        f"{chosen}The grey band is the statistical uncertainty of the original. "
        "A drawing that is clicked fills the window."
    )
    return [Heading("Column by column", about), Cards(cards)]
