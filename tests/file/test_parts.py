"""Tables of several parts: each part's events are decoded with its own ranges."""

import copy

import numpy as np
import pytest

import flowtuple as ft
from dissect import assemble, merge, pieces
from flowtuple.data.table import concatenate, difference, read_all
from flowtuple.errors import Corrupt
from flowtuple.file.description import parse_table
from flowtuple.file.layout import Section, SectionKind
from flowtuple.io.memory import dataset_from_memory
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

TOLERANCE = {"x": "abs:0.5", "Jet_pt": "abs:0.5"}
EVENTS = (30, 20, 40)


def events(number):
    """Values at the ends of ranges that differ by less than a lattice step: decoding needs them."""
    x = np.linspace(0.1, 9.85, EVENTS[number]) + 100 * number
    jets = [[value + 0.03] * (k % 3) for k, value in enumerate(x)]
    return {
        "x": x,
        "Jet_pt": jets,
        "n": np.arange(EVENTS[number]),
        "text": [f"{number}-{k}" for k in range(EVENTS[number])],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files and what they are merged into; the chunks of the first are small."""
    made = tmp_path_factory.mktemp("parts")
    for number in range(3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "flowtuple.training.write_events.CHUNK_ENTRIES",
                12 if number == 0 else 2**14,
            )
            ft.compress(events(number), made / f"{number}.ftup", tolerance=TOLERANCE)
    merge(made / "merged.ftup", [made / f"{number}.ftup" for number in range(3)])
    return made


@pytest.fixture(scope="module")
def expected(folder):
    tables = []
    for number in range(3):
        with ft.File(folder / f"{number}.ftup") as file:
            tables.append(read_all(file.table()))
    return concatenate(tables)


def refused(folder, change, message):
    """The merged file with another description is Corrupt."""
    meta, sections, contents = pieces(folder / "merged.ftup")
    table = copy.deepcopy(meta["tables"][0])
    change(table)
    assemble(folder / "refused.ftup", meta | {"tables": [table]}, sections, contents)
    with pytest.raises(Corrupt, match=rf"refused\.ftup: .*{message}"):
        ft.File(folder / "refused.ftup")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_each_part_is_decoded_with_its_ranges(folder, expected, workers):
    with ft.File(folder / "merged.ftup", resources=ft.Resources(workers=workers)) as file:
        table = file.table()
        assert [c.begin for c in table.chunks] == [0, 8, 16, 24, 30, 50]
        assert [c.part.entries for c in table.chunks] == [30, 30, 30, 30, 20, 40]
        assert difference(read_all(table), expected) is None
        names, edges = (
            [c.name for c in table.columns],
            [0, 7, 8, 29, 30, 31, 49, 50, 51, 89, 90],
        )
        for start in edges:
            for stop in edges:
                if start < stop:
                    assert (
                        difference(
                            table.read(names, start, stop),
                            expected.read(names, start, stop),
                        )
                        is None
                    )
        assert (
            difference(read_all(table, ["Jet_pt"]), expected.read(["Jet_pt"], 0, 90))
            is None
        )


def test_bounds_and_ends_hold(folder):
    found = ft.decompress(folder / "merged.ftup")["x"].to_numpy()
    original = np.concatenate([events(number)["x"] for number in range(3)])
    assert np.abs(found - original).max() <= 0.5
    ends = np.cumsum(EVENTS)
    for begin, stop in zip([0, *ends], ends, strict=False):
        assert (
            original[begin:stop].min()
            <= found[begin:stop].min()
            <= found[begin:stop].max()
            <= original[begin:stop].max()
        )


def test_ranges_of_parts_stand_in_place_of_those_of_the_lattice(folder, expected):
    """Decoding with the range of another part gives other values: this is what parts are for."""
    meta, sections, contents = pieces(folder / "merged.ftup")
    table = copy.deepcopy(meta["tables"][0])
    target = folder / "other.ftup"
    for column in table["columns"]:
        if "range" in column.get("lattice", {}):
            column["lattice"]["range"] = [-1e9, 1e9]
    assemble(target, meta | {"tables": [table]}, sections, contents)
    with ft.File(target) as file:
        assert difference(read_all(file.table()), expected) is None
    del table["parts"]
    assemble(target, meta | {"tables": [table]}, sections, contents)
    with ft.File(target) as file:
        assert (
            difference(read_all(file.table(), ["x"]), expected.read(["x"], 0, 90))
            == "column 'x' differs"
        )
        assert (
            difference(
                read_all(file.table(), ["n", "text"]), expected.read(["n", "text"], 0, 90)
            )
            is None
        )


def test_columns_without_a_range_in_a_part_keep_that_of_the_lattice(folder, expected):
    meta, sections, contents = pieces(folder / "merged.ftup")
    table = copy.deepcopy(meta["tables"][0])
    for part in table["parts"][:1]:
        del part["ranges"]["x"]
    del table["parts"][0]["ranges"]["Jet_pt"]
    assert (
        table["columns"][0]["lattice"]["range"]
        == meta["tables"][0]["parts"][0]["ranges"]["x"]
    )
    assemble(folder / "less.ftup", meta | {"tables": [table]}, sections, contents)
    with ft.File(folder / "less.ftup") as file:
        assert difference(read_all(file.table()), expected) is None
    for part in table["parts"]:
        part["ranges"] = {}
    with_lattice = parse_table(table)
    assert [p.lattices for p in with_lattice.parts] == [with_lattice.lattices] * 3


def test_flow_codes_all_parts(tmp_path):
    model = dataset_from_memory(dependent_events(2000, 1)).tables["events"]
    write_model(model, tmp_path / "m.flow", DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    paths, tables = [tmp_path / f"{k}.ftup" for k in range(3)], []
    for k, path in enumerate(paths):
        ft.compress(
            dependent_events(300, k + 5), path, model=tmp_path / "m.flow", model_ref=k > 0
        )
        with ft.File(path, model=tmp_path / "m.flow") as file:
            tables.append(read_all(file.table()))
    merge(tmp_path / "merged.ftup", paths)
    with ft.File(tmp_path / "merged.ftup") as file:
        table = file.table()
        assert len({repr(c.part.lattices["b"]) for c in table.chunks}) == 3
        assert difference(read_all(table), concatenate(tables)) is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((30, 20, 39), "has parts that do not add up to its events"),
        ((30, 20, 41), "has parts that do not add up to its events"),
        ((30, 20), "has parts that do not add up to its events"),
        ((), "has parts that do not add up to its events"),
        ((31, 20, 40, -1), "has parts that do not add up to its events"),
        ((30.0, 20, 40), "has parts that do not add up to its events"),
        ((89, True), "has parts that do not add up to its events"),
        ((2**63, 90 - 2**63), "has parts that do not add up to its events"),
        (("90",), "has parts that do not add up to its events"),
        ((29, 21, 40), "table 'events' has a chunk that lies in two parts"),
        ((31, 19, 40), "table 'events' has a chunk that lies in two parts"),
        ((30, 59, 1), "table 'events' has a chunk that lies in two parts"),
        ((1,) * 90, "table 'events' has a chunk that lies in two parts"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_corrupt(folder, entries, message):
    refused(
        folder,
        lambda table: table.update(parts=[{"entries": n, "ranges": {}} for n in entries]),
        message,
    )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({}, "description of table 0 lacks 'entries'"),
        (None, "description of table 0 is not what it should be"),
        ([90], "description of table 0 is not what it should be"),
        ({"entries": 90, "ranges": None}, "is not what it should be"),
        ({"entries": 90, "ranges": [1, 2]}, "is not what it should be"),
        ({"entries": 90, "ranges": {"y": [0, 1]}}, "lacks 'y'"),
        ({"entries": 90, "ranges": {"text": [0, 1]}}, "lacks 'text'"),
        ({"entries": 90, "ranges": {"x": [0]}}, "is not what it should be"),
        ({"entries": 90, "ranges": {"x": [0, 1, 2]}}, "is not what it should be"),
        ({"entries": 90, "ranges": {"x": 5}}, "is not what it should be"),
        ({"entries": 90, "ranges": {"x": "ab"}}, "describes a range that does not exist"),
        (
            {"entries": 90, "ranges": {"x": [None, 1.0]}},
            "describes a range that does not exist",
        ),
        (
            {"entries": 90, "ranges": {"x": [True, False]}},
            "describes a range that does not exist",
        ),
        (
            {"entries": 90, "ranges": {"x": [0, 10**400]}},
            "describes a range that does not exist",
        ),
        ({"entries": 90, "ranges": {"n": [0, 1]}}, "gives a range to a lossless column"),
    ],
    ids=str,
)
def test_parts_that_are_none_are_corrupt(folder, part, message):
    refused(folder, lambda table: table.update(parts=[part]), message)


@pytest.mark.parametrize("parts", [None, {}, "x", 5, {"entries": 90}])
def test_parts_that_are_no_list_are_corrupt(folder, parts):
    refused(folder, lambda table: table.update(parts=parts), "description of table 0 ")


def test_parts_without_events(folder, expected):
    meta, sections, contents = pieces(folder / "merged.ftup")
    table = copy.deepcopy(meta["tables"][0])
    none = {"entries": 0, "ranges": {"x": [-1.0, 1.0]}}
    first, second, third = table["parts"]
    table["parts"] = [none, first, none, none, second, third, none]
    assemble(folder / "none.ftup", meta | {"tables": [table]}, sections, contents)
    with ft.File(folder / "none.ftup") as file:
        assert difference(read_all(file.table()), expected) is None


@pytest.mark.parametrize("parts", [[], [{"entries": 0}]], ids=["none", "empty"])
def test_chunks_without_events_in_a_table_without_events(tmp_path, parts):
    """Nobody writes one; a reader may refuse it or read nothing."""
    ft.compress({"x": np.arange(3)}, tmp_path / "x.ftup")
    meta, (chunk,), contents = pieces(tmp_path / "x.ftup")
    table = meta["tables"][0] | {"entries": 0, "parts": parts}
    empty = Section(SectionKind.CHUNK, 0, 0, chunk.head, 0, 0)
    assemble(tmp_path / "empty.ftup", meta | {"tables": [table]}, [empty], contents)
    try:
        with ft.File(tmp_path / "empty.ftup") as file:
            assert len(file.arrays()) == 0
    except Corrupt as error:
        assert str(error).startswith(f"{tmp_path / 'empty.ftup'}: ")  # noqa: PT017
