"""Ranges of bytes of a file on disk or behind a URL, in few large reads, from any thread."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path

from flowtuple.errors import InvalidArgument, Truncated
from flowtuple.io.location import explain_access, is_url, split_tree
from flowtuple.io.remote import file_system, size_in
from flowtuple.io.source import STORED
from flowtuple.runtime.nearby import nearest_file

GAP = 2**16  # bytes between two ranges that are read along, to save a second request


class Storage:
    """A file of known size that is read by ranges.

    A server that sends nothing, or answers that it is busy, is asked again: `io.remote` gives the
    time-out and the number of tries. A process forked from another opens a URL anew.

    Attributes:
        path: Path or URL.
        size: Bytes.
        is_closed: True after `close`.

    Raises:
        InvalidArgument: There is no such file, or it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.is_closed = False
        self._stream: io.FileIO | None = None
        with explain_access(self.path):
            if not is_url(self.path):
                self._stream = self._open()
                # nobody closes the copies that a cluster makes
                self._close = weakref.finalize(self, self._stream.close)
                self.size = os.fstat(self._stream.fileno()).st_size
                return
            self._connect()
            size = size_in(self._system, self._name)
        if size is None:
            raise InvalidArgument(
                f"{self.path}: cannot be read (the server does not tell its size); "
                "copy the file here"
            )
        self.size = size

    def _open(self) -> io.FileIO:
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError:
            raise InvalidArgument(f"{self.path}: no such file; {self._near()}") from None

    def _near(self) -> str:
        path, tree = split_tree(self.path, STORED)
        if tree is not None and Path(path).exists():
            return f"here a file is taken whole: {path}"
        return nearest_file(Path(self.path), STORED)

    def _connect(self) -> None:
        """Open the file system behind the URL, whose connections belong to one process."""
        self._process = os.getpid()
        self._system, self._name = file_system(self.path)

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` on.

        Raises:
            Truncated: The file ends before.
            InvalidArgument: The file is closed, or cannot be read any more.
        """
        self.check_open()
        if offset + length > self.size:
            # a frame may declare more bytes than fit into memory
            raise self._truncated(max(offset, self.size))
        with explain_access(self.path):
            data = self._read(offset, length) if length else b""
        if len(data) > length:
            raise InvalidArgument(
                f"{self.path}: cannot be read by ranges, the server sends all of it; "
                "copy the file here"
            )
        if len(data) != length:
            raise self._truncated(offset + len(data))
        return data

    def _read(self, offset: int, length: int) -> bytes:
        if self._stream is not None:
            return _pread(self._stream.fileno(), offset, length)
        if self._process != os.getpid():
            self._connect()
        return bytes(self._system.cat_file(self._name, start=offset, end=offset + length))

    def check_open(self) -> None:
        """Raise if the file was closed.

        Raises:
            InvalidArgument: It was.
        """
        if self.is_closed:
            raise InvalidArgument(
                f"{self.path}: cannot be read (it is closed); open it again with ft.open"
            )

    def _truncated(self, end: int) -> Truncated:
        return Truncated(
            f"{self.path}: ends at byte {end}, within its contents; fetch or copy it again"
        )

    def read_ranges(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read ranges (first byte, byte after the last) in increasing order, close ones at once."""
        parts = []
        for group in _joined(spans):
            start = group[0][0]
            data = self.read(start, group[-1][1] - start)
            parts += [data[begin - start : stop - start] for begin, stop in group]
        return parts

    def close(self) -> None:
        """Close the file."""
        self.is_closed = True
        if self._stream is not None:
            self._close()


def _pread(handle: int, offset: int, length: int) -> bytes:
    """Read one range whole; the system returns 2 GiB at a time, or fewer."""
    parts: list[bytes] = []
    while length > 0:
        part = os.pread(handle, length, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _joined(spans: Iterable[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    groups: list[list[tuple[int, int]]] = []
    for span in spans:
        if groups and 0 <= span[0] - groups[-1][-1][1] <= GAP:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups
