"""Two samples told apart by boosted trees in folds of events: every row is scored by trees that have not seen its event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS, fit_trees
from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress, silent
from flowtuple.runtime.threads import ordered_map

FOLDS = 5
LEAST_EVENTS = 50  # with rows, so that each of a few folds has some


def joint_area(
    reference: Rows, other: Rows, seed: int = 0, folds: int = FOLDS, progress: Progress = silent
) -> Area:
    """How well boosted trees tell two samples apart by all columns together, with its 95 % interval.

    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017), with the score of every row in place of a half.

    Args:
        reference: One sample; rows may hold NaN.
        other: Another with the same columns.
        seed: Of folds and trees.
        folds: At least 2.
        progress: Told of each fold.

    Raises:
        InvalidArgument: A sample has too few rows, or negative weights.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> a, b = (Rows("toy", ("x",), draw.normal(m, 1, (400, 1)), np.arange(400), 400) for m in (0, 3))
        >>> joint_area(a, b).value > 0.9
        True
    """
    pooled = pool_for_classifier(reference, other, seed)
    scores = np.empty(len(pooled.event))
    for test, trees in fitted_folds(pooled, folds, seed, progress):
        scores[test] = trees.predict_proba(pooled.values[test])[:, 1]
    return area_under_roc(scores, ~pooled.other[pooled.event], pooled.weight, pooled.event)


def pool_for_classifier(reference: Rows, other: Rows, seed: int) -> Pooled:
    """Both samples side by side, if there are enough rows to tell them apart.

    Raises:
        InvalidArgument: A sample has too few rows, or negative weights.
    """
    for sample in (reference, other):
        if len(sample) < LEAST_ROWS or _events(sample) < LEAST_EVENTS:
            raise InvalidArgument(
                f"{sample.source}: has {len(sample)} rows in {_events(sample)} events; telling samples apart needs "
                f"{LEAST_ROWS} in {LEAST_EVENTS} of each"
            )
        if sample.weights is not None and bool((sample.weights < 0).any()):
            raise InvalidArgument(
                f"{sample.source}: has negative weights, for which a density ratio is not defined"
            )
    return pool(reference, other.like(reference), seed)


def fitted_folds(
    pooled: Pooled, folds: int, seed: int, progress: Progress = silent
) -> Iterator[tuple[Array, Any]]:
    """Numbers of the rows of each fold of events, with trees trained on all other folds; class 1 is the reference.

    Args:
        pooled: From `pool_for_classifier`.
        folds: Parts of the events of either sample, drawn at random.
        seed: Of folds and trees.
        progress: Told of each fold.

    Raises:
        InvalidArgument: A fold is without rows of one of the samples.
    """
    wanted = ~pooled.other[pooled.event]
    fold = np.random.default_rng([seed, 5]).integers(0, folds, len(pooled.other))[pooled.event]
    totals = np.where(wanted, pooled.weight[wanted].sum(), pooled.weight[~wanted].sum())
    for k in range(folds):
        if any(
            not (part & kind).any() for part in (fold == k, fold != k) for kind in (wanted, ~wanted)
        ):
            raise InvalidArgument(
                f"too few events with rows for {folds} folds of them; telling samples apart needs more"
            )

    def fitted(k: int) -> tuple[Array, Any]:
        train = np.flatnonzero(fold != k)
        weight = pooled.weight[train] / totals[train] * len(train)
        with extra("threadpoolctl").threadpool_limits(
            1
        ):  # folds side by side are faster than trees on several threads
            return np.flatnonzero(fold == k), fit_trees(
                pooled.values[train], wanted[train], weight, seed
            )

    for k, pair in enumerate(ordered_map(fitted, range(folds))):
        yield pair
        progress("tell apart", (k + 1) / folds, f"fold {k + 1} of {folds}")


def _events(sample: Rows) -> int:
    return len(np.unique(sample.event))
