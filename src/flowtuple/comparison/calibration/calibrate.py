"""Calibration of a score on labelled events: fitted, and chosen in folds of events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.calibration.curves import (
    Curve,
    curve_from_json,
    fit_by_column,
    fit_isotonic,
    fit_logistic,
)
from flowtuple.comparison.calibration.reliability import (
    Reliability,
    log_losses,
    measure_reliability,
)
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

LEAST_LABELLED = 50
"""Labelled events of each kind, at least."""

FOLDS = 5
BY_COLUMN = "logistic by column"
METHODS = ("logistic", "isotonic", BY_COLUMN)
LIMITS = (math.inf, 8.0, 4.0, 2.0, 1.0)
"""Limits of the share of a column: one value in a rare cell must not decide for an event."""


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Scores of labelled rows.

    Attributes:
        where: Name of the sample in messages.
        shares: Shares of columns that add up to the score, large for signal, shape (n, d).
        signal: Label of each row, bool, shape (n,).
        weight: Weights from 0 on, shape (n,).
        event: The event of each row, from 0 on, shape (n,).
    """

    where: str
    shares: Array
    signal: Array
    weight: Array
    event: Array

    def some(self, rows: Array) -> LabelledScores:
        """Return the rows of a mask."""
        parts = (self.shares, self.signal, self.weight, self.event)
        return LabelledScores(self.where, *(part[rows] for part in parts))


@dataclass(frozen=True)
class Calibration:
    """A map from the score of a row to the log-odds of signal.

    Attributes:
        columns: Names of the columns whose shares add up to the score.
        limit: Largest |share| of a column; larger ones count as this.
        weights: Factors of the shares; empty where all are 1.
        curve: Curve from the sum to log-odds.
        prior: Log-odds of signal among the labelled rows.
        counts: Labelled rows: signal, others.
        losses: Log-loss by method and limit, each of events that its fit has not seen.
    """

    columns: tuple[str, ...]
    limit: float
    weights: tuple[float, ...]
    curve: Curve
    prior: float
    counts: tuple[int, int]
    losses: Mapping[str, float]

    @property
    def method(self) -> str:
        """The chosen method and limit, as in `losses`."""
        kind = BY_COLUMN if self.weights else str(self.curve.to_json()["kind"])
        return method_name(kind, self.limit)

    def log_odds(self, shares: Array) -> Array:
        """Return the log-odds of signal, at the share of signal of the labelled rows.

        Args:
            shares: Shares of the columns, shape (n, d).
        """
        limited = np.clip(shares, -self.limit, self.limit)
        factors = self.weights or np.ones(shares.shape[1])
        return self.curve.log_odds(limited @ np.array(factors))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` reads."""
        return {
            "columns": list(self.columns),
            "limit": None if math.isinf(self.limit) else self.limit,
            "weights": list(self.weights),
            "curve": self.curve.to_json(),
            "prior": self.prior,
            "counts": list(self.counts),
            "losses": dict(self.losses),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the calibration of a JSON object.

        Raises:
            ValueError: A number is out of its range, or of another type.
            KeyError: A part is missing.
        """
        limit = math.inf if data["limit"] is None else float(data["limit"])
        prior = float(data["prior"])
        if not limit > 0 or not math.isfinite(prior):
            raise ValueError("its limit or its prior is out of range")
        of_signal, others = (int(count) for count in data["counts"])
        columns, weights = (
            tuple(map(str, data["columns"])),
            tuple(map(float, data["weights"])),
        )
        if len(weights) not in (0, len(columns)) or not np.isfinite(weights).all():
            raise ValueError("its weights are not one finite number a column")
        return cls(
            columns,
            limit,
            weights,
            curve_from_json(data["curve"]),
            prior,
            (of_signal, others),
            {str(key): float(value) for key, value in data["losses"].items()},
        )


def method_name(method: str, limit: float) -> str:
    """Return a method with its limit in words.

    Example:
        >>> method_name("logistic", 2.0), method_name("isotonic", math.inf)
        ('logistic, columns within 2', 'isotonic')
    """
    return method if math.isinf(limit) else f"{method}, columns within {limit:g}"


def calibrate(
    labelled: LabelledScores, columns: tuple[str, ...], seed: int = 0
) -> tuple[Calibration, Reliability]:
    """Fit each method in folds of events, and the one of the least cross-fitted log-loss to all.

    Args:
        labelled: Scores of labelled rows that the models have not learned from.
        columns: Names of the columns of the shares.
        seed: Seed of the folds.

    Returns:
        The calibration, and its reliability on rows that its fits in folds have not seen.

    Raises:
        InvalidArgument: There are fewer than `LEAST_LABELLED` events of one kind.
    """
    check_enough(labelled)
    events = int(labelled.event.max()) + 1
    fold = np.random.default_rng([seed, 7]).permutation(events) % FOLDS
    has_columns = labelled.shares.shape[1] > 1
    cross_fitted = {
        (method, limit): _cross_fitted(labelled, method, limit, fold[labelled.event])
        for limit in (LIMITS if has_columns else LIMITS[:1])
        for method in METHODS[: None if has_columns else 2]
    }
    losses = {
        choice: float(
            np.average(log_losses(odds, labelled.signal), weights=labelled.weight)
        )
        for choice, odds in cross_fitted.items()
    }
    method, limit = min(losses, key=lambda choice: losses[choice])
    weights, curve = _fit(labelled, method, limit)
    totals = [
        float(labelled.weight[k].sum()) for k in (labelled.signal, ~labelled.signal)
    ]
    made = Calibration(
        columns,
        limit,
        weights,
        curve,
        math.log(totals[0] / totals[1]),
        (int(labelled.signal.sum()), int((~labelled.signal).sum())),
        {method_name(*choice): loss for choice, loss in losses.items()},
    )
    odds = cross_fitted[method, limit]
    parts = (labelled.signal, labelled.weight, labelled.event)
    return made, measure_reliability(odds, *parts)


def _fit(
    labelled: LabelledScores, method: str, limit: float
) -> tuple[tuple[float, ...], Curve]:
    """Return the factors of the shares, none for those of 1, and the curve of their sum."""
    limited = np.clip(labelled.shares, -limit, limit)
    if method == BY_COLUMN:
        return fit_by_column(limited, labelled.signal, labelled.weight)
    fit = fit_logistic if method == "logistic" else fit_isotonic
    return (), fit(limited.sum(axis=1), labelled.signal, labelled.weight)


def _cross_fitted(
    labelled: LabelledScores, method: str, limit: float, fold: Array
) -> Array:
    """Return log-odds of all rows, each by a fit to the other folds."""
    odds = np.empty(len(labelled.shares))
    for k in range(FOLDS):
        others = fold != k
        weights, curve = _fit(labelled.some(others), method, limit)
        limited = np.clip(labelled.shares[~others], -limit, limit)
        odds[~others] = curve.log_odds(
            limited @ np.array(weights or np.ones(limited.shape[1]))
        )
    return odds


def check_enough(labelled: LabelledScores, user: str = "a calibration") -> None:
    """Raise if there are too few events of one kind to learn from; `user` is who needs them."""
    weighted = labelled.weight > 0
    of_signal, others = (
        len(np.unique(labelled.event[weighted & kind]))
        for kind in (labelled.signal, ~labelled.signal)
    )
    if min(of_signal, others) < LEAST_LABELLED:
        raise InvalidArgument(
            f"{labelled.where}: has {of_signal} events of signal and {others} others with a weight "
            f"and a score; {user} needs {LEAST_LABELLED} of each; add labelled events"
        )
