"""Columns that often hold the same value share one grid under `std` bounds; nobody's bound becomes
wider by it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtuple as ft
from flowtuple.data.bounds import Bound
from flowtuple.data.table import Dataset, Table
from flowtuple.io.memory import table_from_arrays
from flowtuple.io.source import open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.runtime.progress import silent
from flowtuple.training.lattices import resolve_tables
from flowtuple.training.shared_grids import tie

ROWS = 2000
STD = 1e-2


def copies(share: float, ratio: float = 1.5, rows: int = ROWS) -> dict[str, np.ndarray]:
    """`b` is `a` in a share of the rows, elsewhere noise that makes its spread about `ratio` times
    that of `a`.
    """
    rng = np.random.default_rng(2)
    a = rng.normal(0, 10, rows)
    spread = 10 * np.sqrt(max(ratio**2 - share, 0.01) / max(1 - share, 0.01))
    b = np.where(rng.random(rows) < share, a, rng.normal(0, spread, rows))
    return {"a": a.astype(np.float32), "b": b.astype(np.float32)}


def bounds_of(data: dict[str, np.ndarray], tolerance: dict[str, str]) -> dict[str, float]:
    (prepared,) = resolve_tables(
        Dataset("by hand", {"t": table_from_arrays("t", data)}), tolerance, silent
    )
    return {
        name: lattice.bound.amount for name, lattice in prepared.coding.lattices.items()
    }


def round_trip(
    data: dict[str, np.ndarray], folder: Path, tolerance: str
) -> dict[str, np.ndarray]:
    ft.compress(data, folder / "out.ftup", tolerance={"*": tolerance}, effort="fast")
    back = ft.decompress(folder / "out.ftup")
    return {name: np.asarray(back[name]) for name in data}


class TestWhatIsTied:
    @pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
    def test_copies_get_the_tighter_bound(self, share: float) -> None:
        data = copies(share)
        found = bounds_of(data, {"*": f"std:{STD}"})
        assert (
            found["a"] == found["b"] == pytest.approx(STD * data["a"].astype(float).std())
        )

    @pytest.mark.parametrize(
        ("share", "ratio"),
        [(0.0, 1.5), (0.1, 1.5), (0.6, 4.0)],
        ids=["strangers", "few-copies", "too-wide-apart"],
    )
    def test_others_keep_their_own(self, share: float, ratio: float) -> None:
        data = copies(share, ratio)
        found = bounds_of(data, {"*": f"std:{STD}"})
        for name, values in data.items():
            assert found[name] == pytest.approx(STD * values.astype(float).std()), name

    def test_zeros_are_no_copies(self) -> None:
        rng = np.random.default_rng(3)
        zero = rng.random(ROWS) < 0.8
        data = {
            name: np.where(zero, 0, rng.normal(0, width, ROWS))
            for name, width in (("a", 10), ("b", 15))
        }
        found = bounds_of(data, {"*": f"std:{STD}"})
        assert found["b"] == pytest.approx(STD * data["b"].std())

    @pytest.mark.parametrize("bound", ["abs:0.5", "rel:0.01", "lossless", "bits:9"])
    def test_only_std_bounds(self, bound: str) -> None:
        data = copies(0.8)
        found = bounds_of(data, {"b": f"std:{STD}", "a": bound})
        assert found["b"] == pytest.approx(STD * data["b"].astype(float).std())
        assert found["a"] == Bound.parse(bound).amount

    def test_other_collections(self) -> None:
        data = copies(0.9)
        data["b"] = np.stack([data["b"], data["b"]], axis=1)
        found = bounds_of(data, {"*": f"std:{STD}"})
        assert found["b"] == pytest.approx(STD * data["b"].astype(float).std())

    def test_a_chain_ends_on_one_grid(self) -> None:
        data = copies(0.8, 1.4)
        rng = np.random.default_rng(4)
        data["c"] = np.where(
            rng.random(ROWS) < 0.9, data["b"], rng.normal(0, 45, ROWS)
        ).astype(np.float32)
        found = bounds_of(data, {"*": f"std:{STD}"})
        assert found["a"] == found["b"] == found["c"]

    @pytest.mark.parametrize("rows", [0, 1, 2])
    def test_hardly_any_rows(self, rows: int) -> None:
        assert set(bounds_of(copies(0.9, rows=rows), {"*": f"std:{STD}"})) == {"a", "b"}

    def test_signalling_nans(self) -> None:
        data = copies(0.9)
        data["a"].view(np.uint32)[7] = 0x7F800001
        found = bounds_of(data, {"*": f"std:{STD}"})
        assert found["a"] == found["b"]


class TestSharedGrids:
    def test_equal_values_have_equal_indices(self) -> None:
        data = copies(0.6)
        (prepared,) = resolve_tables(
            Dataset("d", {"t": table_from_arrays("t", data)}), {"*": f"std:{STD}"}, silent
        )
        a, b = (
            prepared.coding.lattices[name].encode(values) for name, values in data.items()
        )
        same = data["a"] == data["b"]
        assert same.mean() > 0.5
        assert np.array_equal(a[same], b[same])

    @pytest.mark.parametrize("std", [1e-1, 1e-3])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
    def test_the_bounds_asked_for_are_kept(
        self, tmp_path: Path, std: float, share: float
    ) -> None:
        data = copies(share)
        back = round_trip(data, tmp_path, f"std:{std}")
        for name, values in data.items():
            error = np.abs(back[name].astype(float) - values).max()
            assert error <= std * values.astype(float).std() * (1 + 1e-6), name
        found = ft.verify(data, tmp_path / "out.ftup")
        assert [c.violations for c in found] == [0, 0]

    def test_equal_values_stay_equal(self, tmp_path: Path) -> None:
        data = copies(0.7)
        back, same = round_trip(data, tmp_path, f"std:{STD}"), data["a"] == data["b"]
        assert np.array_equal(back["a"][same], back["b"][same])


SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, 5.0]


@given(
    seed=st.integers(0, 99),
    amounts=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5),
    special=st.lists(st.sampled_from(SPECIAL), max_size=6),
)
@settings(max_examples=80)
def test_never_wider(seed: int, amounts: list[float], special: list[float]) -> None:
    """Whatever the columns hold: a bound is one that another column has, at least half as wide, and
    below its own.
    """
    rng = np.random.default_rng(seed)
    pool = np.append(rng.normal(size=3), special)
    data = {f"c{k}": rng.choice(pool, 40) for k in range(len(amounts))}
    bounds = {
        name: Bound("abs", amount) for name, amount in zip(data, amounts, strict=True)
    }
    table: Table = table_from_arrays("t", data)
    tied = tie(table, bounds)
    assert set(tied) <= set(bounds)
    for name, bound in tied.items():
        assert bound.kind == "abs"
        assert bound.amount < bounds[name].amount <= 2 * bound.amount
        assert bound.amount in amounts


def test_rivals_are_measured_at_the_bounds_that_were_asked_for(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    a = draw.normal(0, 1, 3000)
    data = {
        "a": a.astype("f4"),
        "b": np.where(draw.random(3000) < 0.5, a, draw.normal(0, 2, 3000)).astype("f4"),
    }
    ft.compress(data, tmp_path / "t.ftup", tolerance={"*": "std:1e-2"})
    dataset = open_dataset(data)
    with ft.File(tmp_path / "t.ftup") as file:
        about = report_input(dataset, file, "")
    bounds = about.requested_bounds["events"]
    assert bounds["b"].amount == pytest.approx(
        1e-2 * data["b"].astype("f8").std(), rel=1e-9
    )
    assert about.bounds["events"]["b"].amount < bounds["b"].amount
