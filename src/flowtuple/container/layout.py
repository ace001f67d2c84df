"""The fixed parts of a file, byte by byte as in docs/format.md; nothing here reads or writes files."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import xxhash

from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.errors import Corrupt, TooNew, Truncated

MAGIC = b"\x89FTUP\r\n\x1a"
END_MAGIC = b"\x1aFTUPEND"
MAJOR, MINOR = 0, 1

_HEADER = struct.Struct("<8sHHI")
_TRAILER = struct.Struct("<QQQ8s")
HEADER_SIZE = _HEADER.size
TRAILER_SIZE = _TRAILER.size
_KNOWN_FLAGS = 0
_CHECKSUM = struct.Struct("<Q")


class SectionKind(IntEnum):
    """What a section holds."""

    MODEL = 1
    CHUNK = 2
    CARRIED = 3


@dataclass(frozen=True)
class Section:
    """Where one part of the file lies, what it belongs to and how to check it.

    Attributes:
        kind: What it holds.
        owner: Number of its table, or of the carried object.
        entries: Events of a chunk, 0 for others.
        length: Bytes.
        checksum: XXH3-64 of its bytes.
        offset: First byte in the file; sections follow one another from the end of the header.
    """

    kind: SectionKind
    owner: int
    entries: int
    length: int
    checksum: int
    offset: int = 0


def checksum(data: bytes) -> int:
    """XXH3 with 64 bits."""
    return int(xxhash.xxh3_64_intdigest(data))


def pack_header() -> bytes:
    """Magic, major version, minor version, feature flags."""
    return _HEADER.pack(MAGIC, MAJOR, MINOR, 0)


def check_header(data: bytes, name: str) -> None:
    """Refuse what is not a file of ours, or one of a later format.

    Raises:
        Corrupt: The magic is another's or damaged.
        TooNew: The major version or a feature flag is unknown to this version of flowtuple.
        Truncated: There are fewer bytes than a header has.
    """
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise Corrupt(f"{name}: is not a flowtuple file (it lacks the flowtuple signature); try flowtuple inspect")
    if len(data) < HEADER_SIZE:
        raise Truncated(f"{name}: ends after {len(data)} bytes, within its header; fetch or copy it again")
    _, major, minor, flags = _HEADER.unpack(data)
    is_other_draft = 0 in (major, MAJOR) and (major, minor) != (MAJOR, MINOR)  # drafts promise nothing to one another
    if major > MAJOR or is_other_draft:
        known = f"{MAJOR}.{MINOR}" if MAJOR == 0 else f"{MAJOR}.x"
        raise TooNew(f"{name}: has format version {major}.{minor}, this flowtuple reads up to {known}; update flowtuple")
    if flags & ~_KNOWN_FLAGS:
        raise TooNew(f"{name}: has format version {major}.{minor} with the unknown feature flags {flags:#x}; update flowtuple")


def pack_footer(meta: dict[str, Any], sections: Sequence[Section]) -> bytes:
    """The JSON description and the index of sections, with the trailer that finds them from the end of the file."""
    numbers = [n for s in sections for n in (s.kind, s.owner, s.entries, s.length)]
    index = write_unsigned([len(sections), *numbers]) + b"".join(_CHECKSUM.pack(s.checksum) for s in sections)
    text = json.dumps(meta, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    footer = zstd(write_unsigned([len(text)]) + text + index)
    offset = HEADER_SIZE + sum(s.length for s in sections)
    return footer + _TRAILER.pack(offset, len(footer), checksum(pack_header() + footer), END_MAGIC)


def unpack_trailer(data: bytes, size: int, name: str) -> tuple[int, int, int]:
    """Offset, length and checksum of the footer, from the last bytes of a file of `size` bytes.

    Raises:
        Truncated: The file does not end as every complete file does.
        Corrupt: The trailer contradicts the size of the file.
    """
    if len(data) < TRAILER_SIZE or data[-len(END_MAGIC) :] != END_MAGIC:
        raise Truncated(f"{name}: does not end with the flowtuple end mark; it is cut short or damaged, fetch or copy it again")
    offset, length, expected, _ = _TRAILER.unpack(data)
    if offset < HEADER_SIZE or offset + length + TRAILER_SIZE != size:
        raise Corrupt(f"{name}: its end mark points to a place that does not fit its size of {size} bytes")
    return offset, length, expected


def unpack_footer(data: bytes, offset: int, name: str) -> tuple[dict[str, Any], list[Section]]:
    """The JSON description and the sections, from the footer that begins at `offset`.

    Raises:
        Corrupt: The parts contradict each other.
    """
    reader = Reader(unzstd(data))
    try:
        meta = json.loads(reader.take(reader.unsigned()).decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{name}: its description does not parse ({error})") from None
    if not isinstance(meta, dict):
        raise Corrupt(f"{name}: its description is no JSON object")
    rows = [[reader.unsigned() for _ in range(4)] for _ in range(reader.unsigned())]
    sections, position = [], HEADER_SIZE
    for kind, owner, entries, length in rows:
        if kind not in tuple(SectionKind):
            raise Corrupt(f"{name}: has a section of unknown kind {kind}")
        digest = _CHECKSUM.unpack(reader.take(_CHECKSUM.size))[0]
        sections.append(Section(SectionKind(kind), owner, entries, length, digest, position))
        position += length
    if position != offset or reader.position != len(reader.data):
        raise Corrupt(f"{name}: its index does not add up to its size")
    return meta, sections


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
