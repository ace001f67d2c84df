"""Registry of file formats: built-in ones, and those that other packages add."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias

from flowtuple.data.schema import Column
from flowtuple.data.table import Dataset, LeftOut, Table, TableSource
from flowtuple.errors import FlowtupleError, InvalidArgument, first_line
from flowtuple.runtime.atomic import is_full
from flowtuple.runtime.extras import require

ENTRY_POINTS = "flowtuple.formats"
"""Entry-point group; an entry point is named after a suffix, without its first dot."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading an input.

    Attributes:
        names: Column names for inputs that carry none.
    """

    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class WriteOptions:
    """Options for writing an output.

    Attributes:
        compression: For ROOT, `ALGORITHM:LEVEL` such as `LZMA:9`; `None` for the format's default.
        step: Events handed to the format at a time; the basket, row-group or cluster size.
        drop: Leave out what the format cannot hold instead of refusing.
        container: For ROOT, `ttree` or `rntuple`; `None` for the kind that the input had.

    Example:
        >>> import flowtuple as ft
        >>> ft.WriteOptions("LZMA:9").step
        16384
    """

    compression: str | None = None
    step: int = 16384
    drop: bool = False
    container: Literal["ttree", "rntuple"] | None = None


@dataclass(frozen=True)
class WriteResult:
    """Differences between a data set and the file that was written.

    Attributes:
        left_out: Parts that the format cannot hold and that `WriteOptions.drop` left out.
        changes: Names, types and layouts that differ in the file, one sentence each.
        renamed: New names by old name (`TREE/NAME`), for columns and records that were renamed.
    """

    left_out: tuple[LeftOut, ...] = ()
    changes: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Reader: TypeAlias = Callable[[str, ReadOptions], Dataset]
Writer: TypeAlias = Callable[[Dataset, Path, WriteOptions], WriteResult]


@dataclass(frozen=True)
class Format:
    """A file format: how its files are named, recognised, read and written.

    Functions may be given by name, `package.module:function`; the module is imported at first use.

    Attributes:
        suffixes: Ends of file names, in lower case and with the dot; the first is the usual one.
        reader: Called with a path or URL and `ReadOptions`; `None` for a format that is only
            written.
        writer: Called with a data set, a local path and `WriteOptions`; `None` for a format that is
            only read.
        magic: Bytes that every file of the format has at one of `starts`; empty where there are
            none.
        starts: Offsets at which `magic` may stand.
        requires: A module that the functions need, and the extra of flowtuple that installs it.
        package: Name of the package that adds the format, filled in by `format_of`; empty for a
            built-in one.

    Example:
        >>> Format((".npz",), "flowtuple.io.npz:open_dataset", magic=(b"PK",)).matches(b"PK..")
        True
    """

    suffixes: tuple[str, ...]
    reader: Reader | str | None = None
    writer: Writer | str | None = None
    magic: tuple[bytes, ...] = ()
    starts: tuple[int, ...] = (0,)
    requires: tuple[str, str] | None = None
    package: str = ""

    def matches(self, head: bytes) -> bool:
        """Return whether a file that begins with these bytes is of this format."""
        return any(head.startswith(self.magic, start) for start in self.starts)

    def read(self, path: str, options: ReadOptions) -> Dataset:
        """Open a file.

        Raises:
            InvalidArgument: The format is only written, its reader cannot be imported, or the
                reader of another package raises an error of its own.
            MissingExtra: The package that it needs is not installed.
        """
        if self.reader is None:
            raise InvalidArgument(
                f"{path}: files of this format are only written; convert it"
            )
        reader = self._function(self.reader, f"reading {path}")
        with self.named_errors(path, "read"):
            dataset: Dataset = reader(path, options)
            if not self.package:
                return dataset
            if not isinstance(dataset, Dataset):
                raise TypeError(
                    f"its reader returned {type(dataset).__name__}, no Dataset"
                )
            tables: dict[str, TableSource] = {
                name: _PluginTable(
                    table.name, table.columns, table.num_entries, table, self, path
                )
                for name, table in dataset.tables.items()
            }
            return replace(dataset, tables=tables)

    def write(self, dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
        """Write a file.

        Raises:
            InvalidArgument: The format is only read, or its writer cannot be imported.
            MissingExtra: The package that it needs is not installed.
        """
        self.check_writable(str(path))
        writer = self._function(self.writer, f"writing {path.suffix}")
        result: WriteResult = writer(dataset, path, options)
        if self.package and not isinstance(result, WriteResult):
            raise TypeError(
                f"its writer returned {type(result).__name__}, no WriteResult"
            )
        return result

    def check_writable(self, path: str) -> None:
        """Raise where files of this format cannot be written.

        Raises:
            InvalidArgument: The format is only read.
        """
        if self.writer is None:
            raise InvalidArgument(
                f"{path}: files of this format are only read; choose another suffix"
            )

    @contextmanager
    def named_errors(self, path: str, action: str) -> Iterator[None]:
        """Raise one line that names file and package for errors in the code of other packages.

        Args:
            path: The file, for messages.
            action: The step that fails, such as `written`.

        Raises:
            InvalidArgument: The package raised an error that flowtuple does not raise on purpose.
        """
        try:
            yield
        except Exception as error:
            # a full disk has a message of its own, and so has a lack of memory
            is_known = isinstance(error, FlowtupleError | MemoryError)
            if (
                not self.package
                or is_known
                or (isinstance(error, OSError) and is_full(error))
            ):
                raise
            reason = f"{type(error).__name__}: {first_line(error)}"
            where = f"{path}: cannot be {action} by the package {self.package}"
            raise InvalidArgument(
                f"{where} ({reason}); update or uninstall it"
            ) from error

    def _function(self, function: Any, purpose: str) -> Any:
        if self.requires is not None:
            require(*self.requires, purpose)
        if not isinstance(function, str):
            return function
        try:
            return pkgutil.resolve_name(function)
        except FlowtupleError:
            raise
        except (AttributeError, ImportError, ValueError) as error:
            what = f"{function}: cannot be imported ({first_line(error)})"
            raise InvalidArgument(f"{what}; update or uninstall its package") from None


@dataclass(frozen=True)
class _PluginTable:
    """A table of another package, whose later errors name the file and the package, too."""

    name: str
    columns: tuple[Column, ...]
    num_entries: int
    table: TableSource
    format_: Format
    path: str

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        with self.format_.named_errors(self.path, "read"):
            return self.table.read(columns, start, stop)


def _built_in(
    reader: str, writer: str, *suffixes: str, magic: tuple[bytes, ...] = ()
) -> Format:
    reader = f"flowtuple.io.{reader}:open_dataset"
    return Format(suffixes, reader, f"flowtuple.io.{writer}:write_dataset", magic)


# Reference methods rank above this package, so their reader is known by name alone.
_REFERENCE = Format(
    (".ref",),
    "flowtuple.benchmark.published.tables:open_dataset",
    magic=(b"\x89FTREF\r\n",),
)
_PARQUET = _built_in("parquet", "parquet_writer", ".parquet", magic=(b"PAR1",))
_HDF5 = _built_in("hdf5", "hdf5_writer", ".h5", ".hdf5", magic=(b"\x89HDF\r\n\x1a\n",))
_TEXT = ("delimited", "delimited_writer")
_BUILT_IN = (
    _built_in("root", "root_writer", ".root", magic=(b"root",)),
    replace(_PARQUET, requires=("pyarrow", "parquet")),
    replace(_HDF5, starts=(0, 512, 1024, 2048), requires=("h5py", "hdf5")),
    _built_in("npz", "npz", ".npz", magic=(b"PK\x03\x04", b"PK\x05\x06")),
    _built_in(*_TEXT, ".csv"),
    _built_in(*_TEXT, ".csv.gz", magic=(b"\x1f\x8b",)),
    _built_in(*_TEXT, ".txt", ".dat"),
    _REFERENCE,
)
_BY_SUFFIX = {suffix: known for known in _BUILT_IN for suffix in known.suffixes}
_HEAD = 4096  # bytes of a file that formats are recognised by


def input_suffixes() -> list[str]:
    """Return the suffixes of all formats, as far as is known without loading other packages.

    Example:
        >>> input_suffixes()[:4]
        ['.root', '.parquet', '.h5', '.hdf5']
    """
    return list(dict.fromkeys([*_BY_SUFFIX, *_plugins()]))


def output_suffixes() -> list[str]:
    """Return the suffixes of outputs, as far as is known without loading other packages."""
    return [suffix for suffix in input_suffixes() if suffix not in _REFERENCE.suffixes]


def format_of(suffix: str, path: str = "") -> Format:
    """Return the format of one of `input_suffixes`; that of another package is loaded now.

    Args:
        suffix: The suffix.
        path: The file that needs the format, for messages.

    Raises:
        InvalidArgument: The package that adds it is broken, or several packages add it; the message
            names them.
    """
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    points = _plugins()[suffix]
    if len(points) > 1:
        packages = " and ".join(map(_package, points))
        raise InvalidArgument(
            f"{path}: the packages {packages} both add {suffix}; uninstall one"
        )
    where = f"{path}: the package {_package(points[0])}, which adds {suffix},"
    advice = "update or uninstall it"
    try:
        loaded = points[0].load()
    except Exception as error:  # whatever the code of the other package raises
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InvalidArgument(f"{where} cannot be loaded ({reason}); {advice}") from None
    if not isinstance(loaded, Format) or suffix not in loaded.suffixes:
        raise InvalidArgument(f"{where} gives no Format with this suffix; {advice}")
    return replace(loaded, package=_package(points[0]))


def suffix_by_content(path: str) -> tuple[str, tuple[str, ...]]:
    """Recognise the format of a local file by its first bytes.

    Returns:
        The suffix, empty where no format has these bytes; and what is wrong with packages that add
        formats and were skipped, one sentence each.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "", ()
    for known in _BUILT_IN:
        if known.matches(head):
            return known.suffixes[0], ()
    broken = []
    for suffix in _plugins():
        try:
            if format_of(suffix, path).matches(head):
                return suffix, ()
        except InvalidArgument as error:
            broken.append(str(error).removeprefix(f"{path}: "))
    return "", tuple(broken)


def opening_error(path: str, suffix: str, kind: str, reason: str) -> InvalidArgument:
    """Return the error for a file that does not open: of another kind, empty or cut short.

    Args:
        path: Path or URL.
        suffix: Suffix of a built-in format with magic bytes.
        kind: Name of the format with its article, such as `an HDF5`.
        reason: Message of the library that opens it.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:  # a URL
        advice = "check the address, or copy the file here first"
        return InvalidArgument(f"{path}: cannot be opened ({reason}); {advice}")
    if not head:
        what = "is empty; make or fetch it again"
    elif _BY_SUFFIX[suffix].matches(head):
        what = f"is {kind} file that is damaged or cut short ({reason}); fetch it again"
    else:
        other, _ = suffix_by_content(path)
        right = f"the suffix {other}" if other else "the suffix of its format"
        what = f"is not {kind} file; name one, or give it {right}"
    return InvalidArgument(f"{path}: {what}")


def _plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points of other packages by suffix; none is loaded."""
    return _plugins_on(tuple(sys.path))


@cache
def _plugins_on(_: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """Search the folders of `sys.path` once, since this takes tens of milliseconds."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        points.setdefault(f".{point.name.lower()}", []).append(point)
    return points


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
