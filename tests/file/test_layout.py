"""The file: a whole file is read back exactly, a damaged one is refused with the right error."""

import contextlib
import itertools
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtuple as ft
from dissect import assemble, pieces
from flowtuple import api
from flowtuple.codec.column import Method
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_signed
from flowtuple.data.schema import Column
from flowtuple.data.selection import select
from flowtuple.data.table import Table, difference, read_all
from flowtuple.errors import Corrupt, InvalidArgument, TooNew, Truncated
from flowtuple.file import layout
from flowtuple.file.layout import SectionKind
from flowtuple.file.model import pack_flow, unpack_flow
from flowtuple.file.storage import Storage
from flowtuple.file.writer import create
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.acceptance import Acceptance, acceptance_tree
from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent, collection_of
from flowtuple.lattice.event_features import EventFeature
from flowtuple.lattice.event_quantities import Quantity
from flowtuple.lattice.flow import ColumnFlow, LatticeFlow
from flowtuple.lattice.network import Layer, Network
from flowtuple.lattice.prediction import FUNCTIONS, Prediction, Term
from flowtuple.lattice.rules import Cut, Rule, cuts_rule
from flowtuple.lattice.tree import tree_of
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)


def small_events(events=40, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=events).astype(np.float32)
    x[::7] = np.nan
    jets = [draw.exponential(30, k).tolist() for k in draw.integers(0, 3, events)]
    block = draw.integers(0, 9, (events, 2), dtype=np.int16)
    return {
        "x": x,
        "run": np.arange(events, dtype=np.uint64),
        "Jet_pt": jets,
        "block": block,
        "text": ["é"] * events,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("container")


@pytest.fixture(scope="module")
def plain(folder):
    """A small file in three chunks, without a flow."""
    path = folder / "plain.ftup"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", 12)
        api.compress(small_events(), path, tolerance={"x": "abs:1e-2"})
    return path


@pytest.fixture(scope="module")
def model(folder):
    path = folder / "model.flow"
    table = dataset_from_memory(dependent_events(200, 1)).tables["events"]
    write_model(table, path, DEPENDENT_PARENTS, DEPENDENT_TOLERANCE)
    return path


@pytest.fixture(scope="module")
def flowing(folder, model):
    """A small file in three chunks whose columns a flow codes."""
    path = folder / "flowing.ftup"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", 200)
        api.compress(dependent_events(600, 2), path, model=model)
    return path


def read_everything(path):
    """Every byte of a file is looked at: index, models, chunks, carried objects."""
    with ft.File(path, resources=ft.Resources(workers=1)) as file:
        tables = {name: read_all(table) for name, table in file.tables.items()}
        for table in file.tables.values():
            assert table.flow is not None
        return tables, file.carried


def test_header_is_16_bytes_of_magic_versions_and_flags():
    assert layout.pack_header().hex() == "89465455500d0a1a" + "0100" + "0000" + "00000000"
    layout.check_header(layout.pack_header(), "file")


@pytest.mark.parametrize(
    ("major", "flags"),
    [(layout.MAJOR + 1, 0), (65535, 0), (layout.MAJOR, 4), (layout.MAJOR, 1 << 31)],
)
def test_later_format_is_too_new(plain, folder, major, flags):
    path = folder / "later.ftup"
    header = struct.pack("<8sHHI", layout.MAGIC, major, 3, flags)
    found = (
        f" with the unknown feature flags {flags:#x}"
        if flags
        else ", this flowtuple reads up to 1.x"
    )
    path.write_bytes(header + plain.read_bytes()[16:])
    with pytest.raises(
        TooNew,
        match=rf"later\.ftup: has format version {major}\.3{found}; update flowtuple",
    ):
        ft.File(path)


def test_later_minor_version_is_read(plain, folder):
    path = folder / "minor.ftup"
    data = plain.read_bytes()
    offset, length, _ = layout.unpack_trailer(
        data[-layout.TRAILER_SIZE :], len(data), "file"
    )
    header, index = (
        struct.pack("<8sHHI", layout.MAGIC, layout.MAJOR, layout.MINOR + 7, 0),
        data[offset : offset + length],
    )
    trailer = struct.pack(
        "<QQQ8s", offset, length, layout.checksum(header + index), layout.END_MAGIC
    )
    path.write_bytes(header + data[16:offset] + index + trailer)
    for name, table in read_everything(path)[0].items():
        assert difference(table, read_everything(plain)[0][name]) is None


@pytest.mark.parametrize("minor", [0, 1, 2, 65535])
def test_draft_is_refused_as_what_it_is(plain, folder, minor):
    path = folder / "draft.ftup"
    path.write_bytes(
        struct.pack("<8sHHI", layout.MAGIC, 0, minor, 0) + plain.read_bytes()[16:]
    )
    with pytest.raises(
        Corrupt,
        match=rf"draft\.ftup: has the draft format 0\.{minor}, .*; compress again",
    ):
        ft.File(path)


def test_trailer_finds_the_index():
    data = struct.pack("<QQQ8s", 100, 50, 7, layout.END_MAGIC)
    assert layout.unpack_trailer(data, 182, "file") == (100, 50, 7)
    with pytest.raises(
        Corrupt,
        match="end mark points to a place that does not fit its size of 183 bytes",
    ):
        layout.unpack_trailer(data, 183, "file")
    with pytest.raises(Corrupt, match="does not fit its size of 40 bytes"):
        layout.unpack_trailer(
            struct.pack("<QQQ8s", 8, 0, 7, layout.END_MAGIC), 40, "file"
        )
    with pytest.raises(Truncated, match="does not end with the flowtuple end mark"):
        layout.unpack_trailer(data[:-1], 181, "file")


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7 and much more than a header",
        b"root" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(50),
    ],
)
def test_other_file_is_refused_by_name(folder, content):
    path = folder / "other.ftup"
    path.write_bytes(content)
    with pytest.raises(Corrupt, match=r"other\.ftup: is not a flowtuple file"):
        ft.File(path)


@pytest.mark.parametrize("content", [b"", b"short", layout.MAGIC])
def test_file_without_a_whole_header_is_truncated_or_corrupt(folder, content):
    path = folder / "short.ftup"
    path.write_bytes(content)
    with pytest.raises(
        (Truncated, Corrupt), match=r"short\.ftup: (ends |is not a flowtuple file)"
    ):
        ft.File(path)


def test_every_proper_prefix_of_a_model_is_refused(folder, model):
    path = folder / "prefix.flow"
    path.write_bytes(model.read_bytes())
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with pytest.raises(Truncated, match=r"prefix\.flow: (ends |does not end)"):
            read_everything(path)


def test_damage_names_its_section(folder, plain):
    with ft.File(plain) as file:
        chunk = file.tables["events"].chunks[-1]
    data, path = plain.read_bytes(), folder / "named.ftup"
    for place in (
        chunk.section.offset,
        chunk.section.begin,
        chunk.section.begin + chunk.section.head - 1,
    ):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(
            Corrupt,
            match=rf"named\.ftup: events 30 to 40: chunk section at bytes {chunk.section.offset} to .* is damaged",
        ):
            read_everything(path)
        with ft.File(path) as file:  # the chunks beside it are still there
            assert (
                file.tables["events"].read(["x"], 0, chunk.begin).num_entries
                == chunk.begin
                > 0
            )


def test_chunk_entries_that_contradict_the_description_are_corrupt(folder, plain):
    meta, sections, contents = pieces(plain)
    meta["tables"][0]["entries"] += 1
    assemble(folder / "more.ftup", meta, sections, contents)
    with pytest.raises(Corrupt, match="declares 41 events, its chunks hold 40"):
        ft.File(folder / "more.ftup")


def test_description_without_a_key_is_corrupt(folder, plain):
    meta, sections, contents = pieces(plain)
    path = folder / "less.ftup"
    for key in ("name", "entries", "columns"):
        less = {k: v for k, v in meta["tables"][0].items() if k != key}
        assemble(path, meta | {"tables": [less]}, sections, contents)
        with pytest.raises(
            Corrupt, match=rf"less\.ftup: the description of table 0 lacks '{key}'"
        ):
            ft.File(path)


def test_a_requested_bound_of_a_later_version_is_read_as_that_of_the_lattice(tmp_path):
    events = {"x": np.arange(50, dtype=np.float32) / 7}
    path, later, again = (tmp_path / f"{name}.ftup" for name in ("now", "later", "again"))
    ft.compress(events, path, tolerance={"x": "std:0.01"})
    meta, sections, contents = pieces(path)
    (table,) = meta["tables"]
    (column,) = table["columns"]
    assert column["asked"] == "std:0.01"
    changed = meta | {"tables": [table | {"columns": [column | {"asked": "later:1"}]}]}
    assemble(later, changed, sections, contents)
    bound = column["lattice"]["bound"]
    with ft.File(later) as file:
        assert file.tables["events"].requested == {"x": bound}
    assert ft.info(later)["tables"][0]["columns"][0]["asked"] == bound
    assert ft.verify(events, later).violations == 0
    ft.recompress(later, again, tolerance={"x": "abs:1"})
    with ft.File(again) as file:
        assert file.tables["events"].requested == {"x": "abs:1"}


def test_rewritten_as_it_is_reads_as_it_was(folder, plain):
    path = folder / "same.ftup"
    assemble(path, *pieces(plain))
    assert path.read_bytes() == plain.read_bytes()


def test_model_file_has_a_flow_and_no_events(model):
    with ft.File(model) as file:
        (table,) = file.tables.values()
        assert (table.num_entries, table.chunks) == (0, [])
        assert set(table.flow.columns) == {"a", "b", "Jet_pt", "Jet_eta"}
        assert not table.flow.coded("a")
        assert table.flow.coded("b")
        assert read_all(table).num_entries == 0
        assert [s.kind for s in file.sections] == [
            SectionKind.DESCRIPTION,
            SectionKind.MODEL,
        ]
        assert table.model_bytes == file.sections[1].length
        assert file.meta["tables"][0]["entries"] == 0


def test_flow_file_codes_by_flow_and_holds_its_bounds(flowing):
    with ft.File(flowing) as file:
        table = file.tables["events"]
        assert len(table.chunks) == 4
        chunks = [d.entries for d in table.directories()]
        for name in ("b", "Jet_pt", "Jet_eta"):
            assert Method.FLOW in [chunk[name].method for chunk in chunks]
        decoded = read_all(table)
    original = dataset_from_memory(dependent_events(600, 2)).tables["events"]
    for name in ("a", "b", "Jet_pt", "Jet_eta"):
        assert (
            np.abs(
                decoded[name].astype(np.float64) - original[name].astype(np.float64)
            ).max()
            <= 0.01
        )
    assert np.array_equal(decoded["n(Jet_pt)"], original["n(Jet_pt)"])


@pytest.mark.parametrize("which", ["plain", "flowing"])
def test_ranges_are_slices(request, which):
    with ft.File(
        request.getfixturevalue(which), resources=ft.Resources(workers=1)
    ) as file:
        table = file.tables["events"]
        whole, names, n = (
            read_all(table),
            [c.name for c in table.columns],
            table.num_entries,
        )
        edges = sorted({0, 1, n, n - 1, n // 2, n // 3 - 1, n // 3, n // 3 + 1, 13, 14})
        for start in edges:
            for stop in [e for e in edges if e > start] + [n + 5] * (start < n):
                assert (
                    difference(
                        table.read(names, start, stop), whole.read(names, start, stop)
                    )
                    is None
                )
            assert (
                table.read(names, start, start).num_entries
                == table.read(names, start, 0).num_entries
                == 0
            )
        assert table.read(names, n, n + 5).num_entries == 0


def test_range_reads_only_the_chunks_it_touches(flowing, monkeypatch):
    monkeypatch.setattr("flowtuple.file.reader.PREFIX", 1000)
    with ft.File(flowing, resources=ft.Resources(workers=1)) as file:
        table, read = file.tables["events"], []
        assert table.flow.columns
        take = Storage.read
        monkeypatch.setattr(
            Storage, "read", lambda self, *span: read.append(span) or take(self, *span)
        )
        table.read(["a"], 170, 290)
    section = table.chunks[1].section
    assert (table.chunks[1].begin, table.chunks[1].stop) == (150, 300)
    assert read == [(section.offset, section.length)]


def test_some_columns_are_the_same_as_in_the_whole(plain, flowing):
    for path in (plain, flowing):
        with ft.File(path) as file:
            table = file.tables["events"]
            whole = read_all(table)
            for column in table.columns:
                some = read_all(table, [column.name])
                assert [c.name for c in some.columns] == [
                    c for c in (column.counter, column.name) if c is not None
                ]
                assert (
                    difference(some, whole.read([column.name], 0, whole.num_entries))
                    is None
                )
            with pytest.raises(
                InvalidArgument, match="no column 'Jet_pT'; nearest: Jet_pt"
            ):
                table.read(["Jet_pT"], 0, 1)


def test_views_compose_with_files(flowing):
    with ft.File(flowing) as file:
        view = select(file.dataset(), ["Jet_*"], entries=(90, 410)).tables["events"]
        part = read_all(view)
        assert (
            difference(part, file.tables["events"].read(["Jet_pt", "Jet_eta"], 90, 410))
            is None
        )


def test_eight_threads_read_one_file(flowing):
    with ft.File(flowing, resources=ft.Resources(workers=1)) as file:
        whole = read_all(file.tables["events"])
    with ft.File(flowing, resources=ft.Resources(workers=2)) as file:
        # opened anew: the threads race for the flow as well
        table = file.tables["events"]

        def check(k):
            draw = np.random.default_rng(k)
            for _ in range(5):
                start, stop = sorted(draw.integers(0, 601, 2).tolist())
                names = draw.choice(
                    ["a", "b", "Jet_pt", "Jet_eta"], 2, replace=False
                ).tolist()
                found = difference(
                    table.read(names, start, stop), whole.read(names, start, stop)
                )
                if found is not None:
                    return f"thread {k}, {names} {start}:{stop}: {found}"
            return None

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(check, range(8))) == [None] * 8


@pytest.mark.parametrize(
    "events",
    [{"x": np.empty(0, "f4"), "n": np.empty(0, "u1"), "b": np.empty((0, 3), "f8")}, {}],
)
def test_empty_tables(folder, events):
    path = folder / "empty.ftup"
    result = api.compress(events, path)
    assert (result.events, result.values, result.bits_per_value) == (0, 0, 0.0)
    with ft.File(path) as file:
        table = read_all(file.tables["events"])
        assert table.num_entries == 0
        for name, values in events.items():
            assert (table[name].dtype, table[name].shape) == (values.dtype, values.shape)
    assert len(ft.decompress(path)) == 0


def test_events_without_objects(folder):
    path = folder / "no_objects.ftup"
    api.compress(ak.Array([{"pt": ak.Array([])[0:0]}] * 0 + [{"pt": []}] * 9), path)
    assert len(ft.decompress(path)) == 9


def test_carried_objects_come_back(folder):
    path = folder / "carried.ftup"
    with create(path) as writer:
        writer.describe({"tables": [], "carried": ["h", "empty"]})
        writer.add(SectionKind.CARRIED, 0, zstd(b"a histogram"))
        writer.add(SectionKind.CARRIED, 1, zstd(b""))
        writer.finish()
    with ft.File(path) as file:
        assert file.carried == {"h": b"a histogram", "empty": b""}
        assert file.tables == {}


def test_nothing_is_left_by_a_block_that_fails(tmp_path):
    path = tmp_path / "partial.ftup"

    def fail():
        with create(path) as writer:
            writer.add(SectionKind.CHUNK, 0, b"much" * 1000, b"more" * 1000, 1)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"what was there before")
    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert path.read_bytes() == b"what was there before"
    assert len(list(tmp_path.iterdir())) == 1


def test_bound_violation_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("flowtuple.codec.chunk._same_signs", lambda before, after: False)
    with pytest.raises(
        ft.BoundViolated,
        match="column 'x' did not come back within its bound; nothing was written",
    ):
        api.compress({"x": [1.0, 2.0]}, tmp_path / "x.ftup")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["absent/x.ftup", "file/x.ftup"])
def test_folder_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        InvalidArgument,
        match=rf"{place}: cannot be written \(.+ is no folder\); make it first",
    ):
        api.compress({"x": [1.0]}, tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_protected_folder_is_named(tmp_path):
    (tmp_path / "mine").mkdir(mode=0o500)
    with pytest.raises(
        InvalidArgument,
        match=r"cannot be written \(Permission denied\); choose another folder",
    ):
        api.compress({"x": [1.0]}, tmp_path / "mine" / "x.ftup")


def test_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(InvalidArgument, match="is a folder; name a file inside it"):
        api.compress({"x": [1.0]}, tmp_path)
    with pytest.raises(InvalidArgument, match="cannot be read"):
        ft.File(tmp_path)


def test_absent_file_names_the_nearest(plain):
    with pytest.raises(
        InvalidArgument, match=r"plane\.ftup: no such file; nearest: plain\.ftup"
    ):
        ft.File(plain.with_name("plane.ftup"))


def test_same_input_and_seed_give_the_same_bytes_for_any_workers(
    tmp_path, model, monkeypatch
):
    monkeypatch.setattr("flowtuple.training.write_events.CHUNK_ENTRIES", 30)
    for number, source in enumerate((small_events(100), dependent_events(400, 2))):
        given_model = model if number else None
        paths = [tmp_path / f"{number}_{k}.ftup" for k in range(3)]
        for path, workers in zip(paths, (1, 2, 1), strict=True):
            api.compress(
                source,
                path,
                model=given_model,
                seed=5,
                resources=ft.Resources(workers=workers),
            )
        assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()
        one, two = (
            ft.decompress(paths[0], resources=ft.Resources(workers=w)) for w in (1, 2)
        )
        assert ak.array_equal(one, two, equal_nan=True)


def test_description_holds_no_time_user_or_path(plain):
    with ft.File(plain) as file:
        assert set(file.meta) == {"tables", "carried", "provenance"}
        assert set(file.meta["provenance"]) == {"flowtuple", "effort", "seed", "source"}
        text = json.dumps(file.meta)
    assert str(Path.home()) not in text
    assert str(plain.parent) not in text


def test_sections_follow_one_another_without_gaps(plain):
    with ft.File(plain) as file:
        assert [s.offset for s in file.sections[1:]] == [
            s.offset + s.length for s in file.sections[:-1]
        ]
        assert file.sections[0].offset == layout.HEADER_SIZE
        assert [(s.begin, s.stop) for s in file.sections] == [
            (s.offset + 56, s.offset + s.length) for s in file.sections
        ]
        assert (
            sum(s.length for s in file.sections) + file.index_size
            == file.size
            == plain.stat().st_size
        )


def test_url_reads_as_a_path_does(plain):
    with ft.File(f"file://{plain}") as remote, ft.File(plain) as local:
        assert (
            difference(
                read_all(remote.tables["events"]), read_all(local.tables["events"])
            )
            is None
        )


COLUMNS = tuple(Column(name, "float32") for name in "abcd")


@st.composite
def bins_of_any_kind(draw):
    edges = draw(
        st.lists(
            st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=16, unique=True
        ).map(sorted)
    )
    pairs = [(edges[k], edges[k + 1]) for k in range(0, len(edges) - 1, 2)]
    if draw(st.booleans()):
        pairs = [(first, first) for first, _ in pairs]
    return Bins(
        np.array([p[0] for p in pairs], np.int64),
        np.array([p[1] for p in pairs], np.int64),
    )


EVERYWHERE = (
    *COLUMNS,
    Column("n", "int32", "counter"),
    *(Column(name, "float32", counter="n") for name in "pqrs"),
    Column("i", "int16", "reference", counter="n"),
    *(Column(name, "float64", shape=(3,)) for name in "xy"),
)
KEYS = {c.name: collection_of(c) for c in EVERYWHERE}


def computable(name, before):
    """Some features that a column may compute of those before it, of itself, and of others."""
    key = KEYS[name]
    own = [c for c in before if KEYS[c] == key] if key else []
    known = [*before, name] if key else []
    found = [EventFeature("sum", (c,)) for c in known]
    found += [
        EventFeature(kind, (a, b), (-1.5, -0.0, 1e300))
        for kind in ("length", "balance", "mean")
        for a, b in itertools.permutations(known, 2)
        if KEYS[a] == KEYS[b]
    ]
    for c in own:
        found += [EventFeature(kind, (c,), (2.0,)) for kind in ("rest", "size")]
        found += [EventFeature("energy", (c, c, c)), EventFeature("left", (c,) * 5)]
        found += [EventFeature(k, (c, name, c)) for k in ("relative length", "opening")]
        found += [EventFeature(f"turn of the {k}", (c, c, c)) for k in ("first", "last")]
        found += [EventFeature("distance", (c, c, o, o)) for o in before]
        found += [EventFeature("nearest", (o, c, c, o, o)) for o in before]
    return found


@st.composite
def trees(draw, inputs, symbols):
    """A tree in preorder, whose nodes are drawn one after another until no end is open."""
    nodes, open_ends = [], 1
    while open_ends:
        grows = inputs > 0 and len(nodes) < 9 and draw(st.booleans())
        nodes.append(draw(st.integers(0, inputs - 1)) if grows else -1)
        open_ends += 1 if grows else -1
    thresholds = [draw(st.integers(0, 255)) if n >= 0 else 0 for n in nodes]
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = seed.integers(-(2**15), 2**15, (nodes.count(-1), symbols))
    return tree_of(np.array(nodes), np.array(thresholds), logits.astype(np.int16))


RULED = (
    Rule("zeros", ("p", "q")),
    Rule("falling", ("p",)),
    Rule("implies", ("a", "n")),
    cuts_rule("a", (Cut("p", True, 20.0), Cut("x", False, -0.0), Cut("p", False, 1e9))),
    Rule("distance", ("p", "q"), (0.5, 1.0, 0.0, 0.25, 1.0)),
    Rule("distance", ("x", "y"), (0.5,)),
    Rule("parts", ("p", "q", "i", "r", "s"), (0.0, 1e-3)),
)


ACCEPTED = Acceptance(
    (
        Quantity("object", ("p",), (3,)),
        Quantity("length", ("p", "q", "x", "y")),
        Quantity("closure", ("p", "q", "i", "r", "s")),
    ),
    (
        acceptance_tree(np.array([-1]), np.zeros(1), np.array([-5])),
        acceptance_tree(np.array([2, -1, -1]), np.array([0.5, 0, 0]), np.arange(3)),
    ),
    -17,
)


def readable(name, before):
    """The columns that a column may read when those before it are decoded."""
    key, found = KEYS[name], [Parent("index")]
    for other in before:
        found += [Parent("row", other)] * (KEYS[other] == key) + [
            Parent("event", other)
        ] * (not KEYS[other])
        found += [Parent("same", other)] * (
            key != KEYS[other] and bool(key) and bool(KEYS[other])
        )
        found += [
            Parent("reference", other, t)
            for t in before
            if KEYS[t] == key and KEYS[other]
        ]
    found += [Parent("feature", feature=f) for f in computable(name, before)]
    for other in [*before, name] if key else []:
        found += [Parent("previous", other)] * (KEYS[other] == key) + [
            Parent("leading", other)
        ] * bool(KEYS[other])
    return found


@st.composite
def predictions(draw, inputs):
    terms = []
    for function in draw(
        st.lists(st.sampled_from(list(FUNCTIONS)), min_size=1, max_size=3)
    ):
        parents = [draw(st.sampled_from(inputs)) for _ in range(FUNCTIONS[function][0])]
        terms.append(
            Term(
                draw(st.floats(allow_nan=False, allow_infinity=False)),
                function,
                tuple(parents),
            )
        )
    period = st.none() | st.tuples(st.integers(-(2**52), 2**52), st.integers(1, 2**52))
    return Prediction(tuple(terms), draw(period))


@st.composite
def flows(draw):
    """Columns in any order, each of which may read all that the relations allow."""
    columns = {}
    names = draw(
        st.lists(st.sampled_from([c.name for c in EVERYWHERE]), unique=True, max_size=6)
    )
    for name in sorted(names, key=lambda n: KEYS[n] != ""):
        bins = draw(bins_of_any_kind())
        parents = readable(name, columns)
        valued = [p for p in parents if p.names]
        prediction = draw(predictions(valued)) if valued and draw(st.booleans()) else None
        if prediction:
            parents.append(Parent("prediction"))
        parents = tuple(draw(st.lists(st.sampled_from(parents), max_size=3)))
        widths = [
            len(parents),
            *draw(st.lists(st.integers(1, 9), max_size=2)),
            bins.symbols,
        ]
        seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        layers = tuple(
            Layer(
                seed.integers(-127, 128, (n, m + 1)).astype(np.int8),
                seed.integers(1, 21, n).astype(np.uint8),
            )
            for m, n in itertools.pairwise(widths)
        )
        tree = draw(st.none() | trees(len(parents), bins.symbols))
        network = Network(layers, tree) if draw(st.booleans()) else None
        scale = draw(st.none() | bins_of_any_kind())
        columns[name] = ColumnFlow(
            bins,
            parents,
            network,
            prediction,
            bool(prediction) and draw(st.booleans()),
            scale,
        )
    rules = draw(st.lists(st.sampled_from(RULED), max_size=3)) if columns else ()
    accepted = draw(st.sampled_from((None, ACCEPTED))) if columns else None
    return LatticeFlow(columns, tuple(rules), accepted)


def assert_same_bins(a, b):
    assert np.array_equal(a.first, b.first)
    assert np.array_equal(a.last, b.last)


def assert_same_acceptance(left, right):
    assert (left is None) == (right is None)
    if left is not None:
        assert (left.quantities, left.offset) == (right.quantities, right.offset)
        for one, other in zip(left.trees, right.trees, strict=True):
            for part in ("quantity", "threshold", "value", "right"):
                a, b = getattr(one, part), getattr(other, part)
                assert np.array_equal(a, b)
                assert a.dtype == b.dtype


def assert_same_flow(left, right):
    assert list(left.columns) == list(right.columns)
    assert left.rules == right.rules
    assert_same_acceptance(left.acceptance, right.acceptance)
    for name, a in left.columns.items():
        b = right.columns[name]
        assert_same_bins(a.bins, b.bins)
        assert_same_bins(a.levels, b.levels)
        assert (a.scale is None) == (b.scale is None)
        assert (a.parents, a.prediction, a.residual) == (
            b.parents,
            b.prediction,
            b.residual,
        )
        assert (a.network is None) == (b.network is None)
        if a.network is not None:
            for one, other in zip(a.network.layers, b.network.layers, strict=True):
                assert np.array_equal(one.weights, other.weights)
                assert np.array_equal(one.shifts, other.shifts)
            assert (a.network.tree is None) == (b.network.tree is None)
            if a.network.tree is not None:
                for part in ("feature", "threshold", "right", "logits"):
                    one, other = (getattr(c.network.tree, part) for c in (a, b))
                    assert np.array_equal(one, other)
                    assert one.dtype == other.dtype


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(flows())
def test_flow_round_trip(flow):
    data = pack_flow(flow, EVERYWHERE)
    assert_same_flow(unpack_flow(data, EVERYWHERE), flow)
    assert pack_flow(unpack_flow(data, EVERYWHERE), EVERYWHERE) == data


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(flows(), st.data())
def test_shortened_flow_is_corrupt(flow, data):
    content = unzstd(pack_flow(flow, EVERYWHERE))
    cut = data.draw(st.integers(0, len(content) - 1))
    for rules in ((), flow.rules):
        shorter = unzstd(pack_flow(LatticeFlow(flow.columns, rules), EVERYWHERE))
        if content[:cut] == shorter:
            left = unpack_flow(zstd(shorter), EVERYWHERE)
            assert (left.rules, left.acceptance) == (rules, None)
            return
    with pytest.raises(Corrupt, match=r"section|network|frame|model"):
        unpack_flow(zstd(content[:cut]), EVERYWHERE)
    # what follows columns or rules would be an acceptance
    more = "more bytes than its columns" if flow.acceptance else "past the end"
    with pytest.raises(Corrupt, match=more):
        unpack_flow(zstd(content + b"\0"), EVERYWHERE)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(flows(), st.data())
def test_damaged_flow_is_another_flow_or_corrupt(flow, data):
    content = bytearray(unzstd(pack_flow(flow, EVERYWHERE)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(Corrupt):  # and no other error
        unpack_flow(zstd(bytes(content)), EVERYWHERE)


def model_bytes(*parts):
    return zstd(b"".join(bytes(p) if isinstance(p, (list, tuple)) else p for p in parts))


# One column, number 0; two bins [0], [1]; no scale; then parents, prediction and layers.
HEAD = [1, 0, 2, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (([1, 4],), "speaks of column number 4 of 4"),
        (([1, 0, 0x80, 0x20],), "4096 bins, more than 4095"),
        ((HEAD, [1, 9, 0, 0, 0]), "unknown relation 9"),
        ((HEAD, [1, 0, 9, 0, 0]), "speaks of column number 9"),
        (([1, 0, 0, 1, 0x80, 0x20],), "4096 bins, more than 4095"),
        (
            ([1, 0, 0, 1, 1], write_signed([2**63 - 1]), [5, 0, 0, 0]),
            "a bin beyond 64 bits",
        ),
        ((HEAD, [0, 0, 1, 3, 1], [0, 1, 1], [0, 0, 0]), "outside the limits"),
        ((HEAD, [0, 0, 1, 3, 1], [21, 1, 1], [0, 0, 0]), "outside the limits"),
        ((HEAD, [0, 0, 1, 3, 1], [1, 1, 1], [0, 0x80, 0]), "outside the limits"),
        ((HEAD, [0, 0, 1, 3, 2], [1, 1, 1], bytes(6)), "do not fit one another"),
        ((HEAD, [0, 0, 1, 2, 1], [1, 1], bytes(2)), "do not fit one another"),
        ((HEAD, [0, 0, 1, 2, 0xE1, 0x03], [1, 1], bytes(2 * 481)), "outside the limits"),
        (([1, 0, 1], write_signed([2**63 - 1]), [5, 0, 0, 0, 0]), "a bin beyond 64 bits"),
    ],
)
def test_impossible_flows_are_corrupt(parts, message):
    with pytest.raises(Corrupt, match=message):
        unpack_flow(model_bytes(*parts), COLUMNS)


def test_network_at_the_limits_is_read():
    outputs = 3
    data = model_bytes(HEAD, [0, 0, 1, outputs, 1], [1, 20, 1], [127, 0x81, 0])
    layers = unpack_flow(data, COLUMNS).columns["a"].network.layers
    assert layers[0].weights.tolist() == [[127], [-127], [0]]
    assert layers[0].shifts.tolist() == [1, 20, 1]


def test_reader_takes_numbers_to_64_bits_only():
    assert Reader(b"\xff" * 9 + b"\x01").unsigned() == 2**64 - 1
    with pytest.raises(Corrupt, match="longer than 64 bits"):
        Reader(b"\x80" * 10 + b"\x01").unsigned()


def test_table_in_memory_and_in_file_are_one_interface(plain):
    with ft.File(plain) as file:
        stored = file.tables["events"]
        memory = read_all(stored)
        assert isinstance(memory, Table)
        assert (memory.name, memory.num_entries, memory.columns) == (
            stored.name,
            stored.num_entries,
            stored.columns,
        )
