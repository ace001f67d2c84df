"""The builder of HTML pages, which carry everything that they show and fetch nothing.

A page is a list of blocks: headings, texts, verdicts, tables, figures. One template renders them
all. It needs the extra 'plots'.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from flowtuple.errors import visible
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.extras import require

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Heading:
    """A heading of level 2, or of level 3 below one, with a paragraph about what follows."""

    text: str
    about: str = ""
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; its style is a class of `page.css`: soft, bad, or none."""

    text: str
    style: str = "soft"


@dataclass(frozen=True)
class Verdict:
    """A verdict, which is `bad` or good."""

    text: str
    bad: bool


@dataclass(frozen=True)
class Facts:
    """A small table of text, whose first column has names.

    Attributes:
        rows: Cells of each row.
        headings: Headings of the columns; none by default.
        caption: Caption of the table.
    """

    rows: Sequence[Sequence[str]]
    headings: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True)
class TableBlock:
    """A table whose headings sort, with a field that filters by the first cell.

    Attributes:
        name: Name of the table, unique on the page.
        columns: Key of the values of each column by its heading.
        rows: Values of each row by key. Pairs of numbers sort by the first of them.
        forms: Forms of values by key, where they are not those of `format_value`.
        bad: Key that is true or above 0 in rows that fail; empty for none.
        caption: Caption of the table.
        part: What the field filters by, in words; empty for no field.
    """

    name: str
    columns: Mapping[str, Any]
    rows: Sequence[Any]
    forms: Mapping[str, Form] = field(default_factory=dict)
    bad: str = ""
    caption: str = ""
    part: str = "part of a name"


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        drawing: SVG text, or a PNG.
        description: The drawing in words.
    """

    drawing: str | bytes
    description: str

    @property
    def source(self) -> str:
        """The drawing as the address of an image; ids in it cannot clash."""
        kind, content = "svg+xml", self.drawing
        if isinstance(content, str):
            content = content.encode()
        else:
            kind = "png"
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Cards:
    """Cards side by side, each with blocks of its own."""

    cards: Sequence[Sequence[Block]]


Form: TypeAlias = Callable[[Any], str]
Block: TypeAlias = "Heading | Text | Verdict | Facts | TableBlock | Figure | Cards"


def write_page(
    path: Path, title: str, header: Sequence[Block], body: Sequence[Block]
) -> Path:
    """Write a page; an older one is replaced once the new one is complete.

    Args:
        path: Path of the page, in an existing folder.
        title: Title and first heading.
        header: Blocks below the title.
        body: The other blocks.

    Returns:
        The path.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    jinja2 = require("jinja2", "plots", "writing a report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("flowtuple.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["form"] = format_value
    template = environment.get_template("page.html.j2")
    html = template.render(title=title, header=header, body=body)
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _visible(value: Any) -> Any:
    """Return what a template shows, its texts with control characters as escapes."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return visible(value) if is_text else value


def format_value(value: Any) -> str:
    """Return a cell of a table as text.

    Numbers have three digits, whole ones all of them, and a pair is a number with its standard
    deviation.

    Example:
        >>> format_value(1234), format_value(0.12345), format_value((0.12345, 0.0019))
        ('1,234', '0.123', '0.1235 ± 0.0019')
    """
    if isinstance(value, tuple):
        return f"{format_number(value[0], 4)} ± {format_number(value[1], 2)}"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else format_number(value)


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits, or in powers of ten; a dash for `None`.

    Example:
        >>> format_number(0.00287996), format_number(32.0), format_number(1234.5)
        ('0.00288', '32.0', '1234')
    """
    if value is None:
        return "\N{EN DASH}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    exponent = int(power)
    text = f"{value:.{max(0, digits - 1 - exponent)}f}"
    if not -4 <= exponent < 6:
        text = (
            f"{mantissa}\N{MULTIPLICATION SIGN}10{str(exponent).translate(_SUPERSCRIPT)}"
        )
    return text.replace("-", "\N{MINUS SIGN}")


two_digits = partial(format_number, digits=2)
four_digits = partial(format_number, digits=4)


def format_interval(low: float, high: float) -> str:
    """Return the ends of an interval in brackets.

    Example:
        >>> format_interval(0.5, 0.625)
        '(0.5000 to 0.6250)'
    """
    return f"({four_digits(low)} to {four_digits(high)})"


def format_bytes(nbytes: int) -> str:
    """Return bytes in powers of 1000.

    Example:
        >>> format_bytes(999), format_bytes(3503509)
        ('999 B', '3.50 MB')
    """
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{nbytes} B" if unit == "B" else f"{format_number(size)} {unit}"
        size /= 1000
    return f"{format_number(size)} TB"


def format_percent(share: float) -> str:
    """Return a share of one, rounded towards the middle: 100 % means all and 0 % means none.

    Example:
        >>> format_percent(1.0), format_percent(0.99999), format_percent(0.00001)
        ('100 %', '> 99.9 %', '< 0.1 %')
    """
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if not 0.001 <= share <= 0.999:
        return "< 0.1 %" if share < 0.5 else "> 99.9 %"
    return f"{100 * share:.1f} %"
