"""The test of relations: what holds in one half of the reference, broken in the rest of the events.

Relations are looked for in the half of the reference that classifiers are trained on, and judged by
the other half of both samples. Of events, the largest residual of each relation is a column too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from flowtuple.comparison.events.objects import Objects
from flowtuple.comparison.events.relations import Relation, find_relations
from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    PreparedTest,
    Test,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.comparison.two_sample.result import residual_name
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress

NAME = "relations"
_SMALLEST = 1e-9  # of residuals on a logarithmic axis
_NONE = -10.0  # below the logarithm of the smallest: events without objects


def with_relations(pooled: Pooled) -> Pooled:
    """Return both samples with the relations of the reference; of events with residuals as columns.

    Args:
        pooled: Both samples.
    """
    shown = ~pooled.test_half & ~pooled.other
    relations = tuple(find_relations(_collections(pooled), shown))
    pooled = replace(pooled, relations=relations)
    return _with_residuals(pooled) if pooled.objects else pooled


def _with_residuals(pooled: Pooled) -> Pooled:
    """Return events with the largest residual of each relation of their objects as columns."""
    names, columns = [], []
    for relation in pooled.relations:
        if relation.residual is None:
            continue
        largest = np.full(len(pooled.other), _NONE)
        values = np.log10(relation.residual + _SMALLEST)
        np.maximum.at(largest, relation.event, values)
        judged = largest[pooled.test_half]
        if judged.min() < judged.max():
            names.append(residual_name(relation.text))
            columns.append(largest)
    if not columns:
        return pooled
    residuals = np.stack(columns, axis=1)
    # The rest of the events chose the relations: their residuals would favour the reference.
    hidden = np.where(pooled.test_half[:, None], residuals, _NONE)
    return replace(
        pooled,
        columns=(*pooled.columns, *names),
        values=np.concatenate([pooled.values, hidden], axis=1),
        residuals=residuals,
    )


def prepare(
    pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
) -> PreparedTest:
    """Return statistics: differences of the shares of objects that break a relation."""
    relations = pooled.relations
    sums = [_sums(relation, pooled) for relation in relations]
    by_event = np.concatenate(sums, axis=1) if sums else np.zeros((len(pooled.other), 0))
    whole = by_event.sum(axis=0)[:, None]

    def statistics(labels: Permutations) -> Array:
        other = labels.sums(by_event)
        rest = whole - other
        shares, shares_rest = (part[0::2] / part[1::2] for part in (other, rest))
        return np.asarray(np.abs(shares - shares_rest))

    columns = [relation.text for relation in relations]
    details = {
        relation.text: {
            "broken": _share(by_event[:, 2 * k : 2 * k + 2], pooled.other),
            "broken_in_reference": _share(by_event[:, 2 * k : 2 * k + 2], ~pooled.other),
        }
        for k, relation in enumerate(relations)
    }
    pictures = {r.text: partial(_drawn, r) for r in relations}
    return PreparedTest(statistics, {NAME: {}}, columns, details, pictures)


def _collections(pooled: Pooled) -> list[Objects]:
    """Return the objects, and the events as objects of a collection without a name.

    Where rows are no events with objects, they are that collection.
    """
    counts = np.bincount(pooled.event, minlength=len(pooled.other))
    columns = pooled.event_columns
    if not pooled.objects:
        columns = dict(zip(pooled.columns, pooled.values.T, strict=True))
    roles = dict.fromkeys(columns, "value")
    return [*pooled.objects, Objects("", counts, columns, roles)]


def _sums(relation: Relation, pooled: Pooled) -> Array:
    """Return, for each event, the weight of objects that break a relation and that of all."""
    weight = pooled.weight
    if pooled.objects:
        weight = pooled.by_event(weight)[relation.event]
    judged = weight * pooled.test_half[relation.event]
    parts = (relation.broken * judged, judged)
    sums = [np.bincount(relation.event, part, len(pooled.other)) for part in parts]
    return np.stack(sums, axis=1)


def _share(sums: Array, events: Array) -> float:
    broken, whole = sums[events].sum(axis=0)
    return float(broken / whole) if whole else 0.0


def _drawn(relation: Relation) -> tuple[str, Array, Array]:
    """Return what a picture shows of each object: its label, values and events."""
    if relation.residual is None:
        label = f"1 where broken: {relation.text}"
        return label, relation.broken * 1.0, relation.event
    values = np.log10(relation.residual + _SMALLEST)
    return f"log10 of the residual of {relation.text}", values, relation.event


TESTS = {
    NAME: Test(
        "share of objects that break a relation which holds in half of the reference",
        prepare,
    )
}
