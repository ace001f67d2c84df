"""Reliability of probabilities: log-loss, slope, area under the ROC curve, shares in bins."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.data.schema import Array

BINS = 10
_STEPS = 100
_RIDGE = 1e-6  # for scores that separate labels entirely, whose slope would be infinite
_SMALL = 1e-10


def log_losses(log_odds: Array, signal: Array) -> Array:
    """Return -ln p of the label of each row, shape (n,).

    Example:
        >>> log_losses(np.array([0.0, 50.0]), np.array([True, True])).round(3).tolist()
        [0.693, 0.0]
    """
    losses: Array = np.logaddexp(0.0, np.where(signal, -log_odds, log_odds))
    return losses


def probability(log_odds: Array) -> Array:
    """Return the probability of log-odds, NaN where these are, shape (n,).

    Example:
        >>> probability(np.array([-1000.0, 0.0])).tolist()
        [0.0, 0.5]
    """
    with np.errstate(invalid="ignore"):
        p: Array = np.exp(-np.logaddexp(0.0, -log_odds))
    return p


def fit_line(scores: Array, target: Array, weight: Array) -> tuple[float, float]:
    """Return slope and intercept of log-odds that are linear in a score: logistic regression.

    Args:
        scores: Finite scores, shape (n,).
        target: Label of each row, from 0 to 1, shape (n,).
        weight: Weights from 0 on, shape (n,).

    Example:
        >>> x = np.repeat([-1.0, 1.0], 4)
        >>> slope, _ = fit_line(x, np.array([0, 0, 0, 1, 0, 1, 1, 1.0]), np.ones(8))
        >>> round(slope, 3)  # ln 3
        1.099
    """
    slopes, intercept = fit_plane(scores[:, None], target, weight, 0.0, _RIDGE)
    return float(slopes[0]), intercept


def fit_plane(
    scores: Array, target: Array, weight: Array, centre: float, ridge: float
) -> tuple[Array, float]:
    """Return slopes of shape (d,) and intercept of log-odds that are linear in several scores.

    Newton's method, whose steps are halved where they increase the loss.

    Args:
        scores: Finite scores, shape (n, d).
        target: Label of each row, from 0 to 1, shape (n,).
        weight: Weights from 0 on, shape (n,).
        centre: Slope that all scores are drawn to.
        ridge: Strength of this, for scores in units of their standard deviations: ridge / 2 times
            the squared distance is added to the mean loss of a row.
    """
    middle, width = np.average(scores, axis=0, weights=weight), scores.std(axis=0)
    width = np.where(width > 0, width, 1.0)
    x = np.concatenate([((scores - middle) / width).T, np.ones((1, len(scores)))])
    share = weight / weight.sum()
    start, ridges = (
        np.append(centre * width, 0.0),
        np.append(np.full(len(width), ridge), 0),
    )

    def loss(plane: Array) -> float:
        log_odds = plane @ x
        fit = np.logaddexp(0.0, log_odds) - target * log_odds
        return float(share @ fit + ridges @ np.square(plane - start) / 2)

    plane, best = start, loss(start)
    for _ in range(_STEPS):
        p = probability(plane @ x)
        slope = x @ (share * (p - target)) + ridges * (plane - start)
        curvature = (x * (share * p * (1 - p))) @ x.T + np.diag(ridges + 1e-12)
        step = np.linalg.solve(curvature, slope)
        while (value := loss(plane - step)) > best and np.abs(step).max() > _SMALL:
            step = step / 2
        plane, gain, best = plane - step, best - value, value
        if gain < _SMALL:
            break
    slopes: Array = plane[:-1] / width
    return slopes, float(plane[-1] - slopes @ middle)


@dataclass(frozen=True)
class Bin:
    """Rows of like probability.

    Attributes:
        probability: Mean of their probabilities.
        share: Share of signal among them.
        error: Standard deviation of the share.
        rows: Number of them.

    Example:
        >>> import awkward as ak
        >>> import flowtuple as ft
        >>> columns = {"probability": [0.25, 0.75] * 4, "label": [0, 1, 0, 1, 0, 1, 1, 0]}
        >>> ft.reliability(ak.Array(columns))["probability"].bins[0].share
        0.25
    """

    probability: float
    share: float
    error: float
    rows: int


@dataclass(frozen=True)
class Reliability:
    """Quality of the probabilities of labelled rows.

    Attributes:
        rows: Rows with a probability and a label.
        log_loss: Mean of -ln p of the labels; a coin has 0.693.
        error: Standard deviation of the log-loss, from the contribution of each event.
        slope: Slope of the true log-odds in the stated ones, by logistic regression: 1 if
            calibrated, below 1 for odds that are too bold.
        intercept: Intercept of that regression: 0 if calibrated.
        auc: Area under the ROC curve.
        bins: Ten bins of like weight, in the order of the probability.

    Example:
        >>> import awkward as ak
        >>> import flowtuple as ft
        >>> columns = {"probability": [0.25, 0.75] * 4, "label": [0, 1, 0, 1, 0, 1, 1, 0]}
        >>> round(ft.reliability(ak.Array(columns))["probability"].slope, 2)
        1.0
    """

    rows: int
    log_loss: float
    error: float
    slope: float
    intercept: float
    auc: Area
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        return asdict(self)


def measure_reliability(
    log_odds: Array, signal: Array, weight: Array, event: Array
) -> Reliability:
    """Return the reliability of the odds of labelled rows.

    Args:
        log_odds: Shape (n,), no NaN.
        signal: True for signal rows, bool, shape (n,).
        weight: Weights from 0 on, shape (n,).
        event: The event of each row, from 0 on, shape (n,).

    Raises:
        InvalidArgument: All rows are of one kind.
    """
    auc = area_under_roc(log_odds, signal, weight, event)
    losses = log_losses(log_odds, signal)
    mean = float(np.average(losses, weights=weight))
    terms = np.bincount(event, weight * (losses - mean) / weight.sum())
    # Odds of certainty weigh like those of the last bit of a probability.
    bounded = np.clip(log_odds, -36.0, 36.0)
    slope, intercept = fit_line(bounded, signal.astype(np.float64), weight)
    return Reliability(
        len(log_odds),
        mean,
        math.sqrt(float(np.square(terms).sum())),
        slope,
        intercept,
        auc,
        _bins(probability(log_odds), signal, weight),
    )


def _bins(p: Array, signal: Array, weight: Array) -> tuple[Bin, ...]:
    """Return bins of like weight; equal probabilities are in one bin."""
    levels, place = np.unique(p, return_inverse=True)
    at = np.bincount(place, weight, len(levels))
    middle = (np.cumsum(at) - at / 2) / max(float(at.sum()), 1e-300)
    number = np.minimum((middle * BINS).astype(np.int64), BINS - 1)[place]
    out = []
    for k in np.unique(number[weight > 0]):
        inside = number == k
        w = weight[inside]
        share = float(np.average(signal[inside], weights=w))
        count = float(w.sum() ** 2 / np.square(w).sum())
        # The error of a share of 0 or 1 is that of one more row of each kind.
        smooth = (share * count + 1) / (count + 2)
        out.append(
            Bin(
                float(np.average(p[inside], weights=w)),
                share,
                math.sqrt(smooth * (1 - smooth) / (count + 2)),
                int(inside.sum()),
            )
        )
    return tuple(out)
