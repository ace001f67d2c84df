"""The fixed parts of a file, byte by byte as in docs/format.md, as bytes in memory."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum

from flowtuple.codec.packing import checksum, unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.errors import Corrupt, TooNew, Truncated
from flowtuple.io.formats import input_suffixes, suffix_by_content
from flowtuple.io.source import STORED

MAGIC = b"\x89FTUP\r\n\x1a"
MARKER = b"\x89SEC"
END_MAGIC = b"\x1aFTUPEND"
MAJOR, MINOR = 1, 1
EVENT_MODELS = 1
"""Feature flag: a model reads features of the event, or has trees or rules."""
FURTHER_BOUNDS = 2
"""Feature flag: the bound of a column has cuts, or counts in another column."""
KNOWN_FLAGS = EVENT_MODELS | FURTHER_BOUNDS

_HEADER = struct.Struct("<8sHHI")
_FRAME = struct.Struct("<4sIIIQQQQ")
_TRAILER = struct.Struct("<QQQ8s")
_CHECKSUM = struct.Struct("<Q")
HEADER_SIZE = _HEADER.size
FRAME_SIZE = _FRAME.size + _CHECKSUM.size
TRAILER_SIZE = _TRAILER.size
_LARGEST = 2**32 - 1  # owner or entries that a frame can hold
_INDEX_ROW = 5 * 10 + 8  # bytes of a section's row in the index at most


class SectionKind(IntEnum):
    """Contents of a section."""

    DESCRIPTION = 0
    MODEL = 1
    CHUNK = 2
    CARRIED = 3


@dataclass(frozen=True)
class Section:
    """Place, owner and checksum of one part of the file.

    Attributes:
        kind: Contents of the section.
        owner: Number of its table, or of the carried object.
        entries: Number of events of a chunk, 0 for others.
        head: Number of bytes of the head, which `checksum` covers.
        body: Number of bytes of the body, which only chunks have; the head has their checksums.
        checksum: XXH3-64 of the head.
        first: Number of a chunk's first event in its table, 0 for others; so a chunk has its place
            without the index.
        offset: First byte of the frame in the file; sections follow one another from the end of the
            header.
    """

    kind: SectionKind
    owner: int
    entries: int
    head: int
    body: int
    checksum: int
    first: int = 0
    offset: int = 0

    @property
    def length(self) -> int:
        """Number of bytes in the file, with the frame."""
        return FRAME_SIZE + self.head + self.body

    @property
    def is_possible(self) -> bool:
        """False for events, or a body, in a section other than a chunk."""
        return self.kind is SectionKind.CHUNK or not (
            self.body or self.entries or self.first
        )

    @property
    def begin(self) -> int:
        """First byte after the frame."""
        return self.offset + FRAME_SIZE

    @property
    def stop(self) -> int:
        """First byte after the section."""
        return self.offset + self.length


def pack_header(flags: int = 0) -> bytes:
    """Return the header: magic, major version, minor version, feature flags.

    The minor version is the first that defines all of the flags.
    """
    return _HEADER.pack(MAGIC, MAJOR, MINOR if flags else 0, flags)


def unpack_header(data: bytes) -> tuple[str, int]:
    """Return version and feature flags of a header that `check_header` accepts."""
    _, major, minor, flags = _HEADER.unpack(data[:HEADER_SIZE])
    return f"{major}.{minor}", flags


def check_header(data: bytes, name: str) -> None:
    """Raise if the header is not one that this version reads.

    Args:
        data: The first bytes of a file.
        name: Path of the file, for messages.

    Raises:
        Corrupt: The magic is another's or damaged.
        TooNew: The major version or a feature flag is unknown to this version of flowtuple.
        Truncated: There are fewer bytes than a header has.
    """
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise Corrupt(
            f"{name}: is not a flowtuple file (it lacks the flowtuple signature); "
            f"{_what_to_do(data, name)}"
        )
    if len(data) < HEADER_SIZE:
        raise Truncated(
            f"{name}: ends after {len(data)} bytes, within its header; fetch or copy it again"
        )
    _, major, minor, flags = _HEADER.unpack(data[:HEADER_SIZE])
    if major == 0:
        raise Corrupt(
            f"{name}: has the draft format {major}.{minor}, which nothing reads any more; "
            "compress again"
        )
    later = f"{name}: has format version {major}.{minor}"
    if major > MAJOR:
        raise TooNew(f"{later}, this flowtuple reads up to {MAJOR}.x; update flowtuple")
    if unknown := flags & ~KNOWN_FLAGS:
        raise TooNew(
            f"{later} with the unknown feature flags {unknown:#x}; update flowtuple"
        )


def _what_to_do(data: bytes, name: str) -> str:
    """Return the next step for a file with these first bytes, none of a flowtuple file."""
    lower = name.lower()
    if data[8:9] == b"{":  # safetensors
        return "a flow over rows is for `sample()` and `score()`"
    if lower.endswith(STORED):
        return "restore it from a copy, or save what is whole with flowtuple recover"
    if suffix_by_content(name)[0] or lower.endswith(
        (*input_suffixes(), ".pkl", ".pickle")
    ):
        return "compress it first with flowtuple compress"
    return "name one that flowtuple wrote, such as a .ftup or .flow"


def pack_frame(section: Section) -> bytes:
    """Return the frame before a section: enough to find and check it without the index."""
    fixed = _FRAME.pack(MARKER, *astuple(section)[:-1])
    return fixed + _CHECKSUM.pack(checksum(fixed))


def unpack_frame(data: bytes, offset: int) -> Section | None:
    """Return the section whose frame begins these bytes, `None` if they are no frame."""
    if len(data) < FRAME_SIZE or not data.startswith(MARKER):
        return None
    fixed = data[: _FRAME.size]
    _, kind, owner, entries, head, body, digest, first = _FRAME.unpack(fixed)
    expected = _CHECKSUM.unpack(data[_FRAME.size : FRAME_SIZE])[0]
    if checksum(fixed) != expected or kind not in tuple(SectionKind):
        return None
    section = Section(
        SectionKind(kind), owner, entries, head, body, digest, first, offset
    )
    return section if section.is_possible else None


def pack_index(sections: Sequence[Section], flags: int = 0) -> bytes:
    """Return the index of sections, and the trailer that locates it from the end of the file.

    Args:
        sections: All sections of the file.
        flags: Feature flags of its header.
    """
    numbers = [n for s in sections for n in astuple(s)[:5]]
    content = write_unsigned([len(sections), *numbers]) + b"".join(
        _CHECKSUM.pack(s.checksum) for s in sections
    )
    index = zstd(content)
    offset = HEADER_SIZE + sum(s.length for s in sections)
    return index + _TRAILER.pack(
        offset, len(index), checksum(pack_header(flags) + index), END_MAGIC
    )


def unpack_trailer(data: bytes, size: int, name: str) -> tuple[int, int, int]:
    """Return offset, length and checksum of the index, from the last bytes of a file.

    Raises:
        Truncated: The file does not end as every complete file does.
        Corrupt: The trailer contradicts the size of the file.
    """
    if len(data) < TRAILER_SIZE or data[-len(END_MAGIC) :] != END_MAGIC:
        raise Truncated(
            f"{name}: does not end with the flowtuple end mark; it is cut short or damaged: "
            "fetch or copy it again, or save what is whole with flowtuple recover"
        )
    offset, length, expected, _ = _TRAILER.unpack(data[-TRAILER_SIZE:])
    if offset < HEADER_SIZE or offset + length + TRAILER_SIZE != size:
        raise Corrupt(
            f"{name}: its end mark points to a place that does not fit its size of {size} bytes"
        )
    return offset, length, expected


def unpack_index(data: bytes, offset: int, name: str) -> list[Section]:
    """Return the sections of the index that begins at `offset`.

    Raises:
        Corrupt: The parts contradict each other.
    """
    reader = Reader(unzstd(data, most=10 + _INDEX_ROW * (offset // FRAME_SIZE)))
    rows = [[reader.unsigned() for _ in range(5)] for _ in range(reader.unsigned())]
    sections: list[Section] = []
    position = HEADER_SIZE
    events: dict[tuple[int, int], int] = {}
    for kind, owner, entries, head, body in rows:
        if kind not in tuple(SectionKind):
            raise Corrupt(f"{name}: has a section of unknown kind {kind}")
        digest = _CHECKSUM.unpack(reader.take(_CHECKSUM.size))[0]
        first = events.get((kind, owner), 0)
        section = Section(
            SectionKind(kind), owner, entries, head, body, digest, first, position
        )
        if max(owner, entries) > _LARGEST or not section.is_possible:
            named = section.kind.name.lower()
            raise Corrupt(f"{name}: has a {named} section of numbers that none can have")
        sections.append(section)
        events[kind, owner] = first + entries
        position = section.stop
    if position != offset or reader.position != len(reader.data):
        raise Corrupt(f"{name}: its index does not add up to its size")
    return sections
