"""How well a score ranks one kind of row above another: the area under the ROC curve, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

_DEVIATIONS = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Area:
    """Area under a ROC curve: the chance that a row of the wanted kind scores above one of the other, ties counted half.

    Attributes:
        value: From 0 to 1; 0.5 where the score tells nothing.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def area_under_roc(
    scores: Array, wanted: Array, weight: Array | None = None, event: Array | None = None
) -> Area:
    """The area, and its interval from what each event adds to it.

    DeLong, DeLong and Clarke-Pearson (1988), by clusters as Obuchowski (1997).

    Args:
        scores: Shape (n,).
        wanted: Which rows are of the wanted kind, bool, shape (n,).
        weight: Shape (n,); `None` where all count alike.
        event: The event of each row, shape (n,); `None` where each is one.

    Raises:
        InvalidArgument: There are rows of one kind only.

    Example:
        >>> area_under_roc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).value
        0.75
    """
    if not wanted.any() or wanted.all():
        raise InvalidArgument(
            "all rows have the same label; an area under the ROC curve needs rows of both kinds"
        )
    weights = np.ones(len(scores)) if weight is None else weight
    placement = beaten(scores, wanted, weights)
    return interval(np.where(wanted, placement, 1 - placement), wanted, weights, event)


def gained_area(before: Array, after: Array, wanted: Array, event: Array | None = None) -> Area:
    """How much the area grows from one score of some rows to another, and its interval.

    Both scores are of the same rows, so that most of what moves the one area by chance moves the other too: the interval is
    narrower than those of the areas (DeLong, DeLong and Clarke-Pearson, 1988).

    Args:
        before: One score, shape (n,).
        after: The other, shape (n,).
        wanted: Which rows are of the wanted kind, bool, shape (n,).
        event: The event of each row, shape (n,); `None` where each is one.

    Raises:
        InvalidArgument: There are rows of one kind only.

    Example:
        >>> wanted = np.array([False, False, True, True])
        >>> gained_area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.1, 0.3, 0.35, 0.8]), wanted).value
        0.25
    """
    if not wanted.any() or wanted.all():
        raise InvalidArgument(
            "all rows have the same label; an area under the ROC curve needs rows of both kinds"
        )
    weight = np.ones(len(before))
    gained = beaten(after, wanted, weight) - beaten(before, wanted, weight)
    return interval(np.where(wanted, gained, -gained), wanted, weight, event)


def weighted_ranks(scores: Array, weight: Array) -> Array:
    """Weight of all rows below each score and half of that at it, which makes the area a sum over rows."""
    levels, place = np.unique(scores, return_inverse=True)
    at = np.bincount(place, weights=weight, minlength=len(levels))
    ranks: Array = (np.cumsum(at) - at / 2)[place]
    return ranks


def beaten(scores: Array, wanted: Array, weight: Array) -> Array:
    """Share of the other kind that lies below each row, shape (n,)."""
    own = np.empty(len(scores))
    for kind in (wanted, ~wanted):
        own[kind] = weighted_ranks(scores[kind], weight[kind])
    rest = np.where(wanted, weight[~wanted].sum(), weight[wanted].sum())
    share: Array = (weighted_ranks(scores, weight) - own) / rest
    return share


def interval(placement: Array, wanted: Array, weight: Array, event: Array | None) -> Area:
    """Mean over both kinds of a number of each row, and its 95 % interval.

    Args:
        placement: The number, whose mean over either kind is the same quantity seen from there, shape (n,).
        wanted: Kind of each row, bool, shape (n,).
        weight: Shape (n,).
        event: Rows of one event are not independent, shape (n,).
    """
    totals = np.where(wanted, weight[wanted].sum(), weight[~wanted].sum())
    means = [float(np.average(placement[kind], weights=weight[kind])) for kind in (wanted, ~wanted)]
    adds = weight / totals * (placement - np.where(wanted, *means))
    clusters = adds if event is None else np.bincount(event, weights=adds)
    middle, reach = sum(means) / 2, _DEVIATIONS * math.sqrt(float(np.square(clusters).sum()))
    return Area(middle, middle - reach, middle + reach)
