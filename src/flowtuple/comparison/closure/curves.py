"""Figures in bins of two samples: efficiency, objects without a partner, and response.

A bin fails where the samples differ by more than a tolerance and 2 sigma.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from flowtuple.comparison.closure.axes import (
    ABS_ETA,
    REGIONS,
    Axis,
    AxisGrid,
    event_axis,
    kind_axis,
    kinds,
    pt_axes,
)
from flowtuple.comparison.closure.bootstrap import (
    REPLICAS,
    Binned,
    shares,
    spreads,
    with_errors,
)
from flowtuple.comparison.closure.samples import Level, Pairs
from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array

Numbers = tuple[float, ...]
Quantity = Literal["efficiency", "without partner", "median response", "half-width"]
TOLERANCE: dict[Quantity, float] = {
    "efficiency": 0.005,
    "without partner": 0.005,
    "median response": 0.02,
    "half-width": 0.02,
}
RELATIVE = (
    "median response",
    "half-width",
)  # their tolerance is a share of the reference's
DEVIATIONS, GRAVE = 2.0, 5.0
LEAST = 100  # rows that a bin needs in each sample, the folds of one counted once


@dataclass(frozen=True)
class Curve:
    """One figure in bins of one quantity, of two samples. A bin with too few rows holds NaN.

    Attributes:
        quantity: The figure.
        grid: Its binning in words, parts included.
        along: The quantity that is binned.
        part: Name of the part; empty for everything.
        edges: Edges of k bins.
        reference: Figures of the reference, k numbers.
        reference_error: Their standard deviations.
        other: Figures of the other sample.
        other_error: Their standard deviations.
        tolerance: Allowed difference beyond 2 sigma.
        left_out: Bins with rows, but too few.
    """

    quantity: Quantity
    grid: str
    along: str
    part: str
    edges: Numbers
    reference: Numbers
    reference_error: Numbers
    other: Numbers
    other_error: Numbers
    tolerance: Numbers
    left_out: int

    @property
    def sigma(self) -> Array:
        """Standard deviation of the difference of two independent samples, shape (k,)."""
        return np.hypot(self.reference_error, self.other_error)

    @property
    def bins(self) -> int:
        """Number of bins with enough rows."""
        return int(np.isfinite(self.sigma).sum())

    @property
    def excess(self) -> Array:
        """Difference beyond 2 sigma, in the unit of `tolerance`, shape (k,)."""
        return self._difference - DEVIATIONS * self.sigma

    @property
    def beyond(self) -> Array:
        """Bins that differ by more than the tolerance and 2 sigma: bool of shape (k,)."""
        return self.excess > np.array(self.tolerance)

    @property
    def grave(self) -> Array:
        """Bins that differ by more than the tolerance and 5 sigma, not by chance: shape (k,)."""
        return self._difference > np.array(self.tolerance) + GRAVE * self.sigma

    @property
    def worst(self) -> float:
        """The largest excess, of a response relative to the reference's; NaN without a bin."""
        scale = np.abs(self.reference) if self.quantity in RELATIVE else 1.0
        excess = self.excess / scale
        return float(np.nanmax(excess)) if np.isfinite(excess).any() else float("nan")

    @property
    def _difference(self) -> Array:
        return np.abs(np.subtract(self.other, self.reference))


Grids = tuple[tuple[AxisGrid, ...], tuple[AxisGrid, ...]]
"""Binnings of generated and of reconstructed objects, the same for all samples."""


def find_grids(reference: Pairs, against: Sequence[str]) -> Grids:
    """Choose bins of p_T, |eta|, kinds of generated objects, and columns of the event.

    Args:
        reference: The sample that decides the bins.
        against: Columns of the event.
    """
    link, columns = reference.link, reference.generated.columns
    event = [event_axis(name, columns[name]) for name in against]

    def kinematic(collection: Collection, kind: Axis | None) -> tuple[AxisGrid, ...]:
        pt, eta, _ = collection.axes
        fine, coarse = pt_axes(pt, columns[link.partners.axes[0]])
        grids = [
            AxisGrid(fine),
            AxisGrid(Axis(f"|{eta}|", ABS_ETA)),
            AxisGrid(coarse, Axis(f"|{eta}|", REGIONS)),
            *(AxisGrid(axis) for axis in event if axis is not None),
        ]
        return (*grids, AxisGrid(coarse, kind)) if kind is not None else tuple(grids)

    kind = kind_axis(link.flavours, [columns[name] for name in link.flavours])
    return kinematic(link.partners, kind), kinematic(link.objects, None)


def find_curves(
    reference: Pairs, other: Pairs, grids: Grids, seed: int = 0, replicas: int = REPLICAS
) -> tuple[Curve, ...]:
    """Return all figures of two samples, with uncertainties from a bootstrap of events.

    Args:
        reference: The true sample.
        other: The sample to compare with it, of other events.
        grids: Binnings of the figures.
        seed: Seed of the bootstrap.
        replicas: Replicas of either sample.
    """
    before = _figures(reference, grids, [seed, 0], replicas)
    after = _figures(other, grids, [seed, 1], replicas)
    return tuple(
        curve
        for key, first in before.items()
        for curve in _curves(*key, first, after[key])
    )


_Figures = dict[tuple[Quantity, AxisGrid], Array]
"""Values, errors and numbers of rows of each figure of one sample, shape (3, cells)."""


def _with_abs(level: Level, eta: str, more: Mapping[str, Array]) -> Level:
    """Return the objects with |eta| and more columns."""
    columns = {**level.columns, f"|{eta}|": np.abs(level.columns[eta]), **more}
    return replace(level, columns=columns)


def _figures(pairs: Pairs, grids: Grids, seed: Sequence[int], replicas: int) -> _Figures:
    """Return figures of three kinds of rows.

    Generated objects: true if reconstructed. Reconstructed objects: true if without a partner.
    Pairs: reconstructed p_T over generated p_T.
    """
    pt, eta, _ = pairs.link.objects.axes
    gen_pt, gen_eta, _ = pairs.link.partners.axes
    kind = {name: kinds(pairs.generated.columns[name]) for name in pairs.link.flavours}
    objects = _with_abs(pairs.objects, eta, {})
    generated = _with_abs(pairs.generated, gen_eta, kind)
    unmatched = pairs.partner < 0
    reco, gen = objects.columns[pt], generated.columns[gen_pt]
    # A response needs a finite reconstructed p_T, and a generated one above 0.
    row = np.flatnonzero(~unmatched)
    row = row[np.isfinite(reco[row]) & (gen[pairs.partner[row]] > 0)]
    partner = pairs.partner[row]
    matched = generated.some(partner)
    matched = replace(matched, event=objects.event[row], weight=objects.weight[row])
    response = reco[row].astype(np.float64) / gen[partner]
    of_generated, of_objects = grids
    views: list[tuple[tuple[Quantity, ...], Array, Level, tuple[AxisGrid, ...]]] = [
        (("efficiency",), pairs.reconstructed, generated, of_generated),
        (("without partner",), unmatched, objects, of_objects),
        (("median response", "half-width"), response, matched, of_generated),
    ]
    jobs = [
        (
            names,
            g,
            Binned(values, g.place(level.columns), g.cells, level.event, level.weight),
        )
        for names, values, level, view_grids in views
        for g in view_grids
    ]
    compute = [(shares if len(names) == 1 else spreads)(rows) for names, _, rows in jobs]
    results = with_errors(compute, pairs.events, seed, replicas)
    figures = {}
    for (names, grid, rows), (values, errors) in zip(jobs, results, strict=True):
        number = (
            np.bincount(rows.cell[rows.cell >= 0], minlength=rows.cells) / pairs.folds
        )
        for name, value, error in zip(names, values, errors, strict=True):
            figures[name, grid] = np.stack([value, error, number])
    return figures


def _curves(
    quantity: Quantity, grid: AxisGrid, first: Array, second: Array
) -> Iterator[Curve]:
    """Yield a curve for each part of a grid that has a bin with rows."""
    rows = np.stack([first[2], second[2]])
    enough = rows.min(axis=0) >= LEAST
    few = ~enough & (rows.max(axis=0) > 0)
    numbers = np.where(enough, np.concatenate([first[:2], second[:2]]), np.nan)
    scale = np.abs(numbers[:1]) if quantity in RELATIVE else np.ones((1, grid.cells))
    numbers = np.concatenate([numbers, TOLERANCE[quantity] * scale])
    for k, part in enumerate(grid.part_names):
        cells = slice(k * len(grid.along), (k + 1) * len(grid.along))
        if not (enough | few)[cells].any():
            continue
        reference, reference_error, other, other_error, tolerance = (
            tuple(row) for row in numbers[:, cells].tolist()
        )
        yield Curve(
            quantity,
            grid.label,
            grid.along.label,
            part,
            grid.along.edges,
            reference,
            reference_error,
            other,
            other_error,
            tolerance,
            left_out=int(few[cells].sum()),
        )
