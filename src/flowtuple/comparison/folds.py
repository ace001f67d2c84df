"""Histograms of events that were simulated several times: K times the events are not K times the statistics.

The folds of one event share its generated objects, so that their entries are summed event by event before they are squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

FOLD = "fold"
"""The column that tells the times apart that one event was simulated."""


@dataclass(frozen=True, eq=False)
class FoldHistogram:
    """Bins with their contents and variances.

    Attributes:
        edges: Of k bins, shape (k + 1,).
        counts: Sum of weights in each bin, shape (k,).
        variances: Of `counts`.
        shares: Each bin's share of all weights, those outside the edges among them.
        share_variances: Of `shares`.

    Example:
        >>> values, event = np.array([0.5, 1.5, 1.6]), np.array([0, 1, 2])
        >>> fold_histogram(values, np.array([0.0, 1.0, 2.0]), event).counts.tolist()
        [1.0, 2.0]
    """

    edges: Array
    counts: Array
    variances: Array
    shares: Array
    share_variances: Array


def fold_histogram(
    values: Array, edges: Array, event: Array, weights: Array | None = None
) -> FoldHistogram:
    """A histogram whose uncertainties know which entries belong together.

    With w_f p_f the weights of an event's entries that fall into a bin, summed over its entries and folds, the variance of a
    count is the sum over events of (sum_f w_f p_f)^2. With w the whole weight of an event and p the part of it in a bin, the
    variance of a share is sum w^2 (p - <p>)^2 / (sum w)^2. Identical folds give the uncertainties of one of them.

    Args:
        values: Of each entry, shape (n,).
        edges: Of the bins, increasing; the last bin holds its upper edge.
        event: What entries with the same number share: the event that was simulated, not its fold; shape (n,).
        weights: Of each entry, already divided by the number of folds; `None` where each counts for 1.

    Returns:
        Counts and shares with their variances.

    Raises:
        InvalidArgument: Shapes differ, there are fewer than two edges, or they do not increase.

    Example:
        >>> once = fold_histogram(np.array([0.5, 1.5]), np.array([0.0, 1.0, 2.0]), np.array([0, 1]))
        >>> twice = fold_histogram(
        ...     np.array([0.5, 0.5, 1.5, 1.5]), np.array([0.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), np.full(4, 0.5)
        ... )
        >>> once.counts.tolist(), once.variances.tolist(), twice.variances.tolist()
        ([1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    """
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    if not len(values) == len(event) == len(weights):
        raise InvalidArgument(
            f"{len(values)} values, {len(event)} events and {len(weights)} weights; give one of each per entry"
        )
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InvalidArgument("the edges of a histogram are two or more increasing numbers")
    bins = len(edges) - 1
    place = np.searchsorted(edges, values, side="right") - 1
    place = np.where(values == edges[-1], bins - 1, place)
    inside = (place >= 0) & (place < bins)
    _, number = np.unique(event, return_inverse=True)
    events = int(number.max(initial=-1)) + 1
    of_event = np.bincount(number, weights, events)
    parts = np.bincount(
        number[inside] * bins + place[inside], weights[inside], events * bins
    ).reshape(events, bins)
    counts, total = parts.sum(axis=0), of_event.sum()
    shares = counts / total if total else np.zeros(bins)
    departures = parts - shares * of_event[:, None]  # w (p - <p>)
    spread = (departures**2).sum(axis=0) / total**2 if total else np.zeros(bins)
    return FoldHistogram(np.asarray(edges), counts, (parts**2).sum(axis=0), shares, spread)
