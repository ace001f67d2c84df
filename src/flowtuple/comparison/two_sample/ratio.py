"""Boosted trees in folds of events: how well they separate two samples, and the density ratio.

Each row is scored by trees that were trained on other events. The ratio is
r(x) = p_reference(x) / p_other(x): Sugiyama, Suzuki and Kanamori, "Density ratio estimation in
machine learning" (2012).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc, kind_totals
from flowtuple.comparison.two_sample.classifier import LEAST_ROWS, fit_trees, threads
from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.progress import Progress, silent
from flowtuple.runtime.threads import ordered_map

FOLDS = 5
LEAST_EVENTS = 50  # with rows, so that each of a few folds has some
_WORST = 10  # rows of each sample
_CLIP = 1e-6  # of a classifier that is sure


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
    pooled = _pool_for_classifier(reference, other, seed)
    scores = np.empty(len(pooled.event))
    for test, trees in _fitted_folds(pooled, folds, seed, progress):
        scores[test] = trees.predict_proba(pooled.values[test])[:, 1]
    return area_under_roc(
        scores, ~pooled.other[pooled.event], pooled.weight, pooled.event
    )


@dataclass(frozen=True)
class Failure:
    """A row at which the ratio is far from 1.

    Attributes:
        sample: reference or other.
        event: Number of its event.
        log_ratio: ln r; above 0 where the other sample has too little.
    """

    sample: str
    event: int
    log_ratio: float


@dataclass(frozen=True)
class Ratio:
    """A classifier's estimate of the density ratio.

    Attributes:
        folds: Parts of the events; each is scored by a classifier that was trained on the others.
        auc: Area under the ROC curve over all folds, with its 95 % interval.
        accuracy: Share of rows on the right side, both samples at equal weight.
        effective: Effective share of the rows of the other sample, of weights w, once these are
            weighted by r: (sum w r)^2 / (n sum (w r)^2).
        columns: Names with the AUC that shuffling the column costs, the largest first.
        failures: The rows with the largest |ln r|, at most ten of each sample.
        reference: ln r of the rows of the reference, shape (n,).
        other: ln r of the rows of the other sample.
    """

    folds: int
    auc: Area
    accuracy: float
    effective: float
    columns: tuple[tuple[str, float], ...]
    failures: tuple[Failure, ...]
    reference: Array
    other: Array

    def to_json(self) -> dict[str, Any]:
        """Return all but the ratios of rows."""
        return {
            "folds": self.folds,
            "auc": vars(self.auc),
            "accuracy": self.accuracy,
            "effective": self.effective,
            "columns": self.columns,
            "failures": [vars(failure) for failure in self.failures],
        }


def density_ratio(
    reference: Rows,
    other: Rows,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Progress = silent,
) -> Ratio:
    """Train boosted trees fold by fold and read the ratio off their scores.

    Args:
        reference: Class 1.
        other: Class 0, with the same columns.
        seed: Seed of folds and trees.
        folds: At least 2.
        progress: Receives the share of the folds that is done.

    Raises:
        InvalidArgument: A sample has too few rows.
        MissingExtra: The extra 'compare' is not installed.
    """
    pooled = _pool_for_classifier(reference, other, seed)
    rows, signal = pooled.values, ~pooled.other[pooled.event]
    draw = np.random.default_rng([seed, 6])
    logit, shuffled = np.empty(len(rows)), np.empty(rows.T.shape)
    for test, model in _fitted_folds(pooled, folds, seed, progress):
        logit[test] = _logit(model, rows[test])
        for d in range(rows.shape[1]):
            mixed = rows[test].copy()
            mixed[:, d] = mixed[draw.permutation(len(test)), d]
            shuffled[d, test] = _logit(model, mixed)

    def area(scores: Array) -> Area:
        return area_under_roc(scores, signal, pooled.weight, pooled.event)

    auc = area(logit)
    costs = [float(auc.value - area(scores).value) for scores in shuffled]
    weight = pooled.weight[~signal] * np.exp(logit[~signal])
    right = (logit > 0) == signal
    shares = [
        np.average(right[kind], weights=pooled.weight[kind]) for kind in (signal, ~signal)
    ]
    return Ratio(
        folds,
        auc,
        float(np.mean(shares)),
        float(weight.sum() ** 2 / (len(weight) * np.square(weight).sum())),
        tuple(
            sorted(zip(pooled.columns, costs, strict=True), key=lambda column: -column[1])
        ),
        (
            *_failures("reference", logit[signal], reference.event),
            *_failures("other", logit[~signal], other.event),
        ),
        logit[signal],
        logit[~signal],
    )


def _logit(model: Any, rows: Array) -> Array:
    share = np.clip(model.predict_proba(rows)[:, 1], _CLIP, 1 - _CLIP)
    return np.asarray(extra("scipy.special").logit(share))


def _failures(name: str, logit: Array, event: Array) -> Sequence[Failure]:
    worst = np.argsort(-np.abs(logit), kind="stable")[:_WORST]
    return [Failure(name, int(event[k]), float(logit[k])) for k in worst]


def enough_for_classifier(sample: Rows) -> bool:
    """Return whether a sample has rows and events enough for cross-fitted trees."""
    return len(sample) >= LEAST_ROWS and _events(sample) >= LEAST_EVENTS


def _pool_for_classifier(reference: Rows, other: Rows, seed: int) -> Pooled:
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


def _fitted_folds(
    pooled: Pooled, folds: int, seed: int, progress: Progress
) -> Iterator[tuple[Array, Any]]:
    """Yield the rows of each fold of events, and trees that were trained on all other folds.

    The folds of either sample are drawn at random. Class 1 of the trees is the reference.

    Raises:
        InvalidArgument: A fold is without rows of one of the samples.
    """
    signal = ~pooled.other[pooled.event]
    draw = np.random.default_rng([seed, 5])
    fold = draw.integers(0, folds, len(pooled.other))[pooled.event]
    totals = kind_totals(signal, pooled.weight)
    counts = np.stack(
        [np.bincount(fold[kind], minlength=folds) for kind in (signal, ~signal)]
    )
    if (counts == 0).any() or (counts == counts.sum(axis=1, keepdims=True)).any():
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
