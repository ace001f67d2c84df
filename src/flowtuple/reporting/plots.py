"""Drawings in one style: histograms of original and decompressed values, their ratio, bars.

Drawings are SVG text, or PNG where they have many points; hist and mplhep draw them without a
display. Every function needs the extra 'plots' and raises `MissingExtra` without it. The same input
gives the same drawing.
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
from flowtuple.errors import InvalidArgument
from flowtuple.reporting.page import image
from flowtuple.runtime.extras import require

# Petroff's colours (arXiv:2107.02270), distinguishable under the common colour-vision deficiencies.
BLUE, ORANGE, RED, GREY = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2"
_INK = "#1d1d1f"
_STYLE: dict[str, Any] = {
    "font.size": 12,
    "axes.linewidth": 1,
    "axes.edgecolor": _INK,
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


def require_plots() -> None:
    """Import everything that drawings need, before long work.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    for module in ("matplotlib", "hist", "mplhep", "jinja2"):
        _extra(module)


def _extra(module: str) -> Any:
    return require(module, "plots", "drawing a report")


@contextlib.contextmanager
def _style() -> Iterator[None]:
    matplotlib = _extra("matplotlib")
    with matplotlib.rc_context({**_extra("mplhep").style.CMS, **_STYLE}):
        yield


def _figure(width: float = 5.6, height: float = 3.4) -> Any:
    return _extra("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def png(draw: Callable[[Any], None], width: float, height: float) -> bytes:
    """Return a PNG image in the style of all drawings.

    Args:
        draw: Called with an empty figure to draw on.
        width: Width in inches, of 150 pixels each.
        height: Height likewise.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    image = io.BytesIO()
    with _style():
        figure = _figure(width, height)
        draw(figure)
        figure.savefig(image, format="png", dpi=150, metadata={"Software": None})
    return image.getvalue()


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _LONG_NUMBER.sub(r"\1", _INDENT.sub("\n", text.getvalue()))


def _fill(values: Array, edges: Array) -> Any:
    histogram = _extra("hist").Hist(_extra("hist").axis.Variable(edges))
    histogram.fill(np.ravel(values).astype(np.float64))
    return histogram


def _draw_histogram(
    axes: Any, histogram: Any, color: str, alpha: float, label: str | None = None
) -> None:
    """Draw a filled histogram with an outline, without error bars.

    mplhep computes errors all the same, here by the method that needs no further package.
    """
    histplot = _extra("mplhep").histplot
    fill = {"histtype": "fill", "alpha": alpha, "label": label}
    outline = {"histtype": "step", "linewidth": 1.2, "yerr": False, "w2method": "sqrt"}
    for style in (fill, outline):
        histplot(histogram, ax=axes, color=color, flow="none", **style)


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
    with _style():
        before, after = _fill(original, binning.edges), _fill(decoded, binning.edges)
        figure = _figure(height=4.6)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _draw_histogram(top, before, BLUE, 0.35, "original")
        centres = (binning.edges[:-1] + binning.edges[1:]) / 2
        top.plot(centres, after.values(), "o", color=_INK, markersize=3, label="decompressed")
        _scale_counts(top, before.values())
        top.set(xlabel="", ylabel=_count_label(binning.edges))
        top.legend(
            loc="upper right",
            title=_left_out(original, binning) or None,
            title_fontsize="x-small",
            alignment="right",
        )
        _ratio(bottom, before.values(), after.values(), binning.edges)
        bottom.set_xlabel(_shorten(label, 56))
        _short_ticks(bottom)
        return _svg(figure)


def plain_label(label: str) -> str:
    """Return a name as matplotlib takes it: a dollar must not open a formula."""
    return label.replace("$", r"\$")


def _shorten(label: str, length: int = 36) -> str:
    """Cut the middle of a long name: names differ at their ends."""
    half = length // 2
    text = label if len(label) <= length else f"{label[:half]}...{label[-half:]}"
    return plain_label(text)


def _short_ticks(axes: Any) -> None:
    """Use a power of ten for long tick labels, at the left: the axis label is at the right."""
    axes.ticklabel_format(axis="x", scilimits=(-2, 5), useMathText=True)
    axes.xaxis.get_offset_text().set(x=0, horizontalalignment="left")


def _count_label(edges: Array) -> str:
    return f"Entries / {edges[1] - edges[0]:.3g}"


def _left_out(values: Array, binning: Binning) -> str:
    """Return values that the axis does not show, one line each."""
    lines = [
        f"not drawn: {np.count_nonzero(values == s):,} at {s:g}" for s in binning.sentinels
    ]
    flat = np.ravel(values)
    finite = flat[np.isfinite(flat)]
    outside = np.count_nonzero((finite < binning.edges[0]) | (finite >= binning.edges[-1]))
    outside -= sum(int(np.count_nonzero(finite == s)) for s in binning.sentinels)
    if outside:
        lines.append(f"off the axis: {100 * outside / flat.size:.2g} %")
    if len(finite) < len(flat):
        lines.append(f"not finite: {len(flat) - len(finite):,}")
    return "\n".join(lines)


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


def _ratio(axes: Any, before: Array, after: Array, edges: Array) -> None:
    filled = before > 0
    centres, size = (edges[:-1] + edges[1:])[filled] / 2, before[filled]
    ratio, error = after[filled] / size, 1 / np.sqrt(size)
    for_band = np.where(filled, 1 / np.sqrt(np.maximum(before, 1)), 0.0)
    band(axes, edges, np.ones(len(filled)), for_band)
    axes.axhline(1, color=_INK, linewidth=0.8)
    axes.plot(centres, ratio, "o", color=_INK, markersize=3)
    # Thin bins swing freely; the axis follows those with enough values to mean something.
    settled = size >= 0.01 * size.max()
    reach = max(
        0.01, 1.6 * float(np.abs(ratio[settled] - 1).max()), 2.5 * float(np.median(error))
    )
    reach = min(1.0, reach)
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel("Ratio", loc="center")
    axes.ticklabel_format(axis="y", useOffset=False)


def difference_svg(
    bound: Bound | Promise, original: Array, decoded: Array, label: str
) -> str:
    """Draw original - decompressed in units of the bound; outside -1 to 1 the bound is broken.

    Args:
        bound: `abs`, `rel`, `bits` or several after another; all but `abs` give every value a bound
            of its own.
        original: Numbers of any shape.
        decoded: Numbers of the same shape.
        label: Name of the column for the axis.

    Raises:
        InvalidArgument: The bound is `lossless` or `std`, which has no unit to draw in.
        MissingExtra: The extra 'plots' is not installed.
    """
    allowed = bound.largest_difference(original)
    x, y = original.astype(np.float64), decoded.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        pulls = ((x - y) / allowed)[np.isfinite(x) & np.isfinite(y) & (allowed > 0)]
    edges = np.linspace(-1.25, 1.25, 51)
    broken = int(np.count_nonzero(~bound.holds(original, decoded)))
    with _style():
        figure = _figure()
        axes = figure.subplots()
        histogram = _fill(np.clip(pulls, edges[0], np.nextafter(edges[-1], 0)), edges)
        _draw_histogram(axes, histogram, BLUE, 0.35)
        for edge in (-1, 1):
            axes.axvline(edge, color=RED, linestyle="--", linewidth=1.2)
        _scale_counts(axes, histogram.values())
        verdict = f"all within {bound}"
        if broken:
            verdict = f"{broken:,} value{'s break' if broken > 1 else ' breaks'} {bound}"
        axes.set_title(verdict, loc="right", fontsize="small", color=RED if broken else _INK)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(f"Difference of {_shorten(label)} / bound")
        axes.set_ylabel(_count_label(edges))
        return _svg(figure)


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
    reach = float(np.percentile(np.abs(response), 99)) or float(np.abs(response).max()) or 1.0
    edges = np.linspace(-reach, np.nextafter(reach, np.inf), bin_count(response.size) + 1)
    with _style():
        figure = _figure()
        axes = figure.subplots()
        histogram = _fill(response, edges)
        _draw_histogram(axes, histogram, ORANGE, 0.4)
        _scale_counts(axes, histogram.values())
        rms = math.sqrt(float(np.square(response).mean()))
        note(axes, f"mean {response.mean():.2g}\nrms {rms:.2g}")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(f"Response of {_shorten(label)}")
        _short_ticks(axes)
        axes.set_ylabel(_count_label(edges))
        return _svg(figure)


def bits_svg(columns: Sequence[str], bits: Mapping[str, Sequence[float]]) -> str:
    """Draw bits per value as horizontal bars, one group per column, the first column on top.

    Args:
        columns: Names of c columns.
        bits: For each method, in the order of the legend, c bits per value; NaN leaves a bar out.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    colors = (BLUE, ORANGE, GREY)
    rows, thickness = np.arange(len(columns)), 0.8 / max(1, len(bits))
    with _style():
        figure = _figure(width=5.6, height=1.4 + 0.42 * len(columns))
        axes = figure.subplots()
        for place, (method, widths) in enumerate(bits.items()):
            offset = (place - (len(bits) - 1) / 2) * thickness
            bars = axes.barh(
                rows + offset,
                widths,
                thickness,
                color=colors[place % len(colors)],
                label=method,
            )
            axes.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
        axes.set_yticks(rows, [_shorten(c) for c in columns])
        axes.tick_params(axis="y", which="both", left=False, right=False)
        axes.tick_params(axis="x", which="both", top=False)
        axes.minorticks_off()
        axes.set_ylim(len(columns) - 0.5, -0.5)
        axes.margins(x=0.1)
        axes.set_xlabel("Bits per value")
        figure.legend(loc="outside upper right", ncols=max(1, len(bits)))
        return _svg(figure)


def dijet_image(collection: str, original: Array, decoded: Array) -> dict[str, str]:
    """Draw the invariant mass of the first two objects of a collection, before and after.

    Args:
        collection: Name of the collection, such as `Jet`.
        original: Masses from `flowtuple.comparison.fidelity.dijet_masses`, shape (n,).
        decoded: Masses of the decompressed events, likewise.

    Returns:
        The drawing with its description, as from `page.image`.
    """
    label = f"Mass of the two leading {_shorten(collection, 20)} (unit of its pt)"
    description = (
        f"Invariant mass of the two leading {collection}, original against decompressed"
    )
    drawing = overlay_svg(original, decoded, label)
    return image(drawing, f"{description}, with their ratio below.")
