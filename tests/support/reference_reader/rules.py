"""Section 6.10: the form of rules, all that a reader of events needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from reference_reader.description import Column

KINDS = (
    "zeros",
    "falling",
    "implies",
    "flag",
    "distance",
    "parts",
    "least",
    "excess",
    "mass",
)


@dataclass(frozen=True)
class Rule:
    """A kind, columns and numbers."""

    kind: str
    columns: tuple[Column, ...]
    numbers: tuple[float, ...]

    def is_formed(self) -> bool:
        """Whether columns and numbers are what the table says."""
        names = [c.name for c in self.columns]
        if self.kind == "flag":
            return self.is_flag()
        one_place = len({c.collection for c in self.columns}) == 1
        if not one_place or len(set(names)) < len(names):
            return False
        count, numbers = len(names), self.numbers
        return {
            "zeros": count == 2 and numbers == (),
            "falling": count == 1 and numbers == (),
            "implies": count == 2 and numbers == () and self.columns[0].is_event,
            "distance": count == 2 and self.has_rates(),
            "parts": count >= 5 and len(numbers) == 2 and all(n >= 0 for n in numbers),
            "mass": count in {2, 3} and self.has_rates(),
            "excess": count in {1, 2} and self.has_rates(),
            "least": count in {1, 2} and len(numbers) == 1 and numbers[0] > 0,
        }[self.kind]

    def is_flag(self) -> bool:
        """Kind 3."""
        if len(self.columns) < 2 or not self.columns[0].is_event:
            return False
        cuts = [c.name for c in self.columns[1:]]
        sides = all(n in {0.0, 1.0} for n in self.numbers[::2])
        formed = len(self.numbers) == 2 * len(cuts) and sides
        return formed and self.columns[0].name not in cuts

    def has_rates(self) -> bool:
        """Kind 4."""
        half = len(self.numbers) // 2
        edges, rates = self.numbers[:half], self.numbers[half:]
        increasing = all(a < b for a, b in pairwise(edges))
        return len(rates) == half + 1 and increasing and all(0 <= r <= 1 for r in rates)


def all_formed(rules: Sequence[Rule]) -> bool:
    """Whether each is formed as its kind is."""
    return all(rule.is_formed() for rule in rules)
