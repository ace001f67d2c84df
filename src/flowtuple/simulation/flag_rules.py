"""Flags of the event that follow from its objects: thresholds, and conjunctions of up to three.

A trigger bit is such a flag: `HLT_Jet60` is true where the leading jet has p_T > 60. A rule is
searched in the training events and holds for all of them; the flag is then computed, not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from itertools import combinations
from typing import Any

import numpy as np

from flowtuple.data.collections import Collection
from flowtuple.data.schema import Array
from flowtuple.errors import Corrupt
from flowtuple.simulation.block import Block

_LEAST = 30  # events of each kind that a rule has to explain
_LEADING = 2  # objects of a collection that are looked at, in the order of p_T
_TRIED = 48  # cuts that pairs and triples are made of, those that reject the most
ANY = -1
"""Place of a cut that at least one object of the event obeys."""

_SIGNS = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class Cut:
    """A threshold on a column of an object, or of the event.

    Attributes:
        column: The column.
        place: Number of the object in its event; -1 for any object: at least one obeys. `None` for
            a column of the event.
        sign: `>`, `>=`, `<` or `<=`.
        threshold: The threshold.
    """

    column: str
    place: int | None
    sign: str
    threshold: float

    def __str__(self) -> str:
        """Return the cut as physicists write it, such as `Jet_pt[0] > 60`."""
        place = {None: "", ANY: "[any]"}.get(self.place, f"[{self.place}]")
        return f"{self.column}{place} {self.sign} {self.threshold:.12g}"


@dataclass(frozen=True)
class FlagRule:
    """A flag that is true where all cuts are obeyed.

    Attributes:
        flag: Column of the flag.
        cuts: The cuts.
        opposite: The flag is false where all cuts are obeyed, and true elsewhere.
    """

    flag: str
    cuts: tuple[Cut, ...]
    opposite: bool = False

    def __str__(self) -> str:
        """Return the rule as a formula."""
        cuts = " and ".join(map(str, self.cuts))
        return f"{self.flag} = not ({cuts})" if self.opposite else f"{self.flag} = {cuts}"

    def apply(self, block: Block, collections: Sequence[Collection]) -> Array:
        """Return the flag of each event, bool."""
        out = np.ones(block.events, bool)
        for cut in self.cuts:
            up = cut.sign.startswith(">")
            values = _values(block, collections, cut.column, cut.place, up=up)
            out &= _SIGNS[cut.sign](values, cut.threshold)
        return ~out if self.opposite else out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FlagRule:
        """Return the rule that `dataclasses.asdict` described.

        Raises:
            Corrupt: A sign is none.
        """
        cuts = tuple(Cut(**cut) for cut in data["cuts"])
        if any(cut.sign not in _SIGNS for cut in cuts):
            raise Corrupt("a rule of a flag has a sign that is none")
        return cls(data["flag"], cuts, data["opposite"])


def find_flag_rules(
    block: Block,
    flags: Sequence[str],
    columns: Sequence[str],
    targets: Sequence[Collection],
) -> tuple[FlagRule, ...]:
    """Return the rules that explain flags in every event; other flags have none.

    Args:
        block: Events with all simulated columns.
        flags: Columns of the event that may be flags: they are where all values are 0 or 1.
        columns: Other columns of the event, with one number each.
        targets: Simulated collections.
    """
    candidates = list(_candidates(block, columns, targets))
    out = []
    for flag in flags:
        values = block.values[flag]
        true = values.astype(bool)
        few = min(int(true.sum()), int((~true).sum())) < _LEAST
        if few or not np.isin(values, (0, 1)).all():
            continue
        for opposite in (False, True):
            cuts = _conjunction(candidates, true ^ opposite)
            if cuts:
                out.append(FlagRule(flag, cuts, opposite))
                break
    return tuple(out)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A column to cut in: values that are high where the cut is obeyed, -inf for no object."""

    column: str
    place: int | None
    up: bool
    values: Array


def _candidates(
    block: Block, columns: Sequence[str], targets: Sequence[Collection]
) -> Iterator[_Candidate]:
    places: list[tuple[str, int | None]] = [(name, None) for name in columns]
    for place in (*range(_LEADING), ANY):
        places += [(name, place) for c in targets for name in c.columns]
    for name, at in places:
        for up in (True, False):
            values = _values(block, targets, name, at, up=up)
            values = values if up else -values
            yield _Candidate(name, at, up, np.where(np.isnan(values), -np.inf, values))


def _values(
    block: Block,
    collections: Sequence[Collection],
    column: str,
    place: int | None,
    *,
    up: bool,
) -> Array:
    """Return what a cut is compared with: float64 of shape (events,), NaN for no object."""
    content = block.values[column].astype(np.float64)
    if place is None:
        return content
    owner = next(c.name for c in collections if column in c.columns)
    out = np.full(block.events, np.nan)
    if place == ANY:
        extreme = np.fmax if up else np.fmin
        extreme.at(out, block.event(owner), content)
        return out
    has = block.counts[owner] > place
    out[has] = content[block.begin(owner)[has] + place]
    return out


def _conjunction(candidates: Sequence[_Candidate], true: Array) -> tuple[Cut, ...]:
    """Return the fewest cuts that all true events obey and no other does; empty for none."""
    useful, rejects = [], []
    for candidate in candidates:
        low = candidate.values[true].min()
        reject = candidate.values[~true] < low
        if reject.any():
            useful.append(candidate)
            rejects.append(reject)
    order = np.argsort([-int(r.sum()) for r in rejects], kind="stable")[:_TRIED]
    packed = [np.packbits(rejects[k]) for k in order]
    every = np.packbits(np.ones(int((~true).sum()), bool))
    for size in (1, 2, 3):
        for chosen in combinations(range(len(order)), size):
            if (np.bitwise_or.reduce([packed[k] for k in chosen]) == every).all():
                numbers = sorted(order[k] for k in chosen)
                return tuple(
                    _cut(useful[k], true, [rejects[n] for n in numbers if n != k])
                    for k in numbers
                )
    return ()


def _cut(candidate: _Candidate, true: Array, others: Sequence[Array]) -> Cut:
    """Return the cut with the plainest threshold that rejects what the others do not."""
    left = ~np.any(others, axis=0) if others else np.ones(int((~true).sum()), bool)
    high = float(candidate.values[true].min())
    low = float(candidate.values[~true][left].max())
    number = plainest(low, high)
    inside = number < high
    sign = (">" if candidate.up else "<") + ("" if inside else "=")
    number = number if candidate.up else 0.0 - number
    return Cut(candidate.column, candidate.place, sign, number)


def plainest(low: float, high: float) -> float:
    """Return the number above `low` and not above `high` that has the fewest digits.

    Example:
        >>> plainest(59.98, 60.01), plainest(0.1499, 0.1502), plainest(1, 2)
        (60.0, 0.15, 2.0)
    """
    if not np.isfinite(low):
        return high
    bottom, top = Decimal(repr(low)), Decimal(repr(high))
    for exponent in range(6, -20, -1):
        step = Decimal(1).scaleb(exponent)
        number = (top / step).to_integral_value(ROUND_FLOOR) * step
        if number == top and number - step > bottom:
            number -= step
        if number > bottom:
            return float(number)
    return high
