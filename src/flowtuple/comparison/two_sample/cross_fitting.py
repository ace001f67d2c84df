"""Boosted trees in folds of events: each row is scored by trees trained on other events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc, kind_totals
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS, fit_trees, threads
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress, silent
from flowtuple.runtime.threads import ordered_map

FOLDS = 5
LEAST_EVENTS = 50  # with rows, so that each of a few folds has some


def joint_area(
    reference: Rows,
    other: Rows,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Progress = silent,
) -> Area:
    """Return how well boosted trees separate two samples by all columns together.

    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017), with scores of all rows in
    place of a half.

    Args:
        reference: One sample; rows may hold NaN.
        other: Another with the same columns.
        seed: Seed of folds and trees.
        folds: At least 2.
        progress: Receives the share of the folds that is done.

    Raises:
        InvalidArgument: A sample has too few rows, or negative weights.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw, event = np.random.default_rng(1), np.arange(400)
        >>> a, b = (Rows("toy", ("x",), draw.normal(m, 1, (400, 1)), event, 400) for m in (0, 3))
        >>> joint_area(a, b).value > 0.9
        True
    """
    pooled = pool_for_classifier(reference, other, seed)
    scores = np.empty(len(pooled.event))
    for test, trees in fitted_folds(pooled, folds, seed, progress):
        scores[test] = trees.predict_proba(pooled.values[test])[:, 1]
    return area_under_roc(scores, ~pooled.other[pooled.event], pooled.weight, pooled.event)


def enough_for_classifier(sample: Rows) -> bool:
    """Return whether a sample has rows and events enough for cross-fitted trees."""
    return len(sample) >= LEAST_ROWS and _events(sample) >= LEAST_EVENTS


def pool_for_classifier(reference: Rows, other: Rows, seed: int) -> Pooled:
    """Join both samples if they have enough rows for cross-fitted trees.

    Raises:
        InvalidArgument: A sample has too few rows, or negative weights.
    """
    for sample in (reference, other):
        if not enough_for_classifier(sample):
            raise InvalidArgument(
                f"{sample.source}: has {len(sample)} rows in {_events(sample)} events; telling "
                f"samples apart needs {LEAST_ROWS} in {LEAST_EVENTS} of each"
            )
        if sample.weights is not None and bool((sample.weights < 0).any()):
            raise InvalidArgument(
                f"{sample.source}: has negative weights, for which a density ratio is not defined"
            )
    return pool(reference, other.like(reference), seed)


def fitted_folds(
    pooled: Pooled, folds: int, seed: int, progress: Progress = silent
) -> Iterator[tuple[Array, Any]]:
    """Yield the rows of each fold of events, and trees that were trained on all other folds.

    Class 1 of the trees is the reference.

    Args:
        pooled: From `pool_for_classifier`.
        folds: Parts of the events of either sample, drawn at random.
        seed: Seed of folds and trees.
        progress: Receives the share of the folds that is done.

    Raises:
        InvalidArgument: A fold is without rows of one of the samples.
    """
    signal = ~pooled.other[pooled.event]
    fold = np.random.default_rng([seed, 5]).integers(0, folds, len(pooled.other))[
        pooled.event
    ]
    totals = kind_totals(signal, pooled.weight)
    for k in range(folds):
        inside = fold == k
        if any(
            not (part & kind).any()
            for part in (inside, ~inside)
            for kind in (signal, ~signal)
        ):
            raise InvalidArgument(
                f"too few events with rows for {folds} folds of them; "
                "telling samples apart needs more"
            )

    def fit(k: int) -> tuple[Array, Any]:
        train = np.flatnonzero(fold != k)
        weight = pooled.weight[train] / totals[train] * len(train)
        with threads(1):  # folds side by side are faster than trees on several threads
            trees = fit_trees(pooled.values[train], signal[train], weight, seed)
        return np.flatnonzero(fold == k), trees

    for k, pair in enumerate(ordered_map(fit, range(folds))):
        yield pair
        progress("tell apart", (k + 1) / folds, f"fold {k + 1} of {folds}")


def _events(sample: Rows) -> int:
    return len(np.unique(sample.event))
