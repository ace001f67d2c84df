"""The command that compares limits with generated and with simulated background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from flowtuple import api
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, argument, command, option
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.options import INPUT, Json, Names, Seed, split
from flowtuple.cli.terminal import show_table, shown
from flowtuple.comparison.limits.options import LimitOptions
from flowtuple.comparison.limits.result import Limits
from flowtuple.errors import InvalidArgument
from flowtuple.reporting.page import format_number

_FIT = "Fit"
_FORM = "0,50,100 or FROM:TO:BINS, such as 0:200:20"


def read_edges(
    edges: str = option(
        "--edges A,B,...",
        "Edges of the bins, or FROM:TO:BINS for equal ones.",
        ...,
        INPUT,
    ),
) -> tuple[float, ...]:
    """Return the edges of bins.

    Example:
        >>> read_edges("0:30:3"), read_edges("0,5,20")
        ((0.0, 10.0, 20.0, 30.0), (0.0, 5.0, 20.0))
    """
    try:
        if ":" in edges:
            low, high, bins = edges.split(":")
            if int(bins) < 1:
                raise ValueError
            return tuple(np.linspace(float(low), float(high), int(bins) + 1).tolist())
        return tuple(float(word) for word in split(edges))
    except ValueError:
        raise InvalidArgument(f"--edges {edges!r} is not of the form {_FORM}") from None


def _read_strengths(
    strengths: str = option(
        "--strengths A,B,...",
        "Signal strengths; default: half of the expected limit, the limit, 1.5 of it.",
        "",
        _FIT,
    ),
) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in split(strengths))
    except ValueError:
        raise InvalidArgument(
            f"--strengths {strengths!r} is not numbers between commas, such as 0.5,1,2"
        ) from None


def _options(
    *,
    signal_yield: float | None = option(
        "--signal-yield N",
        "Signal events for mu = 1, before the edges; default: the sum of weights.",
        None,
        _FIT,
    ),
    background_yield: float | None = option(
        "--background-yield N",
        "Background events likewise; default: the sum of weights of SIMULATED.",
        None,
        _FIT,
    ),
    strengths: Annotated[tuple[float, ...], From(_read_strengths)],
    toys: int = option("--toys", "Toys of the coverage.", 500, _FIT),
    replicas: int = option("--replicas", "Samples of the bootstrap.", 200, _FIT),
    weight: str | None = option(
        "--weight COL",
        "Column of event weights, of SIMULATED and of the others that have it.",
        None,
        INPUT,
    ),
    names: Names,
) -> LimitOptions:
    return LimitOptions(
        signal_yield, background_yield, strengths, toys, replicas, weight, names
    )


@command(app)
def limits(
    *,
    signal: Annotated[str, argument("SIGNAL[:TREE]", "Signal events.")],
    simulated: Annotated[
        str, argument("SIMULATED[:TREE]", "Background that the model has not seen.")
    ],
    generated: Annotated[
        str, argument("GENERATED[:TREE]", "Background drawn from the model.")
    ],
    output: Path | None = option(
        "--output -o DIR", "Folder for limits.html, limits.json and workspaces of pyhf."
    ),
    observable: str = option(
        "--observable EXPR",
        "One number of each event, such as 'Jet12_mass' or 'MET_pt / 1000'.",
        ...,
        INPUT,
    ),
    edges: Annotated[tuple[float, ...], From(read_edges)],
    trained_on: float | None = option(
        "--trained-on N", "Number of events that the model learned from.", None, _FIT
    ),
    options: Annotated[LimitOptions, From(_options)],
    seed: Seed,
    fail: bool = option("--fail", "Exit code 1 if a check fails.", False),
    as_json: Json,
) -> None:
    """Compare limits on a signal with generated and with simulated background, by pyhf.

    Checks expected CLs, the spurious signal of the generated background, and coverage by toys.

    Example: flowtuple limits signal.root held_out.root generated.root --observable m_jj
    --edges 0:500:25 --trained-on 40000 -o limits
    """
    with shown() as resources:
        result = api.limits(
            signal,
            simulated,
            generated,
            output,
            observable=observable,
            edges=edges,
            trained_on=trained_on,
            seed=seed,
            options=options,
            resources=resources,
        )
    if as_json:
        print_json(result)
    else:
        _show(result)
        write(*([] if output is None else [output / "limits.html"]))
    if fail and result.rejected:
        raise typer.Exit(1)


def _show(result: Limits) -> None:
    """Show the verdict, samples, checks, expected figures and notes."""
    write(result.verdict)
    _show_samples(result)
    _show_checks(result)
    _show_expected(result)
    spurious, coverage, difference = result.spurious, result.coverage, result.difference
    write(
        f"spurious signal: mu = {spurious.strength:.3g} +- {spurious.sigma:.2g}, "
        f"{100 * spurious.strength / spurious.statistical:.0f} % of the statistical error "
        f"{spurious.statistical:.3g}",
        f"coverage: {coverage.covered} of {coverage.toys} toys, "
        f"{100 * coverage.share:.1f} +- {100 * coverage.binomial:.1f} %",
        f"chi2 of the two templates: {difference.chi2:.1f} for {difference.bins} bins, "
        f"p = {format_number(difference.p)}",
    )
    warn(*result.notes)


def _show_samples(result: Limits) -> None:
    samples = {
        "signal, mu = 1": result.signal,
        "simulated": result.simulated,
        "generated": result.generated,
    }
    show_table(
        "Samples",
        "sample | source | >events | >inside the edges | >expected there",
        [
            [name, s.source, s.events, f"{100 * s.inside:.1f} %", f"{sum(s.counts):.4g}"]
            for name, s in samples.items()
        ],
    )


def _show_checks(result: Limits) -> None:
    show_table(
        "Checks: a value fails beyond what is allowed + 2 sigma",
        "check | >value | >sigma | >allowed | >fails above | status",
        [
            [
                check.name,
                f"{check.value:+.4f}",
                check.sigma,
                check.allowed,
                check.beyond,
                "FAILED" if check.failed else "ok",
            ]
            for check in result.checks
        ],
    )


def _show_expected(result: Limits) -> None:
    """Show expected CLs and limits, and the limits with parts of the generated events."""
    bands = [
        (f"CLs, mu = {t.strength:g}", t.simulated, t.generated) for t in result.tests
    ]
    bands.append(("limit on mu", result.simulated_limits, result.generated_limits))
    show_table(
        f"Expected with {result.observable}; in brackets data 1 sigma below and above",
        "figure | simulated | generated",
        [[name, _band(first), _band(second)] for name, first, second in bands],
    )
    if result.curve:
        show_table(
            "Expected limit with a part of the generated events",
            ">events | >limit on mu | >sigma | >counted as simulated",
            [[p.events, p.limit, p.sigma, p.as_simulated] for p in result.curve],
        )


def _band(values: tuple[float, ...]) -> str:
    low, middle, high = map(format_number, values[1:4])
    return f"{middle} ({low} to {high})"
