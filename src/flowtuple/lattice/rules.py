"""Rules that drawn events obey: what training never violated, and rates of near objects.

Rules belong to the model and bind the sampler alone. Coding and scoring take no notice of them, so
that an event against a rule can be coded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

MAX_RULES = 4096
MAX_NUMBERS = 512

RULES: Mapping[str, str] = {
    "zeros": "a is 0 exactly where b is 0, for columns a and b of the same rows",
    "falling": "x does not rise from an object to the next",
    "implies": "event flag b is set wherever event flag a is",
    "flag": "an event flag is set exactly where cuts on first objects or the event hold",
    "distance": "objects at Delta R from the nearest one before are taken with a rate",
    "parts": "parts add up to the energy of p_T, eta and m, within rounding",
    "least": "x is 0 or at least t times the count n of the same row; n is 1 for a lone column",
    "excess": "objects that others can hardly balance are taken with a rate",
    "mass": "second objects by their mass with the first one are taken with a rate",
}
"""Each kind of rule by its name; the order is part of the format."""

RATES = ("distance", "excess", "mass")
"""Kinds that take a draw with a rate; of several rates of a column the product counts."""


@dataclass(frozen=True)
class Cut:
    """A condition on a column: above a threshold, or below it.

    Attributes:
        column: A column; of a collection its first object counts, and there has to be one.
        above: Whether values have to be above the threshold, not below it.
        threshold: The threshold, which itself does not pass.
    """

    column: str
    above: bool
    threshold: float

    def __str__(self) -> str:
        return f"{self.column} {'>' if self.above else '<'} {self.threshold:g}"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        kind: A name of `RULES`.
        columns: Its columns; of a flag the flag and the columns of the cuts; of a distance eta and
            phi; of parts p_T, eta, m and the parts.
        numbers: Of a flag, 1 for above or 0 for below and the threshold, cut by cut; of a
            distance the k edges of Delta R, increasing, and the k + 1 rates between them; of
            parts an absolute tolerance and one relative to the energy; of a least value t.
    """

    kind: str
    columns: tuple[str, ...]
    numbers: tuple[float, ...] = ()

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts of a flag."""
        pairs = zip(self.numbers[::2], self.numbers[1::2], strict=True)
        return tuple(
            Cut(column, above == 1, threshold)
            for column, (above, threshold) in zip(self.columns[1:], pairs, strict=True)
        )

    @property
    def spectrum(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The edges between the bins of a rate, and the rate of each bin."""
        half = len(self.numbers) // 2
        return self.numbers[:half], self.numbers[half:]

    @property
    def is_well_formed(self) -> bool:
        """True if it has as many columns and numbers as its kind takes, and none twice.

        Several cuts may be on one column, but none on the flag itself.
        """
        columns, numbers = len(self.columns), self.numbers
        if self.kind == "flag":
            sides = set(numbers[::2]) <= {0.0, 1.0}
            others = self.columns[:1] != () and self.columns[0] not in self.columns[1:]
            return others and columns > 1 and len(numbers) == 2 * (columns - 1) and sides
        if len(set(self.columns)) < columns:
            return False
        if self.kind in RATES:
            edges, rates = self.spectrum
            increasing = all(a < b for a, b in pairwise(edges))
            fits = increasing and all(0 <= rate <= 1 for rate in rates)
            least, most = {"distance": (2, 2), "excess": (1, 2), "mass": (2, 3)}[
                self.kind
            ]
            return least <= columns <= most and len(numbers) % 2 == 1 and fits
        if self.kind == "least":
            return columns in (1, 2) and len(numbers) == 1 and numbers[0] > 0
        if self.kind == "parts":
            return columns > 4 and len(numbers) == 2 and min(numbers) >= 0
        return columns == (1 if self.kind == "falling" else 2) and not numbers

    def __str__(self) -> str:
        a, b = self.columns[0], self.columns[-1]
        parts = " + ".join(self.columns[3:])
        words = {
            "zeros": f"{b} is 0 exactly where {a} is 0",
            "falling": f"{a} does not rise from object to object",
            "implies": f"{a} only with {b}",
            "flag": f"{a} = " + " and ".join(map(str, self._cuts_in_words())),
            "distance": f"rate of near objects by {a} and {b}",
            "mass": f"rate of masses with the first object by {' and '.join(self.columns)}",
            "excess": f"rate of unbalanced objects by {' and '.join(self.columns)}",
            "parts": f"{parts} = energy of {', '.join(self.columns[:3])}",
            "least": f"{a} is 0 or at least "
            + " x ".join([f"{t:g}" for t in self.numbers[:1]] + [*self.columns[1:]]),
        }
        return words[self.kind]

    def _cuts_in_words(self) -> tuple[Cut, ...]:
        return self.cuts if self.kind == "flag" else ()


def cuts_rule(flag: str, cuts: tuple[Cut, ...]) -> Rule:
    """Return the rule of a flag that is set exactly where all cuts hold.

    Example:
        >>> print(cuts_rule("HLT_Jet60", (Cut("Jet_pt", True, 60.0),)))
        HLT_Jet60 = Jet_pt > 60
    """
    columns = tuple(cut.column for cut in cuts)
    numbers = tuple(n for cut in cuts for n in (float(cut.above), cut.threshold))
    return Rule("flag", (flag, *columns), numbers)
