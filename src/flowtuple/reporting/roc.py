"""ROC curves: the share of the wanted kind that passes against that of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.reporting import plots

_COLOURS = (plots.BLUE, plots.RED, plots.ORANGE, plots.GREY)


def roc_png(scores: Mapping[str, Array], wanted: Array, areas: Mapping[str, float]) -> bytes:
    """Draw one curve for each score.

    Args:
        scores: Scores by name, large for the wanted kind, shape (n,), no NaN.
        wanted: Mask of the rows of that kind, bool, shape (n,).
        areas: Areas under each curve, for the legend.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for (name, values), colour in zip(scores.items(), _COLOURS, strict=False):
            axes.plot(
                *curve(values, wanted), color=colour, label=f"{name}: {areas[name]:.3f}"
            )
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("Share of the others that passes", loc="right")
        axes.set_ylabel("Share of the wanted kind that passes", loc="top")
        axes.legend(loc="lower right", title="Area")

    return plots.png(draw, 4.6, 4.4)


def curve(scores: Array, wanted: Array) -> tuple[Array, Array]:
    """Return shares of the others and of the wanted kind at or above each score, from none to all.

    Example:
        >>> curve(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
        (array([0., 0., 1., 1.]), array([0. , 0.5, 0.5, 1. ]))
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # ties pass together
    others, efficiency = (
        np.cumsum(kind[order])[last] / kind.sum() for kind in (~wanted, wanted)
    )
    return np.append(0.0, others), np.append(0.0, efficiency)
