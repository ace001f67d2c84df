"""Distances of an object to others of its event, Delta R = sqrt(Delta eta^2 + Delta phi^2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.simulation.block import Block, spans
from flowtuple.simulation.response import wrap_angle


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Pairs of an object with each object of a collection in its event.

    Attributes:
        object: Number of the object, increasing, shape (pairs,).
        other: Position of the other in its collection, shape (pairs,).
        distance: Delta R, shape (pairs,); infinite for an object with itself.
        objects: Number of objects.
    """

    object: Array
    other: Array
    distance: Array
    objects: int

    def nearest(self) -> tuple[Array, Array]:
        """Return the position of each object's nearest other and its distance, -1 for none."""
        other, distance = self.at_rank(np.zeros(self.objects, np.int64))
        alone = ~np.isfinite(distance)
        other[alone] = -1
        distance[alone] = -1.0
        return other, distance

    def rank(self, other: Array) -> Array:
        """Return the number of others that are nearer than a certain one, -1 where that is -1.

        Args:
            other: Position of the certain other of each object, shape (objects,).
        """
        limit = np.full(self.objects, -np.inf)
        chosen = self.other == other[self.object]
        limit[self.object[chosen]] = self.distance[chosen]
        nearer = self.distance < limit[self.object]
        return np.where(
            other >= 0, np.bincount(self.object[nearer], minlength=self.objects), -1
        )

    def at_rank(self, rank: Array) -> tuple[Array, Array]:
        """Return the position and distance of the other with `rank` nearer ones, -1 for none."""
        order = np.lexsort((self.distance, self.object))
        counts = np.bincount(self.object, minlength=self.objects)
        valid = (rank >= 0) & (rank < counts)
        pair = order[(np.cumsum(counts) - counts + rank)[valid]]
        other = np.full(self.objects, -1, np.int64)
        distance = np.full(self.objects, -1.0)
        other[valid] = self.other[pair]
        distance[valid] = self.distance[pair]
        return other, distance


def find_neighbours(
    block: Block,
    event: Array,
    eta: Array,
    phi: Array,
    others: Collection,
    own: Array | None = None,
) -> Neighbours:
    """Pair some objects with those of a collection, event by event.

    Args:
        block: The events.
        event: Event of each object, shape (n,).
        eta: Pseudorapidity of each object, shape (n,).
        phi: Azimuth of each object in radians, shape (n,).
        others: A collection with axes.
        own: Position of each object in `others`, shape (n,), if they are objects of it.
    """
    counts = block.counts[others.name][event]
    first = np.repeat(np.arange(len(event)), counts)
    second = spans(block.begin(others.name)[event], counts)
    other_eta, other_phi = (
        block.values[n][second].astype(np.float64) for n in others.axes[1:]
    )
    d_eta = other_eta - eta.astype(np.float64)[first]
    d_phi = wrap_angle(other_phi - phi.astype(np.float64)[first])
    distance = np.sqrt(d_eta * d_eta + d_phi * d_phi)
    if own is not None:
        distance[second == own[first]] = np.inf
    return Neighbours(first, second, distance, len(event))


def nearest_columns(
    pairs: Neighbours, block: Block, others: Collection, prefix: str
) -> dict[str, Array]:
    """Return distance and p_T of each object's nearest other as columns; -1 and 0 for none."""
    other, distance = pairs.nearest()
    pt = block.values[others.axes[0]]
    near = (
        np.where(other >= 0, pt[np.maximum(other, 0)], 0) if len(pt) else np.zeros(len(other))
    )
    return {
        f"{prefix}_dR": distance.astype(np.float32),
        f"{prefix}_nearPt": near.astype(np.float32),
    }
