"""Scores of anomalies: the autoencoder's reconstruction error, and how much an area under the ROC
curve changes.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.options import Autoencoder
from flowtuple.comparison.two_sample.auc import area_under_roc, gained_area
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.flows.options import Training


def correlated(n: int, seed: int, slope: float = 1.0) -> Rows:
    """Two columns that are one, up to little noise."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=n)
    values = np.float32(
        np.stack([x, slope * x + draw.normal(0, 0.05, n)], axis=1)
    ).astype("f8")
    return Rows("x", ("a", "b"), values, np.arange(n), n, dtypes=("float32", "float32"))


@pytest.fixture(scope="module")
def network() -> AutoencoderCodec:
    training = Training(epochs=30, batch=128, learning_rate=1e-2, patience=0)
    asked = Autoencoder(
        1, network="tanh", normalisation="standard", hidden=(16,), training=training
    )
    return AutoencoderCodec.fit(correlated(2000, 0), asked, 0, lambda share, loss: None)[
        0
    ]


@pytest.mark.slow
def test_rows_unlike_those_learned_have_a_larger_error(network: AutoencoderCodec) -> None:
    normal, other = correlated(500, 1), correlated(500, 2, slope=-1.0)
    scores = network.reconstruction_error(np.concatenate([normal.values, other.values]))
    assert (scores.shape, scores.dtype) == ((1000,), np.float64)
    assert area_under_roc(scores, np.arange(1000) >= 500).low > 0.8
    assert network.reconstruction_error(normal.values).mean() == pytest.approx(
        scores[:500].mean(), rel=1e-6
    )


@pytest.mark.slow
def test_what_was_read_from_a_file_has_no_encoder(network: AutoencoderCodec) -> None:
    read = AutoencoderCodec.restore(network.settings(), network.weights(), "x.ref")
    with pytest.raises(Unsupported, match="read from a file has no encoder; fit one"):
        read.reconstruction_error(np.zeros((1, 2)))


def sample(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two scores of the same rows, nearly the same, the second a little better."""
    draw = np.random.default_rng(seed)
    wanted = np.arange(n) % 3 == 0
    before = draw.normal(size=n) + 0.8 * wanted
    return before, before + 0.2 * wanted + draw.normal(0, 0.1, n), wanted


def test_a_gained_area_is_the_difference_of_the_areas() -> None:
    before, after, wanted = sample(0)
    gained = gained_area(before, after, wanted)
    areas = [area_under_roc(score, wanted) for score in (before, after)]
    assert gained.value == pytest.approx(areas[1].value - areas[0].value, abs=1e-12)
    # the same rows: most of what is by chance cancels
    assert gained.high - gained.low < (areas[0].high - areas[0].low) / 2
    same = gained_area(before, 2 * before, wanted)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth = np.mean(
        [gained_area(*sample(seed, 6000)).value for seed in range(1000, 1020)]
    )
    held = [
        found.low <= truth <= found.high
        for found in (gained_area(*sample(seed)) for seed in range(300))
    ]
    assert 0.91 <= np.mean(held) <= 0.98


def test_rows_of_one_event_count_as_one() -> None:
    before, after, wanted = sample(0)
    twice = [np.repeat(x, 2) for x in (before, after, wanted)]
    alone, together = (
        gained_area(before, after, wanted),
        gained_area(*twice, np.repeat(np.arange(600), 2)),
    )
    assert (together.high - together.low) == pytest.approx(
        alone.high - alone.low, rel=1e-9
    )
    with pytest.raises(InvalidArgument, match="needs rows of both kinds"):
        gained_area(before, after, np.ones(600, bool))
