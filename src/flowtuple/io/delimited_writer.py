"""One table as text, with the delimiter, header and comments of an input that was text, too."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from flowtuple.data.schema import OPAQUE, Column
from flowtuple.data.table import Dataset, Table, TableSource, ranges, read_all
from flowtuple.errors import Unsupported
from flowtuple.io.changes import Capabilities, write_result
from flowtuple.io.delimited import DELIMITERS, is_value
from flowtuple.io.formats import WriteOptions, WriteResult
from flowtuple.io.source import leave_out, single_table
from flowtuple.runtime.lazy_packages import awkward as ak

SPACED = (".txt", ".dat")
_TYPES = ("int64", "uint64", "float64", "bool", OPAQUE)
_CAPABILITIES = Capabilities("text", titles=False, types=_TYPES)
_QUOTED = frozenset((*DELIMITERS, '"', "\r", "\n"))


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
    with open(path, "wb") as file:
        stream: Any = file
        if path.suffix == ".gz":
            # no name and no time inside, so that equal data makes equal files
            stream = gzip.GzipFile("", "wb", fileobj=file, mtime=0)
        with stream, io.TextIOWrapper(stream, "utf-8", newline="") as text:
            layout.write(text, source, columns, options.step)
    return write_result(dataset, {source.name: columns}, _CAPABILITIES, left_out)


def _obstacle(column: Column, opaque: Table, spaced: bool) -> str:
    """Return the reason why a column cannot be text; empty where it can."""
    if column.hidden or column.counter is not None:
        return "it has lists"
    if column.shape:
        return f"it has {list(column.shape)} values per event"
    words = [column.name]
    if column.is_opaque:
        values = opaque[column.name]
        if ak.to_layout(values).parameter("__array__") != "string":
            return f"its type is {ak.type(values).content}"
        words += values.tolist()
    if spaced and any(word.split() != [word] for word in words):
        return "it has words with white space, use .csv"
    if spaced and any(word.startswith("#") for word in words):
        return "it has words with '#' at the start, use .csv"
    return ""


class _Layout:
    """Layout of the lines of a text file."""

    def __init__(self, storage: Mapping[str, Any], spaced: bool) -> None:
        is_alike = storage.get("format") == ("txt" if spaced else "csv")
        self._storage = storage if is_alike else {}
        delimiter = self._storage.get("delimiter")
        default = " " if spaced else ","
        self.delimiter = str(delimiter) if delimiter in (*DELIMITERS, " ") else default
        self._missing = "nan" if self.delimiter == " " else ""

    def write(
        self, stream: TextIO, source: TableSource, columns: Sequence[Column], step: int
    ) -> None:
        """Write the header and the events, and the input's comments for all of its columns."""
        names = [c.name for c in columns]
        is_whole = len(names) == self._storage.get("width")
        comments = self._comments(source.num_entries) if is_whole else {}
        stream.write(comments.get(-1, ""))
        header = self._header(names, source, is_whole)
        if header is not None:
            stream.write(header + self._line(names))
        for start, stop in ranges(source.num_entries, step):
            table = source.read(names, start, stop)
            rows = zip(
                *(_cells(table[name], self._missing) for name in names), strict=True
            )
            for row, cells in enumerate(rows, start):
                stream.write(comments.get(row, "") + self._line(cells))
        stream.write(comments.get(source.num_entries, ""))

    def _comments(self, num_entries: int) -> dict[int, str]:
        """Return the lines of comments by the event below them, -1 for those above the header."""
        lines: dict[int, str] = {}
        for row, text in self._storage.get("comments", ()):
            place = max(-1, min(int(row), num_entries))
            if re.fullmatch(r"#[^\r\n]*", str(text)):
                lines[place] = lines.get(place, "") + f"{text}\n"
        return lines

    def _header(
        self, names: Sequence[str], source: TableSource, is_whole: bool
    ) -> str | None:
        """Return the sign before the names: nothing, or that of a comment; `None` for no header."""
        sign = self._storage.get("header") if is_whole else None
        if sign == "" and self._goes_without(names, source):
            return None
        if re.fullmatch("#[# ]*", str(sign)):
            return str(sign)
        # a line of numbers would be taken for an event
        return "#" if all(map(is_value, names)) else ""

    def _goes_without(self, names: Sequence[str], source: TableSource) -> bool:
        if list(names) != [f"c{i}" for i in range(len(names))] or not source.num_entries:
            return False
        first = source.read(names, 0, 1)
        return all(is_value(_cells(first[name], self._missing)[0]) for name in names)

    def _line(self, words: Sequence[str]) -> str:
        if len(words) == 1:
            parts = words[0].split()
            # a blank line could be taken for the end, white space for a delimiter
            if not words[0] or (len(parts) > 1 and all(map(is_value, parts))):
                return f'"{words[0]}"\n'
        return self.delimiter.join(map(_quoted, words)) + "\n"


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
