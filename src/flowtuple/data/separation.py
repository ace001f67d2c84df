"""Separations in eta and phi between objects of one event: near pairs, and one-to-one matches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flowtuple.data.flat_events import begin_of, spans
from flowtuple.data.schema import Array

_TURN = 2 * math.pi


def wrap_angle(angle: Array) -> Array:
    """Return the equal of an angle in [-pi, pi).

    Example:
        >>> wrap_angle(np.array([0.0, 4.0])).round(3).tolist()
        [0.0, -2.283]
    """
    return np.asarray((angle + math.pi) % _TURN - math.pi)


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions of objects, those of an event one after another.

    Attributes:
        event: Event of each object, increasing, shape (n,).
        eta: Pseudorapidities, shape (n,).
        phi: Azimuths in radians, shape (n,).
    """

    event: Array
    eta: Array
    phi: Array

    def at(self, position: Array) -> Directions:
        """Return the objects at some positions."""
        return Directions(self.event[position], self.eta[position], self.phi[position])


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs of two objects of an event within a cone of Delta R.

    Attributes:
        first: Position of the first object, increasing, shape (pairs,).
        second: Position of the second object, shape (pairs,).
        d_eta: Eta of the first less that of the second.
        d_phi: Phi of the first less that of the second, in [-pi, pi).
        distance: Delta R = sqrt(Delta eta^2 + Delta phi^2).
        objects: Number of first objects, with those in no pair.
    """

    first: Array
    second: Array
    d_eta: Array
    d_phi: Array
    distance: Array
    objects: int

    def at_rank(self, rank: int) -> Array:
        """Return the pair of each first object that has `rank` nearer ones, -1 for none.

        Equally near ones count in the order of the second objects.
        """
        order = np.lexsort((self.second, self.distance, self.first))
        counts = np.bincount(self.first, minlength=self.objects)
        pair = np.full(self.objects, -1)
        has = counts > rank
        pair[has] = order[begin_of(counts)[has] + rank]
        return pair

    def one_to_one(self) -> Array:
        """Return the second object that each first one is matched to, -1 for none.

        The nearest pair of all is matched first, then the nearest of the objects that are left.
        """
        match = np.full(self.objects, -1)
        left = np.lexsort((self.second, self.first, self.distance))
        while len(left):
            first, second = self.first[left], self.second[left]
            # A pair that is the nearest of both its objects is the next one for each of them.
            nearest = np.zeros((2, len(left)), bool)
            nearest[0, np.unique(first, return_index=True)[1]] = True
            nearest[1, np.unique(second, return_index=True)[1]] = True
            chosen = nearest.all(axis=0)
            match[first[chosen]] = second[chosen]
            taken = np.isin(first, first[chosen]) | np.isin(second, second[chosen])
            left = left[~taken]
        return match


def near_pairs(first: Directions, second: Directions, cone: float) -> NearPairs:
    """Return the pairs of objects of an event with Delta R below a cone, in float64.

    An object whose direction is NaN is in no pair.

    Args:
        first: Objects of one kind.
        second: Objects of the other kind.
        cone: Largest Delta R, which itself is excluded.

    Example:
        >>> jets = Directions(np.array([0]), np.array([1.0]), np.array([3.1]))
        >>> muons = Directions(np.array([0, 1]), np.array([1.1, 1.0]), np.array([-3.1, 3.1]))
        >>> pairs = near_pairs(jets, muons, 0.4)
        >>> pairs.second.tolist(), pairs.d_phi.round(3).tolist()
        ([0], [-0.083])
    """
    begin = np.searchsorted(second.event, first.event, side="left")
    counts = np.searchsorted(second.event, first.event, side="right") - begin
    one, two = np.repeat(np.arange(len(counts)), counts), spans(begin, counts)
    d_eta = first.eta.astype(np.float64)[one] - second.eta.astype(np.float64)[two]
    d_phi = first.phi.astype(np.float64)[one] - second.phi.astype(np.float64)[two]
    d_phi = wrap_angle(d_phi)
    distance = np.sqrt(d_eta * d_eta + d_phi * d_phi)
    near = distance < cone
    return NearPairs(
        one[near], two[near], d_eta[near], d_phi[near], distance[near], len(counts)
    )
