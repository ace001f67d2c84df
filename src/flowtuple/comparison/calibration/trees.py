"""A classifier of labelled events: boosted trees, and the density ratio that they estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.classifier import fit_trees
from flowtuple.data.schema import Array
from flowtuple.data.table import Table
from flowtuple.errors import InvalidArgument

LEADING = 3  # objects of a collection whose own values trees read
_CLIP = 1e-6  # of a classifier that is sure


@dataclass(frozen=True, eq=False)
class LabelledTrees:
    """Boosted trees that tell signal by the columns of a model.

    Attributes:
        columns: Names of the d features.
        trees: The classifier.
        prior: Log-odds of signal among the rows that it learned from.
    """

    columns: tuple[str, ...]
    trees: Any
    prior: float

    def log_odds(self, values: Array) -> Array:
        """Return the log-odds of signal of rows of shape (n, d)."""
        if not len(values):
            return np.empty(0)
        p = np.clip(self.trees.predict_proba(values)[:, 1], _CLIP, 1 - _CLIP)
        odds: Array = np.log(p / (1 - p))
        return odds


def fit_labelled_trees(
    columns: Sequence[str], values: Array, signal: Array, weight: Array, seed: int = 0
) -> LabelledTrees:
    """Fit boosted trees to labelled rows.

    Args:
        columns: Names of the features.
        values: Rows, NaN where there is no value, shape (n, d).
        signal: Label of each row, bool, shape (n,).
        weight: Weights from 0 on, shape (n,).
        seed: Seed of the trees.

    Raises:
        MissingExtra: The extra 'compare' is not installed.
    """
    trees = fit_trees(values, signal, weight / weight.mean(), seed)
    totals = [float(weight[k].sum()) for k in (signal, ~signal)]
    return LabelledTrees(tuple(columns), trees, math.log(totals[0] / totals[1]))


def event_features(events: Table, without: Sequence[str] = ()) -> tuple[list[str], Array]:
    """Return numbers of each event for a classifier, NaN where there is none.

    These are the columns of one number an event, the elements of fixed arrays, and of each column
    of objects the values of the first three, the sum and the largest.

    Args:
        events: The events.
        without: Names of columns to leave out; ids and text are left out.

    Returns:
        Names, and values as float64 of shape (n, d).

    Raises:
        InvalidArgument: No column is left.

    Example:
        >>> from flowtuple.io.source import open_dataset
        >>> events = open_dataset({"met": [5.0, 6.0], "pt": [[30.0, 20.0], []]}).only_table()
        >>> names, values = event_features(events.read([c.name for c in events.columns], 0, 2))
        >>> names[-2:], values[:, -2:].tolist()
        (['sum(pt)', 'max(pt)'], [[50.0, 30.0], [0.0, nan]])
    """
    features: dict[str, Array] = {}
    for column in events.columns:
        if column.role == "id" or column.is_opaque or column.name in without:
            continue
        values = np.asarray(events[column.name], np.float64)
        if column.counter is not None and not column.shape:
            features |= _of_objects(column.name, values, events.offsets(column.counter))
        elif column.counter is None:
            flat = values.reshape(len(values), -1)
            names = [f"{column.name}[{k}]" for k in range(flat.shape[1])]
            names = names if column.shape else [column.name]
            features |= dict(zip(names, flat.T, strict=True))
    if not features:
        raise InvalidArgument(
            f"table {events.name!r}: has no column of numbers for a classifier; "
            "leave out `classifier=`"
        )
    return list(features), np.stack(list(features.values()), axis=1)


def _of_objects(name: str, values: Array, offsets: Array) -> dict[str, Array]:
    """Return the features of a column of objects, by name."""
    begin, counts = offsets[:-1], np.diff(offsets)
    features = {}
    for k in range(LEADING):
        there = counts > k
        leading = np.full(len(counts), np.nan)
        leading[there] = values[begin[there] + k]
        features[f"{name}[{k}]"] = leading
    event = np.repeat(np.arange(len(counts)), counts)
    largest = np.full(len(counts), -np.inf)
    np.maximum.at(largest, event, values)
    features[f"sum({name})"] = np.bincount(event, values, len(counts))
    features[f"max({name})"] = np.where(counts > 0, largest, np.nan)
    return features
