"""Commands that compare samples: compare, closure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from flowtuple import api
from flowtuple.batch.histograms import Difference, compare_histograms
from flowtuple.batch.tasks import plan
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, argument, command, option
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.many import Dask, on_dask
from flowtuple.cli.options import (
    INPUT,
    RESOURCES,
    Columns,
    Json,
    Match,
    Names,
    Seed,
    Weight,
    split,
)
from flowtuple.cli.terminal import show_table, shown
from flowtuple.comparison.closure.result import Closure, ObjectClosure, Verdict
from flowtuple.comparison.two_sample.result import Comparison, Outcome
from flowtuple.data.expressions import Cut
from flowtuple.reporting.page import format_number

_TESTS, _CUTS = "Tests", "Cuts"
_NAMED = 12  # columns that are shown
Result = TypeVar("Result", Comparison, Closure)

Reference = Annotated[str, argument("REFERENCE[:TREE]", "One sample.")]
Other = Annotated[str, argument("OTHER[:TREE]", "Another with the same columns.")]
Folder = Annotated[
    Path | None, option("--output -o DIR", "Folder for compare.json and compare.html.")
]
Cuts = Annotated[
    list[str],
    option(
        "--cut EXPR",
        "Shares that pass, such as 'Jet_pt > 30 and abs(Jet_eta) < 2'.",
        (),
        _CUTS,
    ),
]


_DASK = option(
    "--dask ADDRESS|local[:N]|serial",
    "Globs of many files: histograms; p is approximate.",
    None,
    RESOURCES,
)


def _options(
    *,
    derived: str | None = option(
        "--derived COLLECTION",
        "Compare H_T, m_jj, ... of its objects instead.",
        None,
        INPUT,
    ),
    names: Names,
    unit: str | None = option(
        "--unit events|rows",
        "What is compared: whole events, or objects; default: events where there are any.",
        None,
        INPUT,
    ),
    features: list[str] = option(
        "--feature NAME=EXPR",
        "One more number, such as 'Jet_share=Jet_mass / Jet_pt'.",
        (),
        INPUT,
    ),
    level: float = option(
        "--level", "Of the verdict, over all tests together.", 0.01, _TESTS
    ),
    permutations: int | None = option(
        "--permutations",
        "Default: as many as the number of tests needs.",
        None,
        _TESTS,
        min=1,
    ),
    ratio: bool = option(
        "--ratio", "Learn the density ratio; say where it fails.", False, _TESTS
    ),
    cuts: Cuts,
    paired: bool = option(
        "--paired", "Same rows in both: count what a cut gains and loses.", False, _CUTS
    ),
) -> api.ComparisonOptions:
    return api.ComparisonOptions(
        names, level, permutations, derived, cuts, paired, ratio, unit, features
    )


@command(app)
def compare(
    *,
    reference: Reference,
    other: Other,
    output: Folder,
    columns: Columns,
    weight: Weight,
    tests: str = option(
        "--tests A,B,...",
        "Such as ks,kl,alpha:0.5 (an alpha-divergence). Default: all but alpha.",
        "",
        _TESTS,
    ),
    options: Annotated[api.ComparisonOptions, From(_options)],
    train: str | None = option(
        "--train FILE",
        "Look for copies of these rows; the model has not seen REFERENCE.",
        None,
        _TESTS,
    ),
    seed: Seed,
    fail: bool = option(
        "--fail", "Exit code 1 if the samples differ or rows are copied.", False
    ),
    dask: Annotated[Dask | None, From(on_dask, {"context": None, "dask": _DASK})],
    as_json: Json,
) -> None:
    """Test whether two samples are of one distribution.

    P-values come from permuting events; there is one verdict.

    With --dask two samples of many files by what adds up: compare 'real/*.root' 'made/*.root'
    --dask local:4

    Example: flowtuple compare test.root generated.root -o compare --columns 'Jet_*' --train
    train.root
    """
    if dask is not None:
        without = (
            "output",
            "weight",
            "derived",
            "names",
            "unit",
            "features",
            "tests",
            "permutations",
            "train",
        )
        dask.refuse(*without, "ratio", "cuts", "paired", "seed")
        least = _compare_files(dask, reference, other, tuple(columns), as_json)
        if fail and least < options.level:
            raise typer.Exit(1)
        return
    with shown() as resources:
        result = api.compare(
            reference,
            other,
            output,
            columns=columns,
            weight=weight,
            tests=split(tests),
            train=train,
            seed=seed,
            options=options,
            resources=resources,
        )
    _finish(result, _show_comparison, output, as_json, fail)


def _compare_files(
    dask: Dask, reference: str, other: str, columns: tuple[str, ...], as_json: bool
) -> float:
    """Show the differences of two samples of many files; return the smallest adjusted p-value."""
    first, second = (plan([files], Path(), "") for files in (reference, other))
    with shown() as resources:
        differences = compare_histograms(
            first, second, columns, dask.cluster, resources.progress
        )
    if as_json:
        print_json(differences)
    else:
        _show_differences(differences)
    return min((d.p_value for d in differences), default=1.0) * len(differences)


@command(app)
def closure(
    *,
    reference: Reference,
    other: Other,
    given: list[str] = option(
        "--given GLOB", "Generated columns, such as 'GenJet_*'.", ...
    ),
    output: Folder,
    real: str | None = option(
        "--real FILE", "More real events; default: the halves of REFERENCE."
    ),
    match: Match,
    against: list[str] = option(
        "--against COL", "Event columns to draw figures against, as pile-up.", ()
    ),
    weight: Weight,
    names: Names,
    cuts: Cuts,
    seed: Seed,
    fail: bool = option("--fail", "Exit code 1 if closure fails.", False),
    as_json: Json,
) -> None:
    """Compare real and simulated objects, given generated ones: efficiency, fakes, response.

    Example: flowtuple closure true.root simulated.root --given 'GenJet_*' -o closure
    """
    with shown() as resources:
        result = api.closure(
            reference,
            other,
            output,
            given=given,
            real=real,
            weight=weight,
            seed=seed,
            options=api.ClosureOptions(match, against, cuts, names),
            resources=resources,
        )
    _finish(result, _show_closure, output, as_json, fail)


def _finish(
    result: Result,
    show: Callable[[Result], None],
    folder: Path | None,
    as_json: bool,
    fail: bool,
) -> None:
    """Show a result and its page; exit code 1 if it has to fail."""
    if as_json:
        print_json(result)
    else:
        show(result)
        write(*([] if folder is None else [folder / "compare.html"]))
    if fail and result.rejected:
        raise typer.Exit(1)


def _show_comparison(content: Comparison) -> None:
    """Show the verdict, what betrays the other sample, tests of all columns, and notes."""
    write(content.verdict)
    made = [o for o in content.outcomes if o.p is not None]
    joint = [o for o in made if not o.column]
    named = content.betrayals or sorted(made, key=lambda o: o.adjusted or 0)
    words = "what betrays it" if content.betrayals else "least of the others"
    columns = [o for o in named if o.column][:_NAMED]
    show_table(
        f"{content.other.source} against {content.reference.source}: "
        f"{content.other.rows} and {content.reference.rows} {content.unit}",
        f"test | column: {words} | >statistic | >95 % | >deviations | >p | >adjusted",
        [_outcome_row(o) for o in (*columns, *joint)],
    )
    regions = [o.details for o in named if o.test == "local" and content.betrayals]
    if regions:
        show_table(
            "Regions",
            "where | compared | >observed | >expected | >sigma",
            [
                [
                    r["region"],
                    r["compared"],
                    *(format_number(r[key], 4) for key in ("observed", "expected")),
                    f"{r['standard_deviations']:.1f}",
                ]
                for r in regions[:_NAMED]
            ],
        )
    for sample in (content.reference, content.other):
        if sample.dropped:
            warn(
                f"{sample.source}: {sample.dropped} rows with NaN or infinite values dropped"
            )
    if content.constant:
        warn(f"one value throughout, not tested: {', '.join(content.constant)}")
    warn(*(f"{o.test}: {o.note}" for o in content.outcomes if o.note), *content.notes)
    if content.copies is not None:
        c = content.copies
        write(
            f"{c.share:.3f} of {c.rows} rows lie nearest to a training row, "
            f"{c.expected:.3f} expected: p = {c.p:.3g} "
            f"(binomial {c.binomial_p:.3g}); {c.identical} equal one"
        )
    write(*map(_cut_in_words, content.cuts))
    if content.ratio is not None:
        r = content.ratio
        lost = ", ".join(f"{name} ({loss:.3f})" for name, loss in r.columns[:5])
        write(
            f"density ratio: AUC {r.auc} in {r.folds} folds, accuracy {r.accuracy:.4f}",
            f"given away by {lost} (loss of AUC without)",
        )


def _outcome_row(outcome: Outcome) -> list[object]:
    interval = outcome.details.get("interval_95")
    return [
        f"{outcome.test} *" if outcome.rejected else outcome.test,
        outcome.column,
        format_number(outcome.statistic, 4),
        "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        "" if outcome.deviations is None else f"{outcome.deviations:.1f}",
        outcome.p,
        outcome.adjusted,
    ]


def _cut_in_words(cut: Cut) -> str:
    shares = ((cut.reference, cut.reference_error), (cut.other, cut.other_error))
    passed = ", ".join(f"{share:.5f} +- {error:.5f}" for share, error in shares)
    rows = "" if cut.gained is None else f"; {cut.gained} rows gained, {cut.lost} lost"
    numbers = {"efficiency": cut.efficiency, "purity": cut.purity}
    purity = "".join(
        f", {name} {value:.5f}" for name, value in numbers.items() if value is not None
    )
    return f"{cut.expression}: passed by {passed} (reference, other){rows}{purity}"


def _show_differences(differences: list[Difference]) -> None:
    """Show a line for each column of two samples, the most different first."""
    show_table(
        "Histograms",
        "column | >mean | >other | >std | >other | >W1/std | >chi2/ndf | >p",
        [
            [
                d.column,
                *(m.mean for m in d.moments),
                *(m.std for m in d.moments),
                d.wasserstein,
                f"{d.chi2:.1f}/{d.ndf}",
                d.p_value,
            ]
            for d in sorted(differences, key=lambda d: d.p_value)
        ],
    )


def _show_closure(content: Closure) -> None:
    """Show the failures of each collection, those of real events, and the verdict."""
    for objects in content.objects:
        _show_objects(objects)
    left_out = sum(
        v.left_out for objects in content.objects for v in objects.other.verdicts
    )
    if left_out:
        write(f"{left_out} bins with too few rows are left out")
    warn(*content.notes)
    write(f"real: {content.real}", content.verdict)


def _show_objects(objects: ObjectClosure) -> None:
    real = {(v.quantity, v.grid): v for v in objects.real.verdicts}
    show_table(
        f"{objects.objects} by {objects.through}: beyond tolerance + 2 sigma",
        "figure | against | >bins beyond | >worst - 2 sigma, % | >real beyond | >real, %",
        [
            [v.quantity, v.grid, *_beyond(v), *_beyond(real.get((v.quantity, v.grid)))]
            for v in objects.other.verdicts
        ],
    )
    other_area, real_area = (a.area or "not tried" for a in (objects.other, objects.real))
    worst = [f"{name} {excess:.3f}" for name, excess in objects.excess.items()]
    write(
        f"AUC of {objects.objects} with {objects.partners}: {other_area}; real {real_area}",
        f"largest Wasserstein-1 in std beyond real: {', '.join(worst[:3])}",
    )
    derived = [f"{d.column} {d.w1:.3f} (KS {d.ks:.3f})" for d in objects.other.derived]
    if derived:
        write(f"Wasserstein-1 in std of events: {', '.join(derived)}")
    write(*map(_cut_in_words, objects.other.cuts))


def _beyond(verdict: Verdict | None) -> tuple[str, str]:
    """Return the failing bins, and the largest difference less 2 sigma in per cent."""
    if verdict is None or not verdict.bins:
        return "", ""
    mark = " *" if verdict.beyond else ""
    return f"{verdict.beyond} of {verdict.bins}{mark}", f"{100 * verdict.worst:.2f}"
