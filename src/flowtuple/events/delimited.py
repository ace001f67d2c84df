"""Numbers as text: .csv, .csv.gz, and .txt or .dat with columns parted by white space."""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import awkward as ak
import numpy as np

from flowtuple.errors import InvalidArgument, Refused, Unsupported
from flowtuple.events.location import read_bytes
from flowtuple.events.memory import TABLE_NAME, numbered, table_from_arrays
from flowtuple.events.source import ReadOptions, WriteOptions, WriteResult, carried_left_out, single_table
from flowtuple.schema import Column
from flowtuple.table import Dataset, LeftOut, Table, TableSource, ranges, read_all

_WORDS = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_MISSING = ("", "nan")
_MOST_DIGITS = 300  # beyond, no float64 is near
_SPACED = (".txt", ".dat")
_GZIP_MAGIC = b"\x1f\x8b"


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    r"""A text file of columns as the table `events`, held in memory.

    Whole numbers become int64 (uint64 where they are larger), `true` and `false` bool, other numbers float64,
    anything else text. A missing field is NaN, and so is a blank line in a `.csv` of one column; whole numbers that
    float64 would round, beside missing ones or beyond uint64, stay text. A first line of numbers only is taken as
    events, any other as the header; lines above the events that begin with `#` are comments, one of which can be the
    header.

    Args:
        path: A path or URL. `.csv` is parted by commas (or semicolons or tabs, if the first line has no comma),
            `.txt` and `.dat` by white space (or commas, if the first line has one).
        options: Names for the columns of a file without header.

    Raises:
        InvalidArgument: A line has more or fewer fields than the first, a name stands twice, or this is no text.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "z.csv"
        >>> _ = path.write_text("run,pt,type\n163286,37.5667,EE\n163286,,EB\n")
        >>> [(c.name, c.dtype) for c in open_dataset(str(path), ReadOptions()).table("events").columns]
        [('run', 'int64'), ('pt', 'float64'), ('type', 'opaque')]
    """
    content = read_bytes(path)
    header, rows = _split_header(path, list(_rows(path, _text(path, content))))
    width = len(header or rows[0][1])
    rows = _filled(rows) if width == 1 else [(line, row) for line, row in rows if row]
    for line, row in rows:
        if len(row) != width:
            raise InvalidArgument(f"{path}: line {line} has {len(row)} fields, not {width}; correct that line")
    if header is not None:
        names = numbered(width, [name or f"c{i}" for i, name in enumerate(header)], path)
    else:
        names = numbered(width, options.names, path)
    cells: Iterable[tuple[str, ...]] = zip(*(row for _, row in rows), strict=True) if rows else [()] * width
    table = table_from_arrays(TABLE_NAME, {name: _values(column) for name, column in zip(names, cells, strict=True)})
    return Dataset(path, {TABLE_NAME: table}, nbytes=len(content))


def _text(path: str, content: bytes) -> str:
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidArgument(f"{path}: line {line} is no UTF-8 text; convert it with iconv, or check its suffix") from None
    except (EOFError, OSError, zlib.error):
        raise InvalidArgument(f"{path}: its gzip stream is damaged or cut short; fetch it again") from None


def _rows(path: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of the lines; a blank line has none."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    spaced = re.search(r"\.(txt|dat)(\.gz)?(\?.*)?$", path, re.IGNORECASE) is not None
    delimiter = next((d for d in ((",",) if spaced else (",", ";", "\t")) if d in first), None if spaced else ",")
    if delimiter is None:
        for line, words in enumerate(map(str.split, text.splitlines()), 1):
            if words:
                yield line, words
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidArgument(f"{path}: line {reader.line_num} cannot be read ({error}); correct that line") from None


def _split_header(path: str, rows: list[tuple[int, list[str]]]) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    comments, rows = _parted(rows)
    if rows and not all(_is_value(cell) for cell in rows[0][1]):
        below, events = _parted(rows[1:])
        return [cell.strip() for cell in rows[0][1]], events if below else rows[1:]
    for comment in comments:  # NumPy writes the header as `# a b`
        words = [cell.strip() for cell in (comment[0][1:], *comment[1:])]
        words = words[1:] if not words[0] and len(words) > 1 else words
        if not rows or len(words) == len(rows[0][1]):
            return words, rows
    if not rows:
        raise InvalidArgument(f"{path}: holds no line of data; name a file with events")
    return None, rows


def _parted(rows: list[tuple[int, list[str]]]) -> tuple[list[list[str]], list[tuple[int, list[str]]]]:
    """The comments above the first line that is none, and the lines from there on."""
    start = next((i for i, (_, row) in enumerate(rows) if row and not row[0].startswith("#")), len(rows))
    return [row for _, row in rows[:start] if row], rows[start:]


def _filled(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The events of a file of one column, where a blank line is a missing value unless no event follows."""
    end = next((i for i in range(len(rows), 0, -1) if rows[i - 1][1]), 0)
    return [(line, row or [""]) for line, row in rows[:end]]


def _is_value(cell: str) -> bool:
    """Whether a field cannot be a column's name."""
    word = cell.strip()
    try:
        return word == "" or word.lower() in _WORDS or float(word) is not None
    except ValueError:
        return False


def _values(cells: Sequence[str]) -> Any:
    """One column's fields as the narrowest of int64, uint64, bool, float64 and text that holds them all."""
    words = [cell.strip() for cell in cells]
    if words and all(map(_INTEGER.fullmatch, words)):
        return _integers(cells, words)
    given = [word for word in words if word.lower() not in _MISSING]
    if given and all(map(_INTEGER.fullmatch, given)) and not all(map(_is_exact, given)):
        return ak.from_iter(cells)
    if words and all(word.lower() in _WORDS for word in words):
        return np.array([_WORDS[word.lower()] for word in words])
    if any("_" in word for word in words):  # float() reads 1_000
        return ak.from_iter(cells)
    try:
        return np.array([float(word) if word else np.nan for word in words], dtype=np.float64)
    except ValueError:
        return ak.from_iter(cells)


def _is_exact(word: str) -> bool:
    """Whether a float64 holds this whole number."""
    value = float(word) if len(word) <= _MOST_DIGITS else math.inf
    return math.isfinite(value) and int(value) == int(word)


def _integers(cells: Sequence[str], words: Sequence[str]) -> Any:
    if any(len(word) > _MOST_DIGITS for word in words):
        return ak.from_iter(cells)
    numbers = [int(word) for word in words]
    low, high = min(numbers), max(numbers)
    if low >= -(2**63) and high < 2**63:
        return np.array(numbers, dtype=np.int64)
    if low >= 0 and high < 2**64:
        return np.array(numbers, dtype=np.uint64)
    if not all(map(_is_exact, words)):
        return ak.from_iter(cells)
    return np.array([float(word) for word in words], dtype=np.float64)


def write_dataset(dataset: Dataset, path: Path, options: WriteOptions) -> WriteResult:
    """Write one table with a header; numbers are the shortest decimals that read back as the same value of their type.

    Args:
        dataset: One table of scalar columns, and text.
        path: The file to make; gzip where it ends in `.gz`, white space where it is `.txt` or `.dat`.
        options: Events handled at a time, and whether to leave out what text cannot hold.

    Raises:
        Unsupported: There are several tables, carried objects, or a column of lists, arrays or the like.
    """
    source = single_table(dataset, options, "a text file")
    spaced = path.suffix in _SPACED
    opaque = read_all(source, [c.name for c in source.columns if c.is_opaque])
    reasons = {column.name: _obstacle(column, opaque, spaced) for column in source.columns}
    kept = [column for column in source.columns if not reasons[column.name]]
    lost = {f"{source.name}/{c.name}": reasons[c.name] for c in source.columns if reasons[c.name] and not c.hidden}
    if lost and not options.drop:
        raise Refused(
            dataset.description, "write {} as text", lost, "write .parquet, .root or .npz, or leave them out with --drop"
        )
    if not kept:
        raise Unsupported(f"{dataset.description}: no column of {source.name!r} can be text; write .parquet, .root or .npz")
    with open(path, "wb") as raw:
        if path.suffix == ".gz":  # no name and no time inside, so that equal data makes equal files
            with (
                gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
                io.TextIOWrapper(packed, "utf-8", newline="") as stream,
            ):
                _write_rows(stream, source, kept, options.step, spaced)
        else:
            with io.TextIOWrapper(raw, "utf-8", newline="") as stream:
                _write_rows(stream, source, kept, options.step, spaced)
    left_out = [LeftOut(name, reason) for name, reason in lost.items()]
    return WriteResult((*left_out, *carried_left_out(dataset, "a text file")))


def _obstacle(column: Column, opaque: Table, spaced: bool) -> str:
    """Why a column cannot be text, empty where it can."""
    if column.hidden or column.counter is not None:
        return "it has lists"
    if column.shape:
        return f"it has {list(column.shape)} values per event"
    if column.is_opaque and ak.to_layout(opaque[column.name]).parameter("__array__") != "string":
        return f"its type is {ak.type(opaque[column.name]).content}"
    words = [column.name, *(opaque[column.name].tolist() if column.is_opaque else ())]
    if spaced and any(word.split() != [word] for word in words):
        return "it has words with white space, use .csv"
    if any(word.startswith("#") or "\r" in word for word in words):
        return "it has words with '#' at the start or carriage returns"
    return ""


def _write_rows(stream: TextIO, source: TableSource, columns: Sequence[Column], step: int, spaced: bool) -> None:
    writer = csv.writer(stream, delimiter=" " if spaced else ",", lineterminator="\n")
    writer.writerow([c.name for c in columns])
    for start, stop in ranges(source.num_entries, step):
        table = source.read([c.name for c in columns], start, stop)
        writer.writerows(zip(*(_cells(table[c.name], "nan" if spaced else "") for c in columns), strict=True))


def _cells(values: Any, missing: str) -> list[str]:
    if isinstance(values, ak.Array):
        return [str(text) for text in values.tolist()]
    if values.dtype.kind == "b":
        return ["true" if value else "false" for value in values]
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    words: list[str] = values.astype(str).tolist()
    return [missing if word == "nan" else word for word in words]
