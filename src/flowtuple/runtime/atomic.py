"""Files that appear complete or not at all, and new folders that go again after a failure."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from flowtuple.errors import InvalidArgument

_NO_ROOM = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
}  # only writing gives these
_SHORT = 64  # bytes that every file system allows a name to have
_SUFFIX = 16  # bytes up to which the end of a name can be that of a format


@contextlib.contextmanager
def atomic_path(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to `final`; fsync and rename it, or remove it on any error.

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
    target = _checked(final)
    head, tail = _temporary_name(target)
    temporary = target.with_name(head + os.urandom(4).hex() + tail)
    try:
        _create(temporary, target)
        yield temporary
        _publish(temporary, target)
    except OSError as error:
        if not is_full(error):
            raise
        raise InvalidArgument(
            f"{target}: cannot be written ({error.strerror}); make room or choose another disk"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Return whether an error means that there is no room, or that writing is forbidden."""
    return error.errno in _NO_ROOM


def _checked(final: str | os.PathLike[str]) -> Path:
    """Return the path of the file to write, with links followed."""
    target = Path(os.path.realpath(final))
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = stat.S_IFREG
    except OSError as error:  # such as a name that is too long
        advice = "choose another folder or a shorter name"
        raise InvalidArgument(
            f"{target}: cannot be written ({error.strerror}); {advice}"
        ) from None
    if stat.S_ISDIR(mode):
        raise InvalidArgument(f"{target}: is a folder; name a file inside it")
    if not stat.S_ISREG(mode):
        raise InvalidArgument(
            f"{target}: is no ordinary file; name one that may be replaced"
        )
    if not target.parent.is_dir():
        raise InvalidArgument(
            f"{target}: cannot be written ({target.parent} is no folder); make it first"
        )
    return target


def _temporary_name(target: Path) -> tuple[str, str]:
    """Return beginning and end of a temporary name, which 8 digits between make unique.

    With them, it has at most as many bytes as the name of the target, or as every system allows.
    """
    stem, suffix = target.stem, target.suffix
    if len(os.fsencode(suffix)) > _SUFFIX:
        suffix = ""
    tail = f".part{suffix}"
    room = (
        max(len(os.fsencode(target.name)), _SHORT)
        - len(os.fsencode(tail))
        - len("..01234567")
    )
    if len(os.fsencode(stem)) > room:
        stem = os.fsencode(stem)[:room].decode("utf-8", "ignore")
    return f".{stem}.", tail


def remove_parts(final: str | os.PathLike[str]) -> None:
    """Remove temporary files that killed writers of `final` left; none may be at work.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "out.ftup"
        >>> target.with_name(".out.0123abcd.part.ftup").touch()
        >>> remove_parts(target)
        >>> list(target.parent.iterdir())
        []
    """
    target = Path(os.path.realpath(final))
    head, tail = map(re.escape, _temporary_name(target))
    form = re.compile(f"{head}[0-9a-f]{{8}}{tail}")
    with contextlib.suppress(OSError):
        for path in target.parent.iterdir():
            if form.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _create(temporary: Path, target: Path) -> None:
    """Make the file, readable only for those who may read the file that it replaces."""
    mode = 0o666
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(target.stat().st_mode) & 0o777 | stat.S_IWUSR
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    except OSError as error:
        if is_full(error):
            raise
        raise InvalidArgument(
            f"{target}: cannot be written ({error.strerror}); choose another folder"
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        InvalidArgument: A file stands in its place, or the folder above cannot be written.

    Example:
        >>> import tempfile
        >>> make_folder(Path(tempfile.mkdtemp()) / "a" / "b")
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(
            f"{folder}: cannot be made ({error.strerror}); choose another folder"
        ) from None


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make a folder; where the block inside fails, remove the new folders that are empty.

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
        # a folder that is no longer empty stays, and so do those above it
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def _publish(temporary: Path, target: Path) -> None:
    """Write the bytes to disk before the file gets its name, and the name after."""
    with open(temporary, "rb") as written:
        _take_over(written.fileno(), target)
        os.fsync(written.fileno())
    os.replace(temporary, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _take_over(written: int, target: Path) -> None:
    """Give a new file the owner and permissions of the replaced one, as far as is allowed."""
    try:
        before = target.stat()
    except FileNotFoundError:
        return
    now = os.fstat(written)
    # one may be allowed and the other not
    for owner, group in ((before.st_uid, -1), (-1, before.st_gid)):
        if (owner, group) not in ((now.st_uid, -1), (-1, now.st_gid)):
            with contextlib.suppress(OSError):
                os.chown(written, owner, group)
    with contextlib.suppress(OSError):
        os.fchmod(written, stat.S_IMODE(before.st_mode) & 0o777)
