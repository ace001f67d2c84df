"""One HTML page about two samples: the verdict, every test, histograms of each column with their ratio.

The page carries everything it shows and fetches nothing. It needs the extra 'plots'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.data.binning import find_binning
from flowtuple.data.schema import Array
from flowtuple.reporting import plots
from flowtuple.reporting.page import image, write_page

PLOTTED_COLUMNS = 24


def write_comparison(
    found: Mapping[str, Any], samples: Sequence[tuple[Array, Array]], folder: Path
) -> Path:
    """Write `compare.html` into a folder that is there.

    Args:
        found: The comparison as plain numbers and text.
        samples: Values of shape (n, d) and weights of shape (n,) of the reference and of the other sample.
        folder: Where to write; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    shown = _most_different(found)
    reference, other = samples
    images = []
    for name in shown:
        drawing = overlay_png(_column(reference, found, name), _column(other, found, name), name)
        images.append(
            image(drawing, f"Histogram of {name} in both samples, with their ratio below.")
        )
    return write_page(
        "compare",
        folder / "compare.html",
        {"found": found, "images": images, "columns": found["columns"]},
    )


def _most_different(found: Mapping[str, Any]) -> list[str]:
    """Names of the columns to draw: those with the smallest p-value first."""
    least = dict.fromkeys(found["columns"], 2.0)
    for outcome in found["outcomes"]:
        if outcome["column"]:
            least[outcome["column"]] = min(least[outcome["column"]], outcome["p"])
    return sorted(least, key=lambda name: least[name])[:PLOTTED_COLUMNS]


def _column(
    sample: tuple[Array, Array], found: Mapping[str, Any], name: str
) -> tuple[Array, Array]:
    values, weights = sample
    return values[:, list(found["columns"]).index(name)], weights


def overlay_png(reference: tuple[Array, Array], other: tuple[Array, Array], label: str) -> bytes:
    """Both samples in one histogram, each of area 1, and their ratio below, with errors from the sum of w^2.

    Args:
        reference: Finite values and weights, each of shape (n,).
        other: Likewise.
        label: Name of the column.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    both = np.concatenate([reference[0], other[0]])
    edges = find_binning(both, integer=bool((both == np.rint(both)).all())).edges
    return shares_png(_shares(reference, edges), _shares(other, edges), edges, label)


def shares_png(
    reference: tuple[Array, Array], other: tuple[Array, Array], edges: Array, label: str
) -> bytes:
    """Shares of two samples in k bins, and their ratio below.

    Args:
        reference: Shares and their standard deviations, each of shape (k,).
        other: Likewise.
        edges: Of the bins, shape (k + 1,).
        label: Name of the column.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    (before, before_error), (after, after_error) = reference, other

    def draw(figure: Any) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.stairs(before, edges, fill=True, color=plots.BLUE, alpha=0.35, label="reference")
        top.stairs(after, edges, color=plots.RED, linewidth=1.2, label="other")
        top.set_ylim(0, 1.35 * max(before.max(), after.max(), 1e-9))
        top.set_ylabel("Share", loc="top")
        top.legend(loc="upper right", ncols=2)
        _ratio(bottom, edges, before, before_error, after, after_error)
        bottom.set_xlabel(label.replace("$", r"\$"), loc="right")

    return plots.png(draw, 4.6, 3.6)


def _shares(sample: tuple[Array, Array], edges: Array) -> tuple[Array, Array]:
    """Shares of the bins and their errors."""
    values, weights = sample
    counts = np.histogram(values, edges, weights=weights)[0]
    squares = np.histogram(values, edges, weights=np.square(weights))[0]
    return counts / weights.sum(), np.sqrt(squares) / weights.sum()


def _ratio(
    axes: Any, edges: Array, before: Array, before_error: Array, after: Array, after_error: Array
) -> None:
    filled = (before > 0) & (after > 0)
    size = before[filled]
    relative = np.where(before > 0, before_error / np.where(before > 0, before, 1), 0.0)
    axes.stairs(
        1 + relative,
        edges,
        baseline=1 - relative,
        fill=True,
        color=plots.GREY,
        alpha=0.35,
        linewidth=0,
    )
    axes.axhline(1, color="black", linewidth=0.8)
    centres = ((edges[:-1] + edges[1:]) / 2)[filled]
    axes.errorbar(
        centres,
        after[filled] / size,
        after_error[filled] / size,
        fmt="o",
        color=plots.RED,
        markersize=2.5,
        linewidth=0.8,
    )
    settled = np.abs(after[filled] / size - 1)[size >= 0.05 * before.max()]
    reach = min(
        1.0, max(0.02, 1.6 * float(settled.max(initial=0)), 2.5 * float(np.median(relative)))
    )
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_ylabel("Ratio", loc="center")
