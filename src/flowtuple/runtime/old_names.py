"""Old names of arguments, accepted for one release with a note of the new name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def note(old: str, new: str) -> None:
    """Warn that a spelling goes with the next release, and name the one that stays."""
    warnings.warn(f"{old} is going away; write {new}", DeprecationWarning, stacklevel=4)


def accepts_old(**names: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take keywords of the last release.

    Args:
        names: By new argument the old keyword, or a dataclass whose fields were keywords.

    Example:
        >>> from flowtuple.data.resources import Resources
        >>> @accepts_old(resources=Resources, weight="weights")
        ... def count(*, weight: str = "", resources: Resources = Resources()) -> int | None:
        ...     return resources.workers
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     count(workers=3)
        3
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **renamed(names, kwargs))

        return call

    return decorate


def renamed(names: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with old keywords under their new names; see `accepts_old`."""
    arguments = dict(arguments)
    for new, old in names.items():
        if not is_dataclass(old):
            if old in arguments:
                note(f"{old}=", f"{new}=")
                arguments[new] = arguments.pop(old)
            continue
        group = {f.name: arguments.pop(f.name) for f in fields(old) if f.name in arguments}
        if group:
            kind: Any = old
            note(", ".join(f"{name}=" for name in group), f"{new}={kind.__name__}(...)")
            arguments[new] = replace(arguments.get(new) or kind(), **group)
    return arguments


def names_tree(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of a model take `tree=` of the last release, in place of `PATH:TREE`."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        tree = kwargs.pop("tree", None)
        if tree is None:
            return function(*args, **kwargs)
        note("tree=", "PATH:TREE")
        chosen: Callable[..., R] = function
        path = os.fspath(args[0])  # type: ignore[call-overload]
        return chosen(f"{path}:{tree}", *args[1:], **kwargs)

    return call


def moved(**functions: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function pass calls with an old keyword on to the function that replaces it.

    Args:
        functions: The function that took over, by keyword.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            chosen: Callable[..., Any] = function
            for name, other in functions.items():
                if kwargs.get(name):
                    note(f"{function.__name__}({name}=...)", f"{other.__name__}({name}=...)")
                    chosen = other
                    break
                kwargs.pop(name, None)
            result: R = chosen(*args, **kwargs)
            return result

        return call

    return decorate
