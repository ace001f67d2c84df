"""Histograms of events that were simulated several times, with the uncertainties of the events.

K times the events are not K times the statistics: the folds of one event share its generated
objects, so that their entries are summed event by event before they are squared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

FOLD = "fold"
"""The column that numbers the simulations of one event."""


@dataclass(frozen=True, eq=False)
class FoldHistogram:
    """Bins with their contents and variances.

    Attributes:
        edges: Edges of k bins, shape (k + 1,).
        counts: Sum of weights in each bin, shape (k,).
        variances: Variances of `counts`.
        shares: Each bin's share of all weights, those outside the edges among them.
        share_variances: Variances of `shares`.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> values, event = np.array([0.5, 1.5, 1.6]), np.array([0, 1, 2])
        >>> ft.fold_histogram(values, np.array([0.0, 1.0, 2.0]), event).counts.tolist()
        [1.0, 2.0]
    """

    edges: Array
    counts: Array
    variances: Array
    shares: Array
    share_variances: Array


def bin_numbers(values: Array, edges: Array | Sequence[float]) -> Array:
    """Return the bin of each value, -1 outside; the last bin holds its upper edge.

    Args:
        values: Shape (n,).
        edges: Edges of the bins, increasing.

    Example:
        >>> bin_numbers(np.array([-1.0, 0.0, 1.0, 2.0, 3.0]), (0, 1, 2)).tolist()
        [-1, 0, 1, 1, -1]
    """
    bins = len(edges) - 1
    number = np.searchsorted(edges, values, side="right") - 1
    number = np.where(values == edges[-1], bins - 1, number)
    return np.where(number < bins, number, -1)


def fold_histogram(
    values: Array, edges: Array, event: Array, weights: Array | None = None
) -> FoldHistogram:
    """Return a histogram whose uncertainties know which entries belong together.

    With w_f p_f the weights of an event's entries that fall into a bin, summed over its entries and
    folds, the variance of a count is the sum over events of (sum_f w_f p_f)^2. With w the whole
    weight of an event and p the part of it in a bin, the variance of a share is
    sum w^2 (p - <p>)^2 / (sum w)^2. Identical folds give the uncertainties of one of them.

    Args:
        values: Value of each entry, shape (n,).
        edges: Edges of the bins, increasing; the last bin holds its upper edge.
        event: Simulated event of each entry, the same for all its folds, shape (n,).
        weights: Weight of each entry, already divided by the number of folds, shape (n,); `None`
            where each counts for 1.

    Returns:
        Counts and shares with their variances.

    Raises:
        InvalidArgument: Shapes differ, there are fewer than two edges, or they do not increase.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> edges = np.array([0.0, 1.0, 2.0])
        >>> once = ft.fold_histogram(np.array([0.5, 1.5]), edges, np.array([0, 1]))
        >>> event, half = np.array([0, 0, 1, 1]), np.full(4, 0.5)
        >>> twice = ft.fold_histogram(np.array([0.5, 0.5, 1.5, 1.5]), edges, event, half)
        >>> once.counts.tolist(), once.variances.tolist(), twice.variances.tolist()
        ([1.0, 1.0], [1.0, 1.0], [1.0, 1.0])
    """
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    if not len(values) == len(event) == len(weights):
        raise InvalidArgument(
            f"{len(values)} values, {len(event)} events and {len(weights)} weights; "
            "give one of each per entry"
        )
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InvalidArgument(
            "the edges of a histogram are two or more increasing numbers"
        )
    bins = len(edges) - 1
    place = bin_numbers(values, edges)
    inside = place >= 0
    _, number = np.unique(event, return_inverse=True)
    events = int(number.max(initial=-1)) + 1
    of_event = np.bincount(number, weights, events)
    cell = number[inside] * bins + place[inside]
    parts = np.bincount(cell, weights[inside], events * bins).reshape(events, bins)
    counts, total = parts.sum(axis=0), of_event.sum() or 1.0
    shares = counts / total
    departures = parts - shares * of_event[:, None]  # w (p - <p>)
    return FoldHistogram(
        np.asarray(edges),
        counts,
        variances=(parts**2).sum(axis=0),
        shares=shares,
        share_variances=(departures**2).sum(axis=0) / total**2,
    )
