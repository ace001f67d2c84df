"""The result of limits with a generated background."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from flowtuple.comparison.two_sample.result import plain
from flowtuple.runtime.notebook import Shown

Numbers = tuple[float, ...]

_CLS = "relative difference of CLs"
_SPURIOUS = "spurious signal"
_COVERED = "coverage of mu = 0 less 95 %"

CLS_ALLOWED = 0.05
"""Allowed relative difference of expected CLs."""
COVERAGE, COVERAGE_ALLOWED = 0.95, 0.03
"""Nominal share of intervals that hold the truth, and the allowed difference from it."""
SPURIOUS_OF_ERROR, SPURIOUS_OF_SIGNAL = 0.2, 0.1
"""Allowed spurious signal over the statistical error of mu, or over the expected signal."""


@dataclass(frozen=True)
class TemplateSize:
    """One sample and its template.

    Attributes:
        source: Name of the sample.
        events: Number of events.
        inside: Share of the sample inside the edges.
        undefined: Events whose observable is NaN or infinite.
        counts: Expected events of each bin.
        errors: Standard deviations of these; empty for the signal.
    """

    source: str
    events: int
    inside: float
    undefined: int
    counts: Numbers
    errors: Numbers = ()


@dataclass(frozen=True)
class StrengthTest:
    """Expected CLs of one signal strength with either background.

    Attributes:
        strength: The strength mu.
        simulated: Expected CLs with the simulated background for data 2 sigma below it, 1 below,
            at it, 1 above, 2 above.
        generated: The same with the generated background.
        sigma: Standard deviation of the relative difference of the medians over the bootstrap.
    """

    strength: float
    simulated: Numbers
    generated: Numbers
    sigma: float

    @property
    def difference(self) -> float:
        """Relative difference of the medians."""
        return self.generated[2] / self.simulated[2] - 1


@dataclass(frozen=True)
class CurvePoint:
    """Expected limit with a part of the generated events.

    Attributes:
        events: Generated events.
        limit: Median expected upper limit on mu.
        sigma: Its standard deviation over the bootstrap.
        as_simulated: The limit if each generated event counted as a simulated one.
    """

    events: int
    limit: float
    sigma: float
    as_simulated: float


@dataclass(frozen=True)
class TemplateDifference:
    """Difference of the two backgrounds over all bins, which the checks do not use.

    Attributes:
        chi2: Sum of squared differences over their variances, the training included.
        bins: Number of bins.
        p: Chance of such a chi2 or a larger one for a generator without fault.
    """

    chi2: float
    bins: int
    p: float


@dataclass(frozen=True)
class Spurious:
    """Signal strength that the generated background gives to simulated background without signal.

    Attributes:
        strength: Best mu.
        sigma: Its standard deviation over the bootstrap of both backgrounds.
        statistical: Statistical error of mu, of the counts of the data alone.
    """

    strength: float
    sigma: float
    statistical: float

    @property
    def allowed(self) -> float:
        """Largest strength allowed: 20 % of the statistical error, or 10 % of the signal."""
        return max(SPURIOUS_OF_ERROR * self.statistical, SPURIOUS_OF_SIGNAL)


@dataclass(frozen=True)
class Coverage:
    """Toys without signal whose 95 % interval of mu holds 0.

    Attributes:
        toys: Number of toys.
        covered: Toys whose interval holds 0.
        sigma: Standard deviation of the share over the bootstrap, its toys included.
    """

    toys: int
    covered: int
    sigma: float

    @property
    def share(self) -> float:
        """Share of the toys."""
        return self.covered / self.toys

    @property
    def binomial(self) -> float:
        """Standard deviation of the share of these toys, if it is 95 %."""
        return math.sqrt(COVERAGE * (1 - COVERAGE) / self.toys)


@dataclass(frozen=True)
class Check:
    """One condition, with the statistics that it is known to.

    Attributes:
        name: The condition.
        value: Number that should be small.
        allowed: Largest absolute value allowed.
        sigma: Standard deviation of the value.
    """

    name: str
    value: float
    allowed: float
    sigma: float

    @property
    def beyond(self) -> float:
        """Absolute value from which on the check fails: what is allowed and 2 sigma."""
        return self.allowed + 2 * self.sigma

    @property
    def failed(self) -> bool:
        """True if the value is beyond what is allowed by more than 2 sigma."""
        return abs(self.value) > self.beyond


@dataclass(frozen=True, repr=False)
class Limits(Shown):
    """Limits on a signal with generated and with simulated background, with a verdict.

    Attributes:
        observable: The expression.
        edges: Edges of k bins.
        signal: The signal, for mu = 1.
        simulated: The simulated background.
        generated: The generated background.
        trained_on: Events that the model learned from; `None` if they were not named.
        tests: Expected CLs, strength by strength.
        simulated_limits: Expected upper limits on mu with the simulated background, for data 2
            sigma below it to 2 above.
        generated_limits: The same with the generated background.
        curve: Expected limits against the number of generated events.
        difference: Chi2 of the two backgrounds.
        spurious: The spurious signal.
        coverage: Coverage of mu = 0.
        replicas: Samples of the bootstrap.
        seed: Seed of all random choices.
        notes: Notes for the user.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> draw = np.random.default_rng(1)
        >>> signal, simulated, generated = (
        ...     {"m": draw.normal(mean, width, 4000)} for mean, width in ((5, 1), (4, 3), (4, 3))
        ... )
        >>> options = ft.LimitOptions(signal_yield=40, background_yield=300, toys=100)
        >>> limits = ft.limits(
        ...     signal, simulated, generated, observable="m", edges=[0, 2, 4, 5, 6, 8],
        ...     trained_on=4000, options=options,
        ... )
        >>> limits.rejected
        False
    """

    observable: str
    edges: Numbers
    signal: TemplateSize
    simulated: TemplateSize
    generated: TemplateSize
    trained_on: float | None
    tests: tuple[StrengthTest, ...]
    simulated_limits: Numbers
    generated_limits: Numbers
    curve: tuple[CurvePoint, ...]
    difference: TemplateDifference
    spurious: Spurious
    coverage: Coverage
    replicas: int
    seed: int
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, object]:
        """Return the observable, both expected limits and the verdict."""
        return {
            "observable": self.observable,
            "simulated": f"mu < {self.simulated_limits[2]:.3g} expected",
            "generated": f"mu < {self.generated_limits[2]:.3g} expected",
            "verdict": self.verdict,
        }

    @property
    def checks(self) -> tuple[Check, ...]:
        """The conditions: expected CLs, spurious signal, coverage."""
        cls = [
            Check(
                f"{_CLS}, mu = {t.strength:g}",
                t.difference,
                CLS_ALLOWED,
                t.sigma,
            )
            for t in self.tests
        ]
        spurious = self.spurious
        return (
            *cls,
            Check(_SPURIOUS, spurious.strength, spurious.allowed, spurious.sigma),
            Check(
                _COVERED,
                self.coverage.share - COVERAGE,
                COVERAGE_ALLOWED,
                self.coverage.sigma,
            ),
        )

    @property
    def rejected(self) -> bool:
        """True if a check fails."""
        return any(check.failed for check in self.checks)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        failures = self._failures()
        if failures:
            return f"the generated background fails: {'; '.join(failures)}"
        cls, spurious, coverage = (
            max(c.beyond for c in self.checks if c.name.startswith(name))
            for name in (_CLS, _SPURIOUS, _COVERED)
        )
        return (
            "the generated background passes every check; these samples would show differences "
            f"of CLs above {100 * cls:.2g} %, spurious signals above {spurious:.2g} and "
            f"coverages off by more than {100 * coverage:.2g} %"
        )

    def _failures(self) -> list[str]:
        """Return the failed checks in words; of the strengths the one that shows most."""
        *cls, spurious, coverage = self.checks
        words = []
        failed = [
            (abs(check.value) / check.beyond, test)
            for check, test in zip(cls, self.tests, strict=True)
            if check.failed
        ]
        if failed:
            _, worst = max(failed, key=lambda pair: pair[0])
            words.append(
                f"CLs at mu = {worst.strength:g} is {worst.generated[2]:.3g} in place of "
                f"{worst.simulated[2]:.3g}"
            )
        if spurious.failed:
            words.append(
                f"spurious signal is {spurious.value:+.3g} +- {spurious.sigma:.2g}"
            )
        if coverage.failed:
            words.append(f"{100 * self.coverage.share:.1f} % of toys cover mu = 0")
        return words

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and text for `json.dumps`; undefined numbers are null."""
        content = asdict(self)
        for written, test in zip(content["tests"], self.tests, strict=True):
            written["difference"] = test.difference
        content["spurious"]["allowed"] = self.spurious.allowed
        content["coverage"] |= {
            "share": self.coverage.share,
            "binomial": self.coverage.binomial,
        }
        checks = [
            {**asdict(c), "beyond": c.beyond, "failed": c.failed} for c in self.checks
        ]
        return dict(
            plain(
                {
                    "verdict": self.verdict,
                    "rejected": self.rejected,
                    "checks": checks,
                    **content,
                }
            )
        )
