"""Drawings of simulated events beside true ones, in the style of the package's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.reporting import plots

_BINS = 40
_FEWEST = 30  # events in a bin that is drawn


def shapes_png(samples: Mapping[str, Sequence[np.ndarray]]) -> bytes:
    """Draw histograms of true and simulated events, by label."""

    def draw(figure: Any) -> None:
        panels = figure.subplots(2, 2).reshape(-1)
        for axes, (label, pair) in zip(panels, samples.items(), strict=True):
            true, made = (values[values >= 0] for values in pair)
            edges = np.linspace(0, np.quantile(true, 0.99), _BINS + 1)
            _both(axes, true, made, edges)
            axes.set_xlabel(label, loc="right")
        panels[0].legend(fontsize=9)

    return plots.png(draw, 9.6, 6.4)


def _both(axes: Any, true: np.ndarray, made: np.ndarray, edges: np.ndarray) -> None:
    real, other = (np.histogram(x, edges)[0] for x in (true, made))
    axes.stairs(real, edges, fill=True, color=plots.BLUE, alpha=0.35, label="true")
    axes.stairs(other, edges, color=plots.ORANGE, linewidth=1.4, label="simulated")
    axes.set_ylabel("events", loc="top")


def met_png(samples: Sequence[tuple[np.ndarray, ...]]) -> bytes:
    """Draw half-widths of MET - GenMET along and across GenMET against pile-up."""

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for k, (axes, label) in enumerate(
            zip(panels, ("along GenMET", "across GenMET"), strict=True), start=1
        ):
            for sample, color, name in zip(
                samples, (plots.BLUE, plots.ORANGE), ("true", "simulated"), strict=True
            ):
                npu = sample[0]
                at = [n for n in np.unique(npu) if np.sum(npu == n) >= _FEWEST]
                pairs = [np.quantile(sample[k][npu == n], [0.16, 0.84]) for n in at]
                widths = [(high - low) / 2 for low, high in pairs]
                axes.plot(at, widths, ".-", color=color, label=name, linewidth=1.4)
            axes.set_xlabel("pile-up interactions", loc="right")
            axes.set_title(f"MET - GenMET {label}", fontsize=10)
        panels[0].set_ylabel("half of the central 68 %, GeV", loc="top")
        panels[0].legend(fontsize=9)

    return plots.png(draw, 9.6, 3.6)


def turn_on_png(curves: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]) -> bytes:
    """Draw the share of events with a flag against the p_T of the leading generated object."""

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, len(curves), sharey=True)
        for axes, (flag, samples) in zip(panels, curves.items(), strict=True):
            edges = np.linspace(0, 160 if "Jet" in flag else 60, _BINS + 1)
            for (pt, fired), color, name in zip(
                samples, (plots.BLUE, plots.ORANGE), ("true", "simulated"), strict=True
            ):
                every, some = (np.histogram(x, edges)[0] for x in (pt, pt[fired]))
                share = np.where(every >= _FEWEST, some / np.maximum(every, 1), np.nan)
                centres = (edges[1:] + edges[:-1]) / 2
                axes.plot(centres, share, ".-", color=color, label=name, linewidth=1.4)
            axes.set_title(flag, fontsize=10)
            axes.set_xlabel("leading generated p_T, GeV", loc="right")
        panels[0].set_ylabel("share of events", loc="top")
        panels[0].legend(fontsize=9)

    return plots.png(draw, 9.6, 3.4)
