"""Area under the ROC curve of a score, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

_DEVIATIONS = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Area:
    """Area under a ROC curve, or a difference of two.

    The area is the chance that a signal row scores above a background row, ties counted half.

    Attributes:
        value: From 0 to 1; 0.5 for a score without information.
        low: Lower end of the 95 % interval.
        high: Upper end.

    Example:
        >>> import flowtuple as ft
        >>> print(ft.Area(0.71, 0.68, 0.74))
        0.7100 (0.6800 to 0.7400)
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def area_under_roc(
    scores: Array, signal: Array, weight: Array | None = None, event: Array | None = None
) -> Area:
    """Return the area, with an interval from the contribution of each event.

    DeLong, DeLong and Clarke-Pearson (1988), by clusters as Obuchowski (1997).

    Args:
        scores: Shape (n,).
        signal: True for signal rows, bool, shape (n,).
        weight: Shape (n,); `None` where all rows count alike.
        event: The event of each row, shape (n,); `None` where each row is one.

    Raises:
        InvalidArgument: All rows are of one kind.

    Example:
        >>> signal = np.array([False, False, True, True])
        >>> area_under_roc(np.array([0.1, 0.4, 0.35, 0.8]), signal).value
        0.75
    """
    weights = np.ones(len(scores)) if weight is None else weight
    placement = placements(scores, signal, weights)
    return interval(np.where(signal, placement, 1 - placement), signal, weights, event)


def gained_area(
    before: Array, after: Array, signal: Array, event: Array | None = None
) -> Area:
    """Return how much the area grows from one score of some rows to another.

    Both scores are of the same rows, so that most chance moves both areas alike: the interval is
    narrower than those of the areas (DeLong, DeLong and Clarke-Pearson, 1988).

    Args:
        before: One score, shape (n,).
        after: The other score, shape (n,).
        signal: True for signal rows, bool, shape (n,).
        event: The event of each row, shape (n,); `None` where each row is one.

    Raises:
        InvalidArgument: All rows are of one kind.

    Example:
        >>> signal = np.array([False, False, True, True])
        >>> before, after = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.1, 0.3, 0.35, 0.8])
        >>> gained_area(before, after, signal).value
        0.25
    """
    weight = np.ones(len(before))
    gained = placements(after, signal, weight) - placements(before, signal, weight)
    return interval(np.where(signal, gained, -gained), signal, weight, event)


def weighted_ranks(scores: Array, weight: Array) -> Array:
    """Return the weight of all rows below each score and half of that at it, shape (n,)."""
    levels, place = np.unique(scores, return_inverse=True)
    at = np.bincount(place, weights=weight, minlength=len(levels))
    return np.asarray((np.cumsum(at) - at / 2)[place])


def kind_totals(signal: Array, weight: Array) -> Array:
    """Return the total weight of the kind that each row belongs to, shape (n,)."""
    return np.asarray(np.where(signal, weight[signal].sum(), weight[~signal].sum()))


def other_totals(signal: Array, weight: Array) -> Array:
    """Return the total weight of the kind that each row does not belong to, shape (n,)."""
    return np.asarray(np.where(signal, weight[~signal].sum(), weight[signal].sum()))


def placements(scores: Array, signal: Array, weight: Array) -> Array:
    """Return the share of the other kind that lies below each row, shape (n,).

    Raises:
        InvalidArgument: All rows are of one kind.
    """
    if not signal.any() or signal.all():
        raise InvalidArgument(
            "all rows have the same label; an area under the ROC curve needs rows of both kinds"
        )
    own = np.empty(len(scores))
    for kind in (signal, ~signal):
        own[kind] = weighted_ranks(scores[kind], weight[kind])
    return np.asarray(
        (weighted_ranks(scores, weight) - own) / other_totals(signal, weight)
    )


def interval(placement: Array, signal: Array, weight: Array, event: Array | None) -> Area:
    """Return the mean over both kinds of a number of each row, with its 95 % interval.

    Args:
        placement: The number, whose mean over either kind estimates the same quantity, shape (n,).
        signal: Kind of each row, bool, shape (n,).
        weight: Shape (n,).
        event: Rows of one event are not independent, shape (n,).
    """
    means = [
        np.average(placement[kind], weights=weight[kind]) for kind in (signal, ~signal)
    ]
    terms = weight / kind_totals(signal, weight) * (placement - np.where(signal, *means))
    clusters = terms if event is None else np.bincount(event, weights=terms)
    middle = float(sum(means)) / 2
    reach = _DEVIATIONS * math.sqrt(float(np.square(clusters).sum()))
    return Area(middle, middle - reach, middle + reach)
