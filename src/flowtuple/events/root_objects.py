"""ROOT objects that are no trees: a histogram travels as the bytes of a small ROOT file that holds just it."""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from typing import Any

import cramjam
import uproot

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
    try:
        thing = directory[key]
    except _REFUSALS:
        return b"", f"{classname}: uproot cannot read it"
    buffer = io.BytesIO()
    try:
        with uproot.recreate(buffer) as file:
            _put(file, name, thing)
            content = buffer.getvalue()  # here, because uproot closes the buffer when it leaves
        with uproot.open(io.BytesIO(content)) as file:
            held = file.classnames(recursive=True, cycle=False).get(name)
    except _REFUSALS:
        return b"", f"{classname}: uproot cannot write it"
    if held != classname:
        return b"", f"{classname}: uproot would write it as {held}"
    return content, ""


def restore(file: Any, name: str, content: bytes) -> None:
    """Write an object that `carry` took, under its name, into an open uproot file."""
    with uproot.open(io.BytesIO(content)) as held:
        _put(file, name, held[name])


def _put(file: Any, name: str, thing: Any) -> None:
    """Assign an object; a string as a plain one, because uproot cannot write the TObjString that it reads."""
    file[name] = str(thing) if isinstance(thing, str) else thing
