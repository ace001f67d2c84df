"""Limits on a signal with a generated background in place of a simulated one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from flowtuple.api.comparing import write_json
from flowtuple.api.inputs import FilePath, check_seed, pages
from flowtuple.comparison.limits.histfactory import workspace
from flowtuple.comparison.limits.measure import measure_limits
from flowtuple.comparison.limits.observable import Observable, read_observable
from flowtuple.comparison.limits.options import LimitOptions, check_events
from flowtuple.comparison.limits.result import Limits
from flowtuple.comparison.limits.samples import Templates, fill_templates
from flowtuple.comparison.limits.templates import check_edges
from flowtuple.data.resources import Resources
from flowtuple.data.table import Dataset
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.limits_page import write_limits
from flowtuple.runtime.extras import require


def limits(
    signal: Source,
    simulated: Source,
    generated: Source,
    folder: FilePath | None = None,
    *,
    observable: str,
    edges: Sequence[float],
    trained_on: float | None = None,
    seed: int = 0,
    options: LimitOptions = LimitOptions(),
    resources: Resources = Resources(),
) -> Limits:
    """Compare limits on a signal with generated and with simulated background.

    The histogram of the observable is a template of signal and background. The likelihood is
    HistFactory's: counts are Poisson, mu scales the signal, and each bin of the background has a
    factor of its own with the error of the template. A bin of generated events has the relative
    variance 1 / n + 1 / (N p): that of its n events, and that of the N events which the model
    learned from, of which the bin has the share p. Expected CLs are asymptotic, by pyhf.

    Three things are checked: that the median expected CLs of each strength differ by at most 5 %;
    that the spurious signal, which the generated background gives to the simulated one, is below
    20 % of the statistical error of mu or 10 % of the signal; and that 95 +- 3 % of toys of the
    simulated background have a 95 % interval of mu that holds 0. A check fails if its value is
    beyond that by more than 2 sigma, of a bootstrap of both samples and of the training.

    Sources: Heinrich et al., JOSS 6 (2021) 2823 (pyhf); Read, J. Phys. G 28 (2002) 2693 (CLs);
    Cowan et al., arXiv:1007.1727 (asymptotic formulae); Barlow and Beeston, Comput. Phys. Commun.
    77 (1993) 219 (statistics of templates); Butter et al., SciPost Phys. 10 (2021) 139 (statistics
    of generated events); ATLAS, arXiv:1408.7084 (spurious signal).

    Args:
        signal: Signal events: a path, URL, list of paths, awkward array, dict of arrays or
            DataFrame.
        simulated: Background events that the model has not seen; they stand for the truth.
        generated: Background events of the model, of any number.
        folder: Folder for `limits.json`, `limits.html` and workspaces of pyhf; `None` writes none.
        observable: Column of events, or an expression of numbers of events, such as `Jet12_mass`.
        edges: Rising edges of the bins. Events outside are not used.
        trained_on: Number of events that the model learned from, or that they are worth if they
            have weights. `None` counts every generated event as a simulated one.
        seed: The same inputs, options and seed give the same result on one machine.
        options: Yields, strengths, toys, weights.
        resources: Its `progress` is called at each stage.

    Returns:
        Expected CLs and limits, their curve against the number of generated events, spurious
        signal, coverage, and one verdict.

    Raises:
        InvalidArgument: The observable names nothing, edges do not rise, a bin has too few events,
            weights are wrong, or a yield is not above 0.
        MissingExtra: The extra 'fit' is not installed, or 'plots' where a folder is named.

    Example:
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> draw = np.random.default_rng(1)
        >>> simulated, generated = ({"m": draw.exponential(50, 5000)} for _ in range(2))
        >>> signal = {"m": draw.normal(60, 5, 1000)}
        >>> options = ft.LimitOptions(signal_yield=20, background_yield=200, replicas=50)
        >>> result = ft.limits(
        ...     signal, simulated, generated, observable="m", edges=range(0, 160, 20),
        ...     trained_on=5000, options=options,
        ... )
        >>> result.rejected, len(result.tests)
        (False, 3)
    """
    require("pyhf", "fit", "limits")
    options.check()
    check_events("trained_on", trained_on)
    check_seed(seed)
    bins = check_edges(list(edges))
    with pages(folder) as target:
        resources.progress("limits", 0.0, "reading")
        samples = _read((signal, simulated, generated), observable, options)
        result = measure_limits(
            samples,
            name=observable,
            edges=bins,
            trained_on=trained_on,
            options=options,
            seed=seed,
            progress=resources.progress,
        )
        if target is not None:
            resources.progress("limits", 1.0, "drawing")
            templates = fill_templates(samples, bins, trained_on, options)
            _write(result, templates, target)
        return result


def _read(
    sources: Sequence[Source], observable: str, options: LimitOptions
) -> list[Observable]:
    """Return the observable of signal, simulated and generated events."""
    read = ReadOptions(names=options.names)
    datasets = [open_dataset(source, read) for source in sources]
    return [
        read_observable(
            dataset,
            observable,
            options.weight if k == 1 or _has(dataset, options.weight) else None,
        )
        for k, dataset in enumerate(datasets)
    ]


def _has(dataset: Dataset, column: str | None) -> bool:
    return any(c.name == column for t in dataset.tables.values() for c in t.columns)


def _write(result: Limits, templates: Templates, folder: Path) -> None:
    """Write the page, the numbers, and a workspace of pyhf for each background."""
    largest = max(math.ceil(test.strength) for test in result.tests)
    for name in ("simulated", "generated"):
        profile = templates.profile(getattr(templates, name))
        write_json(workspace(profile, name, largest), folder / f"workspace_{name}.json")
    write_limits(result, folder)
    write_json(result.to_json(), folder / "limits.json")
