"""Bits per value against the bound, one line per codec, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowtuple.data.bounds import Bound
from flowtuple.reporting import plots

_COLORS = (
    "#3f90da",
    "#ffa90e",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
    "#5b8c5a",
)
_MARKS = "osD^vPX<>ph"
_EMPHASISED = {"flowtuple": plots.RED, "quantise+pcodec": "#1d1d1f"}
_ALLOWED = {
    "abs": "Bound |x' - x|",
    "rel": "Bound |x' - x| / |x|",
    "std": "Bound |x' - x| / standard deviation",
    "sigma": "Bound |x' - x| / resolution",
}

Curves = Mapping[str, Sequence[float | None]]
"""Bits per value by codec and bound, `None` where a codec has none or breaks the bound."""


def rate_distortion_png(bounds: Sequence[str], curves: Curves, title: str = "") -> bytes:
    """Draw bits per value against the bound; bars where there is one bound only.

    Args:
        bounds: As text, length n.
        curves: Bits per value by codec, each of length n.
        title: Heading of the drawing.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    drawn = {
        name: bits for name, bits in curves.items() if any(b is not None for b in bits)
    }
    drawn = dict(
        sorted(drawn.items(), key=lambda item: -max(b for b in item[1] if b is not None))
    )
    if len(bounds) == 1:
        height = 1.4 + 0.36 * max(1, len(drawn))
        return plots.png(
            lambda figure: _bars(figure, bounds[0], drawn, title), 7.2, height
        )
    return plots.png(lambda figure: _lines(figure, bounds, drawn, title), 8.4, 5.6)


def _bars(figure: Any, bound: str, drawn: Curves, title: str) -> None:
    axes = figure.subplots()
    bits = [curve[0] for curve in drawn.values()]
    colors = [_EMPHASISED.get(name, plots.GREY) for name in drawn]
    bars = axes.barh(list(drawn), bits, 0.7, color=colors)
    axes.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=10)
    name = bound[:40] if "=" in bound else Bound.parse(bound).short
    plots.bar_axes(axes, max(1, len(drawn)), f"Bits per value at {name}")
    axes.set_title(plots.plain_label(title), loc="left", fontsize=12)


def _lines(figure: Any, bounds: Sequence[str], drawn: Curves, title: str) -> None:
    axes = figure.subplots()
    places, label = _axis(axes, bounds)
    order = sorted(range(len(bounds)), key=lambda k: places[k])
    for place, (name, bits) in enumerate(drawn.items()):
        width, size = (2.4, 7) if name in _EMPHASISED else (1.3, 5)
        defined = [k for k in order if bits[k] is not None]
        x, y = [places[k] for k in defined], [bits[k] for k in defined]
        color = _EMPHASISED.get(name, _COLORS[place % len(_COLORS)])
        style = {
            "marker": _MARKS[place % len(_MARKS)],
            "markersize": size,
            "zorder": 2 + width,
        }
        axes.plot(x, y, color=color, label=name, linewidth=width, **style)
    axes.set_ylim(bottom=0)
    axes.set(xlabel=label, ylabel="Bits per value")
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_title(plots.plain_label(title), loc="left", fontsize=12)
    if drawn:
        figure.legend(loc="outside right center", fontsize=10, frameon=False)


def _axis(axes: Any, bounds: Sequence[str]) -> tuple[list[float], str]:
    """Return amounts for bounds of one kind, on a logarithmic axis, else places in their order."""
    kinds = {Bound.parse(bound).kind for bound in bounds}
    if len(kinds) == 1 and kinds <= set(_ALLOWED):
        axes.set_xscale("log")
        return [Bound.parse(bound).amount for bound in bounds], _ALLOWED[kinds.pop()]
    if kinds == {"bits"}:
        return [Bound.parse(bound).amount for bound in bounds], "Mantissa bits"
    axes.set_xticks(range(len(bounds)), bounds)
    axes.xaxis.minorticks_off()
    return [float(k) for k in range(len(bounds))], "Bound"
