"""Pictures of whole events: drawn or simulated ones next to true ones, their ratio below."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from event_numbers import Numbers, collections_of, numbers_of, opposite_mass

from flowtuple.reporting import plots

BINS = 40
WIDTH, HEIGHT = 4.4, 3.8  # inches of 150 pixels


@dataclass(frozen=True)
class Axis:
    """The axis of a picture.

    Attributes:
        label: What it shows, in mathematical notation.
        low: Lower end.
        high: Upper end.
        bins: Bins between them; 0 for a bin for each whole number.
        is_logarithmic: Whether the axis of shares is logarithmic.
    """

    label: str
    low: float
    high: float
    bins: int = BINS
    is_logarithmic: bool = False

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins."""
        if self.bins:
            return np.linspace(self.low, self.high, self.bins + 1)
        return np.arange(self.low, self.high + 1) - 0.5


AXES = {
    "mass 01": Axis("$m_{jj}$ of the leading two (GeV)", 0, 800, is_logarithmic=True),
    "H_T": Axis("$H_T$ (GeV)", 0, 1000, is_logarithmic=True),
    "missing H_T": Axis("missing $H_T$ (GeV)", 0, 160, is_logarithmic=True),
    "nearest pair": Axis(r"$\Delta R$ of the nearest pair", 0, 3.2),
    "balance": Axis("$p_T$ of the second over the leading", 0, 1),
    "n": Axis("number of objects", 0, 16, bins=0),
}
FILES = {
    "mass 01": "mass",
    "H_T": "scalar-sum",
    "missing H_T": "missing-sum",
    "nearest pair": "nearest-pair",
    "balance": "balance",
    "n": "multiplicity",
}
OPPOSITE = Axis(r"$m_{\mu\mu}$ of opposite charges (GeV)", 0, 140, bins=35)


def draw_pictures(
    folder: Path, true: ak.Array, other: ak.Array, name: str = "drawn"
) -> None:
    """Write the pictures of the first collection, and of the mass of muons where there are any.

    Args:
        folder: Folder of the PNG files.
        true: Events of the judge.
        other: Events that a model made.
        name: What the others are called.
    """
    folder.mkdir(parents=True, exist_ok=True)
    collections = collections_of(true)
    if collections:
        pair = [numbers_of(events, collections[0]) for events in (true, other)]
        for quantity, axis in AXES.items():
            content = picture(*(values(x, quantity) for x in pair), axis, name)
            (folder / f"{name}-{FILES[quantity]}.png").write_bytes(content)
    if "Muon" in collections and "Muon_charge" in true.fields:
        masses = [opposite_mass(events, "Muon") for events in (true, other)]
        content = picture(*masses, OPPOSITE, name)
        (folder / f"{name}-muon-mass.png").write_bytes(content)


def values(numbers: Numbers, quantity: str) -> np.ndarray:
    """Return a quantity of the events that have it."""
    out = numbers[quantity]
    return out[np.isfinite(out)]


def picture(true: np.ndarray, other: np.ndarray, axis: Axis, name: str) -> bytes:
    """Draw two histograms of shares in one panel, and their ratio below."""
    edges = axis.edges
    before, after = (shares(x, edges) for x in (true, other))

    def draw(figure: Any) -> None:
        top, bottom = plots.two_panels(figure)
        style = {"fill": True, "color": plots.BLUE, "alpha": 0.35, "label": "true"}
        top.stairs(before[0], edges, **style)
        top.stairs(after[0], edges, color=plots.RED, linewidth=1.4, label=name)
        highest = max(before[0].max(), after[0].max(), 1e-9)
        if axis.is_logarithmic:
            top.set_yscale("log")
            top.set_ylim(
                max(before[0][before[0] > 0].min(initial=highest) / 2, 1e-6), 8 * highest
            )
        else:
            top.set_ylim(0, 1.35 * highest)
        top.set_ylabel("Share of events", loc="top")
        top.legend(loc="upper right", ncols=2)
        plots.draw_ratio(bottom, edges, before, after, plots.RED)
        bottom.set_xlim(edges[0], edges[-1])
        bottom.set_xlabel(axis.label, loc="right")

    return plots.png(draw, WIDTH, HEIGHT)


def shares(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of values in bins and their standard deviations."""
    counts = np.histogram(values, edges)[0]
    total = max(len(values), 1)
    return counts / total, np.sqrt(counts) / total
