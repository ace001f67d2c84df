"""Drawings of the latent codec's figures, in the style of the package's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.reporting import plots

_COLORS = (plots.BLUE, plots.ORANGE, plots.RED, "#832db6", plots.GREY, "#a96b59")
_REACH = 4.5  # standard deviations


def lines_png(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float | None]],
    label: str,
    *,
    logarithmic: bool,
    line: float | None = None,
) -> bytes:
    """Draw curves over N, `line` as a dashed line; a logarithmic axis leaves zeros out."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for color, (name, values) in zip(_COLORS, curves.items(), strict=False):
            height = np.array(values, float)  # None becomes NaN, which is not drawn
            if logarithmic:
                height[height == 0] = np.nan
            axes.plot(x, height, ".-", color=color, label=name, linewidth=1.4)
        if line is not None:
            axes.axhline(line, color="#1d1d1f", linestyle="--", linewidth=0.8)
        if logarithmic:
            axes.set_yscale("log")
        axes.set_xlabel("N", loc="right")
        axes.set_ylabel(label, loc="top")
        axes.legend(fontsize=9)

    return plots.png(draw, 6.4, 4.4)


def latents_png(
    before: np.ndarray, after: Mapping[str, np.ndarray], columns: Sequence[str]
) -> bytes:
    """Draw latent columns before and after coding, with the standard normal density."""
    edges = np.linspace(-_REACH, _REACH, 91)
    centres = (edges[1:] + edges[:-1]) / 2
    normal = np.exp(-np.square(centres) / 2) / np.sqrt(2 * np.pi)

    def draw(figure: Any) -> None:
        panels = _panels(figure, len(columns), 2)
        for k, axes in enumerate(panels[: len(columns)]):
            axes.stairs(
                _density(before[:, k], edges),
                edges,
                fill=True,
                color=plots.BLUE,
                alpha=0.35,
                label="before",
            )
            for color, (name, latent) in zip(
                (plots.RED, plots.ORANGE, "#832db6"), after.items(), strict=False
            ):
                axes.stairs(
                    _density(latent[:, k], edges),
                    edges,
                    color=color,
                    linewidth=1.1,
                    label=name,
                )
            axes.plot(
                centres,
                normal,
                color="#1d1d1f",
                linewidth=1,
                linestyle="--",
                label="standard normal",
            )
            axes.set_yscale("log")
            axes.set_ylim(1e-5, 3)
            axes.set_title(f"latent column {columns[k]}", loc="left", fontsize=11)
        panels[0].set_ylabel("Density", loc="top")
        panels[len(columns) - 1].set_xlabel("z", loc="right")
        _legend(figure, panels[0], 5)

    return plots.png(draw, 8.4, 0.6 + 2.8 * -(-len(columns) // 2))


def _panels(figure: Any, count: int, across: int) -> Any:
    """Return panels with common axes, those beyond `count` hidden."""
    shape = -(-count // 2), across
    panels = np.ravel(figure.subplots(*shape, sharex=True, sharey=True, squeeze=False))
    for axes in panels[count:]:
        axes.set_visible(False)
    return panels


def _legend(figure: Any, axes: Any, across: int) -> None:
    """Draw the legend of one panel above all."""
    entries = axes.get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper center", ncols=across, fontsize=10)


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return densities; values outside the edges count in the number of all."""
    return np.histogram(values, edges)[0] / (len(values) * np.diff(edges))


def residuals_png(
    kinds: Mapping[str, Mapping[str, np.ndarray]],
    columns: Sequence[str],
    labels: Sequence[str],
) -> bytes:
    """Draw histograms of differences and responses: a row of panels a kind, a column a variable.

    Args:
        kinds: By kind the values by name of a curve, shape (n, d).
        columns: The d variables.
        labels: Label of the horizontal axis of each kind.
    """

    def draw(figure: Any) -> None:
        grid = figure.subplots(len(kinds), len(columns), squeeze=False)
        for row, (curves, label) in enumerate(zip(kinds.values(), labels, strict=True)):
            for k, axes in enumerate(grid[row]):
                reaches = [
                    np.nanquantile(np.abs(x[:, k]), 0.995) for x in curves.values()
                ]
                reach = float(max(reaches)) or 1.0
                edges = np.linspace(-reach, reach, 61)
                colors = (plots.BLUE, plots.RED)
                for color, (name, values) in zip(colors, curves.items(), strict=False):
                    counts = np.histogram(values[np.isfinite(values[:, k]), k], edges)[0]
                    axes.stairs(counts, edges, color=color, linewidth=1.1, label=name)
                axes.set_yscale("log")
                axes.ticklabel_format(axis="x", scilimits=(-2, 3), useMathText=True)
                axes.xaxis.get_offset_text().set(x=0, horizontalalignment="left")
                axes.locator_params(axis="x", nbins=4)
                axes.set_xlabel(f"{label} {columns[k]}", loc="right", fontsize=11)
            grid[row][0].set_ylabel("Rows", loc="top", fontsize=11)
        _legend(figure, grid[0][0], 3)

    return plots.png(draw, 3.1 * len(columns), 0.5 + 2.6 * len(kinds))


def losses_png(flows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw held-out losses over epochs: a panel a number of layers, a curve a width."""
    layers = sorted({one["layers"] for one in flows})

    def draw(figure: Any) -> None:
        panels = _panels(figure, len(layers), min(2, len(layers)))
        for axes, depth in zip(panels, layers, strict=False):
            for color, one in zip(
                _COLORS, (one for one in flows if one["layers"] == depth), strict=False
            ):
                epochs = np.arange(1, len(one["held_out"]) + 1)
                axes.plot(
                    epochs,
                    one["held_out"],
                    color=color,
                    label=f"{one['hidden']} hidden units",
                    linewidth=1.3,
                )
            axes.set_title(f"{depth} layers", loc="left", fontsize=11)
        best = min(one["loss"] for one in flows)
        spread = (
            np.quantile(
                [
                    loss
                    for one in flows
                    for loss in one["held_out"][2:] or one["held_out"]
                ],
                0.98,
            )
            - best
        )
        spread = spread or 1.0  # one flow, one epoch
        panels[0].set_ylim(best - 0.08 * spread, best + 1.2 * spread)
        panels[0].set_ylabel("Held-out loss (nats per row)", loc="top")
        panels[len(layers) - 1].set_xlabel("Epoch", loc="right")
        _legend(figure, panels[0], 4)

    return plots.png(draw, 8.4, 6.2)
