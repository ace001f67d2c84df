"""The density ratio of two samples from a classifier, r(x) = p_reference(x) / p_other(x).

Sugiyama, Suzuki and Kanamori, "Density ratio estimation in machine learning" (2012); each row is
scored by trees that were trained on other events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.comparison.two_sample.cross_fitting import (
    FOLDS,
    fitted_folds,
    pool_for_classifier,
)
from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress, silent

_WORST = 10  # rows of each sample
_CLIP = 1e-6  # of a classifier that is sure


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
    pooled = pool_for_classifier(reference, other, seed)
    rows, signal = pooled.values, ~pooled.other[pooled.event]
    draw = np.random.default_rng([seed, 6])
    logit, shuffled = np.empty(len(rows)), np.empty(rows.T.shape)
    for test, model in fitted_folds(pooled, folds, seed, progress):
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
        tuple(sorted(zip(pooled.columns, costs, strict=True), key=lambda column: -column[1])),
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
