"""Distances of an object to others of its event, Delta R = sqrt(Delta eta^2 + Delta phi^2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.flat_events import begin_of, spans
from flowtuple.data.schema import Array
from flowtuple.data.separation import wrap_angle
from flowtuple.simulation.block import Block, take

LARGEST_SHARE = 1e6
"""A share of a p_T that is zero is infinite, which no network can learn from."""

CONE = 0.5
"""Delta R within which an object of another collection counts as a part of this one."""
NEIGHBOURS = ("dR", "nearPt", "nearShare", "inside", "left", "insideShare")
"""Ends of the names of columns about near objects, without the flags of the nearest one."""


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
        nearer = self.object[self.distance < limit[self.object]]
        return np.where(other >= 0, np.bincount(nearer, minlength=self.objects), -1)

    def within(self, cone: float, values: Array) -> tuple[Array, Array]:
        """Return how many others lie within a cone of each object, and the sum of their values.

        Args:
            cone: Delta R.
            values: A number of each object of the collection of the others.
        """
        near = self.distance < cone
        count = np.bincount(self.object[near], minlength=self.objects)
        weight = values[self.other[near]].astype(np.float64)
        return count, np.bincount(self.object[near], weight, self.objects)

    def at_rank(self, rank: Array) -> tuple[Array, Array]:
        """Return the position and distance of the other with `rank` nearer ones, -1 for none."""
        order = np.lexsort((self.distance, self.object))
        counts = np.bincount(self.object, minlength=self.objects)
        valid = (rank >= 0) & (rank < counts)
        pair = np.full(self.objects, -1)
        pair[valid] = order[(begin_of(counts) + rank)[valid]]
        return take(self.other, pair, -1), take(self.distance, pair, -1)


def find_neighbours(
    block: Block,
    event: Array,
    axes: Sequence[Array],
    others: Collection,
    *,
    same: bool = False,
) -> Neighbours:
    """Pair some objects with those of a collection, event by event.

    Args:
        block: The events.
        event: Event of each object, shape (n,).
        axes: p_T, eta and phi (radians) of the objects, each of shape (n,).
        others: A collection with axes.
        same: True if the objects are all those of `others`.
    """
    counts = block.counts[others.name][event]
    first = np.repeat(np.arange(len(event)), counts)
    second = spans(block.begin(others.name)[event], counts)
    d_eta, d_phi = (
        there[second].astype(np.float64) - here.astype(np.float64)[first]
        for here, there in zip(axes[1:], block.axes(others)[1:], strict=True)
    )
    d_phi = wrap_angle(d_phi)
    distance = np.sqrt(d_eta * d_eta + d_phi * d_phi)
    if same:
        distance[second == first] = np.inf
    return Neighbours(first, second, distance, len(event))


def nearest_columns(
    block: Block,
    objects: Collection,
    event: Array,
    axes: Sequence[Array],
    others: Collection,
) -> dict[str, Array]:
    """Return distance and p_T of each object's nearest other as columns; -1 and 0 for none.

    Where the others are of another collection, further columns follow: flags of the nearest one,
    its p_T as a share of the object's, and what lies within `CONE` of the object: how many, and
    what their p_T leaves of the object's, in units of p_T and as a share.

    Args:
        block: The events.
        objects: The collection of the objects.
        event: Event of each object, shape (n,).
        axes: p_T, eta and phi of the objects, each of shape (n,).
        others: A collection with axes; an object is no neighbour of itself.
    """
    same = others.name == objects.name
    pairs = find_neighbours(block, event, axes, others, same=same)
    other, distance = pairs.nearest()
    prefix = f"{objects.name}_{others.name}"
    near = take(block.axes(others)[0], other, 0)
    out = {f"{prefix}_dR": distance.astype(np.float32), f"{prefix}_nearPt": near}
    if not same:
        pt = np.maximum(axes[0].astype(np.float64), np.finfo(np.float32).tiny)
        out[f"{prefix}_nearShare"] = np.minimum(near / pt, LARGEST_SHARE)
        for name in (n for n in others.columns if n in block.values):
            if block.values[name].dtype == bool:
                out[f"{prefix}_{name}"] = take(
                    block.values[name].astype(np.int16), other, -1
                )
        count, total = pairs.within(CONE, block.axes(others)[0])
        out[f"{prefix}_inside"] = count.astype(np.int16)
        inside = np.minimum(total / pt, LARGEST_SHARE)
        out |= {f"{prefix}_left": pt - total, f"{prefix}_insideShare": inside}
    return {n: v if v.dtype == np.int16 else v.astype(np.float32) for n, v in out.items()}
