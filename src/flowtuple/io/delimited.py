"""Text files of columns: .csv, .csv.gz, and .txt or .dat with white space as delimiter."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import awkward as ak
import numpy as np

from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.io.delimited_lines import WORDS, Line, contents_of, find_delimiter, lines_of
from flowtuple.io.delimited_writer import is_long, storage_of
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import read_bytes
from flowtuple.io.memory import TABLE_NAME, numbered, table_from_arrays

_INTEGER = re.compile(r"[+-]?[0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]+([.]0*)?")
_INFINITE = ("inf", "infinity")
_INEXACT = 2.0**53  # from here on a float64 may be next to the whole number that was meant
_MOST_DIGITS = 300  # beyond, a whole number is text
_GZIP_MAGIC = b"\x1f\x8b"


def open_dataset(path: str, options: ReadOptions) -> Dataset:
    r"""Read a text file of columns as the table `events`, in memory.

    Whole numbers become int64 (uint64 where they are larger), `true` and `false` bool, other
    numbers float64, anything else text. A missing field is NaN, and so is a blank line in a `.csv`
    of one column. A column stays text where float64 would round one of its whole numbers, or make a
    number infinite or 0. A first line of numbers only is taken as events, any other as the header.
    Lines above the events that begin with `#` are comments; the last of them that is as wide as the
    events is the header, unless the first line is seen to be it. In a file with comments, lines of
    that kind behind the events are comments as well.

    Args:
        path: A path or URL. The delimiter of `.csv` is a comma, semicolon, tab or, where it has
            numbers only, white space; that of `.txt` and `.dat` a comma or white space: the first
            of these that gives all lines as many fields. Delimiters in quotes are text.
        options: Names for the columns of a file without header.

    Raises:
        InvalidArgument: A line has more or fewer fields than the first, a name stands twice, or
            this is no text.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "z.csv"
        >>> _ = path.write_text("run,pt,type\n163286,37.5667,EE\n163286,,EB\n")
        >>> table = open_dataset(str(path), ReadOptions()).table("events")
        >>> [(c.name, c.dtype) for c in table.columns]
        [('run', 'int64'), ('pt', 'float64'), ('type', 'opaque')]
    """
    content = read_bytes(path)
    text = _text(path, content)
    spaced = re.search(r"\.(txt|dat)(\.gz)?(\?.*)?$", path, re.IGNORECASE) is not None
    delimiter = find_delimiter(text, spaced)
    contents = contents_of(path, list(lines_of(path, text, delimiter)), delimiter)
    width = contents.width
    rows = _filled(contents.events) if width == 1 else contents.events
    for row in rows:
        if len(row.fields) != width:
            what = f"line {row.number} has {len(row.fields)} fields, not {width}"
            raise InvalidArgument(f"{path}: {what}; correct that line")
    names: Sequence[str] | None = options.names
    if contents.header is not None:
        names = [name or f"c{i}" for i, name in enumerate(contents.header)]
    cells = zip(*(row.fields for row in rows), strict=True) if rows else [()] * width
    columns = dict(zip(numbered(width, names, path), map(_values, cells), strict=True))
    stored = storage_of(contents, delimiter, spaced)
    reason = f"{len(contents.comments)} lines of comments are too many"
    left_out = [LeftOut(f"{TABLE_NAME}/(comments)", reason)] if is_long(contents) else []
    return Dataset(
        path,
        {TABLE_NAME: table_from_arrays(TABLE_NAME, columns)},
        nbytes=len(content),
        storage={TABLE_NAME: stored} if stored else {},
        left_out=tuple(left_out),
    )


def _text(path: str, content: bytes) -> str:
    try:
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidArgument(
            f"{path}: line {line} is no UTF-8 text; convert it with iconv, or check its suffix"
        ) from None
    except (EOFError, OSError, zlib.error):
        raise InvalidArgument(
            f"{path}: its gzip stream is damaged or cut short; fetch it again"
        ) from None


def _filled(rows: list[Line]) -> list[Line]:
    """Return the events of a file of one column; blank lines between them are missing values."""
    end = max((i for i, row in enumerate(rows, 1) if row.fields), default=0)
    return [Line(row.number, row.fields or [""]) for row in rows[:end]]


def _values(cells: Sequence[str]) -> Any:
    """Return fields as int64, uint64, bool, float64 or text: the first type that fits all."""
    words = [cell.strip() for cell in cells]
    if words and all(map(_INTEGER.fullmatch, words)) and max(map(len, words)) < _MOST_DIGITS:
        numbers = [int(word) for word in words]
        for dtype in (np.int64, np.uint64):
            limits = np.iinfo(dtype)
            if limits.min <= min(numbers) and max(numbers) <= limits.max:
                return np.array(numbers, dtype=dtype)
    if words and all(word.lower() in WORDS for word in words):
        return np.array([WORDS[word.lower()] for word in words])
    if any("_" in word for word in words):  # float() reads 1_000
        return ak.from_iter(cells)
    try:
        values = np.array(
            [float(word) if word else np.nan for word in words], dtype=np.float64
        )
    except ValueError:
        return ak.from_iter(cells)
    for i in np.flatnonzero(np.isinf(values) | (np.abs(values) >= _INEXACT) | (values == 0)):
        if _is_changed(words[i], float(values[i])):
            return ak.from_iter(cells)
    return values


def _is_changed(word: str, value: float) -> bool:
    """Return whether a number becomes infinite, 0 or another whole number as a float64."""
    if math.isinf(value):
        return word.lstrip("+-").lower() not in _INFINITE
    if value == 0:
        return re.search("[1-9]", word.lower().partition("e")[0]) is not None
    return _WHOLE.fullmatch(word) is not None and Decimal(word) != Decimal(value)
