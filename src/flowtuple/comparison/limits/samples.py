"""Templates of signal, simulated and generated background, and the likelihoods made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowtuple.comparison.limits.observable import Observable
from flowtuple.comparison.limits.options import LimitOptions
from flowtuple.comparison.limits.profile import Profile
from flowtuple.comparison.limits.result import TemplateSize
from flowtuple.comparison.limits.templates import (
    Template,
    check_background,
    check_signal,
    fill_template,
)
from flowtuple.data.schema import Array


@dataclass(frozen=True, eq=False)
class Templates:
    """Histograms of the three samples, and the events that are expected.

    Attributes:
        signal: The signal.
        simulated: The simulated background.
        generated: The generated background.
        signal_yield: Expected signal for mu = 1, before the edges.
        background_yield: Expected background, before the edges.
    """

    signal: Template
    simulated: Template
    generated: Template
    signal_yield: float
    background_yield: float

    def profile(self, background: Template) -> Profile:
        """Return the likelihood with a background."""
        return Profile(
            self.signal.counts(self.signal_yield),
            background.counts(self.background_yield),
            background.relative_errors,
        )

    def repeated(
        self, background: Template, number: int, rng: np.random.Generator
    ) -> Profile:
        """Return the likelihoods with repeated samples of a background."""
        counts = self.background_yield * background.replicas(number, rng)
        return replace(self.profile(background), background=counts)

    def sizes(self) -> tuple[TemplateSize, TemplateSize, TemplateSize]:
        """Return the three samples as numbers."""
        pair = [self.profile(t) for t in (self.simulated, self.generated)]
        simulated, generated = (
            _size(t, p.background, p.background * p.relative)
            for t, p in zip((self.simulated, self.generated), pair, strict=True)
        )
        return _size(self.signal, pair[0].signal, None), simulated, generated


def fill_templates(
    samples: Sequence[Observable],
    edges: Array,
    trained_on: float | None,
    options: LimitOptions = LimitOptions(),
) -> Templates:
    """Fill the histograms of signal, simulated and generated background.

    Args:
        samples: The three samples in this order.
        edges: Rising edges of the bins.
        trained_on: Events that the model learned from; `None` if that is not known.
        options: Expected events.

    Raises:
        InvalidArgument: A histogram is no template; the message names sample and bin.
    """
    signal, simulated, generated = samples
    learned = math.inf if trained_on is None else trained_on
    templates = Templates(
        fill_template(signal, edges),
        fill_template(simulated, edges),
        fill_template(generated, edges, learned),
        options.signal_yield or signal.total,
        options.background_yield or simulated.total,
    )
    check_signal(templates.signal)
    check_background(templates.simulated)
    check_background(templates.generated)
    return templates


def _size(template: Template, counts: Array, errors: Array | None) -> TemplateSize:
    return TemplateSize(
        template.source,
        template.events,
        float(template.shares[:-1].sum()),
        template.undefined,
        tuple(counts.tolist()),
        () if errors is None else tuple(errors.tolist()),
    )
