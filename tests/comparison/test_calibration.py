"""Calibration of scores: curves, their choice by events held out, odds that counts allow, storage."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from flowtuple.comparison.calibration.calibrate import LabelledScores, calibrate
from flowtuple.comparison.calibration.curves import (
    Isotonic,
    Logistic,
    curve_from_json,
    fit_by_column,
    fit_isotonic,
    fit_logistic,
)
from flowtuple.comparison.calibration.reliability import (
    fit_line,
    log_losses,
    measure_reliability,
    probability,
)
from flowtuple.comparison.calibration.stored import Calibrations
from flowtuple.comparison.calibration.trees import event_features
from flowtuple.errors import Corrupt, InvalidArgument, TooNew
from flowtuple.io.source import open_dataset

DRAW = np.random.default_rng


def labelled(shares: np.ndarray, odds: np.ndarray, seed: int) -> LabelledScores:
    """Rows whose labels have these true log-odds."""
    n = len(odds)
    signal = DRAW(seed).random(n) < probability(odds)
    return LabelledScores("toy.csv", shares, signal, np.ones(n), np.arange(n))


def bold(seed: int, n: int = 4000) -> tuple[LabelledScores, np.ndarray]:
    """Scores of three columns that are four times too bold, and the true log-odds."""
    odds = DRAW(seed).normal(0, 1.2, n)
    parts = odds[:, None] * np.array([0.5, 0.3, 0.2])
    return labelled(4 * parts, odds, seed + 1), odds


def quality(made, sample: LabelledScores):
    odds = made.log_odds(sample.shares)
    return measure_reliability(odds, sample.signal, sample.weight, sample.event)


def test_odds_that_are_too_bold_become_true() -> None:
    made, cross_fitted = calibrate(bold(1)[0], ("a", "b", "c"))
    judge, odds = bold(7, 20_000)
    raw = judge.shares.sum(axis=1)
    before = measure_reliability(raw, judge.signal, judge.weight, judge.event)
    after = quality(made, judge)
    assert 0.2 < before.slope < 0.3
    assert 0.9 < after.slope < 1.1
    assert abs(after.intercept) < 0.1
    best = log_losses(odds, judge.signal).mean()
    assert before.log_loss > best + 0.2
    assert after.log_loss < best + 0.01
    assert abs(cross_fitted.log_loss - after.log_loss) < 0.03
    assert 0.9 < cross_fitted.slope < 1.1


def test_a_saturated_score_is_calibrated_by_a_monotone_curve() -> None:
    score = DRAW(2).normal(0, 10, 6000)
    sample = labelled(score[:, None], 2.0 * np.tanh(score), 3)
    made, _ = calibrate(sample, ("surprise",))
    assert made.method == "isotonic"
    grid = np.linspace(-30, 30, 200)[:, None]
    assert (np.diff(made.log_odds(grid)) >= 0).all()
    assert np.abs(made.log_odds(grid)).max() < 4
    assert made.losses["isotonic"] < made.losses["logistic"]


def test_a_score_that_is_small_for_signal_is_calibrated_too() -> None:
    score = DRAW(2).normal(0, 1, 6000)
    sample = labelled(score[:, None], -2.0 * score, 3)
    for fit in (fit_logistic, fit_isotonic):
        curve = fit(score, sample.signal, sample.weight)
        odds = curve.log_odds(np.array([-1.0, 0.0, 1.0]))
        assert odds == pytest.approx([2, 0, -2], abs=0.4)


def test_one_value_in_a_rare_cell_does_not_decide() -> None:
    sample, odds = bold(4)
    shares = sample.shares.copy()
    rows = DRAW(5).choice(len(shares), 200, replace=False)
    shares[rows, DRAW(7).integers(0, 3, 200)] += DRAW(6).choice([-60.0, 60.0], 200)
    parts = sample.signal, sample.weight, sample.event
    made, _ = calibrate(LabelledScores("toy.csv", shares, *parts), ("a", "b", "c"))
    assert made.limit <= 4
    assert made.losses[made.method] == min(made.losses.values())
    assert made.losses[made.method] < made.losses["logistic"] - 0.02
    best = log_losses(odds, sample.signal).mean()
    assert made.losses[made.method] < best + 0.05


def test_no_odds_exceed_those_that_counts_allow() -> None:
    score = np.concatenate([np.linspace(-2, -1, 60), np.linspace(1, 2, 80)])
    signal, weight = score > 0, np.ones(140)
    isotonic = fit_isotonic(score, signal, weight)
    assert isotonic.log_odds(np.array([-9.0, 9.0])) == pytest.approx(
        [-math.log(61), math.log(81)]  # Laplace: 1 of 62, and 81 of 82
    )
    logistic = fit_logistic(score, signal, weight)
    assert np.abs(logistic.log_odds(np.array([-1e6, 1e6]))).tolist() == pytest.approx(
        [math.log(141)] * 2
    )
    assert math.isfinite(logistic.slope)


def test_a_weight_counts_like_rows() -> None:
    sample, _ = bold(8, 400)
    score, times = sample.shares.sum(axis=1), DRAW(9).integers(0, 4, 400)
    weighted = fit_isotonic(score, sample.signal, times.astype(float))
    repeated = fit_isotonic(np.repeat(score, times), np.repeat(sample.signal, times),
                            np.ones(times.sum()))  # fmt: skip
    grid = np.linspace(*np.quantile(score, [0.3, 0.7]), 50)
    assert weighted.log_odds(grid) == pytest.approx(repeated.log_odds(grid))
    line = fit_line(score, sample.signal * 1.0, times * 2.5)
    assert line == pytest.approx(
        fit_line(np.repeat(score, times), np.repeat(sample.signal, times) * 1.0,
                 np.ones(times.sum())), rel=1e-4
    )  # fmt: skip


def test_pools_are_those_of_the_definition() -> None:
    score, signal = np.arange(40.0), DRAW(3).random(40) < np.linspace(0.2, 0.8, 40)
    signal[0], signal[1], signal[-1], signal[-2] = True, False, False, True
    y = signal.astype(float)
    slow = [
        max(min(y[j : k + 1].mean() for k in range(i, 40)) for j in range(i + 1))
        for i in range(40)
    ]  # the largest of least means over intervals around a row
    curve = fit_isotonic(score, signal, np.ones(40))
    shares = sorted({round(float(p), 9) for p in probability(np.array(curve.values))})
    assert shares == pytest.approx(sorted({round(float(p), 9) for p in slow}))


def test_a_line_is_that_of_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sample, _ = bold(11, 1000)
    score, weight = sample.shares.sum(axis=1) + 3, DRAW(1).random(1000)
    theirs = linear.LogisticRegression(C=1e9, tol=1e-10).fit(
        score[:, None], sample.signal, weight
    )
    slope, intercept = fit_line(score, sample.signal * 1.0, weight)
    assert slope == pytest.approx(theirs.coef_[0, 0], rel=1e-3)
    assert intercept == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_bins_hold_like_weights_and_their_shares() -> None:
    judge, odds = bold(7, 10_000)
    bins = measure_reliability(odds, judge.signal, judge.weight, judge.event).bins
    assert [b.rows for b in bins] == pytest.approx([1000] * 10, abs=1)
    pulls = [(b.share - b.probability) / b.error for b in bins]
    assert np.square(pulls).mean() < 3
    assert max(map(abs, pulls)) < 4


@pytest.mark.parametrize(("signal", "others"), [(49, 500), (500, 0), (500, 49)])
def test_too_few_events_are_refused(signal: int, others: int) -> None:
    n = signal + others
    label = np.arange(n) < signal
    sample = LabelledScores(
        "few.csv", DRAW(1).random((n, 2)), label, np.ones(n), np.arange(n)
    )
    words = (
        f"few.csv: has {signal} events of signal and {others} others .* needs 50 of each"
    )
    with pytest.raises(InvalidArgument, match=words):
        calibrate(sample, ("a", "b"))


def test_objects_of_one_event_are_one() -> None:
    sample, _ = bold(1, 200)
    parts = sample.shares, sample.signal, sample.weight
    with pytest.raises(InvalidArgument, match="has 1 events of signal and 1 others"):
        calibrate(LabelledScores("x", *parts, np.zeros(200, np.int64)), ("a", "b", "c"))


def stored() -> tuple[Calibrations, np.ndarray]:
    sample, _ = bold(1, 600)
    made, _ = calibrate(sample, ("a", "b", "c"))
    flat = LabelledScores(
        "x", sample.shares[:, :1], sample.signal, sample.weight, sample.event
    )
    pairs = {
        ("events", "ab12:events"): made,
        ("events", ""): calibrate(flat, ("surprise",))[0],
    }
    return Calibrations("cd34", pairs), sample.shares


def test_what_is_stored_gives_the_same_odds() -> None:
    before, shares = stored()
    after = Calibrations.from_text(before.to_text(), "x.json")
    assert after == before
    for pair, made in before.by_pair.items():
        some = shares[:, : len(made.columns)]
        assert (after.by_pair[pair].log_odds(some) == made.log_odds(some)).all()


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"slope": 0', '"slope": 1', Corrupt, "its checksum is wrong"),
        ('"version": 1', '"version": 2', TooNew, "has version 2 of calibrations"),
        ("flowtuple calibration", "diary", Corrupt, "it is a 'diary'"),
        ('"format"', '"form"', Corrupt, "'format' is missing"),
        ('"format"', '"format', Corrupt, "no JSON"),
    ],
)
def test_damage_is_refused(old: str, new: str, error: type, message: str) -> None:
    text = stored()[0].to_text()
    assert old in text
    with pytest.raises(error, match=rf"^m\.json: .*{message}"):
        Calibrations.from_text(text.replace(old, new, 1), "m.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "logistic", "slope": math.nan, "intercept": 0, "reach": 3}, "finite"),
        ({"kind": "isotonic", "scores": [0, 1, 2], "values": [0, 2, 1]}, "in order"),
        ({"kind": "isotonic", "scores": [1, 0], "values": [0, 1]}, "in order"),
        ({"kind": "isotonic", "scores": [0], "values": [0, 1]}, "pairs"),
        ({"kind": "spline"}, "unknown kind 'spline'"),
    ],
)
def test_curves_that_cannot_be_are_refused(data: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve_from_json(data)


def test_rows_without_a_score_have_no_odds() -> None:
    for curve in (Logistic(1.0, 0.0, 5.0), Isotonic((0.0, 1.0), (-1.0, 1.0))):
        assert np.isnan(curve.log_odds(np.array([np.nan, 0.0]))).tolist() == [True, False]
        assert curve_from_json(json.loads(json.dumps(curve.to_json()))) == curve


def test_a_classifier_reads_all_objects_of_events() -> None:
    table = open_dataset(
        {
            "event": [1, 2, 3],
            "label": [0, 1, 0],
            "Jet_pt": [[30.0, 20.0, 10.0, 5.0], [], [7.0]],
        }
    ).only_table()
    events = table.read([c.name for c in table.columns], 0, 3)
    names, values = event_features(events, ("label",))
    features = dict(zip(names, values.T.tolist(), strict=True))
    assert "event" not in features
    assert "label" not in features
    assert features["sum(Jet_pt)"] == [65.0, 0.0, 7.0]
    assert features["Jet_pt[2]"][0] == 10.0
    assert np.isnan(features["max(Jet_pt)"][1])
    with pytest.raises(InvalidArgument, match="no column of numbers for a classifier"):
        event_features(events.read(["event", "label"], 0, 3), ("label",))


def test_columns_of_noise_count_less() -> None:
    sample, odds = bold(1)
    noise = DRAW(2).normal(0, 2, (len(odds), 12))
    shares = np.concatenate([sample.shares[:, :1], noise], axis=1)
    names = tuple(f"c{k}" for k in range(13))
    parts = sample.signal, sample.weight, sample.event
    made, _ = calibrate(LabelledScores("x", shares, *parts), names)
    assert made.method.startswith("logistic by column")
    assert np.abs(made.weights[1:]).max() < 0.4 * made.weights[0]
    assert made.losses["logistic by column"] < made.losses["logistic"] - 0.02
    again = Calibrations.from_text(Calibrations("m", {("a", ""): made}).to_text(), "x")
    assert again.by_pair["a", ""] == made


def test_a_few_events_leave_columns_their_common_slope() -> None:
    sample, _ = bold(1, 130)
    slopes, curve = fit_by_column(sample.shares, sample.signal, sample.weight)
    common = fit_logistic(sample.shares.sum(axis=1), sample.signal, sample.weight)
    assert slopes == pytest.approx([common.slope] * 3, rel=0.2)
    assert curve.reach == common.reach
