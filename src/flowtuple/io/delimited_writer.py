"""One table as text, with the delimiter, header and comments of an input that was text, too."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import awkward as ak

from flowtuple.data.schema import OPAQUE, Column
from flowtuple.data.table import Dataset, LeftOut, Table, TableSource, ranges, read_all
from flowtuple.errors import Unsupported
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.delimited_lines import DELIMITERS, Contents, is_value
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.source import leave_out, single_table

SPACED = (".txt", ".dat")
_LARGEST_COMMENTS = 1 << 16  # characters; a file with more comes back without
_TYPES = ("int64", "uint64", "float64", "bool", OPAQUE)
_CAPABILITIES = Capabilities("text", titles=False, types=_TYPES)
_QUOTED = frozenset((*DELIMITERS, '"', "\r", "\n"))


def storage_of(contents: Contents, delimiter: str | None, spaced: bool) -> dict[str, Any]:
    """Describe the layout of a text file as JSON; empty where it is that of `write_dataset`."""
    stored: dict[str, Any] = {}
    if delimiter != (None if spaced else ","):
        stored["delimiter"] = delimiter or " "
    if contents.header is None:
        stored["header"] = ""
    elif contents.sign:
        stored["header"] = contents.sign
    if contents.comments and not _is_long(contents):
        stored["comments"] = [list(comment) for comment in contents.comments]
    if stored:
        stored = {"format": "txt" if spaced else "csv", "width": contents.width, **stored}
    return stored


def left_out_of(table: str, contents: Contents) -> tuple[LeftOut, ...]:
    """Return the comments as one part where they are too long to be stored."""
    if not _is_long(contents):
        return ()
    reason = f"{len(contents.comments)} lines of comments are too many"
    return (LeftOut(f"{table}/(comments)", reason),)


def _is_long(contents: Contents) -> bool:
    return len(json.dumps(contents.comments)) > _LARGEST_COMMENTS


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write one table with a header; numbers are the shortest decimals that read back the same.

    Args:
        dataset: One table of scalar columns, and text.
        path: The file to make; gzip where it ends in `.gz`, white space where it is `.txt` or
            `.dat`.
        options: Events handled at a time, and whether to leave out what text cannot hold.

    Raises:
        Unsupported: There are several tables, carried objects, or a column of lists, arrays or the
            like.
    """
    source, left_out = single_table(dataset, options, "a text file")
    layout = _Layout(dataset.storage.get(source.name, {}), path.suffix in SPACED)
    opaque = read_all(source, [c.name for c in source.columns if c.is_opaque])
    columns: list[Column] = []
    reasons: dict[str, str] = {}
    for column in source.columns:
        reason = _obstacle(column, opaque, layout.delimiter == " ")
        if not reason:
            columns.append(column)
        elif not column.hidden:
            reasons[f"{source.name}/{column.name}"] = reason
    left_out = (*leave_out(dataset, reasons, "as text", options), *left_out)
    if not columns:
        raise Unsupported(
            f"{dataset.description}: no column of {source.name!r} can be text; write .npz"
        )
    with ExitStack() as stack:
        raw: Any = stack.enter_context(open(path, "wb"))
        if path.suffix == ".gz":
            # no name and no time inside, so that equal data makes equal files
            raw = stack.enter_context(gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
        stream = stack.enter_context(io.TextIOWrapper(raw, "utf-8", newline=""))
        layout.write(stream, source, columns, options.step)
    return write_result(dataset, {source.name: columns}, _CAPABILITIES, left_out)


def _obstacle(column: Column, opaque: Table, spaced: bool) -> str:
    """Return the reason why a column cannot be text; empty where it can."""
    if column.hidden or column.counter is not None:
        return "it has lists"
    if column.shape:
        return f"it has {list(column.shape)} values per event"
    if (
        column.is_opaque
        and ak.to_layout(opaque[column.name]).parameter("__array__") != "string"
    ):
        return f"its type is {ak.type(opaque[column.name]).content}"
    words = [column.name, *(opaque[column.name].tolist() if column.is_opaque else ())]
    if spaced and any(word.split() != [word] for word in words):
        return "it has words with white space, use .csv"
    if spaced and any(word.startswith("#") for word in words):
        return "it has words with '#' at the start, use .csv"
    return ""


class _Layout:
    """Layout of the lines of a text file."""

    def __init__(self, storage: Mapping[str, Any], spaced: bool) -> None:
        if storage.get("format") != ("txt" if spaced else "csv"):
            storage = {}
        delimiter = storage.get("delimiter")
        default = " " if spaced else ","
        self.delimiter = str(delimiter) if delimiter in (*DELIMITERS, " ") else default
        self._width = storage.get("width")
        self._sign = storage.get("header")
        self._comments = [(int(row), str(text)) for row, text in storage.get("comments", ())]
        self._missing = "nan" if self.delimiter == " " else ""

    def write(
        self, stream: TextIO, source: TableSource, columns: Sequence[Column], step: int
    ) -> None:
        """Write the header and the events, and the input's comments for all of its columns."""
        names = [c.name for c in columns]
        is_whole = len(names) == self._width
        comments = sorted(self._comments if is_whole else [], key=lambda comment: comment[0])
        comments = _write_comments(stream, comments, -1)
        header = self._header(names, source, is_whole)
        if header is not None:
            stream.write(header + self._line(names))
        for start, stop in ranges(source.num_entries, step):
            table = source.read(names, start, stop)
            rows = zip(*(_cells(table[name], self._missing) for name in names), strict=True)
            for row, cells in enumerate(rows, start):
                comments = _write_comments(stream, comments, row) if comments else comments
                stream.write(self._line(cells))
        _write_comments(
            stream, comments, max(source.num_entries, *(row for row, _ in comments), 0)
        )

    def _header(
        self, names: Sequence[str], source: TableSource, is_whole: bool
    ) -> str | None:
        """Return the sign before the names: nothing, or that of a comment; `None` for no header."""
        if is_whole and self._sign == "" and self._goes_without(names, source):
            return None
        if (
            is_whole
            and self._sign
            and set(self._sign) <= {"#", " "}
            and self._sign.startswith("#")
        ):
            return str(self._sign)
        # a line of numbers would be taken for an event
        return "#" if all(map(is_value, names)) else ""

    def _goes_without(self, names: Sequence[str], source: TableSource) -> bool:
        if list(names) != [f"c{i}" for i in range(len(names))] or not source.num_entries:
            return False
        first = source.read(names, 0, 1)
        return all(is_value(_cells(first[name], self._missing)[0]) for name in names)

    def _line(self, words: Sequence[str]) -> str:
        if list(words) == [""]:
            return '""\n'  # a blank line could be taken for the end
        if (
            len(words) == 1
            and len(words[0].split()) > 1
            and all(map(is_value, words[0].split()))
        ):
            return f'"{words[0]}"\n'  # white space could be taken for a delimiter
        return self.delimiter.join(map(_quoted, words)) + "\n"


def _write_comments(
    stream: TextIO, comments: list[tuple[int, str]], row: int
) -> list[tuple[int, str]]:
    """Write the comments that come before an event, and return the others."""
    for before, text in comments:
        if before <= row and text.startswith("#") and not set("\r\n") & set(text):
            stream.write(f"{text}\n")
    return [comment for comment in comments if comment[0] > row]


def _quoted(word: str) -> str:
    """Return a field in quotes where a reader could split it or take it for a comment."""
    if not word.startswith("#") and not _QUOTED & set(word):
        return word
    return '"' + word.replace('"', '""') + '"'


def _cells(values: Any, missing: str) -> list[str]:
    if isinstance(values, ak.Array):
        return [str(text) for text in values.tolist()]
    if values.dtype.kind == "b":
        return ["true" if value else "false" for value in values]
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    words: list[str] = values.astype(str).tolist()
    return [missing if word == "nan" else word for word in words]
