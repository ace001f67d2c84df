"""ROOT objects other than trees, each as the bytes of a ROOT file with this object only.

Nothing is interpreted: the object's bytes are copied as they are, with the descriptions of its
classes, so that any object comes back bit for bit, and whatever read it before reads it again.
"""

from __future__ import annotations

import datetime as dt
import io
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from uproot.writing import _cascade, writable

from flowtuple.errors import Corrupt
from flowtuple.io.remote import RequestFailed
from flowtuple.io.root_private import require
from flowtuple.io.root_streamers import (
    is_built_in,
    needed,
    points_elsewhere,
    with_built_in,
)
from flowtuple.runtime.lazy_packages import uproot

FOLDERS = frozenset(["TDirectory", "TDirectoryFile"])
_LARGEST = 1 << 30  # bytes that ROOT's own buffer takes
_CLOCK = threading.Lock()  # over uproot's `datetime`, which all threads share
_BIG_KEY = 1000  # is added to the version of a key whose positions take 8 bytes


def carry(directory: Any, key: str, name: str, classname: str) -> tuple[bytes, str]:
    """Return one object as the bytes of a ROOT file that holds it under `name`.

    Args:
        directory: The uproot directory that holds the object.
        key: Its key there, cycle included.
        name: Its name, without cycle.
        classname: Its C++ class, for the reason.

    Returns:
        The bytes and an empty reason, or no bytes and the reason why the object cannot be carried.
        Equal objects give equal bytes.
    """
    try:
        record = directory.key(key)
        if record.data_uncompressed_bytes > _LARGEST:
            return b"", f"{classname}: it is larger than the 1 GB that ROOT reads"
        content = _content(record)
        streamers = directory.file.streamers
    except (RequestFailed, MemoryError):
        raise
    except Exception:  # uproot lets through whatever it runs into
        return b"", f"{classname}: its bytes cannot be read"
    try:
        if points_elsewhere(record.fClassName, content, streamers):
            return b"", f"{classname}: it points to other parts of its file"
        described = [
            s for s in needed(record.fClassName, content, streamers) if not is_built_in(s)
        ]
        small, length = _small_file(name, record, content, described)
    except (RequestFailed, MemoryError):
        raise
    except Exception:  # descriptions may be of any kind
        return b"", f"{classname}: the descriptions of its classes cannot be used"
    if length != record.fKeylen:
        # references within an object count from the beginning of its key
        return b"", f"{classname}: its key is not laid out as ROOT does it"
    return small, ""


def _small_file(
    name: str, record: Any, content: bytes, described: Sequence[Any]
) -> tuple[bytes, int]:
    """Return the bytes of a ROOT file with one object, and the length of the object's key."""
    buffer = io.BytesIO()
    with (
        _no_time(),
        uproot.recreate(
            buffer, compression=None, uuid_function=lambda: uuid.UUID(int=0)
        ) as file,
    ):
        file.file.update_streamers(described)
        length = _add(file, name, record, content)
        return (
            buffer.getvalue(),
            length,
        )  # here, because uproot closes the buffer when it leaves


def _content(record: Any) -> bytes:
    """Return the bytes of an object, uncompressed."""
    chunk, cursor = record.get_uncompressed_chunk_cursor()
    return bytes(chunk.remainder(cursor.index, cursor, {}))


def _add(file: Any, name: str, record: Any, content: bytes) -> int:
    """Write an object's bytes under `name`; the length of its key."""
    path, _, last = name.rpartition("/")
    folder = file.mkdir(path) if path else file
    require(folder, "_cascading.add_object", "_cascading.freesegments.fileheader")
    cascade = folder._cascading
    is_big = record.fVersion > _BIG_KEY
    data = uproot.compression.compress(
        content, cascade.freesegments.fileheader.compression
    )
    key = cascade.add_object(
        file.file.sink,
        record.fClassName,
        last,
        record.fTitle,
        data,
        len(content),
        big=is_big,
    )
    return int(key.num_bytes)


@contextmanager
def _no_time() -> Iterator[None]:
    """Make uproot write one fixed time in this thread, so that equal objects give equal bytes.

    uproot takes no time from outside. One thread at a time does so, and what others write meanwhile
    has their own time.
    """
    own = threading.get_ident()

    def now() -> dt.datetime:
        return (
            dt.datetime(1995, 1, 1) if threading.get_ident() == own else dt.datetime.now()
        )

    clock = SimpleNamespace(datetime=SimpleNamespace(now=now))
    modules = (_cascade, writable)
    with _CLOCK:
        for module in modules:
            require(module, "datetime")
            module.datetime = clock
        try:
            yield
        finally:
            for module in modules:
                module.datetime = dt


def restore(file: Any, carried: Mapping[str, bytes]) -> None:
    """Write objects that `carry` took, each under its name, into an open uproot file.

    A key must be as long as it was, and it grows where a file passes 2 GB: objects go before the
        events.

    Raises:
        Corrupt: The bytes of one are no longer those of a ROOT file.
    """
    streamers: dict[tuple[str, int], Any] = {}
    for name, small in carried.items():
        try:
            with uproot.open(io.BytesIO(small)) as source:
                record = source.key(source.keys()[-1])  # the object, behind its folders
                content = _content(record)
                described = with_built_in(source.file.streamers)
        except MemoryError:
            raise
        except Exception:  # damaged bytes fail in any way
            raise Corrupt(
                f"the carried object {name!r} is damaged; restore the file from a copy"
            ) from None
        for streamer in needed(record.fClassName, content, described):
            streamers.setdefault((streamer.name, streamer.class_version), streamer)
        _add(file, name, record, content)
    if streamers:
        file.file.update_streamers(list(streamers.values()))
