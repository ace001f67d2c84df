"""Locations of events: paths, URLs, globs and `FILE:TREE`."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeGuard
from urllib.parse import unquote, urlsplit

from flowtuple.data.globs import is_glob
from flowtuple.errors import FlowtupleError, InvalidArgument, first_line
from flowtuple.io.formats import input_suffixes, suffix_by_content
from flowtuple.io.remote import RequestFailed, file_system, is_http, size_in
from flowtuple.runtime.nearby import nearest_file

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*(://|::)")
_GONE = (404, 410)  # the two answers of HTTP that say that there is no file
_ADVICE = "check the address and your access, try again, or copy the file here"
_PICKLE_SUFFIXES = (".pkl", ".pickle")
_FILE_URL = re.compile(r"^file:(//(localhost)?(?=/))?", re.IGNORECASE)
_NUMBERED = re.compile(r"\.[0-9]+$")  # grid names end in `.pool.root.1`
_PICKLE_MAGIC = tuple(b"\x80" + bytes([protocol]) for protocol in (2, 3, 4, 5))


def is_url(path: str) -> bool:
    """Return whether a path has a scheme of fsspec or uproot, and no local file has that name.

    Example:
        >>> is_url("root://eospublic.cern.ch//eos/file.root"), is_url("file.root:Events")
        (True, False)
    """
    return _URL.match(path) is not None and not os.path.lexists(path)


def anywhere(path: str | os.PathLike[str]) -> str:
    """Return a path or URL that another working folder does not change.

    Example:
        >>> anywhere("https://host/a.root"), anywhere("a.root").endswith("/a.root")
        ('https://host/a.root', True)
    """
    text = os.fspath(path)
    return text if is_url(text) else str(Path(text).absolute())


def without_scheme(text: str) -> str:
    """Return the local path in a `file:` URL; anything else as it is.

    Example:
        >>> without_scheme("file:///data/a%20b.root"), without_scheme("file:a.root")
        ('/data/a b.root', 'a.root')
    """
    if os.path.lexists(text) or not _FILE_URL.match(text):
        return text
    path = _FILE_URL.sub("", text)
    return path if os.path.lexists(path) else unquote(path)


def split_tree(text: str, suffixes: Iterable[str]) -> tuple[str, str | None]:
    """Return the path and the tree of `PATH:TREE`; `None` where no tree is named.

    Args:
        text: A path, URL or glob. One that exists as it is written names no tree; `file:` before a
            path is dropped.
        suffixes: The suffixes that a path can end in; the tree follows the first colon after one of
            them.

    Example:
        >>> split_tree("https://host:80/nano.root:Events", [".root"])
        ('https://host:80/nano.root', 'Events')
        >>> split_tree("https://host:80/nano.root", [".root"])
        ('https://host:80/nano.root', None)
    """
    text = without_scheme(text)
    if os.path.lexists(text):
        return text, None
    ends = "|".join(re.escape(s) for s in (*suffixes, *_PICKLE_SUFFIXES))
    form = rf"(.*?(?:{ends})(?:\.[0-9]+)?(?:\?[^:]*)?):([^:]+)$"
    match = re.match(form, text, re.IGNORECASE | re.DOTALL)
    if match:
        return match[1], match[2]
    path, _, tree = text.rpartition(":")
    if not path or not tree or is_url(text):
        return text, None
    exists = os.path.lexists(path) or (is_glob(path) and glob.glob(path))
    return (path, tree) if exists else (text, None)


def suffix_of(path: str, suffixes: Iterable[str]) -> str:
    """Return the longest of the valid suffixes that a path ends in, in any case.

    Raises:
        InvalidArgument: It ends in none of them; the message lists them.
    """
    valid = list(suffixes)
    name = (urlsplit(path).path if is_url(path) else path).lower()
    for suffix in sorted(valid, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    unknown = Path(name).suffix
    what = f"unknown suffix {unknown!r}" if unknown else "no suffix that names a format"
    raise InvalidArgument(f"{path}: {what}; the formats are {', '.join(valid)}")


def format_suffix(path: str, suffixes: Iterable[str]) -> str:
    """Return the suffix of a file's format, by its name or else by its first bytes.

    Raises:
        InvalidArgument: Neither names a format.
    """
    valid = list(suffixes)
    try:
        return suffix_of(path, valid)
    except InvalidArgument as error:
        recognised, broken = ("", ()) if is_url(path) else suffix_by_content(path)
        if recognised in valid:
            return recognised
        bare = _NUMBERED.sub("", urlsplit(path).path if is_url(path) else path)
        if bare.lower().endswith(tuple(valid)):
            return suffix_of(bare, valid)
        where, _, what = str(error).partition(": ")
        reasons = "; ".join(("its first bytes are of none of them", *broken))
        raise InvalidArgument(f"{where}: {what}; {reasons}") from None


def expand(pattern: str) -> list[str]:
    """Return the files that a glob matches, in order; other and existing paths as they are.

    Raises:
        InvalidArgument: The glob matches nothing.
    """
    is_remote = is_url(pattern)
    path = pattern.partition("?")[0] if is_remote else pattern
    if not is_glob(path) or os.path.lexists(pattern):
        return [pattern]
    if is_remote:
        with explain_access(pattern):
            system, inner = file_system(pattern)
            files = [system.unstrip_protocol(name) for name in system.glob(inner)]
    else:
        files = glob.glob(pattern, recursive=True)
    if not files:
        raise InvalidArgument(
            f"{pattern}: the glob matches no file; check the folder, and quote the glob in a shell"
        )
    return sorted(files)


def check_readable(path: str) -> None:
    """Raise if a path cannot be a file of events, before a format reads it.

    Raises:
        InvalidArgument: The local path is missing, a folder, not readable, or (URLs too, by suffix)
            a pickle.
    """
    if path.lower().endswith(_PICKLE_SUFFIXES):
        raise _pickle_error(path)
    if is_url(path):
        return
    file = Path(path)
    try:
        with open(file, "rb") as opened:
            magic = opened.read(2)
    except FileNotFoundError:
        near = nearest_file(file, input_suffixes())
        raise InvalidArgument(f"{path}: no such file; {near}") from None
    except IsADirectoryError:
        raise InvalidArgument(
            f"{path}: is a folder; name a file inside it, or a glob such as '{file}/*.root'"
        ) from None
    except OSError as error:
        raise InvalidArgument(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from None
    if magic in _PICKLE_MAGIC:
        raise _pickle_error(path)


def _pickle_error(path: str) -> InvalidArgument:
    target = re.sub(r"\.(pkl|pickle)$", "", Path(path).name, flags=re.IGNORECASE) + ".npz"
    line = f"import numpy, pandas; numpy.savez({target!r}, **dict(pandas.read_pickle({path!r})))"
    what = "a pickle can run any program, so none is opened"
    return InvalidArgument(f'{path}: {what}; if you trust it: python -c "{line}"')


def is_of_system(error: BaseException) -> TypeGuard[OSError]:
    """Return whether the system failed to read a file, whose bytes may be undamaged.

    Example:
        >>> is_of_system(BlockingIOError(11, "locked")), is_of_system(OSError("bad checksum"))
        (True, False)
    """
    has_own_words = isinstance(error, FileNotFoundError | IsADirectoryError)
    return isinstance(error, OSError) and error.errno is not None and not has_own_words


@contextlib.contextmanager
def translate_fsspec_errors(path: str) -> Iterator[None]:
    """Raise one line for errors of the system, of a web server and of the connection to it.

    Other errors, such as those of damaged bytes, pass.

    Raises:
        InvalidArgument: There is no such file, the server refuses it or fails, or the disk or the
            connection breaks.
    """
    try:
        yield
    except Exception as error:
        # fsspec makes every failure a FileNotFoundError, and aiohttp's errors need not be OSError
        cause = (
            error.__cause__ or error if isinstance(error, FileNotFoundError) else error
        )
        is_known = (
            isinstance(cause, RequestFailed)
            or (cause is not error and isinstance(cause, TimeoutError))
            or type(cause).__module__.partition(".")[0] == "aiohttp"
        )
        is_missing = isinstance(error, FileNotFoundError) and is_url(path)
        if not (is_known or is_missing) and is_of_system(error):
            what = os.strerror(error.errno or 0)
            advice = "check the disk and your access to it, and try again"
            raise InvalidArgument(f"{path}: cannot be read ({what}); {advice}") from None
        if not (is_known or is_missing):
            raise
        status = getattr(cause, "status", None)
        if status in _GONE or not is_known:
            raise InvalidArgument(f"{path}: no such file; check the address") from None
        first = first_line(cause)
        what = (
            first
            if status is None
            else f"{status} {getattr(cause, 'message', '')}".strip()
        )
        raise InvalidArgument(f"{path}: cannot be read ({what}); {_ADVICE}") from None


@contextlib.contextmanager
def explain_access(path: str) -> Iterator[None]:
    """Raise one line for any error of a file system, whatever its class."""
    try:
        with translate_fsspec_errors(path):
            yield
    except (FlowtupleError, MemoryError):
        raise
    except Exception as error:
        text = getattr(error, "strerror", None) or first_line(error)
        advice = _ADVICE if is_url(path) else "check its kind and its permissions"
        raise InvalidArgument(f"{path}: cannot be read ({text}); {advice}") from None


def read_bytes(path: str) -> bytes:
    """Return the whole file at a path or URL.

    Raises:
        InvalidArgument: It cannot be opened.
    """
    with explain_access(path):
        if not is_url(path):
            return Path(path).read_bytes()
        system, name = file_system(path)
        # a range is read again after a stall within it
        end = size_in(system, name) if is_http(system) else None
        return bytes(system.cat_file(name, end=end))


def seekable(path: str) -> str | BinaryIO:
    """Return an argument for a library that seeks: a local path as it is, a URL as an open file.

    Raises:
        InvalidArgument: The URL cannot be opened.
    """
    if not is_url(path):
        # Arrow takes letters before a colon for a scheme
        return str(Path(path).absolute()) if ":" in path else path
    with explain_access(path):
        system, name = file_system(path)
        options: dict[str, int] = {}
        if is_http(system):
            size = size_in(system, name)
            if size is None:
                return io.BytesIO(system.cat_file(name))
            options = {"size": size}
        file: BinaryIO = system.open(name, "rb", **options)
        return file if file.seekable() else io.BytesIO(file.read())


def size_of(path: str) -> int:
    """Return the bytes of the file, 0 where its server does not give them."""
    if not is_url(path):
        return Path(path).stat().st_size
    with explain_access(path):
        return size_in(*file_system(path)) or 0
