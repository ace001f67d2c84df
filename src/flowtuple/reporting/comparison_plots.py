"""Drawings of two samples: shares in bins, and figures of a closure, with their ratio below."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.reporting import plots

_LOG = 50  # ratio of the ends of an axis from which on it is logarithmic
_LINE = 48  # characters of a label on one line
NUMBERS = ("edges", "reference", "reference_error", "other", "other_error")
"""Arrays of a figure in `compare.json`."""


def shares_png(
    edges: Array, reference: tuple[Array, Array], other: tuple[Array, Array], label: str
) -> bytes:
    """Draw the shares of two samples in k bins, and their ratio below.

    Where only one sample has entries in a bin, shares are drawn on a logarithmic axis, so that few
    are seen.

    Args:
        edges: Edges of the bins, shape (k + 1,).
        reference: Shares and their standard deviations, each of shape (k,).
        other: Shares of the other sample, likewise.
        label: Name of the column; a long one takes several lines.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    shares = np.stack([reference[0], other[0]])
    is_log = bool(((shares > 0).sum(axis=0) == 1).any())
    words = textwrap.fill(plots.plain_label(label), _LINE, break_long_words=False)

    def draw(figure: Any) -> None:
        top, bottom = plots.two_panels(figure)
        style = {"fill": True, "color": plots.BLUE, "alpha": 0.35, "label": "reference"}
        top.stairs(reference[0], edges, **style)
        top.stairs(other[0], edges, color=plots.RED, linewidth=1.2, label="other")
        most = max(shares.max(), 1e-9)
        if is_log:
            top.set_yscale("log")
            top.set_ylim(0.5 * shares[shares > 0].min(), 8 * most)
        else:
            top.set_ylim(0, 1.35 * most)
        top.set_ylabel("Share", loc="top")
        top.legend(loc="upper right", ncols=2)
        plots.draw_ratio(bottom, edges, reference, other, plots.RED)
        bottom.set_xlabel(words, loc="right")

    return plots.png(draw, 4.6, 3.6 + 0.2 * words.count("\n"))


def curves_png(curves: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw a figure against a quantity: the reference as steps, the other sample as points.

    Several parts have colours. The band of the ratio, drawn for a single part, is the allowed
    range: the tolerance and 2 sigma.

    Args:
        curves: Parts of one grid as plain numbers, as in `compare.json`.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    first, alone = curves[0], len(curves) == 1
    edges = np.array(first["edges"], np.float64)
    is_log = edges[0] > 0 and edges[-1] > _LOG * edges[0]
    low, high = edges[:-1], edges[1:]
    centres = np.sqrt(low * high) if is_log else (low + high) / 2
    contents = [_contents(curve) for curve in curves]

    def draw(figure: Any) -> None:
        top, bottom = plots.two_panels(figure)
        bottom.axhline(1, color="black", linewidth=0.8)
        for curve, numbers, color in zip(curves, contents, itertools.cycle(plots.COLORS)):
            before, before_error = numbers["reference"], numbers["reference_error"]
            label = "reference" if alone else curve["part"]
            style = {"baseline": None, "color": color, "linewidth": 1.2, "label": label}
            top.stairs(before, edges, **style)
            plots.band(top, edges, before, before_error, color, 0.25)
            if alone:
                plots.band(bottom, edges, np.ones(len(before)), numbers["allowed"])
            mark, other = (plots.RED, "other") if alone else (color, None)
            values, errors = numbers["other"], numbers["other_error"]
            plots.points(top, centres, values, errors, mark, other)
            plots.points(bottom, centres, numbers["ratio"], numbers["ratio_error"], mark)
        if is_log:
            bottom.set_xscale("log")
        _limit(top, bottom, edges, contents)
        top.set_ylabel(str(first["quantity"]).capitalize(), loc="top")
        bottom.set_ylabel("Ratio", loc="center")
        bottom.set_xlabel(plots.plain_label(str(first["along"])), loc="right")
        legend: dict[str, Any] = {"ncols": 2}
        if not alone:
            title = str(first["grid"]).partition(" and ")[2]
            legend = {"ncols": 5, "title": title, "title_fontsize": "small"}
        legend |= {"fontsize": "small", "columnspacing": 1.0, "handlelength": 1.2}
        top.legend(loc="upper right", **legend)

    return plots.png(draw, 4.6, 3.9)


def _contents(curve: Mapping[str, Any]) -> dict[str, Array]:
    """Return the numbers of a curve with its ratio, NaN where a bin has too little for one."""
    numbers = {
        name: np.array(curve[name], np.float64) for name in (*NUMBERS, "tolerance")
    }
    before = np.where(numbers["reference"] > 0, numbers["reference"], np.nan)
    error, other_error = numbers["reference_error"], numbers["other_error"]
    ratio = numbers["other"] / before
    allowed = (numbers["tolerance"] + 2 * np.hypot(error, other_error)) / before
    return numbers | {
        "ratio": ratio,
        "ratio_error": np.hypot(other_error, ratio * error) / before,
        "allowed": np.nan_to_num(allowed),
    }


def _limit(
    top: Any, bottom: Any, edges: Array, contents: Sequence[Mapping[str, Array]]
) -> None:
    """Limit the axes to filled bins, with room for the legend."""
    filled = np.any([np.isfinite(numbers["reference"]) for numbers in contents], axis=0)
    if filled.any():
        bottom.set_xlim(edges[:-1][filled].min(), edges[1:][filled].max())
        values = [
            numbers[name] for numbers in contents for name in ("reference", "other")
        ]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        low = 0.0 if low < 0.6 * high else low - 0.25 * (high - low)
        top.set_ylim(
            low, high + (0.35 if len(contents) == 1 else 0.5) * max(high - low, 0.02)
        )
    off = np.abs(np.concatenate([numbers["ratio"] for numbers in contents]) - 1)
    off = off[np.isfinite(off)]
    reach = np.clip(1.5 * np.quantile(off, 0.95) if len(off) else 1.0, 0.02, 1.0)
    bottom.set_ylim(1 - reach, 1 + reach)
