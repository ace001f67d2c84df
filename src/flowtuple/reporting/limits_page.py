"""The page about limits with a generated background: verdict, templates, CLs, curve, checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flowtuple.comparison.limits.result import Limits
from flowtuple.reporting.limits_plots import curve_png, templates_png
from flowtuple.reporting.page import (
    Block,
    Facts,
    Figure,
    Heading,
    TableBlock,
    Text,
    Verdict,
    format_number,
    format_percent,
    write_page,
)


def write_limits(result: Limits, folder: Path) -> Path:
    """Write the page about limits, `limits.html`, into an existing folder.

    Args:
        result: The limits.
        folder: Folder of the page; an older page there is replaced once the new one is complete.

    Returns:
        The path of the page.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    header: list[Block] = [
        Verdict(f"{result.verdict}.", result.rejected),
        Figure(
            templates_png(result),
            "Expected events of either background, with the signal for the expected limit. Below, "
            "generated over simulated; bars and band are the errors of the templates.",
        ),
        *_samples(result),
        *(Text(note, "bad") for note in result.notes),
    ]
    body = [*_checks(result), *_cls(result), *_curve(result)]
    return write_page(
        folder / "limits.html", "Limits with a generated background", header, body
    )


def _samples(result: Limits) -> Iterator[Block]:
    for name in ("signal", "simulated", "generated"):
        size = getattr(result, name)
        yield Text(
            f"{name}: {size.source}, {size.events:,} events, {format_percent(size.inside)} inside "
            f"the edges, {format_number(sum(size.counts), 4)} expected there",
            "soft files",
        )
    if result.trained_on is not None:
        yield Text(
            f"the model learned from {result.trained_on:,.6g} events", "soft files"
        )


def _checks(result: Limits) -> Iterator[Block]:
    """Return the table of checks."""
    yield Heading(
        "Checks",
        "A check fails if its value is beyond what is allowed by more than 2 sigma. Sigma is of "
        "a bootstrap of both backgrounds and of the training. Spurious signal: mu of a fit with "
        "the generated background to the simulated one. Coverage: share of "
        f"{result.coverage.toys:,} toys of the simulated background whose 95 % interval of mu, "
        "with the generated one, holds 0.",
    )
    rows = [
        {
            "check": check.name,
            "value": (check.value, check.sigma),
            "allowed": check.allowed,
            "beyond": check.beyond,
            "failed": check.failed,
            "status": "FAILED" if check.failed else "ok",
        }
        for check in result.checks
    ]
    columns = {
        "Check": "check",
        "Value": "value",
        "Allowed": "allowed",
        "Fails above": "beyond",
        "Status": "status",
    }
    yield TableBlock("checks", columns, rows, bad="failed", part="")
    yield _figures(result)


def _figures(result: Limits) -> Facts:
    """Return what the checks are made of, and chi2."""
    spurious, coverage, difference = result.spurious, result.coverage, result.difference
    rows = {
        "statistical error of mu": (
            format_number(spurious.statistical),
            "of the counts of the data alone",
        ),
        "spurious signal over it": (
            format_number(spurious.strength / spurious.statistical),
            "20 % is the usual limit",
        ),
        "coverage": (
            f"{coverage.share:.3f} ± {coverage.binomial:.3f}",
            f"{coverage.covered} of {coverage.toys} toys, binomial error",
        ),
        "chi2 of the templates": (
            f"{difference.chi2:.1f} / {difference.bins}",
            f"p = {format_number(difference.p)}; no check, as most bins hardly matter",
        ),
    }
    return Facts([[name, *cells] for name, cells in rows.items()])


def _cls(result: Limits) -> Iterator[Block]:
    """Return expected CLs and limits with either background."""
    yield Heading(
        "Expected CLs and limits",
        "Of data without signal: at the background, and for data 1 and 2 standard deviations of "
        "it below and above. Asymptotic formulae, by pyhf. mu is excluded where CLs is below 0.05.",
    )
    bands = [
        (f"CLs, mu = {test.strength:g}", name, getattr(test, name))
        for test in result.tests
        for name in ("simulated", "generated")
    ]
    bands += [
        ("limit on mu", "simulated", result.simulated_limits),
        ("limit on mu", "generated", result.generated_limits),
    ]
    headings = ["", "background", "−2 σ", "−1 σ", "median", "+1 σ", "+2 σ"]
    rows = [[what, name, *map(format_number, band)] for what, name, band in bands]
    yield Facts(rows, headings)


def _curve(result: Limits) -> Iterator[Block]:
    """Return the limits against the number of generated events."""
    if not result.curve:
        return
    yield Heading(
        "Number of generated events",
        "Expected limit with a part of the generated events. More of them help until the events "
        "that the model learned from decide; counted as simulated ones they would seem to help on.",
    )
    yield Figure(
        curve_png(result),
        "Expected upper limit on mu against the number of generated events; the line is the limit "
        "with the simulated background.",
    )
    columns = {
        "Generated events": "events",
        "Limit on mu": "limit",
        "Counted as simulated": "as_simulated",
    }
    rows = [
        {
            "events": point.events,
            "limit": (point.limit, point.sigma),
            "as_simulated": point.as_simulated,
        }
        for point in result.curve
    ]
    yield TableBlock("curve", columns, rows, part="")
