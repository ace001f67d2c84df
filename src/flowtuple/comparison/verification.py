"""Bounds in a row: the distance of a recompressed value from its first original."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.cuts import same_sides
from flowtuple.data.schema import Array, bit_patterns

_THEN, _OR = ", then ", " or "
# Sums of float64 are too small by at most this share, several times over.
_ROUNDING = 2.0**-50


@dataclass(frozen=True)
class Promise:
    """Bounds of values one after another, each on the outcome of the one before.

    The values of merged files obey one bound or another, whichever it was.

    Attributes:
        stages: The bounds in their order, each with its alternatives: bounds, or promises of
            several stages.
        words: The same as text, as `flowtuple recompress` shows it.

    Example:
        >>> promise = Promise.parse("rel:0.01, then abs:0.1")
        >>> promise.largest_difference(np.array([50.0])).round(6).tolist()
        [0.6]
    """

    stages: tuple[tuple[Bound | Promise, ...], ...]
    words: str

    @classmethod
    def parse(cls, text: str) -> Promise:
        """Read `A, then B`, `A or B`, or both.

        In `A or B, then C` C follows on either; parentheses enclose a chain.

        Raises:
            InvalidArgument: A part is no bound, or has to be resolved to `abs` first, as `std` has.
        """
        stages = tuple(
            tuple(map(_alternative, _split(stage, _OR))) for stage in _split(text, _THEN)
        )
        for part in itertools.chain(*stages):
            if isinstance(part, Bound):
                part.check_resolved()
        return cls(stages, text)

    def __str__(self) -> str:
        return self.words

    @property
    def short(self) -> str:
        """The bounds as text of four digits, for tables."""
        return _THEN.join(_OR.join(map(_short, stage)) for stage in self.stages)

    @property
    def bound(self) -> Bound | None:
        """The only bound; `None` if there are several."""
        if len(self.stages) != 1 or len(self.stages[0]) != 1:
            return None
        only = self.stages[0][0]
        return only.bound if isinstance(only, Promise) else only

    @property
    def kind(self) -> str:
        """Kind of the only bound; else `lossless` where no value may move, or `chain`."""
        if self.bound is not None:
            return self.bound.kind
        lossless = all(part.kind == "lossless" for stage in self.stages for part in stage)
        return "lossless" if lossless else "chain"

    @property
    def cuts(self) -> tuple[float, ...]:
        """The cuts that every bound keeps, in any order; lossless bounds keep all."""
        parts = [part for stage in self.stages for part in stage]
        each = [set(part.cuts) for part in parts if part.kind != "lossless"]
        return tuple(set.intersection(*each)) if each else ()

    @property
    def resolutions(self) -> set[str]:
        """Names of the columns of resolutions that the bounds count in."""
        names = set[str]()
        for part in (part for stage in self.stages for part in stage):
            names |= part.resolutions if isinstance(part, Promise) else {part.resolution}
        return names - {""}

    def largest_difference(
        self, original: Array, columns: Mapping[str, Array] | None = None
    ) -> Array:
        """Return the largest allowed distance from each original: float64 of its shape.

        It is never too small: with y the value after some bounds, |y| is at most |x| + d, and the
        next bound lets it move by its largest difference there.
        """
        x = np.abs(original.astype(np.float64))
        total = np.zeros(x.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for stage in self.stages:
                reach = np.minimum(x + total, np.finfo(np.float64).max)
                total = (total + _widest(stage, reach, columns)) * (1 + _ROUNDING)
                total = np.where(total > 0, np.nextafter(total, np.inf), total)
        return total

    def holds(
        self, original: Array, decoded: Array, columns: Mapping[str, Array] | None = None
    ) -> Array:
        """Return for each value whether it obeys the bounds: bool of its shape.

        Args:
            original: Values of one column, any shape and dtype.
            decoded: The same shape and dtype; special values count as in `Bound.holds`.
            columns: Decoded columns of the same rows, with the resolutions of the bounds.
        """
        if self.bound is not None:
            return self.bound.holds(original, decoded, columns)
        same: Array = bit_patterns(original) == bit_patterns(decoded)
        if self.kind == "lossless" or same.all():
            return same
        if original.dtype.kind in "iu":
            most = np.uint64(min(self._most(), 2**64 - 1))
            near = integer_distance(original, decoded) <= most
            return np.asarray(same | (near & same_sides(original, decoded, self.cuts)))
        special = only_bits(original) | ~np.isfinite(decoded)
        with np.errstate(invalid="ignore", over="ignore"):
            x, y = original.astype(np.float64), decoded.astype(np.float64)
            close = np.abs(y - x) <= self.largest_difference(x, columns)
        close &= same_sides(original, decoded, self.cuts)
        return np.asarray(same | (close & ~special))

    def _most(self) -> int:
        """Return the largest distance between whole numbers."""
        return sum(
            max(
                b._most() if isinstance(b, Promise) else math.floor(b.amount)
                for b in stage
            )
            for stage in self.stages
        )


def either(promises: Iterable[str]) -> str:
    """Return the promise that allows all that any of several promises does, as text.

    Example:
        >>> either(["abs:1", "rel:0.01, then abs:1"]), either(["abs:1", "abs:1"])
        ('abs:1 or (rel:0.01, then abs:1)', 'abs:1')
    """
    words = list(dict.fromkeys(promises))
    if len(words) == 1:
        return words[0]
    return _OR.join(f"({w})" if _THEN in w else w for w in words)


def _split(text: str, mark: str) -> list[str]:
    """Return the parts of a text between the marks that stand outside of parentheses."""
    parts, depth = [""], 0
    for piece in re.split(rf"({re.escape(mark)}|[()])", text):
        depth += (piece == "(") - (piece == ")")
        if piece == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _alternative(text: str) -> Bound | Promise:
    if text.startswith("(") and text.endswith(")"):
        return Promise.parse(text[1:-1])
    return Bound.parse(text)


def _short(part: Bound | Promise) -> str:
    return f"({part.short})" if isinstance(part, Promise) else part.short


def _widest(
    stage: tuple[Bound | Promise, ...],
    reach: Array,
    columns: Mapping[str, Array] | None,
) -> Array:
    """Return the most that any of some bounds allows of values up to `reach`."""
    widest = np.zeros(reach.shape)
    for bound in stage:
        if bound.kind != "lossless":
            widest = np.maximum(widest, bound.largest_difference(reach, columns))
    return widest


def integer_distance(one: Array, other: Array) -> Array:
    """Return |one - other| of whole numbers, exactly: uint64 of their shape."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    # wraps to the true distance
    return larger.astype(np.uint64) - smaller.astype(np.uint64)


def only_bits(values: Array) -> Array:
    """Return which values only equal bits satisfy: NaN, infinities, -0.0; bool of their shape."""
    return np.asarray(~np.isfinite(values) | (np.signbit(values) & (values == 0)))


def first_bounds(provenance: Any) -> dict[str, str]:
    """Read the bound of each column, as `TABLE/COLUMN`, against its first original.

    Args:
        provenance: The provenance of a file.

    Example:
        >>> first_bounds({"merged": [{"bounds": {"t/x": "abs:1"}}, {"bounds": {"t/x": "abs:2"}}]})
        {'t/x': 'abs:1 or abs:2'}
    """
    if not isinstance(provenance, dict):
        return {}
    files = provenance.get("merged")
    if not isinstance(files, list):
        bounds = provenance.get("bounds")
        return (
            {str(c): str(b) for c, b in bounds.items()}
            if isinstance(bounds, dict)
            else {}
        )
    parts = [first_bounds(file) for file in files]
    columns = dict.fromkeys(column for bounds in parts for column in bounds)
    return {c: either(bounds[c] for bounds in parts if c in bounds) for c in columns}
