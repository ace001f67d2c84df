"""Blocks of a chunk: a column is read and checked by its own bytes alone, wherever the rest is
damaged.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowtuple as ft
from dissect import join, methods, with_block_checksums
from flowtuple.codec.chunk import decode_chunk, decode_columns, encode_chunk, slices
from flowtuple.codec.column import SMALL, Method, StoredColumn
from flowtuple.codec.directory import BLOCK, read_directory
from flowtuple.codec.directory import join as head_and_body
from flowtuple.codec.packing import zstd
from flowtuple.codec.varint import write_unsigned
from flowtuple.data.bounds import Bound
from flowtuple.data.schema import Column
from flowtuple.data.table import Table, difference
from flowtuple.errors import Corrupt
from flowtuple.file.layout import checksum
from flowtuple.file.storage import Storage
from flowtuple.lattice.flow import LatticeFlow
from flowtuple.lattice.grid import Integers
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.walk import TableCoding

ROWS = 9000
NAMES = ("a", "n", "b", "c", "d")


@pytest.fixture(scope="module")
def table():
    """Three columns of more than a block each, one that is constant and one of two bits, which ends
    in a block of its own.
    """
    draw = np.random.default_rng(1)
    data = {name: draw.integers(0, 2**32, ROWS, dtype=np.uint32) for name in "abc"}
    data |= {
        "n": np.full(ROWS, 7, np.uint32),
        "d": draw.integers(0, 4, ROWS, dtype=np.uint32),
    }
    return Table("t", tuple(Column(name, "uint32") for name in NAMES), ROWS, data)


@pytest.fixture(scope="module")
def coding(table):
    return TableCoding(
        table.columns,
        {n: Lattice("uint32", Bound(), Integers("uint32")) for n in NAMES},
        LatticeFlow(),
    )


@pytest.fixture(scope="module")
def chunk(table, coding):
    return encode_chunk(table, coding)


@pytest.fixture(scope="module")
def path(table, tmp_path_factory):
    made = tmp_path_factory.mktemp("blocks") / "blocks.ftup"
    ft.compress({name: table[name] for name in NAMES}, made, effort="fast")
    return made


class Fetch:
    """Ranges of a chunk's body, and which were asked for."""

    def __init__(self, data, directory):
        self.data, self.base, self.requested = data, directory.head, []

    def __call__(self, spans):
        self.requested.append(list(spans))
        return slices(self.data, self.base, spans)


def stored_columns(*lengths):
    return [
        StoredColumn(Method.VALUES, bytes([k % 251]) * length)
        for k, length in enumerate(lengths)
    ]


def columns_of(stored):
    return [Column(f"c{k}", "int64") for k in range(len(stored))]


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


class TestDirectory:
    @pytest.mark.slow
    @given(
        st.lists(
            st.sampled_from(
                [0, 1, 100, BLOCK // 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]
            ),
            max_size=9,
        )
    )
    def test_blocks_end_with_the_column_that_fills_them(self, lengths):
        stored = stored_columns(*lengths)
        head, body = head_and_body(stored)
        directory = read_directory(head, columns_of(stored))
        ends = np.cumsum(lengths, dtype=int).tolist()
        edges = [0, *(b.stop for b in directory.blocks)]
        assert (
            (directory.head, directory.body)
            == (len(head), len(body))
            == (len(head), sum(lengths))
        )
        assert [b.begin for b in directory.blocks] == edges[:-1]
        assert edges[-1] == len(body)
        assert set(edges[1:]) <= set(ends)
        for begin, stop in pairwise(edges[:-1]):
            # all but the last are as short as columns allow
            assert stop - begin >= BLOCK
            assert all(not begin < end < stop or end - begin < BLOCK for end in ends)
        assert [b.checksum for b in directory.blocks] == [
            checksum(body[b.begin : b.stop]) for b in directory.blocks
        ]
        fetch = Fetch(head + body, directory)
        assert (
            list(directory.take([c.name for c in columns_of(stored)], fetch).values())
            == stored
        )

    @pytest.mark.slow
    @given(st.lists(st.sampled_from(list(Method)), max_size=6), st.data())
    def test_all_methods_come_back(self, kinds, data):
        lengths, stored = st.sampled_from([0, 1, 50, SMALL, BLOCK]), []
        for kind in kinds:
            escaped = kind in (Method.FLOW, Method.CONSTANT, Method.INDICES, Method.GROUP)
            payload = bytes(
                min(data.draw(lengths), SMALL if kind is Method.GROUP else BLOCK)
            )
            escapes = b"e" * data.draw(lengths) if escaped else b""
            residual = kind in (
                Method.CONSTANT,
                Method.INDICES,
                Method.GROUP,
            ) and data.draw(st.booleans())
            stored.append(StoredColumn(kind, payload, escapes, residual))
        columns = [
            Column(f"c{k}", "opaque" if s.method is Method.OPAQUE else "int64")
            for k, s in enumerate(stored)
        ]
        actual = join(stored)
        assert list(methods(actual, columns).values()) == stored
        entries = read_directory(actual, columns).entries
        assert list(entries) == [c.name for c in columns]
        assert [
            (e.method, e.payload + e.escapes, e.residual) for e in entries.values()
        ] == [(s.method, len(s), s.residual) for s in stored]

    def test_layout(self, chunk, table):
        directory = read_directory(chunk, table.columns)
        assert [
            [
                n
                for n, e in directory.entries.items()
                if b.begin <= e.begin < e.stop <= b.stop
            ]
            for b in directory.blocks
        ] == [
            ["a"],
            ["n", "b"],
            ["c"],
            ["d"],
        ]
        assert directory.head + directory.body == len(chunk)

    @pytest.mark.parametrize("cut", [1, 8, 9, 100])
    def test_cut_head_is_corrupt(self, chunk, table, cut):
        head = chunk[: read_directory(chunk, table.columns).head]
        with pytest.raises(Corrupt, match=r"past the end|does not decode"):
            read_directory(head[:-cut], table.columns)

    def test_group_columns_are_small(self):
        stored = [StoredColumn(Method.GROUP, bytes(SMALL + 1))]
        with pytest.raises(
            Corrupt, match="column 'c0' shares a frame and takes 4097 bytes of it"
        ):
            read_directory(join(stored), columns_of(stored))

    def test_directory_is_no_longer_than_its_columns_need(self):
        frame = zstd(write_unsigned([Method.VALUES, 0, 0]) + bytes(28))
        with pytest.raises(Corrupt, match="declares 31 bytes where at most 30 are due"):
            read_directory(
                write_unsigned([len(frame), 0]) + frame, [Column("x", "int64")]
            )

    @pytest.mark.parametrize("length", [2**40, 2**64 - 1])
    def test_lengths_that_no_chunk_has_are_corrupt(self, coding, length):
        frame = zstd(
            write_unsigned([Method.VALUES, length, 0] + [Method.CONSTANT, 1, 0] * 4)
        )
        data = write_unsigned([len(frame), 0]) + frame + bytes(8 * 2)
        with pytest.raises(
            Corrupt,
            match=rf"a chunk has {len(data)} bytes where its directory lists {len(data) + length + 4}",
        ):
            decode_chunk(data, "t", ROWS, coding)


class TestReading:
    @pytest.mark.parametrize(
        "wanted",
        [
            ["a"],
            ["n"],
            ["b"],
            ["n", "b"],
            ["a", "c"],
            ["d"],
            ["a", "b", "c", "d", "n"],
            [],
        ],
    )
    def test_only_the_blocks_of_the_columns_are_fetched(
        self, chunk, table, coding, wanted
    ):
        directory = read_directory(chunk, table.columns)
        blocks, fetch = directory.blocks, Fetch(chunk, directory)
        actual = decode_columns(directory, fetch, "t", ROWS, coding, wanted)
        assert difference(actual, table.read(wanted, 0, ROWS)) is None
        home = {"a": 0, "n": 1, "b": 1, "c": 2, "d": 3}
        needed = sorted({home[name] for name in wanted})
        assert fetch.requested == [[(blocks[k].begin, blocks[k].stop) for k in needed]]

    def test_columns_of_no_bytes_need_no_block(self):
        stored = [
            StoredColumn(Method.GROUP, b"\1\5\6"),
            StoredColumn(Method.VALUES, b""),
            StoredColumn(Method.VALUES, b"x" * 40),
        ]
        data, columns = join(stored), columns_of(stored)
        directory = read_directory(data, columns)
        fetch = Fetch(data, directory)
        assert directory.take(["c0", "c1"], fetch) == {"c0": stored[0], "c1": stored[1]}
        assert fetch.requested == [[]]

    @pytest.mark.parametrize(
        ("name", "lost"), [("a", "a"), ("n", "nb"), ("b", "nb"), ("c", "c"), ("d", "d")]
    )
    def test_damage_in_a_block_leaves_columns_of_others(
        self, chunk, table, coding, name, lost
    ):
        directory = read_directory(chunk, table.columns)
        entry = directory.entries[name]
        for place in {entry.begin, (entry.begin + entry.stop) // 2, entry.stop - 1}:
            data = flipped(chunk, directory.head + place)
            fetch = Fetch(data, directory)
            assert directory.damaged(fetch) == list(lost)
            for column in NAMES:
                if column in lost:
                    with pytest.raises(
                        Corrupt,
                        match=f"^column '{column}' is damaged; restore the file from a copy",
                    ):
                        decode_columns(directory, fetch, "t", ROWS, coding, [column])
                else:
                    actual = decode_columns(directory, fetch, "t", ROWS, coding, [column])
                    assert difference(actual, table.read([column], 0, ROWS)) is None
            with pytest.raises(Corrupt, match=f"column '{lost[0]}' is damaged"):
                decode_chunk(data, "t", ROWS, coding)

    def test_every_byte_of_the_body_is_covered(self):
        stored = [
            StoredColumn(Method.CONSTANT, b"ab", b"cd"),
            StoredColumn(Method.VALUES, b"efg"),
            StoredColumn(Method.OPAQUE, b"h"),
        ]
        columns = [Column("x", "int8"), Column("y", "int8"), Column("z", "opaque")]
        data = join(stored)
        head = read_directory(data, columns).head
        assert len(data) == head + 8
        for place in range(head, len(data)):
            with pytest.raises(Corrupt, match="column 'x' is damaged"):
                methods(flipped(data, place), columns)
            assert methods(with_block_checksums(flipped(data, place), columns), columns)

    def test_damaged_checksum_is_damage(self, chunk, table):
        directory = read_directory(chunk, table.columns)
        for k, lost in enumerate(["a", "nb", "c", "d"]):
            data = flipped(chunk, directory.head - 8 * (4 - k))
            damaged = read_directory(data, table.columns)
            assert damaged.damaged(Fetch(data, damaged)) == list(lost)


class TestInFiles:
    @pytest.fixture
    def reads(self, monkeypatch):
        """Ranges that are read from here on, and no file small enough to be read as a whole."""
        actual, take = [], Storage.read
        monkeypatch.setattr("flowtuple.file.reader.PREFIX", 16)
        monkeypatch.setattr("flowtuple.file.reader.WHOLE", 1000)
        monkeypatch.setattr("flowtuple.file.storage.GAP", 0)
        monkeypatch.setattr(
            Storage, "read", lambda self, *span: actual.append(span) or take(self, *span)
        )
        return actual

    @pytest.mark.parametrize(
        ("names", "blocks"),
        [(["a"], [0]), (["n"], [1]), (["a", "b"], [0, 1]), (["a", "c"], [0, 2])],
    )
    def test_some_columns_read_head_and_blocks(self, path, table, reads, names, blocks):
        with ft.File(path) as file:
            stored = file.table()
            (chunk,) = stored.chunks
            cut, begin = (
                stored.directory(chunk)[0].blocks,
                chunk.section.begin + chunk.section.head,
            )
            assert file.table().flow is not None
            reads.clear()
            actual = stored.read(names, 0, ROWS)
        assert difference(actual, table.read(names, 0, ROWS)) is None
        bytes_of_blocks = sum(cut[k].stop - cut[k].begin for k in blocks)
        head, *rest = reads
        assert head == (chunk.section.offset, 56 + chunk.section.head)
        assert sum(length for _, length in rest) == bytes_of_blocks
        assert [offset for offset, _ in rest] == [
            begin + cut[k].begin for k in blocks if k - 1 not in blocks
        ]

    def test_all_columns_are_read_in_one_go(self, path, table, reads):
        with ft.File(path) as file:
            assert file.table().flow is not None
            reads.clear()
            actual = file.table().read(NAMES, 0, ROWS)
            section = file.table().chunks[0].section
        assert reads == [(section.offset, section.length)]
        assert difference(actual, table.read(NAMES, 0, ROWS)) is None

    def test_small_chunks_are_read_in_one_go(self, path, reads, monkeypatch):
        monkeypatch.setattr("flowtuple.file.reader.WHOLE", 2**18)
        with ft.File(path) as file:
            assert file.table().flow is not None
            reads.clear()
            file.table().read(["n"], 0, ROWS)
            section = file.table().chunks[0].section
        assert reads == [(section.offset, section.length)]

    @pytest.mark.parametrize("whole", [1000, 2**18], ids=["by blocks", "in one go"])
    def test_damaged_column_is_named_and_others_are_read(
        self, path, table, tmp_path, monkeypatch, whole
    ):
        monkeypatch.setattr("flowtuple.file.reader.WHOLE", whole)
        with ft.File(path) as file:
            chunk = file.table().chunks[0]
            entry = file.table().directory(chunk)[0].entries["c"]
        target = tmp_path / "damaged.ftup"
        target.write_bytes(
            flipped(
                path.read_bytes(),
                chunk.section.begin + chunk.section.head + entry.begin + 5,
            )
        )
        with ft.File(target) as file:
            for name in "abdn":
                assert file[name].tolist() == table[name].tolist()
            for read in (lambda: file["c"], file.arrays, lambda: file.arrays(["a", "c"])):
                with pytest.raises(
                    Corrupt,
                    match=r"damaged\.ftup: events 0 to \d+: column 'c' is damaged; restore the file from a copy",
                ):
                    read()
