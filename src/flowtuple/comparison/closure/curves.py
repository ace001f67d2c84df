"""Efficiency, objects without a partner and response in bins, of two samples, and where these lie too far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from flowtuple.comparison.closure.bootstrap import REPLICAS, Binned, shares, spreads, with_errors
from flowtuple.comparison.closure.pairs import Pairs
from flowtuple.data.schema import Array

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
    """One figure in bins of one quantity, of two samples. A bin with too few rows in either holds NaN.

    Attributes:
        quantity: What is drawn.
        grid: What it is drawn against, and what tells parts apart, in words.
        along: What the bins are of.
        part: Which part; empty for everything.
        edges: Of k bins.
        reference: Of the reference, k numbers.
        reference_error: Their standard deviations.
        other: Of the other sample.
        other_error: Likewise.
        tolerance: How far the two may lie apart beside 2 sigma.
        left_out: Bins with rows, but too few.
    """

    quantity: Quantity
    grid: str
    along: str
    part: str
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    reference_error: tuple[float, ...]
    other: tuple[float, ...]
    other_error: tuple[float, ...]
    tolerance: tuple[float, ...]
    left_out: int

    @property
    def sigma(self) -> Array:
        """Standard deviation of the difference of two independent samples, shape (k,)."""
        return np.hypot(self.reference_error, self.other_error)

    @property
    def bins(self) -> int:
        """How many are judged."""
        return int(np.isfinite(self.sigma).sum())

    @property
    def excess(self) -> Array:
        """By how much the difference goes beyond 2 sigma, in the unit of `tolerance`, shape (k,)."""
        return np.abs(np.subtract(self.other, self.reference)) - DEVIATIONS * self.sigma

    @property
    def beyond(self) -> Array:
        """Where the samples differ by more than the tolerance and 2 sigma: bool of shape (k,)."""
        return self.excess > np.array(self.tolerance)

    @property
    def grave(self) -> Array:
        """Where they differ by more than the tolerance and 5 sigma, which is not by chance: bool of shape (k,)."""
        return (
            np.abs(np.subtract(self.other, self.reference))
            > np.array(self.tolerance) + GRAVE * self.sigma
        )

    @property
    def worst(self) -> float:
        """The largest excess, of the response relative to the reference's; NaN without a bin."""
        scale = np.abs(self.reference) if self.quantity in RELATIVE else 1.0
        excess = self.excess / scale
        return float(np.nanmax(excess)) if np.isfinite(excess).any() else float("nan")


@dataclass(frozen=True, eq=False)
class _View:
    """Rows of one level with what they can be drawn against."""

    values: Array
    columns: dict[str, Array]
    event: Array
    weight: Array

    def binned(self, grid: AxisGrid) -> Binned:
        return Binned(self.values, grid.place(self.columns), grid.cells, self.event, self.weight)


@dataclass(frozen=True)
class Grids:
    """What figures are drawn against; found once, so that all samples have the same bins.

    Attributes:
        given: Of generated objects.
        reconstructed: Of reconstructed ones.
    """

    given: tuple[AxisGrid, ...]
    reconstructed: tuple[AxisGrid, ...]


def find_grids(reference: Pairs, against: Sequence[str]) -> Grids:
    """Bins of p_T and |eta|, of both, by kind of generated object, and of columns of the event."""
    theirs, own = reference.link.partners.axes, reference.link.objects.axes
    unit_from = reference.values[theirs[0]]
    axes = [a for n in against if (a := event_axis(n, reference.given[n])) is not None]
    found = []
    for pt, eta, _ in (theirs, own):
        fine, coarse = pt_axes(pt, unit_from)
        regions = Axis(f"|{eta}|", REGIONS)
        found.append(
            [
                AxisGrid(fine),
                AxisGrid(Axis(f"|{eta}|", ABS_ETA)),
                AxisGrid(coarse, regions),
                *(AxisGrid(a) for a in axes),
            ]
        )
        if pt == theirs[0]:
            names = reference.link.flavours
            kind = kind_axis(names, [reference.values[n] for n in names])
            found[0] += [AxisGrid(coarse, kind[1])] if kind else []
    return Grids(*(tuple(grids) for grids in found))


def find_curves(
    reference: Pairs, other: Pairs, grids: Grids, seed: int = 0, replicas: int = REPLICAS
) -> tuple[Curve, ...]:
    """All figures of two samples, with uncertainties from a bootstrap of events.

    Args:
        reference: What is right.
        other: What is held against it, of other events.
        grids: What figures are drawn against.
        seed: Of the bootstrap.
        replicas: Of either sample.
    """
    samples = [
        _figures(pairs, grids, [seed, k], replicas) for k, pairs in enumerate((reference, other))
    ]
    curves: list[Curve] = []
    for (quantity, grid, *before), (_, _, *after) in zip(*samples, strict=True):
        curves += _curves(quantity, grid, before, after)
    return tuple(curves)


def _figures(
    pairs: Pairs, grids: Grids, seed: Sequence[int], replicas: int
) -> list[tuple[Quantity, AxisGrid, Array, Array, Array]]:
    """Quantity, grid, values, errors and numbers of rows, each of shape (cells,)."""
    efficiency, response, without = _views(pairs)
    jobs: list[tuple[tuple[Quantity, ...], AxisGrid, Binned]] = [
        (("efficiency",), grid, efficiency.binned(grid)) for grid in grids.given
    ]
    jobs += [(("without partner",), grid, without.binned(grid)) for grid in grids.reconstructed]
    jobs += [
        (("median response", "half-width"), grid, response.binned(grid)) for grid in grids.given
    ]
    figures = [(shares if len(names) == 1 else spreads)(rows) for names, _, rows in jobs]
    found = []
    for (names, grid, rows), (values, errors) in zip(
        jobs, with_errors(figures, pairs.events, seed, replicas), strict=True
    ):
        rows_of = np.bincount(rows.cell[rows.cell >= 0], minlength=rows.cells) / pairs.folds
        found += [(name, grid, values[k], errors[k], rows_of) for k, name in enumerate(names)]
    return found


def _views(pairs: Pairs) -> tuple[_View, _View, _View]:
    """Generated objects with whether they are found; pairs with their response; reconstructed objects, whether alone."""
    link, values, there = pairs.link, pairs.values, pairs.partner >= 0
    (pt, eta, _), (gen_pt, gen_eta, _) = link.objects.axes, link.partners.axes
    alone = ~there
    given = {gen_pt: values[gen_pt], f"|{gen_eta}|": np.abs(values[gen_eta]), **pairs.given}
    given |= {name: kinds(values[name]) for name in link.flavours}
    there[there] = np.isfinite(values[pt][there]) & (
        values[gen_pt][pairs.partner[there]] > 0
    )  # what has a response
    place = pairs.partner[there]
    response = values[pt][there].astype(np.float64) / values[gen_pt][place]
    own = {
        pt: values[pt],
        f"|{eta}|": np.abs(values[eta]),
        **{name: values[name] for name in pairs.given},
    }
    return (
        _View(pairs.found, given, pairs.given_event, pairs.given_weight),
        _View(
            response,
            {n: content[place] for n, content in given.items()},
            pairs.event[there],
            pairs.weight[there],
        ),
        _View(alone, own, pairs.event, pairs.weight),
    )


def _curves(
    quantity: Quantity, grid: AxisGrid, before: Sequence[Array], after: Sequence[Array]
) -> list[Curve]:
    """One for each part of a grid that has a bin."""
    fewest, most = np.minimum(before[2], after[2]), np.maximum(before[2], after[2])
    judged = fewest >= LEAST
    values, error, others, other_error = (
        np.where(judged, content, np.nan) for content in (*before[:2], *after[:2])
    )
    tolerance = TOLERANCE[quantity] * (
        np.abs(values) if quantity in RELATIVE else np.ones(grid.cells)
    )
    out = []
    for k in range(1 if grid.parts is None else len(grid.parts)):
        cells = slice(k * len(grid.along), (k + 1) * len(grid.along))
        few = int((~judged & (most > 0))[cells].sum())
        if judged[cells].any() or few:
            out.append(
                Curve(
                    quantity,
                    grid.label,
                    grid.along.label,
                    "" if grid.parts is None else grid.parts.name(k),
                    grid.along.edges,
                    reference=_numbers(values[cells]),
                    reference_error=_numbers(error[cells]),
                    other=_numbers(others[cells]),
                    other_error=_numbers(other_error[cells]),
                    tolerance=_numbers(tolerance[cells]),
                    left_out=few,
                )
            )
    return out


def _numbers(content: Array) -> tuple[float, ...]:
    return tuple(content.tolist())
