"""Damaged files: whole parts are saved bit for bit, lost ones named, and no value is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from flowtuple import cli
from flowtuple.data.awkward_tables import table_to_awkward
from flowtuple.data.table import read_all
from flowtuple.errors import Corrupt, FlowtupleError, InvalidArgument, TooNew, Truncated
from flowtuple.file.damage import Damage, check_integrity
from flowtuple.file.layout import FRAME_SIZE, HEADER_SIZE, Section, SectionKind
from flowtuple.file.merge import merge
from flowtuple.file.recover import Recovered, recover
from flowtuple.io.memory import dataset_from_memory
from flowtuple.io.source import open_dataset
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

EVENTS, STEP = 400, 100
LATE = ["a", "b", "nJet", "Jet_pt", "Jet_eta", "event"]  # all that lies in the last block
PREDICTED = ("b", "Jet_pt", "Jet_eta")  # by the model, all of it from a
DAMAGED = (Corrupt, Truncated, TooNew)


def write_root(path: Path, seed: int) -> None:
    """Two trees and two histograms; the noise takes a block of its own in each chunk."""
    draw, made = np.random.default_rng(seed), dependent_events(EVENTS, seed)
    jets = ak.zip({"pt": ak.Array(made["Jet_pt"]), "eta": ak.Array(made["Jet_eta"])})
    columns = {
        "noise": draw.normal(size=(EVENTS, 50)),
        "a": made["a"],
        "b": made["b"],
        "Jet": jets,
        "event": np.arange(EVENTS),
    }
    types = {
        "noise": np.dtype(("f8", (50,))),
        "a": "f4",
        "b": "f4",
        "Jet": jets.type.content,
        "event": "i8",
    }
    with uproot.recreate(path) as file:
        file.mktree("Events", types).extend(columns)
        file.mktree("Runs", {"run": "i4"}).extend({"run": np.int32([7, 8])})
        file["pileup"] = np.histogram(draw.normal(size=50), bins=5)
        file["weights"] = np.histogram(draw.normal(size=50), bins=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of four chunks, its model, another model, and a file that refers to the model."""
    made = tmp_path_factory.mktemp("recovery")
    for name, seed in (("m", 1), ("other", 2)):
        write_root(made / f"{name}.root", seed)
        table = read_all(open_dataset(made / f"{name}.root").tables["Events"])
        write_model(
            table,
            made / f"{name}.flow",
            DEPENDENT_PARENTS,
            DEPENDENT_TOLERANCE | {"noise": "lossless"},
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", STEP)
        for name, refer in (("whole", False), ("elsewhere", True)):
            ft.compress(
                made / "m.root",
                made / f"{name}.ftup",
                model=made / "m.flow",
                model_ref=refer,
            )
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> ak.Array:
    with ft.open(folder / "whole.ftup") as file:
        assert [c.section.entries for c in file.table("Events").chunks] == [STEP] * 4
        assert {
            len(file.table("Events").directory(c)[0].blocks)
            for c in file.table("Events").chunks
        } == {2}
        return file.arrays(tree="Events")


@pytest.fixture
def path(folder: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copy(folder / "whole.ftup", tmp_path / "broken.ftup"))


def sections(path: Path, kind: SectionKind, owner: int = 0) -> list[Section]:
    with ft.open(path) as file:
        return [s for s in file.sections if s.kind is kind and s.owner == owner]


def flip(path: Path, *places: int) -> None:
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 16
    path.write_bytes(data)


def blank(path: Path, begin: int, stop: int) -> None:
    data = path.read_bytes()
    path.write_bytes(
        data[:begin]
        + bytes((stop if stop > 0 else len(data) + stop) - begin)
        + data[stop if stop else None :]
    )


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def without(*spans: tuple[int, int]) -> list[int]:
    return [k for k in range(EVENTS) if not any(a <= k < b for a, b in spans)]


def assert_saved(
    path: Path,
    whole: ak.Array,
    events: Iterable[int],
    carried: tuple[str, ...] = ("pileup", "weights"),
) -> None:
    """A recovered file is whole, and holds just these events with the values that they had."""
    assert check_integrity(path) == []
    with ft.open(path) as file:
        found = file.arrays(tree="Events")
        assert ak.array_equal(found, whole[list(events)])
        assert file["Runs/run"].to_list() == [7, 8]
        assert tuple(file.carried) == carried


def save(path: Path, **more: Any) -> Recovered:
    return recover(path, path.with_name("saved.ftup"), **more)


class TestWholeFile:
    def test_is_saved_whole(self, folder: Path, whole: ak.Array, path: Path) -> None:
        found = save(path)
        assert (found.missing, found.events) == (
            (),
            {"Events": (EVENTS, EVENTS), "Runs": (2, 2)},
        )
        assert_saved(Path(found.path), whole, without())
        assert Path(found.path).read_bytes() == path.read_bytes()
        assert check_integrity(path) == []

    def test_with_the_model_elsewhere(
        self, folder: Path, whole: ak.Array, tmp_path: Path
    ) -> None:
        assert check_integrity(folder / "elsewhere.ftup") == []
        assert recover(folder / "elsewhere.ftup", tmp_path / "saved.ftup").missing == ()
        assert (tmp_path / "saved.ftup").read_bytes() == (
            folder / "elsewhere.ftup"
        ).read_bytes()


class TestEnds:
    """Header, index and trailer: everything is found by its frames."""

    @pytest.mark.parametrize("place", [*range(8), 10, 11])
    def test_header(self, whole: ak.Array, path: Path, place: int) -> None:
        flip(path, place)
        found = save(path)
        assert [(d.table, d.events, d.columns) for d in found.missing] == [("", None, ())]
        assert_saved(Path(found.path), whole, without())

    @pytest.mark.parametrize("place", [8, 9, 12, 15])
    def test_version_and_flags(self, whole: ak.Array, path: Path, place: int) -> None:
        """The index goes with the header that this version writes: it is no file of a later one."""
        flip(path, place)
        found = save(path)
        assert [(d.table, d.events, d.columns) for d in found.missing] == [("", None, ())]
        assert_saved(Path(found.path), whole, without())

    @pytest.mark.slow
    @pytest.mark.parametrize("place", [8, 9, 12, 15])
    @pytest.mark.parametrize("other", [-1, -9, -17, -32, -40])
    def test_header_of_another_version(self, path: Path, place: int, other: int) -> None:
        """No byte tells damage from a later version here."""
        flip(path, place, other)
        with pytest.raises(TooNew, match=r"broken\.ftup: has format version"):
            save(path)

    @pytest.mark.parametrize("place", [-1, -8, -9, -17, -25, -32, -40])
    def test_index_and_trailer(self, whole: ak.Array, path: Path, place: int) -> None:
        flip(path, place)
        found = save(path)
        assert [(d.table, d.events, d.columns) for d in found.missing] == [("", None, ())]
        assert_saved(Path(found.path), whole, without())

    def test_something_appended(self, whole: ak.Array, path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"\x89SEC and more")
        assert len(save(path).missing) == 1
        assert_saved(path.with_name("saved.ftup"), whole, without())

    @pytest.mark.parametrize("place", [0, 40, FRAME_SIZE, FRAME_SIZE + 30])
    @pytest.mark.parametrize("index", [True, False])
    def test_description_stands_nowhere_else(
        self, path: Path, place: int, index: bool
    ) -> None:
        flip(path, HEADER_SIZE + place, *([] if index else [-1]))
        for use in (save, check_integrity):
            with pytest.raises((Corrupt, Truncated), match=r"broken\.ftup: "):
                use(path)
        assert not path.with_name("saved.ftup").exists()

    @pytest.mark.parametrize("size", [0, 3, HEADER_SIZE, HEADER_SIZE + 60])
    def test_cut_within_the_description(self, path: Path, size: int) -> None:
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises((Corrupt, Truncated), match=r"broken\.ftup: "):
            save(path)

    def test_not_a_flowtuple_file(self, path: Path) -> None:
        path.write_bytes(b"root" + bytes(5000))
        with pytest.raises(Corrupt, match="is not a flowtuple file"):
            save(path)


class TestModel:
    @pytest.fixture(params=["head", "frame", "frame and index"])
    def broken(self, path: Path, request: pytest.FixtureRequest) -> Path:
        (section,) = sections(path, SectionKind.MODEL)
        place = section.offset + (FRAME_SIZE + 30 if request.param == "head" else 9)
        flip(path, place, *([-1] if "index" in request.param else []))
        return path

    def test_needed_for_a_file(self, broken: Path) -> None:
        with pytest.raises(
            Corrupt, match=r"the model of table 'Events' is .*`model=`.*OUT\.root"
        ):
            save(broken)

    def test_not_needed_by_columns_without_it(
        self, whole: ak.Array, broken: Path
    ) -> None:
        found = recover(broken, broken.with_name("saved.root"))
        with uproot.open(found.path) as file:
            saved = file["Events"].arrays()
        assert sorted(saved.fields) == ["a", "event", "nJet", "noise"]
        for name in saved.fields:
            assert ak.array_equal(saved[name], whole[name])
        reasons = {d.columns: d.reason for d in found.missing if d.table == "Events"}
        assert reasons.pop(()) in ("its model is damaged", "its model is missing")
        assert reasons == {PREDICTED: "whole, but decoded from what is lost"}
        assert [d.events for d in found.missing if d.columns] == [
            (k, k + STEP) for k in range(0, EVENTS, STEP)
        ]

    def test_taken_from_elsewhere(
        self, folder: Path, whole: ak.Array, broken: Path
    ) -> None:
        if "is missing" in check_integrity(broken)[-1].reason:  # and with it the hash
            with pytest.raises(
                InvalidArgument,
                match=r"m\.flow: may be another model than that of table 'Events'",
            ):
                save(broken, model=folder / "m.flow")
            return
        found = save(broken, model=folder / "m.flow")
        assert found.events["Events"] == (EVENTS, EVENTS)
        assert [(d.table, d.reason) for d in found.missing] == [
            ("Events", "its model is damaged")
        ]
        assert_saved(Path(found.path), whole, without())
        assert Path(found.path).read_bytes() == (folder / "whole.ftup").read_bytes()
        recover(
            broken,
            broken.with_name("saved.npz"),
            model=folder / "m.flow",
            columns=["Events/*"],
        )
        assert ak.array_equal(
            of_npz(broken.with_name("saved.npz")),
            whole,
            same_content_types=False,
            check_parameters=False,
        )

    @pytest.mark.parametrize("name", ["other.flow", "elsewhere.ftup"])
    @pytest.mark.parametrize("output", ["saved.ftup", "saved.root"])
    def test_no_other_will_do(
        self, folder: Path, broken: Path, name: str, output: str
    ) -> None:
        with pytest.raises(
            InvalidArgument,
            match=r"(is not the model [0-9a-f]{16}|may be another model than that) of table",
        ):
            recover(broken, broken.with_name(output), model=folder / name)
        assert not broken.with_name(output).exists()

    def test_kept_elsewhere(self, folder: Path, whole: ak.Array, tmp_path: Path) -> None:
        source, target = folder / "elsewhere.ftup", tmp_path / "saved.npz"
        found = recover(source, target, columns=["Events/*"])
        assert {d.columns for d in found.missing} == {PREDICTED}
        assert found.events == {"Events": (0, EVENTS)}
        assert recover(source, target, columns=["Events/a", "event"]).events == {
            "Events": (EVENTS, EVENTS)
        }
        assert (
            recover(source, target, model=folder / "m.flow", columns=["Events/*"]).missing
            == ()
        )
        assert ak.array_equal(
            of_npz(target), whole, same_content_types=False, check_parameters=False
        )


def of_npz(path: Path) -> ak.Array:
    (table,) = open_dataset(path).tables.values()
    return table_to_awkward(read_all(table))


class TestChunk:
    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.parametrize("place", [0, 5, 30, 44, FRAME_SIZE, FRAME_SIZE + 9, -1])
    def test_head(self, whole: ak.Array, path: Path, number: int, place: int) -> None:
        section = sections(path, SectionKind.CHUNK)[number]
        flip(
            path,
            section.offset + (place if place >= 0 else FRAME_SIZE + section.head + place),
        )
        lost = number * STEP, number * STEP + STEP
        assert check_integrity(path) == [Damage("Events", lost, (), "damaged")]
        found = save(path)
        assert found.missing == tuple(check_integrity(path))
        assert found.events == {"Events": (EVENTS - STEP, EVENTS), "Runs": (2, 2)}
        assert_saved(Path(found.path), whole, without(lost))

    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.parametrize("block", [0, 1])
    def test_block(self, whole: ak.Array, path: Path, number: int, block: int) -> None:
        section = sections(path, SectionKind.CHUNK)[number]
        flip(path, section.stop - 3 if block else section.begin + section.head + 7)
        lost, names = (
            (number * STEP, number * STEP + STEP),
            (tuple(LATE) if block else ("noise",)),
        )
        (damage,) = check_integrity(path)
        assert (damage.events, set(damage.columns) - {"event"}) == (
            lost,
            set(names) - {"event"},
        )
        assert_saved(Path(save(path).path), whole, without(lost))
        others, target = (
            (["noise"] if block else ["a", "b", "Jet_*"]),
            path.with_name("saved.npz"),
        )
        found = recover(path, target, columns=[f"Events/{name}" for name in others])
        assert found.events == {"Events": (EVENTS, EVENTS)}
        saved = of_npz(target)
        assert all(
            ak.array_equal(saved[n], whole[n], same_content_types=False)
            for n in saved.fields
        )
        found = recover(path, target, columns=["Events/*"])
        assert found.events == {"Events": (EVENTS - STEP, EVENTS)}
        assert ak.array_equal(
            of_npz(target),
            whole[without(lost)],
            same_content_types=False,
            check_parameters=False,
        )

    def test_lost_with_what_it_reads(self, folder: Path, tmp_path: Path) -> None:
        """A block of what others are decoded from, where these are in another block."""
        made = dependent_events(2000, 4)
        events = {
            "a": made["a"],
            "noise": np.random.default_rng(1).normal(size=(2000, 5)),
            "b": made["b"],
        }
        table = dataset_from_memory(events).tables["events"]
        write_model(
            table,
            tmp_path / "m.flow",
            {"b": DEPENDENT_PARENTS["b"]},
            {"[ab]": "abs:0.01"},
        )
        ft.compress(events, tmp_path / "x.ftup", model=tmp_path / "m.flow")
        (section,) = sections(tmp_path / "x.ftup", SectionKind.CHUNK)
        flip(tmp_path / "x.ftup", section.begin + section.head + 5)
        found = recover(tmp_path / "x.ftup", tmp_path / "x.npz")
        assert found.missing == (
            Damage("events", (0, 2000), ("a", "noise"), "damaged"),
            Damage("events", (0, 2000), ("b",), "whole, but decoded from what is lost"),
        )
        assert found.events == {}

    def test_hidden_counters_go_with_what_they_count(self, tmp_path: Path) -> None:
        events = dependent_events(2000, 4)
        table = dataset_from_memory(events).tables["events"]
        write_model(table, tmp_path / "m.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
        ft.compress(events, tmp_path / "x.ftup", model=tmp_path / "m.flow")
        flip(
            tmp_path / "x.ftup",
            sections(tmp_path / "x.ftup", SectionKind.MODEL)[0].stop - 9,
        )
        for suffix in ("root", "npz"):
            found = recover(tmp_path / "x.ftup", tmp_path / f"x.{suffix}")
            assert [
                c.name for c in open_dataset(found.path).tables["events"].columns
            ] == ["a"]

    def test_columns_lost_everywhere_are_left_out(
        self, whole: ak.Array, path: Path
    ) -> None:
        flip(path, *(s.begin + s.head + 7 for s in sections(path, SectionKind.CHUNK)))
        found = recover(path, path.with_name("saved.root"))
        assert [(d.events, d.columns) for d in found.missing] == [
            ((k, k + STEP), ("noise",)) for k in range(0, EVENTS, STEP)
        ]
        with uproot.open(found.path) as file:
            saved = file["Events"].arrays()
            assert set(file.keys(cycle=False)) >= {"pileup", "weights", "Runs"}
        assert "noise" not in saved.fields
        assert all(ak.array_equal(saved[name], whole[name]) for name in saved.fields)
        assert save(path).events["Events"] == (0, EVENTS)
        assert_saved(path.with_name("saved.ftup"), whole, [])

    def test_columns_asked_for_and_lost_everywhere(self, path: Path) -> None:
        flip(path, *(s.begin + s.head + 7 for s in sections(path, SectionKind.CHUNK)))
        found = recover(path, path.with_name("saved.npz"), columns=["noise"])
        assert found.events == {"Events": (0, EVENTS)}
        assert of_npz(Path(found.path))["noise"].type == ak.types.ArrayType(
            of_npz(Path(found.path))["noise"].type.content, 0
        )

    def test_every_event_with_something_lost(self, path: Path) -> None:
        """Each chunk lacks another column: no event has all, and none has nothing."""
        first, *others = sections(path, SectionKind.CHUNK)
        flip(path, first.begin + first.head + 7, *(s.stop - 3 for s in others))
        found = recover(path, path.with_name("saved.npz"), columns=["Events/*"])
        assert found.events == {"Events": (0, EVENTS)}
        assert len(of_npz(Path(found.path))) == 0

    def test_unknown_columns(self, path: Path) -> None:
        with pytest.raises(
            InvalidArgument,
            match=r"broken\.ftup: the name 'Jet_pT' matches no column; nearest: Jet_pt",
        ):
            recover(path, path.with_name("saved.npz"), columns=["Jet_pT"])

    def test_columns_for_a_file(self, path: Path) -> None:
        with pytest.raises(InvalidArgument, match=r"saved\.ftup: .*whole chunks"):
            save(path, columns=["a"])


class TestCarried:
    @pytest.mark.parametrize("owner", [0, 1])
    def test_damaged(self, whole: ak.Array, path: Path, owner: int) -> None:
        (section,) = sections(path, SectionKind.CARRIED, owner)
        flip(path, section.stop - 20)
        name, other = ("pileup", "weights")[:: 1 - 2 * owner]
        assert check_integrity(path) == [
            Damage("", None, (name,), "a carried object is damaged")
        ]
        assert save(path).missing == tuple(check_integrity(path))
        assert_saved(path.with_name("saved.ftup"), whole, without(), (other,))
        recover(path, path.with_name("saved.root"))
        with uproot.open(path.with_name("saved.root")) as file:
            assert (name in file, other in file) == (False, True)

    def test_missing(self, whole: ak.Array, path: Path) -> None:
        (section,) = sections(path, SectionKind.CARRIED, 1)
        path.write_bytes(path.read_bytes()[: section.offset + 20])
        assert save(path).missing[1:] == (
            Damage("", None, ("weights",), "a carried object is missing"),
        )
        assert_saved(path.with_name("saved.ftup"), whole, without(), ("pileup",))


class TestWithoutAnIndex:
    def test_cut_anywhere(self, whole: ak.Array, path: Path) -> None:
        """Whole chunks before the cut are saved; the missing parts are the rest."""
        data, chunks = path.read_bytes(), sections(path, SectionKind.CHUNK)
        (model,) = sections(path, SectionKind.MODEL)
        sizes = {
            s.offset + d
            for s in chunks
            for d in (0, 1, FRAME_SIZE, FRAME_SIZE + 9, FRAME_SIZE + s.head)
        }
        for size in sorted(
            sizes
            | {s.stop - 1 for s in chunks}
            | {s.stop for s in chunks}
            | {len(data) - 1, len(data) - 40}
        ):
            path.write_bytes(data[:size])
            found, kept = save(path), sum(s.stop <= size for s in chunks) * STEP
            assert found.events["Events"] == (kept, EVENTS)
            with ft.open(found.path) as file:
                assert ak.array_equal(file.arrays(tree="Events"), whole[:kept])
            events = [d.events for d in found.missing if d.table == "Events"]
            assert sorted(k for span in events for k in range(*span)) == list(
                range(kept, EVENTS)
            ), size
        path.write_bytes(data[: model.offset + 5])
        assert save(path).events == {"Events": (0, EVENTS), "Runs": (0, 2)}

    def test_cut_within_a_block(self, whole: ak.Array, path: Path) -> None:
        """The blocks before the cut are whole."""
        section = sections(path, SectionKind.CHUNK)[2]
        path.write_bytes(path.read_bytes()[: section.stop - 1])
        damage = [d for d in check_integrity(path) if d.events == (2 * STEP, 3 * STEP)]
        assert [set(d.columns) - {"event"} for d in damage] == [set(LATE) - {"event"}]
        found = recover(path, path.with_name("saved.npz"), columns=["noise"])
        assert found.events == {"Events": (3 * STEP, EVENTS)}
        assert ak.array_equal(
            of_npz(Path(found.path))["noise"], whole["noise"][: 3 * STEP]
        )

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_hole(self, whole: ak.Array, path: Path, number: int) -> None:
        section = sections(path, SectionKind.CHUNK)[number]
        flip(path, section.offset + 9, -1)
        found = save(path)
        assert found.events == {"Events": (EVENTS - STEP, EVENTS), "Runs": (2, 2)}
        assert found.missing[0].table == ""
        assert found.missing[1:] == (
            Damage("Events", (number * STEP, number * STEP + STEP), (), "missing"),
        )
        assert_saved(
            Path(found.path), whole, without((number * STEP, number * STEP + STEP))
        )
        recover(path, path.with_name("saved.npz"), columns=["Events/*"])
        lost = without((number * STEP, number * STEP + STEP))
        assert ak.array_equal(
            of_npz(path.with_name("saved.npz")),
            whole[lost],
            same_content_types=False,
            check_parameters=False,
        )

    def test_the_last_chunk_of_a_table(self, whole: ak.Array, path: Path) -> None:
        section = sections(path, SectionKind.CHUNK)[3]
        flip(path, section.offset + 9, -1)
        assert check_integrity(path)[1:] == [Damage("Events", (300, 400), (), "missing")]
        assert_saved(Path(save(path).path), whole, range(300))

    def test_damage_before_and_after_a_hole(self, whole: ak.Array, path: Path) -> None:
        first, second, _, last = sections(path, SectionKind.CHUNK)
        flip(path, first.begin + 9, second.offset + 9, last.begin + 9, -1)
        assert sorted(
            (d.events, d.columns, d.reason) for d in check_integrity(path)[1:]
        ) == [
            ((0, 100), (), "damaged"),
            ((100, 200), (), "missing"),
            ((300, 400), (), "damaged"),
        ]
        found = save(path)
        assert found.events["Events"] == (STEP, EVENTS)
        assert_saved(Path(found.path), whole, range(200, 300))

    def test_blanked_sectors(self, whole: ak.Array, path: Path) -> None:
        _, second, third, _ = sections(path, SectionKind.CHUNK)
        blank(path, second.offset + 99, third.offset + 99)
        blank(path, path.stat().st_size - 20, path.stat().st_size)
        found = save(path)
        assert found.events["Events"] == (200, EVENTS)
        assert sorted((d.events, d.reason) for d in found.missing[1:]) == [
            ((100, 200), "damaged"),
            ((200, 300), "missing"),
        ]
        assert_saved(Path(found.path), whole, without((100, 300)))

    def test_an_empty_table_of_texts(self, tmp_path: Path) -> None:
        ft.compress(
            {"text": ak.Array(["é"])[:0], "x": np.empty(0)}, tmp_path / "empty.ftup"
        )
        kind = ft.decompress(tmp_path / "empty.ftup").type
        cut(tmp_path / "empty.ftup", 3)
        found = recover(tmp_path / "empty.ftup", tmp_path / "saved.ftup")
        assert (found.events, len(found.missing)) == ({"events": (0, 0)}, 1)
        assert ft.decompress(tmp_path / "saved.ftup").type == kind


class TestParts:
    """Every part of merged files has ranges of its own."""

    @pytest.fixture
    def merged(self, tmp_path: Path) -> Path:
        for number in range(3):
            x = np.linspace(0.1, 9.85, 40) + 100 * number
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", 20)
                ft.compress(
                    {"x": x, "k": np.arange(40) + 40 * number},
                    tmp_path / f"{number}.ftup",
                    tolerance={"x": "abs:0.5"},
                )
        merge(
            [tmp_path / f"{number}.ftup" for number in range(3)], tmp_path / "merged.ftup"
        )
        return tmp_path / "merged.ftup"

    @pytest.mark.parametrize("number", range(6))
    def test_each_chunk_keeps_its_range(self, merged: Path, number: int) -> None:
        whole = ft.decompress(merged)
        flip(merged, sections(merged, SectionKind.CHUNK)[number].begin + 3)
        lost = number * 20, number * 20 + 20
        assert check_integrity(merged) == [Damage("events", lost, (), "damaged")]
        found = recover(merged, merged.with_name("saved.ftup"))
        kept = [k for k in range(120) if not lost[0] <= k < lost[1]]
        assert found.events == {"events": (100, 120)}
        assert ft.decompress(found.path).to_list() == whole[kept].to_list()

    def assert_saved_but(
        self,
        whole: ak.Array,
        merged: Path,
        *lost: tuple[int, int],
        reason: str = "missing",
    ) -> None:
        """All other events are saved as they were, and just these are listed."""
        kept = [k for k in range(120) if not any(a <= k < b for a, b in lost)]
        for name in ("saved.ftup", "saved.npz"):
            found = recover(merged, merged.with_name(name))
            assert found.events == {"events": (len(kept), 120)}
            assert tuple(d for d in found.missing if d.table) == tuple(
                Damage("events", span, (), reason) for span in lost
            )
            assert [(d.events, d.columns) for d in found.missing if not d.table] == [
                (None, ())
            ]
        for saved in (
            ft.decompress(merged.with_name("saved.ftup")),
            of_npz(merged.with_name("saved.npz")),
        ):
            assert saved["k"].to_list() == kept
            assert (
                ak.to_numpy(saved["x"]).tobytes()
                == ak.to_numpy(whole["x"][kept]).tobytes()
            )
        assert check_integrity(merged.with_name("saved.ftup")) == []

    @pytest.mark.parametrize("number", range(6))
    def test_what_comes_after_a_hole_keeps_its_part(
        self, merged: Path, number: int
    ) -> None:
        whole = ft.decompress(merged)
        flip(merged, sections(merged, SectionKind.CHUNK)[number].offset + 9, -1)
        self.assert_saved_but(whole, merged, (20 * number, 20 * number + 20))

    def test_two_holes(self, merged: Path) -> None:
        whole, chunks = ft.decompress(merged), sections(merged, SectionKind.CHUNK)
        flip(merged, chunks[1].offset + 9, chunks[4].offset + 9, -1)
        self.assert_saved_but(whole, merged, (20, 40), (80, 100))

    def rearrange(
        self, merged: Path, order: Iterable[int], *, index: bool = True
    ) -> None:
        """The chunks in another order, each frame right after the section before."""
        data, chunks = merged.read_bytes(), sections(merged, SectionKind.CHUNK)
        placed = b"".join(data[chunks[k].offset : chunks[k].stop] for k in order)
        merged.write_bytes(
            data[: chunks[0].offset]
            + placed
            + data[chunks[-1].stop : None if index else -1]
        )

    @pytest.mark.parametrize("index", [True, False])
    @pytest.mark.parametrize("number", range(6))
    def test_a_chunk_cut_out(self, merged: Path, number: int, index: bool) -> None:
        whole = ft.decompress(merged)
        self.rearrange(merged, [k for k in range(6) if k != number], index=index)
        self.assert_saved_but(whole, merged, (20 * number, 20 * number + 20))

    @pytest.mark.parametrize("index", [True, False])
    @pytest.mark.parametrize(
        "order",
        [
            (0, 0, 1, 2, 3, 4, 5),
            (0, 1, 2, 3, 1, 4, 5),
            (0, 1, 2, 3, 4, 5, 2),
            (5, 0, 1, 2, 3, 4, 5),
        ],
    )
    def test_a_chunk_twice(
        self, merged: Path, order: tuple[int, ...], index: bool
    ) -> None:
        whole = ft.decompress(merged)
        self.rearrange(merged, order, index=index)
        self.assert_saved_but(whole, merged)

    def test_a_chunk_in_place_of_another(self, merged: Path) -> None:
        whole = ft.decompress(merged)
        self.rearrange(merged, (0, 1, 2, 1, 4, 5), index=False)
        self.assert_saved_but(whole, merged, (60, 80))

    @pytest.mark.parametrize(
        "order",
        [(1, 0, 2, 3, 4, 5), (0, 1, 2, 4, 3, 5), (5, 1, 2, 3, 4, 0), (5, 4, 3, 2, 1, 0)],
    )
    def test_chunks_swapped(self, merged: Path, order: tuple[int, ...]) -> None:
        whole = ft.decompress(merged)
        self.rearrange(merged, order, index=False)
        self.assert_saved_but(whole, merged)

    def test_chunks_swapped_behind_a_whole_index(self, merged: Path) -> None:
        """Other sections lie in their place: unsaved parts are listed, the rest is right."""
        whole = ft.decompress(merged)
        self.rearrange(merged, (0, 1, 4, 3, 2, 5))
        found = recover(merged, merged.with_name("saved.ftup"))
        lost = {k for d in found.missing if d.events for k in range(*d.events)}
        kept = [k for k in range(120) if k not in lost]
        assert found.missing
        assert set(range(40)) | set(range(100, 120)) <= set(kept)
        assert found.events == {"events": (len(kept), 120)}
        assert ft.decompress(found.path).to_list() == whole[kept].to_list()

    def test_last_byte_lost(self, merged: Path) -> None:
        whole = ft.decompress(merged)
        cut(merged, 1)
        self.assert_saved_but(whole, merged)

    def test_cut(self, merged: Path) -> None:
        whole, chunk = ft.decompress(merged), sections(merged, SectionKind.CHUNK)[3]
        merged.write_bytes(merged.read_bytes()[: chunk.stop])
        self.assert_saved_but(whole, merged, (80, 120))


class TestGiven:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        self.events = dependent_events(200, 3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", 50)
            ft.compress(self.events, tmp_path / "given.ftup", given=["a"])
        return tmp_path / "given.ftup"

    def test_whole(self, path: Path) -> None:
        assert check_integrity(path) == []
        recover(path, path.with_name("saved.ftup"))
        assert path.with_name("saved.ftup").read_bytes() == path.read_bytes()
        cut(path, 1)
        recover(path, path.with_name("saved.ftup"))
        assert (
            ft.decompress(path.with_name("saved.ftup"), given=self.events)["b"].to_list()
            == self.events["b"].tolist()
        )

    def test_events_lost(self, path: Path) -> None:
        flip(path, sections(path, SectionKind.CHUNK)[1].begin + 2)
        with pytest.raises(
            InvalidArgument,
            match=r"given\.ftup: without the lost events .*write OUT\.root with `given=`",
        ):
            recover(path, path.with_name("saved.ftup"))
        with pytest.raises(
            InvalidArgument, match=r"column 'a' was given when .*`given=`"
        ):
            recover(path, path.with_name("saved.npz"), columns=["a"])
        found = recover(
            path, path.with_name("saved.npz"), given=self.events, columns=["a", "b"]
        )
        assert found.events == {"events": (150, 200)}
        kept = [*range(50), *range(100, 200)]
        with np.load(path.with_name("saved.npz")) as saved:
            assert saved["a"].tolist() == self.events["a"][kept].tolist()
            assert saved["b"].tolist() == self.events["b"][kept].tolist()

    @pytest.mark.parametrize("number", range(4))
    def test_a_hole(self, path: Path, number: int) -> None:
        """Chunks after it are decoded with their own external events."""
        lost = 50 * number, 50 * number + 50
        kept = [k for k in range(200) if not lost[0] <= k < lost[1]]
        whole = ft.decompress(path, given=self.events)
        flip(path, sections(path, SectionKind.CHUNK)[number].offset + 9, -1)
        found = recover(
            path, path.with_name("saved.npz"), given=self.events, columns=["a", "b"]
        )
        assert found.events == {"events": (150, 200)}
        assert found.missing[1:] == (Damage("events", lost, (), "missing"),)
        with np.load(path.with_name("saved.npz")) as saved:
            for name in "ab":
                assert (
                    saved[name].tobytes()
                    == ak.to_numpy(whole[name][kept]).tobytes()
                    == self.events[name][kept].tobytes()
                )


@pytest.mark.slow
def test_any_damage_saves_right_values_or_says_so(whole: ak.Array, path: Path) -> None:
    """Changed or cut bytes anywhere: events of the file are saved, as many as are not listed."""
    data, draw = path.read_bytes(), np.random.default_rng(5)
    saved = refused = 0
    for place in draw.integers(0, len(data), 60).tolist():
        broken = bytearray(data)
        broken[place] ^= int(draw.integers(1, 256))
        if draw.random() < 0.5:
            broken = broken[: int(draw.integers(place, len(data)))]
        path.write_bytes(broken)
        try:
            found = save(path)
        except FlowtupleError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
            continue
        saved += 1
        with ft.open(found.path) as file:
            events = file["Events/event"].to_list()
            assert ak.array_equal(file.arrays(tree="Events"), whole[events])
        assert sorted(set(events)) == events
        assert (len(events), EVENTS) == found.events["Events"]
        assert found.missing
        assert events == without(
            *(d.events for d in found.missing if d.table == "Events" and d.events)
        )
        assert all(
            d.events
            for d in found.missing
            if d.table == "Events" and not d.reason.startswith("its model")
        )
    assert saved > 20
    assert saved + refused == 60


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def run_command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["flowtuple", *map(str, words)])
        with pytest.raises(SystemExit) as ended:  # noqa: PT012
            cli.main()
            sys.exit(0)
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run_command


class TestCommands:
    def test_verify_without_the_original(
        self, run: Callable[..., Any], folder: Path, path: Path
    ) -> None:
        for name in ("whole.ftup", "elsewhere.ftup", "m.flow"):
            assert run("verify", folder / name)[:2] == (
                0,
                f"ok: {folder / name}: every checksum is right\n",
            )
        assert json.loads(run("verify", path, "--json")[1]) == {"damage": []}
        flip(path, sections(path, SectionKind.CHUNK)[1].begin + 3)
        code, out, _ = run("verify", path)
        assert (code, "100:200" in out, "Events" in out, "all" in out) == (
            1,
            True,
            True,
            True,
        )
        code, out, _ = run("verify", path, "--json")
        damage = [
            {"table": "Events", "events": [100, 200], "columns": [], "reason": "damaged"}
        ]
        assert (code, json.loads(out)) == (1, {"damage": damage})
        flip(path, HEADER_SIZE + FRAME_SIZE + 3)
        code, out, err = run("verify", path)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"flowtuple: {path}: ")
        assert run("verify", path.with_name("absent.ftup"))[0] == 2

    def test_recover(self, run: Callable[..., Any], whole: ak.Array, path: Path) -> None:
        target = path.with_name("saved.ftup")
        assert run("recover", path, "-o", target)[0] == 0
        flip(path, sections(path, SectionKind.CHUNK)[1].begin + 3)
        code, out, _ = run("recover", path, "-o", target)
        assert (code, f"{target}: 300 of 400 events of Events\n" in out) == (1, True)
        assert_saved(target, whole, without((100, 200)))
        code, out, _ = run(
            "recover",
            path,
            "-o",
            path.with_name("saved.npz"),
            "--columns",
            "noise",
            "--json",
        )
        found = json.loads(out)
        assert (code, found["events"]) == (1, {"Events": [300, 400]})
        assert found["missing"] == [
            {"table": "Events", "events": [100, 200], "columns": [], "reason": "damaged"}
        ]
        flip(path, HEADER_SIZE + FRAME_SIZE + 3)
        target.unlink()
        assert run("recover", path, "-o", target)[0] == 2
        assert not target.exists()
