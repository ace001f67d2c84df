"""Limits with a generated and with a simulated background, from their templates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowtuple.comparison.limits.histfactory import cls_band
from flowtuple.comparison.limits.observable import Observable
from flowtuple.comparison.limits.options import LimitOptions
from flowtuple.comparison.limits.profile import Profile, expected_cls
from flowtuple.comparison.limits.result import (
    COVERAGE,
    Coverage,
    CurvePoint,
    Limits,
    Spurious,
    StrengthTest,
    TemplateDifference,
)
from flowtuple.comparison.limits.samples import Templates, fill_templates
from flowtuple.comparison.limits.templates import (
    LEAST_EVENTS,
    check_background,
    fill_template,
)
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.extras import require
from flowtuple.runtime.progress import Progress, silent

DEVIATIONS = (-2, -1, 0, 1, 2)
"""Standard deviations of the background that expected figures are given for."""
PARTS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Parts of the generated events in the curve of limits."""

_OF_LIMIT = (0.5, 1.0, 1.5)  # strengths that are tested by default, over the limit
_LARGEST = 8.0  # sqrt(q_mu), beyond which CLs is a number of the tails alone
_COVERAGE_REPLICAS = 50
_OF_WORTH = 0.5  # expected events over those that a template is worth, without a note


def measure_limits(
    samples: Sequence[Observable],
    *,
    name: str,
    edges: Array,
    trained_on: float | None,
    options: LimitOptions = LimitOptions(),
    seed: int = 0,
    progress: Progress = silent,
) -> Limits:
    """Measure limits with either background, and check the generated one.

    Args:
        samples: Signal, simulated background that the model has not seen, generated background.
        name: The observable in words.
        edges: Rising edges of its bins.
        trained_on: Events that the model learned from; `None` if that is not known.
        options: Yields, strengths, toys, replicas.
        seed: Seed of toys and bootstrap.
        progress: Receives each stage.

    Raises:
        InvalidArgument: A template cannot be used, or a strength is far above the limit.
        MissingExtra: The extra 'fit' is not installed.
    """
    require("pyhf", "fit", "limits")
    templates = fill_templates(samples, edges, trained_on, options)
    rng = np.random.default_rng(seed)
    pair = [templates.profile(t) for t in (templates.simulated, templates.generated)]
    repeated = [
        templates.repeated(t, options.replicas, rng)
        for t in (templates.simulated, templates.generated)
    ]
    strengths = tuple(options.strengths) or _near_limit(pair[0])
    progress("limits", 0.0, "expected CLs")
    tests = tuple(_test_strength(strength, pair, repeated) for strength in strengths)
    progress("limits", 0.3, "limits against generated events")
    curve = tuple(_curve(samples[2], templates, options.replicas, rng))
    coverage = coverage_of_zero(pair, repeated, options.toys, rng, progress)
    return Limits(
        name,
        tuple(edges.tolist()),
        *templates.sizes(),
        trained_on,
        tests,
        _band(pair[0]),
        _band(pair[1]),
        curve,
        _difference(pair),
        spurious_signal(pair, repeated),
        coverage,
        options.replicas,
        seed,
        _notes(templates, trained_on, len(PARTS) - len(curve)),
    )


def _band(profile: Profile) -> tuple[float, ...]:
    return tuple(float(profile.limit(n)) for n in DEVIATIONS)


def _near_limit(simulated: Profile) -> tuple[float, ...]:
    """Return strengths near the expected limit, with two digits."""
    limit = float(simulated.limit())
    return tuple(float(f"{part * limit:.2g}") for part in _OF_LIMIT)


def _test_strength(
    strength: float, pair: Sequence[Profile], repeated: Sequence[Profile]
) -> StrengthTest:
    """Return the expected CLs of a strength by pyhf, their errors by the closed form.

    Raises:
        InvalidArgument: The strength is so large that its CLs is a number of the far tails.
    """
    if float(pair[0].significance(np.array(strength))) > _LARGEST:
        raise InvalidArgument(
            f"the strength {strength:g} is far above the expected limit "
            f"{float(pair[0].limit()):.3g}; `strengths=` takes numbers near it"
        )
    medians = [
        expected_cls(p.significance(np.full(len(p.background), strength)))
        for p in repeated
    ]
    sigma = float(np.std(medians[1] / medians[0], ddof=1))
    simulated, generated = (cls_band(p, strength) for p in pair)
    return StrengthTest(strength, simulated, generated, sigma)


def spurious_signal(pair: Sequence[Profile], repeated: Sequence[Profile]) -> Spurious:
    """Return the signal that the generated background gives to the simulated one."""
    simulated, generated = pair
    best = float(generated.best_strength(simulated.background))
    sigma = float(np.std(repeated[1].best_strength(repeated[0].background), ddof=1))
    information = float((simulated.signal**2 / simulated.background).sum())
    return Spurious(best, sigma, 1 / math.sqrt(information))


def coverage_of_zero(
    pair: Sequence[Profile],
    repeated: Sequence[Profile],
    toys: int,
    rng: np.random.Generator,
    progress: Progress,
) -> Coverage:
    """Return the share of toys of the simulated background whose interval holds mu = 0."""
    simulated, generated = pair
    covered = _covered(generated, simulated.background, toys, rng)
    shares = []
    pairs = list(zip(repeated[0].background, repeated[1].background, strict=True))
    for k, (truth, template) in enumerate(pairs[:_COVERAGE_REPLICAS]):
        progress(
            "limits", 0.5 + 0.5 * k / min(len(pairs), _COVERAGE_REPLICAS), "coverage"
        )
        one = replace(generated, background=template)
        shares.append(_covered(one, truth, toys, rng) / toys)
    return Coverage(toys, covered, float(np.std(shares, ddof=1)))


def _difference(pair: Sequence[Profile]) -> TemplateDifference:
    """Return chi2 of the two backgrounds, with the errors of both."""
    special = require("scipy.special", "fit", "limits")
    first, second = (p.background for p in pair)
    variance = sum((p.background * p.relative) ** 2 for p in pair)
    chi2, bins = float(((first - second) ** 2 / variance).sum()), len(first)
    return TemplateDifference(chi2, bins, float(special.chdtrc(bins, chi2)))


def _covered(profile: Profile, truth: Array, toys: int, rng: np.random.Generator) -> int:
    """Return the number of toys of a background whose 95 % interval of mu holds 0."""
    special = require("scipy.special", "fit", "limits")
    counts = rng.poisson(truth, (toys, len(truth))).astype(np.float64)
    threshold = special.chdtri(1, 1 - COVERAGE)
    return int((profile.ratio(0.0, counts) <= threshold).sum())


def _curve(
    generated: Observable, templates: Templates, replicas: int, rng: np.random.Generator
) -> list[CurvePoint]:
    """Return limits with parts of the generated events; parts that are too small are left out."""
    whole = templates.generated
    order = rng.permutation(len(generated.values))
    points = []
    for part in PARTS:
        some = generated.some(order[: round(part * len(order))])
        try:
            template = fill_template(some, whole.edges, whole.trained_on)
            check_background(template)
        except InvalidArgument:
            continue
        as_simulated = templates.profile(replace(template, trained_on=math.inf))
        limits = templates.repeated(template, replicas, rng).limit()
        points.append(
            CurvePoint(
                len(some.values),
                float(templates.profile(template).limit()),
                float(np.std(limits, ddof=1)),
                float(as_simulated.limit()),
            )
        )
    return points


def _notes(
    templates: Templates, trained_on: float | None, left_out: int
) -> tuple[str, ...]:
    notes = [
        f"{t.source}: {t.undefined} events have no finite observable and count as outside the edges"
        for t in (templates.signal, templates.simulated, templates.generated)
        if t.undefined
    ]
    for template in (templates.simulated, templates.generated):
        if templates.background_yield > _OF_WORTH * template.worth:
            notes.append(
                f"{template.source}: is worth {template.worth:.0f} events, and the analysis "
                f"expects {templates.background_yield:.4g} of background: the error of the "
                "template counts as much as that of the data, and coverage says little; name "
                "the expected events with `background_yield=`, or learn from more"
            )
    if trained_on is None:
        notes.append(
            "every generated event counts as a simulated one; name the number of events that "
            "the model learned from with `trained_on=`, because generated ones know no more"
        )
    if left_out:
        notes.append(
            f"{left_out} points of the curve are left out, where so few generated events make "
            f"a bin worth less than {LEAST_EVENTS}"
        )
    return tuple(dict.fromkeys(notes))
