"""Text files of columns as the module csv alone sees them; numbers are compared as numbers, words
as words.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import struct
from functools import partial
from pathlib import Path

from independent.parts import Contents, Group, Part

_NUMBER_WORDS = ("nan", "+nan", "-nan", "")
_WORDS = {"true": True, "false": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")


def read(path: str) -> Contents:
    """The columns of a file, by name where it has a header and by place in any case."""
    names, rows = _parted(path)
    width = (
        len(names) if names is not None else max((len(row) for row in rows), default=0)
    )
    uneven = [i for i, row in enumerate(rows) if len(row) != width]
    if uneven:
        raise ValueError(
            f"event {uneven[0]} has {len(rows[uneven[0]])} fields, not {width}"
        )
    named = names if names is not None else [""] * width
    columns = [[row[i] for row in rows] for i in range(width)]
    parts = [
        Part(name or f"column {i}", partial(_values, columns[i]), place=i)
        for i, name in enumerate(named)
    ]
    return Contents([Group("", "text", len(rows), parts)])


def _parted(path: str) -> tuple[list[str] | None, list[list[str]]]:
    """Names of the columns, if there are any, and the events as fields."""
    lines = _lines(path)
    comments: list[list[str]] = []
    while lines and lines[0] and lines[0][0].lstrip().startswith("#"):
        comments.append(lines.pop(0))
    if not lines:
        return (_commented(comments[-1]), []) if comments else (None, [])
    while (
        lines and lines[-1] and lines[-1][0].lstrip().startswith("#")
    ):  # a summary below the events
        lines.pop()
    width = len(lines[0])
    fitting = [names for names in map(_commented, comments) if len(names) == width]
    if fitting:
        first_is_names = not any(_is_value(cell) for cell in lines[0])
        repeated = first_is_names and [cell.strip() for cell in lines[0]] == fitting[-1]
        if width > 1 and not repeated:
            return fitting[-1], lines
    if all(_is_value(cell) for cell in lines[0]) or not _is_header(lines):
        return None, lines
    rest = lines[1:]
    while rest and rest[0][0].startswith("#"):
        rest.pop(0)
    return [cell.strip() for cell in lines[0]], rest


def _is_header(lines: list[list[str]]) -> bool:
    """Whether the first line names columns: none of its fields is a number."""
    return not any(_is_value(cell) for cell in lines[0] if cell.strip())


def _commented(row: list[str]) -> list[str]:
    words = [row[0].lstrip()[1:], *row[1:]]
    words = [word.strip() for word in words]
    return words[1:] if words and not words[0] and len(words) > 1 else words


def _lines(path: str) -> list[list[str]]:
    """The fields of every line that is not blank; in a file of one column a blank line is a missing
    value.
    """
    content = Path(path).read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    text = content.decode("utf-8-sig")
    spaced = re.search(r"\.(txt|dat)(\.gz)?$", path, re.IGNORECASE) is not None
    first = next((line for line in text.splitlines() if line.strip()), "")
    marks = (",",) if spaced else (",", ";", "\t")
    given = [m for m in marks if m in text]
    if spaced and not any(m in first for m in given):
        return [line.split() for line in text.splitlines() if line.strip()]
    below = text.partition("\n")[2]
    # a single column whose name holds a delimiter
    whole = ("\0",) if not any(m in below for m in given) else ()
    tried = [
        list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
        for mark in (*given, *whole, ",")
    ]
    rows = next((rows for rows in tried if _are_even(rows)), tried[0])
    if max((len(row) for row in rows), default=0) > 1:
        return [row for row in rows if row]
    while rows and not rows[-1]:
        rows.pop()
    return [row or [""] for row in rows]


def _are_even(rows: list[list[str]]) -> bool:
    """Whether all lines that are neither blank nor comments have as many fields."""
    return (
        len({len(row) for row in rows if row and not row[0].lstrip().startswith("#")})
        == 1
    )


def _is_value(cell: str) -> bool:
    word = cell.strip().lower()
    if word in _NUMBER_WORDS or word in _WORDS:
        return True
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def _values(cells: list[str]) -> list[object]:
    """One column: whole numbers, numbers as their bits, truth values, or text as it stands."""
    words = [cell.strip() for cell in cells]
    if all(word.lower() in _WORDS for word in words) and words:
        return [_WORDS[word.lower()] for word in words]
    given = [word for word in words if word.lower() not in _NUMBER_WORDS]
    if all(_is_value(word) and word.lower() not in _WORDS for word in given):
        is_whole = all(map(_INTEGER.fullmatch, given))
        return [_number(word, is_whole) for word in words]
    return list(cells)


def _number(word: str, is_whole: bool) -> object:
    """Return the bits of a number, an int where no float64 holds it, or `missing`."""
    if word.lower() in _NUMBER_WORDS:
        return "missing"
    if is_whole:
        whole = int(word)
        return (
            float_bits(float(whole))
            if abs(whole) < 10**300 and float(whole) == whole
            else whole
        )
    return float_bits(float(word))


def float_bits(value: float) -> str:
    """A float64 as the hexadecimal of its bits."""
    return struct.pack(">d", value).hex()
