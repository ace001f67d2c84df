"""Copied training rows: the share of a sample whose nearest neighbour is a training row.

The search is among equally many events of the training and events that the model has never seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.two_sample.permutations import (
    Permutations,
    extra,
    permutation_p_values,
)
from flowtuple.comparison.two_sample.pooled import pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array

_QUERIES = 5000
_PERMUTATIONS = 1000
_SHAKE = 1e-6  # standard deviations


@dataclass(frozen=True)
class Copies:
    """Nearest neighbours of a sample.

    Attributes:
        rows: Rows that were looked up, at most one of each event.
        share: The share of them whose nearest neighbour is a training row.
        expected: Share of training rows among the rows searched, 0.5 for samples of one size.
        identical: Rows that are equal to a training row.
        binomial_p: Chance of such a share or a larger one if rows were independent.
        p: The same from permuting events between the training and the unseen sample. Rows that
            share a neighbour are not independent, which this p-value takes into account.
    """

    rows: int
    share: float
    expected: float
    identical: int
    binomial_p: float
    p: float


def find_copies(train: Rows, unseen: Rows, sample: Rows, seed: int = 0) -> Copies:
    """Search the nearest neighbours of a sample, in units of standard deviations.

    Args:
        train: Rows that a model was trained on.
        unseen: Rows of the same kind that it has never seen.
        sample: Rows that it made.
        seed: Seed of the choice of rows and of the permutations.

    Raises:
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> def rows(values):
        ...     return Rows("toy", ("x",), values[:, None], np.arange(len(values)), len(values))
        >>> train, unseen = rows(draw.normal(size=500)), rows(draw.normal(size=500))
        >>> find_copies(train, unseen, train).p < 0.01
        True
    """
    draw = np.random.default_rng([seed, 3])
    events = min(train.events, unseen.events)
    both = pool(
        _some_events(unseen, events, draw), _some_events(train, events, draw), seed
    )
    mean, spread = both.values.mean(axis=0), both.values.std(axis=0)
    spread[spread == 0] = 1.0
    queries = sample.values[_one_of_each_event(sample.event, draw)[:_QUERIES]]
    points, shaken = (
        _shake((values - mean) / spread, draw) for values in (both.values, queries)
    )
    search = extra("sklearn.neighbors").NearestNeighbors(n_neighbors=1).fit(points)
    hits = search.kneighbors(shaken, return_distance=False)[:, 0]
    from_train = both.other[both.event]
    near, expected = int(from_train[hits].sum()), float(from_train.mean())
    binomial = extra("scipy.stats").binomtest(
        near, len(queries), expected, alternative="greater"
    )

    hit, row = (
        np.bincount(event, minlength=len(both.other)).astype(float)[:, None]
        for event in (both.event[hits], both.event)
    )

    def share(labels: Permutations) -> Array:
        # The hits stay; only the sample that an event counts to is permuted.
        return labels.sums(hit) / len(hits) - labels.sums(row) / len(both.values)

    _, p = permutation_p_values(both, share, _PERMUTATIONS, seed)
    return Copies(
        len(queries),
        near / len(queries),
        expected,
        _count_equal(queries, train.values),
        float(binomial.pvalue),
        float(p[0]),
    )


def _some_events(rows: Rows, events: int, draw: np.random.Generator) -> Rows:
    chosen = np.sort(draw.permutation(rows.events)[:events])
    inside = np.isin(rows.event, chosen)
    event = np.searchsorted(chosen, rows.event[inside])
    return replace(
        rows, values=rows.values[inside], event=event, events=events, weights=None
    )


def _one_of_each_event(event: Array, draw: np.random.Generator) -> Array:
    """Return numbers of rows, one of each event, in random order."""
    order = draw.permutation(len(event))
    first = np.unique(event[order], return_index=True)[1]
    return np.asarray(draw.permutation(order[first]))


def _shake(values: Array, draw: np.random.Generator) -> Array:
    """Move rows a little, so that equally near rows, as of discrete columns, are hit alike."""
    return values + _SHAKE * draw.normal(size=values.shape)


def _count_equal(queries: Array, known: Array) -> int:
    """Count the queries that are equal to a known row."""
    seen = {row.tobytes() for row in known + 0.0}  # -0.0 and 0.0 are equal
    return sum(row.tobytes() in seen for row in queries + 0.0)
