"""Frames, index and description: they survive packing; contradictions and excesses are refused."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

import flowtuple as ft
from dissect import assemble, pieces, write
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import write_unsigned
from flowtuple.errors import Corrupt
from flowtuple.file import layout
from flowtuple.file.description import pack_description, unpack_description
from flowtuple.file.layout import (
    FRAME_SIZE,
    HEADER_SIZE,
    TRAILER_SIZE,
    Section,
    SectionKind,
)
from flowtuple.file.reader import SectionReader

LONG, SHORT = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of every kind of section but a model, its chunk in several blocks."""
    made = tmp_path_factory.mktemp("sections") / "events.ftup"
    draw = np.random.default_rng(1)
    ft.compress(
        {name: draw.integers(0, 2**32, 9000, dtype=np.uint32) for name in "xyz"}
        | {"n": np.zeros(9000, "i1")},
        made,
    )
    meta, sections, contents = pieces(made)
    carried = Section(SectionKind.CARRIED, 0, 0, 0, 0, 0)
    assemble(
        made,
        meta | {"carried": ["h"]},
        [*sections, carried],
        [*contents, zstd(b"a histogram")],
    )
    return made


def read_head(path, number):
    with ft.File(path) as file:
        return file.read_head(file.sections[number])


def read_everything(path):
    with ft.File(path) as file:
        return file.arrays(), file.carried


class TestFrames:
    def test_bytes(self):
        found = layout.pack_frame(
            Section(SectionKind.CHUNK, 3, 1000, 40, 2**33, 0x0123456789ABCDEF, 2**40 + 7)
        )
        fixed = "895345430200000003000000e803000028000000000000000000000002000000efcdab8967452301"
        assert found[:48].hex() == fixed + "0700000000010000"
        assert found[48:] == xxhash.xxh3_64_intdigest(found[:48]).to_bytes(8, "little")
        assert len(found) == FRAME_SIZE == 56

    @given(
        st.sampled_from(SectionKind),
        SHORT,
        SHORT,
        LONG,
        LONG,
        LONG,
        LONG,
        st.integers(0, 2**40),
        st.binary(max_size=9),
    )
    def test_round_trip(
        self, kind, owner, entries, head, body, checksum, first, offset, after
    ):
        # no other has any
        entries, body, first = (
            (entries, body, first) if kind is SectionKind.CHUNK else (0, 0, 0)
        )
        section = Section(kind, owner, entries, head, body, checksum, first, offset)
        assert layout.unpack_frame(layout.pack_frame(section) + after, offset) == section
        assert (section.begin, section.stop) == (offset + 56, offset + 56 + head + body)

    @pytest.mark.parametrize(
        "kind", [k for k in SectionKind if k is not SectionKind.CHUNK]
    )
    @pytest.mark.parametrize("name", ["entries", "body", "first"])
    def test_what_only_a_chunk_has_makes_none_of_another(self, kind, name):
        section = Section(kind, 0, 0, 5, 0, 1)
        assert layout.unpack_frame(layout.pack_frame(section), 0) == section
        assert (
            layout.unpack_frame(layout.pack_frame(replace(section, **{name: 1})), 0)
            is None
        )
        assert (
            layout.unpack_frame(
                layout.pack_frame(replace(section, kind=SectionKind.CHUNK, **{name: 1})),
                0,
            )
            is not None
        )

    def test_every_change_is_seen(self):
        frame = layout.pack_frame(Section(SectionKind.CHUNK, 0, 5, 40, 70, 2**60, 300))
        for place in range(FRAME_SIZE):
            for mask in (*(1 << bit for bit in range(8)), 0xFF):
                assert (
                    layout.unpack_frame(
                        frame[:place] + bytes([frame[place] ^ mask]) + frame[place + 1 :],
                        0,
                    )
                    is None
                )

    def test_less_than_a_frame_is_none(self):
        frame = layout.pack_frame(Section(SectionKind.MODEL, 0, 0, 40, 0, 1))
        assert [
            layout.unpack_frame(frame[:length], 0) for length in range(FRAME_SIZE)
        ] == [None] * FRAME_SIZE

    @pytest.mark.parametrize("kind", [len(SectionKind), 2**32 - 1])
    def test_unknown_kind_is_none(self, kind):
        assert (
            layout.unpack_frame(layout.pack_frame(Section(kind, 0, 0, 0, 0, 0)), 0)
            is None
        )

    def test_stand_before_every_section(self, path):
        data = path.read_bytes()
        with ft.File(path) as file:
            assert [s.kind.name for s in file.sections] == [
                "DESCRIPTION",
                "CHUNK",
                "CARRIED",
            ]
            for section in file.sections:
                assert (
                    layout.unpack_frame(data[section.offset :], section.offset) == section
                )
                assert file.raw(section) == data[section.offset : section.stop]
                assert (
                    file.read_head(section)
                    == data[section.begin : section.begin + section.head]
                )
                assert section.checksum == layout.checksum(file.read_head(section))

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_reader_sees_every_change(self, path, tmp_path, number):
        """Though the index says all that a frame says."""
        data, target = path.read_bytes(), tmp_path / "changed.ftup"
        with ft.File(path) as file:
            section = file.sections[number]
        message = (
            rf"changed\.ftup: (events \d+ to \d+: )?{section.kind.name.lower()} section at bytes {section.offset} "
            f"to {section.stop} is damaged"
        )
        for place in range(section.offset, section.begin):
            target.write_bytes(
                data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
            )
            with pytest.raises(Corrupt, match=message):
                read_head(target, number)
            with pytest.raises(Corrupt, match=message):
                read_everything(target)


class TestIndex:
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(SectionKind),
                st.integers(0, 9),
                SHORT,
                st.integers(0, 2**40),
                st.just(0),
                LONG,
            )
        ),
        st.lists(
            st.tuples(
                st.just(SectionKind.CHUNK),
                SHORT,
                SHORT,
                st.integers(0, 2**40),
                st.integers(0, 2**40),
                LONG,
            )
        ),
    )
    def test_round_trip(self, small, chunks):
        rows = [
            (kind, owner, entries * (kind is SectionKind.CHUNK), *rest)
            for kind, owner, entries, *rest in small
        ] + chunks
        sections = [Section(*row) for row in rows]
        data = layout.pack_index(sections)
        offset = HEADER_SIZE + sum(s.length for s in sections)
        found = layout.unpack_trailer(data[-TRAILER_SIZE:], offset + len(data), "file")
        index = data[:-TRAILER_SIZE]
        assert found == (
            offset,
            len(index),
            xxhash.xxh3_64_intdigest(layout.pack_header() + index),
        )
        back = layout.unpack_index(index, offset, "file")
        assert [replace(s, first=0, offset=0) for s in back] == sections
        chunks = [(s.owner, s.entries * (s.kind is SectionKind.CHUNK)) for s in sections]
        before = [
            sum(n for owner, n in chunks[:k] if owner == chunks[k][0])
            for k in range(len(rows))
        ]
        assert [s.first for s in back] == [
            n * (s.kind is SectionKind.CHUNK) for n, s in zip(before, back, strict=True)
        ]
        assert [s.offset for s in back] == [
            HEADER_SIZE + sum(s.length for s in sections[:k]) for k in range(len(rows))
        ]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda index: zstd(index + b"\0"), "index does not add up"),
            (lambda index: zstd(index[:-1]), "runs past the end"),
            (lambda index: zstd(index[:3]), "runs past the end"),
            (lambda index: zstd(b""), "runs past the end"),
            (
                lambda index: zstd(b"\x02" + index[1:]),
                "longer than 64 bits|runs past the end|unknown kind",
            ),
            (lambda index: zstd(b"\0"), "index does not add up"),
            (
                lambda index: zstd(index.replace(b"\x01\x02\0\x05", b"\x01\x09\0\x05")),
                "file: has a section of unknown kind 9",
            ),
            (lambda index: index, "zstd frame"),
            (
                lambda index: zstd(bytes(10_000)),
                "declares 10000 bytes where at most 68 are due",
            ),
        ],
        ids=[
            "longer",
            "shorter",
            "cut",
            "nothing",
            "more rows",
            "no rows",
            "kind",
            "no frame",
            "beyond the limit",
        ],
    )
    def test_that_contradicts_itself_is_corrupt(self, change, message):
        section = Section(SectionKind.CHUNK, 0, 5, 10, 20, 2**64 - 1)
        index = layout.pack_index([section])[:-TRAILER_SIZE]
        offset = HEADER_SIZE + section.length
        assert layout.unpack_index(index, offset, "file") == [replace(section, offset=16)]
        with pytest.raises(Corrupt, match=message):
            layout.unpack_index(change(unzstd(index)), offset, "file")

    @pytest.mark.parametrize("offset", [16, 93, 95, 2**40])
    def test_that_ends_elsewhere_is_corrupt(self, offset):
        index = layout.pack_index([Section(SectionKind.CHUNK, 0, 5, 10, 20, 0)])[
            :-TRAILER_SIZE
        ]
        with pytest.raises(Corrupt, match=r"does not add up|are due"):
            layout.unpack_index(index, offset, "file")

    def test_of_many_rows_in_a_small_file_takes_no_memory(self):
        """Each row means 56 bytes or more: numbers beyond the file's size are refused first."""
        index = zstd(write_unsigned([2**22]) + bytes(13 * 2**22))
        assert len(index) < 10_000
        tracemalloc.start()
        with pytest.raises(
            Corrupt, match="declares 54525956 bytes where at most 10334 are due"
        ):
            layout.unpack_index(index, 10_000, "file")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: replace(s, owner=2**32 + s.owner),
            lambda s: replace(s, entries=2**32 + s.entries),
            lambda s: replace(s, entries=2**64 - 1),
        ],
        ids=["owner", "entries", "most entries"],
    )
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_of_numbers_that_no_frame_holds_is_corrupt(
        self, path, tmp_path, change, number
    ):
        with ft.File(path) as file:
            sections = file.sections
            contents = [file.raw(s)[FRAME_SIZE:] for s in sections]
        target = tmp_path / "large.ftup"
        sections = [change(s) if k == number else s for k, s in enumerate(sections)]
        write(target, sections, contents, [s.head for s in sections])
        with pytest.raises(
            Corrupt, match=r"large\.ftup: has a \w+ section of numbers that none can have"
        ):
            ft.File(target)

    @pytest.mark.parametrize("number", [0, 2])
    def test_only_chunks_have_bodies_and_entries(self, path, tmp_path, number):
        """A body of another section would be covered by no checksum."""
        with ft.File(path) as file:
            sections = file.sections
            contents = [file.raw(s)[FRAME_SIZE:] for s in sections]
        target = tmp_path / "body.ftup"
        more = [c + b"unseen" * (k == number) for k, c in enumerate(contents)]
        write(target, sections, more, [s.head for s in sections])
        with pytest.raises(
            Corrupt, match=r"body\.ftup: has a \w+ section of numbers that none can have"
        ):
            ft.File(target)
        counted = [
            replace(s, entries=7) if k == number else s for k, s in enumerate(sections)
        ]
        write(target, counted, contents, [s.head for s in sections])
        with pytest.raises(
            Corrupt, match=r"body\.ftup: has a \w+ section of numbers that none can have"
        ):
            ft.File(target)


class TestDescription:
    @pytest.mark.slow
    @given(
        st.dictionaries(
            st.text().filter(lambda key: key != "model"),
            st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        )
    )
    def test_round_trip(self, meta):
        meta |= {"tables": [], "carried": []}  # these and "model" have types of their own
        assert unpack_description(pack_description(meta), "file") == meta
        assert pack_description(dict(reversed(meta.items()))) == pack_description(meta)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"", "description does not parse"),
            (b"{]", "description does not parse"),
            (
                b'{"tables": [], "carried": [], "x": NaN}',
                "does not parse .NaN is no JSON",
            ),
            (
                b'{"tables": [], "carried": [], "x": -Infinity}',
                "does not parse .-Infinity is no JSON",
            ),
            (b'{"tables": [], "carried": ["\xff"]}', "description does not parse"),
            (
                b'{"tables": [], "carried": [], "x": ' + b"9" * 5000 + b"}",
                "description does not parse",
            ),
            (b"[" * 100_000 + b"]" * 100_000, "description does not parse"),
            (b"[]", "description is no JSON object"),
            (b'"tables"', "description is no JSON object"),
            (b"{}", "lists neither tables nor carried objects"),
            (b'{"tables": []}', "lists neither"),
            (b'{"carried": []}', "lists neither"),
            (b'{"tables": {}, "carried": []}', "lists neither"),
            (b'{"tables": [], "carried": [1]}', "lists neither"),
        ],
    )
    def test_that_is_none_is_corrupt(self, text, message):
        with pytest.raises(Corrupt, match=f"^file: .*{message}"):
            unpack_description(zstd(text), "file")

    def test_of_a_terabyte_takes_no_memory(self):
        frame = bytes.fromhex("28b52ffd e0") + (2**40).to_bytes(8, "little") + b"\x01\0\0"
        with pytest.raises(
            Corrupt, match="declares 1099511627776 bytes where at most 524288 are due"
        ):
            unpack_description(frame, "file")

    def test_longer_than_the_prefix_that_is_read_on_opening(self, path, tmp_path):
        meta, sections, contents = pieces(path)
        noise = np.random.default_rng(0).integers(0, 2**63, 12_000).tolist()
        assemble(tmp_path / "long.ftup", meta | {"more": noise}, sections, contents)
        with ft.File(tmp_path / "long.ftup") as file, ft.File(path) as original:
            assert file.sections[0].length > 2**16
            assert json.dumps(file.meta["more"]) == json.dumps(noise)
            assert file["x"].tolist() == original["x"].tolist()

    def test_is_the_first_section_and_the_only_one(self, path, tmp_path):
        with ft.File(path) as file:
            sections = file.sections
            contents = [file.raw(s)[FRAME_SIZE:] for s in sections]
        heads, target = [s.head for s in sections], tmp_path / "order.ftup"
        for order, message in (
            ([1, 0, 2], "does not begin with its description"),
            ([1, 2], "does not begin with its description"),
            ([], "does not begin with its description"),
            ([0, 1, 2, 0], "its sections do not fit its description"),
            ([0, 1, 2, 2], "its sections do not fit its description"),
            ([0, 1], "its sections do not fit its description"),
            ([0, 2], "declares 9000 events, its chunks hold 0"),
            ([0, 1, 1, 2], "declares 9000 events, its chunks hold 18000"),
        ):
            write(
                target,
                *([values[k] for k in order] for values in (sections, contents, heads)),
            )
            with pytest.raises(Corrupt, match=rf"order\.ftup: .*{message}"):
                ft.File(target)
        write(
            target,
            *([values[k] for k in (0, 2, 1)] for values in (sections, contents, heads)),
        )
        with ft.File(target) as file, ft.File(path) as original:
            assert file["x"].tolist() == original["x"].tolist()


def test_index_beyond_the_suffix_that_is_read_on_opening(path, tmp_path, monkeypatch):
    monkeypatch.setattr("flowtuple.file.reader.PREFIX", 16)
    monkeypatch.setattr("flowtuple.file.reader.SUFFIX", TRAILER_SIZE)
    reader = SectionReader(path)
    assert [s.kind for s in reader.sections] == [
        SectionKind.DESCRIPTION,
        SectionKind.CHUNK,
        SectionKind.CARRIED,
    ]
    assert reader.raw(reader.sections[2])[FRAME_SIZE:] == zstd(b"a histogram")
    reader.storage.close()


def test_chunk_whose_head_ends_elsewhere_is_corrupt(path, tmp_path):
    meta, sections, contents = pieces(path)
    target = tmp_path / "head.ftup"
    for head in (sections[0].head - 1, sections[0].head + 1, 0, len(contents[0])):
        assemble(target, meta, sections, contents, [head, len(contents[1])])
        with pytest.raises(Corrupt, match=r"head\.ftup: "), ft.File(target) as file:
            file["x"]


def test_sections_are_searched_once_for_all_their_owners(path):
    """Else checking a file of 100,000 chunks or carried objects would take minutes."""

    class Counted(list):
        passes = 0

        def __iter__(self):
            Counted.passes += 1
            return super().__iter__()

    reader = SectionReader(path)
    reader.sections = Counted(reader.sections)
    owned = [reader.owned(kind, number) for number in range(50) for kind in SectionKind]
    reader.storage.close()
    assert sum(map(len, owned)) == len(reader.sections) > 1
    assert Counted.passes == 1
