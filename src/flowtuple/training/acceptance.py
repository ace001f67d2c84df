"""Fit of the acceptance: boosted trees that tell true events from drawn ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table
from flowtuple.lattice.acceptance import (
    UNIT,
    Acceptance,
    AcceptanceTree,
    acceptance_tree,
)
from flowtuple.lattice.context import Context, collection_of
from flowtuple.lattice.event_quantities import MAX_COLUMNS, EventQuantities, Quantity
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.rules import Rule
from flowtuple.lattice.walk import TableCoding
from flowtuple.model.index_sampler import AtRandom
from flowtuple.training.contexts import drawn_context, true_context
from flowtuple.training.kinematics import families

LEADING = 3  # objects whose columns count one by one
MOST_QUANTITIES = 400
EVENTS = 25_000  # of each kind, true and drawn
FEWEST = 1000
TREES = 100
LEAVES = 31
RATE = 0.1
LARGEST_RATIO = 1.5
"""Ratio of densities, true to drawn, at which every event is accepted: 1 would accept all."""

LEAST_GAIN = 0.01
"""Nats an event that trees have to gain on events that they did not learn from."""

_VALIDATION = 5  # of so many events one is held out
_LARGEST_LEAF = 32_000

_Axes = tuple[str, str, str]


def with_acceptance(
    flow: LatticeFlow,
    table: Table,
    coding: TableCoding,
    seed: int,
    weight: Array | None = None,
) -> LatticeFlow:
    """Return the flow with an acceptance of drawn events, if trees tell them from true ones.

    Args:
        flow: The flow with its rules.
        table: Events that it learned from.
        coding: Schema and lattices.
        seed: Seed of the events that are drawn, and of the trees.
        weight: Weight of each event, shape (events,); `None` for equal weights.
    """
    count = min(table.num_entries, EVENTS)
    drawable = [c for c in table.columns if not c.is_opaque and c.role != "id"]
    if count < FEWEST or not all(flow.has_density(c.name) for c in drawable):
        return flow
    quantities = tuple(
        itertools.islice(propose_quantities(drawable, flow.rules), MOST_QUANTITIES)
    )
    some = replace(coding, flow=flow)
    columns = {c for q in quantities for c in q.columns}
    true = true_context(some, table, columns, count)
    drawn = drawn_context(some, table.name, count, AtRandom(seed, "acceptance"))
    x = np.concatenate([_numbers(quantities, context) for context in (true, drawn)])
    weights = np.ones(2 * count)
    if weight is not None:
        weights[:count] = weight[:count] * (count / weight[:count].sum())
    trees = _fit(x, np.repeat([True, False], count), weights, seed)
    if trees is None:
        return flow
    return replace(flow, acceptance=_compact(quantities, *trees))


def _numbers(quantities: Sequence[Quantity], context: Context) -> Array:
    """Return the quantities of all events: float32, shape (events, quantities)."""
    known = EventQuantities(context)
    return np.stack([known.evaluate(q) for q in quantities], axis=1)


def _fit(
    x: Array, is_true: Array, weight: Array, seed: int
) -> tuple[HistGradientBoostingClassifier, float] | None:
    """Return boosted trees, and the logarithm of the mean ratio of drawn events.

    `None` if the trees gain too little on events that they did not learn from.
    """
    held = np.arange(len(x)) % _VALIDATION == 0
    trees = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=RATE,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=30,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    trees.fit(x[~held], is_true[~held], sample_weight=weight[~held])
    odds = trees.decision_function(x[held])
    loss = np.logaddexp(0.0, np.where(is_true[held], -odds, odds))
    gain = np.log(2.0) - np.average(loss, weights=weight[held])
    if gain < LEAST_GAIN:
        return None
    ratio = np.exp(odds[~is_true[held]])
    return trees, float(np.log(ratio.mean()))


def _compact(
    quantities: Sequence[Quantity], trees: HistGradientBoostingClassifier, level: float
) -> Acceptance:
    """Return the acceptance of boosted trees, without the quantities that none of them reads.

    scikit-learn shows the nodes of these trees nowhere else; a test compares the sums.
    """
    nodes = [predictor.nodes for (predictor,) in trees._predictors]
    inner = [n["feature_idx"][n["is_leaf"] == 0] for n in nodes]
    used = np.unique(np.concatenate(inner)).tolist()
    place = {f: k for k, f in enumerate(used)}
    first = float(trees._baseline_prediction.item())
    offset = round((first - level - np.log(LARGEST_RATIO)) / UNIT)
    compact = tuple(_tree(n, place) for n in nodes)
    return Acceptance(tuple(quantities[f] for f in used), compact, offset)


def _tree(nodes: Array, place: Mapping[int, int]) -> AcceptanceTree:
    """Return one tree of scikit-learn in preorder, with quantities by their places."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if not nodes["is_leaf"][node]:
            waiting += [int(nodes["right"][node]), int(nodes["left"][node])]
    ordered = nodes[order]
    is_leaf = ordered["is_leaf"] == 1
    numbers = [
        -1 if leaf else place[int(f)]
        for leaf, f in zip(is_leaf, ordered["feature_idx"], strict=True)
    ]
    value = np.clip(np.rint(ordered["value"] / UNIT), -_LARGEST_LEAF, _LARGEST_LEAF)
    # Quantities are float32: a threshold between two of them is rounded down.
    exact = np.where(is_leaf, 0.0, ordered["num_threshold"])
    threshold = exact.astype(np.float32)
    below = np.nextafter(threshold, np.float32(-np.inf))
    threshold = np.where(threshold > exact, below, threshold)
    return acceptance_tree(np.array(numbers), threshold, np.where(is_leaf, value, 0))


def propose_quantities(
    columns: Sequence[Column], rules: Sequence[Rule]
) -> Iterator[Quantity]:
    """Propose the quantities that may tell drawn events from true ones, most telling first.

    Args:
        columns: Columns that are drawn.
        rules: Rules, of which those of parts that add up are of use.
    """
    axes = _axes(columns)
    yield from _of_momenta(columns, axes)
    for rule in rules:
        if rule.kind == "parts" and len(rule.columns) <= MAX_COLUMNS:
            yield Quantity("closure", rule.columns)
    for pt, eta, phi in axes:
        pairs = list(itertools.combinations(range(LEADING), 2))
        for pair in pairs:
            yield Quantity("pair mass", (pt, eta, phi, pt, eta, phi), pair)
            yield Quantity("delta phi", (phi, phi), pair)
            yield Quantity("delta eta", (eta, eta), pair)
        yield Quantity("nearest pair", (eta, phi))
    for one, two in itertools.combinations(axes, 2):
        yield Quantity("pair mass", one + two, (0, 0))
        yield Quantity("delta phi", (one[2], two[2]), (0, 0))
        yield Quantity("nearest other", one[1:] + two[1:])
    yield from _of_columns(columns, axes)


def _axes(columns: Sequence[Column]) -> list[_Axes]:
    """Return p_T, eta and phi of each collection that has them."""
    return [
        (family["pt"].name, family["eta"].name, family["phi"].name)
        for (key, _, number), family in families(columns).items()
        if key and not number and {"pt", "eta", "phi"} <= family.keys()
    ]


def _of_momenta(columns: Sequence[Column], axes: Sequence[_Axes]) -> Iterator[Quantity]:
    """Propose lengths of vector sums, and angles between vectors of the event and objects."""
    missing = [
        (family["pt"].name, family["phi"].name)
        for (key, _, _), family in families(columns).items()
        if not key and {"pt", "phi"} <= family.keys()
    ]
    every = tuple(name for pt, _, phi in axes for name in (pt, phi))
    for pt, _, phi in axes:
        yield Quantity("length", (pt, phi))
        for vector in missing:
            yield Quantity("length", (pt, phi, *vector))
            yield Quantity("delta phi", (vector[1], phi), (0, 0))
    if len(axes) > 1 and len(every) <= MAX_COLUMNS:
        yield Quantity("length", every)
        for vector in missing[: MAX_COLUMNS - len(every)]:
            yield Quantity("length", every + vector)


def _of_columns(columns: Sequence[Column], axes: Sequence[_Axes]) -> Iterator[Quantity]:
    """Propose columns of leading objects, sums, largest values and means by p_T."""
    weights = {collection_of(c): pt for pt, _, _ in axes for c in columns if c.name == pt}
    objects = [c for c in columns if collection_of(c) and c.role != "reference"]
    for column in columns:
        if not collection_of(column):
            yield Quantity("object", (column.name,), (0,))
    for column in objects:
        yield Quantity("sum", (column.name,))
        yield Quantity("largest", (column.name,))
        weight = weights.get(collection_of(column), column.name)
        if weight != column.name:
            yield Quantity("mean", (weight, column.name))
    for number in range(LEADING):
        for column in objects:
            yield Quantity("object", (column.name,), (number,))
