"""Files and chunks taken apart, and put together again with right checksums whatever was changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flowtuple as ft
from flowtuple.codec import directory
from flowtuple.codec.chunk import slices
from flowtuple.codec.column import StoredColumn
from flowtuple.data.schema import Column
from flowtuple.file import layout
from flowtuple.file.description import pack_description
from flowtuple.file.layout import Section, SectionKind
from flowtuple.file.writer import create

Pieces = tuple[dict[str, Any], list[Section], list[bytes]]


def methods(data: bytes, columns: Sequence[Column]) -> dict[str, StoredColumn]:
    """All columns of a chunk as they are stored, by name."""
    found = directory.read_directory(data, columns)
    return found.take(
        [c.name for c in columns], lambda spans: slices(data, found.head, spans)
    )


def join(stored: Sequence[StoredColumn]) -> bytes:
    """The bytes of a whole chunk."""
    return b"".join(directory.join(stored))


def with_block_checksums(data: bytes, columns: Sequence[Column]) -> bytes:
    """A chunk whose body was changed, with the checksums that it has now."""
    found = directory.read_directory(data, columns)
    sums = [
        layout.checksum(part)
        for part in slices(data, found.head, [(b.begin, b.stop) for b in found.blocks])
    ]
    written = b"".join(s.to_bytes(8, "little") for s in sums)
    return data[: found.head - len(written)] + written + data[found.head :]


def pieces(path: Path) -> Pieces:
    """Description, sections after it, and the bytes of each without its frame."""
    with ft.File(path) as file:
        sections = file.sections[1:]
        return file.meta, sections, [file.raw(s)[layout.FRAME_SIZE :] for s in sections]


def assemble(
    path: Path,
    meta: Any,
    sections: Sequence[Section],
    contents: Sequence[bytes],
    heads: Sequence[int] | None = None,
    flags: int = 0,
) -> None:
    """Write a file of a description and sections; frames, index and trailer follow from the
    contents.

    Args:
        path: To write.
        meta: The description.
        sections: Of which kind, owner and entries count, be they impossible; chunks are numbered in
        this order.
        contents: Their bytes.
        heads: How many of these are head; by default as many as before of chunks, and all of
        others.
        flags: Feature flags of the header.
    """
    if heads is None:
        pairs = zip(sections, contents, strict=True)
        heads = [
            min(s.head, len(c)) if s.kind is SectionKind.CHUNK else len(c)
            for s, c in pairs
        ]
    description = pack_description(meta)
    described = Section(SectionKind.DESCRIPTION, 0, 0, len(description), 0, 0)
    write(
        path,
        [described, *sections],
        [description, *contents],
        [len(description), *heads],
        flags,
    )


def write(
    path: Path,
    sections: Sequence[Section],
    contents: Sequence[bytes],
    heads: Sequence[int],
    flags: int = 0,
) -> None:
    """As `assemble`, of all sections."""
    indexed, parts, events = [], [layout.pack_header(flags)], dict[int, int]()
    for section, content, head in zip(sections, contents, heads, strict=True):
        first = events.get(section.owner, 0) if section.kind is SectionKind.CHUNK else 0
        if section.kind is SectionKind.CHUNK:
            events[section.owner] = first + section.entries
        placed = replace(
            section,
            head=head,
            body=len(content) - head,
            checksum=layout.checksum(content[:head]),
            first=first,
        )
        indexed.append(placed)
        parts += [frame_of(placed), content]
    path.write_bytes(b"".join(parts) + layout.pack_index(indexed, flags))


def frame_of(section: Section) -> bytes:
    """The frame of a section, of whose numbers those that no frame can hold are cut."""
    owner, entries, first = (
        section.owner % 2**32,
        section.entries % 2**32,
        section.first % 2**64,
    )
    return layout.pack_frame(replace(section, owner=owner, entries=entries, first=first))


def merge(path: Path, parts: Sequence[Path]) -> None:
    """The events of files of one table, schema and grid one after another, each a part with its own
    ranges.
    """
    taken = [pieces(part) for part in parts]
    (table,) = taken[0][0]["tables"]
    described = [part_of(meta["tables"][0]) for meta, _, _ in taken]
    whole = table | {"entries": sum(d["entries"] for d in described), "parts": described}
    with create(path) as writer:
        writer.describe(taken[0][0] | {"tables": [whole]})
        for _, sections, contents in taken:
            for s, content in zip(sections, contents, strict=True):
                writer.add(
                    s.kind, s.owner, content[: s.head], content[s.head :], s.entries
                )
        writer.finish()


def part_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """What a table says as the part of another."""
    ranges = {
        c["name"]: c["lattice"]["range"]
        for c in table["columns"]
        if "range" in c.get("lattice", {})
    }
    return {"entries": table["entries"], "ranges": ranges}
