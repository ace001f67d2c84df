"""Figures in bins of two samples: efficiency, objects without a partner, and response.

A bin fails where the samples differ by more than a tolerance and 2 sigma.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from flowtuple.data.schema import Array

Numbers = tuple[float, ...]
Quantity = Literal["efficiency", "without partner", "median response", "half-width"]
TOLERANCE: dict[Quantity, float] = {
    "efficiency": 0.005,
    "without partner": 0.005,
    "median response": 0.02,
    "half-width": 0.02,
}
RELATIVE = ("median response", "half-width")  # their tolerance is a share of the reference's
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


@dataclass(frozen=True)
class Grids:
    """Binnings of all figures, the same for all samples.

    Attributes:
        generated: Binnings of generated objects.
        reconstructed: Binnings of reconstructed objects.
    """

    generated: tuple[AxisGrid, ...]
    reconstructed: tuple[AxisGrid, ...]


def find_grids(reference: Pairs, against: Sequence[str]) -> Grids:
    """Choose bins of p_T, |eta|, kinds of generated objects, and columns of the event.

    Args:
        reference: The sample that decides the bins.
        against: Columns of the event.
    """
    partners, objects = reference.link.partners, reference.link.objects
    columns = reference.generated.columns
    event = [event_axis(name, columns[name]) for name in against]
    event_grids = [AxisGrid(axis) for axis in event if axis is not None]
    unit_from = columns[partners.axes[0]]

    def kinematic(axes: Sequence[str]) -> tuple[list[AxisGrid], Axis]:
        fine, coarse = pt_axes(axes[0], unit_from)
        eta = f"|{axes[1]}|"
        grids = [
            AxisGrid(fine),
            AxisGrid(Axis(eta, ABS_ETA)),
            AxisGrid(coarse, Axis(eta, REGIONS)),
        ]
        return [*grids, *event_grids], coarse

    generated, coarse = kinematic(partners.axes)
    flavours = reference.link.flavours
    kind = kind_axis(flavours, [columns[name] for name in flavours])
    if kind is not None:
        generated.append(AxisGrid(coarse, kind[1]))
    return Grids(tuple(generated), tuple(kinematic(objects.axes)[0]))


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
    pairs = zip(before, after, strict=True)
    return tuple(curve for first, second in pairs for curve in _curves(first, second))


@dataclass(frozen=True, eq=False)
class _Figure:
    """A figure of one sample; values, errors and numbers of rows have the shape (cells,)."""

    quantity: Quantity
    grid: AxisGrid
    values: Array
    errors: Array
    rows: Array


def _views(pairs: Pairs) -> tuple[tuple[Array, Level], ...]:
    """Return a value of each row, and the rows, of three levels.

    Generated objects: true if reconstructed. Pairs: reconstructed p_T over generated p_T.
    Reconstructed objects: true if without a partner.
    """
    pt, eta, _ = pairs.link.objects.axes
    gen_pt, gen_eta, _ = pairs.link.partners.axes
    kind = {name: kinds(pairs.generated.columns[name]) for name in pairs.link.flavours}
    objects = _with_abs(pairs.objects, eta, {})
    generated = _with_abs(pairs.generated, gen_eta, kind)
    unmatched = pairs.partner < 0
    row = np.flatnonzero(~unmatched)
    reco, gen = objects.columns[pt], generated.columns[gen_pt]
    # A response needs a finite reconstructed p_T, and a generated one above 0.
    row = row[np.isfinite(reco[row]) & (gen[pairs.partner[row]] > 0)]
    partner = pairs.partner[row]
    matched = replace(
        generated.some(partner), event=objects.event[row], weight=objects.weight[row]
    )
    response = reco[row].astype(np.float64) / gen[partner]
    return (pairs.reconstructed, generated), (response, matched), (unmatched, objects)


def _with_abs(level: Level, eta: str, more: Mapping[str, Array]) -> Level:
    """Return the objects with |eta| and more columns."""
    columns = {**level.columns, f"|{eta}|": np.abs(level.columns[eta]), **more}
    return replace(level, columns=columns)


def _figures(pairs: Pairs, grids: Grids, seed: Sequence[int], replicas: int) -> list[_Figure]:
    generated, matched, objects = _views(pairs)
    views: list[tuple[tuple[Quantity, ...], tuple[Array, Level], tuple[AxisGrid, ...]]] = [
        (("efficiency",), generated, grids.generated),
        (("without partner",), objects, grids.reconstructed),
        (("median response", "half-width"), matched, grids.generated),
    ]
    jobs = [
        (names, g, Binned(values, g.place(level.columns), g.cells, level.event, level.weight))
        for names, (values, level), view_grids in views
        for g in view_grids
    ]
    compute = [(shares if len(names) == 1 else spreads)(rows) for names, _, rows in jobs]
    results = with_errors(compute, pairs.events, seed, replicas)
    figures = []
    for (names, grid, rows), (values, errors) in zip(jobs, results, strict=True):
        number = np.bincount(rows.cell[rows.cell >= 0], minlength=rows.cells) / pairs.folds
        for name, value, error in zip(names, values, errors, strict=True):
            figures.append(_Figure(name, grid, value, error, number))
    return figures


def _curves(first: _Figure, second: _Figure) -> list[Curve]:
    """Return a curve for each part of a grid that has a bin with rows."""
    grid, quantity = first.grid, first.quantity
    enough = np.minimum(first.rows, second.rows) >= LEAST
    few = ~enough & (np.maximum(first.rows, second.rows) > 0)
    numbers = [
        np.where(enough, content, np.nan)
        for content in (first.values, first.errors, second.values, second.errors)
    ]
    scale = np.abs(numbers[0]) if quantity in RELATIVE else np.ones(grid.cells)
    tolerance = TOLERANCE[quantity] * scale
    curves = []
    for k, part in enumerate(grid.part_names):
        cells = slice(k * len(grid.along), (k + 1) * len(grid.along))
        if not (enough | few)[cells].any():
            continue
        reference, reference_error, other, other_error, allowed = (
            tuple(content[cells].tolist()) for content in (*numbers, tolerance)
        )
        curves.append(
            Curve(
                quantity,
                grid.label,
                grid.along.label,
                part,
                grid.along.edges,
                reference,
                reference_error,
                other,
                other_error,
                allowed,
                int(few[cells].sum()),
            )
        )
    return curves
