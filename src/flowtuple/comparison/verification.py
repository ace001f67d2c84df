"""Bounds applied one after another: the distance of a recompressed value from its first original."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Array, bit_patterns
from flowtuple.errors import InvalidArgument

_THEN, _OR = ", then ", " or "
_ROUNDING = (
    2.0**-50
)  # share by which sums of float64 are taken too small at most, several times over


@dataclass(frozen=True)
class Promise:
    """Bounds that values were held to one after another, each on what the one before had made of them.

    Merged files may have kept one bound or another; a value then has to be within one of them, whichever it was.

    Attributes:
        stages: In their order, each with its alternatives: bounds, or promises of several stages.
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
        """Read `A, then B`, `A or B`, or both; `A or B, then C` lets C follow on either, parentheses hold a chain together.

        Raises:
            InvalidArgument: A part is no bound, or is an `std` bound, which says nothing without its column.
        """
        stages = tuple(
            tuple(map(_alternative, _split(stage, _OR))) for stage in _split(text, _THEN)
        )
        if any(
            isinstance(bound, Bound) and bound.kind == "std" for stage in stages for bound in stage
        ):
            raise InvalidArgument(
                f"the promise {text!r} has an std bound; resolve it to abs with the column's std"
            )
        return cls(stages, text)

    def __str__(self) -> str:
        return self.words

    @property
    def short(self) -> str:
        """The bounds as text of four digits, for tables."""
        return _THEN.join(_OR.join(map(_short, stage)) for stage in self.stages)

    @property
    def bound(self) -> Bound | None:
        """The only bound, where there is one."""
        only = self.stages[0][0] if len(self.stages) == 1 and len(self.stages[0]) == 1 else None
        return only.bound if isinstance(only, Promise) else only

    @property
    def kind(self) -> str:
        """Kind of the only bound; `lossless` where no value may move, else `chain`."""
        if self.bound is not None:
            return self.bound.kind
        lossless = all(part.kind == "lossless" for stage in self.stages for part in stage)
        return "lossless" if lossless else "chain"

    def largest_difference(self, original: Array) -> Array:
        """Return the largest allowed distance of each value from its original, never too small: float64 of its shape.

        With y the value after some bounds, |y| is at most |x| + d, and the next bound lets it move by what it allows there.
        """
        x = np.abs(original.astype(np.float64))
        total = np.zeros(x.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for stage in self.stages:
                reach = np.minimum(x + total, np.finfo(np.float64).max)
                total = (total + _widest(stage, reach)) * (1 + _ROUNDING)
                total = np.where(total > 0, np.nextafter(total, np.inf), total)
        return total

    def holds(self, original: Array, decoded: Array) -> Array:
        """Whether each decoded value lies where its original may have come to, as `Bound.holds` says of one bound."""
        if self.bound is not None:
            return self.bound.holds(original, decoded)
        same: Array = bit_patterns(original) == bit_patterns(decoded)
        if self.kind == "lossless" or same.all():
            return same
        if original.dtype.kind in "iu":
            near: Array = same | (
                _distance(original, decoded) <= np.uint64(min(self._most(), 2**64 - 1))
            )
            return near
        special = (
            ~np.isfinite(original)
            | ~np.isfinite(decoded)
            | (np.signbit(original) & (original == 0))
        )
        with np.errstate(invalid="ignore", over="ignore"):
            x, y = original.astype(np.float64), decoded.astype(np.float64)
            close: Array = np.abs(y - x) <= self.largest_difference(x)
        within: Array = same | (close & ~special)
        return within

    def _most(self) -> int:
        """The largest distance between whole numbers."""
        return sum(
            max(b._most() if isinstance(b, Promise) else math.floor(b.amount) for b in s)
            for s in self.stages
        )


def either(promises: Iterable[str]) -> str:
    """One promise that allows what one of several does, as text.

    Example:
        >>> either(["abs:1", "rel:0.01, then abs:1"]), either(["abs:1", "abs:1"])
        ('abs:1 or (rel:0.01, then abs:1)', 'abs:1')
    """
    words = list(dict.fromkeys(promises))
    return words[0] if len(words) == 1 else _OR.join(f"({w})" if _THEN in w else w for w in words)


def _split(text: str, mark: str) -> list[str]:
    """The parts of a text between the marks that stand outside of parentheses."""
    parts, depth = [""], 0
    for piece in re.split(rf"({re.escape(mark)}|[()])", text):
        depth += (piece == "(") - (piece == ")")
        if piece == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _alternative(text: str) -> Bound | Promise:
    return (
        Promise.parse(text[1:-1])
        if text.startswith("(") and text.endswith(")")
        else Bound.parse(text)
    )


def _short(part: Bound | Promise) -> str:
    return f"({part.short})" if isinstance(part, Promise) else part.short


def _widest(stage: tuple[Bound | Promise, ...], reach: Array) -> Array:
    """The most that one of some bounds allows of values up to `reach`."""
    widest = np.zeros(reach.shape)
    for bound in stage:
        if bound.kind != "lossless":
            widest = np.maximum(widest, bound.largest_difference(reach))
    return widest


def _distance(one: Array, other: Array) -> Array:
    """|one - other| of whole numbers, exactly: uint64."""
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    return larger.astype(np.uint64) - smaller.astype(np.uint64)  # wraps to the true distance


def said_of(origin: Any) -> dict[str, str]:
    """Read from provenance the bound of each column, as `TABLE/COLUMN`, against its first original.

    Example:
        >>> said_of({"merged": [{"bounds": {"t/x": "abs:1"}}, {"bounds": {"t/x": "abs:2"}}]})
        {'t/x': 'abs:1 or abs:2'}
    """
    if not isinstance(origin, dict):
        return {}
    files = origin.get("merged")
    if not isinstance(files, list):
        said = origin.get("bounds")
        return {str(c): str(bound) for c, bound in said.items()} if isinstance(said, dict) else {}
    told = [said_of(file) for file in files]
    named = dict.fromkeys(c for said in told for c in said)
    return {c: either(said[c] for said in told if c in said) for c in named}
