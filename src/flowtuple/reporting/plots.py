"""Drawings in one style: histograms of original and decompressed values, their ratio, bars, ROC.

Drawings are SVG text, or PNG where they have many points; they need no display. Every function
needs the extra 'plots' and raises `MissingExtra` without it. The same input gives the same drawing.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.comparison.verification import Promise
from flowtuple.data.binning import Binning, bin_count, find_binning
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, visible
from flowtuple.runtime.extras import require

# Petroff's colours (arXiv:2107.02270), distinguishable under the common colour-vision deficiencies.
BLUE, ORANGE, RED, GREY = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2"
COLORS = (BLUE, RED, ORANGE, "#832db6", GREY)
INK = "#1d1d1f"
_STYLE: dict[str, Any] = {
    "font.size": 12,
    "axes.linewidth": 1,
    "axes.edgecolor": INK,
    "axes.unicode_minus": True,
    "xtick.major.size": 6,
    "xtick.minor.size": 3,
    "ytick.major.size": 6,
    "ytick.minor.size": 3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "flowtuple",
    "svg.fonttype": "path",  # glyphs travel along: the same look on a machine without the fonts
}
_INDENT = re.compile(r"\n\s+")
# a hundredth of a point is invisible; scales below 1 stay
_LONG_NUMBER = re.compile(r"(?<![\w.])([1-9]\d*\.\d{2})\d+")

Draw = Callable[[Any], None]
"""Draws on an empty figure."""


def require_plots() -> None:
    """Import everything that drawings need, before long work.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    for module in ("matplotlib", "mplhep", "jinja2"):
        _extra(module)


def _extra(module: str) -> Any:
    return require(module, "plots", "drawing a report")


@contextlib.contextmanager
def _drawn(draw: Draw, width: float, height: float) -> Iterator[Any]:
    style = {**_extra("mplhep").style.CMS, **_STYLE}
    with _extra("matplotlib").rc_context(style):
        size = (width, height)
        figure = _extra("matplotlib.figure").Figure(figsize=size, layout="constrained")
        draw(figure)
        yield figure


def png(draw: Draw, width: float, height: float) -> bytes:
    """Return a PNG image in the style of all drawings.

    Args:
        draw: Called with an empty figure to draw on.
        width: Width in inches, of 150 pixels each.
        height: Height likewise.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    content = io.BytesIO()
    with _drawn(draw, width, height) as figure:
        figure.savefig(content, format="png", dpi=150, metadata={"Software": None})
    return content.getvalue()


def svg(draw: Draw, width: float = 5.6, height: float = 3.4) -> str:
    """Return a drawing as SVG text; arguments as of `png`."""
    content = io.StringIO()
    with _drawn(draw, width, height) as figure:
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return _LONG_NUMBER.sub(r"\1", _INDENT.sub("\n", content.getvalue()))


def plain_label(label: str) -> str:
    """Return a name as matplotlib takes it: a dollar must not open a formula, and all is seen."""
    return visible(label).replace("$", r"\$")


def shorten(label: str, length: int = 36) -> str:
    """Cut the middle of a long name: names differ at their ends."""
    half = length // 2
    text = label if len(label) <= length else f"{label[:half]}...{label[-half:]}"
    return plain_label(text)


def band(
    axes: Any,
    edges: Array,
    middle: Array,
    reach: Array,
    color: str = GREY,
    alpha: float = 0.35,
) -> None:
    """Draw a band of `reach` above and below the middle of each bin."""
    style = {"fill": True, "color": color, "alpha": alpha, "linewidth": 0}
    axes.stairs(middle + reach, edges, baseline=middle - reach, **style)


def points(
    axes: Any, x: Array, y: Array, error: Array, color: str, label: str | None = None
) -> None:
    """Draw points with errors."""
    style = {"fmt": "o", "color": color, "markersize": 2.5, "linewidth": 0.8}
    axes.errorbar(x, y, error, label=label, **style)


def note(axes: Any, text: str, size: str | int = "small") -> None:
    """Write text into the upper right corner."""
    corner = {"transform": axes.transAxes, "ha": "right", "va": "top"}
    axes.text(0.97, 0.95, text, fontsize=size, **corner)


def two_panels(figure: Any) -> Any:
    """Return axes for a drawing, and axes for a ratio below."""
    return figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])


def histogram(
    axes: Any, values: Array, edges: Array, color: str, label: str | None = None
) -> Array:
    """Draw a filled histogram with an outline, and return its counts."""
    counts = _counts(values, edges)
    axes.stairs(counts, edges, fill=True, color=color, alpha=0.4, label=label)
    axes.stairs(counts, edges, color=color, linewidth=1.2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel(f"Entries / {edges[1] - edges[0]:.3g}")
    _scale_counts(axes, counts)
    return counts


def _counts(values: Array, edges: Array) -> Array:
    return np.histogram(values.astype(np.float64), edges)[0]


def _scale_counts(axes: Any, counts: Array) -> None:
    """Use a logarithmic axis where filled bins span a factor of 200; leave room for the legend."""
    filled = counts[counts > 0]
    if filled.size and filled.max() / np.percentile(filled, 5) > 200:
        axes.set_yscale("log")
        low, high = 0.5 * float(filled.min()), float(filled.max())
        axes.set_ylim(low, high * (high / low) ** 0.35)
    else:
        axes.set_ylim(0, 1.4 * max(1.0, float(counts.max(initial=0))))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)


def label_values(axes: Any, label: str) -> None:
    """Name the axis of values, with a power of ten for long tick labels at its left."""
    axes.set_xlabel(label)
    axes.ticklabel_format(axis="x", scilimits=(-2, 5), useMathText=True)
    axes.xaxis.get_offset_text().set(x=0, horizontalalignment="left")


def draw_ratio(
    axes: Any,
    edges: Array,
    before: tuple[Array, Array],
    after: tuple[Array, Array],
    color: str = INK,
) -> None:
    """Draw the ratio of two histograms; the band is the uncertainty of the first.

    Args:
        axes: Axes below those of the histograms.
        edges: Edges of k bins.
        before: Contents of the first and their standard deviations, each of shape (k,).
        after: Those of the second.
        color: Color of the points.
    """
    filled = before[0] > 0
    size = np.where(filled, before[0], 1.0)
    relative = np.where(filled, before[1] / size, 0.0)
    ratio, error = after[0] / size, after[1] / size
    band(axes, edges, np.ones(len(size)), relative)
    axes.axhline(1, color=INK, linewidth=0.8)
    centres = (edges[:-1] + edges[1:]) / 2
    points(axes, centres[filled], ratio[filled], error[filled], color)
    # Thin bins swing freely; the axis follows those with enough values to mean something.
    settled = np.abs(ratio - 1)[filled & (size >= 0.05 * before[0].max())]
    reach = max(1.6 * float(settled.max(initial=0)), 2.5 * float(np.median(relative)))
    reach = float(np.clip(reach, 0.01, 1.0))
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_ylabel("Ratio", loc="center")
    axes.ticklabel_format(axis="y", useOffset=False)


def overlay_svg(original: Array, decoded: Array, label: str) -> str:
    """Draw original and decompressed values in one histogram, their ratio below.

    Args:
        original: Numbers of any shape, not all of them NaN or infinite.
        decoded: Numbers of the same shape.
        label: Name of the quantity for the axis.

    Returns:
        SVG text. The band in the ratio is the statistical uncertainty of the original; the plot
        gives the number of values off the axis, and of sentinels.

    Raises:
        InvalidArgument: No original value is finite.
        MissingExtra: The extra 'plots' is not installed.
    """
    binning = find_binning(original, integer=original.dtype.kind in "iub")
    edges = binning.edges
    after = _counts(decoded, edges)

    def draw(figure: Any) -> None:
        top, bottom = two_panels(figure)
        before = histogram(top, original, edges, BLUE, "original")
        centres = (edges[:-1] + edges[1:]) / 2
        top.plot(centres, after, "o", color=INK, markersize=3, label="decompressed")
        style = {"title_fontsize": "x-small", "alignment": "right"}
        top.legend(loc="upper right", title=_left_out(original, binning) or None, **style)
        draw_ratio(
            bottom, edges, (before, np.sqrt(before)), (after, np.zeros(len(after)))
        )
        label_values(bottom, shorten(label, 56))

    return svg(draw, height=4.6)


def _left_out(values: Array, binning: Binning) -> str:
    """Return values that the axis does not show, one line each."""
    lines = [
        f"not drawn: {np.count_nonzero(values == s):,} at {s:g}"
        for s in binning.sentinels
    ]
    flat = np.ravel(values)
    finite = flat[np.isfinite(flat)]
    outside = np.count_nonzero(
        (finite < binning.edges[0]) | (finite >= binning.edges[-1])
    )
    outside -= np.count_nonzero(np.isin(finite, binning.sentinels))
    if outside:
        lines.append(f"off the axis: {100 * outside / flat.size:.2g} %")
    if len(finite) < len(flat):
        lines.append(f"not finite: {len(flat) - len(finite):,}")
    return "\n".join(lines)


def difference_svg(
    bound: Bound | Promise,
    original: Array,
    decoded: Array,
    label: str,
    columns: Mapping[str, Array] | None = None,
) -> str:
    """Draw original - decompressed in units of the bound; outside -1 to 1 the bound is broken.

    Args:
        bound: `abs`, `rel`, `bits` or several after another; all but `abs` give every value a bound
            of its own.
        original: Numbers of any shape.
        decoded: Numbers of the same shape.
        label: Name of the column for the axis.
        columns: Decoded columns of the same rows, with the resolution of a `sigma` bound.

    Raises:
        InvalidArgument: The bound is `lossless` or `std`, which has no unit to draw in.
        MissingExtra: The extra 'plots' is not installed.
    """
    allowed = bound.largest_difference(original, columns)
    x, y = original.astype(np.float64), decoded.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        pulls = ((x - y) / allowed)[np.isfinite(x) & np.isfinite(y) & (allowed > 0)]
    edges = np.linspace(-1.25, 1.25, 51)
    broken = int(np.count_nonzero(~bound.holds(original, decoded, columns)))
    verdict = f"all within {bound}"
    if broken:
        verdict = f"{broken:,} value{'s break' if broken > 1 else ' breaks'} {bound}"

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        histogram(axes, np.clip(pulls, edges[0], edges[-1]), edges, BLUE)
        for edge in (-1, 1):
            axes.axvline(edge, color=RED, linestyle="--", linewidth=1.2)
        axes.set_title(
            verdict, loc="right", fontsize="small", color=RED if broken else INK
        )
        axes.set_xlabel(f"Difference of {shorten(label)} / bound")

    return svg(draw)


def response_svg(original: Array, decoded: Array, label: str) -> str:
    """Draw the response (original - decompressed) / original of nonzero originals.

    Its mean and width are given. The axis covers 99 % of the responses: originals close to zero
    make long tails under an `abs` bound.

    Raises:
        InvalidArgument: No response is defined: every original is zero or not finite.
        MissingExtra: The extra 'plots' is not installed.
    """
    x, y = original.astype(np.float64).ravel(), decoded.astype(np.float64).ravel()
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        response = (x - y) / x
    response = response[np.isfinite(response)]
    if not response.size:
        raise InvalidArgument(
            f"{label}: every original is zero or not finite, so it has no response; leave it out"
        )
    reach = (
        float(np.percentile(np.abs(response), 99)) or float(np.abs(response).max()) or 1.0
    )
    edges = np.linspace(-reach, np.nextafter(reach, np.inf), bin_count(response.size) + 1)
    rms = math.sqrt(float(np.square(response).mean()))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        histogram(axes, response, edges, ORANGE)
        note(axes, f"mean {response.mean():.2g}\nrms {rms:.2g}")
        label_values(axes, f"Response of {shorten(label)}")

    return svg(draw)


def bits_svg(columns: Sequence[str], bits: Mapping[str, Sequence[float]]) -> str:
    """Draw bits per value as horizontal bars, one group per column, the first column on top.

    Args:
        columns: Names of c columns.
        bits: For each method, in the order of the legend, c bits per value; NaN leaves a bar out.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    rows, thickness = np.arange(len(columns)), 0.8 / max(1, len(bits))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        methods = zip(bits.items(), (BLUE, ORANGE, GREY), strict=False)
        for place, ((method, widths), color) in enumerate(methods):
            offset = (place - (len(bits) - 1) / 2) * thickness
            bars = axes.barh(rows + offset, widths, thickness, color=color, label=method)
            axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
        axes.set_yticks(rows, [shorten(c) for c in columns])
        bar_axes(axes, len(columns), "Bits per value")
        figure.legend(loc="outside upper right", ncols=max(1, len(bits)))

    return svg(draw, height=1.4 + 0.42 * len(columns))


def bar_axes(axes: Any, bars: int, label: str) -> None:
    """Set up axes of horizontal bars: the first on top, no ticks at names."""
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.tick_params(axis="x", which="both", top=False)
    axes.minorticks_off()
    axes.set_ylim(bars - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.set_xlabel(label)


def roc_png(
    scores: Mapping[str, Array], wanted: Array, areas: Mapping[str, float]
) -> bytes:
    """Draw ROC curves: the share of the wanted kind that passes against that of the others.

    Args:
        scores: Scores by name, large for the wanted kind, shape (n,), no NaN.
        wanted: Mask of the rows of that kind, bool, shape (n,).
        areas: Areas under each curve, for the legend.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for (name, values), color in zip(scores.items(), COLORS, strict=False):
            label = plain_label(f"{name}: {areas[name]:.3f}")
            axes.plot(*roc_curve(values, wanted), color=color, label=label)
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_xlabel("Share of the others that passes", loc="right")
        axes.set_ylabel("Share of the wanted kind that passes", loc="top")
        axes.legend(loc="lower right", title="Area")

    return png(draw, 4.6, 4.4)


def roc_curve(scores: Array, wanted: Array) -> tuple[Array, Array]:
    """Return shares of the others and of the wanted kind at or above each score, from none to all.

    Example:
        >>> roc_curve(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
        (array([0., 0., 1., 1.]), array([0. , 0.5, 0.5, 1. ]))
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # ties pass together
    others, efficiency = (
        np.cumsum(kind[order])[last] / kind.sum() for kind in (~wanted, wanted)
    )
    return np.append(0.0, others), np.append(0.0, efficiency)
