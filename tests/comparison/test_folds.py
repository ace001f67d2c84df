"""Uncertainties of histograms of events that were simulated several times."""

import numpy as np
import pytest

from flowtuple.comparison.folds import fold_histogram
from flowtuple.errors import InvalidArgument

EDGES = np.array([-1.0, 0.0, 1.0])
TOYS, EVENTS, FOLDS = 2000, 120, 4


def test_identical_folds_give_the_error_of_one() -> None:
    draw = np.random.default_rng(0)
    values, weights, event = (
        draw.normal(0, 1, 500),
        draw.uniform(0.5, 2, 500),
        np.arange(500),
    )
    once = fold_histogram(values, EDGES, event, weights)
    five = fold_histogram(
        np.tile(values, 5), EDGES, np.tile(event, 5), np.tile(weights, 5) / 5
    )
    for name in ("counts", "variances", "shares", "share_variances"):
        assert np.allclose(getattr(once, name), getattr(five, name)), name


def test_independent_entries_have_the_usual_error() -> None:
    draw = np.random.default_rng(1)
    values, weights = draw.normal(0, 1, 500), draw.uniform(0.5, 2, 500)
    histogram = fold_histogram(values, EDGES, np.arange(500), weights)
    for k in range(2):
        inside = (values >= EDGES[k]) & (values < EDGES[k + 1])
        assert np.isclose(histogram.counts[k], weights[inside].sum())
        assert np.isclose(histogram.variances[k], (weights[inside] ** 2).sum())
        share = histogram.counts[k] / weights.sum()
        assert np.isclose(
            histogram.share_variances[k],
            (weights**2 * (inside - share) ** 2).sum() / weights.sum() ** 2,
        )


@pytest.mark.slow
def test_intervals_cover_what_they_say() -> None:
    """Gaussian 68 % intervals cover the share of a bin, where folds share their event's centre."""
    truth = draws(np.random.default_rng(99), 400_000)[0]
    share = np.mean((truth > EDGES[0]) & (truth < EDGES[1]))
    covered = naive = 0
    for toy in range(TOYS):
        values, event, weights = draws(np.random.default_rng(toy), EVENTS)
        histogram = fold_histogram(values, EDGES, event, weights)
        covered += abs(histogram.shares[0] - share) < np.sqrt(
            histogram.share_variances[0]
        )
        alone = fold_histogram(values, EDGES, np.arange(len(values)), weights)
        naive += abs(alone.shares[0] - share) < np.sqrt(alone.share_variances[0])
    assert abs(covered / TOYS - 0.68) < 0.03
    assert naive / TOYS < 0.6  # as if the folds were events of their own


def draws(
    draw: np.random.Generator, events: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centre, weight = draw.normal(0, 1, events), draw.uniform(0.5, 1.5, events)
    values = np.repeat(centre, FOLDS) + draw.normal(0, 0.5, events * FOLDS)
    return values, np.repeat(np.arange(events), FOLDS), np.repeat(weight, FOLDS) / FOLDS


def test_entries_outside_count_in_the_whole() -> None:
    histogram = fold_histogram(np.array([-5.0, 0.5, 1.0, 7.0]), EDGES, np.arange(4))
    assert histogram.counts.tolist() == [0.0, 2.0]
    assert histogram.shares.tolist() == [0.0, 0.5]
    assert fold_histogram(np.empty(0), EDGES, np.empty(0, int)).counts.tolist() == [
        0.0,
        0.0,
    ]


def test_bad_histograms_say_so() -> None:
    with pytest.raises(InvalidArgument, match="2 values, 1 events and 2 weights"):
        fold_histogram(np.zeros(2), EDGES, np.zeros(1))
    with pytest.raises(InvalidArgument, match="increasing"):
        fold_histogram(np.zeros(2), EDGES[::-1], np.zeros(2))
