"""Sections 2 and 8.1: where things lie in a file and in a chunk."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reference_reader.base import Reader, Truncated, require, xxh3, zstd_content

MAGIC = b"\x89FTUP\r\n\x1a"
MARKER = b"\x89SEC"
END_MAGIC = b"\x1aFTUPEND"
MAJOR = 1
HEADER, FRAME, TRAILER = 16, 56, 32  # bytes
DESCRIPTION, MODEL, CHUNK, CARRIED = range(4)
FLOW, CONSTANT, INDICES, VALUES, GROUP, OPAQUE, GIVEN = range(7)
BLOCK = 2**15
MAX_GROUPED = 4096
EVENT_MODELS = 1
FURTHER_BOUNDS = 2


@dataclass(frozen=True)
class Section:
    """Section 2.2: one row of the index, with the section's bytes; `checksum` is that of the head
    in the index.
    """

    kind: int
    owner: int
    entries: int
    frame: bytes
    head: bytes
    body: bytes
    checksum: int
    first: int


@dataclass(frozen=True)
class Stored:
    """Section 8.1: how a column is stored in a chunk."""

    method: int
    residual: bool
    payload: bytes
    escapes: bytes


def check_header(data: bytes) -> int:
    """Section 2.1; the feature flags."""
    if len(data) < HEADER and MAGIC.startswith(data[:8]):
        raise Truncated("no whole header")
    require(data[:8] == MAGIC, "not a file of this format")
    major, _minor, flags = struct.unpack("<HHI", data[8:HEADER])
    require(major == MAJOR, f"major version {major} is not known")
    require(
        flags & ~(EVENT_MODELS | FURTHER_BOUNDS) == 0, "a feature flag that is not known"
    )
    return int(flags)


def index_bytes(data: bytes) -> bytes:
    """Section 2.4: the index, by the trailer."""
    if len(data) < HEADER + TRAILER or data[-8:] != END_MAGIC:
        raise Truncated("no trailer")
    offset, length, checksum = struct.unpack("<QQQ", data[-TRAILER:-8])
    require(
        offset >= HEADER and offset + length + TRAILER == len(data),
        "trailer and size of the file disagree",
    )
    index = data[offset : offset + length]
    require(
        xxh3(data[:HEADER] + index) == checksum,
        "the checksum of header and index differs",
    )
    return index


def open_container(data: bytes) -> list[Section]:
    """Sections 2.1 to 2.4: header, trailer and index, checked; the sections are not yet."""
    check_header(data)
    index = index_bytes(data)
    reader = Reader(zstd_content(index))
    count = reader.varint()
    require(count <= reader.left(), "more sections than the index has bytes")
    rows = [[reader.varint() for _ in range(5)] for _ in range(count)]
    checksums = [reader.u64() for _ in range(count)]
    reader.finish()
    content = Reader(data[HEADER : len(data) - TRAILER - len(index)])
    sections: list[Section] = []
    for (kind, owner, entries, head, body), checksum in zip(rows, checksums, strict=True):
        require(kind <= CARRIED, "a reserved kind of section")
        require(
            kind == CHUNK or body == entries == 0,
            "a section with events or a body that is no chunk",
        )
        frame = content.take(FRAME)
        first = sum(
            s.entries for s in sections if s.kind == kind == CHUNK and s.owner == owner
        )
        sections.append(
            Section(
                kind,
                owner,
                entries,
                frame,
                content.take(head),
                content.take(body),
                checksum,
                first,
            )
        )
    content.finish()
    require(
        sections != [] and sections[0].kind == DESCRIPTION,
        "a file that does not begin with its description",
    )
    require(sum(s.kind == DESCRIPTION for s in sections) == 1, "two descriptions")
    require(sections[0].owner == 0, "a description with an owner")
    return sections


def check_frame(section: Section) -> None:
    """Section 2.2: the frame says the same as the index, and its own checksum is right."""
    fields = Reader(section.frame)
    require(fields.take(4) == MARKER, "a frame without the marker")
    numbers = [
        fields.u32(),
        fields.u32(),
        fields.u32(),
        fields.u64(),
        fields.u64(),
        fields.u64(),
        fields.u64(),
    ]
    s = section
    require(
        numbers
        == [s.kind, s.owner, s.entries, len(s.head), len(s.body), s.checksum, s.first],
        "frame and index differ",
    )
    require(fields.u64() == xxh3(section.frame[:48]), "the checksum of a frame differs")


def head_of(section: Section) -> bytes:
    """Section 10: the head of a section, with its frame and checksum verified."""
    check_frame(section)
    require(xxh3(section.head) == section.checksum, "the checksum of a head differs")
    return section.head


def split_chunk(section: Section, column_count: int) -> list[Stored]:
    """Section 8.1: for each of these columns of the schema its method, payload and escapes, all
    blocks verified.
    """
    head = Reader(head_of(section))
    directory_length, group_length = head.varint(), head.varint()
    directory = Reader(zstd_content(head.take(directory_length), 30 * column_count))
    group = Reader(zstd_content(head.take(group_length)) if group_length else b"")
    entries = [[directory.varint() for _ in range(3)] for _ in range(column_count)]
    lengths = [
        escapes + (0 if split_method(n)[0] == GROUP else payload)
        for n, payload, escapes in entries
    ]
    check_blocks(head, section.body, lengths)
    body, stored = Reader(section.body), []
    for number, payload_length, escapes_length in entries:
        method, residual = split_method(number)
        require(
            method != GROUP or payload_length <= MAX_GROUPED,
            "too long a payload of GROUP",
        )
        payload = (group if method == GROUP else body).take(payload_length)
        stored.append(Stored(method, residual, payload, body.take(escapes_length)))
    for part in (head, body, directory, group):
        part.finish()
    return stored


def split_method(number: int) -> tuple[int, bool]:
    """Sections 8.1 and 8.2: the method, and whether its numbers are residuals (8 more than the
    method).
    """
    residual = number - 8 in {CONSTANT, INDICES, GROUP}
    method = number - 8 if residual else number
    require(0 <= method <= GIVEN, "a reserved method")
    return method, residual


def check_blocks(head: Reader, body: bytes, lengths: Iterable[int]) -> None:
    """Section 8.1: the checksums of the body's blocks, which the head ends with."""
    position = 0
    for length in block_lengths(lengths):
        require(position + length <= len(body), "a body that is too short")
        require(
            xxh3(body[position : position + length]) == head.u64(),
            "the checksum of a block differs",
        )
        position += length


def block_lengths(lengths: Iterable[int]) -> Iterator[int]:
    """Section 8.1: a block ends with the first column with which it holds 2^15 bytes, or with the
    last column.
    """
    block = 0
    for length in lengths:
        block += length
        if block >= BLOCK:
            yield block
            block = 0
    if block > 0:
        yield block
