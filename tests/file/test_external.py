"""External columns: readers supply the same values, or are refused and nothing is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple import cli
from flowtuple.codec.column import Method
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import open_dataset
from flowtuple.reporting.describe import report_input
from flowtuple.reporting.report import totals
from flowtuple.training import write_events
from hand_made import dependent_events

EVENTS = 300
Events = dict[str, Any]


def make_events(lists: bool) -> Events:
    """`copy` follows from `a`, `alone` from nothing; with lists, Jet_copy follows from Jet_pt."""
    draw = np.random.default_rng(4)
    a = draw.normal(50, 10, EVENTS).astype(np.float32)
    events: Events = {"a": a, "copy": a.copy(), "alone": draw.normal(size=EVENTS)}
    if lists:
        jets = dependent_events(EVENTS, 5)["Jet_pt"]
        events |= {"Jet_pt": jets, "Jet_copy": [j.copy() for j in jets]}
    return events


@pytest.fixture(params=[EVENTS, 64], ids=["one-chunk", "chunks"])
def packed(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setattr(write_events, "CHUNK_ENTRIES", request.param)
    path = tmp_path / "events.ftup"
    ft.compress(make_events(False), path, tolerance={"copy": "abs:0.01"}, given=["a"])
    return path


def one_value_changed(events: Events) -> Events:
    return events | {
        "a": np.append(events["a"][:-1], np.nextafter(events["a"][-1], np.float32(0)))
    }


def one_sign_of_zero(events: Events) -> Events:
    return events | {"a": np.append(events["a"][:-1], -events["a"][-1])}


def one_event_less(events: Events) -> Events:
    return {name: values[:-1] for name, values in events.items()}


def no_events(events: Events) -> Events:
    return {name: values[:0] for name, values in events.items()}


def another_type(events: Events) -> Events:
    return events | {"a": events["a"].astype(np.float64)}


def without_it(events: Events) -> Events:
    return {"copy": events["copy"]}


REFUSED = [
    (
        one_value_changed,
        r"events \d+ to 300: column 'a' is not the one that was given when it was compressed",
    ),
    (one_sign_of_zero, "column 'a' is not the one that was given"),
    (one_event_less, r"the given events end after \d+ of the \d+ of a chunk"),
    (no_events, r"the given events end after 0 of the \d+ of a chunk"),
    (another_type, "column 'a' is float64, not float32"),
    (without_it, "does not fit as `given=`: column 'a' is missing"),
    (
        lambda events: None,
        "column 'a' was given when it was compressed; name the file that has it with `given=`",
    ),
]
NAMES = [change.__name__.strip("<>") for change, _ in REFUSED[:-1]] + ["none"]


class TestRefusals:
    @pytest.mark.parametrize(("change", "message"), REFUSED, ids=NAMES)
    @pytest.mark.parametrize("suffix", ["npz", "root", "parquet", "csv"])
    def test_other_values_are_refused_and_nothing_is_written(
        self,
        packed: Path,
        change: Callable[[Events], Events | None],
        message: str,
        suffix: str,
    ) -> None:
        folder = packed.parent / "out"
        folder.mkdir()
        with pytest.raises(ft.InvalidArgument, match=message):
            ft.decompress(
                packed,
                folder / f"back.{suffix}",
                given=change(make_events(False)),
                resources=ft.Resources(workers=1),
            )
        assert not list(folder.iterdir())

    def test_the_command_says_what_to_do(
        self,
        packed: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        back = packed.parent / "back.npz"
        monkeypatch.setattr(
            sys, "argv", ["flowtuple", "decompress", str(packed), "-o", str(back)]
        )
        with pytest.raises(SystemExit, match="2"):
            cli.main()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "'a' was given" in error
        assert "--given" in error
        assert not back.exists()

    def test_another_table(self, packed: Path, tmp_path: Path) -> None:
        with uproot.recreate(tmp_path / "other.root") as file:
            file.mktree("Others", {"a": "float32"}).extend({"a": make_events(False)["a"]})
        with pytest.raises(
            ft.InvalidArgument, match=r"other.root: no tree 'events'; there are: Others"
        ):
            ft.decompress(packed, given=tmp_path / "other.root")

    def test_opaque_columns_cannot_be_given(self, tmp_path: Path) -> None:
        with pytest.raises(
            ft.InvalidArgument,
            match="column 'name' is carried as it is and cannot be given; leave it out",
        ):
            ft.compress(
                {"name": ["a", "bc"], "x": [1, 2]}, tmp_path / "out.ftup", given=["name"]
            )
        assert not list(tmp_path.iterdir())

    def test_no_such_column(self, tmp_path: Path) -> None:
        with pytest.raises(ft.InvalidArgument, match="nope"):
            ft.compress({"x": [1, 2]}, tmp_path / "out.ftup", given=["nope"])
        assert not list(tmp_path.iterdir())

    def test_a_model_fixes_what_is_given(self, tmp_path: Path) -> None:
        ft.train({"x": np.arange(5), "y": np.arange(5)}, tmp_path / "m.flow", given=["x"])
        with pytest.raises(
            ft.InvalidArgument,
            match="fixes which columns are given; leave `given=` to `train\\(\\)`",
        ):
            ft.compress(
                {"x": [1], "y": [1]},
                tmp_path / "out.ftup",
                model=tmp_path / "m.flow",
                given=["x"],
            )
        assert [p.name for p in tmp_path.iterdir()] == ["m.flow"]


class TestReading:
    def test_only_a_hash_is_stored(self, packed: Path) -> None:
        with ft.File(packed) as file:
            table = file.tables["events"]
            assert table.external == {"a"}
            assert table.flow.ancestors(["copy"]) == {"copy", "a"}
            for chunk in (d.entries for d in table.directories()):
                assert (chunk["a"].method, chunk["a"].payload) == (Method.GIVEN, 8)
                assert chunk["copy"].payload + chunk["copy"].escapes < 40

    def test_with_the_given_column(self, packed: Path) -> None:
        events = make_events(False)
        back = ft.decompress(packed, given=events)
        assert back.fields == list(events)
        assert np.array_equal(back["a"], events["a"])
        assert np.abs(np.asarray(back["copy"]) - events["copy"]).max() <= 0.01
        assert np.array_equal(back["alone"], events["alone"])
        assert [c.violations for c in ft.verify(events, packed)] == [0, 0, 0]

    @pytest.mark.parametrize("entries", [(None, None), (60, 70)], ids=["all", "some"])
    def test_other_columns_need_no_given_file(
        self, packed: Path, entries: tuple[int | None, int | None]
    ) -> None:
        back = ft.decompress(packed, columns=["alone"], entries=entries)
        assert np.array_equal(back["alone"], make_events(False)["alone"][slice(*entries)])

    def test_only_the_events_that_are_read_are_compared(self, packed: Path) -> None:
        """The last value lies in another chunk than the first events, where there are several."""
        with ft.File(packed) as file:
            several = len(file.tables["events"].chunks) > 1
        changed = one_value_changed(make_events(False))
        if several:
            assert len(ft.decompress(packed, given=changed, entries=(0, 5))) == 5
        with pytest.raises(
            ft.InvalidArgument, match="column 'a' is not the one that was given"
        ):
            ft.decompress(packed, given=changed, entries=(EVENTS - 1, EVENTS))

    @pytest.mark.parametrize("suffix", ["npz", "root", "parquet"])
    def test_a_file_supplies_what_memory_did(self, packed: Path, suffix: str) -> None:
        events = make_events(False)
        original, again = (
            packed.parent / f"original.{suffix}",
            packed.parent / f"again.{suffix}",
        )
        ft.decompress(packed, original, given=events)
        tree = ":events" if suffix == "root" else ""
        ft.decompress(packed, again, given=f"{original}{tree}")
        assert np.array_equal(
            ft.decompress(packed, given=f"{original}{tree}")["a"], events["a"]
        )


class TestHiddenCounters:
    @pytest.fixture
    def jets(self, tmp_path: Path) -> Path:
        ft.compress(
            make_events(True),
            tmp_path / "jets.ftup",
            tolerance={"Jet_copy": "abs:0.01"},
            given=["Jet_pt"],
        )
        return tmp_path / "jets.ftup"

    def test_lists(self, jets: Path) -> None:
        events = make_events(True)
        back = ft.decompress(jets, given=events)
        assert back["Jet_pt"].tolist() == [j.tolist() for j in events["Jet_pt"]]
        pairs = zip(back["Jet_copy"].tolist(), events["Jet_copy"], strict=True)
        near = [np.abs(np.subtract(x, y)).max(initial=0) for x, y in pairs]
        assert max(near) <= 0.01
        assert sum(c.violations for c in ft.verify(events, jets)) == 0

    def test_other_columns_need_none(self, jets: Path) -> None:
        assert np.array_equal(
            ft.decompress(jets, columns=["alone", "a"])["alone"],
            make_events(True)["alone"],
        )

    def test_the_same_values_in_other_lists_are_refused(self, jets: Path) -> None:
        events = make_events(True)
        flat = np.concatenate(events["Jet_pt"])
        first = 1 if len(events["Jet_pt"][0]) == 0 else len(events["Jet_pt"][0]) - 1
        rest = [len(j) for j in events["Jet_pt"]][1:]
        rest[0] += len(events["Jet_pt"][0]) - first
        counts = [first, *rest]
        moved = events | {"Jet_pt": np.split(flat, np.cumsum(counts)[:-1])}
        with pytest.raises(ft.InvalidArgument, match="is not the one that was given"):
            ft.decompress(jets, given=moved, columns=["Jet_*"])

    def test_none_given(self, jets: Path) -> None:
        with pytest.raises(
            ft.InvalidArgument, match="name the file that has it with `given=`"
        ):
            ft.decompress(jets, columns=["Jet_copy"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_column_that_shares_a_hidden_counter_with_a_given_one(
    tmp_path: Path, workers: int
) -> None:
    lists = ak.Array([[0.5, 1.5], [], [2.5]] * 200)
    data = {"X": lists, "Y": lists * 2}
    ft.compress(data, tmp_path / "h.ftup", given=["X"])
    found = ft.decompress(
        tmp_path / "h.ftup",
        given=data,
        columns=["Y"],
        resources=ft.Resources(workers=workers),
    )
    assert found["Y"].tolist() == (lists * 2).tolist()


def test_a_given_column_of_another_structure_is_refused(tmp_path: Path) -> None:
    lists = ak.Array([[0.5, 1.5], [], [2.5]])
    ft.compress({"X": lists, "Y": lists}, tmp_path / "h.ftup", given=["X"])
    with pytest.raises(InvalidArgument, match="column 'X' is float64, not float64 lists"):
        ft.decompress(tmp_path / "h.ftup", given={"X": np.zeros(3)})


def test_a_bound_on_a_given_column_is_refused(tmp_path: Path) -> None:
    data = {"X": np.arange(5.0), "Y": np.arange(5.0)}
    with pytest.raises(
        InvalidArgument, match="column 'X' is given, so it cannot be bounded"
    ):
        ft.compress(data, tmp_path / "h.ftup", given=["X"], tolerance={"X": "abs:1"})
    ft.compress(data, tmp_path / "h.ftup", given=["X"], tolerance={"*": "abs:1"})


def test_the_report_counts_given_columns_for_nobody(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = {"X": draw.normal(size=500), "Y": draw.normal(size=500)}
    ft.compress(data, tmp_path / "h.ftup", given=["X"])
    dataset = open_dataset(data)
    with ft.File(tmp_path / "h.ftup", given=dataset) as file:
        found = totals(report_input(dataset, file, ""))
    assert (found["values"], found["raw"]) == (500, 4000)
