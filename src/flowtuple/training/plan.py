"""What is to be trained: for each collection its columns as symbols and levels, and the parents that tell most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.errors import InvalidArgument
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Parent, Rows, coding_order, collection_counts, collection_of, gather
from flowtuple.lattice.lattice import Lattice
from flowtuple.schema import Array, Column
from flowtuple.table import Table

MAX_PARENTS = 16
MIN_ROWS = 4000  # below, no conditioner has been seen to gain its own bytes
_SAMPLE_ROWS = 8192
_LEAST_INFORMATION = 0.004  # bits; measured noise of the estimate at 8192 rows is 0.001


@dataclass(frozen=True)
class Recipe:
    """What an effort means: sizes tried, relative to the size that the number of rows suggests, and steps for each."""

    sizes: tuple[float, ...]
    steps: int


RECIPES: dict[str, Recipe] = {
    "fast": Recipe((1.0,), 800),
    "default": Recipe((1.0, 2.0), 2000),
    "best": Recipe((0.5, 1.0, 2.0, 4.0), 6000),
}


def check_effort(effort: str) -> str:
    """The effort, if it is one.

    Raises:
        InvalidArgument: It is not.
    """
    if effort not in RECIPES:
        raise InvalidArgument(f"effort {effort!r} is not one of {', '.join(RECIPES)}")
    return effort


@dataclass(frozen=True, eq=False)
class Task:
    """The conditioners of one collection, ready to be trained together.

    Attributes:
        names: The D columns, in coding order.
        indices: Their lattice indices, int64 arrays of shape (n,) in row order.
        bins: Their bins.
        parents: What each may read.
        features: uint8, shape (n, C), every level that any of them reads.
        inputs: For each column the positions of its parents in `features`.
        event: The event of each row, to hold out whole events.
    """

    names: tuple[str, ...]
    indices: tuple[Array, ...]
    bins: tuple[Bins, ...]
    parents: tuple[tuple[Parent, ...], ...]
    features: Array
    inputs: tuple[tuple[int, ...], ...]
    event: Array


@dataclass(frozen=True, eq=False)
class Plan:
    """Tasks, one per collection worth a model, and the bins of every column that a parent may point to."""

    tasks: tuple[Task, ...]
    bins: Mapping[str, Bins]


def make_plan(table: Table, lattices: Mapping[str, Lattice]) -> Plan:
    """Bins and parents for the columns of a table that a flow could code: not constant, not ids, rows enough."""
    groups: dict[str, list[Column]] = {}
    for column in coding_order(table.columns):
        groups.setdefault(collection_of(column), []).append(column)
    bins: dict[str, Bins] = {}
    levels: dict[str, Array] = {}
    tasks = []
    for columns in groups.values():
        rows = Rows(collection_counts(columns[0], table.data, table.num_entries))
        if len(rows) < MIN_ROWS:
            continue
        indices = _varying({c.name: _in_rows(table, c, lattices, rows) for c in columns if c.role != "id"})
        for name, q in indices.items():
            bins[name] = fit_bins(q, bin_count(len(q)))
            levels[name] = bins[name].level(q)
        event_columns = [c.name for c in groups.get("", []) if c.name in bins]
        if indices:
            tasks.append(_make_task(indices, bins, levels, rows, event_columns if collection_of(columns[0]) else []))
    return Plan(tuple(tasks), bins)


def _in_rows(table: Table, column: Column, lattices: Mapping[str, Lattice], rows: Rows) -> Array:
    return lattices[column.name].encode(table.data[column.name].reshape(-1))[rows.order]


def _varying(indices: dict[str, Array]) -> dict[str, Array]:
    return {name: q for name, q in indices.items() if (q != q[0]).any()}


def bin_count(rows: int) -> int:
    """Bins that so many rows pay for; each bin costs a row of weights in every conditioner."""
    return 24 if rows < 20_000 else 32 if rows < 100_000 else 48 if rows < 500_000 else 64


def _make_task(
    indices: Mapping[str, Array],
    bins: Mapping[str, Bins],
    levels: Mapping[str, Array],
    rows: Rows,
    outside: Sequence[str],
) -> Task:
    outer = [Parent("event", name) for name in outside]
    if outside or rows.index.any():
        outer.append(Parent("index"))
    candidates = [*outer, *(Parent("row", name) for name in indices)]
    features = gather(candidates, levels, rows)
    names = tuple(indices)
    inputs = []
    for k, name in enumerate(names):
        inputs.append(_most_informative(levels[name], features[:, : len(outer) + k]))
    return Task(
        names,
        tuple(indices.values()),
        tuple(bins[n] for n in names),
        tuple(tuple(candidates[c] for c in chosen) for chosen in inputs),
        features,
        tuple(inputs),
        rows.event,
    )


def _most_informative(target: Array, candidates: Array) -> tuple[int, ...]:
    """Candidate columns with the largest mutual information with the target, at most 16, estimated on 16 x 16 cells."""
    step = max(1, len(target) // _SAMPLE_ROWS)
    coarse_target, coarse = target[::step] >> 4, candidates[::step] >> 4
    information = np.array([_mutual_information(coarse_target, coarse[:, c]) for c in range(candidates.shape[1])])
    best = np.argsort(-information, kind="stable")[:MAX_PARENTS]
    return tuple(sorted(int(c) for c in best if information[c] > _LEAST_INFORMATION))


def _mutual_information(a: Array, b: Array) -> float:
    """Bits, with the first-order bias of the plug-in estimate taken off (Miller 1955)."""
    joint = np.bincount(a.astype(np.int64) * 16 + b, minlength=256).reshape(16, 16).astype(np.float64)
    n = joint.sum()
    outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True) / n
    filled = joint > 0
    bits = float((joint[filled] * np.log2(joint[filled] / outer[filled])).sum() / n)
    degrees = float((joint.sum(axis=1) > 0).sum() - 1) * ((joint.sum(axis=0) > 0).sum() - 1)
    corrected: float = bits - degrees / (2 * float(n) * math.log(2))
    return corrected
