"""The density ratio of two samples from a classifier: r(x) = p_reference(x) / p_other(x), and where it is far from 1.

Sugiyama, Suzuki and Kanamori, "Density ratio estimation in machine learning" (2012); every row is scored by trees that were
trained on other events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.comparison.two_sample.cross_fitting import FOLDS, fitted_folds, pool_for_classifier
from flowtuple.comparison.two_sample.permutations import extra
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.runtime.progress import Progress, silent

_WORST = 20
_CLIP = 1e-6  # of a classifier that is sure


@dataclass(frozen=True)
class Failure:
    """A row that the ratio is far from 1 at.

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
    """What a classifier knows of the density ratio.

    Attributes:
        folds: Parts of the events; each is scored by a classifier that was trained on the others.
        auc: Area under the ROC curve over all folds, with its 95 % interval.
        accuracy: Share of rows on the right side, both samples at equal weight.
        effective: Share of its rows that the other sample, of weights w, is worth once weighted by r:
            (sum w r)^2 / (n sum (w r)^2).
        columns: Names with what shuffling the column takes from the AUC, the largest first.
        failures: The rows with the largest |ln r|, at most ten of each sample.
        reference: ln r of the rows of the reference, shape (n,).
        other: ln r of those of the other sample.
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
        """All but the rows' own ratios."""
        content = {
            key: value for key, value in vars(self).items() if key not in ("reference", "other")
        }
        return {
            **content,
            "auc": vars(self.auc),
            "failures": [vars(failure) for failure in self.failures],
        }


def density_ratio(
    reference: Rows, other: Rows, seed: int = 0, folds: int = FOLDS, progress: Progress = silent
) -> Ratio:
    """Train boosted trees fold by fold and read the ratio off their scores.

    Args:
        reference: Class 1.
        other: Class 0, with the same columns.
        seed: Of folds and trees.
        folds: At least 2.
        progress: Told of each fold.

    Raises:
        InvalidArgument: A sample has too few rows.
        MissingExtra: The extra 'compare' is not installed.
    """
    pooled = pool_for_classifier(reference, other, seed)
    wanted, draw = ~pooled.other[pooled.event], np.random.default_rng([seed, 6])
    rows, logit = pooled.values, np.empty(len(pooled.event))
    shuffled = np.empty((rows.shape[1], len(rows)))
    for test, model in fitted_folds(pooled, folds, seed, progress):
        logit[test] = _logit(model.predict_proba(rows[test])[:, 1])
        for d in range(rows.shape[1]):
            mixed = rows[test].copy()
            mixed[:, d] = mixed[draw.permutation(len(test)), d]
            shuffled[d, test] = _logit(model.predict_proba(mixed)[:, 1])
    auc = area_under_roc(logit, wanted, pooled.weight, pooled.event)
    without = [
        area_under_roc(scores, wanted, pooled.weight, pooled.event).value for scores in shuffled
    ]
    importance = sorted(
        zip(pooled.columns, (auc.value - np.array(without)).tolist(), strict=True),
        key=lambda c: -c[1],
    )
    weight = pooled.weight[~wanted] * np.exp(logit[~wanted])
    right = (logit > 0) == wanted
    accuracy = np.mean(
        [np.average(right[kind], weights=pooled.weight[kind]) for kind in (wanted, ~wanted)]
    )
    return Ratio(
        folds,
        auc,
        float(accuracy),
        float(weight.sum() ** 2 / (len(weight) * np.square(weight).sum())),
        tuple(importance),
        _failures(logit, wanted, (reference.event, other.event)),
        logit[wanted],
        logit[~wanted],
    )


def _logit(share: Array) -> Array:
    return np.asarray(extra("scipy.special").logit(np.clip(share, _CLIP, 1 - _CLIP)))


def _failures(logit: Array, wanted: Array, events: Sequence[Array]) -> tuple[Failure, ...]:
    found = []
    for name, kind, event in zip(("reference", "other"), (wanted, ~wanted), events, strict=True):
        own = logit[kind]
        worst = np.argsort(-np.abs(own), kind="stable")[: _WORST // 2]
        found += [Failure(name, int(event[k]), float(own[k])) for k in worst]
    return tuple(found)
