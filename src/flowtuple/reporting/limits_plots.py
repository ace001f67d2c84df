"""Drawings of limits: templates of either background, and limits against generated events."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowtuple.comparison.limits.result import Limits
from flowtuple.reporting import plots


def templates_png(result: Limits) -> bytes:
    """Draw the expected events of both backgrounds and of the signal, and the ratio below.

    Args:
        result: The limits.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    edges = np.array(result.edges)
    simulated, generated = (
        (np.array(size.counts), np.array(size.errors))
        for size in (result.simulated, result.generated)
    )
    limit = result.simulated_limits[2]
    signal = limit * np.array(result.signal.counts)

    def draw(figure: Any) -> None:
        top, bottom = plots.two_panels(figure)
        style = {"fill": True, "color": plots.BLUE, "alpha": 0.35, "label": "simulated"}
        top.stairs(simulated[0], edges, **style)
        top.stairs(generated[0], edges, color=plots.RED, linewidth=1.2, label="generated")
        label = f"signal, mu = {limit:.2g}"
        top.stairs(signal, edges, color=plots.ORANGE, linewidth=1.2, label=label)
        top.set_ylim(
            0, 1.45 * max(part.max() for part in (*simulated, *generated, signal))
        )
        top.set_xlim(edges[0], edges[-1])
        top.set_ylabel("Expected events", loc="top")
        top.legend(loc="upper right", ncols=3, fontsize="small")
        plots.draw_ratio(bottom, edges, simulated, generated, plots.RED)
        bottom.set_xlabel(plots.shorten(result.observable, 48), loc="right")

    return plots.png(draw, 5.6, 4.4)


def curve_png(result: Limits) -> bytes:
    """Draw expected limits against the number of generated events.

    Args:
        result: The limits, with a curve.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    events, limits, sigma, naive = (
        np.array([getattr(point, name) for point in result.curve])
        for name in ("events", "limit", "sigma", "as_simulated")
    )

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        simulated = result.simulated_limits[2]
        axes.axhline(simulated, color=plots.BLUE, linewidth=1.2, label="simulated")
        plots.points(axes, events, limits, sigma, plots.RED, "generated")
        style = {"color": plots.GREY, "linestyle": "--", "linewidth": 1}
        axes.plot(events, naive, label="counted as simulated", **style)
        if result.trained_on is not None:
            axes.axvline(result.trained_on, color=plots.INK, linestyle=":", linewidth=0.8)
        axes.set_xscale("log")
        low, high = min(naive.min(), (limits - sigma).min()), (limits + sigma).max()
        low, high = min(low, simulated), max(high, simulated)
        axes.set_ylim(low - 0.1 * (high - low), high + 0.6 * (high - low))
        axes.set_xlabel("Generated events (dotted: of the training)", loc="right")
        axes.set_ylabel("Expected limit on mu", loc="top")
        axes.legend(loc="upper right")

    return plots.png(draw, 5.6, 3.8)
