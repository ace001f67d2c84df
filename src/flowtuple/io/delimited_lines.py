"""Lines of a text file: which character parts their fields, which of them are comments, and which one is the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from flowtuple.errors import InvalidArgument

DELIMITERS = (",", ";", "\t")
WORDS = {"true": True, "false": False}
_SPACED = (",", None, "\t", ";")
_SAMPLE = 64  # lines that have to agree in their number of fields
_NO_VALUES = frozenset(["n/a", "na", "null", "none", "-", "--", "?"])
_QUOTED_OR_BARE = re.compile(r'"((?:[^"]|"")*)"(?=\s|$)|(\S+)')


@dataclass(frozen=True)
class Line:
    """The fields of a line, none where it is blank.

    Attributes:
        number: From 1 on; the last of its lines, where a quoted field has several.
        fields: The fields, without quotes.
        comment: The whole line where it begins with `#`, empty elsewhere.
    """

    number: int
    fields: list[str]
    comment: str = ""


@dataclass(frozen=True)
class Contents:
    """A text file, taken to pieces.

    Attributes:
        header: The names, `None` where there are none.
        events: Lines with events.
        comments: Number of events before each comment, -1 above the header, and the comment.
        sign: What stands before the header where that is a comment, such as `# `.
    """

    header: list[str] | None
    events: list[Line]
    comments: list[tuple[int, str]]
    sign: str = ""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.events[0].fields if self.header is None else self.header)


def is_value(cell: str) -> bool:
    """Whether a field cannot be a column's name.

    Example:
        >>> [is_value(cell) for cell in ("1e5", "", "True", "pt")]
        [True, True, True, False]
    """
    word = cell.strip()
    try:
        return word == "" or word.lower() in WORDS or float(word) is not None
    except ValueError:
        return False


def find_delimiter(text: str, spaced: bool) -> str | None:
    r"""Find the delimiter of the fields, `None` for white space.

    Args:
        text: The whole file.
        spaced: Whether white space comes before semicolons and tabs.

    Returns:
        The first candidate that parts every line of a sample into the same number of fields; quoted fields are whole.
        Where white space does not come first, it comes last and parts numbers only.

    Example:
        >>> find_delimiter("p [GeV,c=1];q\n1;2\n", False), find_delimiter('"a;b"\n1\n', False)
        (';', ',')
    """
    candidates: Sequence[str | None] = _SPACED if spaced else (*DELIMITERS, None)
    default = None if spaced else ","
    sampled = [_widths(text, delimiter) for delimiter in candidates]
    parting = [
        (d, widths)
        for d, widths in zip(candidates, sampled, strict=True)
        if widths and widths[0] > 1
    ]
    agreeing = [
        d
        for d, widths in parting
        if len(set(widths)) == 1 and (spaced or d or _parts_numbers(text))
    ]
    first = [d for d, _ in parting if (d in (",", None) if spaced else d)]
    return (agreeing or first or [default])[0]


def _parts_numbers(text: str) -> bool:
    """Whether the words between white space are numbers in all lines, save for a header."""
    rows = [
        line.fields for line in islice(lines_of("", text, None), 4 * _SAMPLE) if not line.comment
    ][:_SAMPLE]
    return all(is_value(cell) for row in rows[1:] or rows for cell in row)


def _widths(text: str, delimiter: str | None) -> list[int]:
    try:
        found = [line for line in islice(lines_of("", text, delimiter), 4 * _SAMPLE) if line.fields]
    except InvalidArgument:
        return []
    data = [len(line.fields) for line in found if not line.comment]
    return data[:_SAMPLE] or [len(comment_words(line.comment, delimiter)) for line in found[-1:]]


def lines_of(path: str, text: str, delimiter: str | None) -> Iterator[Line]:
    """The lines of a file. One that begins with `#` ends where it ends, whatever quotes are in it.

    Raises:
        InvalidArgument: A quoted field is not what it should be.
    """
    source = _Source(text)
    reader = None if delimiter is None else csv.reader(source, delimiter=delimiter, strict=True)
    while source.advance():
        if source.next.startswith("#"):
            line = next(source)
            yield Line(source.number, split_line(line, delimiter), line.rstrip("\r\n"))
        elif reader is None:
            fields = split_line(next(source), delimiter)
            if fields:
                yield Line(source.number, fields)
        else:
            try:
                fields = next(reader)
            except csv.Error as error:
                raise InvalidArgument(
                    f"{path}: line {source.number} cannot be read ({error}); correct that line"
                ) from None
            yield Line(source.number, fields)


class _Source:
    """Lines one by one, with a look at the next one."""

    def __init__(self, text: str) -> None:
        self._lines = iter(io.StringIO(text, newline=""))
        self.number = 0
        self.next = ""

    def advance(self) -> bool:
        """Look at the next line; false at the end."""
        if not self.next:
            self.next = next(self._lines, "")
        return self.next != ""

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        if not self.advance():
            raise StopIteration
        line, self.next = self.next, ""
        self.number += 1
        return line


def split_line(line: str, delimiter: str | None) -> list[str]:
    """The fields of one line alone."""
    if delimiter is None:
        return [bare or quoted.replace('""', '"') for quoted, bare in _QUOTED_OR_BARE.findall(line)]
    return next(csv.reader([line], delimiter=delimiter), [])


def comment_words(comment: str, delimiter: str | None) -> list[str]:
    """The fields of a comment as names.

    Example:
        >>> comment_words("# pt, eta", ","), comment_words("#pt eta", None)
        (['pt', 'eta'], ['pt', 'eta'])
    """
    return [word.strip() for word in split_line(comment.lstrip("#").strip(" "), delimiter)]


def contents_of(path: str, lines: Sequence[Line], delimiter: str | None) -> Contents:
    """The header, the events and the comments of a file.

    The header is the first line that is no comment, where it holds other than numbers, or else the last comment above the
    events that is as wide as they are. Where both could be it, it is the comment, unless the line below stands over a
    column of numbers and holds none itself. In a file with such comments, lines with `#` behind the last event are
    comments too.

    Raises:
        InvalidArgument: There is no line of data.
    """
    start = next(
        (i for i, line in enumerate(lines) if line.fields and not line.comment), len(lines)
    )
    above = [line.comment for line in lines[:start] if line.comment]
    if start == len(lines):
        if not above:
            raise InvalidArgument(f"{path}: holds no line of data; name a file with events")
        return _below(above, len(above) - 1, [], delimiter)
    first = lines[start].fields
    chosen = _fitting_comment(above, first, delimiter)
    is_text = not all(map(is_value, first))
    if is_text and (chosen is None or _stands_over_numbers(first, lines[start + 1 :])):
        return _with_header_line(above, lines[start], lines[start + 1 :])
    if chosen is not None:
        return _below(above, chosen, lines[start:], delimiter)
    events, comments = _parted(lines[start:], len(first), bool(above), False)
    return Contents(None, events, [(-1, text) for text in above] + comments)


def _fitting_comment(
    above: Sequence[str], first: Sequence[str], delimiter: str | None
) -> int | None:
    """The last comment that can be the header of such events; a sentence over a column of words is none."""
    for i in range(len(above) - 1, -1, -1):
        words = comment_words(above[i], delimiter)
        is_sentence = (
            len(first) == 1 and not is_value(first[0]) and len(words) == 1 and " " in words[0]
        )
        if len(words) == len(first) and not is_sentence:
            return i
    return None


def _stands_over_numbers(first: Sequence[str], rest: Sequence[Line]) -> bool:
    if any(is_value(cell) and cell.strip() for cell in first):
        return False
    columns = [
        i for i, cell in enumerate(first) if cell.strip() and cell.strip().lower() not in _NO_VALUES
    ]
    rows = [line.fields for line in rest if not line.comment and len(line.fields) == len(first)]
    return any(
        all(is_value(row[i]) for row in rows) and any(row[i].strip() for row in rows)
        for i in columns
    )


def _below(
    above: Sequence[str], chosen: int, rest: Sequence[Line], delimiter: str | None
) -> Contents:
    """The contents of a file whose header is one of the comments."""
    words = comment_words(above[chosen], delimiter)
    events, comments = _parted(rest, len(words), True, True)
    around = [(-1, text) for text in above[:chosen]] + [(0, text) for text in above[chosen + 1 :]]
    sign = above[chosen][: len(above[chosen]) - len(above[chosen].lstrip("#").lstrip(" "))]
    return Contents(words, events, around + comments, sign)


def _with_header_line(above: Sequence[str], header: Line, rest: Sequence[Line]) -> Contents:
    start = next((i for i, line in enumerate(rest) if line.fields and not line.comment), len(rest))
    below = [(0, line.comment) for line in rest[:start] if line.comment]
    names = [cell.strip() for cell in header.fields]
    events, comments = _parted(
        rest[start:] if below else rest, len(names), bool(above or below), False
    )
    return Contents(names, events, [*((-1, text) for text in above), *below, *comments])


def _parted(
    lines: Sequence[Line], width: int, has_comments: bool, below_comment: bool
) -> tuple[list[Line], list[tuple[int, str]]]:
    """The events, and the comments among and behind them, each with the number of events before it."""
    end = next(
        (i for i in range(len(lines), 0, -1) if lines[i - 1].fields and not lines[i - 1].comment), 0
    )
    behind = [line for line in lines[end:] if line.comment]
    is_over = below_comment or (has_comments and any(len(line.fields) != width for line in behind))
    is_number = below_comment and all(
        is_value(line.fields[0]) for line in lines[:end] if line.fields and not line.comment
    )
    events: list[Line] = []
    comments: list[tuple[int, str]] = []
    for i, line in enumerate(lines):
        among = below_comment and (is_number or len(line.fields) != width)
        if line.comment and (among if i < end else is_over):
            comments.append((len(events), line.comment))
        elif line.fields or width == 1:
            events.append(line)
    return events, comments
