"""Search for regions in which one column is distributed differently in two samples.

A region is a box in one or two columns. Within it the shares of rows above a threshold of another
column are compared, which sees a distortion that leaves the numbers of rows of the box unchanged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array

_QUANTILES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
_LEAST_WORTH = 12.0  # events of weight 1 that either sample has in a box
_SIMPLER = 0.97  # a box of one column in place of two has to reach that share
_PER_COLUMN = 4  # regions for one compared column
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Axis:
    """A column, or an expression of columns, with thresholds.

    Attributes:
        text: The column or expression, as cuts name it.
        values: Shape (N,).
    """

    text: str
    values: Array


@dataclass(frozen=True)
class Half:
    """One side of a threshold: `above` means values above it."""

    text: str
    threshold: float
    above: bool

    def __str__(self) -> str:
        return f"{self.text} {'>' if self.above else '<='} {self.threshold:.12g}"

    def passes(self, values: Array) -> Array:
        """Return which values lie on this side, bool of shape (N,)."""
        inside: Array = (
            values > self.threshold if self.above else values <= self.threshold
        )
        return inside


@dataclass(frozen=True)
class Region:
    """A box, and what differs in it.

    Attributes:
        box: Cuts that rows of the box pass; none for all rows.
        split: The cut of another column, whose shares are compared in the box.
        deviations: The difference of these shares in standard deviations, in the rows that the
            region was chosen by; above 0 where the second sample has more.
    """

    box: tuple[Half, ...]
    split: Half
    deviations: float

    @property
    def cuts(self) -> str:
        """The cuts of the box as one can paste them."""
        if len(self.box) == 1:
            return str(self.box[0])
        return " & ".join(f"({half})" for half in self.box) or "all"

    def __str__(self) -> str:
        return f"{self.split} where {self.cuts}" if self.box else str(self.split)


def thresholds(values: Array) -> Array:
    """Return about equally many values between thresholds, which have three digits."""
    wanted = np.quantile(values, _QUANTILES)
    rounded = np.array([float(f"{value:.3g}") for value in wanted])
    inside = (rounded >= values.min()) & (rounded < values.max())
    return np.unique(rounded[inside])


def find_regions(
    axes: Sequence[Axis], other: Array, weight: Array, most: int, boxed: Sequence[int]
) -> list[Region]:
    """Return the regions where two samples differ most, the most different first.

    Args:
        axes: Columns of the rows, shape (N,) each.
        other: True for rows of the second sample, shape (N,).
        weight: Shape (N,).
        most: Number of regions at most, four at most for one compared column.
        boxed: Places among the axes that boxes are made of; all are compared.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> x, y, other = draw.random(4000), draw.random(4000), np.arange(4000) % 2 == 1
        >>> y[other & (x > 0.8)] **= 2
        >>> axes = [Axis("x", x), Axis("y", y)]
        >>> find_regions(axes, other, np.ones(4000), 1, [0])[0].cuts
        'x > 0.802'
    """
    edges = [thresholds(axis.values) for axis in axes]
    bins = [
        np.searchsorted(cuts, axis.values, side="left")
        for cuts, axis in zip(edges, axes, strict=True)
    ]
    search = _Search(axes, edges, bins, other, weight)
    found: dict[str, Region] = {}
    for split in range(len(axes)):
        if not len(edges[split]):
            continue
        places = [k for k in boxed if k != split and len(edges[k])]
        for box in _boxes(places):
            region = search.best(box, split)
            if region is not None:
                found.setdefault(str(region), region)
    return list(_chosen(found.values(), most))


def _boxes(places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield pairs of columns; with only one or none, that one or none."""
    if len(places) < 2:
        yield tuple(places)
    yield from itertools.combinations(places, 2)


def _chosen(regions: Iterable[Region], most: int) -> Iterator[Region]:
    number: dict[str, int] = {}
    left = most
    for region in sorted(regions, key=lambda r: -abs(r.deviations)):
        if left and number.get(region.split.text, 0) < _PER_COLUMN:
            number[region.split.text] = number.get(region.split.text, 0) + 1
            left -= 1
            yield region


@dataclass(frozen=True, eq=False)
class _Search:
    axes: Sequence[Axis]
    edges: Sequence[Array]
    bins: Sequence[Array]
    other: Array
    weight: Array

    def best(self, box: tuple[int, ...], split: int) -> Region | None:
        """Return the region of largest difference with cuts on some columns."""
        names = (*box, split)
        shape = tuple(len(self.edges[k]) + 1 for k in names)
        cell = np.ravel_multi_index([self.bins[k] for k in names], shape)
        cells = int(np.prod(shape))
        sums = []
        for kind in (~self.other, self.other):
            weight = self.weight[kind]
            sums.append(np.bincount(cell[kind], weight, cells))
            squares = (
                np.bincount(cell[kind], weight * weight, cells)
                if weight.std()
                else sums[-1] * weight[:1]
            )
            sums.append(squares)
        histograms = np.stack(sums).reshape(4, *shape)
        best: tuple[float, tuple[Half, ...], Half] | None = None
        for sides in itertools.product((True, False), repeat=len(box)):
            z = _deviations(histograms, sides)
            for simple in (False, True) if len(box) == 2 else (False,):
                for region in self._peaks(z, box, split, sides, simple=simple):
                    if best is None or _beats(region, best):
                        best = region
        return None if best is None else Region(best[1], best[2], best[0])

    def _peaks(
        self,
        z: Array,
        box: tuple[int, ...],
        split: int,
        sides: tuple[bool, ...],
        *,
        simple: bool,
    ) -> Iterator[tuple[float, tuple[Half, ...], Half]]:
        """Yield the largest difference, of boxes with one cut only if they have to be simple."""
        for view in [z[:, :1], z[:1]] if simple else [z]:
            peak = int(np.argmax(np.abs(view)))
            place = [int(p) for p in np.unravel_index(peak, view.shape)]
            value = float(view.ravel()[peak])
            cuts = tuple(
                Half(
                    self.axes[k].text,
                    float(self.edges[k][_edge(p, len(self.edges[k]), up)]),
                    up,
                )
                for k, p, up in zip(box, place, sides, strict=False)
                if p > 0
            )
            threshold = float(self.edges[split][place[-1]])
            yield value, cuts, Half(self.axes[split].text, threshold, above=True)


def _edge(place: int, number: int, above: bool) -> int:
    return place - 1 if above else number - place


def _beats(
    region: tuple[float, tuple[Half, ...], Half],
    best: tuple[float, tuple[Half, ...], Half],
) -> bool:
    """Return whether a region differs more, one of fewer cuts also if it differs nearly as much."""
    now, before = abs(region[0]), abs(best[0])
    if len(region[1]) < len(best[1]):
        return now > _SIMPLER * before
    return now > before if len(region[1]) == len(best[1]) else _SIMPLER * now > before


def _deviations(histograms: Array, sides: tuple[bool, ...]) -> Array:
    """Return the difference of shares in standard deviations, for all cuts on the given sides.

    Args:
        histograms: Weights and squared weights of the first sample, then of the second, shape
            (4, bins of the box's columns ..., bins of the compared column).
        sides: For each column of the box, whether it is cut from below.

    Returns:
        Shape (cuts ..., thresholds of the compared column); the first cut of a column is none.
    """
    sums = histograms
    for axis, above in enumerate(sides, start=1):
        if above:
            sums = np.flip(np.cumsum(np.flip(sums, axis), axis), axis)
        else:
            # The largest bin last is no cut, and comes first.
            sums = np.flip(np.cumsum(sums, axis), axis)
    upper = np.flip(np.cumsum(np.flip(sums, -1), -1), -1)
    whole, passing = upper[..., :1], upper[..., 1:]
    return deviations(passing[0], passing[2], whole)


def deviations(first: Array, second: Array, whole: Array) -> Array:
    """Return by how many standard deviations the share of the second sample is the larger one.

    Args:
        first: Weight of the first sample that passes, any shape.
        second: That of the second sample.
        whole: Weights and squared weights of the first sample, then of the second, that can pass.
    """
    weight, squares, weight_b, squares_b = np.maximum(whole, _TINY)
    share = (first + second) / (weight + weight_b)
    variance = share * (1 - share) * (squares / weight**2 + squares_b / weight_b**2)
    difference = second / weight_b - first / weight
    enough = np.minimum(weight**2 / squares, weight_b**2 / squares_b) >= _LEAST_WORTH
    usable = enough & (variance > _TINY)
    return np.where(usable, difference / np.sqrt(np.maximum(variance, _TINY)), 0.0)


def largest_deviation(values: Array, other: Array, weight: Array) -> float:
    """Return how much a column differs by itself: the largest difference over its thresholds.

    Args:
        values: Shape (N,).
        other: True for rows of the second sample, shape (N,).
        weight: Shape (N,).
    """
    edges = thresholds(values)
    if not len(edges):
        return 0.0
    bins = [np.searchsorted(edges, values, side="left")]
    region = _Search([Axis("", values)], [edges], bins, other, weight).best((), 0)
    return 0.0 if region is None else abs(region.deviations)
