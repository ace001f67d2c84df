"""Ranges of bytes of a file on disk or behind a URL, in few large reads, from any thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from pathlib import Path

import fsspec

from flowtuple.errors import InvalidArgument, Truncated
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
        if "://" in self.path:
            self.size = self._open_url()
        else:
            self.size = self._open_file()

    def _open_file(self) -> int:
        try:
            stream = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
        except FileNotFoundError:
            close = nearest_file(Path(self.path), (".ftup", ".flow"))
            raise InvalidArgument(f"{self.path}: no such file; {close}") from None
        except OSError as error:
            raise InvalidArgument(f"{self.path}: cannot be read ({error.strerror})") from None
        self._close = stream.close
        self._pread = lambda offset, length: _pread(stream.fileno(), offset, length)
        return os.fstat(stream.fileno()).st_size

    def _open_url(self) -> int:
        try:
            system, name = fsspec.core.url_to_fs(self.path)
            self._pread = lambda offset, length: bytes(
                system.cat_file(name, start=offset, end=offset + length)
            )
            return int(system.size(name))
        except FileNotFoundError as error:
            cause = (
                error.__cause__
            )  # fsspec says so of every server that answers with an error
            if cause is not None and getattr(cause, "status", None) != HTTPStatus.NOT_FOUND:
                raise InvalidArgument(
                    f"{self.path}: cannot be read ({_in_words(cause)})"
                ) from None
            raise InvalidArgument(f"{self.path}: no such file") from None
        except (
            Exception
        ) as error:  # file systems raise errors of any kind; an unknown size is None
            raise InvalidArgument(
                f"{self.path}: cannot be read ({_in_words(error)})"
            ) from None

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` on.

        Raises:
            Truncated: The file ends before.
            InvalidArgument: The file cannot be read any more.
        """
        if offset + length > self.size:  # a frame may declare more bytes than fit into memory
            raise self._truncated(max(offset, self.size))
        try:
            data = self._pread(offset, length) if length else b""
        except Exception as error:
            raise InvalidArgument(
                f"{self.path}: cannot be read ({_in_words(error)})"
            ) from None
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


def _in_words(error: BaseException) -> str:
    """Return the error in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]
