"""Check of the file of a reference method, without PyTorch and without the original."""

from __future__ import annotations

import os

from flowtuple.benchmark.published.layout import read_parts
from flowtuple.file.damage import DAMAGE, Damage


def check_reference(path: str | os.PathLike[str]) -> list[Damage]:
    """Return the damage: all of the file, which has one checksum; empty where that is right.

    Raises:
        InvalidArgument: It cannot be opened.
        TooNew: It was written by a later flowtuple.

    Example:
        >>> import pathlib, tempfile
        >>> from flowtuple.benchmark.published.signature import MAGIC
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.ref"
        >>> _ = path.write_bytes(MAGIC + bytes(20))
        >>> check_reference(path)[0].reason
        'is damaged or cut off, its checksum is wrong; restore it from a copy'
    """
    try:
        read_parts(path)
    except DAMAGE as error:
        return [Damage("", None, (), str(error).removeprefix(f"{os.fspath(path)}: "))]
    return []
