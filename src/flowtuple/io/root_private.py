"""Undocumented parts of uproot; one error says that a version lacks them."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from flowtuple.errors import Unsupported
from flowtuple.runtime.lazy_packages import uproot

KNOWN = "5.7.7"  # the version of uproot that has them all


def require(thing: Any, *paths: str) -> None:
    """Raise if uproot lacks a part, before the first of them is used.

    Args:
        thing: A module, class or object of uproot.
        paths: Dotted paths of attributes.

    Raises:
        Unsupported: This version of uproot has no such part; the message names one that does.

    Example:
        >>> require(uproot.models.TLeaf, "_tleaff1_format1.size")
    """
    for path in paths:
        try:
            attrgetter(path)(thing)
        except AttributeError:
            name = getattr(thing, "__name__", type(thing).__name__)
            what = f"uproot {uproot.__version__} has no {path} in {name}"
            raise Unsupported(
                f"{what}; install the version known to work: pip install uproot=={KNOWN}"
            ) from None
