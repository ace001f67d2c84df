"""Bounds by pattern as TOML: read from a file, written to one, and overridden by later ones."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from flowtuple.data.bounds import Bound
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.nearby import nearest_file
from flowtuple.runtime.old_names import warn_old

SECTION = "bounds"
_OLD_SECTION = "tolerance"
_LINE = """such as "Jet_*" = "rel:1e-3\""""

B = TypeVar("B", bound="Bounds")


@dataclass(frozen=True, eq=False)
class Bounds(Mapping[str, Bound]):
    r"""Bounds by column name or glob, of which the last match wins, and their origin.

    A mapping from patterns to bounds, in order, which every `tolerance` argument takes.
    `bounds | {"Jet_pt": "rel:1e-4"}` puts further bounds after those of a file or preset.

    Attributes:
        by_pattern: The bounds of the file or preset.
        origin: Its path or name, for messages.
        comments: Reason for a bound, by pattern, for those that have one.
        overrides: Further bounds, which come after those of the file or preset.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "bounds.toml"
        >>> _ = path.write_text('[bounds]\n"Jet_*" = "rel:1e-3"\n')
        >>> bounds = ft.read_bounds(path) | {"Jet_pt": "rel:1e-4"}
        >>> {pattern: str(bound) for pattern, bound in bounds.items()}
        {'Jet_*': 'rel:0.001', 'Jet_pt': 'rel:0.0001'}
    """

    by_pattern: Mapping[str, Bound]
    origin: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Bound] = field(default_factory=dict)

    def __getitem__(self, pattern: str) -> Bound:
        """Return the bound of a pattern, the later one where it is there twice."""
        if pattern in self.overrides:
            return self.overrides[pattern]
        return self.by_pattern[pattern]

    def __iter__(self) -> Iterator[str]:
        """Yield the patterns in the order in which they count; the last match wins."""
        yield from (p for p in self.by_pattern if p not in self.overrides)
        yield from self.overrides

    def __len__(self) -> int:
        """Return the number of patterns."""
        return len(self.by_pattern.keys() | self.overrides.keys())

    def __or__(self: B, later: Mapping[str, str | Bound]) -> B:
        """Return these bounds with others after them.

        Raises:
            InvalidArgument: A text is no bound.
        """
        bounds = {
            p: b if isinstance(b, Bound) else Bound.parse(b) for p, b in later.items()
        }
        # A pattern that is given again takes its later place.
        earlier = {p: b for p, b in self.overrides.items() if p not in bounds}
        return replace(self, overrides={**earlier, **bounds})


def read_bounds(path: str | os.PathLike[str]) -> Bounds:
    r"""Read the bounds of a TOML file, in the order of its lines.

    The file has a table `[bounds]`, with lines such as `"Jet_pt" = "rel:1.3e-4"`.

    Args:
        path: The TOML file.

    Returns:
        The bounds by pattern, which `tolerance` arguments take.

    Raises:
        InvalidArgument: The file is missing or no TOML, has no such table, or a value is no bound;
            the message names file and line.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "bounds.toml"
        >>> _ = path.write_text('[bounds]\n"Jet_pt" = "rel:1e-3"  # the mass of two jets\n')
        >>> ft.read_bounds(path)["Jet_pt"]
        Bound(kind='rel', amount=0.001)
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        return parse_bounds(text, os.fspath(path))
    except FileNotFoundError:
        problem = f"no such file; {nearest_file(path, ['.toml'])}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        problem = f"is not TOML ({error})"
    raise InvalidArgument(f"{path}: {problem}")


def parse_bounds(text: str, origin: str) -> Bounds:
    r"""Return the bounds of a TOML text.

    Args:
        text: The text, with a table `[bounds]`.
        origin: Name of the file, for messages.

    Raises:
        InvalidArgument: The text is no TOML, has no such table, or a value is no bound.

    Example:
        >>> parse_bounds('[bounds]\n"MET_pt" = "bits:10"', "b.toml")["MET_pt"]
        Bound(kind='bits', amount=10.0)
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{origin}: is not TOML ({error})") from None
    section = SECTION
    if SECTION not in content and _OLD_SECTION in content:
        section = _OLD_SECTION
        warn_old(f"{origin}: the table [{_OLD_SECTION}]", f"[{SECTION}]")
    table = content.get(section)
    if not isinstance(table, dict) or not table:
        raise InvalidArgument(f"{origin}: has no table [{SECTION}] with lines {_LINE}")
    bounds = {}
    for pattern, value in table.items():
        try:
            bounds[pattern] = _bound(pattern, value)
        except InvalidArgument as error:
            where = f"{origin}: line {_line_of(text, pattern)}: {pattern!r}"
            raise InvalidArgument(f"{where}: {error}") from None
    return Bounds(bounds, origin, _comments(text, bounds))


def write_bounds(
    path: str | os.PathLike[str],
    bounds: Mapping[str, str | Bound],
    comments: Mapping[str, str] = {},
    title: str = "",
) -> Path:
    """Write bounds as a TOML file that `read_bounds` and `compress --bounds` read.

    Args:
        path: The file to write; it appears whole or not at all.
        bounds: Bounds by column name or glob, in order; the last match wins.
        comments: Reason for a bound, by pattern; line breaks become blanks.
        title: Comment at the top, of one or more lines.

    Returns:
        The path of the file.

    Raises:
        InvalidArgument: A text is no bound, or the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "bounds.toml"
        >>> _ = ft.write_bounds(path, {"Jet_pt": "rel:1e-3"}, {"Jet_pt": "mjj binds"}, "For mjj")
        >>> print(path.read_text().strip())
        # For mjj
        [bounds]
        "Jet_pt" = "rel:0.001"  # mjj binds
    """
    with atomic_path(path) as temporary:
        temporary.write_text(format_bounds(bounds, comments, title), encoding="utf-8")
    return Path(path)


def format_bounds(
    bounds: Mapping[str, str | Bound],
    comments: Mapping[str, str] = {},
    title: str = "",
) -> str:
    """Return bounds as the text of a TOML file; the arguments are those of `write_bounds`.

    Raises:
        InvalidArgument: A text is no bound.
    """
    lines = [f"# {line}".rstrip() for line in title.splitlines()] + [f"[{SECTION}]"]
    for pattern, request in bounds.items():
        bound = request if isinstance(request, Bound) else Bound.parse(request)
        comment = _one_line(comments.get(pattern, ""))
        lines.append(f"{_quoted(pattern)} = {_quoted(str(bound))}" + comment)
    return "\n".join(lines) + "\n"


def _bound(pattern: str, value: object) -> Bound:
    """Return the bound of one line.

    Raises:
        InvalidArgument: The value is no bound.
    """
    if isinstance(value, dict):
        inner = next(iter(value), "")
        name = f'"{pattern}.{inner}"'
        raise InvalidArgument(f"is a table; put names with dots in quotes, as {name}")
    if not isinstance(value, str):
        raise InvalidArgument(
            f'the bound {value!r} is no text; write for example "abs:{value}"'
        )
    return Bound.parse(value)


def _line_of(text: str, pattern: str) -> int:
    """Return the line on which a pattern is the key."""
    for number, line in enumerate(text.splitlines(), 1):
        if _key_of(line) == pattern or line.lstrip().startswith(f"{pattern}."):
            return number
    return 1


_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*=(.*)""")
_COMMENT = re.compile(r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*')\s*#\s*(.*\S)\s*$""")


def _key_of(line: str) -> str:
    """Return the key of a line of TOML, empty where there is none."""
    match = _KEY.match(line)
    if match is None:
        return ""
    if match[1][0] == "'":
        return match[1][1:-1]
    return str(tomllib.loads(f"x = {match[1]}")["x"]) if match[1][0] == '"' else match[1]


def _comments(text: str, bounds: Mapping[str, Bound]) -> dict[str, str]:
    """Return the comments behind bounds, by pattern."""
    comments = {}
    for line in text.splitlines():
        key = _key_of(line)
        match = _KEY.match(line)
        comment = match and _COMMENT.match(match[2])
        if key in bounds and comment:
            comments[key] = comment[1]
    return comments


def _one_line(comment: str) -> str:
    words = "".join(c if c.isprintable() else " " for c in comment).split()
    return f"  # {' '.join(words)}" if words else ""


def _quoted(text: str) -> str:
    """Return a basic string of TOML, whose escapes are those of JSON but for U+007F."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
