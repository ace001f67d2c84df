"""Sections of an open file: located by the index, read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from flowtuple.codec.chunk import slices
from flowtuple.codec.directory import Directory, Fetch, read_directory
from flowtuple.codec.packing import checksum, declared, unzstd
from flowtuple.data.memory import DESCRIBED, MEMORY, in_words
from flowtuple.data.schema import Column
from flowtuple.errors import Corrupt, TooLarge
from flowtuple.file import layout
from flowtuple.file.description import unpack_description
from flowtuple.file.layout import Section, SectionKind
from flowtuple.file.storage import Storage

PREFIX = 2**16  # bytes read at once on opening: description and small models lie there
SUFFIX = 2**14  # the index of a thousand chunks
# bytes up to which a chunk is read at once, whatever its columns are needed
WHOLE = 2**18
_ADVICE = "restore it from a copy, or save what is whole with flowtuple recover"


class SectionReader:
    """Reader of header, index and description of a file, and of its sections.

    Attributes:
        storage: The bytes of the file.
        memory: Memory limit in bytes.
        sections: All sections, in the order of the file.
        meta: The description as it is stored.
        index_size: Number of bytes that are in no section.
        version: Version of the format, such as "1.0"; empty if the header was not read.
        flags: Feature flags of the header; `None` if it was not read.

    Args:
        path: Path or URL.
        sections: Sections that a search located, for a file whose index or header is damaged; then
            neither is read.
        memory: Memory limit in bytes, of which the description may take a part.

    Raises:
        Corrupt, Truncated, TooNew: It is no whole file of a version that can be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sections: list[Section] | None = None,
        *,
        memory: int = MEMORY,
    ) -> None:
        self.storage = Storage(path)
        self.memory = memory
        self.index_size = 0
        self.version = ""
        self.flags: int | None = None
        try:
            self._prefix = self.storage.read(0, min(self.storage.size, PREFIX))
            self.sections = self._read_index() if sections is None else sections
            if not self.sections or self.sections[0].kind is not SectionKind.DESCRIPTION:
                raise Corrupt(f"{self.path}: does not begin with its description")
            description = self.read(self.sections[0])
            self.meta = unpack_description(description, self.path, memory // DESCRIBED)
            self._check_owners(complete=sections is None)
        except BaseException:
            self.storage.close()
            raise

    @property
    def path(self) -> str:
        """Path or URL."""
        return self.storage.path

    def _read_index(self) -> list[Section]:
        layout.check_header(self._prefix, self.path)
        index, offset, expected = read_index(self.storage, self._prefix)
        if checksum(self._prefix[: layout.HEADER_SIZE] + index) != expected:
            raise Corrupt(
                f"{self.path}: its index is damaged (checksum differs); {_ADVICE}"
            )
        self.index_size = self.storage.size - offset + layout.HEADER_SIZE
        self.version, self.flags = layout.unpack_header(self._prefix)
        return layout.unpack_index(index, offset, self.path)

    def _check_owners(self, *, complete: bool) -> None:
        tables = len(self.meta["tables"])
        carried = len(self.meta["carried"])
        limits = {
            SectionKind.DESCRIPTION: 1,
            SectionKind.MODEL: tables,
            SectionKind.CHUNK: tables,
            SectionKind.CARRIED: carried,
        }
        if any(s.owner >= limits[s.kind] for s in self.sections):
            raise Corrupt(
                f"{self.path}: has a section of a table or object that its description lacks"
            )
        single = [
            (s.kind, s.owner) for s in self.sections if s.kind is not SectionKind.CHUNK
        ]
        objects = [kind for kind, _ in single].count(SectionKind.CARRIED)
        if self.meta.get("model", False) and (
            objects or len(single) < len(self.sections)
        ):
            raise Corrupt(f"{self.path}: is a model and holds events or objects")
        if len(set(single)) < len(single) or (complete and objects != carried):
            raise Corrupt(f"{self.path}: its sections do not fit its description")

    def owned(self, kind: SectionKind, number: int) -> Sequence[Section]:
        """Return the sections of a kind that a table or carried object has, by its number."""
        return self._by_owner.get((kind, number), ())

    @cached_property
    def _by_owner(self) -> dict[tuple[SectionKind, int], list[Section]]:
        # A search for each of 100,000 chunks or objects would take minutes.
        sections: dict[tuple[SectionKind, int], list[Section]] = {}
        for section in self.sections:
            sections.setdefault((section.kind, section.owner), []).append(section)
        return sections

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Put the path before an error that lacks it."""
        try:
            yield
        except Corrupt as error:
            if str(error).startswith(self.path):
                raise
            raise Corrupt(f"{self.path}: {error}") from None

    def read(self, section: Section) -> bytes:
        """Read the head of a section, which is all of it except for chunks.

        Raises:
            Corrupt: The bytes are not those that were written.
        """
        return self.checked(
            section, self._bytes(section.offset, layout.FRAME_SIZE + section.head)
        )

    def unpacked(self, section: Section, most: int) -> bytes:
        """Read the contents of a section that is one compressed frame.

        Raises:
            Corrupt: The bytes are not those that were written.
            TooLarge: The contents take more than `most` bytes.
        """
        data = self.read(section)
        size = declared(data)
        if size > most:
            raise TooLarge(
                f"{self.path}: its {section.kind.name.lower()} section takes {in_words(size)}, "
                f"for which {in_words(most)} are left; "
                "open it with more `memory=` if you trust it"
            )
        return unzstd(data)

    def checked(self, section: Section, data: bytes) -> bytes:
        """Return the head among the first bytes of a section.

        Raises:
            Corrupt: Frame or head are not those that were written.
        """
        frame = data[: layout.FRAME_SIZE]
        head = data[layout.FRAME_SIZE : layout.FRAME_SIZE + section.head]
        if frame != layout.pack_frame(section) or checksum(head) != section.checksum:
            # nothing can be read without the description
            is_lost = section.kind is SectionKind.DESCRIPTION
            raise Corrupt(
                f"{self.path}: {section.kind.name.lower()} section at bytes {section.offset} to "
                f"{section.stop} is damaged; {'restore it from a copy' if is_lost else _ADVICE}"
            )
        return head

    def chunk(
        self, section: Section, columns: Sequence[Column], whole: bool = False
    ) -> tuple[Directory, Fetch]:
        """Return the directory of a chunk and the function that fetches its columns' bytes.

        Args:
            section: Section of the chunk.
            columns: The schema of its table.
            whole: Read all columns at once.

        Raises:
            Corrupt: The head of the chunk is not the one that was written.
        """
        at_once = (whole or section.length <= WHOLE) and section.stop <= self.storage.size
        begin = layout.FRAME_SIZE + section.head
        data = self._bytes(section.offset, section.length if at_once else begin)
        with self.naming():
            directory = read_directory(self.checked(section, data), columns)
            if (directory.head, directory.body) != (section.head, section.body):
                raise Corrupt(
                    f"a chunk at byte {section.offset} does not fit its directory"
                )
        if at_once:
            return directory, lambda spans: slices(data, begin, spans)
        begin += section.offset
        return directory, lambda spans: self.storage.read_ranges(
            [(begin + first, begin + stop) for first, stop in spans]
        )

    def raw(self, section: Section) -> bytes:
        """Read all bytes of a section, with its frame, as they are in the file."""
        return self._bytes(section.offset, section.length)

    def _bytes(self, offset: int, length: int) -> bytes:
        self.storage.check_open()
        if offset + length <= len(self._prefix):
            return self._prefix[offset : offset + length]
        return self.storage.read(offset, length)


def read_index(storage: Storage, prefix: bytes = b"") -> tuple[bytes, int, int]:
    """Return the index of a file, its first byte, and the checksum of header and index.

    Args:
        storage: The file.
        prefix: Its first bytes, as far as they are known.

    Raises:
        Corrupt, Truncated: The file has no end mark, or one that points elsewhere.
    """
    size = storage.size
    begin = max(0, size - SUFFIX)
    suffix = prefix[begin:] if size == len(prefix) else storage.read(begin, size - begin)
    offset, length, expected = layout.unpack_trailer(suffix, size, storage.path)
    if offset >= begin:
        return suffix[offset - begin :][:length], offset, expected
    return storage.read(offset, length), offset, expected
