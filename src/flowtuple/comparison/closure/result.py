"""What a closure found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from flowtuple.comparison.closure.curves import Curve
from flowtuple.comparison.closure.distances import Distance
from flowtuple.comparison.two_sample.auc import Area
from flowtuple.comparison.two_sample.result import plain
from flowtuple.data.expressions import Cut
from flowtuple.runtime.notebook import Shown

AREA, WASSERSTEIN = 0.10, 0.03
"""How far an area and a distance may lie above those of real events held against real ones."""
CHANCE = 0.046
"""Share of the bins of equal samples that lie beyond 2 sigma."""


@dataclass(frozen=True)
class Spectrum:
    """A quantity of events as shares of all events in bins, of two samples.

    Attributes:
        column: Its name, such as `Jet_mjj`.
        edges: Of k bins.
        reference: k shares.
        reference_error: Their standard deviations.
        other: Of the other sample.
        other_error: Likewise.
    """

    column: str
    edges: tuple[float, ...]
    reference: tuple[float, ...]
    reference_error: tuple[float, ...]
    other: tuple[float, ...]
    other_error: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """How many bins of one figure lie too far apart.

    Attributes:
        quantity: Such as `efficiency`.
        grid: What it is drawn against, in words.
        beyond: Bins that differ by more than the tolerance and 2 sigma.
        grave: Bins that differ by more than the tolerance and 5 sigma.
        bins: Bins judged.
        left_out: Bins with too few rows.
        worst: The largest difference less 2 sigma, a share of one or of the reference's response; NaN without a bin.
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
    """One sample of objects held against another.

    Attributes:
        area: Under the ROC curve of a classifier on an object's, its partner's and the event's columns; `None` where there
            are too few objects.
        columns: Distances of these columns.
        derived: Distances of quantities of the event: H_T, dijet mass and others; empty for objects without a mass.
        curves: Efficiency, objects without a partner, response.
        cuts: What cuts keep.
        spectra: Of the dijet mass and H_T.
    """

    area: Area | None
    columns: tuple[Distance, ...]
    derived: tuple[Distance, ...]
    curves: tuple[Curve, ...]
    cuts: tuple[Cut, ...] = ()
    spectra: tuple[Spectrum, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each figure and what it is drawn against."""
        by_grid: dict[tuple[str, str], list[Curve]] = {}
        for curve in self.curves:
            by_grid.setdefault((curve.quantity, curve.grid), []).append(curve)
        return tuple(_verdict(*key, curves) for key, curves in by_grid.items())


def _verdict(quantity: str, grid: str, curves: Iterable[Curve]) -> Verdict:
    curves = tuple(curves)
    worst = [curve.worst for curve in curves if math.isfinite(curve.worst)]
    return Verdict(
        quantity,
        grid,
        sum(int(curve.beyond.sum()) for curve in curves),
        sum(int(curve.grave.sum()) for curve in curves),
        sum(curve.bins for curve in curves),
        sum(curve.left_out for curve in curves),
        max(worst, default=math.nan),
    )


@dataclass(frozen=True)
class ObjectClosure:
    """Objects of one kind: the sample judged, and real events beside it, which nothing can be expected to beat.

    Attributes:
        objects: Name of the reconstructed collection.
        partners: Name of the generated one.
        through: Column that points from the one to the other.
        other: The other sample held against the reference.
        real: Real events held against real events.
    """

    objects: str
    partners: str
    through: str
    other: Agreement
    real: Agreement

    @property
    def excess(self) -> dict[str, float]:
        """By column, by how much its Wasserstein-1 distance exceeds that of real events; the largest first."""
        there = {d.column: d.w1 for d in self.real.columns}
        found = {d.column: d.w1 - there[d.column] for d in self.other.columns if d.column in there}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def failures(self) -> tuple[str, ...]:
        """What is not good enough, and not by chance, one sentence each."""
        out = []
        if (
            self.other.area is not None
            and self.real.area is not None
            and self.other.area.value > self.real.area.value + AREA
        ):
            out.append(
                f"{self.objects}: AUC {self.other.area.value:.3f}, real {self.real.area.value:.3f}"
            )
        far = [name for name, excess in self.excess.items() if excess > WASSERSTEIN]
        if far:
            out.append(
                f"{self.objects}: distances of {', '.join(far[:5])}{' and others' if far[5:] else ''}"
            )
        beyond, grave, bins = (
            sum(getattr(v, n) for v in self.other.verdicts) for n in ("beyond", "grave", "bins")
        )
        if grave or beyond > CHANCE * bins:
            out.append(
                f"{self.objects}: {beyond} of {bins} bins{f', {grave} of them by 5 sigma' if grave else ''}"
            )
        return tuple(out)


@dataclass(frozen=True)
class Counted:
    """One sample: its name, generated events, and how often each was simulated."""

    source: str
    events: int
    folds: int


@dataclass(frozen=True, repr=False)
class Closure(Shown):
    """Whether reconstructed objects are right, given the generated ones.

    Attributes:
        reference: The sample that is right.
        other: The sample held against it.
        real: What stands beside: real events held against real ones, in words.
        given: Names and globs of what both have in common.
        seed: Of everything random.
        objects: Collection by collection.
        notes: What a person should know.

    Example:
        >>> first, second = Counted("real.root", 100, 1), Counted("simulated.root", 100, 1)
        >>> Closure(first, second, "halves", ("GenJet_*",), 0, ()).verdict
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
    def rejected(self) -> bool:
        """Whether anything is not good enough."""
        return any(closure.failures for closure in self.objects)

    @property
    def verdict(self) -> str:
        """One sentence."""
        failures = [failure for closure in self.objects for failure in closure.failures]
        return (
            "beyond what is allowed: " + "; ".join(failures)
            if failures
            else "nothing lies beyond what is allowed"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and text for `json.dumps`; what is undefined is null."""
        content = asdict(self)
        for written, closure in zip(content["objects"], self.objects, strict=True):
            written |= {"excess": closure.excess, "failures": closure.failures}
            for name in ("other", "real"):
                agreement: Agreement = getattr(closure, name)
                written[name]["verdicts"] = [asdict(verdict) for verdict in agreement.verdicts]
                for drawn, curve in zip(written[name]["curves"], agreement.curves, strict=True):
                    drawn["beyond"] = curve.beyond.tolist()
        found: dict[str, Any] = plain(
            {"verdict": self.verdict, "rejected": self.rejected, **content}
        )
        return found
