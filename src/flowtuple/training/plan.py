"""What is to be trained: for each collection its columns as symbols and levels, and the parents that tell most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Context, Parent, Relation, collection_of, make_context
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import ESCAPE, Grid, Mantissas, Ordered
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.walk import MAX_OBJECTS
from flowtuple.training.ancestry import MAX_ANCESTORS, Ancestry
from flowtuple.training.relations import (
    decoding_order,
    reach,
    references,
    residuals,
    worth_subtracting,
)
from flowtuple.training.selection import SAMPLE_ROWS, select_parents

MIN_ROWS = 4000  # below, no conditioner has been seen to gain its own bytes
SETTLED = (
    0.98  # share of exact predictions from which on residuals are coded without trying the indices
)


@dataclass(frozen=True)
class EffortPreset:
    """What an effort means: sizes tried, relative to the size that the number of rows suggests, and steps for each."""

    sizes: tuple[float, ...]
    steps: int


RECIPES: dict[str, EffortPreset] = {
    "fast": EffortPreset((0.7,), 800),
    "default": EffortPreset((0.5, 1.0), 2000),
    "best": EffortPreset((0.5, 1.0, 2.0, 4.0), 6000),
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
class Candidate:
    """One way to code a column with a conditioner that is still to be trained.

    Attributes:
        name: The column.
        flow: All of its flow but the network.
        coded: What the network is to code, indices or residuals: int64, shape (n,), in row order.
        inputs: Positions of its parents among the features of its task.
    """

    name: str
    flow: ColumnFlow
    coded: Array
    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ColumnTask:
    """The conditioners of one collection, ready to be trained together.

    Attributes:
        candidates: D ways to code columns; a column may have two.
        features: uint8, shape (C, n), every level that any of them reads.
        event: The event of each row, to hold out whole events.
        weight: Of each row, shape (n,), of mean 1; `None` where all count alike.
    """

    candidates: tuple[Candidate, ...]
    features: Array
    event: Array
    weight: Array | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Tasks, one per collection worth a model, and what does not need one.

    Attributes:
        tasks: What to train.
        order: Names of all columns of numbers, in coding order.
        indices: Indices by column name, in row order.
        predictions: Relations by column name.
        predicted: Indices that they predict.
        scales: The bins that levels are counted in, of every column that a parent may point to.
        given: Names of columns that are not to be coded.
    """

    tasks: tuple[ColumnTask, ...]
    order: tuple[str, ...]
    indices: Mapping[str, Array]
    predictions: Mapping[str, Prediction]
    predicted: Mapping[str, Array]
    scales: Mapping[str, Bins]
    given: Set[str] = frozenset()


def make_plan(
    table: Table,
    lattices: Mapping[str, Lattice],
    predictions: Mapping[str, Prediction],
    given: Set[str] = frozenset(),
    detail: int = 1,
    weight: Array | None = None,
    least: int = MIN_ROWS,
    *,
    thorough: bool = False,
) -> Plan:
    """Bins and parents for the columns of a table that a flow could code: not constant, not ids, rows enough.

    Args:
        table: Events to learn from.
        lattices: By column name.
        predictions: Relations by column name.
        given: Names of columns that are not to be coded.
        detail: Times the number of bins that pays for its bytes.
        weight: Of each event, shape (events,); `None` where all count alike.
        least: Rows that a conditioner is worth.
        thorough: Let conditioners read what tells something only beside something else.
    """
    context = make_context(table.columns, table.num_entries, table.data)
    order, predictions = decoding_order(table.columns, predictions, given), dict(predictions)
    builder = _Builder(
        table.columns, context, lattices, predictions, given, detail, least, thorough
    )
    for column in order:
        builder.add(column, table.data[column.name].reshape(-1))
    earlier: list[Column] = []
    wanted: dict[str, list[_Wanted]] = {}
    most = reach(len(table.columns))
    for column in order:
        if column.name in predictions and not builder.ancestry.has_room(
            predictions[column.name].inputs
        ):
            del predictions[column.name]
        builder.ancestry.add(
            column.name, predictions[column.name].inputs if column.name in predictions else ()
        )
        for way in builder.ways(column, earlier[-most:]) if column.name not in given else ():
            wanted.setdefault(collection_of(column), []).append(way)
        if column.name in builder.scales and not (
            column.name in predictions and predictions[column.name].is_copy
        ):
            earlier.append(column)
    return Plan(
        tasks=tuple(builder.task(key, ways, weight) for key, ways in wanted.items()),
        order=tuple(c.name for c in order),
        indices=builder.indices,
        predictions=predictions,
        predicted=builder.predicted,
        scales=builder.scales,
        given=given,
    )


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A candidate before the features of its task are known."""

    name: str
    coded: Array
    bins: Bins
    residual: bool
    parents: tuple[Parent, ...]


class _Builder:
    """Gathers what a plan needs, column by column, in coding order."""

    def __init__(
        self,
        columns: Sequence[Column],
        context: Context,
        lattices: Mapping[str, Lattice],
        predictions: Mapping[str, Prediction],
        given: Set[str],
        detail: int,
        least: int,
        thorough: bool,
    ) -> None:
        self._detail, self._least, self._thorough = detail, least, thorough
        self._decoded = sum(c.name not in given for c in columns)
        self._context = context
        self._lattices = lattices
        self._predictions = predictions
        predicting = {
            c
            for prediction in predictions.values()
            for p in prediction.inputs
            for c in (p.column, p.through)
        }
        self.ancestry = Ancestry(
            {c.counter for c in columns if c.counter is not None} | given, predicting
        )
        self.indices: dict[str, Array] = {}
        self.predicted: dict[str, Array] = {}
        self.scales: dict[str, Bins] = {}

    def add(self, column: Column, values: Array) -> None:
        """Indices, levels and values of a column, and what is predicted of it."""
        name, rows, lattice = (
            column.name,
            self._context.rows(collection_of(column)),
            self._lattices[column.name],
        )
        values = rows.sort(values)
        q = self.indices[name] = lattice.encode(values)
        self._context.values[name] = lattice.decode(q, values[q == ESCAPE])
        if len(q) >= self._least and column.role != "id" and (q != q[0]).any():
            self.scales[name] = fit_bins(
                q, self._detail * bin_count(len(q)), binade_of(lattice.grid)
            )
            self._context.levels[name] = self.scales[name].level(q)
        if name in self._predictions:
            part, key = slice(0, len(q)), collection_of(column)
            predicted = self._predictions[name].index(
                lambda parent: self._context.fetch(parent, key, part), lattice
            )
            self.predicted[name] = np.broadcast_to(predicted, len(q))

    def ways(self, column: Column, earlier: Sequence[Column]) -> list[_Wanted]:
        """How a conditioner could code a column: its indices, its residuals, or both are to be tried."""
        name = column.name
        if name not in self.scales:
            return []
        q, prediction = self.indices[name], self._predictions.get(name)
        r = None if prediction is None else residuals(q, self.predicted[name], prediction)
        if r is not None and (r == r[0]).all():
            return []
        candidates = self._readable(column, earlier)
        settled = r is not None and (
            np.mean(r == 0) > SETTLED or (prediction is not None and prediction.period is not None)
        )
        ways = [] if settled else [self._way(name, q, candidates, residual=False)]
        if r is None or not (settled or self._worth_subtracting(column, q, r)):
            return ways
        return [*ways, self._way(name, r, candidates, residual=True)]

    def _worth_subtracting(self, column: Column, q: Array, r: Array) -> bool:
        stride = max(1, len(q) // SAMPLE_ROWS)
        classes = np.minimum(self._context.rows(collection_of(column)).number[::stride], 3)
        return worth_subtracting(q[::stride], r[::stride], classes)

    def _way(
        self, name: str, coded: Array, candidates: Sequence[Parent], *, residual: bool
    ) -> _Wanted:
        bins = (
            fit_bins(coded, self._detail * bin_count(len(coded))) if residual else self.scales[name]
        )
        stride = max(1, len(coded) // SAMPLE_ROWS)
        target = bins.level(coded[::stride])
        levels = (
            np.stack([self._level(parent, name)[::stride] for parent in candidates])
            if candidates
            else np.empty((0, 1))
        )
        own = np.array(
            [p.column == name for p in candidates], bool
        )  # object after object, not all at once
        above, limit = self.ancestry.above(name), self.ancestry.limit(name)
        needs = (
            [self.ancestry.needs(p) - {name} for p in candidates]
            if self._decoded > MAX_ANCESTORS
            else None
        )
        levels = np.ascontiguousarray(levels, np.uint8)
        chosen = (
            select_parents(target, levels, own, above, needs, limit, thorough=self._thorough)
            if candidates
            else []
        )
        parents = tuple(candidates[k] for k in chosen)
        self.ancestry.add(name, parents)
        return _Wanted(name, coded, bins, residual, parents)

    def _readable(self, column: Column, earlier: Sequence[Column]) -> list[Parent]:
        """Everything that a column may read."""
        key, found = collection_of(column), []
        ragged = self._context.rows(key).number.any()
        own = [c for c in earlier if collection_of(c) == key]
        if ragged:
            itself = [column] if self._context.rows(key).counts.max() <= MAX_OBJECTS else []
            found.append(Parent("index"))
            found += [Parent(relation, c.name) for c in [*own, *itself] for relation in _AROUND]
        found += [Parent("row", c.name) for c in own]
        if key:
            found += [Parent("event", c.name) for c in earlier if collection_of(c) == ""]
            found += self._across(column, key, earlier)
        if column.name in self._predictions:
            found.append(Parent("prediction"))
        return found

    def _across(self, column: Column, key: str, earlier: Sequence[Column]) -> list[Parent]:
        """Other collections: their first object, the one with the same number, the one that a reference points to."""
        others = [c for c in earlier if collection_of(c) not in ("", key)]
        found = [Parent("leading", c.name) for c in others]
        found += [Parent("same", c.name) for c in others]
        names = {c.name for c in earlier}
        for through, targets in references([*earlier, column], column):
            if through.name in names:
                found += [
                    Parent("reference", c.name, through.name) for c in targets if c.name in names
                ]
        return found

    def _level(self, parent: Parent, name: str) -> Array:
        key = self._context.collection[name]
        part = slice(0, len(self.indices[name]))
        predicted = (
            self.scales[name].level(self.predicted[name])
            if parent.relation == "prediction"
            else None
        )
        level: Array = self._context.gather([parent], key, part, predicted)[0]
        return level

    def task(self, key: str, ways: Sequence[_Wanted], weight: Array | None) -> ColumnTask:
        """The features that the candidates of a collection read between them."""
        places: dict[tuple[Parent, str], int] = {}
        for way in ways:
            for parent in way.parents:
                places.setdefault(_feature(parent, way.name), len(places))
        features = np.empty((max(1, len(places)), len(ways[0].coded)), np.uint8)
        for (parent, name), place in places.items():
            features[place] = self._level(parent, name or ways[0].name)
        event = self._context.rows(key).event
        weights = None if weight is None else weight[event] / weight[event].mean()
        return ColumnTask(
            tuple(self._candidate(way, places) for way in ways), features, event, weights
        )

    def _candidate(self, way: _Wanted, places: Mapping[tuple[Parent, str], int]) -> Candidate:
        reads_prediction = any(p.relation == "prediction" for p in way.parents)
        prediction = self._predictions.get(way.name) if way.residual or reads_prediction else None
        scale = self.scales[way.name] if way.residual else None
        flow = ColumnFlow(way.bins, way.parents, None, prediction, way.residual, scale)
        return Candidate(
            way.name, flow, way.coded, tuple(places[_feature(p, way.name)] for p in way.parents)
        )


_AROUND: tuple[Relation, ...] = ("previous", "leading")


def _feature(parent: Parent, name: str) -> tuple[Parent, str]:
    """What tells features of a collection apart: predictions are those of one column, all else is shared."""
    return parent, name if parent.relation == "prediction" else ""


def binade_of(grid: Grid) -> int:
    """Indices of a binade on grids whose cells double from one to the next, 0 on others."""
    return grid.binade if isinstance(grid, (Ordered, Mantissas)) else 0


def bin_count(rows: int) -> int:
    """Bins that so many rows pay for; each bin costs a row of weights in every conditioner."""
    return 24 if rows < 20_000 else 32 if rows < 100_000 else 40 if rows < 500_000 else 64
