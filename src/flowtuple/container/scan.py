"""Sections found by their frames, in a file whose index or header is damaged or missing."""

from __future__ import annotations

from collections.abc import Iterator

from flowtuple.container import layout
from flowtuple.container.layout import Section
from flowtuple.container.storage import Storage

_WINDOW = 2**24  # bytes searched at a time


def scan(storage: Storage) -> Iterator[Section]:
    """Sections in the order of the file, perhaps with bodies that go beyond its end.

    Each frame is followed by its section and the next frame; where there is none, the search goes on from byte to byte.
    """
    position = layout.HEADER_SIZE
    while position + layout.FRAME_SIZE <= storage.size:
        section = layout.unpack_frame(storage.read(position, layout.FRAME_SIZE), position)
        if section is None:
            position = _next_marker(storage, position + 1)
        else:
            yield section
            position = section.stop


def _next_marker(storage: Storage, position: int) -> int:
    """Where the next frame may begin, or the end of the file."""
    while position < storage.size:
        data = storage.read(position, min(_WINDOW, storage.size - position))
        found = data.find(layout.MARKER)
        if found >= 0:
            return position + found
        if position + len(data) == storage.size:
            break
        position += len(data) - len(layout.MARKER) + 1  # a marker may lie across two windows
    return storage.size
