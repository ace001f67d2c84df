"""Drawings of a closure: a figure of two samples in bins, and their ratio below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.reporting import plots

_COLORS = (plots.BLUE, plots.RED, plots.ORANGE, "#832db6", plots.GREY)
_LOG = 50  # ratio of the ends of an axis from which on it is logarithmic
NUMBERS = ("edges", "reference", "reference_error", "other", "other_error")
"""Arrays of a figure in `compare.json`."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """One part of a figure: k bins, NaN where there is too little."""

    part: str
    edges: Array
    before: Array
    before_error: Array
    after: Array
    after_error: Array
    tolerance: Array

    @classmethod
    def of(cls, curve: Mapping[str, Any]) -> _Drawn:
        numbers = (np.array(curve[name], np.float64) for name in (*NUMBERS, "tolerance"))
        return cls(curve["part"], *numbers)

    @property
    def is_log(self) -> bool:
        return bool(self.edges[0] > 0 and self.edges[-1] > _LOG * self.edges[0])

    @property
    def centres(self) -> Array:
        low, high = self.edges[:-1], self.edges[1:]
        centres: Array = np.sqrt(low * high) if self.is_log else (low + high) / 2
        return centres

    @property
    def ratio(self) -> tuple[Array, Array, Array]:
        """Mask of the bins with a ratio, the ratio there and its standard deviation."""
        there = np.isfinite(self.before) & np.isfinite(self.after) & (self.before > 0)
        before, after = self.before[there], self.after[there]
        ratio = after / before
        error = np.hypot(self.after_error[there], ratio * self.before_error[there]) / before
        return there, ratio, error


def curves_png(curves: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw a figure against a quantity: the reference as steps, the other sample as points.

    Several parts have colours. The band of the ratio, drawn for a single part, is the allowed
    range: the tolerance and 2 sigma.

    Args:
        curves: Parts of one grid as plain numbers, as in `compare.json`.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    drawn = [_Drawn.of(curve) for curve in curves]

    def draw(figure: Any) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
        for k, part in enumerate(drawn):
            _draw_part(top, bottom, part, _COLORS[k % len(_COLORS)], alone=len(drawn) == 1)
        _scale(top, bottom, drawn)
        top.set_ylabel(str(curves[0]["quantity"]).capitalize(), loc="top")
        bottom.set_ylabel("Ratio", loc="center")
        bottom.set_xlabel(plots.plain_label(str(curves[0]["along"])), loc="right")
        parts = str(curves[0]["grid"]).partition(" and ")[2]
        style: dict[str, Any] = {"ncols": 2}
        if len(drawn) > 1:
            style = {"ncols": 5, "title": parts, "title_fontsize": "small"}
        style |= {"fontsize": "small", "columnspacing": 1.0, "handlelength": 1.2}
        top.legend(loc="upper right", **style)

    return plots.png(draw, 4.6, 3.9)


def _draw_part(top: Any, bottom: Any, part: _Drawn, color: str, alone: bool) -> None:
    label = "reference" if alone else part.part
    top.stairs(
        part.before, part.edges, baseline=None, color=color, linewidth=1.2, label=label
    )
    plots.band(top, part.edges, part.before, part.before_error, color, 0.25)
    color = plots.RED if alone else color
    other = "other" if alone else None
    plots.points(top, part.centres, part.after, part.after_error, color, other)
    there, ratio, error = part.ratio
    plots.points(bottom, part.centres[there], ratio, error, color)
    if alone:
        sigma = np.hypot(part.before_error, part.after_error)
        reach = np.zeros(len(part.before))
        reach[there] = (part.tolerance + 2 * sigma)[there] / part.before[there]
        plots.band(bottom, part.edges, np.ones(len(reach)), reach)


def _scale(top: Any, bottom: Any, drawn: Sequence[_Drawn]) -> None:
    """Limit the axes to filled bins, with room for the legend."""
    edges, there = (
        drawn[0].edges,
        np.any([np.isfinite(part.before) for part in drawn], axis=0),
    )
    if drawn[0].is_log:
        bottom.set_xscale("log")
    if there.any():
        bottom.set_xlim(edges[:-1][there].min(), edges[1:][there].max())
        values = np.concatenate([np.append(part.before, part.after) for part in drawn])
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        low = 0.0 if low < 0.6 * high else low - 0.25 * (high - low)
        top.set_ylim(low, high + (0.35 if len(drawn) == 1 else 0.5) * max(high - low, 0.02))
    ratios = np.concatenate([part.ratio[1] for part in drawn])
    bottom.axhline(1, color="black", linewidth=0.8)
    reach = 1.5 * float(np.quantile(np.abs(ratios - 1), 0.95)) if len(ratios) else 1.0
    bottom.set_ylim(1 - np.clip(reach, 0.02, 1.0), 1 + np.clip(reach, 0.02, 1.0))
