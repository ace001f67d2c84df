"""The result of a closure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from flowtuple.comparison.closure.curves import Curve, Numbers
from flowtuple.comparison.closure.samples import Pairs
from flowtuple.comparison.two_sample.auc import Area
from flowtuple.comparison.two_sample.result import plain
from flowtuple.data.expressions import Cut
from flowtuple.runtime.notebook import Shown

AREA, WASSERSTEIN = 0.10, 0.03
"""Allowed excess of an area and of a distance over those of real events and other real ones."""
CHANCE = 0.046
"""Share of the bins of equal samples that lie beyond 2 sigma."""


@dataclass(frozen=True)
class Distance:
    """Distances of one column in two samples.

    Attributes:
        column: Name of the column.
        w1: Wasserstein-1 in units of the reference's standard deviation.
        ks: Largest distance of the distribution functions.
    """

    column: str
    w1: float
    ks: float


@dataclass(frozen=True)
class Spectrum:
    """A quantity of events in bins of two samples, as shares of all events.

    Attributes:
        column: Name of the quantity, such as `Jet_mjj`.
        edges: Edges of k bins.
        reference: Shares of the reference, k numbers.
        reference_error: Their standard deviations.
        other: Shares of the other sample.
        other_error: Their standard deviations.
    """

    column: str
    edges: Numbers
    reference: Numbers
    reference_error: Numbers
    other: Numbers
    other_error: Numbers


@dataclass(frozen=True)
class Verdict:
    """The number of bins in which one figure fails.

    Attributes:
        quantity: The figure, such as `efficiency`.
        grid: Its binning in words.
        beyond: Bins that differ by more than the tolerance and 2 sigma.
        grave: Bins that differ by more than the tolerance and 5 sigma.
        bins: Bins with enough rows.
        left_out: Bins with too few rows.
        worst: The largest difference less 2 sigma, a share of one or of the reference's response;
            NaN without a bin.
    """

    quantity: str
    grid: str
    beyond: int
    grave: int
    bins: int
    left_out: int
    worst: float


@dataclass(frozen=True)
class Agreement:
    """The comparison of the objects of two samples.

    Attributes:
        area: Area under the ROC curve of a classifier on an object's, its partner's and the event's
            columns; `None` where there are too few objects.
        columns: Distances of these columns.
        derived: Distances of quantities of the event: H_T, dijet mass and others; empty for objects
            without a mass.
        curves: Efficiency, objects without a partner, response.
        cuts: Shares that pass cuts.
        spectra: Spectra of the dijet mass and H_T.
    """

    area: Area | None
    columns: tuple[Distance, ...]
    derived: tuple[Distance, ...]
    curves: tuple[Curve, ...]
    cuts: tuple[Cut, ...] = ()
    spectra: tuple[Spectrum, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Verdicts, one for each figure and binning."""
        by_grid: dict[tuple[str, str], list[Curve]] = {}
        for curve in self.curves:
            by_grid.setdefault((curve.quantity, curve.grid), []).append(curve)
        return tuple(
            Verdict(
                *key,
                beyond=sum(int(curve.beyond.sum()) for curve in curves),
                grave=sum(int(curve.grave.sum()) for curve in curves),
                bins=sum(curve.bins for curve in curves),
                left_out=sum(curve.left_out for curve in curves),
                worst=max(
                    (c.worst for c in curves if math.isfinite(c.worst)), default=math.nan
                ),
            )
            for key, curves in by_grid.items()
        )


@dataclass(frozen=True)
class ObjectClosure:
    """Objects of one kind: the simulated sample, and real events, which nothing can be better than.

    Attributes:
        objects: Name of the reconstructed collection.
        partners: Name of the generated one.
        through: Column that points from the one to the other.
        other: The other sample compared with the reference.
        real: Real events compared with other real events.
    """

    objects: str
    partners: str
    through: str
    other: Agreement
    real: Agreement

    @property
    def excess(self) -> dict[str, float]:
        """Excess of Wasserstein-1 distances over those of real events; the largest first."""
        real = {d.column: d.w1 for d in self.real.columns}
        excess = {
            d.column: d.w1 - real[d.column]
            for d in self.other.columns
            if d.column in real
        }
        return dict(sorted(excess.items(), key=lambda item: -item[1]))

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures that are not by chance, one sentence each."""
        out = []
        area, real = self.other.area, self.real.area
        if area is not None and real is not None and area.value > real.value + AREA:
            out.append(f"AUC {area.value:.3f}, real {real.value:.3f}")
        far = [name for name, excess in self.excess.items() if excess > WASSERSTEIN]
        if far:
            out.append(
                f"distances of {', '.join(far[:5])}{' and others' if far[5:] else ''}"
            )
        verdicts = self.other.verdicts
        beyond, grave = sum(v.beyond for v in verdicts), sum(v.grave for v in verdicts)
        bins = sum(v.bins for v in verdicts)
        if grave or beyond > CHANCE * bins:
            by_five = f", {grave} of them by 5 sigma" if grave else ""
            out.append(f"{beyond} of {bins} bins{by_five}")
        return tuple(f"{self.objects}: {failure}" for failure in out)


@dataclass(frozen=True)
class Counted:
    """Size of one sample.

    Attributes:
        source: Name of the sample.
        events: Generated events.
        folds: How often each event was simulated.
    """

    source: str
    events: int
    folds: int

    @classmethod
    def of(cls, pairs: Pairs) -> Counted:
        """Return the size of a sample from its objects."""
        return cls(pairs.source, pairs.events, pairs.folds)


@dataclass(frozen=True, repr=False)
class Closure(Shown):
    """Result of a closure test: simulated objects compared with real ones, with a verdict.

    Attributes:
        reference: The real events.
        other: The simulated events.
        real: Real events that are compared with other real events, in words.
        given: Names and globs of the generated columns.
        seed: Seed of all random choices.
        objects: Results collection by collection.
        notes: Notes for the user.

    Example:
        >>> import flowtuple as ft
        >>> from flowtuple.comparison.closure.result import Counted
        >>> first, second = Counted("real.root", 100, 1), Counted("simulated.root", 100, 1)
        >>> ft.Closure(first, second, "halves", ("GenJet_*",), 0, ()).verdict
        'nothing lies beyond what is allowed'
    """

    reference: Counted
    other: Counted
    real: str
    given: tuple[str, ...]
    seed: int
    objects: tuple[ObjectClosure, ...]
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        """Return the samples, their collections and the verdict."""
        collections = ", ".join(closure.objects for closure in self.objects)
        return {
            "reference": self.reference.source,
            "other": self.other.source,
            "collections": collections,
            "verdict": self.verdict,
        }

    @property
    def failures(self) -> tuple[str, ...]:
        """Failures of all collections."""
        return tuple(failure for closure in self.objects for failure in closure.failures)

    @property
    def rejected(self) -> bool:
        """True if there is a failure."""
        return bool(self.failures)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        if self.failures:
            return "beyond what is allowed: " + "; ".join(self.failures)
        return "nothing lies beyond what is allowed"

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text for `json.dumps`; undefined numbers are null."""
        content = asdict(self)
        for written, closure in zip(content["objects"], self.objects, strict=True):
            written |= {"excess": closure.excess, "failures": closure.failures}
            for name, agreement in (("other", closure.other), ("real", closure.real)):
                part = written[name]
                part["verdicts"] = [asdict(verdict) for verdict in agreement.verdicts]
                for drawn, curve in zip(part["curves"], agreement.curves, strict=True):
                    drawn["beyond"] = curve.beyond.tolist()
        return dict(
            plain({"verdict": self.verdict, "rejected": self.rejected, **content})
        )
