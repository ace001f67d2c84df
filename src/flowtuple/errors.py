"""Errors, one class for each thing that a person can do about them.

Every error that flowtuple raises on purpose derives from `FlowtupleError`. The message is one line:
the fault, its place, the nearest valid name where there is one, and the next step.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping

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


class FlowtupleError(Exception):
    """Base of every error that flowtuple raises on purpose.

    Example:
        >>> import flowtuple as ft
        >>> issubclass(ft.Corrupt, ft.FlowtupleError)
        True
    """

    def __str__(self) -> str:
        """Return the message on one line, without characters that would steer a terminal."""
        return visible(super().__str__())


class InvalidArgument(FlowtupleError, ValueError):
    """Change the request: a name, a bound, a path or an option is wrong.

    Example:
        >>> import flowtuple as ft
        >>> issubclass(ft.InvalidArgument, ValueError)
        True
    """


class TooLarge(InvalidArgument):
    """Allow more memory or read less: the input declares more than the memory limit.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.TooLarge("x.ftup: takes 3GB"))
        'x.ftup: takes 3GB'
    """


class Unsupported(FlowtupleError):
    """Leave it out or choose another format: the input or output format cannot hold this.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.Unsupported("x.csv: cannot hold lists"))
        'x.csv: cannot hold lists'
    """


class Refused(Unsupported):
    """Leave parts of an input out, or choose another format: each part is named with its reason.

    Attributes:
        parts: Reason by name, for every part.

    Args:
        where: Name of the input or output, for the message.
        action: The step that fails, with a place for the parts, such as `"write {} as text"`.
        parts: Reason by name.
        advice: The next step.

    Example:
        >>> import flowtuple as ft
        >>> error = ft.Refused("x.root", "carry {}", {"Events/a": "no numbers"}, "exclude it")
        >>> str(error), error.parts
        ('x.root: cannot carry Events/a: no numbers; exclude it', {'Events/a': 'no numbers'})
    """

    def __init__(
        self, where: str, action: str, parts: Mapping[str, str], advice: str
    ) -> None:
        subject = next(iter(parts)) if len(parts) == 1 else f"{len(parts)} parts"
        super().__init__(
            f"{where}: cannot {action.format(subject)}: {reasons_of(parts)}; {advice}"
        )
        self.parts = dict(parts)


class Truncated(FlowtupleError):
    """Fetch the file again: it ends before its own index says it should.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.Truncated("x.ftup: is cut short"))
        'x.ftup: is cut short'
    """


class Corrupt(FlowtupleError):
    """Restore the file from a copy: its bytes are not the bytes that were written.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.Corrupt("x.ftup: a checksum is wrong"))
        'x.ftup: a checksum is wrong'
    """


class TooNew(FlowtupleError):
    """Update flowtuple: the file was written in a format this version does not know.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.TooNew("x.ftup: has format version 2"))
        'x.ftup: has format version 2'
    """


class BoundViolated(FlowtupleError):
    """Report this: a value failed its bound before it was written, so nothing was written.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.BoundViolated("column 'x'"))
        "column 'x'"
    """


class ProcessLost(FlowtupleError):
    """Start it again: another process that worked on the same thing is gone.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.ProcessLost("process 1 is gone"))
        'process 1 is gone'
    """


class MissingExtra(FlowtupleError, ImportError):
    """Install an extra: this operation needs a package that the light core does not bring.

    Args:
        extra: Name of the extra.
        purpose: The operation that needs it.

    Example:
        >>> import flowtuple as ft
        >>> str(ft.MissingExtra("plots", "a report"))
        "a report needs the extra 'plots': pip install 'flowtuple[plots]'"
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the extra '{extra}': pip install 'flowtuple[{extra}]'"
        )
        self.extra = extra


_NAMES_SHOWN = 5  # of the parts that share a reason
_REASONS_SHOWN = 4


def name_parts(parts: Mapping[str, str]) -> str:
    """Return a phrase that counts parts and names the first of each reason.

    Args:
        parts: Reason by name, at least one.

    Example:
        >>> name_parts({"Events/a": "no numbers"})
        'Events/a: no numbers'
        >>> name_parts({"t/a": "no numbers", "t/b": "no numbers", "t/c": "damaged"})
        '3 parts: t/a, t/b (no numbers); t/c (damaged)'
    """
    subject = next(iter(parts)) if len(parts) == 1 else f"{len(parts)} parts"
    return f"{subject}: {reasons_of(parts)}"


def reasons_of(parts: Mapping[str, str]) -> str:
    """Return each reason after the first names that share it; for one part the reason alone.

    Example:
        >>> reasons_of({"t/a": "no numbers"}), reasons_of({"t/a": "no numbers", "t/b": "damaged"})
        ('no numbers', 't/a (no numbers); t/b (damaged)')
    """
    if len(parts) == 1:
        return next(iter(parts.values()))
    by_reason: dict[str, list[str]] = {}
    for name, reason in parts.items():
        by_reason.setdefault(reason, []).append(name)
    phrases = []
    for reason, names in list(by_reason.items())[:_REASONS_SHOWN]:
        more = f", ... {len(names)} in all" if len(names) > _NAMES_SHOWN else ""
        phrases.append(f"{', '.join(names[:_NAMES_SHOWN])}{more} ({reason})")
    if len(by_reason) > _REASONS_SHOWN:
        phrases.append(
            f"and {len(by_reason) - _REASONS_SHOWN} other reasons, all listed with --json"
        )
    return "; ".join(phrases)


def nearest(name: str, valid: Iterable[str], limit: int = 3) -> str:
    """Return a phrase with the valid names closest to `name`, or with the first few.

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


def check_name(what: str, name: str, valid: Iterable[str]) -> None:
    """Raise if a name is none of the valid ones; the message has the nearest.

    Raises:
        InvalidArgument: It is none of them.

    Example:
        >>> check_name("flow", "nfs", ["maf", "nsf"])
        Traceback (most recent call last):
        flowtuple.errors.InvalidArgument: there is no flow 'nfs'; nearest: nsf
    """
    valid = tuple(valid)
    if name not in valid:
        raise InvalidArgument(f"there is no {what} {name!r}; {nearest(name, valid)}")


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the name of its class where it has none.

    Example:
        >>> first_line(ValueError("one\ntwo")), first_line(KeyError())
        ('one', 'KeyError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
