"""An interrupted training goes on from its finished parts, to the very same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.flow import ColumnFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.training import train
from flowtuple.training.checkpoint import Checkpoint
from flowtuple.training.plan import Candidate, ColumnTask
from short_training import shorten_training

BOUND = {"*": "abs:1e-2"}


def events(seed: int = 0, columns: int = 3) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(0, 1, 5000)
    return {f"x{k}": (x + draw.normal(0, 0.1, 5000)).astype("f4") for k in range(columns)}


@pytest.mark.slow
def test_resumed_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_training(monkeypatch)
    data, trained = events(columns=24), []
    original = train.train_conditioners

    def breaks_down(*arguments):
        if len(trained) == 1:
            raise KeyboardInterrupt
        trained.append(1)
        return original(*arguments)

    whole = ft.compress(data, tmp_path / "whole.ftup", tolerance=BOUND, effort="fast")
    monkeypatch.setattr(train, "train_conditioners", breaks_down)
    with pytest.raises(KeyboardInterrupt):
        ft.compress(
            data,
            tmp_path / "a.ftup",
            tolerance=BOUND,
            effort="fast",
            resources=ft.Resources(workers=1, checkpoint=tmp_path / "parts"),
        )
    assert len(list((tmp_path / "parts").iterdir())) == 1
    assert not (tmp_path / "a.ftup").exists()
    counted = []
    monkeypatch.setattr(
        train, "train_conditioners", lambda *a: counted.append(1) or original(*a)
    )
    ft.compress(
        data,
        tmp_path / "a.ftup",
        tolerance=BOUND,
        effort="fast",
        resources=ft.Resources(checkpoint=tmp_path / "parts"),
    )
    assert len(counted) == 1  # of two groups
    assert (tmp_path / "a.ftup").read_bytes() == Path(whole.path).read_bytes()


@pytest.mark.slow
def test_parts_of_other_data_are_not_taken(tmp_path: Path) -> None:
    for seed in (0, 1):
        ft.compress(
            events(seed),
            tmp_path / f"{seed}.ftup",
            tolerance=BOUND,
            effort="fast",
            resources=ft.Resources(checkpoint=tmp_path / "parts"),
        )
    plain = ft.compress(
        events(1), tmp_path / "plain.ftup", tolerance=BOUND, effort="fast"
    )
    assert (tmp_path / "1.ftup").read_bytes() == Path(plain.path).read_bytes()


@pytest.mark.parametrize(
    "damage", [b"", b"PK\x03\x04 no archive"], ids=["empty", "no archive"]
)
def test_damaged_parts_are_trained_again(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "key.npz").write_bytes(damage)
    assert (
        Checkpoint(tmp_path).load(
            "key", ColumnTask((), np.empty((0, 3), np.uint8), np.arange(3))
        )
        is None
    )


def test_parts_for_another_task_are_trained_again(tmp_path: Path) -> None:
    task = ColumnTask(
        (
            Candidate(
                "x", ColumnFlow(Bins(np.array([0]), np.array([5]))), np.arange(3), (0,)
            ),
        ),
        np.empty((1, 3)),
        np.arange(3),
    )
    fitting = Network((Layer(np.zeros((2, 2), np.int8), np.ones(2, np.uint8)),))
    Checkpoint(tmp_path).save("key", [fitting])
    assert len(Checkpoint(tmp_path).load("key", task) or []) == 1
    for others in (
        [],
        [fitting, fitting],
        [Network((Layer(np.zeros((3, 2), np.int8), np.ones(3, np.uint8)),))],
    ):
        Checkpoint(tmp_path).save("key", others)
        assert Checkpoint(tmp_path).load("key", task) is None
