"""Errors named by what the person at the other end should do next.

Every error that flowtuple raises on purpose derives from `FlowtupleError`. The message is one line: what was
found, where, the nearest valid name where there is one, and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlowtupleError(Exception):
    """Base of every error that flowtuple raises on purpose."""


class InvalidArgument(FlowtupleError, ValueError):
    """Change what was asked: a name, a bound, a path or an option is not what it should be."""


class TooLarge(InvalidArgument):
    """Allow more memory or ask for less: what the input declares is more than may be taken."""


class Unsupported(FlowtupleError):
    """Leave it out or choose another format: the input or output format cannot hold this."""


class Truncated(FlowtupleError):
    """Fetch the file again: it ends before its own index says it should."""


class Corrupt(FlowtupleError):
    """Restore the file from a copy: its bytes are not the bytes that were written."""


class TooNew(FlowtupleError):
    """Update flowtuple: the file was written in a format this version does not know."""


class BoundViolated(FlowtupleError):
    """Report this: a value failed its bound before it was written, so nothing was written."""


class ProcessLost(FlowtupleError):
    """Start it again: another process that worked on the same thing is gone."""


class MissingExtra(FlowtupleError, ImportError):
    """Install an extra: this operation needs a package that the light core does not bring."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}': pip install 'flowtuple[{extra}]'")
        self.extra = extra


def nearest(name: str, valid: Iterable[str], limit: int = 3) -> str:
    """A phrase that names the valid names closest to `name`, or the first few where none is close.

    Example:
        >>> nearest("Jet_pT", ["Jet_pt", "Jet_eta", "MET_pt"], limit=1)
        'nearest: Jet_pt'
        >>> nearest("x", [])
        'there are none'
    """
    names = list(dict.fromkeys(valid))
    if not names:
        return "there are none"
    close = difflib.get_close_matches(name, names, n=limit, cutoff=0.5)
    if close:
        return "nearest: " + ", ".join(close)
    rest = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return "there are: " + ", ".join(names[:limit]) + rest
