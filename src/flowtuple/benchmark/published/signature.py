"""The first bytes of the file of a reference method."""

from __future__ import annotations

import os

MAGIC = b"\x89FTREF\r\n"


def is_reference(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was written by a reference method.

    Example:
        >>> is_reference("no such file")
        False
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # a URL, or an error that opening it reports
