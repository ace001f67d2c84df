"""Search for sections by their frames, in a file whose index or header is damaged or missing."""

from __future__ import annotations

from collections.abc import Iterator

from flowtuple.file import layout
from flowtuple.file.layout import Section
from flowtuple.file.storage import Storage

_WINDOW = 2**24  # bytes searched at a time; fewer at first, for the next frame is seldom far


def scan(storage: Storage) -> Iterator[Section]:
    """Yield the sections in the order of the file, perhaps with bodies beyond its end.

    Behind a section the next frame begins; if none does, the search continues byte by byte.
    """
    section = _next_frame(storage, layout.HEADER_SIZE)
    while section is not None:
        yield section
        section = _next_frame(storage, section.stop)


def _next_frame(storage: Storage, position: int) -> Section | None:
    """Return the first section whose frame begins at a byte or after it."""
    window = layout.FRAME_SIZE
    while position + layout.FRAME_SIZE <= storage.size:
        data = storage.read(position, min(window, storage.size - position))
        begin = data.find(layout.MARKER)
        while begin >= 0:
            section = layout.unpack_frame(
                data[begin : begin + layout.FRAME_SIZE], position + begin
            )
            if section is not None:
                return section
            begin = data.find(layout.MARKER, begin + 1)
        position += len(data) - layout.FRAME_SIZE + 1  # a frame may lie across two windows
        window = min(4 * window, _WINDOW)
    return None
