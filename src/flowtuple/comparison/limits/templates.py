"""Histograms of an observable as templates of a fit, with the statistics behind each bin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.comparison.limits.observable import Observable
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument

LEAST_EVENTS = 5
"""Events of weight 1 that a bin of a background has to be worth."""


def check_edges(edges: Sequence[float]) -> Array:
    """Return the edges of bins: float64, shape (k + 1,), rising.

    Raises:
        InvalidArgument: There are fewer than two, or they do not rise.

    Example:
        >>> check_edges([0, 10, 5])
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: the edges do not rise: 5 follows 10; sort them and \
write each once
    """
    values = np.asarray(edges, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InvalidArgument(
            f"{values.size} edges make no bin; `edges=` takes two or more, such as 0, 50, 100"
        )
    if not np.isfinite(values).all():
        raise InvalidArgument(
            "an edge is NaN or infinite; leave out events beyond a finite last edge"
        )
    wrong = np.flatnonzero(np.diff(values) <= 0)
    if len(wrong):
        first = values[wrong[0] : wrong[0] + 2]
        raise InvalidArgument(
            f"the edges do not rise: {first[1]:g} follows {first[0]:g}; "
            "sort them and write each once"
        )
    return values


@dataclass(frozen=True, eq=False)
class Template:
    """A histogram of one sample. Its last bin holds the events outside the edges.

    Attributes:
        source: Name of the sample in messages.
        edges: Edges of k bins.
        sums: Sums of weights: float64, shape (k + 1,).
        squares: Sums of squared weights, shape (k + 1,).
        events: Number of events.
        undefined: Events whose observable is NaN or infinite, which count as outside.
        trained_on: Events that the model learned from that drew the sample; infinite for a
            simulation.
    """

    source: str
    edges: Array
    sums: Array
    squares: Array
    events: int
    undefined: int = 0
    trained_on: float = math.inf

    @property
    def shares(self) -> Array:
        """Share of the sample in each bin, and outside: shape (k + 1,)."""
        return np.asarray(self.sums / self.sums.sum())

    @property
    def effective(self) -> Array:
        """Events of weight 1 that each bin is worth: shape (k + 1,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(
                np.where(self.squares > 0, self.sums**2 / self.squares, 0.0)
            )

    @property
    def worth(self) -> float:
        """Events of weight 1 that the whole sample is worth, the training included."""
        own = float(self.sums.sum() ** 2 / self.squares.sum())
        return 1 / (1 / own + 1 / self.trained_on)

    @property
    def relative_errors(self) -> Array:
        """Relative standard deviation of each bin inside the edges: shape (k,).

        The variance is that of the sample plus that of the events which its model learned from:
        1 / n + 1 / (N p) with the effective events n of the bin, its share p, and N events of
        training.
        """
        own = 1 / self.effective[:-1]
        return np.asarray(np.sqrt(own + 1 / (self.trained_on * self.shares[:-1])))

    @property
    def worths(self) -> Array:
        """Events of weight 1 that each bin inside the edges is worth, the training included: (k,).

        One over the relative variance; 0 where the weights do not sum to more than 0.
        """
        worths = np.zeros(len(self.sums) - 1)
        filled = self.sums[:-1] > 0
        own = self.effective[:-1][filled]
        learned = self.trained_on * self.shares[:-1][filled]
        worths[filled] = 1 / (1 / own + 1 / learned)
        return worths

    def counts(self, total: float) -> Array:
        """Return the expected events of each bin inside the edges, of `total` in all: (k,)."""
        return np.asarray(total * self.shares[:-1])

    def replicas(self, number: int, rng: np.random.Generator) -> Array:
        """Return shares of repeated samples, each of another training: shape (number, k).

        The sums fluctuate as those of Poisson counts, by factors of gamma distributions, so that no
        bin becomes empty.
        """
        sums = self.sums * _factors(self.effective, number, rng)
        if math.isfinite(self.trained_on):
            sums *= _factors(self.trained_on * self.shares, number, rng)
        return np.asarray(sums[:, :-1] / sums.sum(axis=1, keepdims=True))


def _factors(events: Array, number: int, rng: np.random.Generator) -> Array:
    """Return factors of mean 1 and variance 1 / events, shape (number, len(events))."""
    some = np.maximum(events, 1e-9)
    return np.asarray(rng.gamma(some, size=(number, len(some))) / some)


def fill_template(
    sample: Observable, edges: Array, trained_on: float = math.inf
) -> Template:
    """Return the histogram of an observable.

    Args:
        sample: The observable of n events; NaN and infinities lie outside the edges.
        edges: Rising edges; the last bin includes its upper edge.
        trained_on: Events that the model of the sample learned from.

    Raises:
        InvalidArgument: There is no event, or all lie outside the edges.

    Example:
        >>> sample = Observable("b.root", np.array([1.0, 1.5, 9.0]))
        >>> fill_template(sample, np.array([1.0, 2.0])).counts(300.0).tolist()
        [200.0]
    """
    values, weight = sample.values, sample.weight
    if not len(values):
        raise InvalidArgument(f"{sample.source}: holds no event; name another sample")
    undefined = int((~np.isfinite(values)).sum())
    inside = (values >= edges[0]) & (values <= edges[-1])
    if not inside.any():
        raise InvalidArgument(
            f"{sample.source}: all {len(values)} events lie outside the edges {edges[0]:g} to "
            f"{edges[-1]:g}{_range(values)}; widen `edges=`"
        )
    sums, squares = (
        np.append(
            np.histogram(values[inside], edges, weights=weight[inside] ** power)[0],
            (weight[~inside] ** power).sum(),
        )
        for power in (1, 2)
    )
    count = len(values)
    return Template(sample.source, edges, sums, squares, count, undefined, trained_on)


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ", because none is a finite number"
    return f"; they lie from {finite.min():g} to {finite.max():g}"


def check_signal(template: Template) -> None:
    """Raise if a signal has a bin of negative content.

    Raises:
        InvalidArgument: The message names the bin.
    """
    for k in np.flatnonzero(template.sums[:-1] < 0):
        raise InvalidArgument(
            f"{template.source}: {_bin(template, int(k))} has weights that sum to "
            f"{template.sums[k]:g}; join it with its neighbour by fewer `edges=`"
        )
    if not template.sums[:-1].sum() > 0:
        raise InvalidArgument(
            f"{template.source}: the weights inside the edges sum to 0; widen `edges=`"
        )


def check_background(template: Template) -> None:
    """Raise if a background has too few events in a bin for its error to be known.

    Raises:
        InvalidArgument: The message names the bin.

    Example:
        >>> sample = Observable("b.root", np.array([1.0] * 9 + [2.5]))
        >>> check_background(fill_template(sample, np.array([1.0, 2.0, 3.0])))
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: b.root: the bin from 2 to 3 is worth 1 event of \
weight 1, and a background needs 5 in each; join it with its neighbour by fewer `edges=`
    """
    worth = template.worths
    for k in np.flatnonzero(worth < LEAST_EVENTS):
        events = "1 event" if round(worth[k], 2) == 1 else f"{worth[k]:.3g} events"
        what = f"is worth {events} of weight 1" if worth[k] else "has no background"
        if math.isfinite(template.trained_on) and worth[k]:
            what += f" after a training on {template.trained_on:g}"
        raise InvalidArgument(
            f"{template.source}: {_bin(template, int(k))} {what}, and a background needs "
            f"{LEAST_EVENTS} in each; join it with its neighbour by fewer `edges=`"
        )


def _bin(template: Template, k: int) -> str:
    low, high = template.edges[k : k + 2]
    return f"the bin from {low:g} to {high:g}"
