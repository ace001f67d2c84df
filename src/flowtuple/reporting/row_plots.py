"""Drawings of the changes of a decoder: differences of columns, pairs of them, correlations.

Every function needs the extra 'plots' and raises `MissingExtra` without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.reporting import plots

BULK = 99.5  # per cent of the differences on an axis: tails without limit would leave one bin
_BINS, _CORNER_BINS = 60, 40
_LEAST_REACH = 1e-300


def difference_png(difference: Array, label: str) -> bytes:
    """Draw a histogram of differences in the column's unit, with mean, width and largest size.

    Args:
        difference: original - decompressed, shape (n,); infinite ones are counted and not drawn, so
            that an axis may be empty.
        label: Name of the column.
    """
    finite = np.isfinite(difference)
    infinite, difference = int((~finite).sum()), difference[finite]
    edges = _edges(difference, _BINS)
    words = _figures(difference, edges) + ([f"infinite: {infinite:,}"] if infinite else [])

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        counts = np.histogram(difference, edges)[0]
        axes.stairs(counts, edges, fill=True, color=plots.BLUE, alpha=0.4)
        axes.stairs(counts, edges, color=plots.BLUE, linewidth=1.2)
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.3 * max(1, counts.max()))
        axes.ticklabel_format(scilimits=(-2, 4), useMathText=True)
        axes.xaxis.get_offset_text().set(x=0, horizontalalignment="left")
        plots.note(axes, "\n".join(words))
        axes.set_xlabel(f"Difference of {plots.plain_label(label)}", loc="right")
        axes.set_ylabel("Rows", loc="top")

    return plots.png(draw, 4.6, 3.2)


def _figures(difference: Array, edges: Array) -> list[str]:
    """Return the figures of finite differences in words."""
    if not len(difference):
        return []
    outside = float(np.mean((difference < edges[0]) | (difference >= edges[-1])))
    words = [
        f"mean {difference.mean():.2g}",
        f"width {difference.std():.2g}",
        f"largest {np.abs(difference).max():.2g}",
    ]
    return words + ([f"off the axis: {100 * outside:.2g} %"] if outside else [])


def corner_png(residuals: Array, labels: Sequence[str]) -> bytes:
    """Draw residuals of columns on the diagonal, and of pairs below, with their rank correlation.

    Args:
        residuals: Residuals in any unit, shape (n, d) with d of at least 1; rows with infinite ones
            are left out, and the axes are empty where all rows have one.
        labels: Names of the d columns.
    """
    residuals = residuals[np.isfinite(residuals).all(axis=1)]
    edges = [_edges(column, _CORNER_BINS) for column in residuals.T]
    rho, count = correlations(residuals), len(labels)

    def draw(figure: Any) -> None:
        all_axes = figure.subplots(count, count, squeeze=False, sharex="col")
        for (i, j), axes in np.ndenumerate(all_axes):
            if j > i:
                axes.axis("off")
                continue
            if i == j:
                style = {"histtype": "stepfilled", "color": plots.BLUE, "alpha": 0.5}
                axes.hist(residuals[:, i], edges[i], **style)
                axes.set_yticks([])
            else:
                pair = residuals[:, j], residuals[:, i]
                _draw_pair(axes, pair, (edges[j], edges[i]), float(rho[i, j]))
            _label(axes, labels, i, j)

    size = 1.4 + 1.75 * count
    return plots.png(draw, size, size)


def _draw_pair(
    axes: Any, values: tuple[Array, Array], edges: tuple[Array, Array], rho: float
) -> None:
    hist = importlib.import_module("hist")
    filled = hist.Hist(hist.axis.Variable(edges[0]), hist.axis.Variable(edges[1])).fill(
        *values
    )
    counts = filled.values().T
    if counts.any():  # a logarithmic scale of nothing is none
        style = {"norm": "log", "cmap": "Blues", "vmin": 0.5, "rasterized": True}
        axes.pcolormesh(*edges, np.ma.masked_equal(counts, 0), **style)
    axes.set_ylim(edges[1][0], edges[1][-1])
    if np.isfinite(rho):
        plots.note(axes, _short(rho), 9)


def _label(axes: Any, labels: Sequence[str], i: int, j: int) -> None:
    """Write names at the left and below, with three ticks each."""
    ticker = importlib.import_module("matplotlib.ticker")
    axes.minorticks_off()
    axes.tick_params(labelsize=8, length=3)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    if i != j:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.tick_params(labelleft=j == 0 and i > 0)
    if i == len(labels) - 1:
        axes.set_xlabel(plots.plain_label(labels[j]), loc="center", fontsize=10)
    if j == 0 and i > 0:
        axes.set_ylabel(plots.plain_label(labels[i]), loc="center", fontsize=10)


def correlations_png(rho: Array, labels: Sequence[str]) -> bytes:
    """Draw a matrix of rank correlations, with numbers where they fit; undefined ones are grey.

    Args:
        rho: From `correlations`, shape (d, d).
        labels: Names of the d columns.
    """
    count = len(labels)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.set_facecolor(plots.GREY)
        drawn = axes.imshow(np.ma.masked_invalid(rho), vmin=-1, vmax=1, cmap="RdBu_r")
        figure.colorbar(drawn, ax=axes, label="Rank correlation", shrink=0.8)
        names = [plots.plain_label(name) for name in labels]
        axes.set_xticks(range(count), names, rotation=90, fontsize=9)
        axes.set_yticks(range(count), names, fontsize=9)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        for (i, j), value in np.ndenumerate(rho):
            if count <= 12 and np.isfinite(value):
                color = "white" if abs(value) > 0.6 else "black"
                axes.text(
                    j, i, _short(value), ha="center", va="center", fontsize=8, color=color
                )

    size = 2.6 + max(1.8, 0.34 * count)
    return plots.png(draw, size + 0.8, size)


def correlations(residuals: Array) -> Array:
    """Return Spearman's rank correlation of each pair of columns, shape (d, d).

    It is NaN where a column is constant, and for fewer than two rows. Errors of a reference method
    have tails without limit, which would dominate Pearson's correlation.

    Args:
        residuals: Shape (n, d).

    Example:
        >>> x = np.array([[1.0, -2.0, 0.0], [2.0, -4.0, 0.0], [9.0, -5.0, 0.0]])
        >>> correlations(x).round(6).tolist()
        [[1.0, -1.0, nan], [-1.0, 1.0, nan], [nan, nan, nan]]
    """
    if len(residuals) < 2:
        return np.full((residuals.shape[1],) * 2, np.nan)
    ranks = importlib.import_module("scipy.stats").rankdata(residuals, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: Array = np.atleast_2d(np.corrcoef(ranks, rowvar=False))
    return rho


def _short(rho: float) -> str:
    """Return two digits, without a sign before zero."""
    return f"{round(rho, 2) + 0.0:.2f}"


def _edges(values: Array, bins: int) -> Array:
    """Return bins over the bulk of the values and 0; from -1 to 1 without values."""
    if not len(values):
        return np.linspace(-1.0, 1.0, bins + 1)
    low, high = np.percentile(values, [(100 - BULK) / 2, (100 + BULK) / 2])
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if high - low < _LEAST_REACH:
        low, high = -1.0, 1.0
    return np.linspace(low, np.nextafter(high, np.inf), bins + 1)
