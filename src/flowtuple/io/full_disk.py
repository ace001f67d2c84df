"""A file for libraries that do not survive a failed write: the failure is remembered and raised where they are not at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PatientFile:
    """A file whose writes never fail for those who write; what did not reach the disk is kept in memory for them to read.

    Whoever hands it on calls `check` from time to time, and before the file counts as written.
    """

    def __init__(self, path: Path) -> None:
        self._stream = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by close)
        self._position = 0
        self._lost: list[tuple[int, bytes]] = []
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise what a write has failed with.

        Raises:
            OSError: The disk is full, or cannot be written any more.
        """
        if self._failure is not None:
            raise self._failure

    def write(self, data: memoryview) -> int:
        """Write all bytes at the position, or remember why not."""
        content, done = bytes(data), 0
        try:
            while done < len(content) and self._failure is None:
                done += os.pwrite(self._stream.fileno(), content[done:], self._position + done)
        except OSError as error:
            self._failure = error
        if done < len(content):
            self._lost.append((self._position + done, content[done:]))
        self._position += len(content)
        return len(content)

    def read(self, size: int) -> bytes:
        """So many bytes from the position on."""
        content = bytearray(size)
        self.readinto(memoryview(content))
        return bytes(content)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer from the position on; beyond the end there are zeros."""
        size = len(buffer)
        found = bytearray(os.pread(self._stream.fileno(), size, self._position))
        found += bytes(size - len(found))
        for offset, data in self._lost:
            begin, stop = (
                max(offset, self._position),
                min(offset + len(data), self._position + size),
            )
            if begin < stop:
                found[begin - self._position : stop - self._position] = data[
                    begin - offset : stop - offset
                ]
        buffer[:] = found
        self._position += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end()}[whence]
        self._position = start + offset
        return self._position

    def _end(self) -> int:
        ends = [offset + len(data) for offset, data in self._lost]
        return max([os.fstat(self._stream.fileno()).st_size, *ends])

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Cut or lengthen the file, or remember why not."""
        try:
            if self._failure is None:
                os.ftruncate(self._stream.fileno(), size)
        except OSError as error:
            self._failure = error
        return size

    def flush(self) -> None:
        """Nothing waits: every write goes to the system at once."""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def patient(path: Path) -> Iterator[PatientFile]:
    """A file to be written by a library that does not survive a failed write.

    Raises:
        OSError: A write failed; also where the library complained of what came of it.
    """
    file = PatientFile(path)
    try:
        yield file
    except Exception:
        file.check()
        raise
    finally:
        file.close()
    file.check()
