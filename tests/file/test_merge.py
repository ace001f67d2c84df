"""Merged files have the events of all, bit for bit; files that do not fit are refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple import cli
from flowtuple.data.table import concatenate, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, Truncated
from flowtuple.file.damage import check_integrity
from flowtuple.file.layout import FRAME_SIZE, SectionKind
from flowtuple.file.merge import merge
from flowtuple.io.memory import dataset_from_memory
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

TOLERANCE = {"x": "abs:0.5", "Jet_pt": "abs:0.5", "q": "rel:0.01"}
EVENTS = (30, 20, 41, 4)


def events(number: int, count: int) -> dict[str, Any]:
    """Values at ends of ranges that differ by less than a lattice step: these decide decoding."""
    x = np.linspace(0.1, 9.85, count) + 100 * number
    counts = np.arange(count) % 3
    jets = ak.unflatten(np.repeat(x + 0.03, counts), counts)
    texts = [f"{number}-{k}" for k in range(count)]
    return {"x": x, "Jet_pt": jets, "q": x**3, "n": np.arange(count), "text": texts}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files of other events and ranges; the first and the third are of several chunks."""
    made = tmp_path_factory.mktemp("merging")
    for number, count in enumerate(EVENTS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "flowtuple.training.write_events.CHUNK_ENTRIES",
                2**14 if number % 2 else 12,
            )
            ft.compress(
                events(number, count), made / f"{number}.ftup", tolerance=TOLERANCE
            )
    return made


def paths(folder: Path, *numbers: int) -> list[Path]:
    return [folder / f"{number}.ftup" for number in numbers]


def assert_concatenates(
    merged: Path, parts: Sequence[Path], model: Path | None = None
) -> None:
    """Whole, by parts and by columns the merged file reads as the others one after another."""
    assert check_integrity(merged) == []
    with ft.File(merged, model=model) as file:
        for name, table in file.tables.items():
            tables = []
            for part in parts:
                with ft.File(part, model=model) as other:
                    tables.append(read_all(other.tables[name]))
            expected, names = concatenate(tables), [c.name for c in table.columns]
            assert difference(read_all(table), expected) is None
            for start, stop in [
                (0, 1),
                (3, table.num_entries - 1),
                (table.num_entries // 2, table.num_entries),
            ]:
                assert (
                    difference(
                        table.read(names, start, stop), expected.read(names, start, stop)
                    )
                    is None
                )
            assert (
                difference(
                    read_all(table, names[:1]),
                    expected.read(names[:1], 0, expected.num_entries),
                )
                is None
            )


def chunks(path: Path) -> list[bytes]:
    with ft.File(path) as file:
        return [file.raw(s) for s in file.sections if s.kind is SectionKind.CHUNK]


class TestEvents:
    @pytest.mark.parametrize(
        "order", [(0, 1), (1, 0), (0, 1, 2, 3), (3, 2, 1, 0), (3, 3), (2, 0, 2)], ids=str
    )
    def test_are_those_of_all_files(
        self, folder: Path, tmp_path: Path, order: tuple[int, ...]
    ) -> None:
        size = merge(paths(folder, *order), tmp_path / "merged.ftup")
        assert size == (tmp_path / "merged.ftup").stat().st_size
        assert_concatenates(tmp_path / "merged.ftup", paths(folder, *order))

    def test_are_copied_byte_by_byte(self, folder: Path, tmp_path: Path) -> None:
        merge(paths(folder, 0, 1, 2), tmp_path / "merged.ftup")
        made = [c for path in paths(folder, 0, 1, 2) for c in chunks(path)]
        assert [c[FRAME_SIZE:] for c in chunks(tmp_path / "merged.ftup")] == [
            c[FRAME_SIZE:] for c in made
        ]

    def test_keep_their_bounds_and_ranges(self, folder: Path, tmp_path: Path) -> None:
        merge(paths(folder, 0, 1, 2), tmp_path / "merged.ftup")
        found = ft.decompress(tmp_path / "merged.ftup")
        original = np.concatenate(
            [events(number, EVENTS[number])["x"] for number in range(3)]
        )
        assert np.abs(found["x"].to_numpy() - original).max() <= 0.5
        assert (found["x", 0], found["x", 29], found["x", 30]) == (0.1, 9.85, 100.1)
        meta = ft.info(tmp_path / "merged.ftup")
        assert meta["tables"][0]["events"] == 91

    def test_of_files_that_were_merged(self, folder: Path, tmp_path: Path) -> None:
        """Merging is associative: the bytes are the same, except for the provenance."""
        a, b, c, d = paths(folder, 0, 1, 2, 3)
        merge([a, b], tmp_path / "ab.ftup")
        merge([tmp_path / "ab.ftup", c], tmp_path / "ab-c.ftup")
        merge([c, d], tmp_path / "cd.ftup")
        merge([tmp_path / "ab.ftup", tmp_path / "cd.ftup"], tmp_path / "ab-cd.ftup")
        merge([a, b, c, d], tmp_path / "abcd.ftup")
        assert_concatenates(tmp_path / "ab-c.ftup", [a, b, c])
        assert_concatenates(tmp_path / "ab-cd.ftup", [a, b, c, d])
        metas = [pieces(tmp_path / f"{name}.ftup") for name in ("ab-cd", "abcd")]
        assert metas[0][0]["tables"] == metas[1][0]["tables"]
        assert metas[0][2] == metas[1][2]
        with ft.File(tmp_path / "ab-cd.ftup") as file:
            assert [len(p["merged"]) for p in file.meta["provenance"]["merged"]] == [2, 2]

    def test_over_one_of_the_files(self, folder: Path, tmp_path: Path) -> None:
        for path in paths(folder, 0, 1):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        merge(paths(tmp_path, 0, 1), tmp_path / "0.ftup")
        assert_concatenates(tmp_path / "0.ftup", paths(folder, 0, 1))

    def test_of_none(self, folder: Path, tmp_path: Path) -> None:
        none = {name: values[:0] for name, values in events(0, 3).items()}
        ft.compress(none, tmp_path / "none.ftup", tolerance=TOLERANCE)
        merge([tmp_path / "none.ftup"] * 2, tmp_path / "merged.ftup")
        assert (
            ft.decompress(tmp_path / "merged.ftup").type
            == ft.decompress(tmp_path / "none.ftup").type
        )

    def test_of_none_beside_some(self, tmp_path: Path) -> None:
        some = {"x": np.linspace(0.1, 5, 9), "k": np.arange(9)}
        ft.compress(some, tmp_path / "some.ftup", tolerance={"x": "abs:0.5"})
        ft.compress(
            {n: v[:0] for n, v in some.items()},
            tmp_path / "none.ftup",
            tolerance={"x": "abs:0.5"},
        )
        for order in (
            ["some", "none"],
            ["none", "some"],
            ["none", "some", "none", "some"],
        ):
            names = [tmp_path / f"{name}.ftup" for name in order]
            try:
                merge(names, tmp_path / "merged.ftup")
            except InvalidArgument as error:
                assert "has another bound or lattice" in str(error)  # noqa: PT017
                continue
            found = ft.decompress(tmp_path / "merged.ftup")
            assert (
                found.to_list()
                == order.count("some") * ft.decompress(tmp_path / "some.ftup").to_list()
            )


class TestModels:
    @pytest.fixture(scope="class")
    @classmethod
    def models(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        made = tmp_path_factory.mktemp("models")
        for name, seed in (("m", 1), ("other", 2)):
            table = dataset_from_memory(dependent_events(2000, seed)).tables["events"]
            write_model(
                table, made / f"{name}.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE
            )
        for number in range(3):
            for name, refer in (("inside", False), ("elsewhere", True)):
                ft.compress(
                    dependent_events(300, number + 5),
                    made / f"{name}{number}.ftup",
                    model=made / "m.flow",
                    model_ref=refer,
                )
        ft.compress(
            dependent_events(300, 5), made / "another.ftup", model=made / "other.flow"
        )
        ft.compress(
            dependent_events(300, 5),
            made / "without.ftup",
            tolerance=DEPENDENT_TOLERANCE,
            effort="fast",
        )
        return made

    def test_are_stored_once(self, models: Path, tmp_path: Path) -> None:
        parts = [models / f"inside{number}.ftup" for number in range(3)]
        merge(parts, tmp_path / "merged.ftup")
        assert_concatenates(tmp_path / "merged.ftup", parts)
        with ft.File(tmp_path / "merged.ftup") as file, ft.File(parts[0]) as first:
            assert file.table().model_bytes == first.table().model_bytes
            assert len([s for s in file.sections if s.kind is SectionKind.MODEL]) == 1
            assert len({repr(c.part.lattices["b"]) for c in file.table().chunks}) == 3

    @pytest.mark.parametrize(
        "order",
        [
            ("elsewhere0", "elsewhere1"),
            ("inside0", "elsewhere1"),
            ("elsewhere0", "inside1"),
        ],
        ids=str,
    )
    def test_kept_elsewhere(
        self, models: Path, tmp_path: Path, order: tuple[str, ...]
    ) -> None:
        """The first file says whether the model is inside."""
        parts = [models / f"{name}.ftup" for name in order]
        merge(parts, tmp_path / "merged.ftup")
        assert_concatenates(tmp_path / "merged.ftup", parts, models / "m.flow")
        if order[0] == "inside0":
            assert len(ft.decompress(tmp_path / "merged.ftup")) == 600
        else:
            with pytest.raises(
                InvalidArgument, match=r"needs the model [0-9a-f]{16}, kept elsewhere"
            ):
                ft.decompress(tmp_path / "merged.ftup")

    @pytest.mark.parametrize("name", ["another", "without"])
    def test_others_are_refused(self, models: Path, tmp_path: Path, name: str) -> None:
        message = (
            rf"{name}\.ftup against .*inside0\.ftup: table 'events' is coded by another model; "
            "compress both with one"
        )
        refused([models / "inside0.ftup", models / f"{name}.ftup"], tmp_path, message)

    def test_alone_are_refused(self, models: Path, tmp_path: Path) -> None:
        message = r"m\.flow against .*: a model holds no events to merge"
        refused([models / "m.flow", models / "m.flow"], tmp_path, message)
        refused([models / "inside0.ftup", models / "m.flow"], tmp_path, message)


def refused(
    files: Sequence[Path],
    folder: Path,
    message: str,
    kind: type[Exception] = InvalidArgument,
) -> None:
    target = folder / "refused.ftup"
    target.write_bytes(b"was there")
    before = sorted(folder.iterdir())
    with pytest.raises(kind, match=message):
        merge(files, target)
    assert (target.read_bytes(), sorted(folder.iterdir())) == (b"was there", before)


class TestRefusals:
    def test_fewer_than_two(self, folder: Path, tmp_path: Path) -> None:
        refused(
            [folder / "0.ftup"],
            tmp_path,
            r"refused\.ftup: is to be merged of 1 files; name two or more",
        )
        refused([], tmp_path, "of 0 files")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": None}, r"column 'x' is missing"),
            ({"more": np.arange(5)}, r"column 'more' is additional"),
            ({"x": np.arange(5)}, r"column 'x' is int64 .*, not float64"),
            (
                {"x": np.linspace(0, 1, 5).astype("f4")},
                r"column 'x' is float32 .*, not float64 ",
            ),
            (
                {"n": np.ones((5, 2), np.int64)},
                r"column 'n' is int64 \[2\] .*, not int64 ",
            ),
            ({"text": np.arange(5)}, r"column 'text' is int64 .*, not opaque "),
        ],
        ids=["fewer", "more", "integers", "float32", "shape", "opaque"],
    )
    def test_other_columns(
        self, folder: Path, tmp_path: Path, change: Mapping[str, Any], message: str
    ) -> None:
        made = {
            name: values
            for name, values in (events(0, 5) | dict(change)).items()
            if values is not None
        }
        bounds = {name: bound for name, bound in TOLERANCE.items() if name in made}
        ft.compress(made, tmp_path / "other.ftup", tolerance=bounds)
        refused(
            [folder / "0.ftup", tmp_path / "other.ftup"],
            tmp_path,
            rf"other\.ftup against .*0\.ftup.*: .*{message}",
        )

    def test_another_order(self, folder: Path, tmp_path: Path) -> None:
        made = events(0, 5)
        ft.compress(
            {"n": made.pop("n"), **made}, tmp_path / "other.ftup", tolerance=TOLERANCE
        )
        refused(
            [folder / "0.ftup", tmp_path / "other.ftup"],
            tmp_path,
            "has its columns in another order",
        )

    @pytest.mark.parametrize(
        ("column", "bound"),
        [("x", "abs:0.25"), ("x", "lossless"), ("n", "abs:2"), ("q", "bits:4")],
    )
    def test_other_bounds(
        self, folder: Path, tmp_path: Path, column: str, bound: str
    ) -> None:
        ft.compress(
            events(0, 5), tmp_path / "other.ftup", tolerance=TOLERANCE | {column: bound}
        )
        message = (
            rf"other\.ftup against .*: table 'events': column '{column}' has another bound or "
            "lattice; compress both with"
        )
        refused(
            [folder / "0.ftup", folder / "1.ftup", tmp_path / "other.ftup"],
            tmp_path,
            message,
        )

    def test_another_role(self, folder: Path, tmp_path: Path) -> None:
        ft.compress(
            events(0, 5),
            tmp_path / "other.ftup",
            tolerance=TOLERANCE,
            selection=ft.Selection(roles={"n": "id"}),
        )
        refused(
            [folder / "0.ftup", tmp_path / "other.ftup"],
            tmp_path,
            "column 'n' is int64 of role 'id', not int64 of role 'value'",
        )

    def test_given_columns(self, tmp_path: Path) -> None:
        ft.compress(
            {"x": np.arange(5), "y": np.arange(5)}, tmp_path / "given.ftup", given=["x"]
        )
        refused(
            [tmp_path / "given.ftup"] * 2,
            tmp_path,
            r"table 'events': has given columns, .*merge them decompressed",
        )

    def test_other_trees(self, folder: Path, tmp_path: Path) -> None:
        with uproot.recreate(tmp_path / "other.root") as file:
            file.mktree("Events", {"x": "f8"}).extend({"x": np.arange(5.0)})
        ft.compress(tmp_path / "other.root", tmp_path / "other.ftup")
        message = r"other\.ftup against .*0\.ftup: holds the trees Events, not events"
        refused([folder / "0.ftup", tmp_path / "other.ftup"], tmp_path, message)

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize(
        "place", ["head", "frame", "body", "description", "index", "end"]
    )
    def test_damage(self, folder: Path, tmp_path: Path, which: int, place: str) -> None:
        data = bytearray((folder / "2.ftup").read_bytes())
        with ft.File(folder / "2.ftup") as file:
            section = file.table().chunks[1].section
            ends = {"description": 80, "index": file.size - 40, "end": file.size - 1}
        starts = {
            "head": section.begin + 4,
            "frame": section.offset + 20,
            "body": section.stop - 1,
        }
        data[(ends | starts)[place]] ^= 8
        (tmp_path / "damaged.ftup").write_bytes(data)
        files = [folder / "0.ftup", tmp_path / "damaged.ftup"]
        refused(
            files[:: 1 - 2 * which],
            tmp_path,
            r"damaged\.ftup: ",
            Truncated if place == "end" else Corrupt,
        )


class TestTreesAndObjects:
    @pytest.fixture
    def files(self, tmp_path: Path) -> list[Path]:
        """Two files of two trees and three objects each, one of which is the same in both."""
        for number in range(2):
            with uproot.recreate(tmp_path / f"{number}.root") as file:
                x = np.linspace(0.1, 9.8, 40 + number) + 100 * number
                file.mktree("Events", {"x": "f8", "k": "i4"}).extend(
                    {"x": x, "k": np.arange(40 + number, dtype="i4")}
                )
                file.mktree("Runs", {"run": "i4"}).extend(
                    {"run": np.arange(3, dtype="i4") + number}
                )
                file["same"] = np.histogram(np.arange(50), bins=5)
                file["differs"] = np.histogram(np.arange(50) + number, bins=5)
                file[f"only{number}"] = np.histogram(np.arange(50), bins=5)
            ft.compress(
                tmp_path / f"{number}.root",
                tmp_path / f"{number}.ftup",
                tolerance={"x": "abs:0.5"},
            )
        return paths(tmp_path, 0, 1)

    def test_objects_that_differ_are_refused(self, files: list[Path]) -> None:
        refused(
            files,
            files[0].parent,
            r"0\.ftup: carries '(differs|only0)', which is not the same in all files; .*`drop=`",
        )

    def test_or_left_out(self, files: list[Path], tmp_path: Path) -> None:
        merge(files, tmp_path / "merged.ftup", drop=True)
        assert_concatenates(tmp_path / "merged.ftup", files)
        with ft.File(tmp_path / "merged.ftup") as file, ft.File(files[0]) as first:
            assert file.carried == {"same": first.carried["same"]}
            assert [t.num_entries for t in file.tables.values()] == [81, 6]

    def test_objects_that_are_the_same_stay(
        self, files: list[Path], tmp_path: Path
    ) -> None:
        merge([files[0], files[0]], tmp_path / "merged.ftup")
        with ft.File(tmp_path / "merged.ftup") as file, ft.File(files[0]) as first:
            assert file.carried == first.carried
            assert list(file.carried) == ["same", "differs", "only0"]

    def test_order_of_trees_matters(self, files: list[Path], tmp_path: Path) -> None:
        meta, sections, contents = pieces(files[0])
        swapped = {**meta, "tables": meta["tables"][::-1]}
        owned = [
            replace(s, owner=1 - s.owner) if s.kind is SectionKind.CHUNK else s
            for s in sections
        ]
        assemble(tmp_path / "swapped.ftup", swapped, owned, contents)
        refused(
            [files[0], tmp_path / "swapped.ftup"],
            tmp_path,
            "holds the trees Runs, Events, not Events, Runs",
        )

    def test_command(
        self,
        files: list[Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def run(code: int, *words: object) -> str:
            monkeypatch.setattr(sys, "argv", ["flowtuple", "merge", *map(str, words)])
            with pytest.raises(SystemExit, match=f"^{code}$"):
                cli.main()
            shown = capsys.readouterr()
            return shown.err if code else shown.out

        target = tmp_path / "merged.ftup"
        assert run(2, *files, "-o", target).count("\n") == 1
        assert (
            run(2, files[0], "-o", target)
            == f"flowtuple: {target}: is to be merged of 1 files; name two or more\n"
        )
        assert not target.exists()
        found = json.loads(run(0, *files, "-o", target, "--drop", "--json"))
        left_out = found.pop("left_out")
        assert found == {"path": str(target), "file_bytes": target.stat().st_size}
        assert {part["reason"] for part in left_out} == {
            "the merged files hold different ones"
        }
        assert "differs" in {part["name"] for part in left_out}
        assert run(0, *files, "-o", target, "--drop").endswith(" from 2 files\n")
        assert_concatenates(target, files)


def test_the_name_of_another_format_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "keep.root").write_bytes(b"events")
    with pytest.raises(
        InvalidArgument, match=r"keep\.root: has the suffix of another format"
    ):
        merge(paths(folder, 0, 1), tmp_path / "keep.root")
    assert (tmp_path / "keep.root").read_bytes() == b"events"
