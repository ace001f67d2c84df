"""Distances between objects of a collection: how often a place so near to another is accepted.

Densities that know other objects by sums put some objects nearer to each other than a clustering
algorithm does. In the training, distances of drawn objects to the nearest one are compared with
true distances; the ratio, in bins of Delta R, is the probability to accept a draw. Others are drawn
again. What is rare stays rare, and what never occurs never comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt

_EDGES = (
    *np.round(np.arange(0.0, 0.7, 0.025), 3).tolist(),
    *np.round(np.arange(0.7, 1.6, 0.1), 3).tolist(),
)
_MOST = 2.0  # a bin is raised by at most this factor above the far ones
_ENOUGH = 25.0  # draws, and true distances far away, that a ratio is known with


@dataclass(frozen=True)
class Spacing:
    """Probability to accept an object by its distance to the nearest one.

    Attributes:
        edges: Ends of the bins in Delta R, one more than bins; beyond the last all are alike.
        accept: Probability in each bin, then beyond the last.
    """

    edges: tuple[float, ...]
    accept: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        fine = (
            all(0.0 <= p <= 1.0 for p in self.accept) and max(self.accept, default=0) > 0
        )
        if len(self.accept) != len(self.edges) or not rising or not fine:
            raise Corrupt("distances of objects have no probabilities")

    def probability(self, distance: Array) -> Array:
        """Return the probability to accept each distance, shape (n,)."""
        place = np.searchsorted(np.array(self.edges), distance, side="right") - 1
        return np.asarray(np.array(self.accept)[np.maximum(place, 0)])

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spacing:
        """Return the spacing that `dataclasses.asdict` described."""
        return cls(tuple(data["edges"]), tuple(data["accept"]))


def fit_spacing(drawn: Array, true: Array) -> Spacing | None:
    """Return the ratio of true to drawn distances, `None` for too few of them.

    Args:
        drawn: Distances of draws to the nearest object, infinite for none, shape (n,).
        true: Distances of true objects in the same events, shape (n,).
    """
    edges = np.array([*_EDGES, np.inf])
    made, real = (
        np.histogram(d[np.isfinite(d)], edges)[0].astype(float) for d in (drawn, true)
    )
    if made[-1] < _ENOUGH or real[-1] < _ENOUGH:
        return None
    far = real[-1] / made[-1]
    ratio = np.empty(len(made))
    for begin, end in _bins(made):
        ratio[begin:end] = real[begin:end].sum() / far / made[begin:end].sum()
    ratio = np.minimum(ratio, _MOST)
    return Spacing(_EDGES, tuple(np.round(ratio / ratio.max(), 6).tolist()))


def _bins(made: Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of bins that hold enough draws together, from the largest distances down."""
    end = len(made)
    for begin in range(len(made) - 1, -1, -1):
        low = made[:begin].sum()
        if made[begin:end].sum() >= _ENOUGH and (low >= _ENOUGH or begin == 0):
            yield begin, end
            end = begin
    if end:
        yield 0, end
