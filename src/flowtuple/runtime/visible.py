"""Text for people to read: characters that steer a terminal, or hide, become escapes."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}
"""Control and format characters, such as turns of the direction, and separators of lines."""


def visible(text: str) -> str:
    r"""Return a text of one line in which a name can neither move the cursor nor hide a part.

    Example:
        >>> visible("Jet_p\x1b[31m\tT"), visible("p_T = 3 GeV")
        ('Jet_p\\x1b[31m\\tT', 'p_T = 3 GeV')
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in text
    )
