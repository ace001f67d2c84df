"""Drawings of a closure: a figure in bins of two samples, and their ratio below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.reporting import plots

_COLORS = (plots.BLUE, plots.RED, plots.ORANGE, "#832db6", plots.GREY)
_LOG = 50  # an axis whose ends are so many times apart is logarithmic


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
        names = ("edges", "reference", "reference_error", "other", "other_error", "tolerance")
        return cls(curve["part"], *(np.array(curve[name], np.float64) for name in names))

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
        """Which bins have one, the ratio there and its standard deviation."""
        there = np.isfinite(self.before) & np.isfinite(self.after) & (self.before > 0)
        before, after = self.before[there], self.after[there]
        ratio = after / before
        return (
            there,
            ratio,
            np.hypot(self.after_error[there], ratio * self.before_error[there]) / before,
        )


def curves_png(curves: Sequence[Mapping[str, Any]]) -> bytes:
    """One figure against one quantity: the reference as steps, the other sample as points; several parts in colours.

    The band of the ratio, drawn for a single part, is what is allowed: the tolerance and 2 sigma.

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
        bottom.set_xlabel(str(curves[0]["along"]).replace("$", r"\$"), loc="right")
        parts = str(curves[0]["grid"]).partition(" and ")[2]
        columns = (
            {"ncols": 2}
            if len(drawn) == 1
            else {"ncols": 5, "title": parts, "title_fontsize": "small"}
        )
        top.legend(
            loc="upper right", fontsize="small", columnspacing=1.0, handlelength=1.2, **columns
        )

    return plots.png(draw, 4.6, 3.9)


def _draw_part(top: Any, bottom: Any, part: _Drawn, color: str, alone: bool) -> None:
    top.stairs(
        part.before,
        part.edges,
        baseline=None,
        color=color,
        linewidth=1.2,
        label="reference" if alone else part.part,
    )
    band = {"fill": True, "color": color, "alpha": 0.25, "linewidth": 0}
    top.stairs(
        part.before + part.before_error,
        part.edges,
        baseline=part.before - part.before_error,
        **band,
    )
    points = {
        "fmt": "o",
        "color": plots.RED if alone else color,
        "markersize": 2.5,
        "linewidth": 0.8,
    }
    top.errorbar(
        part.centres, part.after, part.after_error, label="other" if alone else None, **points
    )
    there, ratio, error = part.ratio
    bottom.errorbar(part.centres[there], ratio, error, **points)
    if alone:
        sigma = np.hypot(part.before_error, part.after_error)
        reach = np.zeros(len(part.before))
        reach[there] = (part.tolerance + 2 * sigma)[there] / part.before[there]
        bottom.stairs(
            1 + reach,
            part.edges,
            baseline=1 - reach,
            fill=True,
            color=plots.GREY,
            alpha=0.35,
            linewidth=0,
        )


def _scale(top: Any, bottom: Any, drawn: Sequence[_Drawn]) -> None:
    """Axes that show where there are bins, with room for the legend."""
    edges, there = drawn[0].edges, np.any([np.isfinite(part.before) for part in drawn], axis=0)
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
