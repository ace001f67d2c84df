"""Classifier two-sample tests: trained on half of the events, a classifier scores the other half.

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017). Only the labels of the test
half are permuted, for scores that stay as they are; nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import (
    area_under_roc,
    interval,
    other_totals,
    weighted_ranks,
)
from flowtuple.comparison.two_sample.permutations import (
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
# Trees of 8 leaves: with scikit-learn's 31 a shift of 0.1 sigma in one of 25 columns drowned in
# overfitting.
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
    """Fit boosted trees to rows of shape (n, d), labels and weights of shape (n,)."""
    trees = extra("sklearn.ensemble").HistGradientBoostingClassifier(
        **_TREES, random_state=seed
    )
    return trees.fit(rows, other, sample_weight=weight)


def _fit_network(rows: Array, other: Array, weight: Array, seed: int) -> Any:
    """Fit a network epoch by epoch, since `fit` warns where it has not converged."""
    sizes = {**_NETWORK, "batch_size": min(_NETWORK["batch_size"], len(rows))}
    network = extra("sklearn.neural_network").MLPClassifier(**sizes, random_state=seed)
    with threads(1):  # so small products take longer on several threads than on one
        for _ in range(_EPOCHS):
            network.partial_fit(rows, other, classes=[False, True], sample_weight=weight)
    return network


def threads(limit: int | None) -> Any:
    """Return a context that limits the threads of numeric libraries; `None` for no limit."""
    return extra("threadpoolctl").threadpool_limits(limit)


def prepare(
    name: str,
    words: str,
    fit: Fit,
    about: Mapping[str, Any],
    pooled: Pooled,
    names: Sequence[str],
    seed: int,
    progress: Progress,
) -> PreparedTest:
    """Train on one half with both samples at equal weight, and score the other half.

    Args:
        name: Name of the AUC's test; that of the balanced accuracy at a score of 1/2 has a suffix.
        words: The classifier in words.
        fit: Trains the classifier.
        about: Its class and hyperparameters, for the details.
        pooled: Both samples.
        names: The tests that are wanted.
        seed: Seed of the classifier.
        progress: Receives the start of the training.

    Raises:
        InvalidArgument: A half has no row of one of the samples.
    """
    progress("compare", 0.0, f"training {words}")
    other, in_test = pooled.other[pooled.event], pooled.test_half[pooled.event]
    if any(
        not (part & kind).any()
        for part in (in_test, ~in_test)
        for kind in (other, ~other)
    ):
        raise InvalidArgument(
            f"too few events with rows for {name}, which is trained on half of them; "
            "leave it out of `tests=`"
        )
    test = np.flatnonzero(in_test)
    weight = pooled.weight[test]
    scores = _scores(fit, pooled, other, np.flatnonzero(~in_test), test, seed)
    right = scores > 0.5
    sums = np.zeros((len(other), 3))
    columns = [weight, weight * weighted_ranks(scores, weight), weight * right]
    sums[test] = np.stack(columns, axis=1)
    by_event = pooled.by_event(sums)
    whole = by_event.sum(axis=0)

    def statistics(labels: Permutations) -> Array:
        total, ranked, called = labels.sums(by_event)
        rest = whole[0] - total
        values = {
            name: (ranked - total * total / 2) / (total * rest),
            f"{name}-accuracy": 0.5 * (called / total + 1 - (whole[2] - called) / rest),
        }
        return np.stack([values[n] for n in names])

    intervals = _intervals(name, scores, right, other[test], weight, pooled.event[test])
    about = {"held_out_rows": len(test), **about}
    return PreparedTest(
        statistics, {n: {"interval_95": intervals[n], **about} for n in names}
    )


def _scores(
    fit: Fit, pooled: Pooled, other: Array, train: Array, test: Array, seed: int
) -> Array:
    """Train on some rows and return the scores of the test rows."""
    rows, weight = pooled.standardised_to_learn_from, pooled.weight[train]
    # With the weights of each sample times the other's total both samples weigh alike.
    balanced = other_totals(other[train], weight) * weight
    with threads(1):  # several threads would add gradients in an order of their own
        model = fit(rows[train], other[train], balanced / balanced.mean(), seed)
        return np.asarray(model.predict_proba(rows[test])[:, 1])


def _intervals(
    name: str, scores: Array, right: Array, other: Array, weight: Array, event: Array
) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of AUC and of balanced accuracy, the mean of two shares."""
    area = area_under_roc(scores, other, weight, event)
    # The interval is that of a mean of halves; accuracy is their sum.
    half = interval((right == other) * 0.5, other, weight, event)
    accuracy = (half.low + half.value, half.high + half.value)
    return {name: (area.low, area.high), f"{name}-accuracy": accuracy}


_CLASSIFIERS = {
    "c2st-trees": (
        "boosted trees",
        fit_trees,
        {"classifier": "HistGradientBoostingClassifier", **_TREES},
    ),
    "c2st-network": (
        "a network",
        _fit_network,
        {"classifier": "MLPClassifier", **_NETWORK, "epochs": _EPOCHS},
    ),
}


def _tests() -> dict[str, Test]:
    tests = {}
    for name, (words, fit, about) in _CLASSIFIERS.items():
        prepared = partial(prepare, name, words, fit, about)
        auc, accuracy = (
            f"{s} of {words} on held-out events" for s in ("AUC", "accuracy")
        )
        tests[name] = Test(auc, prepared, least=LEAST_ROWS)
        tests[f"{name}-accuracy"] = Test(accuracy, prepared, least=LEAST_ROWS)
    return tests


TESTS = _tests()
