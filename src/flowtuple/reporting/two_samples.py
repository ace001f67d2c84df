"""The page about two samples: the verdict, every test, histograms of each column."""

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
    comparison: Mapping[str, Any], samples: Sequence[tuple[Array, Array]], folder: Path
) -> Path:
    """Write `compare.html` into an existing folder.

    Args:
        comparison: The comparison as plain numbers and text.
        samples: Values of shape (n, d) and weights of shape (n,) of the reference and of the other
            sample.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    columns = list(comparison["columns"])
    images = []
    for name in _most_different(comparison):
        place = columns.index(name)
        pairs = [(values[:, place], weights) for values, weights in samples]
        images.append(_overlay(pairs[0], pairs[1], name))
    content = {"found": comparison, "images": images, "columns": columns}
    return write_page("compare", folder / "compare.html", content)


def _most_different(comparison: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns to draw: the smallest p-value first."""
    least = dict.fromkeys(comparison["columns"], 2.0)
    for outcome in comparison["outcomes"]:
        if outcome["column"]:
            least[outcome["column"]] = min(least[outcome["column"]], outcome["p"])
    return sorted(least, key=lambda name: least[name])[:PLOTTED_COLUMNS]


def _overlay(
    reference: tuple[Array, Array], other: tuple[Array, Array], label: str
) -> dict[str, str]:
    """Draw both samples in one histogram, each of area 1, with errors from the sum of w^2."""
    both = np.concatenate([reference[0], other[0]])
    edges = find_binning(both, integer=bool((both == np.rint(both)).all())).edges
    return shares_image(_shares(reference, edges), _shares(other, edges), edges, label)


def shares_image(
    reference: tuple[Array, ...], other: tuple[Array, ...], edges: Array, label: str
) -> dict[str, str]:
    """Draw the shares of two samples in k bins, and their ratio below.

    Args:
        reference: Shares and their standard deviations, each of shape (k,).
        other: Shares of the other sample, likewise.
        edges: Edges of the bins, shape (k + 1,).
        label: Name of the column.

    Returns:
        The drawing with its description, as from `page.image`.

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
        bottom.set_xlabel(plots.plain_label(label), loc="right")

    words = f"Histogram of {label} in both samples, with their ratio below."
    return image(plots.png(draw, 4.6, 3.6), words)


def _shares(sample: tuple[Array, Array], edges: Array) -> tuple[Array, Array]:
    """Return the shares of the bins and their errors."""
    values, weights = sample
    counts = np.histogram(values, edges, weights=weights)[0]
    squares = np.histogram(values, edges, weights=np.square(weights))[0]
    return counts / weights.sum(), np.sqrt(squares) / weights.sum()


def _ratio(
    axes: Any,
    edges: Array,
    before: Array,
    before_error: Array,
    after: Array,
    after_error: Array,
) -> None:
    filled = (before > 0) & (after > 0)
    size = before[filled]
    relative = np.where(before > 0, before_error / np.where(before > 0, before, 1), 0.0)
    plots.band(axes, edges, np.ones(len(relative)), relative)
    axes.axhline(1, color="black", linewidth=0.8)
    centres = ((edges[:-1] + edges[1:]) / 2)[filled]
    plots.points(axes, centres, after[filled] / size, after_error[filled] / size, plots.RED)
    settled = np.abs(after[filled] / size - 1)[size >= 0.05 * before.max()]
    reach = max(0.02, 1.6 * float(settled.max(initial=0)), 2.5 * float(np.median(relative)))
    reach = min(1.0, reach)
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_ylabel("Ratio", loc="center")
