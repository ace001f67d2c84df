"""Plan of a training: how each column may be coded, and the parents that tell most about it.

Every column becomes indices, bins and levels. Each way to code it by a conditioner is a candidate,
and the candidates of one collection are one task, trained together on shared features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.bins import Bins, fit_bins
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.event_features import quantile_knots
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.grid import Grid, Mantissas, Ordered
from flowtuple.lattice.lattice import Lattice, resolutions_of
from flowtuple.lattice.prediction import Prediction
from flowtuple.lattice.walk import MAX_OBJECTS
from flowtuple.training.event_features import KNOTS, energy_features, propose_features
from flowtuple.training.relations import (
    References,
    decoding_order,
    reach,
    residuals,
    windowed,
    worth_subtracting,
)
from flowtuple.training.sample import EncodedTable
from flowtuple.training.selection import (
    MAX_ANCESTORS,
    SAMPLE_ROWS,
    Ancestry,
    select_parents,
)

RARE_ROWS = 12_000
"""Rows up to which models of whole events read columns that tell something only in combination.

Larger collections show them one by one.
"""

MIN_ROWS = 4000  # no conditioner of fewer rows has been seen to save its own bytes
SETTLED = 0.98  # share of exact predictions from which on residuals alone are tried


@dataclass(frozen=True)
class EffortPreset:
    """Extent of a training.

    Attributes:
        sizes: Network sizes to try, relative to the one that the number of rows suggests.
        steps: Training steps of each.
    """

    sizes: tuple[float, ...]
    steps: int


EFFORTS: dict[str, EffortPreset] = {
    "fast": EffortPreset((0.7,), 800),
    "default": EffortPreset((0.5, 1.0), 2000),
    "best": EffortPreset((0.5, 1.0, 2.0, 4.0), 6000),
}


COMPLETE_EFFORTS: dict[str, EffortPreset] = {
    "fast": EffortPreset((0.7,), 600),
    "default": EffortPreset((0.7,), 1000),
    "best": EffortPreset((1.0,), 6000),
}
"""Of models of whole events, each of whose trainings ends with a tree."""


def check_effort(effort: str) -> str:
    """Return the name of an effort.

    Raises:
        InvalidArgument: There is no such effort.
    """
    if effort not in EFFORTS:
        raise InvalidArgument(f"effort {effort!r} is not one of {', '.join(EFFORTS)}")
    return effort


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to code a column with a conditioner that is still to be trained.

    Attributes:
        name: The column.
        flow: Its flow without the network.
        coded: Indices or residuals that the network is to code: int64, shape (n,), in row order.
        inputs: Positions of its parents among the features of its task.
    """

    name: str
    flow: ColumnFlow
    coded: Array
    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ColumnTask:
    """The conditioners of one collection, to be trained together.

    Attributes:
        candidates: D ways to code columns; a column may have two.
        features: uint8, shape (C, n), every level that any candidate reads.
        event: The event of each row, to split training and validation by whole events.
        weight: Weight of each row with mean 1, shape (n,); `None` for equal weights.
    """

    candidates: tuple[Candidate, ...]
    features: Array
    event: Array
    weight: Array | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Tasks to train, one for each collection, and what is known of columns without training.

    Attributes:
        tasks: What to train.
        order: Names of all columns of numbers, in coding order.
        indices: Indices by column name, in row order.
        predictions: Relations by column name.
        predicted: Predicted indices by column name.
        scales: Bins in which levels are counted, of every column that a parent may point to.
        external: Names of columns that are not coded.
        resolutions: Resolution by the name of its column.
    """

    tasks: tuple[ColumnTask, ...]
    order: tuple[str, ...]
    indices: Mapping[str, Array]
    predictions: Mapping[str, Prediction]
    predicted: Mapping[str, Array]
    scales: Mapping[str, Bins]
    external: Set[str] = frozenset()
    resolutions: Mapping[str, str] = field(default_factory=dict)


def make_plan(
    table: Table,
    lattices: Mapping[str, Lattice],
    predictions: Mapping[str, Prediction],
    external: Set[str] = frozenset(),
    detail: int = 1,
    weight: Array | None = None,
    least: int = MIN_ROWS,
    *,
    thorough: bool = False,
    whole_events: bool = False,
) -> Plan:
    """Choose bins and parents for every column that a conditioner may code.

    Constant columns, ids and columns of few rows get no candidate.

    Args:
        table: Events to learn from.
        lattices: Lattice by column name.
        predictions: Relations by column name.
        external: Names of columns that are not coded.
        detail: Factor on the number of bins.
        weight: Weight of each event, shape (events,); `None` for equal weights.
        least: Smallest number of rows for a conditioner.
        thorough: Let conditioners read columns that tell something only in combination.
        whole_events: Let conditioners read features of the event so far.
    """
    resolutions = resolutions_of(lattices)
    order = decoding_order(table.columns, predictions, external, resolutions)
    planner = _Planner(
        EncodedTable(table, lattices),
        table.columns,
        References(order),
        dict(predictions),
        external,
        detail,
        least,
        thorough,
        whole_events,
    )
    for column in order:
        planner.encode(column)
    drafts: dict[str, list[Candidate]] = {}
    for column in order:
        for draft in planner.drafts(column):
            drafts.setdefault(collection_of(column), []).append(draft)
    return Plan(
        tasks=tuple(planner.task(key, group, weight) for key, group in drafts.items()),
        order=tuple(c.name for c in order),
        indices=planner.encoded.q,
        predictions=planner.predictions,
        predicted=planner.predicted,
        scales=planner.scales,
        external=external,
        resolutions=resolutions,
    )


_Feature = tuple[Parent, str]
"""A parent and the column that reads it; the column is empty where all columns read the same."""


def _feature(parent: Parent, name: str) -> _Feature:
    """Return the key of a feature: a prediction belongs to one column, others are shared."""
    return parent, name if parent.relation == "prediction" else ""


@dataclass(eq=False)
class _Planner:
    """Gathers the parts of a plan column by column, in coding order.

    A draft is a candidate whose task has no features yet.
    """

    encoded: EncodedTable
    columns: Sequence[Column]
    references: References
    predictions: dict[str, Prediction]
    external: Set[str]
    detail: int
    least: int
    thorough: bool
    whole_events: bool
    predicted: dict[str, Array] = field(default_factory=dict)
    scales: dict[str, Bins] = field(default_factory=dict)
    earlier: list[Column] = field(default_factory=list)

    def __post_init__(self) -> None:
        coded = [c for c in self.columns if c.name not in self.external]
        self.is_wide = len(coded) > MAX_ANCESTORS
        counters = {c.counter for c in self.columns if c.counter is not None}
        parents = [
            p for prediction in self.predictions.values() for p in prediction.inputs
        ]
        predicting = {name for p in parents for name in p.names}
        self.ancestry = Ancestry(counters | self.external, predicting)

    def encode(self, column: Column) -> None:
        """Compute indices, levels and values of a column, and what is predicted for it."""
        name, q = column.name, self.encoded.encode(column)
        if len(q) >= self.least and column.role != "id" and (q != q[0]).any():
            binade = binade_of(self.encoded.lattices[name].grid)
            self.scales[name] = self._bins(q, column, binade)
            self.encoded.context.levels[name] = self.scales[name].level(q)
        if name in self.predictions:
            self.predicted[name] = self.encoded.predicted(self.predictions[name], column)

    def _bins(self, q: Array, column: Column, binade: int = 0) -> Bins:
        """Place bins; for whole events the few first objects decide as much as all others."""
        fitted = q
        if self.whole_events and collection_of(column):
            classes = self.encoded.classes(column)
            members = [np.flatnonzero(classes == k) for k in np.unique(classes)]
            share = len(q) // len(members)
            fitted = np.concatenate([q, *(q[np.resize(m, share)] for m in members)])
        return fit_bins(fitted, self.detail * bin_count(len(q)), binade)

    def drafts(self, column: Column) -> list[Candidate]:
        """Return the ways to code a column, and let later columns read it."""
        name = column.name
        prediction = self.predictions.get(name)
        if prediction is not None and not self.ancestry.has_room(prediction.inputs):
            del self.predictions[name]
            prediction = None
        self.ancestry.add(name, () if prediction is None else prediction.inputs)
        if name not in self.scales:
            return []
        drafts = [] if name in self.external else list(self._ways(column, prediction))
        if prediction is None or not prediction.is_copy:
            self.earlier.append(column)
        return drafts

    def _ways(self, column: Column, prediction: Prediction | None) -> Iterator[Candidate]:
        """Yield drafts for the indices of a column, for its residuals, or for both."""
        q, settled, r = self.encoded.q[column.name], False, None
        if prediction is not None:
            r = residuals(q, self.predicted[column.name], prediction)
        if prediction is not None and r is not None:
            if (r == r[0]).all():
                return  # the prediction leaves nothing to learn
            settled = prediction.period is not None or bool(np.mean(r == 0) > SETTLED)
        parents = self._readable(column)
        classes = self.encoded.classes(column)
        if r is not None and self.whole_events and not settled:
            whole, r = r, windowed(q, r, classes)
            # Among residuals and indices in one alphabet, there is nothing to choose.
            settled = r is not whole
        if not settled:
            yield self._draft(column, q, parents, residual=False)
        if r is not None:
            some = self._undetermined(q)[:: _stride(q)]
            if settled or worth_subtracting(q[some], r[some], classes[some]):
                yield self._draft(column, r, parents, residual=True)

    def _undetermined(self, q: Array) -> Array:
        """Return the rows that decide whether residuals are worth it.

        Whole events need relations that concern few rows, such as the energy of rare muons in a
        jet; rows of the most frequent index do not count there.
        """
        if self.whole_events:
            values, counts = np.unique(q, return_counts=True)
            rare = np.flatnonzero(q != values[counts.argmax()])
            if len(rare) >= MIN_ROWS // 8:
                return rare
        return np.arange(len(q))

    def _draft(
        self, column: Column, coded: Array, readable: Sequence[Parent], *, residual: bool
    ) -> Candidate:
        """Choose the parents of one way to code a column."""
        name, bins = column.name, self.scales[column.name]
        if residual:
            bins = self._bins(coded, column)
        parents: tuple[Parent, ...] = ()
        if readable:
            stride = _stride(coded)
            levels = np.stack(
                [self._level(parent, name)[::stride] for parent in readable]
            )
            needs = [self.ancestry.needs(p) - {name} for p in readable]
            chosen = select_parents(
                bins.level(coded[::stride]),
                np.ascontiguousarray(levels, np.uint8),
                # A column that reads itself is decoded object after object.
                # For whole events that is what it is for.
                np.array([name in p.names and not self.whole_events for p in readable]),
                self.ancestry.above(name),
                needs if self.is_wide else None,
                self.ancestry.limit(name),
                thorough=self.thorough or (self.whole_events and len(coded) < RARE_ROWS),
            )
            parents = tuple(readable[k] for k in chosen)
        self.ancestry.add(name, parents)
        reads_prediction = any(p.relation == "prediction" for p in parents)
        prediction = self.predictions.get(name) if residual or reads_prediction else None
        scale = self.scales[name] if residual else None
        flow = ColumnFlow(bins, parents, None, prediction, residual, scale)
        return Candidate(name, flow, coded, ())

    def _readable(self, column: Column) -> list[Parent]:
        """Return everything that a column may read."""
        key = collection_of(column)
        rows = self.encoded.context.rows(key)
        earlier = self.earlier[-reach(len(self.columns)) :]
        own = [c.name for c in earlier if collection_of(c) == key]
        readable: list[Parent] = []
        if rows.number.any():
            readable.append(Parent("index"))
            itself = [column.name] if rows.counts.max() <= MAX_OBJECTS else []
            for name in own + itself:
                readable += [Parent("previous", name), Parent("leading", name)]
        readable += [Parent("row", name) for name in own]
        if key:
            readable += [
                Parent("event", c.name) for c in earlier if collection_of(c) == ""
            ]
            readable += self._across(column, earlier)
            readable += self._features(column, earlier)
        if column.name in self.predictions:
            readable.append(Parent("prediction"))
        return readable

    def _across(self, column: Column, earlier: Sequence[Column]) -> list[Parent]:
        """Return parents in other collections.

        They are the first object, the object of the same number, and a referenced object.
        """
        collections = ("", collection_of(column))
        others = [c.name for c in earlier if collection_of(c) not in collections]
        names = {c.name for c in earlier}
        return [
            *(Parent("leading", name) for name in others),
            *(Parent("same", name) for name in others),
            *(
                Parent("reference", target.name, through.name)
                for through, targets in self.references.of(column)
                for target in targets
                if {through.name, target.name} <= names
            ),
        ]

    def _features(self, column: Column, earlier: Sequence[Column]) -> Iterator[Parent]:
        """Yield features of the event so far, with knots at quantiles of their values."""
        counts = self.encoded.context.rows(collection_of(column)).counts
        if not self.whole_events or counts.max() > MAX_OBJECTS:
            return
        of_row = energy_features(self.predictions.get(column.name))
        for feature in (*of_row, *propose_features(column, self.columns, earlier)):
            values, present = self.encoded.values(
                Parent("feature", feature=feature), column
            )
            knots = quantile_knots(values[present], KNOTS)
            if len(knots) > 1:
                yield Parent("feature", feature=replace(feature, knots=knots))

    def _level(self, parent: Parent, name: str) -> Array:
        """Return the level of a parent in every row of the column that reads it."""
        predicted = None
        if parent.relation == "prediction":
            predicted = self.scales[name].level(self.predicted[name])
        part, context = slice(0, len(self.encoded.q[name])), self.encoded.context
        level: Array = context.gather(
            [parent], context.collection[name], part, predicted
        )[0]
        return level

    def task(
        self, key: str, drafts: Sequence[Candidate], weight: Array | None
    ) -> ColumnTask:
        """Gather the features that the drafts of a collection read, each feature once."""
        read = [[_feature(p, draft.name) for p in draft.flow.parents] for draft in drafts]
        features = dict.fromkeys(feature for some in read for feature in some)
        places = {feature: place for place, feature in enumerate(features)}
        levels = np.empty((max(1, len(places)), len(drafts[0].coded)), np.uint8)
        for (parent, name), place in places.items():
            levels[place] = self._level(parent, name or drafts[0].name)
        event = self.encoded.context.rows(key).event
        weights = None if weight is None else weight[event] / weight[event].mean()
        candidates = tuple(
            replace(draft, inputs=tuple(places[feature] for feature in some))
            for draft, some in zip(drafts, read, strict=True)
        )
        return ColumnTask(candidates, levels, event, weights)


def _stride(coded: Array) -> int:
    """Return the step between rows that leaves about `SAMPLE_ROWS` of them."""
    return max(1, len(coded) // SAMPLE_ROWS)


def binade_of(grid: Grid) -> int:
    """Return the indices of a binade on grids whose cells double in size, 0 on others."""
    return grid.binade if isinstance(grid, (Ordered, Mantissas)) else 0


def bin_count(rows: int) -> int:
    """Return the number of bins that so many rows pay for.

    Each bin costs one row of weights in every conditioner.
    """
    return 24 if rows < 20_000 else 32 if rows < 100_000 else 40 if rows < 500_000 else 64
