"""Classifier two-sample tests: how well can a classifier that was trained on half of the events tell the other half apart.

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017). Only the labels of held-out events are permuted, for
scores that stay as they are; nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import area_under_roc, interval, weighted_ranks
from flowtuple.comparison.two_sample.permutations import (
    Family,
    Permutations,
    PreparedTest,
    Test,
    extra,
)
from flowtuple.comparison.two_sample.pooled import Pooled
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress

LEAST_ROWS = 100
_SMALL = 5000  # rows
# Trees of 8 leaves: with scikit-learn's 31 a shift of 0.1 sigma in one of 25 columns drowned in overfitting.
_TREES: dict[str, Any] = {
    "max_iter": 200,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "early_stopping": False,
}
_NETWORK: dict[str, Any] = {
    "hidden_layer_sizes": (64, 64),
    "batch_size": 256,
    "learning_rate_init": 1e-3,
    "alpha": 1e-4,
}
_EPOCHS = 20

Fit = Callable[[Array, Array, Array, int], Any]


def fit_trees(rows: Array, other: Array, weight: Array, seed: int) -> Any:
    """Boosted trees fitted to rows of shape (n, d), labels and weights of shape (n,)."""
    trees = extra("sklearn.ensemble").HistGradientBoostingClassifier(**_TREES, random_state=seed)
    return trees.fit(rows, other, sample_weight=weight)


def _fit_network(rows: Array, other: Array, weight: Array, seed: int) -> Any:
    """Epoch by epoch: `fit` warns where it has not converged, and a fixed number of epochs never does."""
    sizes = {**_NETWORK, "batch_size": min(_NETWORK["batch_size"], len(rows))}
    network = extra("sklearn.neural_network").MLPClassifier(**sizes, random_state=seed)
    with extra("threadpoolctl").threadpool_limits(
        1
    ):  # so small products take longer on several threads than on one
        for _ in range(_EPOCHS):
            network.partial_fit(rows, other, classes=[False, True], sample_weight=weight)
    return network


def prepare(
    name: str, fit: Fit, settings: dict[str, Any], pooled: Pooled, names: Sequence[str], seed: int
) -> PreparedTest:
    """Train on one half with both samples at equal weight, score the other; AUC and balanced accuracy at a score of 1/2."""
    other, held_out = pooled.other[pooled.event], pooled.held_out[pooled.event]
    balanced = (
        np.where(other, *(pooled.weight[~held_out & s].sum() for s in (~other, other)))
        * pooled.weight
    )
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if any(not (part & kind).any() for part in (held_out, ~held_out) for kind in (other, ~other)):
        raise InvalidArgument(
            f"too few events with rows for {name}, which is trained on half of them; leave it out of --tests"
        )
    rows = pooled.standardised
    with extra("threadpoolctl").threadpool_limits(
        1 if len(rows) < _SMALL else None
    ):  # on few rows threads mostly wait
        model = fit(rows[train], other[train], balanced[train] / balanced[train].mean(), seed)
        scores = model.predict_proba(rows[test])[:, 1]
    weight = pooled.weight[test]
    ranks, right = weighted_ranks(scores, weight), scores > 0.5
    sums = np.zeros((len(rows), 3))
    sums[test] = np.stack([weight, weight * ranks, weight * right], axis=1)
    by_event = pooled.by_event(sums)
    whole = by_event.sum(axis=0)

    def statistics(labels: Permutations) -> Array:
        total, ranked, called = labels.sums(by_event)
        rest = whole[0] - total
        found = {
            name: (ranked - total * total / 2) / (total * rest),
            f"{name}-accuracy": 0.5 * (called / total + 1 - (whole[2] - called) / rest),
        }
        return np.stack([found[n] for n in names])

    intervals = _intervals(name, scores, right, other[test], weight, pooled.event[test])
    about = {
        n: {"interval_95": intervals[n], "held_out_rows": len(test), **settings} for n in names
    }
    return PreparedTest([(n, "") for n in names], statistics, about)


def _intervals(
    name: str, scores: Array, right: Array, other: Array, weight: Array, event: Array
) -> dict[str, tuple[float, float]]:
    """95 % intervals of AUC and of balanced accuracy, the mean of two shares."""
    area = area_under_roc(scores, other, weight, event)
    half = interval(
        (right == other) * 0.5, other, weight, event
    )  # of a sum of two halves, not of their mean
    accuracy = (half.low + half.value, half.high + half.value)
    return {name: (area.low, area.high), f"{name}-accuracy": accuracy}


def _family(name: str, fit: Fit, settings: dict[str, Any], what: str) -> Family:
    def prepared(
        pooled: Pooled, names: Sequence[str], seed: int, progress: Progress
    ) -> PreparedTest:
        progress("compare", 0.0, f"training {what}")
        return prepare(name, fit, settings, pooled, names, seed)

    tests = (
        Test(name, f"AUC of {what} on held-out events", least=LEAST_ROWS),
        Test(f"{name}-accuracy", f"accuracy of {what} on held-out events", least=LEAST_ROWS),
    )
    return Family(tests, prepared)


FAMILIES = (
    _family(
        "c2st-trees",
        fit_trees,
        {"classifier": "HistGradientBoostingClassifier", **_TREES},
        "boosted trees",
    ),
    _family(
        "c2st-network",
        _fit_network,
        {"classifier": "MLPClassifier", **_NETWORK, "epochs": _EPOCHS},
        "a network",
    ),
)
