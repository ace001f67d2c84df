"""ROOT objects that are no trees: a histogram travels as the bytes of a small ROOT file that holds just it."""

from __future__ import annotations

import datetime as dt
import io
import lzma
import re
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import cramjam
import uproot
from uproot.writing import _cascade, writable

# What uproot lets through when bytes of a ROOT file are not what they should be.
DAMAGE: tuple[type[Exception], ...] = (
    uproot.DeserializationError,
    cramjam.DecompressionError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    ValueError,
    LookupError,
    EOFError,
    ArithmeticError,
    AssertionError,  # uproot states so that a checksum differs
)
_HISTOGRAMS = r"TH[123][A-Z]|TProfile[23]?D?|TGraph\w*|TEfficiency"
_SMALL = r"TObjString|TNamed|TParameter<.*>|TAxis|TArray[A-Z]|(std::)?string"
_CARRIED = re.compile(f"{_HISTOGRAMS}|{_SMALL}")
_LARGEST = 1 << 28  # bytes of an object that is read to be carried
_REFUSALS: tuple[type[Exception], ...] = (*DAMAGE, NotImplementedError, TypeError, AttributeError)


def carry(directory: Any, key: str, name: str, classname: str) -> tuple[bytes, str]:
    """One object as the bytes of a ROOT file that holds it under `name`.

    Args:
        directory: The uproot directory that holds the object.
        key: Its key there, cycle included.
        name: Its name, without cycle.
        classname: Its C++ class, for the reason.

    Returns:
        The bytes and an empty reason, or no bytes and the reason why the object cannot be carried.
    """
    if not _CARRIED.fullmatch(classname):  # unread, since some take gigabytes
        return b"", f"{classname}: uproot cannot write it"
    try:
        size = directory.key(key).data_uncompressed_bytes
        if size > _LARGEST:
            return b"", f"{classname}: {size} bytes, more than the {_LARGEST} that are carried"
        thing = directory[key]
    except Exception:  # whatever uproot runs into, the object is named
        return b"", f"{classname}: uproot cannot read it"
    buffer = io.BytesIO()
    try:
        with _no_time(), uproot.recreate(buffer, compression=None, uuid_function=lambda: uuid.UUID(int=0)) as file:
            _put(file, name, thing)
            content = buffer.getvalue()  # here, because uproot closes the buffer when it leaves
        with uproot.open(io.BytesIO(content)) as file:
            held = file.classnames(recursive=True, cycle=False).get(name)
    except _REFUSALS:
        return b"", f"{classname}: uproot cannot write it"
    if held != classname:
        return b"", f"{classname}: uproot would write it as {held}"
    return content, ""


@contextmanager
def _no_time() -> Iterator[None]:
    """Let uproot write the epoch for "now": equal objects have to give equal bytes, and it takes no time from outside.

    What another thread writes meanwhile is dated 1995 (the first year that ROOT knows) and not otherwise touched.
    """
    clock = SimpleNamespace(datetime=SimpleNamespace(now=lambda: dt.datetime(1995, 1, 1)))
    modules = (_cascade, writable)
    for module in modules:
        module.datetime = clock
    try:
        yield
    finally:
        for module in modules:
            module.datetime = dt


def restore(file: Any, name: str, content: bytes) -> None:
    """Write an object that `carry` took, under its name, into an open uproot file."""
    with uproot.open(io.BytesIO(content)) as held:
        _put(file, name, held[name])


def _put(file: Any, name: str, thing: Any) -> None:
    """Assign an object; a string as a plain one, because uproot cannot write the TObjString that it reads."""
    file[name] = str(thing) if isinstance(thing, str) else thing
