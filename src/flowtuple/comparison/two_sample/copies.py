"""Copied training rows: does a sample lie nearer to what its model was trained on than to events it has not seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.two_sample.p_values import PermutationPValues, draw_permutations
from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array

_QUERIES = 5000
_PERMUTATIONS = 1000
_SHAKE = 1e-6  # standard deviations


@dataclass(frozen=True)
class Copies:
    """Where the nearest neighbours of a sample lie.

    Attributes:
        rows: Rows asked, one of each event at most.
        share: Of them, those with the nearest neighbour in the training sample.
        expected: Share of training rows among the rows searched, 0.5 for samples of one size.
        identical: Rows that are equal to a training row.
        binomial_p: Chance of such a share or a larger one if rows were independent.
        p: The same from permuting events between the training and the held-out sample: rows that share a neighbour are
            not independent, and this knows.
    """

    rows: int
    share: float
    expected: float
    identical: int
    binomial_p: float
    p: float


def find_copies(train: Rows, held_out: Rows, sample: Rows, seed: int = 0) -> Copies:
    """Look in equally many training and held-out events for the nearest neighbours of a sample, in standard deviations.

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
    events = min(train.events, held_out.events)
    both = pool(_some_events(held_out, events, draw), _some_events(train, events, draw), seed)
    mean, spread = both.values.mean(axis=0), both.values.std(axis=0)
    spread[spread == 0] = 1.0
    asked = sample.values[_one_of_each_event(sample.event, draw)[:_QUERIES]]
    points, queries = (_shaken((values - mean) / spread, draw) for values in (both.values, asked))
    search = extra("sklearn.neighbors").NearestNeighbors(n_neighbors=1).fit(points)
    hits = search.kneighbors(queries, return_distance=False)[:, 0]
    from_train = both.other[both.event]
    near, expected = int(from_train[hits].sum()), float(from_train.mean())
    binomial = (
        extra("scipy.stats").binomtest(near, len(asked), expected, alternative="greater").pvalue
    )
    identical = len(_rows_in(asked, train.values))
    return Copies(
        len(asked),
        near / len(asked),
        expected,
        identical,
        float(binomial),
        _p_value(both, hits, seed),
    )


def _some_events(rows: Rows, events: int, draw: np.random.Generator) -> Rows:
    chosen = np.sort(draw.permutation(rows.events)[:events])
    keep = np.isin(rows.event, chosen)
    place = np.searchsorted(chosen, rows.event[keep])
    return replace(rows, values=rows.values[keep], event=place, events=events, weights=None)


def _one_of_each_event(event: Array, draw: np.random.Generator) -> Array:
    """Numbers of rows, in random order."""
    order = draw.permutation(len(event))
    first = np.unique(event[order], return_index=True)[1]
    chosen: Array = draw.permutation(order[first])
    return chosen


def _shaken(values: Array, draw: np.random.Generator) -> Array:
    """Among equally near rows, as discrete columns have them, each row asked finds another."""
    return values + _SHAKE * draw.normal(size=values.shape)


def _rows_in(asked: Array, known: Array) -> Array:
    """Those of the rows asked that are equal to a known row."""
    seen = {row.tobytes() for row in known + 0.0}  # -0.0 and 0.0 are equal
    return np.flatnonzero([row.tobytes() in seen for row in asked + 0.0])


def _p_value(both: Pooled, hits: Array, seed: int) -> float:
    """Which rows are nearest stays; which sample an event counts to is permuted."""
    asked = np.bincount(both.event[hits], minlength=len(both.other)).astype(np.float64)[:, None]
    rows = np.bincount(both.event, minlength=len(both.other)).astype(np.float64)[:, None]
    ranking = None
    for labels in draw_permutations(both, _PERMUTATIONS, seed):
        share = labels.sums(asked) / len(hits) - labels.sums(rows) / len(both.values)
        if ranking is None:
            ranking, share = PermutationPValues(share[:, 0]), share[:, 1:]
        ranking.add(share)
    return float("nan") if ranking is None else float(ranking.p_values(seed)[0])
