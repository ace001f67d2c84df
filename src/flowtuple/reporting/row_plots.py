"""Drawings of the changes of a decoder: differences of columns, pairs of them, correlations.

Every function needs the extra 'plots' and raises `MissingExtra` without it.
"""

from __future__ import annotations

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
    finite = difference[np.isfinite(difference)]
    edges = _edges(finite, _BINS)
    words = []
    if len(finite):
        words = [f"mean {finite.mean():.2g}", f"width {finite.std():.2g}"]
        words.append(f"largest {np.abs(finite).max():.2g}")
        outside = float(np.mean((finite < edges[0]) | (finite >= edges[-1])))
        if outside:
            words.append(f"off the axis: {100 * outside:.2g} %")
    if len(finite) < len(difference):
        words.append(f"infinite: {len(difference) - len(finite):,}")

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        plots.histogram(axes, finite, edges, plots.BLUE)
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        plots.note(axes, "\n".join(words))
        plots.label_values(axes, f"Difference of {plots.plain_label(label)}")

    return plots.png(draw, 4.6, 3.2)


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
    names = [plots.plain_label(label) for label in labels]

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
            axes.minorticks_off()
            axes.locator_params(nbins=3)
            axes.tick_params(labelsize=8, length=3, labelleft=j == 0 and i > 0)
            if i == count - 1:
                axes.set_xlabel(names[j], loc="center", fontsize=10)
            if j == 0 and i > 0:
                axes.set_ylabel(names[i], loc="center", fontsize=10)

    size = 1.4 + 1.75 * count
    return plots.png(draw, size, size)


def _draw_pair(
    axes: Any, values: tuple[Array, Array], edges: tuple[Array, Array], rho: float
) -> None:
    counts = np.histogram2d(*values, edges)[0].T
    if counts.any():  # a logarithmic scale of nothing is none
        style = {"norm": "log", "cmap": "Blues", "vmin": 0.5, "rasterized": True}
        axes.pcolormesh(*edges, np.ma.masked_equal(counts, 0), **style)
    axes.set_ylim(edges[1][0], edges[1][-1])
    if np.isfinite(rho):
        plots.note(axes, _short(rho), 9)


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
        style = {"ha": "center", "va": "center", "fontsize": 8}
        for (i, j), value in np.ndenumerate(rho):
            if count <= 12 and np.isfinite(value):
                color = "white" if abs(value) > 0.6 else "black"
                axes.text(j, i, _short(value), color=color, **style)

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
    from scipy.stats import rankdata

    if len(residuals) < 2:
        return np.full((residuals.shape[1],) * 2, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(rankdata(residuals, axis=0), rowvar=False))


def _short(rho: float) -> str:
    """Return two digits, without a sign before zero."""
    return f"{round(rho, 2) + 0.0:.2f}"


def _edges(values: Array, bins: int) -> Array:
    """Return bins over the bulk of the values and 0; from -1 to 1 without values."""
    low, high = -1.0, 1.0
    if len(values):
        ends = np.percentile(values, [(100 - BULK) / 2, (100 + BULK) / 2])
        ends = np.append(ends, 0.0)
        if np.ptp(ends) >= _LEAST_REACH:
            low, high = float(ends.min()), float(ends.max())
    return np.linspace(low, np.nextafter(high, np.inf), bins + 1)
