"""The builder of HTML pages, which carry everything that they show and fetch nothing.

A page is a template with its content: figures, drawings as data, numbers formatted for people. It
needs the extra 'plots'.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.extras import require

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def write_page(template: str, path: Path, content: dict[str, Any]) -> Path:
    """Fill a template; an older page is replaced once the new one is complete.

    Args:
        template: Name of the template without `.html.j2`.
        path: Path of the page, in an existing folder.
        content: Values of the names in the template.

    Returns:
        The path.

    Raises:
        MissingExtra: The extra 'plots' is not installed.
    """
    html = _environment().get_template(f"{template}.html.j2").render(content)
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def image(drawing: str | bytes, description: str) -> dict[str, str]:
    """Return SVG text or a PNG as data for a template's `drawing`; ids in it cannot clash."""
    kind, content = (
        ("png", drawing) if isinstance(drawing, bytes) else ("svg+xml", drawing.encode())
    )
    return {
        "source": f"data:image/{kind};base64," + base64.b64encode(content).decode(),
        "description": description,
    }


def _environment() -> Any:
    """Return templates that escape their content, with filters for numbers, bytes and shares.

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
    )
    environment.filters.update(
        figures=format_number, size=format_bytes, percent=format_percent, plainly=_plainly
    )
    return environment


def _plainly(value: Any) -> Any:
    """Format numbers to four digits, also those of a pair."""
    if isinstance(value, (list, tuple)):
        if len(value) == 2:
            return " to ".join(str(_plainly(part)) for part in value)
        return ", ".join(map(str, value))
    return format_number(value, 4) if isinstance(value, float) else value


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
        text = f"{mantissa}\N{MULTIPLICATION SIGN}10{str(exponent).translate(_SUPERSCRIPT)}"
    return text.replace("-", "\N{MINUS SIGN}")


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
