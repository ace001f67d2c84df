"""The command that scores events under models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from flowtuple import api, batch
from flowtuple.api.generating import delivered
from flowtuple.api.score_reports import ScoreReport, report_scores
from flowtuple.api.scoring import Learning, ScoredEvents, score_events
from flowtuple.cli.app import app
from flowtuple.cli.declaring import From, command, option
from flowtuple.cli.density import Model
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.many import Dask, OnDask
from flowtuple.cli.options import Inputs, Json, Weight
from flowtuple.cli.terminal import show_facts, show_table
from flowtuple.comparison.calibration.reliability import Reliability
from flowtuple.errors import InvalidArgument

_LABELS = "Labelled events"


def _learning(
    *,
    label: str | None = option(
        "--label COL",
        "Column whose larger values are signal: how well do the scores separate it.",
        None,
        _LABELS,
    ),
    weight: Weight,
    calibrate: list[str] = option(
        "--calibrate LABELLED",
        "Calibrate on these events, which no model has learned; stored with the model.",
        (),
        _LABELS,
    ),
    calibration: Path | None = option(
        "--calibration JSON",
        "File of the calibration; default: M.flow.calibration.json.",
        None,
        _LABELS,
    ),
    classifier: list[str] = option(
        "--classifier LABELLED",
        "Train boosted trees on these events: another ratio to compare with.",
        (),
        _LABELS,
    ),
) -> Learning:
    return Learning(label, weight, calibrate or None, calibration, classifier or None)


@command(app)
def score(
    *,
    model: Model,
    source: Inputs,
    output: Path | None = option(
        "--output -o OUT", "OUT.root, .parquet, .h5, .npz or .csv[.gz]."
    ),
    against: str | None = option("--against OTHER.flow", "Add the likelihood ratio."),
    by_column: bool = option("--by-column", "Add the bits of each column.", False),
    learning: Annotated[Learning, From(_learning)],
    roc: Path | None = option(
        "--roc PNG", "With --label: the ROC curves.", None, _LABELS
    ),
    report: Path | None = option(
        "--report DIR",
        "Folder for score.html, with the reliability plot, and score.json.",
        None,
        _LABELS,
    ),
    dask: OnDask,
    as_json: Json,
) -> None:
    """Write the likelihood of each event under a model: log-density, bits, surprise.

    The surprise is -log p shifted and scaled. With --label the scores are measured as a classifier.

    With --calibrate they become probabilities, then and in later calls.

    Example: flowtuple score background.flow data.root -o scores.parquet --against signal.flow
    """
    if dask is not None:
        _on_dask(dask, model, source, output, against, by_column, learning, as_json)
        return
    _check(output, learning, roc, report)
    scored = score_events(model, source, learning, against=against, by_column=by_column)
    violations = {k: n for k, n in api.load(model).violations(source).items() if n}
    shown = report_scores(scored, model, report, roc)
    if output is not None:
        _write(scored, output)
    if as_json:
        print_json({"output": output, **shown.to_json(), "violations": violations})
        return
    if output is not None:
        write(output)
    _show(shown)
    _show_violations(violations)


def _on_dask(
    dask: Dask,
    model: str,
    source: list[str],
    output: Path | None,
    against: str | None,
    by_column: bool,
    learning: Learning,
    as_json: bool,
) -> None:
    """Score each file by itself, with the stored calibration if there is one."""
    dask.refuse("roc", "report", "calibrate", "classifier", "weight")
    if output is None:
        raise InvalidArgument("--dask: say where the scores go with --output")
    stored = learning.calibration
    calibration = None if stored is None else str(stored)
    job = batch.jobs.Score(model, against, by_column, learning.label, calibration)
    dask.each(job, source, output, ".parquet", as_json)


def _check(
    output: Path | None, learning: Learning, roc: Path | None, report: Path | None
) -> None:
    """Raise for options that lack another, before long work."""
    if output is None and learning.label is None:
        raise InvalidArgument(
            "say where the scores go with --output, or what is signal with --label"
        )
    for name, path in {"--roc": roc, "--report": report}.items():
        if path is not None and learning.label is None:
            raise InvalidArgument(f"{name} needs --label, which says what is signal")


def _write(scored: ScoredEvents, output: Path) -> None:
    """Write scores, labelled ones as the records of `flowtuple.score`."""
    events = delivered(scored.dataset, None if scored.has_label else output)
    if events is not None:
        api.write(events, output)


def _show(report: ScoreReport) -> None:
    """Show figures of the scores in the terminal."""
    if report.areas:
        title = "area under the ROC curve (95 % interval)"
        show_facts({"score": title, **report.areas})
    if report.figures:
        _show_reliability("Probabilities of these events", report.figures)
    if report.cross_fitted:
        _show_reliability(
            "Probabilities of the labelled events, each by a fit that has not seen it",
            report.cross_fitted,
        )
    write(*report.notes)


def _show_reliability(title: str, figures: Mapping[str, Reliability]) -> None:
    rows: list[tuple[Any, ...]] = [
        (name, f.rows, f"{f.log_loss:.4f} +- {f.error:.4f}", f.slope, str(f.auc))
        for name, f in figures.items()
    ]
    show_table(title, "Score | >Rows | >Log-loss | >Slope | >AUC (95 %)", rows)


def _show_violations(violations: Mapping[str, int]) -> None:
    """Show the rules of a model that scored events violate."""
    warn(
        *(
            f"held for all training events, not for {n} of these: {rule}"
            for rule, n in violations.items()
        )
    )
