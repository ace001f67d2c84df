"""Limits with a generated background: what a trained model gives, and what a biased one."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
from commands import Columns, Script, first_table, part, show_header, show_row, timed

import flowtuple as ft
from flowtuple.reporting.limits_plots import curve_png, templates_png

BIAS = 1.02  # of the mass of the generator that has to fail
PER_TRAINING = 10  # generated events for each that the model learned from

script = Script(__doc__)


@dataclass(frozen=True)
class Analysis:
    """One search: its events and its binning, chosen before any result was looked at.

    Attributes:
        background: Columns of the background that the model learns.
        signal: The observable of the signal.
        observable: Name of the observable.
        edges: Edges of the bins.
        signal_yield: Expected signal for mu = 1.
        background_yield: Expected background.
    """

    background: Columns
    signal: np.ndarray
    observable: str
    edges: Sequence[float]
    signal_yield: float
    background_yield: float


def higgs(source: str) -> Analysis:
    """Return HIGGS against its background in the mass of both b-jets, in units of 125 GeV or so."""
    names = ft.preset("higgs").names or ()
    data = first_table(source).data
    columns = dict(zip(names, map(np.asarray, data.values()), strict=True))
    label = columns.pop("label") > 0.5
    edges = [0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0, 3.0]
    return Analysis(
        part(columns, ~label), columns["m_bb"][label], "m_bb", edges, 100.0, 500.0
    )


def zee(source: str) -> Analysis:
    """Return real Z -> e e as the background of a made resonance of 100 GeV, 2.5 GeV wide."""
    data = {k: np.asarray(v) for k, v in first_table(source).data.items() if k != "Run"}
    pt, eta, phi = ([data[f"{q}{k}"] for k in (1, 2)] for q in ("pt", "eta", "phi"))
    mass = np.sqrt(
        2 * pt[0] * pt[1] * (np.cosh(eta[0] - eta[1]) - np.cos(phi[0] - phi[1]))
    )
    columns = {"m_ee": mass, "pt1": pt[0], "eta1": eta[0], "pt2": pt[1], "eta2": eta[1]}
    signal = np.random.default_rng(0).normal(100, 2.5, 20000)
    edges = np.arange(60, 121, 2.0)
    return Analysis(columns, signal, "m_ee", edges.tolist(), 100.0, 1000.0)


ANALYSES = {"higgs": higgs, "zee": zee}


@script.command(
    "higgs", "zee", bound="std:2.88e-3", effort="default", seeds=[0], output=Path
)
def done(a: argparse.Namespace) -> None:
    """Print what limits with a generated background come to, with a biased generator as well.

    HIGGS is higgs_train_10k.csv, ZEE is Zee_Run2011A.csv. The background of each is shuffled by the
    seed: a lattice flow learns one half, the other half is the simulated background. Generated are
    ten events for each that was learned. The biased generator is the same with masses times 1.02.
    With --output also pictures, of the first seed.
    """
    results: dict[tuple[str, float], list[ft.Limits]] = {}
    for seed in a.seeds:
        for name, analysis in ANALYSES.items():
            pair = closure_of(name, analysis(getattr(a, name)), a, seed)
            for scale, result in pair.items():
                results.setdefault((name, scale), []).append(result)
    print("\nAll seeds; extremes over them\n")
    names = ("generator", "passes", "CLs, difference / sigma", "spurious signal / sigma")
    show_header("sample", *names, "covered, %", text=2)
    for (name, scale), several in sorted(results.items()):
        show_row(name, f"x {scale:g}", *summary(several))


def summary(results: Sequence[ft.Limits]) -> list[str]:
    """Return the number of seeds that pass, and extremes of the checks."""
    passed = sum(not result.rejected for result in results)
    cls = [t.difference / t.sigma for result in results for t in result.tests]
    spurious = [r.spurious.strength / r.spurious.sigma for r in results]
    covered = [100 * r.coverage.share for r in results]
    ranges = [
        f"{min(values):{form}} to {max(values):{form}}"
        for values, form in ((cls, "+.1f"), (spurious, "+.1f"), (covered, ".1f"))
    ]
    return [f"{passed} of {len(results)}", *ranges]


def closure_of(
    name: str, analysis: Analysis, a: argparse.Namespace, seed: int
) -> dict[float, ft.Limits]:
    """Train, draw, and print the checks of the model and of the biased one; return both."""
    count = len(analysis.background[analysis.observable])
    order = np.random.default_rng(seed).permutation(count)
    train, simulated = order[: count // 2], order[count // 2 :]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "background.flow"
        options = {"tolerance": {"*": a.bound}, "effort": a.effort, "seed": seed}
        events = part(analysis.background, train)
        _, seconds = timed(lambda: ft.train(events, model, **options))
        drawn = ft.sample(model, PER_TRAINING * len(train), seed=seed)
    masses = ak.to_numpy(drawn[analysis.observable])
    print(
        f"\n{name}, seed {seed}: {len(train)} background events learned in {seconds:.0f} s, "
        f"{len(simulated)} simulated, {len(masses)} generated, {len(analysis.signal)} of signal; "
        f"{analysis.background_yield:g} background and {analysis.signal_yield:g} signal events "
        f"expected; {len(analysis.edges) - 1} bins of {analysis.observable}"
    )
    held_out = analysis.background[analysis.observable][simulated]
    results = {}
    for scale in (1.0, BIAS):
        generator = "model" if scale == 1 else f"model, {analysis.observable} x {scale:g}"
        result, took = timed(
            lambda scale=scale: limits_of(
                analysis, held_out, scale * masses, len(train), seed
            )
        )
        results[scale] = result
        show_checks(generator, result, took)
        if a.output is not None and seed == a.seeds[0]:
            save_pictures(a.output, f"limits-{name}{'-biased' * (scale != 1)}", result)
    return results


def limits_of(
    analysis: Analysis,
    simulated: np.ndarray,
    generated: np.ndarray,
    trained_on: int,
    seed: int,
) -> ft.Limits:
    """Return the limits of one generator."""
    options = ft.LimitOptions(analysis.signal_yield, analysis.background_yield)
    name = analysis.observable
    sources = [{name: values} for values in (analysis.signal, simulated, generated)]
    return ft.limits(
        *sources,
        observable=name,
        edges=analysis.edges,
        trained_on=trained_on,
        seed=seed,
        options=options,
    )


def show_checks(generator: str, result: ft.Limits, seconds: float) -> None:
    """Print the table of one generator."""
    print(
        f"\n{generator} ({seconds:.0f} s): {'FAILS' if result.rejected else 'passes'}\n"
    )
    show_header(
        "figure", "simulated", "generated", "difference", "fails above", "", text=1
    )
    checks = list(result.checks)
    for test, check in zip(result.tests, checks, strict=False):
        show_row(
            f"expected CLs, mu = {test.strength:g}",
            f"{test.simulated[2]:.4f}",
            f"{test.generated[2]:.4f}",
            f"{100 * check.value:+.1f} +- {100 * check.sigma:.1f} %",
            f"{100 * check.beyond:.1f} %",
            status(check.failed),
        )
    spurious, coverage = result.spurious, result.coverage
    show_row(
        "spurious signal, mu",
        "",
        "",
        f"{spurious.strength:+.3f} +- {spurious.sigma:.3f}",
        f"{checks[-2].beyond:.3f}",
        status(checks[-2].failed),
    )
    show_row(
        f"mu = 0 covered, {coverage.toys} toys",
        "95 %",
        f"{100 * coverage.share:.1f} +- {100 * coverage.binomial:.1f} %",
        f"{100 * checks[-1].value:+.1f} +- {100 * coverage.sigma:.1f} %",
        f"{100 * checks[-1].beyond:.1f} %",
        status(checks[-1].failed),
    )
    limits = (result.simulated_limits[2], result.generated_limits[2])
    change = f"{100 * (limits[1] / limits[0] - 1):+.1f} %"
    show_row("expected limit on mu", *(f"{x:.3f}" for x in limits), change, "", "")
    d = result.difference
    show_row(f"chi2 of {d.bins} bins", "", "", f"{d.chi2:.1f} (p = {d.p:.2g})", "", "")
    share = spurious.strength / spurious.statistical
    print(
        f"\nspurious signal: {100 * share:+.0f} % of the statistical error of mu, "
        f"{spurious.statistical:.3f}"
    )
    for point in (result.curve[0], result.curve[-1]):
        print(
            f"expected limit with {point.events} generated events: {point.limit:.4f}, "
            f"{point.as_simulated:.4f} if they counted as simulated",
            flush=True,
        )


def status(failed: bool) -> str:
    """Return the mark of a check."""
    return "FAILED" if failed else "ok"


def save_pictures(folder: Path, name: str, result: ft.Limits) -> None:
    """Write the drawings of a result."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(templates_png(result))
    (folder / f"{name}-curve.png").write_bytes(curve_png(result))


if __name__ == "__main__":
    script.main()
