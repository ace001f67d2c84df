"""The result of comparing two samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from flowtuple.comparison.two_sample.copies import Copies
from flowtuple.comparison.two_sample.ratio import Ratio
from flowtuple.data.expressions import Cut
from flowtuple.data.rows import Rows
from flowtuple.runtime.notebook import Shown


@dataclass(frozen=True)
class Outcome:
    """One statistic with its p-value.

    Attributes:
        test: Name of the test.
        column: The column; empty for a test of all columns together.
        statistic: Its value; `None` where the test was not possible.
        p: Chance of such a value or a larger one if both samples had the same distribution.
        adjusted: The same, adjusted for the number of columns of the test and of tests.
        rejected: True if `adjusted` is below the level.
        deviations: Standard deviations by which the statistic exceeds the mean of the permutations.
        note: Why the test was not possible.
        details: Bins, hyperparameters, intervals.

    Example:
        >>> import flowtuple as ft
        >>> ft.Outcome("ks", "Jet_pt", statistic=0.02, p=0.6, adjusted=1.0).rejected
        False
    """

    test: str
    column: str = ""
    statistic: float | None = None
    p: float | None = None
    adjusted: float | None = None
    rejected: bool = False
    deviations: float | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleSize:
    """Size of one sample.

    Attributes:
        source: Name of the sample.
        events: Events.
        rows: Rows compared.
        dropped: Rows left out for NaN or infinite values.
    """

    source: str
    events: int
    rows: int
    dropped: int

    @classmethod
    def of(cls, rows: Rows) -> SampleSize:
        """Return the size of some rows."""
        return cls(rows.source, rows.events, len(rows), rows.dropped)


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """The verdict on two samples, with all statistics.

    Attributes:
        reference: The first sample.
        other: The second sample.
        columns: Columns compared.
        constant: Columns that hold one value in both samples, which no test reads.
        weights: Name of the column of weights, if any.
        level: Accepted probability of a wrong rejection, over all tests together.
        permutations: Random permutations behind each p-value.
        seed: Seed of all random choices.
        outcomes: Results test by test.
        notes: Notes for the user.
        copies: The search for copied training rows, if these were named.
        cuts: Shares that pass each cut, if cuts were named.
        ratio: The density ratio, if it was requested.
        unit: What a row is: `events`, whose columns are numbers of whole events, or `rows`.

    Example:
        >>> import flowtuple as ft
        >>> ft.compare({"x": range(100)}, {"x": range(50, 150)}, tests=["ks"]).differ
        True
    """

    reference: SampleSize
    other: SampleSize
    columns: tuple[str, ...]
    constant: tuple[str, ...]
    weights: str | None
    level: float
    permutations: int
    seed: int
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    copies: Copies | None = None
    cuts: tuple[Cut, ...] = ()
    ratio: Ratio | None = None
    unit: str = "rows"

    def facts(self) -> dict[str, object]:
        """Return the samples, their rows and the verdict."""
        return {
            "reference": f"{self.reference.source} ({self.reference.rows:,} rows)",
            "other": f"{self.other.source} ({self.other.rows:,} rows)",
            "columns": len(self.columns),
            "verdict": self.verdict,
        }

    @property
    def rejected(self) -> bool:
        """True if the samples differ, or the second one holds copies of training rows."""
        return self.differ or self.copied

    @property
    def differ(self) -> bool:
        """True if a test rejects that both samples have the same distribution."""
        return any(outcome.rejected for outcome in self.outcomes)

    @property
    def copied(self) -> bool:
        """True if the second sample holds copies of training rows."""
        return self.copies is not None and self.copies.p < self.level

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        made = [o for o in self.outcomes if o.adjusted is not None]
        least = min(made, key=lambda o: (o.adjusted, o.p), default=None)
        if least is None:
            return "no test could be made"
        column = f" of {least.column}" if least.column else ""
        smallest = len({o.test for o in made}) / (self.permutations + 1)
        undecided = (
            "undecided, for want of permutations,"
            if smallest >= self.level
            else "no difference was found"
        )
        return (
            f"{'the samples differ' if self.differ else undecided} at level {self.level:g}: "
            f"{sum(o.rejected for o in made)} of {len(made)} tests reject; "
            f"least: {least.test}{column}, adjusted p = {least.adjusted:.3g}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text for `json.dumps`; undefined numbers are null."""
        content = asdict(replace(self, ratio=None))
        content["ratio"] = None if self.ratio is None else self.ratio.to_json()
        return {
            "verdict": self.verdict,
            "differ": self.differ,
            "copied": self.copied,
            **plain(content),
        }


def plain(content: Any) -> Any:
    """Return the content with tuples as lists, and null for numbers that are not finite."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
