"""Text files of columns: .csv, .csv.gz, and .txt or .dat with white space as delimiter."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

import numpy as np

from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument
from flowtuple.io.formats import ReadOptions
from flowtuple.io.location import read_bytes
from flowtuple.io.memory import TABLE_NAME, numbered, table_from_arrays
from flowtuple.runtime.lazy_packages import awkward as ak

DELIMITERS = (",", ";", "\t")
_WORDS = {"true": True, "false": False}
_SPACED = (",", None, "\t", ";")
_SAMPLE = 64  # lines that have to agree in their number of fields
_NO_VALUES = frozenset(["n/a", "na", "null", "none", "-", "--", "?"])
_QUOTED_OR_BARE = re.compile(r'"((?:[^"]|"")*)"(?=\s|$)|(\S+)')
_INTEGER = re.compile(r"[+-]?[0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]+([.]0*)?")
_INFINITE = ("inf", "infinity")
# from here on a float64 may be next to the whole number that was meant
_INEXACT = 2.0**53
_MOST_DIGITS = 300  # beyond, a whole number is text
_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST_COMMENTS = 1 << 16  # characters; a file with more comes back without


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
    delimiter = _find_delimiter(text, spaced)
    contents = _contents_of(path, list(_lines_of(path, text, delimiter)), delimiter)
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
    stored = _storage_of(contents, delimiter, spaced)
    reason = f"{len(contents.comments)} lines of comments are too many"
    left_out = [LeftOut(f"{TABLE_NAME}/(comments)", reason)] if _is_long(contents) else []
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
    if (
        words
        and all(map(_INTEGER.fullmatch, words))
        and max(map(len, words)) < _MOST_DIGITS
    ):
        numbers = [int(word) for word in words]
        for dtype in (np.int64, np.uint64):
            limits = np.iinfo(dtype)
            if limits.min <= min(numbers) and max(numbers) <= limits.max:
                return np.array(numbers, dtype=dtype)
    if words and all(word.lower() in _WORDS for word in words):
        return np.array([_WORDS[word.lower()] for word in words])
    if any("_" in word for word in words):  # float() reads 1_000
        return ak.from_iter(cells)
    try:
        values = np.array(
            [float(word) if word else np.nan for word in words], dtype=np.float64
        )
    except ValueError:
        return ak.from_iter(cells)
    for i in np.flatnonzero(
        np.isinf(values) | (np.abs(values) >= _INEXACT) | (values == 0)
    ):
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


def _storage_of(
    contents: Contents, delimiter: str | None, spaced: bool
) -> dict[str, Any]:
    """Describe the layout of a text file as JSON; empty where it is that of `write_dataset`."""
    stored: dict[str, Any] = {}
    if delimiter != (None if spaced else ","):
        stored["delimiter"] = delimiter or " "
    if contents.header is None or contents.sign:
        stored["header"] = contents.sign
    if contents.comments and not _is_long(contents):
        stored["comments"] = [list(comment) for comment in contents.comments]
    if stored:
        stored = {"format": "txt" if spaced else "csv", "width": contents.width, **stored}
    return stored


def _is_long(contents: Contents) -> bool:
    """Return whether the comments of a file are too long to be stored."""
    return len(json.dumps(contents.comments)) > _LARGEST_COMMENTS


@dataclass(frozen=True)
class Line:
    """The fields of a line, none where it is blank.

    Attributes:
        number: Number in the file, from 1; that of the last line where a quoted field has several.
        fields: Fields without quotes.
        comment: The whole line where it begins with `#`, else empty.
    """

    number: int
    fields: list[str]
    comment: str = ""


@dataclass(frozen=True)
class Contents:
    """The parts of a text file.

    Attributes:
        header: Names of the columns, `None` where there are none.
        events: Lines with events.
        comments: Number of events before each comment, -1 above the header, and the comment.
        sign: Beginning of the line of the header where that is a comment, such as `# `.
    """

    header: list[str] | None
    events: list[Line]
    comments: list[tuple[int, str]]
    sign: str = ""

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.events[0].fields if self.header is None else self.header)


def is_value(cell: str) -> bool:
    """Return whether a field is a value, which cannot be a column's name.

    Example:
        >>> [is_value(cell) for cell in ("1e5", "", "True", "pt")]
        [True, True, True, False]
    """
    word = cell.strip()
    try:
        return word == "" or word.lower() in _WORDS or float(word) is not None
    except ValueError:
        return False


def _find_delimiter(text: str, spaced: bool) -> str | None:
    r"""Return the delimiter of the fields, `None` for white space.

    Args:
        text: The whole file.
        spaced: White space comes before semicolons and tabs.

    Returns:
        The first candidate that splits every line of a sample into the same number of fields. Where
        white space does not come first, it comes last and splits numbers only.

    Example:
        >>> _find_delimiter("p [GeV,c=1];q\n1;2\n", False), _find_delimiter('"a;b"\n1\n', False)
        (';', ',')
    """
    splitting: list[str | None] = []
    for delimiter in _SPACED if spaced else (*DELIMITERS, None):
        rows = _sample(text, delimiter)
        if not rows or len(rows[0]) < 2:
            continue
        is_even = all(len(row) == len(rows[0]) for row in rows)
        numbers = (is_value(cell) for row in rows[1:] or rows for cell in row)
        if is_even and (spaced or delimiter or all(numbers)):
            return delimiter
        splitting.append(delimiter)
    usual = [d for d in splitting if (d in (",", None) if spaced else d)]
    return usual[0] if usual else None if spaced else ","


def _sample(text: str, delimiter: str | None) -> list[list[str]]:
    """Return the fields of the first lines, those of the last comment where there are no others."""
    lines = islice(_lines_of("", text, delimiter), 4 * _SAMPLE)
    try:
        filled = [line for line in lines if line.fields]
    except InvalidArgument:
        return []
    rows = [line.fields for line in filled if not line.comment]
    return rows[:_SAMPLE] or [_comment_words(c.comment, delimiter) for c in filled[-1:]]


def _lines_of(path: str, text: str, delimiter: str | None) -> Iterator[Line]:
    """Yield the lines of a file; quotes have no meaning in a line that begins with `#`.

    Raises:
        InvalidArgument: A quoted field is not closed.
    """
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter or ",", strict=True)
    others = 0  # lines that the reader does not see
    while source.tell() < len(text):
        is_comment = text.startswith("#", source.tell())
        comment = ""
        try:
            if is_comment or delimiter is None:
                line = next(source)
                others += 1
                fields = _split_line(line, delimiter)
                comment = line.rstrip("\r\n") if is_comment else ""
            else:
                fields = next(reader)
        except csv.Error as error:
            number = reader.line_num + others
            raise InvalidArgument(
                f"{path}: line {number} cannot be read ({error}); correct that line"
            ) from None
        if fields or comment or delimiter is not None:
            yield Line(reader.line_num + others, fields, comment)


def _split_line(line: str, delimiter: str | None) -> list[str]:
    """Split one line into fields."""
    if delimiter is None:
        return [
            bare or quoted.replace('""', '"')
            for quoted, bare in _QUOTED_OR_BARE.findall(line)
        ]
    return next(csv.reader([line], delimiter=delimiter), [])


def _comment_words(comment: str, delimiter: str | None) -> list[str]:
    """Return the fields of a comment as names.

    Example:
        >>> _comment_words("# pt, eta", ","), _comment_words("#pt eta", None)
        (['pt', 'eta'], ['pt', 'eta'])
    """
    return [
        word.strip() for word in _split_line(comment.lstrip("#").strip(" "), delimiter)
    ]


def _contents_of(path: str, lines: Sequence[Line], delimiter: str | None) -> Contents:
    """Return the header, the events and the comments of a file.

    The header is the first line that is no comment, where it holds text, or else the last comment
    above the events that has as many fields. Where both could be the header, the comment is, unless
    the line below has no number and a column of numbers is under it. In a file with such comments,
    lines with `#` after the last event are comments, too.

    Raises:
        InvalidArgument: There is no line of data.
    """
    start = _first_event(lines)
    above = [line.comment for line in lines[:start] if line.comment]
    if start == len(lines) and not above:
        raise InvalidArgument(f"{path}: holds no line of data; name a file with events")
    header: list[str] | None = None
    sign = ""
    comments = [(-1, text) for text in above]
    rest = lines[start:]
    first = rest[0].fields if rest else _comment_words(above[-1], delimiter)
    chosen = _fitting_comment(above, first, delimiter) if rest else len(above) - 1
    is_text = bool(rest) and not all(map(is_value, first))
    is_line = is_text and (chosen is None or _has_numbers_below(first, rest[1:]))
    if is_line:
        header = [cell.strip() for cell in first]
        rest = rest[1:]
        start = _first_event(rest)
        below = [(0, line.comment) for line in rest[:start] if line.comment]
        comments += below
        rest = rest[start:] if below else rest
    elif chosen is not None:
        header = _comment_words(above[chosen], delimiter)
        sign = above[chosen][
            : len(above[chosen]) - len(above[chosen].lstrip("#").lstrip(" "))
        ]
        comments = [(-1, text) for text in above[:chosen]]
        comments += [(0, text) for text in above[chosen + 1 :]]
    is_below = header is not None and not is_line
    events, others = _split_comments(
        rest, len(header or first), bool(above or comments), is_below
    )
    return Contents(header, events, comments + others, sign)


def _first_event(lines: Sequence[Line]) -> int:
    """Return the index of the first line that is neither blank nor a comment."""
    for i, line in enumerate(lines):
        if line.fields and not line.comment:
            return i
    return len(lines)


def _fitting_comment(
    above: Sequence[str], first: Sequence[str], delimiter: str | None
) -> int | None:
    """Return the last comment that can be the header; a sentence above a column of text is none."""
    is_text_column = len(first) == 1 and not is_value(first[0])
    for i in range(len(above) - 1, -1, -1):
        words = _comment_words(above[i], delimiter)
        if len(words) == len(first) and not (is_text_column and " " in words[0]):
            return i
    return None


def _has_numbers_below(first: Sequence[str], rest: Sequence[Line]) -> bool:
    """Return whether a line without numbers has a column of numbers below one of its words."""
    if any(is_value(cell) and cell.strip() for cell in first):
        return False
    columns = [
        i
        for i, cell in enumerate(first)
        if cell.strip() and cell.strip().lower() not in _NO_VALUES
    ]
    rows = [
        line.fields
        for line in rest
        if not line.comment and len(line.fields) == len(first)
    ]
    return any(
        all(is_value(row[i]) for row in rows) and any(row[i].strip() for row in rows)
        for i in columns
    )


def _split_comments(
    lines: Sequence[Line], width: int, has_comments: bool, below_comment: bool
) -> tuple[list[Line], list[tuple[int, str]]]:
    """Return the events, and the comments with the number of events before each."""
    data = [i for i, line in enumerate(lines) if line.fields and not line.comment]
    end = data[-1] + 1 if data else 0
    has_other_width = any(
        len(line.fields) != width for line in lines[end:] if line.comment
    )
    are_comments_after = below_comment or (has_comments and has_other_width)
    are_numbers = below_comment and all(is_value(lines[i].fields[0]) for i in data)
    events: list[Line] = []
    comments: list[tuple[int, str]] = []
    # a line with `#` among events may be an event whose text begins so: that has the right width
    for i, line in enumerate(lines):
        is_among = below_comment and (are_numbers or len(line.fields) != width)
        if line.comment and (is_among if i < end else are_comments_after):
            comments.append((len(events), line.comment))
        elif line.fields or width == 1:
            events.append(line)
    return events, comments
