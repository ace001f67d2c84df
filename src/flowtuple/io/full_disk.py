"""Files for libraries that do not survive a failed write: the error is raised later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DeferredErrorFile:
    """A file whose writes never raise; bytes that did not reach the disk stay in memory.

    The caller calls `check` from time to time, and before the file counts as written.
    """

    def __init__(self, path: Path) -> None:
        self._stream = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by close)
        self._position = 0
        self._lost: list[tuple[int, bytes]] = []
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise the error of a write that failed.

        Raises:
            OSError: The disk is full, or cannot be written any more.
        """
        if self._failure is not None:
            raise self._failure

    def write(self, data: memoryview) -> int:
        """Write all bytes at the position, or store the error."""
        content = bytes(data)
        done = 0
        try:
            while done < len(content) and self._failure is None:
                done += os.pwrite(
                    self._stream.fileno(), content[done:], self._position + done
                )
        except OSError as error:
            self._failure = error
        if done < len(content):
            self._lost.append((self._position + done, content[done:]))
        self._position += len(content)
        return len(content)

    def read(self, size: int) -> bytes:
        """Return bytes from the position on."""
        content = bytearray(size)
        self.readinto(memoryview(content))
        return bytes(content)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer from the position on; beyond the end there are zeros."""
        size = len(buffer)
        content = os.pread(self._stream.fileno(), size, self._position)
        buffer[:] = content.ljust(size, b"\0")
        for offset, data in self._lost:
            begin = max(offset, self._position)
            stop = min(offset + len(data), self._position + size)
            if begin < stop:
                part = data[begin - offset : stop - offset]
                buffer[begin - self._position : stop - self._position] = part
        self._position += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end()}[
            whence
        ]
        self._position = start + offset
        return self._position

    def _end(self) -> int:
        ends = [offset + len(data) for offset, data in self._lost]
        return max([os.fstat(self._stream.fileno()).st_size, *ends])

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Cut or lengthen the file, or store the error."""
        try:
            if self._failure is None:
                os.ftruncate(self._stream.fileno(), size)
        except OSError as error:
            self._failure = error
        return size

    def flush(self) -> None:
        """Do nothing, since every write goes to the system at once."""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def deferred_errors(path: Path) -> Iterator[DeferredErrorFile]:
    """Open a file for a library that does not survive a failed write.

    Raises:
        OSError: A write failed; also where the library raised another error because of it.
    """
    file = DeferredErrorFile(path)
    try:
        yield file
    except Exception:
        file.check()
        raise
    finally:
        file.close()
    file.check()
