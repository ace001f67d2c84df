"""Lines of a text file: the delimiter of their fields, comments, and the header."""

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
        return word == "" or word.lower() in WORDS or float(word) is not None
    except ValueError:
        return False


def find_delimiter(text: str, spaced: bool) -> str | None:
    r"""Return the delimiter of the fields, `None` for white space.

    Args:
        text: The whole file.
        spaced: White space comes before semicolons and tabs.

    Returns:
        The first candidate that splits every line of a sample into the same number of fields. Where
        white space does not come first, it comes last and splits numbers only.

    Example:
        >>> find_delimiter("p [GeV,c=1];q\n1;2\n", False), find_delimiter('"a;b"\n1\n', False)
        (';', ',')
    """
    candidates: Sequence[str | None] = _SPACED if spaced else (*DELIMITERS, None)
    splitting = []
    for delimiter in candidates:
        widths = _widths(text, delimiter)
        if not widths or widths[0] < 2:
            continue
        if len(set(widths)) == 1 and (spaced or delimiter or _splits_numbers(text)):
            return delimiter
        splitting.append(delimiter)
    usual = [d for d in splitting if (d in (",", None) if spaced else d)]
    return usual[0] if usual else None if spaced else ","


def _splits_numbers(text: str) -> bool:
    """Return whether the words between white space are numbers in all lines but a header."""
    lines = islice(lines_of("", text, None), 4 * _SAMPLE)
    rows = [line.fields for line in lines if not line.comment][:_SAMPLE]
    return all(is_value(cell) for row in rows[1:] or rows for cell in row)


def _widths(text: str, delimiter: str | None) -> list[int]:
    try:
        lines = [
            line for line in islice(lines_of("", text, delimiter), 4 * _SAMPLE) if line.fields
        ]
    except InvalidArgument:
        return []
    widths = [len(line.fields) for line in lines if not line.comment]
    return widths[:_SAMPLE] or [
        len(comment_words(line.comment, delimiter)) for line in lines[-1:]
    ]


def lines_of(path: str, text: str, delimiter: str | None) -> Iterator[Line]:
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
                fields = split_line(line, delimiter)
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


def split_line(line: str, delimiter: str | None) -> list[str]:
    """Split one line into fields."""
    if delimiter is None:
        return [
            bare or quoted.replace('""', '"')
            for quoted, bare in _QUOTED_OR_BARE.findall(line)
        ]
    return next(csv.reader([line], delimiter=delimiter), [])


def comment_words(comment: str, delimiter: str | None) -> list[str]:
    """Return the fields of a comment as names.

    Example:
        >>> comment_words("# pt, eta", ","), comment_words("#pt eta", None)
        (['pt', 'eta'], ['pt', 'eta'])
    """
    return [word.strip() for word in split_line(comment.lstrip("#").strip(" "), delimiter)]


def contents_of(path: str, lines: Sequence[Line], delimiter: str | None) -> Contents:
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
    first = rest[0].fields if rest else comment_words(above[-1], delimiter)
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
        header = comment_words(above[chosen], delimiter)
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
        words = comment_words(above[i], delimiter)
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
        line.fields for line in rest if not line.comment and len(line.fields) == len(first)
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
    has_other_width = any(len(line.fields) != width for line in lines[end:] if line.comment)
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
