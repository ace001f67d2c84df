"""The local test: regions chosen by one half of the events, judged by the other half.

The regions stay as they are when labels are permuted, as classifiers do. After D'Agnolo and Wulzer,
"Learning new physics from a machine" (2019), with regions that one can name in place of a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from flowtuple.comparison.events.objects import Objects
from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    PreparedTest,
    Test,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.comparison.two_sample.regions import (
    Axis,
    Region,
    deviations,
    find_regions,
    largest_deviation,
)
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress

NAME = "local"
_REGIONS = 12
_LEAST_ROWS = 40  # of each sample, to choose regions by
_MOST_ROWS = 300_000  # to choose regions by
_COMPARED = 20
_BOXED = 12
_COMPARED_EVENTS = 14  # numbers of events, of which there are hundreds
_BOXED_EVENTS = 8


@dataclass(frozen=True, eq=False)
class _Level:
    """Rows of one kind: events, or the objects of one collection.

    Attributes:
        axes: Columns and expressions of them.
        boxed: Places of the axes that boxes are made of.
        event: Event of each row, int64 of shape (N,).
        weight: float64 of shape (N,).
    """

    axes: tuple[Axis, ...]
    boxed: tuple[int, ...]
    event: Array
    weight: Array

    def inside(self, region: Region) -> tuple[Array, Array]:
        """Return which rows lie in the box, and which of these pass the cut that is compared."""
        values = {axis.text: axis.values for axis in self.axes}
        box = np.ones(len(self.event), bool)
        for half in region.box:
            box &= half.passes(values[half.text])
        return box, box & region.split.passes(values[region.split.text])


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Choose regions; the statistic is the difference of shares in standard deviations."""
    progress("compare", 0.0, "looking for regions")
    chosen: list[tuple[_Level, Region]] = []
    details: dict[str, Any] = {}
    for columns, event, weight, objects in _kinds(pooled):
        train = ~pooled.test_half[event]
        part = np.flatnonzero(train)
        if len(part) > _MOST_ROWS:
            drawn = np.random.default_rng([seed, 7]).permutation(len(part))[:_MOST_ROWS]
            details = {"rows": _MOST_ROWS, "of_rows": len(part)}
            part = np.sort(part[drawn])
        other = pooled.other[event[part]]
        if min(other.sum(), (~other).sum()) < _LEAST_ROWS:
            continue
        level = _level(columns, event, weight, part, other, objects=objects)
        axes = [Axis(axis.text, axis.values[part]) for axis in level.axes]
        regions = find_regions(axes, other, weight[part], _REGIONS, level.boxed)
        chosen += [(level, region) for region in regions]
    chosen.sort(key=lambda pair: -abs(pair[1].deviations))
    unique = {
        str(region): (level, region) for level, region in reversed(chosen[:_REGIONS])
    }
    kept = list(reversed(unique.values()))
    return _prepared(pooled, kept, details)


def _prepared(
    pooled: Pooled, chosen: Sequence[tuple[_Level, Region]], details: Mapping[str, Any]
) -> PreparedTest:
    sums = [_sums(level, region, pooled) for level, region in chosen]
    by_event = np.concatenate(sums, axis=1) if sums else np.zeros((len(pooled.other), 0))
    whole = by_event.sum(axis=0)[:, None]

    def statistics(labels: Permutations) -> Array:
        other = labels.sums(by_event)
        rest = whole - other
        return np.abs(_of_sums(rest, other))

    truth = Permutations(pooled.other.astype(np.uint8)[:, None])
    other = truth.sums(by_event)
    rest = whole - other
    signed = _of_sums(rest, other)[:, 0]
    about = {}
    for k, (_, region) in enumerate(chosen):
        passing, passing_rest = other[3 * k, 0], rest[3 * k, 0]
        box, box_rest = other[3 * k + 1, 0], rest[3 * k + 1, 0]
        about[str(region)] = {
            "region": region.cuts,
            "compared": str(region.split),
            "expected": float(passing_rest / box_rest * box) if box_rest > 0 else None,
            "observed": float(passing),
            "in_region": float(box),
            "in_region_of_reference": float(box_rest),
            "standard_deviations": float(signed[k]),
        }
    names = [str(region) for _, region in chosen]
    pictures = {str(r): partial(_drawn, level, r) for level, r in chosen}
    return PreparedTest(statistics, {NAME: details}, names, about, pictures)


def _of_sums(first: Array, second: Array) -> Array:
    """Return deviations, from passing weight, weight and squared weight of each region in turn."""
    whole = np.stack([first[1::3], first[2::3], second[1::3], second[2::3]])
    return deviations(first[0::3], second[0::3], whole)


def _sums(level: _Level, region: Region, pooled: Pooled) -> Array:
    """Return sums over the rows of each event of the judging half: shape (E, 3)."""
    box, passing = level.inside(region)
    judged = pooled.test_half[level.event]
    parts = (passing * level.weight, box * level.weight, box * np.square(level.weight))
    sums = [np.bincount(level.event, part * judged, len(pooled.other)) for part in parts]
    return np.stack(sums, axis=1)


def _drawn(level: _Level, region: Region) -> tuple[str, Array, Array]:
    """Return what a picture shows of the rows in a box: its label, values and events."""
    box, _ = level.inside(region)
    values = next(a.values for a in level.axes if a.text == region.split.text)
    return f"{region.split.text} where {region.cuts}", values[box], level.event[box]


def _kinds(pooled: Pooled) -> Iterator[tuple[dict[str, Array], Array, Array, bool]]:
    """Yield the columns, events and weights of the rows, and of the objects of each collection."""
    columns = dict(zip(pooled.columns, pooled.values.T, strict=True))
    for name in pooled.residual_names:
        # No cut that one can paste names a residual; the test of relations has them.
        del columns[name]
    yield columns, pooled.event, pooled.weight, not pooled.objects
    by_event = pooled.by_event(pooled.weight)
    for objects in pooled.objects:
        yield _numbers(objects), objects.event, by_event[objects.event], True


def _numbers(objects: Objects) -> dict[str, Array]:
    """Return the columns of objects that are compared, with a number in place of NaN."""
    kinds = ("reference", "id", "weight")
    out = {}
    for name, values in objects.columns.items():
        if objects.roles[name] not in kinds:
            there = np.isfinite(values)
            lowest = values[there].min() if there.any() else 0.0
            out[name] = np.where(there, values, lowest - 1.0)
    return out


def _level(
    columns: Mapping[str, Array],
    event: Array,
    weight: Array,
    part: Array,
    other: Array,
    *,
    objects: bool,
) -> _Level:
    """Return the columns to look at: those of momenta, and those that differ most by themselves.

    Args:
        columns: All columns of the rows.
        event: Event of each row.
        weight: Shape (N,).
        part: Rows to choose by.
        other: True for those of the second sample.
        objects: Whether the rows are objects, or events of few columns.
    """
    compared, boxed = (
        (_COMPARED, _BOXED) if objects else (_COMPARED_EVENTS, _BOXED_EVENTS)
    )
    axes, ratios = list(_axes(columns)), list(_ratios(columns)) if objects else []
    size = {
        axis.text: largest_deviation(axis.values[part], other, weight[part])
        for axis in axes
    }
    first = [a.text for a in axes if _is_momentum(a.text)] if objects else []
    by_size = sorted(size, key=lambda text: -size[text])
    order = list(dict.fromkeys([*first, *by_size]))[: compared - len(ratios)]
    kept = {axis.text: axis for axis in axes}
    chosen = (*(kept[text] for text in order), *ratios)
    return _Level(chosen, tuple(range(min(boxed, len(order)))), event, weight)


def _is_momentum(text: str) -> bool:
    return text.rstrip(")").endswith(("_pt", "_eta", "_mass", "_m"))


def _axes(columns: Mapping[str, Array]) -> Iterator[Axis]:
    for name, values in columns.items():
        if name.endswith("_eta"):
            yield Axis(f"abs({name})", np.abs(values))
        else:
            yield Axis(name, values)


def _ratios(columns: Mapping[str, Array]) -> Iterator[Axis]:
    """Yield the mass of an object over its p_T."""
    for name, pt in columns.items():
        stem = name.removesuffix("_pt")
        for mass in (f"{stem}_mass", f"{stem}_m"):
            if stem != name and mass in columns and (pt > 0).all():
                yield Axis(f"{mass} / {name}", columns[mass] / pt)


TESTS = {
    NAME: Test(
        "difference of shares in regions that the other half of the events chose",
        prepare,
    )
}
