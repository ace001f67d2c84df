"""Ranges of bytes of a file on disk or behind a URL, in few large reads, from any thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import fsspec

from flowtuple.errors import InvalidArgument, Truncated, first_line
from flowtuple.io.location import split_tree
from flowtuple.io.source import STORED
from flowtuple.runtime.nearby import nearest_file

GAP = 2**16  # bytes between two ranges that are read along, to save a second request


class Storage:
    """A file of known size that is read by ranges.

    Attributes:
        path: Path or URL.
        size: Bytes.

    Raises:
        InvalidArgument: There is no such file, or it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._close: Callable[[], None] = lambda: None
        self._pread: Callable[[int, int], bytes]
        with self._explained():
            if "://" in self.path:
                system, name = fsspec.core.url_to_fs(self.path)
                self._pread = lambda offset, length: bytes(
                    system.cat_file(name, start=offset, end=offset + length)
                )
                self.size = int(system.size(name))
            else:
                stream = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
                self._close = stream.close
                self._pread = lambda offset, length: _pread(stream.fileno(), offset, length)
                self.size = os.fstat(stream.fileno()).st_size

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise one line for any error of a file system, whatever its class."""
        try:
            yield
        except Exception as error:
            cause: BaseException = error
            if isinstance(error, FileNotFoundError):
                # fsspec says so of every server that answers with an error.
                cause = error.__cause__ or error
                if cause is error or getattr(cause, "status", None) == HTTPStatus.NOT_FOUND:
                    raise InvalidArgument(
                        f"{self.path}: no such file{self._near()}"
                    ) from None
            text = getattr(cause, "strerror", None) or first_line(cause)
            advice = "check your access to it, and try again"
            if isinstance(cause, IsADirectoryError):
                advice = "name a file inside it"
            raise InvalidArgument(f"{self.path}: cannot be read ({text}); {advice}") from None

    def _near(self) -> str:
        if "://" in self.path:
            return "; check the address"
        path, tree = split_tree(self.path, STORED)
        if tree is not None and Path(path).exists():
            return f"; here a file is taken whole: {path}"
        return f"; {nearest_file(Path(self.path), STORED)}"

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` on.

        Raises:
            Truncated: The file ends before.
            InvalidArgument: The file cannot be read any more.
        """
        if offset + length > self.size:  # a frame may declare more bytes than fit into memory
            raise self._truncated(max(offset, self.size))
        with self._explained():
            data = self._pread(offset, length) if length else b""
        if len(data) > length:
            raise InvalidArgument(
                f"{self.path}: cannot be read by ranges, the server sends all of it; "
                "download it first"
            )
        if len(data) != length:
            raise self._truncated(offset + len(data))
        return data

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
