"""Hostile bytes: with right checksums a file decodes or ends in a typed error, in little memory."""

import contextlib
import copy
import json
import struct
import tracemalloc
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import flowtuple as ft
from dissect import assemble, join, methods, pieces, with_block_checksums
from flowtuple import api
from flowtuple.codec import packing
from flowtuple.codec.chunk import decode_chunk, encode_chunk
from flowtuple.codec.column import Method, StoredColumn
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import write_signed, write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table, difference, read_all
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.file import layout
from flowtuple.file.damage import check_integrity, scan
from flowtuple.file.description import unpack_description
from flowtuple.file.layout import Section, SectionKind
from flowtuple.file.model import pack_flow, unpack_flow
from flowtuple.file.storage import Storage
from flowtuple.io.memory import dataset_from_memory
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.grid import ATOM, Decimal, Integers, Ordered, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.walk import TableCoding
from hand_made import (
    DEPENDENT_PARENTS,
    DEPENDENT_TOLERANCE,
    dependent_events,
    write_model,
)

HOSTILE = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    2**70,
    1e300,
    0.5,
    "",
    "x",
    "float64",
    "1/3",
    [],
    [[]],
    {},
    {"a": 1},
    [1, "a"],
    "lossless",
]


UNNAMED: list[str] = []  # messages that do not name their file


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A small file with every method, grids of several kinds and a flow."""
    folder = tmp_path_factory.mktemp("hostile")
    more = {
        "text": ["é"] * 70,
        "q": np.tile(np.float32([1.5, np.nan, 2.25, 1e30, 7, -0.0, 0.1]), 10),
    }
    more |= {"r": np.geomspace(1, 1e9, 70), "block": np.ones((70, 2), np.int16)}
    events = {**dependent_events(70, 1), **more}
    table = dataset_from_memory(events).tables["events"]
    tolerance = DEPENDENT_TOLERANCE | {"q": "lossless", "r": "rel:1e-2"}
    write_model(table, folder / "model.flow", DEPENDENT_PARENTS, tolerance)
    api.compress(events, folder / "small.ftup", model=folder / "model.flow")
    return folder / "small.ftup"


def ends_well(path):
    """Return True if the file reads; errors other than the three typed ones propagate."""
    try:
        with ft.File(path, resources=ft.Resources(workers=1)) as file:
            for table in file.tables.values():
                read_all(table)
            return file.carried is not None
    except (Corrupt, Truncated, TooNew) as error:
        return UNNAMED.append(str(error)) if str(path) not in str(error) else False


def places(value, at=()):
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from places(item, (*at, k))


def changed(value, at, new):
    if not at:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = new
    return value


@pytest.mark.slow
def test_every_place_of_the_description_may_hold_anything(path, tmp_path):
    meta, sections, contents = pieces(path)
    del meta["provenance"]
    refused = 0
    target = tmp_path / "meta.ftup"
    for at in places(meta):
        for new in HOSTILE:
            assemble(target, changed(meta, at, new), sections, contents)
            refused += not ends_well(target)
        if at and isinstance(at[-1], str):
            missing = copy.deepcopy(meta)
            inner = missing
            for key in at[:-1]:
                inner = inner[key]
            del inner[at[-1]]
            assemble(target, missing, sections, contents)
            refused += not ends_well(target)
    assert refused > 100
    assert UNNAMED == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SectionKind.CHUNK, SectionKind.MODEL])
def test_damage_under_a_right_checksum_ends_well(path, tmp_path, kind):
    meta, sections, contents = pieces(path)
    target, read = tmp_path / "damage.ftup", 0
    (number,) = (k for k, s in enumerate(sections) if s.kind is kind)
    content = unzstd(contents[number]) if kind is SectionKind.MODEL else contents[number]
    with ft.File(path) as file:
        columns = file.table().columns
    draw = np.random.default_rng(int(kind))
    for position in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[position] ^= int(draw.integers(1, 256))
        damaged = zstd(bytes(damaged)) if kind is SectionKind.MODEL else bytes(damaged)
        if kind is SectionKind.CHUNK and position >= sections[number].head:
            damaged = with_block_checksums(damaged, columns)
        assemble(
            target, meta, sections, [*contents[:number], damaged, *contents[number + 1 :]]
        )
        read += bool(ends_well(target))
    assert UNNAMED == []
    assert read > 0  # some are other values: the decoders were reached


@pytest.mark.slow
def test_damage_of_each_payload_ends_well(path):
    """Damage lies inside the frames here: in every method's own bytes."""
    with ft.File(path) as file:
        table = file.tables["events"]
        coding, section = table.coding, table.chunks[0].section
        stored = methods(file.raw(section)[layout.FRAME_SIZE :], table.columns)
    draw = np.random.default_rng(1)
    seen = set()
    for column in coding.columns:
        seen.add(stored[column.name].method)
        for _ in range(40):
            payload = bytearray(stored[column.name].payload)
            framed = stored[column.name].method is Method.OPAQUE
            payload = bytearray(unzstd(bytes(payload))) if framed else payload
            payload[int(draw.integers(len(payload)))] ^= int(draw.integers(1, 256))
            payload = zstd(bytes(payload)) if framed else bytes(payload)
            other = stored | {column.name: replace(stored[column.name], payload=payload)}
            with contextlib.suppress(Corrupt):
                decode_chunk(
                    join([other[c.name] for c in coding.columns]),
                    "events",
                    section.entries,
                    coding,
                )
    assert len(seen) >= 4


@pytest.mark.parametrize("owner", [1, 2**32 - 1])
@pytest.mark.parametrize("kind", SectionKind)
def test_section_without_an_owner_is_corrupt(path, tmp_path, kind, owner):
    meta, sections, contents = pieces(path)
    target = tmp_path / "owner.ftup"
    assemble(
        target, meta, [*sections, Section(kind, owner, 0, 0, 0, 0)], [*contents, b""]
    )
    with pytest.raises(
        Corrupt,
        match=r"owner\.ftup: has a section of a table or object that its description lacks",
    ):
        ft.File(target)


def test_chunks_that_are_gone_are_missed(path, tmp_path):
    meta, sections, contents = pieces(path)
    target = tmp_path / "gone.ftup"
    assemble(target, meta, sections[:1], contents[:1])
    with pytest.raises(Corrupt, match="declares 70 events, its chunks hold 0"):
        ft.File(target)


def test_two_tables_of_one_name_are_corrupt(path, tmp_path):
    meta, sections, contents = pieces(path)
    target = tmp_path / "twice.ftup"
    empty = meta["tables"][0] | {"entries": 0}
    assemble(target, meta | {"tables": [*meta["tables"], empty]}, sections, contents)
    with pytest.raises(Corrupt, match="two tables of one name"):
        ft.File(target)


def test_nested_description_is_corrupt():
    text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(Corrupt, match="description does not parse"):
        unpack_description(zstd(text), "file")


def test_frame_that_declares_a_terabyte_takes_no_memory():
    frame = bytes.fromhex("28b52ffd e0") + (2**40).to_bytes(8, "little") + b"\x01\0\0"
    tracemalloc.start()
    with pytest.raises(
        Corrupt, match="a zstd frame of 16 bytes declares 1099511627776 bytes"
    ):
        unzstd(frame)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_frame_of_zeros_is_within_the_ratio():
    assert unzstd(zstd(bytes(1 << 26))) == bytes(1 << 26)


def test_stream_of_many_more_numbers_takes_no_memory():
    one, two = (bytes(packing._pco(np.zeros(2**k, np.int64))) for k in (18, 19))
    again = two[len(one) - 1 : -1]  # a chunk of 2^18 numbers, in a few bytes
    stream = two[:-1] + again * 10_000 + two[-1:]
    for rows, found in [(5, "more"), (2**18, "more"), (2**18 + 1, "more")]:
        with pytest.raises(
            Corrupt, match=f"a pcodec stream holds {found} values where {rows} are due"
        ):
            packing.unpack_indices(b"\0" + stream, rows)


@pytest.mark.parametrize(
    "dtype",
    ["i4,,", "(2,i4", "(2,3)i4", "O", "V8", "<U3", "<M8[s", "", "f", "i99", "<i8,<i8"],
)
def test_buffer_of_no_type_is_corrupt(dtype):
    """NumPy reads some of these as Python, and ends in other errors."""
    head = json.dumps(
        {
            "form": {"class": "EmptyArray"},
            "length": 0,
            "buffers": [["node0-data", dtype, 0]],
        }
    ).encode()
    with pytest.raises(
        Corrupt, match=r"an opaque column does not decode \((Value|Type)Error: "
    ):
        packing.unpack_opaque(zstd(len(head).to_bytes(4, "little") + head), 0)


def test_bytes_after_a_frame_are_corrupt():
    with pytest.raises(Corrupt, match="zstd frame does not decode"):
        unzstd(zstd(b"content") + b"more")


@pytest.mark.parametrize(
    "data", [write_signed([2**63]), write_signed([0]) + b"\0", b"", b"\xff" * 9 + b"\x02"]
)
def test_constants_beyond_an_index_are_corrupt(data):
    with pytest.raises(Corrupt, match=r"number|more than its index"):
        packing.unpack_constant(data, 3)


@pytest.mark.parametrize("above", [-1, ATOM + 1, 2**62 * 3])
def test_special_indices_begin_below_the_atoms(above):
    stream = packing.pack_indices(np.arange(5))
    with pytest.raises(Corrupt, match=r"cannot begin at|longer than 64 bits"):
        packing.unpack_indices(write_signed([above]) + stream[1:], 5)


@pytest.mark.parametrize("first", [b"", b"\x02", b"\xff"])
def test_values_begin_with_their_kind(first):
    with pytest.raises(Corrupt, match="does not decode: it begins with"):
        packing.unpack_values(first, 0, "float32")


ONE = (Column("n", "int64", "counter"), Column("x", "int64", counter="n"))
EXACT = {
    "n": Lattice("int64", Bound(), Integers("int64")),
    "x": Lattice("int64", Bound(), Integers("int64")),
}


def chunk_of(*stored):
    return join([StoredColumn(method, payload) for method, payload in stored])


@pytest.mark.parametrize("count", [-1, 2**40, 2**62, 2**28])
def test_counts_beyond_the_limit_are_corrupt(count):
    data = chunk_of(
        (Method.CONSTANT, write_signed([count])), (Method.CONSTANT, write_signed([1]))
    )
    with pytest.raises(Corrupt, match="cannot hold so many or fewer than no objects"):
        decode_chunk(data, "t", 2, TableCoding(ONE, EXACT, LatticeFlow()))


def test_events_beyond_the_limit_are_corrupt():
    data = chunk_of(
        (Method.CONSTANT, write_signed([0])), (Method.CONSTANT, write_signed([1]))
    )
    coding = TableCoding(ONE, EXACT, LatticeFlow())
    assert decode_chunk(data, "t", 2**20, coding).num_entries == 2**20
    with pytest.raises(Corrupt, match="larger than any that the format allows"):
        decode_chunk(data, "t", 2**20 + 1, coding)


def test_directory_and_group_hold_nothing_more():
    coding = TableCoding(ONE, EXACT, LatticeFlow())
    directory = zstd(write_unsigned([Method.CONSTANT, 1, 0] * 2 + [0]))
    data = write_unsigned([len(directory), 0]) + directory + b"\0\0"
    with pytest.raises(
        Corrupt, match="the directory of a chunk has 1 bytes more than its columns"
    ):
        decode_chunk(data, "t", 1, coding)
    directory, group = (
        zstd(write_unsigned([Method.GROUP, 2, 0] * 2)),
        zstd(bytes([1, 1, 1, 1, 9])),
    )
    data = write_unsigned([len(directory), len(group)]) + directory + group
    with pytest.raises(
        Corrupt, match="a zstd frame of 14 bytes declares 5 bytes where 4 are due"
    ):
        decode_chunk(data, "t", 1, coding)
    with pytest.raises(
        Corrupt, match=r"a chunk has \d+ bytes where its directory lists \d+"
    ):
        decode_chunk(chunk_of(*[(Method.CONSTANT, b"\0")] * 2) + b"\0", "t", 1, coding)


@pytest.mark.parametrize(
    ("dtype", "method", "escapes", "message"),
    [
        ("int64", Method.OPAQUE, b"", "of type int64 is stored by the method OPAQUE"),
        (
            "opaque",
            Method.CONSTANT,
            b"",
            "of type opaque is stored by the method CONSTANT",
        ),
        ("opaque", Method.OPAQUE, b"\0", "by the method OPAQUE and has escapes"),
        ("int64", Method.VALUES, b"\0", "by the method VALUES and has escapes"),
    ],
)
def test_methods_fit_their_columns(dtype, method, escapes, message):
    lattices = {} if dtype == "opaque" else {"n": EXACT["n"]}
    data = join([StoredColumn(method, b"\0", escapes)])
    with pytest.raises(Corrupt, match=message):
        decode_chunk(
            data, "t", 1, TableCoding((Column("n", dtype),), lattices, LatticeFlow())
        )


def test_values_of_a_bounded_column_are_corrupt():
    lattices = {"x": Lattice("float32", Bound("abs", 0.1), Uniform("float32", 0.1))}
    data = chunk_of((Method.VALUES, packing.pack_values(np.float32([1]))))
    with pytest.raises(Corrupt, match=r"is bounded by abs:0\.1 and stored by its values"):
        decode_chunk(
            data, "t", 1, TableCoding((Column("x", "float32"),), lattices, LatticeFlow())
        )


@pytest.mark.parametrize("q", [ATOM + 1, ATOM + 2**16 - 1, ATOM + 2**16 + 1, 2**63 - 1])
def test_reserved_indices_are_corrupt(q):
    lattice = Lattice("float32", Bound(), Decimal("float32", 0), (0x7FC00000,))
    assert np.isnan(lattice.decode(np.array([ATOM]))).all()
    with pytest.raises(Corrupt, match="stands for none of 1 atoms"):
        lattice.decode(np.array([0, q]), np.empty(0, "f4"))


def test_range_never_changes_the_sign_of_zero():
    q = np.zeros(37, np.int64)
    for low, high in [(-0.0, 1.0), (-1.0, -0.0)]:
        lattice = Lattice(
            "float32", Bound("abs", 0.1), Uniform("float32", 0.1), (), low, high
        )
        assert not np.signbit(lattice.decode(q)).any()


JETS = (
    Column("a", "float32"),
    Column("n", "int64", "counter"),
    Column("pt", "float32", counter="n"),
    Column("s", "opaque"),
    Column("i", "int8", counter="n"),
    Column("x", "float32", shape=(2,)),
)
A, N, PT, S, IDX, X = range(6)
ROW, EVENT, INDEX, PREVIOUS, LEADING, SAME, REFERENCE, PREDICTED = range(8)
ONE_AND_A_HALF = struct.pack("<d", 1.5)


def bare(column, parents=(), prediction=(0,), layers=(0,)):
    """One column of a model without bins and scale; each parent as its numbers."""
    numbers = [n for parent in parents for n in parent]
    return bytes([column, 0, 0, len(parents), *numbers, *prediction, *layers])


def term(*numbers, coefficient=ONE_AND_A_HALF):
    """A prediction of one term: no residuals, no period; then the function and what it reads."""
    return bytes([1, 0, 0, 0]) + coefficient + bytes(numbers)


def model(*columns):
    return zstd(bytes([len(columns)]) + b"".join(columns))


CANNOT = "lets column '{}' read '{}', which it cannot"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([bare(N), bare(N)], "two flows for the column 'n'"),
        ([bare(N), bare(A), bare(PT), bare(A)], "two flows for the column 'a'"),
        ([bare(S)], "'s', which is opaque"),
        ([bare(6)], "speaks of column number 6 of 6"),
        ([bare(A, [[ROW, A]])], CANNOT.format("a", "a")),
        ([bare(A, [[ROW, N]]), bare(N)], CANNOT.format("a", "n")),
        ([bare(A), bare(PT, [[ROW, A]])], CANNOT.format("pt", "a")),
        ([bare(PT), bare(A, [[EVENT, PT]])], CANNOT.format("a", "pt")),
        ([bare(PT, [[EVENT, IDX]]), bare(IDX)], CANNOT.format("pt", "i")),
        ([bare(IDX), bare(PT, [[EVENT, IDX]])], CANNOT.format("pt", "i")),
        ([bare(A, [[PREVIOUS, A]])], CANNOT.format("a", "a")),
        ([bare(A), bare(PT, [[PREVIOUS, A]])], CANNOT.format("pt", "a")),
        ([bare(PT, [[PREVIOUS, IDX]]), bare(IDX)], CANNOT.format("pt", "i")),
        ([bare(X), bare(PT, [[PREVIOUS, X]])], CANNOT.format("pt", "x")),
        ([bare(A, [[LEADING, A]])], CANNOT.format("a", "a")),
        ([bare(A), bare(PT, [[LEADING, A]])], CANNOT.format("pt", "a")),
        ([bare(PT), bare(A, [[LEADING, PT]])], CANNOT.format("a", "pt")),
        ([bare(PT, [[SAME, PT]])], CANNOT.format("pt", "pt")),
        ([bare(IDX), bare(PT, [[SAME, IDX]])], CANNOT.format("pt", "i")),
        ([bare(A), bare(PT, [[SAME, A]])], CANNOT.format("pt", "a")),
        ([bare(PT, [[SAME, X]]), bare(X)], CANNOT.format("pt", "x")),
        ([bare(PT, [[SAME, S]])], CANNOT.format("pt", "s")),
        ([bare(X), bare(PT, [[REFERENCE, X, IDX]]), bare(IDX)], CANNOT.format("pt", "x")),
        ([bare(X), bare(PT, [[REFERENCE, X, PT]])], CANNOT.format("pt", "x")),
        ([bare(A), bare(X), bare(PT, [[REFERENCE, X, A]])], CANNOT.format("pt", "x")),
        ([bare(IDX), bare(A), bare(PT, [[REFERENCE, A, IDX]])], CANNOT.format("pt", "a")),
        ([bare(IDX), bare(PT, [[REFERENCE, X, IDX]]), bare(X)], CANNOT.format("pt", "x")),
        ([bare(X), bare(PT, [[REFERENCE, X, S]])], CANNOT.format("pt", "x")),
        ([bare(PT, [[REFERENCE, X, 9]])], "speaks of column number 9"),
        ([bare(PT, [[9]])], "unknown relation 9"),
        ([bare(PT, [[EVENT, A]])], "lets column 'pt' read 'a', which has no place in it"),
        ([bare(PT, [[PREDICTED]])], "reads the prediction of a column that has none"),
        ([bare(A, prediction=[65, 0, 0, 0])], "of 65 terms has more than 64"),
        ([bare(A, prediction=[1, 2, 0, 0])], "outside the limits of the format"),
        (
            [bare(A, prediction=[1, 0, *write_signed([2**52 + 1]), 0])],
            "outside the limits of the format",
        ),
        (
            [bare(A, prediction=[1, 0, *write_signed([-(2**52) - 1]), 0])],
            "outside the limits of the format",
        ),
        (
            [bare(A, prediction=[1, 0, 0, *write_unsigned([2**52 + 1])])],
            "outside the limits of the format",
        ),
        ([bare(A, prediction=term(13, ROW, N))], "a term that does not exist"),
        (
            [bare(A, prediction=term(0, ROW, N, coefficient=struct.pack("<d", np.nan)))],
            "a term that does not exist",
        ),
        (
            [bare(A, prediction=term(0, ROW, N, coefficient=struct.pack("<d", -np.inf)))],
            "a term that does not exist",
        ),
        ([bare(PT, prediction=term(0, INDEX))], "reads a number of an object or itself"),
        (
            [bare(PT, prediction=term(0, PREDICTED))],
            "reads a number of an object or itself",
        ),
        ([bare(A, prediction=term(0, ROW, N)), bare(N)], CANNOT.format("a", "n")),
        ([bare(A, prediction=term(0, ROW, A))], CANNOT.format("a", "a")),
        ([bare(N), bare(A, prediction=term(8, ROW, N, ROW, A))], CANNOT.format("a", "a")),
        (
            [bare(PT)[:3] + write_unsigned([480]) + bytes([INDEX] * 480 + [0, 0])],
            "480 parents",
        ),
        ([bare(A, layers=[65, *[1, 1, 1, 0] * 65])], "of 65 layers, more than 64"),
        ([bare(A, layers=[1, 0, 0])], "network layer of shape"),
        ([bare(A, layers=[1, 0, *[0x80] * 8, 1])], "network layer of shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else b"-".join(value).hex(),
)
def test_models_that_read_what_is_not_there_are_corrupt(columns, message):
    with pytest.raises(Corrupt, match=message):
        unpack_flow(model(*columns), JETS)


@pytest.mark.parametrize(
    ("columns", "reader"),
    [
        ([bare(A), bare(PT, [[EVENT, A]])], "pt"),
        (
            [bare(PT, [[EVENT, A]]), bare(A)],
            "pt",
        ),  # event columns come first wherever they are listed
        ([bare(N), bare(A, [[ROW, N]])], "a"),
        (
            [bare(IDX), bare(PT, [[ROW, IDX], [PREVIOUS, IDX], [LEADING, IDX], [INDEX]])],
            "pt",
        ),
        ([bare(PT, [[PREVIOUS, PT], [LEADING, PT]])], "pt"),
        ([bare(X), bare(PT, [[SAME, X], [LEADING, X]])], "pt"),
        ([bare(IDX), bare(X), bare(PT, [[REFERENCE, X, IDX]])], "pt"),
        ([bare(N), bare(A, [[PREDICTED]], term(0, ROW, N))], "a"),
    ],
    ids=[
        "event",
        "event later",
        "reversed schema",
        "own",
        "itself",
        "others",
        "reference",
        "prediction",
    ],
)
def test_models_may_read_what_is_decoded_before(columns, reader):
    flow = unpack_flow(model(*columns), JETS)
    assert flow.columns[reader].inputs
    assert (
        unpack_flow(pack_flow(flow, JETS), JETS).columns[reader].inputs
        == flow.columns[reader].inputs
    )


EVENTS_OF_JETS = {
    "a": np.float32([1, 2, 3]),
    "n": np.array([2, 0, 1]),
    "pt": np.float32([5, 6, 7]),
    "s": ak.Array(["x", "y", "z"]),
    "i": np.int8([0, 1, -1]),
    "x": np.float32([[1, 2], [3, 4], [5, 6]]),
}


@pytest.mark.parametrize(
    "columns",
    [
        [bare(PT, prediction=term(0, EVENT, A))],
        [bare(X), bare(A), bare(PT, prediction=term(0, SAME, X))],
        [bare(X), bare(PT, [[REFERENCE, X, IDX]])],
        [bare(PT, prediction=term(0, REFERENCE, X, IDX))],
        [bare(PT, prediction=term(0, LEADING, PT))],
        [bare(PT, prediction=term(0, PREVIOUS, PT))],
        [bare(IDX), bare(X), bare(PT, prediction=term(0, REFERENCE, X, IDX))],
        [bare(X), bare(IDX, [[REFERENCE, X, PT]])],
    ],
    ids=[
        "no place",
        "others",
        "later",
        "later still",
        "leading",
        "previous",
        "reference",
        "no place of a reference",
    ],
)
def test_models_without_a_place_for_what_they_read_are_corrupt_or_code(columns):
    """A model may name columns without a flow: it is refused when read, or codes as any other."""
    try:
        flow = unpack_flow(model(*columns), JETS)
    except Corrupt:
        return
    lattices = {
        c.name: Lattice(
            c.dtype, Bound(), Ordered("float32") if c.is_float else Integers(c.dtype)
        )
        for c in JETS[:3]
    }
    lattices |= {
        c.name: Lattice(
            c.dtype, Bound(), Ordered("float32") if c.is_float else Integers(c.dtype)
        )
        for c in JETS[4:]
    }
    table = Table("t", JETS, 3, EVENTS_OF_JETS)
    coding = TableCoding(JETS, lattices, flow)
    assert (
        difference(decode_chunk(encode_chunk(table, coding), "t", 3, coding), table)
        is None
    )


def test_arrays_without_elements_come_back(tmp_path):
    api.compress(
        {"x": np.arange(4), "none": np.empty((4, 2, 0), np.float32)},
        tmp_path / "none.ftup",
    )
    with ft.File(tmp_path / "none.ftup") as file:
        assert read_all(file.tables["events"])["none"].shape == (4, 2, 0)


def test_short_file_of_another_kind_is_not_called_truncated(tmp_path):
    target = tmp_path / "short.ftup"
    target.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(Corrupt, match="is not a flowtuple file"):
        ft.File(target)


def test_chunk_of_no_events_without_an_index_is_found(tmp_path):
    column = {
        "name": "x",
        "dtype": "int8",
        "lattice": {"bound": "lossless", "grid": Integers("int8").to_json()},
    }
    meta = {"tables": [{"name": "t", "entries": 5, "columns": [column]}], "carried": []}
    target = tmp_path / "empty.ftup"
    head = chunk_of((Method.GROUP, b"\1"))
    assemble(
        target, meta, [Section(SectionKind.CHUNK, 0, 0, 0, 0, 0)], [head], [len(head)]
    )
    target.write_bytes(target.read_bytes()[:-8])
    assert [(d.events, d.reason) for d in check_integrity(target)][1:] == [
        ((0, 5), "missing")
    ]


def test_frame_of_more_bytes_than_fit_into_memory_is_damage(path, tmp_path):
    with ft.File(path) as file:
        section, events = file.table().chunks[0].section, file.table().num_entries
    data, target = path.read_bytes(), tmp_path / "far.ftup"
    for head, body in [
        (2**62, 0),
        (2**63, 0),
        (2**64 - 1, 2**64 - 1),
        (section.head, 2**62),
    ]:
        frame = layout.pack_frame(replace(section, head=head, body=body))
        # its end mark is gone
        target.write_bytes(data[: section.offset] + frame + data[section.begin : -8])
        assert [(d.table, d.events, d.reason) for d in check_integrity(target)[1:]] == [
            ("events", (0, events), "damaged")
        ]


def test_search_for_frames_reads_each_byte_a_few_times(tmp_path, monkeypatch):
    target, read = tmp_path / "markers.ftup", []
    target.write_bytes(layout.pack_header() + layout.MARKER * 2**15)
    storage = Storage(target)
    plain = storage.read
    monkeypatch.setattr(
        storage,
        "read",
        lambda offset, length: read.append(length) or plain(offset, length),
    )
    assert list(scan(storage)) == []
    storage.close()
    assert target.stat().st_size <= sum(read) < 3 * target.stat().st_size


@pytest.mark.parametrize("gap", [0, 1, 55, 56, 57, 222, 223, 224, 5000])
def test_frames_are_found_after_a_gap(tmp_path, gap):
    target, frame = (
        tmp_path / "gap.ftup",
        layout.pack_frame(Section(SectionKind.CHUNK, 0, 1, 5, 0, 3)),
    )
    target.write_bytes(
        layout.pack_header()
        + frame
        + bytes(5)
        + (layout.MARKER * gap)[:gap]
        + frame
        + frame[:55]
    )
    storage = Storage(target)
    assert [s.offset for s in scan(storage)] == [16, 16 + 56 + 5 + gap]
    storage.close()
