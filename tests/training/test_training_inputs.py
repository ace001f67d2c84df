"""Trained flows on awkward events: what may be in a column never breaks a loss or a bound, nor do
events of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from flowtuple.codec.column import Method
from flowtuple.data.table import read_all
from flowtuple.lattice.context import Parent
from flowtuple.training import write_events

pytest.importorskip("torch")

from flowtuple.training import plan as planning

ROWS = 4500
Events = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def short_training() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(planning.EFFORTS, "fast", planning.EffortPreset((0.7,), 120))
        yield


def assert_bounds_hold(original: Events, path: Path, model: Path | None = None) -> None:
    found = ft.verify(original, path, model=model)
    assert {c.column: c.violations for c in found if c.violations} == {}
    assert {c.column for c in found} >= set(original)


def some(x: np.ndarray, share: float, value: float) -> np.ndarray:
    x[np.random.default_rng(1).random(len(x)) < share] = value
    return x


def cauchy(x: np.ndarray) -> np.ndarray:
    return np.tan(np.clip(x / 20, -1.57, 1.57))


BAD: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nan": lambda x: some(x, 0.3, math.nan),
    "nearly-all-nan": lambda x: some(x, 0.999, math.nan),
    "all-nan": lambda x: some(x, 2.0, math.nan),
    "inf": lambda x: some(some(x, 0.1, math.inf), 0.03, -math.inf),
    "sentinel-1e30": lambda x: some(x, 0.2, 1e30),
    "sentinel-1e38": lambda x: some(x, 0.01, 3e38),
    "cauchy": cauchy,
    "log-cauchy": lambda x: np.sign(x) * np.exp(np.clip(cauchy(x), -80, 80)),
    "subnormal": lambda x: x * 1e-44,
    "huge": lambda x: x * 1e35,
    "constant-but-one": lambda x: np.where(np.arange(len(x)) == 3, 7.0, 1.0),
    "two-values": lambda x: np.where(x > 0, 1e-3, -1e6),
}


CASES = [
    pytest.param(bad, bound, id=f"{name}-{bound}")
    for name, bad in BAD.items()
    for bound in ("abs:0.01", "rel:1e-3", "std:1e-3")
]


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "bound"), CASES)
def test_bad_columns_train(
    tmp_path: Path, bad: Callable[[np.ndarray], np.ndarray], bound: str
) -> None:
    """One column is bad, one follows it; two others tell of each other, so that there is something
    to train in any case.
    """
    rng = np.random.default_rng(6)
    a = rng.normal(0, 10, ROWS)
    b = np.sin(a / 5) + rng.normal(0, 0.05, ROWS)
    broken = bad(a.copy())
    with np.errstate(invalid="ignore", over="ignore"):
        after = np.where(np.isfinite(broken), broken, 0) + rng.normal(0, 0.1, ROWS)
        columns = {"a": a, "b": b, "broken": broken, "after": after}
        events = {name: x.astype(np.float32) for name, x in columns.items()}
    messages: list[str] = []
    ft.compress(
        events,
        tmp_path / "out.ftup",
        tolerance={"*": bound},
        effort="fast",
        resources=ft.Resources(
            progress=lambda stage, share, detail: (
                messages.append(detail) if stage.startswith("train") and detail else None
            )
        ),
    )
    assert messages
    assert all(math.isfinite(float(m.split()[0])) for m in messages)
    assert_bounds_hold(events, tmp_path / "out.ftup")


def lists(flat: np.ndarray, counts: np.ndarray) -> ak.Array:
    return ak.unflatten(flat.astype(np.float32), counts)


def jets(
    events: int,
    seed: int,
    most: int = 5,
    scale: float = 1.0,
    shift: float = 0.0,
    large: int = 0,
) -> Events:
    """Objects that follow the one before them, `large` of them in one event; `still` and `n` are
    constant.
    """
    rng = np.random.default_rng(seed)
    met = (rng.exponential(30, events) * scale + shift).astype(np.float32)
    counts = rng.integers(0, most + 1, events)
    if large:
        counts[events // 2] = large
    own = rng.normal(0, 0.5, counts.sum())
    before = np.append(0.0, own[:-1])
    before[(np.cumsum(counts) - counts)[counts > 0]] = 0.0
    pt = np.repeat(met, counts) * np.exp2(0.4 * own + before)
    mass = pt * rng.normal(0.1, 0.01, len(pt))
    return {
        "met": met,
        "still": np.full(events, 2.5, np.float32),
        "n": np.full(events, 3, np.int16),
        "Jet_pt": lists(pt, counts),
        "Jet_mass": lists(mass, counts),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "jets.flow"
    ft.train(
        jets(ROWS, 1), path, tolerance={"*": "abs:0.05", "n": "lossless"}, effort="fast"
    )
    with ft.File(path) as file:
        flow = file.tables["events"].flow
    assert flow.coded("Jet_pt")
    assert Parent("previous", "Jet_pt") in flow.columns["Jet_pt"].parents
    return path


def outside(value: float) -> Events:
    events = jets(300, 7)
    events["met"][::7] = value
    flat = ak.to_numpy(ak.flatten(events["Jet_pt"])).copy()
    flat[::3] = value
    events["Jet_pt"] = lists(flat, ak.num(events["Jet_pt"]))
    return events


def moving() -> Events:
    """What was constant in training is not so here."""
    rng = np.random.default_rng(8)
    still, n = (
        rng.normal(0, 100, 300).astype(np.float32),
        rng.integers(-(2**15), 2**15, 300).astype(np.int16),
    )
    return jets(300, 8) | {"still": still, "n": n}


OTHERS: dict[str, Callable[[], Events]] = {
    "alike": lambda: jets(300, 2),
    "constants-that-vary": moving,
    "constants-of-another-value": lambda: (
        jets(300, 9) | {"still": np.full(300, -1e9, np.float32)}
    ),
    "far-above": lambda: outside(1e30),
    "far-below": lambda: outside(-3e38),
    "tiny": lambda: outside(1e-42),
    "nan": lambda: outside(math.nan),
    "inf": lambda: outside(-math.inf),
    "thousandfold": lambda: jets(300, 3, scale=1e3),
    "negative": lambda: jets(300, 3, scale=-7.0, shift=-1e5),
    "no-objects": lambda: jets(50, 6, most=0),
    "one-event": lambda: jets(1, 11, most=3),
    "two-events": lambda: jets(2, 12),
    "300-objects": lambda: jets(4, 4, large=300),
    "3000-objects": lambda: jets(4, 4, large=3000),
    "many-in-all": lambda: jets(40, 13, most=60),
}


class TestSharedModel:
    @pytest.mark.slow
    @pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
    def test_other_events_keep_their_bounds(
        self, model: Path, tmp_path: Path, make: Callable[[], Events]
    ) -> None:
        events = make()
        ft.compress(events, tmp_path / "out.ftup", model=model)
        assert_bounds_hold(events, tmp_path / "out.ftup")
        with ft.File(tmp_path / "out.ftup") as file:
            table = read_all(file.tables["events"])
        assert table.num_entries == len(events["met"])

    @pytest.mark.parametrize("entries", [1, 2, 7])
    def test_chunks_of_few_events(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: int
    ) -> None:
        events = jets(12, 14)
        whole = tmp_path / "whole.ftup"
        ft.compress(events, whole, model=model)
        monkeypatch.setattr(write_events, "CHUNK_ENTRIES", entries)
        ft.compress(events, tmp_path / "out.ftup", model=model)
        assert_bounds_hold(events, tmp_path / "out.ftup")
        with ft.File(tmp_path / "out.ftup") as file:
            assert len(file.tables["events"].chunks) == -(-12 // entries)
        assert (
            ft.decompress(tmp_path / "out.ftup").tolist() == ft.decompress(whole).tolist()
        )

    @pytest.mark.parametrize("objects", [300, 3000])
    def test_many_objects_are_coded_by_the_flow(
        self, model: Path, tmp_path: Path, objects: int
    ) -> None:
        """Each object reads the one before it: row by row, and with the same result as in training."""
        events = jets(600, 16, large=objects)
        ft.compress(events, tmp_path / "out.ftup", model=model)
        assert_bounds_hold(events, tmp_path / "out.ftup")
        with ft.File(tmp_path / "out.ftup") as file:
            (chunk,) = file.tables["events"].directories()
        assert chunk.entries["Jet_pt"].method is Method.FLOW
