"""A file appears under its final name complete, or not at all; a folder made for it does not outlive a failure empty."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from flowtuple.errors import InvalidArgument

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # only writing gives these


@contextlib.contextmanager
def atomic_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `final`; on success fsync it and rename it, on any error remove it.

    The temporary name keeps the suffix, because some writers choose their format by it.

    Raises:
        InvalidArgument: The folder does not exist or cannot be written, or the disk is full.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "out.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    target = Path(os.path.realpath(final))  # a link keeps pointing where it points
    if target.is_dir():
        raise InvalidArgument(f"{target}: is a folder; name a file inside it")
    if target.exists() and not target.is_file():
        raise InvalidArgument(f"{target}: is no ordinary file; name one that may be replaced")
    if not target.parent.is_dir():
        raise InvalidArgument(f"{target}: cannot be written ({target.parent} is no folder); make it first")
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.part{target.suffix}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise InvalidArgument(f"{target}: cannot be written ({error.strerror}); choose another folder") from None
    try:
        yield temporary
        _publish(temporary, target)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise InvalidArgument(f"{target}: cannot be written ({error.strerror}); make room or choose another disk") from None
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing.

    Raises:
        InvalidArgument: A file stands in its place, or the folder above cannot be written.

    Example:
        >>> import tempfile
        >>> make_folder(Path(tempfile.mkdtemp()) / "a" / "b")
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder for what is done inside; where that fails, folders that were made for it and are empty go again.

    Raises:
        InvalidArgument: As `make_folder` does.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "a" / "b"
        >>> with contextlib.suppress(ZeroDivisionError), new_folder(folder):
        ...     1 / 0
        >>> folder.parent.exists()
        False
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # one that is no longer empty stays, and so do those above it
            for path in missing:
                path.rmdir()
        raise


def _publish(temporary: Path, target: Path) -> None:
    """Make the bytes durable before the name points at them, and the name durable after."""
    with open(temporary, "rb") as written:
        os.fsync(written.fileno())
    os.replace(temporary, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
