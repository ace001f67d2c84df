"""The result of comparing two samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from flowtuple.comparison.two_sample.copies import Copies
from flowtuple.comparison.two_sample.ratio import Ratio
from flowtuple.data.binning import find_binning
from flowtuple.data.expressions import Cut
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
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


@dataclass(frozen=True)
class Picture:
    """Histograms of what betrays the other sample, as plain numbers.

    Attributes:
        label: What is shown.
        edges: Edges of the bins.
        reference: Share of each bin.
        reference_error: Its standard deviation.
        other: Share of the other sample.
        other_error: Its standard deviation.
    """

    label: str
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    reference_error: tuple[float, ...]
    other: tuple[float, ...]
    other_error: tuple[float, ...]

    @classmethod
    def of(cls, label: str, values: Array, weight: Array, other: Array) -> Picture:
        """Return the histograms of some rows, those of the second sample True in `other`."""
        integer = bool((values == np.rint(values)).all())
        edges = find_binning(values, integer=integer).edges
        shares = []
        for kind in (~other, other):
            total = weight[kind].sum() or 1.0
            for power in (1, 2):
                counts = np.histogram(values[kind], edges, weights=weight[kind] ** power)[
                    0
                ]
                shares.append(tuple((counts ** (1 / power) / total).tolist()))
        return cls(label, tuple(edges.tolist()), *shares)


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
        picture: Histograms of the relation or the region that betrays the other sample most; `None`
            where a column does, or nothing.
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
    picture: Picture | None = None
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
    def betrayals(self) -> list[Outcome]:
        """Signs that betray the other sample, most telling first.

        Relations that it breaks come first, then columns and regions by how many standard
        deviations they lie above the permutations, each column once; tests of all columns last.
        """
        rejected = [o for o in self.outcomes if o.rejected]
        broken = [o for o in rejected if o.test == "relations"]
        broken.sort(key=lambda o: -(o.statistic or 0.0))
        others = [o for o in rejected if o.test != "relations"]
        others.sort(key=lambda o: (not o.column, -(o.deviations or 0.0)))
        # A relation that is broken and its residual are one sign.
        related = {residual_name(o.column) for o in broken}
        others = [o for o in others if o.column not in related]
        # Of one column the test that sees most.
        named = {o.column or o.test: o for o in reversed(others)}
        return broken + [o for o in others if named[o.column or o.test] is o]

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        made = [o for o in self.outcomes if o.adjusted is not None]
        least = min(made, key=lambda o: (o.adjusted, o.p), default=None)
        if least is None:
            return "no test could be made"
        rejecting = f"{sum(o.rejected for o in made)} of {len(made)} tests reject"
        if self.differ:
            words = "; ".join(map(in_words, self.betrayals[:3]))
            return f"the samples differ at level {self.level:g}: {words}; {rejecting}"
        smallest = len({o.test for o in made}) / (self.permutations + 1)
        undecided = (
            "undecided, for want of permutations,"
            if smallest >= self.level
            else "no difference was found"
        )
        column = f" of {least.column}" if least.column else ""
        return (
            f"{undecided} at level {self.level:g}: {rejecting}; "
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
            "betrayals": plain([asdict(outcome) for outcome in self.betrayals]),
            **plain(content),
        }


def residual_name(relation: str) -> str:
    """Return the name of the column of events with the largest residual of a relation.

    Example:
        >>> residual_name("Jet_E = Jet_a + Jet_b")
        'largest residual of Jet_E = Jet_a + Jet_b'
    """
    return f"largest residual of {relation}"


def in_words(outcome: Outcome) -> str:
    """Return what a test says about a column, a relation or a region.

    Example:
        >>> in_words(Outcome("ks", "Jet_pt", 0.25, deviations=7.25))
        'Jet_pt (ks 0.25, 7.2 deviations)'
    """
    details = outcome.details
    if outcome.test == "relations":
        shares = (details["broken"], details["broken_in_reference"])
        other, reference = (f"{100 * share:.3g} %" for share in shares)
        return f"{outcome.column} is broken in {other}, in the reference in {reference}"
    if outcome.test == "local":
        return (
            f"{details['compared']} where {details['region']}: "
            f"{details['observed']:.4g} for {details['expected']:.4g} expected"
        )
    column = outcome.column or "all columns"
    number = f"{outcome.test} {outcome.statistic or 0.0:.3g}"
    return f"{column} ({number}, {outcome.deviations or 0.0:.1f} deviations)"


def plain(content: Any) -> Any:
    """Return the content with tuples as lists, and null for numbers that are not finite."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
