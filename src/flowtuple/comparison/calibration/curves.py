"""Curves from a score to log-odds: logistic and isotonic, within the odds that counts allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from flowtuple.comparison.calibration.reliability import fit_line, fit_plane
from flowtuple.data.schema import Array

_PRIOR = 100.0  # labelled events that the common slope of columns is worth, about a quarter each
_GROUPS = 2000  # of like scores at most, before an isotonic fit


@dataclass(frozen=True)
class Logistic:
    """Log-odds that are linear in a score.

    Attributes:
        slope: Log-odds per unit of the score.
        intercept: Log-odds at a score of 0.
        reach: Largest |log-odds|: ln(n + 1) after n labelled events.
    """

    slope: float
    intercept: float
    reach: float

    def log_odds(self, scores: Array) -> Array:
        """Return the log-odds of scores, shape (n,)."""
        line = self.slope * scores + self.intercept
        odds: Array = np.clip(line, -self.reach, self.reach)
        return odds

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `curve_from_json` reads."""
        return {"kind": "logistic", **vars(self)}


@dataclass(frozen=True)
class Isotonic:
    """Monotone log-odds, linear between knots and constant beyond them.

    Attributes:
        scores: Scores of the knots, ascending.
        values: Log-odds at the knots, ascending or descending.
    """

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def log_odds(self, scores: Array) -> Array:
        """Return the log-odds of scores, shape (n,)."""
        odds: Array = np.interp(scores, self.scores, self.values)
        return np.where(np.isnan(scores), np.nan, odds)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `curve_from_json` reads."""
        knots = {"scores": list(self.scores), "values": list(self.values)}
        return {"kind": "isotonic", **knots}


Curve: TypeAlias = Logistic | Isotonic


def effective_count(weight: Array) -> float:
    """Return the number of events of weight 1 that weights are worth: (sum w)^2 / sum w^2.

    Example:
        >>> effective_count(np.array([1.0, 1.0, 0.0]))
        2.0
    """
    squares = float(np.square(weight).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def fit_logistic(scores: Array, signal: Array, weight: Array) -> Logistic:
    """Fit log-odds linear in a score, for targets that allow for the number of events.

    Platt, "Probabilistic outputs for support vector machines" (1999): the targets are those of
    Laplace's rule, (n + 1) / (n + 2) and 1 / (n + 2), so that no odds become infinite.

    Args:
        scores: Finite scores, shape (n,).
        signal: bool, shape (n,).
        weight: Weights from 0 on, shape (n,).
    """
    slope, intercept = fit_line(scores, smooth_labels(signal, weight), weight)
    return Logistic(slope, intercept, math.log(effective_count(weight) + 1))


def fit_by_column(
    shares: Array, signal: Array, weight: Array
) -> tuple[tuple[float, ...], Logistic]:
    """Fit log-odds with a slope for each column, drawn to the slope of the sum of all.

    Columns in which both densities are noise then count less.

    Args:
        shares: Finite shares of the columns, shape (n, d).
        signal: bool, shape (n,).
        weight: Weights from 0 on, shape (n,).

    Returns:
        The slopes, and log-odds linear in the sum of the shares times these.
    """
    target, count = smooth_labels(signal, weight), effective_count(weight)
    common, _ = fit_line(shares.sum(axis=1), target, weight)
    slopes, intercept = fit_plane(shares, target, weight, common, _PRIOR / count)
    return tuple(slopes.tolist()), Logistic(1.0, intercept, math.log(count + 1))


def smooth_labels(signal: Array, weight: Array) -> Array:
    """Return targets that allow for the number of events, as Laplace's rule does, shape (n,)."""
    of_signal, others = (effective_count(weight[k]) for k in (signal, ~signal))
    return np.where(signal, (of_signal + 1) / (of_signal + 2), 1 / (others + 2))


def fit_isotonic(scores: Array, signal: Array, weight: Array) -> Isotonic:
    """Fit monotone odds by pooling adjacent violators, with knots at the mean of each pool.

    Oron and Flournoy, "Centered isotonic regression" (2017). The odds of a first or last pool with
    events of one kind are those of Laplace's rule: 1 / (n + 1), or n + 1, for its n events.

    Args:
        scores: Finite scores, shape (n,).
        signal: bool, shape (n,).
        weight: Weights from 0 on, shape (n,).
    """
    sign = 1.0 if _rises(scores, signal, weight) else -1.0
    pools = _pooled(_groups(sign * scores, signal, weight))
    share = pools[:, 1] / pools[:, 0]
    count = np.maximum(np.square(pools[:, 0]) / pools[:, 3], 1.0)
    low = 1 / (count[0] + 2) if share[0] <= 0 else share[0]
    high = (count[-1] + 1) / (count[-1] + 2) if share[-1] >= 1 else share[-1]
    share = np.clip(share, min(low, high), max(low, high))
    knots, values = sign * pools[:, 2] / pools[:, 0], np.log(share / (1 - share))
    order = np.argsort(knots, kind="stable")
    return Isotonic(tuple(knots[order].tolist()), tuple(values[order].tolist()))


def _rises(scores: Array, signal: Array, weight: Array) -> bool:
    return fit_line(scores, signal.astype(np.float64), weight)[0] >= 0


def _groups(scores: Array, signal: Array, weight: Array) -> Array:
    """Return sums of w, w y, w x and w^2 over rows of like score, ascending, shape (k, 4)."""
    order = np.argsort(scores, kind="stable")
    x, w, y = scores[order], weight[order], signal[order]
    new = np.append(True, np.diff(x) > 0)
    number = np.cumsum(new) - 1
    number = number * _GROUPS // max(int(number[-1]) + 1, _GROUPS)
    sums = [np.bincount(number, terms) for terms in (w, w * y, w * x, w * w)]
    groups = np.stack(sums, axis=1)
    return groups[groups[:, 0] > 0]


def _pooled(groups: Array) -> Array:
    """Join neighbours until the shares ascend; the sums of `_groups`."""
    pools: list[Array] = []
    for group in groups:
        joined = group
        while pools and pools[-1][1] * joined[0] >= joined[1] * pools[-1][0]:
            joined = joined + pools.pop()
        pools.append(joined)
    return np.stack(pools)


def curve_from_json(data: Mapping[str, Any]) -> Curve:
    """Return the curve of a JSON object that `to_json` made.

    Raises:
        ValueError: It is no monotone curve of finite numbers.
        KeyError: A part is missing.
    """
    if data["kind"] == "logistic":
        numbers = [float(data[key]) for key in ("slope", "intercept", "reach")]
        if not all(map(math.isfinite, numbers)) or numbers[2] <= 0:
            raise ValueError("its line is not finite")
        return Logistic(*numbers)
    if data["kind"] != "isotonic":
        raise ValueError(f"its curve is of an unknown kind {data['kind']!r}")
    scores, values = (tuple(map(float, data[key])) for key in ("scores", "values"))
    steps = np.diff(values)
    if len(scores) != len(values) or not scores or not np.isfinite(scores + values).all():
        raise ValueError("its knots are not pairs of finite numbers")
    if (np.diff(scores) < 0).any() or not ((steps >= 0).all() or (steps <= 0).all()):
        raise ValueError("its knots are not in order")
    return Isotonic(scores, values)
