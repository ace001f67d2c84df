"""Weights that no sample can have, refused alike by each function that takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flowtuple as ft

EVENTS = 60


def events(weights: Any) -> dict[str, Any]:
    """Return events with a generated and a reconstructed object each."""
    draw = np.random.default_rng(1)
    columns = (
        "GenJet_pt",
        "GenJet_eta",
        "GenJet_phi",
        "Jet_pt",
        "Jet_eta",
        "Jet_phi",
        "Jet_mass",
    )
    objects = {name: draw.uniform(1, 2, (EVENTS, 1)).tolist() for name in columns}
    return {**objects, "Jet_genJetIdx": [[0]] * EVENTS, "w": weights}


def train(sample: Any, folder: Path) -> object:
    return ft.train(ft.Weighted(sample, weight="w"), folder / "m.flow", effort="fast")


def train_flow(sample: Any, folder: Path) -> object:
    selection = ft.Selection(columns=("Jet_pt",))
    weighted = ft.Weighted(sample, weight="w")
    return ft.train_flow(weighted, folder / "m.flow", selection=selection)


def compare(sample: Any, folder: Path) -> object:
    return ft.compare(events(np.ones(EVENTS)), sample, columns=["Jet_pt"], weight="w")


def derived(sample: Any, folder: Path) -> object:
    options = ft.ComparisonOptions(derived="Jet")
    return ft.compare(events(np.ones(EVENTS)), sample, weight="w", options=options)


def closure(sample: Any, folder: Path) -> object:
    return ft.closure(events(np.ones(EVENTS)), sample, given=["GenJet_*"], weight="w")


Each = pytest.mark.parametrize("use", [train, train_flow, compare, derived, closure])


@Each
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_undefined_weights_are_refused(
    use: Callable[[Any, Path], object], value: float, tmp_path: Path
) -> None:
    weights = np.ones(EVENTS)
    weights[[7, 31]] = value
    message = (
        "column 'w': 2 weights are NaN or infinite, the first in event 7; leave such"
    )
    with pytest.raises(ft.InvalidArgument, match=f"^dict in memory: {message}"):
        use(events(weights), tmp_path)


@Each
@pytest.mark.parametrize("weights", [[None] + [1.0] * (EVENTS - 1), ["1"] * EVENTS])
def test_columns_that_cannot_be_weights_are_named(
    use: Callable[[Any, Path], object], weights: list[Any], tmp_path: Path
) -> None:
    message = "column 'w' cannot be weights: values are missing or no numbers; leave such"
    with pytest.raises(ft.InvalidArgument, match=f"^dict in memory: {message}"):
        use(events(weights), tmp_path)


@Each
def test_lists_are_no_weights(use: Callable[[Any, Path], object], tmp_path: Path) -> None:
    message = "column 'w' cannot be weights: it has lists or arrays, not one number an event; name"
    with pytest.raises(ft.InvalidArgument, match=f"^dict in memory: {message}"):
        use(events([[1.0, 2.0]] * EVENTS), tmp_path)


@Each
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(EVENTS), "the weights sum to 0 because all 60 of column 'w' are 0;"),
        (
            -np.ones(EVENTS),
            "the weights sum to -60 because all 60 of column 'w' are negative;",
        ),
        (
            np.repeat([0.0, -1.0], EVENTS // 2),
            "the weights sum to -30 because all 60 of column 'w' are negative or 0;",
        ),
        (
            np.repeat([1.0, -2.0], EVENTS // 2),
            "the weights sum to -30 because the negative ones of column 'w' cancel or outweigh",
        ),
    ],
)
def test_sums_that_are_not_positive_are_explained(
    use: Callable[[Any, Path], object], weights: Any, message: str, tmp_path: Path
) -> None:
    if use is closure and weights.any():
        first = int(np.flatnonzero(weights < 0)[0])
        message = f"column 'w': {(weights < 0).sum()} weights are negative, the first in event {first}"
    with pytest.raises(ft.InvalidArgument, match=f"^dict in memory: {message}"):
        use(events(weights), tmp_path)


@pytest.mark.parametrize("use", [compare, derived])
def test_weights_worth_too_few_events_are_counted(
    use: Callable[[Any, Path], object], tmp_path: Path
) -> None:
    weights = np.repeat([1.0, -1.0], [EVENTS // 2 + 5, EVENTS // 2 - 5])
    message = "the weights sum to 10 because those of column 'w' nearly cancel and are worth 1.7 events"
    with pytest.raises(ft.InvalidArgument, match=f"{message}; 25 are needed"):
        use(events(weights), tmp_path)
