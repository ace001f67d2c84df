"""Writer of a file, section by section; the file appears under its name when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from flowtuple.codec.packing import checksum, zstd
from flowtuple.errors import InvalidArgument
from flowtuple.file import layout
from flowtuple.file.description import flags_of_description, pack_description
from flowtuple.file.layout import Section, SectionKind
from flowtuple.runtime.atomic import atomic_path


class Writer:
    """Writer of sections to an open file: the description first, the index last.

    Every method raises InvalidArgument if the file cannot be written.

    Args:
        out: The open file.
        path: Path of the file, for messages.
    """

    def __init__(self, out: BinaryIO, path: str | os.PathLike[str]) -> None:
        self._out = out
        self._path = path
        self._sections: list[Section] = []
        self._events: dict[tuple[int, int], int] = {}
        self._flags = 0
        self._write(layout.pack_header())

    def _write(self, data: bytes) -> None:
        try:
            self._out.write(data)
            self._out.flush()
        except OSError as error:
            raise InvalidArgument(
                f"{self._path}: cannot be written ({error.strerror}); choose another disk"
            ) from None

    def describe(self, meta: Mapping[str, Any]) -> None:
        """Write the description; it comes first, so that a file cut short can be recovered."""
        self._flags |= flags_of_description(meta)
        self.add(SectionKind.DESCRIPTION, 0, pack_description(meta))

    def add(
        self,
        kind: SectionKind,
        owner: int,
        head: bytes,
        body: bytes = b"",
        entries: int = 0,
    ) -> int:
        """Write one section and return its bytes, with the frame."""
        first = self._events.get((kind, owner), 0)
        section = Section(
            kind, owner, entries, len(head), len(body), checksum(head), first
        )
        self._write(layout.pack_frame(section) + head + body)
        self._sections.append(section)
        self._events[kind, owner] = first + entries
        return section.length

    def add_model(self, number: int, data: bytes, flags: int) -> int:
        """Write the model of a table and return its bytes, with the frame.

        Args:
            number: Number of the table.
            data: The packed flow.
            flags: Feature flags of the header that it needs.
        """
        self._flags |= flags
        return self.add(SectionKind.MODEL, number, data)

    def finish(self, carried: Iterable[bytes] = ()) -> None:
        """Write carried objects, the index, and the feature flags; nothing may follow."""
        for number, content in enumerate(carried):
            self.add(SectionKind.CARRIED, number, zstd(content))
        self._write(layout.pack_index(self._sections, self._flags))
        if self._flags:
            self._out.seek(0)
            self._write(layout.pack_header(self._flags))


@contextmanager
def create(path: str | os.PathLike[str]) -> Iterator[Writer]:
    """Open a writer whose file appears at `path` only if the block ends without an error.

    Raises:
        InvalidArgument: The path cannot be written, or the disk is full.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as out:
        yield Writer(out, path)
