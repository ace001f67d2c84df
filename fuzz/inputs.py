"""Inputs of the fuzzer: a whole file, or its parts without frames and checksums.

The first byte tells which. After 0 the rest is a file. After any other byte pieces follow, each a
varint length and as many bytes, or fewer at the end:

- the description as JSON text;
- the contents of the index, empty for the right index;
- for each section its numbers as varints (kind, owner, entries, n), and then n pieces. After n
  there may be two lengths, which frame and index state for head and body in place of the right
  ones, and then (or in their place) the number of the first event, which the frame states.

A chunk of four pieces has the contents of its directory, the contents of its group, its body, and
surplus bytes of its head. Any other chunk has one piece with a number for each column, as a
directory lists methods, and two pieces for each column, payload and escapes. Each of these begins
with its wrapping: 0 for none, 1 for a zstd frame, 2 for a frame after a zero byte. `file_of`
makes a file of any bytes, with right frames and checksums, so that the code behind these checks
is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowtuple.codec import directory
from flowtuple.codec.chunk import slices
from flowtuple.codec.column import Method, StoredColumn
from flowtuple.codec.packing import unzstd, zstd
from flowtuple.codec.varint import Reader, write_unsigned
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt
from flowtuple.file import layout
from flowtuple.file.file import File
from flowtuple.file.layout import Section, SectionKind

RAW, IN_PARTS = 0, 1
AS_IT_IS, FRAMED, FRAMED_AFTER_ZERO = range(3)
_MOST_PARTS = 1000


@dataclass
class Part:
    """Numbers and pieces of a section, as above."""

    kind: int
    owner: int
    entries: int
    pieces: list[bytes]
    lengths: tuple[int, ...] = ()
    first: int | None = None


@dataclass
class Parts:
    """A file without frames and checksums."""

    description: bytes
    index: bytes = b""
    sections: list[Part] = field(default_factory=list)


def pack(parts: Parts) -> bytes:
    """Return the input of parts."""
    pieces = [parts.description, parts.index]
    for part in parts.sections:
        first = () if part.first is None else (part.first,)
        numbers = [
            part.kind,
            part.owner,
            part.entries,
            len(part.pieces),
            *part.lengths,
            *first,
        ]
        pieces += [write_unsigned(numbers), *part.pieces]
    return bytes([IN_PARTS]) + b"".join(
        write_unsigned([len(piece)]) + piece for piece in pieces
    )


def unpack(data: bytes) -> Parts:
    """Return the parts of an input other than a whole file, from any bytes."""
    reader = Reader(data, 1)
    parts = Parts(_piece(reader), _piece(reader))
    while reader.position < len(data) and len(parts.sections) < _MOST_PARTS:
        numbers = Reader(_piece(reader))
        kind, owner, entries, count = (_number(numbers) for _ in range(4))
        pieces = [
            _piece(reader)
            for _ in range(min(count, _MOST_PARTS))
            if reader.position < len(data)
        ]
        stated = [
            _number(numbers) for _ in range(3) if numbers.position < len(numbers.data)
        ]
        lengths = tuple(stated[: len(stated) // 2 * 2])
        first = stated[-1] if len(stated) % 2 else None
        parts.sections.append(Part(kind, owner, entries, pieces, lengths, first))
    return parts


def _piece(reader: Reader) -> bytes:
    return reader.take(min(_number(reader), len(reader.data) - reader.position))


def _number(reader: Reader) -> int:
    try:
        return reader.unsigned()
    except Corrupt:
        return 0


def file_of(data: bytes) -> bytes:
    """Return the bytes of the file of an input."""
    if data[:1] in (b"", bytes([RAW])):
        return data[1:]
    parts = unpack(data)
    sections = [_section(SectionKind.DESCRIPTION, 0, 0, zstd(parts.description))]
    events: dict[int, int] = {}
    for part in parts.sections:
        section, content = _stated(part, *_placed(part), events)
        if section.kind == SectionKind.CHUNK:
            events[section.owner] = events.get(section.owner, 0) + section.entries
        sections.append((section, content))
    placed = b"".join(
        layout.pack_frame(section) + content for section, content in sections
    )
    index = zstd(parts.index or _index([section for section, _ in sections]))
    offset = layout.HEADER_SIZE + len(placed)
    header = layout.pack_header(layout.KNOWN_FLAGS)
    digest = layout.checksum(header + index)
    trailer = (
        b"".join(n.to_bytes(8, "little") for n in (offset, len(index), digest))
        + layout.END_MAGIC
    )
    return header + placed + index + trailer


def _index(sections: Sequence[Section]) -> bytes:
    numbers = [n for s in sections for n in (s.kind, s.owner, s.entries, s.head, s.body)]
    return write_unsigned([len(sections), *numbers]) + b"".join(
        s.checksum.to_bytes(8, "little") for s in sections
    )


def _stated(
    part: Part, section: Section, content: bytes, events: Mapping[int, int]
) -> tuple[Section, bytes]:
    """Return a section with the stated lengths and first event, or else with the right ones."""
    head, body = part.lengths or (section.head, section.body)
    first = events.get(section.owner, 0) if section.kind == SectionKind.CHUNK else 0
    return replace(
        section, head=head, body=body, first=first if part.first is None else part.first
    ), content


def _placed(part: Part) -> tuple[Section, bytes]:
    kind, owner, entries = (n % 2**32 for n in (part.kind, part.owner, part.entries))
    if kind != SectionKind.CHUNK:
        return _section(kind, owner, entries, zstd(b"".join(part.pieces)))
    head, body = (
        _listed(*part.pieces)
        if len(part.pieces) == 4
        else directory.join(_columns(part.pieces))
    )
    return _section(kind, owner, entries, head, body)


def _section(
    kind: int, owner: int, entries: int, head: bytes, body: bytes = b""
) -> tuple[Section, bytes]:
    sizes = len(head), len(body), layout.checksum(head)
    return Section(kind, owner, entries, *sizes), head + body  # type: ignore[arg-type]


def _listed(
    numbers: bytes, group: bytes, body: bytes, more: bytes
) -> tuple[bytes, bytes]:
    """Return head and body of a chunk with this directory, and checksums of its blocks."""
    reader, lengths = Reader(numbers), []
    while reader.position < len(numbers):
        method, payload, escapes = (_number(reader) for _ in range(3))
        lengths.append(escapes + payload * (method % 8 != Method.GROUP))
    sums = [
        layout.checksum(block).to_bytes(8, "little")
        for block in slices(body, 0, directory._blocks(lengths))
    ]
    frames = zstd(numbers), zstd(group) if group else b""
    return write_unsigned(map(len, frames)) + b"".join([*frames, *sums, more]), body


def _columns(pieces: Sequence[bytes]) -> list[StoredColumn]:
    numbers = Reader(pieces[0] if pieces else b"")
    columns = []
    for k in range(1, len(pieces), 2):
        number = _number(numbers)
        method = Method(number % 8) if number % 8 in tuple(Method) else number % 8
        columns.append(
            StoredColumn(
                method,
                _wrapped(pieces[k]),
                _wrapped(b"".join(pieces[k + 1 : k + 2])),
                number >= 8,
            )
        )  # type: ignore[arg-type]
    return columns


def _wrapped(piece: bytes) -> bytes:
    way, content = piece[:1], piece[1:]
    if way == bytes([FRAMED]):
        return zstd(content)
    return b"\0" + zstd(content) if way == bytes([FRAMED_AFTER_ZERO]) else content


def parts_of(path: Path, *, listed: bool = False) -> Parts:
    """Return the parts of a file.

    Args:
        path: Path of a whole file.
        listed: Give chunks as directory, group and body.
    """
    with File(path) as file:
        sections = []
        for section in file.sections[1:]:
            if section.kind is SectionKind.CHUNK:
                table = list(file.tables.values())[section.owner]
                raw = file.raw(section)[layout.FRAME_SIZE :]
                pieces = (
                    _list_pieces(raw)
                    if listed
                    else list(_chunk_pieces(raw, table.columns))
                )
            else:
                pieces = [unzstd(file.read_head(section))]
            sections.append(Part(section.kind, section.owner, section.entries, pieces))
        return Parts(unzstd(file.read_head(file.sections[0])), b"", sections)


def _list_pieces(raw: bytes) -> list[bytes]:
    reader = Reader(raw)
    frames = [reader.take(n) for n in (reader.unsigned(), reader.unsigned())]
    numbers, group = (unzstd(frame) if frame else b"" for frame in frames)
    rest = Reader(numbers)
    length = 0
    while rest.position < len(numbers):
        method, payload, escapes = rest.unsigned(), rest.unsigned(), rest.unsigned()
        length += escapes + payload * (method % 8 != Method.GROUP)
    return [numbers, group, raw[len(raw) - length :], b""]


def _chunk_pieces(raw: bytes, columns: Sequence[Column]) -> Iterator[bytes]:
    listed = directory.read_directory(raw, columns)
    stored = listed.take(
        [c.name for c in columns], lambda spans: slices(raw, listed.head, spans)
    )
    yield write_unsigned(s.method + 8 * s.residual for s in stored.values())
    for column in stored.values():
        yield _unwrapped(column.payload)
        yield _unwrapped(column.escapes)


def _unwrapped(data: bytes) -> bytes:
    """Return bytes as a piece, with the contents of their frame if they are one."""
    for way, begin in ((FRAMED, 0), (FRAMED_AFTER_ZERO, 1)):
        try:
            content = unzstd(data[begin:])
        except Corrupt:
            continue
        if way == FRAMED or data[:1] == b"\0":
            return bytes([way]) + content
    return bytes([AS_IT_IS]) + data
