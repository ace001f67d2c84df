"""Cuts beside a bound: thresholds that no decoded value crosses, reaches or leaves.

A cut T keeps the sign of x - T, for T in float64 and for T rounded to the column's type: NumPy
compares float32 values with the rounded number, C++ with the exact one. No value of the type lies
between the two, so that one *wall* of three neighbouring values is enough for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.schema import Array

MAX_CUTS = 64


@dataclass(frozen=True)
class Wall:
    """The neighbouring values of one type around a threshold; `None` for those that it lacks.

    Attributes:
        below: The largest value below the threshold.
        at: The threshold itself.
        above: The smallest value above it.
    """

    below: Any
    at: Any
    above: Any

    @property
    def values(self) -> list[Any]:
        """The existing ones of the three, increasing."""
        return [v for v in (self.below, self.at, self.above) if v is not None]

    def side(self, x: Array) -> Array:
        """Return -1 for values below, 0 at and 1 above the threshold: int8 of the shape of x."""
        side = np.zeros(x.shape, np.int8)
        if self.above is not None:
            side[x >= self.above] = 1
        if self.below is not None:
            side[x <= self.below] = -1
        return side


def walls(cuts: Sequence[float], dtype: np.dtype[Any]) -> Iterator[Wall]:
    """Yield the wall of each cut that has finite values of a type on both sides or at it.

    Example:
        >>> (wall,) = walls([2.5, 300.0], np.dtype("uint8"))
        >>> int(wall.below), wall.at, int(wall.above)
        (2, None, 3)
    """
    for cut in cuts:
        wall = _float_wall(cut, dtype) if dtype.kind == "f" else _integer_wall(cut, dtype)
        if len(wall.values) > 1:
            yield wall


def _float_wall(cut: float, dtype: np.dtype[Any]) -> Wall:
    """Return neighbours of the rounded threshold; the sum with zero makes -0.0 positive."""
    with np.errstate(over="ignore", under="ignore"):
        at = np.float64(cut).astype(dtype) + dtype.type(0)
        ends = [
            np.nextafter(at, dtype.type(e)) + dtype.type(0) for e in (-np.inf, np.inf)
        ]
    below, above = (end if np.isfinite(end) else None for end in ends)
    return Wall(below, at, above) if np.isfinite(at) else Wall(None, None, None)


def _integer_wall(cut: float, dtype: np.dtype[Any]) -> Wall:
    limits, floor = np.iinfo(dtype), math.floor(cut)
    whole = floor == cut
    numbers = (floor - 1 if whole else floor, floor if whole else None, floor + 1)
    there = (n is not None and int(limits.min) <= n <= int(limits.max) for n in numbers)
    return Wall(
        *(dtype.type(n) if t else None for n, t in zip(numbers, there, strict=True))
    )


def same_sides(original: Array, decoded: Array, cuts: Sequence[float]) -> Array:
    """Return for each value whether it stays on its side of every cut: bool of the shape.

    Args:
        original: Values of one type.
        decoded: The same shape and type.
        cuts: The thresholds, each taken as it is and rounded to a float type.

    Example:
        >>> x, y = np.array([0.15, 0.2], "f4"), np.array([0.1500001, 0.21], "f4")
        >>> same_sides(x, y, [0.15]).tolist()
        [False, True]
    """
    same = np.ones(original.shape, bool)
    if original.dtype.kind != "f":
        for wall in walls(cuts, original.dtype):
            same &= wall.side(original) == wall.side(decoded)
        return same
    with np.errstate(invalid="ignore", over="ignore"):
        x, y = original.astype(np.float64), decoded.astype(np.float64)
        rounded = np.array(cuts).astype(original.dtype).astype(np.float64)
    for threshold in {*cuts, *rounded.tolist()}:
        same &= ((x < threshold) == (y < threshold)) & (
            (x > threshold) == (y > threshold)
        )
    return same


def onto_own_sides(original: Array, decoded: Array, cuts: Sequence[float]) -> Array:
    """Return decoded values moved back to the sides of their originals, by as little as possible.

    A value that crossed a wall becomes the value of the wall on the side of its original. It lies
    between the two, so that every bound on the distance still holds.

    Example:
        >>> onto_own_sides(np.array([29.96, 30.0, 30.04]), np.array([30.0, 30.1, 30.0]), [30.0])
        array([30., 30., 30.])
        >>> onto_own_sides(np.array([29.96, 30.04]), np.array([30.0, 30.0]), [30.0]) - 30.0
        array([-3.55271368e-15,  3.55271368e-15])
    """
    moved = decoded
    for wall in walls(cuts, original.dtype):
        side = wall.side(original)
        crossed = side != wall.side(moved)
        for s, value in ((-1, wall.below), (0, wall.at), (1, wall.above)):
            if value is not None:
                moved = np.where(crossed & (side == s), value, moved)
    return moved
