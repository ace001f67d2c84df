"""Rows of bytes by column and part add up to every file, to the byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

import flowtuple as ft
from flowtuple.codec.column import Method
from flowtuple.codec.packing import unzstd
from flowtuple.file.acceptance import pack_acceptance
from flowtuple.file.layout import FRAME_SIZE
from flowtuple.file.ledger import PARTS, Ledger, apportioned
from flowtuple.file.model import pack_flow, pack_rules
from flowtuple.io.memory import dataset_from_memory
from flowtuple.training import write_events
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def assert_adds_up(path: Path, **options: Any) -> Mapping[str, Any]:
    """Check all that `info` says about bytes against the file."""
    found: dict[str, Any] = ft.info(path, **options)
    rows = found["rows"]
    assert sum(row["bytes"] for row in rows) == found["bytes"] == path.stat().st_size
    assert all(row["bytes"] >= 0 and row["kind"] in PARTS for row in rows)
    assert len({(row["kind"], row["table"], row["name"]) for row in rows}) == len(rows)

    def size(*kinds: str) -> int:
        return sum(row["bytes"] for row in rows if row["kind"] in kinds)

    sections = found["sections"]
    assert size("description") == sections["description"]
    assert size("column_model", "model") == sections["model"]
    assert size("column", "given", "directory", "frame") == sections["chunk"]
    assert size("carried") == sections["carried"]
    assert size("header", "index") == sections["index"]
    assert [r["name"] for r in rows if r["kind"] == "carried"] == found["carried"]
    tables = found["tables"]
    assert size("column", "given") == sum(
        c["bytes"] for t in tables for c in t["columns"]
    )
    of_columns = sum(c["model_bytes"] for t in tables for c in t["columns"])
    assert size("column_model") == of_columns
    assert sum(t["model_bytes"] for t in tables) == sections["model"] >= of_columns
    return found


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.ftup")), ids=lambda p: p.stem)
def test_golden_files_add_up(path: Path) -> None:
    found = assert_adds_up(path)
    if path.stem == "flow":
        assert any(c["model_bytes"] for c in found["tables"][0]["columns"])
    if path.stem == "awkward":
        assert (found["carried"], len(found["tables"]) > 1) == (["note"], True)


def test_rules_and_acceptance_are_no_bytes_of_columns() -> None:
    path = GOLDEN / "events.ftup"
    rows = {(r["table"], r["name"]): r for r in ft.info(path)["rows"]}
    with ft.File(path) as file:
        table = file.tables["events"]
        flow, head = table.flow, table.model_section.head
        numbers = {c.name: k for k, c in enumerate(table.columns)}
        content = len(unzstd(pack_flow(flow, table.columns)))
    assert flow.acceptance is not None
    for name, packed in {
        "rules": pack_rules(flow.rules, numbers),
        "acceptance": pack_acceptance(flow.acceptance, numbers),
    }.items():
        row = rows["events", name]
        assert row["kind"] == "model"
        assert row["bytes"] == pytest.approx(head * len(packed) / content, rel=0.02)
        assert ("leaf", name) not in rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with a model, with its hash, merged ones, and one of two trees and an object."""
    made = tmp_path_factory.mktemp("ledger")
    table = dataset_from_memory(dependent_events(400, 2)).tables["events"]
    write_model(table, made / "m.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_events, "CHUNK_ENTRIES", 64)
        for name, reference in (("a", False), ("b", False), ("elsewhere", True)):
            ft.compress(
                dependent_events(300, ord(name[0])),
                made / f"{name}.ftup",
                model=made / "m.flow",
                model_ref=reference,
            )
    ft.merge([made / "a.ftup", made / "b.ftup"], made / "merged.ftup")
    with uproot.recreate(made / "trees.root") as file:
        file.mktree("Events", {"x": "f8", "y": "i4"}).extend(
            {"x": np.arange(90.0), "y": np.arange(90, dtype="i4") // 7}
        )
        file.mktree("Runs", {"x": "f8"}).extend({"x": np.arange(3.0) + 100})
        file["h"] = np.histogram(np.arange(9.0))
    ft.compress(made / "trees.root", made / "trees.ftup")
    return made


class TestFiles:
    @pytest.mark.parametrize("name", ["m.flow", "a.ftup", "merged.ftup", "trees.ftup"])
    def test_adds_up(self, folder: Path, name: str) -> None:
        found = assert_adds_up(folder / name)
        assert found["sections"]["model"] > 0 or name == "trees.ftup"

    def test_a_model_elsewhere_is_in_no_row(self, folder: Path) -> None:
        for model in (None, folder / "m.flow"):
            found = assert_adds_up(folder / "elsewhere.ftup", model=model)
            assert found["sections"]["model"] == 0

    def test_merging_adds_up_the_columns_and_has_one_model(self, folder: Path) -> None:
        one, other, both = (
            {(r["kind"], r["name"]): r["bytes"] for r in ft.info(folder / name)["rows"]}
            for name in ("a.ftup", "b.ftup", "merged.ftup")
        )
        for key, size in both.items():
            if key[0] in ("column", "directory"):  # the shares are rounded once a file
                assert abs(size - one[key] - other[key]) <= 1
            if key[0] in ("column_model", "model"):
                assert size == one[key] == other[key]

    def test_every_part_of_two_trees_and_an_object(self, folder: Path) -> None:
        rows = ft.info(folder / "trees.ftup")["rows"]
        assert [(r["table"], r["name"]) for r in rows] == [
            ("Events", "x"),
            ("Events", "y"),
            ("Events", "directories and checksums"),
            ("Events", "frames"),
            ("Runs", "x"),
            ("Runs", "directories and checksums"),
            ("Runs", "frames"),
            ("", "description"),
            ("", "h"),
            ("", "header and trailer"),
            ("", "index"),
        ]


def test_the_model_has_one_size(folder: Path, tmp_path: Path) -> None:
    done = ft.compress(
        dependent_events(300, 1), tmp_path / "x.ftup", model=folder / "m.flow"
    )
    found = ft.info(tmp_path / "x.ftup")
    assert done.model_bytes == found["sections"]["model"] > FRAME_SIZE
    assert done.model_bytes == found["tables"][0]["model_bytes"]


def test_columns_of_one_frame_share_its_bytes(tmp_path: Path) -> None:
    """Content of zeros takes more bytes than the frame that holds it."""
    draw = np.random.default_rng(0).integers(0, 5, 40)
    counts = np.arange(40) % 3
    events = {
        "a": draw,
        "b": draw[::-1].copy(),
        "jets": ak.unflatten(np.arange(counts.sum()) % 2, counts),
        "text": [f"{k}" for k in range(40)],
    }
    ft.compress(events, tmp_path / "x.ftup")
    assert_adds_up(tmp_path / "x.ftup")
    with ft.File(tmp_path / "x.ftup") as file:
        (directory,) = file.table().directories()
        sizes = Ledger.of(file).columns
    shared = [n for n, e in directory.entries.items() if e.method is Method.GROUP]
    assert len(shared) > 1
    assert sum(sizes["events", name] for name in shared) == directory.shared
    assert sizes["events", "text"] == directory.entries["text"].payload


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**5), min_size=1, max_size=9))
def test_shares_add_up_and_follow_the_weights(total: int, weights: list[int]) -> None:
    found = apportioned(total, {str(k): weight for k, weight in enumerate(weights)})
    whole = sum(weights)
    assert sum(found.values()) == (total if whole else 0)
    for share, weight in zip(found.values(), weights, strict=True):
        assert abs(share * whole - total * weight) < max(whole, 1)


def test_a_file_of_no_events(tmp_path: Path) -> None:
    ft.compress({"x": np.array([]), "y": np.array([], "i4")}, tmp_path / "x.ftup")
    found = assert_adds_up(tmp_path / "x.ftup")
    assert [c["bytes"] for c in found["tables"][0]["columns"]] == [0, 0]


def test_parts_are_summed_in_order(folder: Path) -> None:
    found = ft.info(folder / "merged.ftup")
    parts, chunks = found["parts"], found["tables"][0]["chunks"]
    assert parts["chunk frames"] == FRAME_SIZE * chunks > FRAME_SIZE
    assert list(parts) == [
        part for part in dict.fromkeys(PARTS.values()) if part in parts
    ]
    assert sum(parts.values()) == found["bytes"]
    assert parts["model"] == found["sections"]["model"]
    assert parts["header and index"] == found["sections"]["index"]
