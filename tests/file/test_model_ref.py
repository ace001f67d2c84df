"""Files that keep only the hash of their model: readers bring that model, and no other will do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
from flowtuple import cli
from flowtuple.data.table import read_all
from flowtuple.file.layout import SectionKind
from flowtuple.io.memory import dataset_from_memory
from flowtuple.io.source import WriteOptions, open_dataset, write_dataset
from flowtuple.reporting.describe import info
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

EVENTS = 400


def make_model(path: Path, seed: int) -> Path:
    table = dataset_from_memory(dependent_events(2000, seed)).tables["events"]
    write_model(table, path, DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, another one, and the same events with the model inside and kept elsewhere."""
    made = tmp_path_factory.mktemp("references")
    model = make_model(made / "m.flow", 1)
    make_model(made / "other.flow", 2)
    for name, refer in (("inside.ftup", False), ("elsewhere.ftup", True)):
        ft.compress(
            dependent_events(EVENTS, 3), made / name, model=model, model_ref=refer
        )
    return made


def assert_same_events(folder: Path, model: Path) -> None:
    inside = ft.decompress(folder / "inside.ftup")
    assert (
        ft.decompress(folder / "elsewhere.ftup", model=model).tolist() == inside.tolist()
    )


class TestReading:
    def test_same_events(self, folder: Path) -> None:
        assert_same_events(folder, folder / "m.flow")
        found = ft.verify(
            dependent_events(EVENTS, 3),
            folder / "elsewhere.ftup",
            model=folder / "m.flow",
        )
        assert [c.violations for c in found] == [0] * len(found)

    def test_a_file_with_the_model_inside_is_that_model(self, folder: Path) -> None:
        assert_same_events(folder, folder / "inside.ftup")

    def test_smaller_by_the_model(self, folder: Path) -> None:
        with ft.File(folder / "inside.ftup") as file:
            model_bytes = file.tables["events"].model_bytes
        sizes = [
            (folder / name).stat().st_size for name in ("inside.ftup", "elsewhere.ftup")
        ]
        assert model_bytes > 200
        # the hash in the description, an entry of the index
        assert abs(model_bytes - (sizes[0] - sizes[1])) <= 40

    def test_same_chunks(self, folder: Path) -> None:
        chunks = []
        for name in ("inside.ftup", "elsewhere.ftup"):
            with ft.File(folder / name) as file:
                chunks.append(
                    [file.raw(s) for s in file.sections if s.kind is SectionKind.CHUNK]
                )
        assert chunks[0] == chunks[1]

    def test_info_without_the_model(self, folder: Path) -> None:
        with ft.File(folder / "m.flow") as file:
            (reference,) = [table.model_hash for table in file.tables.values()]
        (alone,), (beside,) = (
            info(folder / "elsewhere.ftup", m)["tables"]
            for m in (None, folder / "m.flow")
        )
        assert alone["model_reference"] == beside["model_reference"] == reference
        assert alone["model_bytes"] == beside["model_bytes"] == 0
        parents = (
            {c["name"]: c["parents"] for c in alone["columns"]},
            {c["name"]: c["parents"] for c in beside["columns"]},
        )
        assert parents[0]["b"] == []
        assert parents[1]["b"] == ["a"]


class TestRefusals:
    @pytest.fixture
    def damaged(self, folder: Path, tmp_path: Path) -> Path:
        """The model with one bit of its weights turned."""
        with ft.File(folder / "m.flow") as file:
            (section,) = [s for s in file.sections if s.kind is SectionKind.MODEL]
        data = bytearray((folder / "m.flow").read_bytes())
        data[section.offset + section.length // 2] ^= 4
        (tmp_path / "damaged.flow").write_bytes(data)
        return tmp_path / "damaged.flow"

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            (
                None,
                (
                    "elsewhere.ftup: needs the model [0-9a-f]{16}, kept elsewhere; "
                    "name it with `model=`"
                ),
            ),
            (
                "other.flow",
                (
                    "elsewhere.ftup: needs the model [0-9a-f]{16}, "
                    ".*other.flow has the model [0-9a-f]{16}"
                ),
            ),
            (
                "elsewhere.ftup",
                "ftup: needs the model ([0-9a-f]{16}), .* has only the hash \\1 of a model",
            ),
            ("nope.flow", "nope.flow: no such file"),
        ],
        ids=["none", "another", "itself", "missing"],
    )
    @pytest.mark.parametrize("suffix", ["npz", "root"])
    def test_no_other_model(
        self, folder: Path, tmp_path: Path, model: str | None, message: str, suffix: str
    ) -> None:
        path = None if model is None else folder / model
        with pytest.raises(ft.InvalidArgument, match=message):
            ft.decompress(
                folder / "elsewhere.ftup", tmp_path / f"back.{suffix}", model=path
            )
        assert not list(tmp_path.iterdir())

    def test_an_altered_model(self, folder: Path, damaged: Path) -> None:
        back = damaged.parent / "back.npz"
        with pytest.raises(
            ft.Corrupt,
            match=r"damaged.flow: model section at bytes \d+ to \d+ is damaged",
        ):
            ft.decompress(folder / "elsewhere.ftup", back, model=damaged)
        assert not back.exists()

    def test_nothing_to_refer_to(self, tmp_path: Path) -> None:
        with pytest.raises(
            ft.InvalidArgument, match="has no model to refer to; name one with `model=`"
        ):
            ft.compress({"x": [1]}, tmp_path / "out.ftup", model_ref=True)
        assert not list(tmp_path.iterdir())

    def test_a_model_of_another_table(self, folder: Path, tmp_path: Path) -> None:
        ft.train({"x": np.arange(3)}, tmp_path / "x.flow", lean=True)
        with pytest.raises(
            ft.InvalidArgument,
            match=r"needs the model [0-9a-f]{16}, .*x.flow has the model of no table",
        ):
            ft.decompress(folder / "elsewhere.ftup", model=tmp_path / "x.flow")


def test_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compressed, read, verified and described by the command line, which says what is missing."""

    def run(code: int, *words: object) -> None:
        monkeypatch.setattr(sys, "argv", ["flowtuple", *map(str, words)])
        with pytest.raises(SystemExit, match=f"^{code}$"):
            cli.main()

    original, packed, model = (
        tmp_path / "original.root",
        tmp_path / "packed.ftup",
        tmp_path / "m.flow",
    )
    write_dataset(
        dataset_from_memory(dependent_events(EVENTS, 3)), original, WriteOptions()
    )
    write_model(
        read_all(open_dataset(original).tables["events"]),
        model,
        DEPENDENT_PARENTS,
        DEPENDENT_TOLERANCE,
    )
    run(0, "compress", original, "-o", packed, "--model", model, "--model-ref")
    run(0, "decompress", packed, "-o", tmp_path / "back.npz", "--model", model)
    run(0, "verify", original, packed, "--model", model)
    run(0, "info", packed)
    run(0, "info", packed, "--model", model)
    run(2, "verify", original, packed)
    assert "kept elsewhere; name it with --model" in capsys.readouterr().err
