"""What an object has around it: distances to others of its event, Delta R = sqrt(Delta eta^2 + Delta phi^2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block, spans
from flowtuple.simulation.response import turned


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of an object with each object of a collection in its event.

    Attributes:
        object: Number of the first, increasing.
        other: Position of the second in its collection.
        distance: Delta R; infinite for an object with itself.
        objects: How many objects there are.
    """

    object: Array
    other: Array
    distance: Array
    objects: int

    def nearest(self) -> tuple[Array, Array]:
        """Position of the nearest other of each object, -1 where there is none, and its distance."""
        order = np.lexsort((self.distance, self.object))
        first = order[np.flatnonzero(np.diff(self.object, prepend=-1))] if len(order) else order
        first = first[np.isfinite(self.distance[first])]
        other, distance = np.full(self.objects, -1, np.int64), np.full(self.objects, np.inf)
        other[self.object[first]], distance[self.object[first]] = (
            self.other[first],
            self.distance[first],
        )
        return other, distance

    def rank(self, other: Array) -> Array:
        """How many others are nearer than a given one, by object; -1 where that is -1."""
        theirs = np.full(self.objects, -np.inf)
        chosen = self.other == other[self.object]
        theirs[self.object[chosen]] = self.distance[chosen]
        nearer = self.distance < theirs[self.object]
        return np.where(other >= 0, np.bincount(self.object[nearer], minlength=self.objects), -1)

    def at_rank(self, rank: Array) -> tuple[Array, Array]:
        """Position of the other with so many nearer ones, -1 where there is none, and its distance, -1 there."""
        order = np.lexsort((self.distance, self.object))
        counts = np.bincount(self.object, minlength=self.objects)
        there = (rank >= 0) & (rank < counts)
        place = order[(np.cumsum(counts) - counts + rank)[there]]
        other, distance = np.full(self.objects, -1, np.int64), np.full(self.objects, -1.0)
        other[there], distance[there] = self.other[place], self.distance[place]
        return other, distance


def find_neighbours(
    block: Block, event: Array, eta: Array, phi: Array, others: Collection, own: Array | None = None
) -> Neighbours:
    """The pairs of some objects with those of a collection.

    Args:
        block: The events.
        event: Event of each object, shape (n,).
        eta: Of each object.
        phi: Of each object.
        others: A collection with axes.
        own: Position of each object in `others`, if they are some of these.
    """
    counts = block.counts[others.name][event]
    first = np.repeat(np.arange(len(event)), counts)
    second = spans(block.begin(others.name)[event], counts)
    _, eta_name, phi_name = others.axes
    d_eta = block.values[eta_name][second].astype(np.float64) - eta.astype(np.float64)[first]
    d_phi = turned(
        block.values[phi_name][second].astype(np.float64) - phi.astype(np.float64)[first]
    )
    distance = np.sqrt(d_eta * d_eta + d_phi * d_phi)
    if own is not None:
        distance[second == own[first]] = np.inf
    return Neighbours(first, second, distance, len(event))


def nearest_columns(
    found: Neighbours, block: Block, others: Collection, prefix: str
) -> dict[str, Array]:
    """Distance and p_T of the nearest other of each object, as columns; -1 and 0 where there is none."""
    other, distance = found.nearest()
    pt = block.values[others.axes[0]]
    near = np.where(other >= 0, pt[np.maximum(other, 0)], 0) if len(pt) else np.zeros(len(other))
    apart = np.where(other >= 0, distance, -1.0)
    return {f"{prefix}_dR": apart.astype(np.float32), f"{prefix}_nearPt": near.astype(np.float32)}
