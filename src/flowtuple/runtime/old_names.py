"""Old names of arguments, accepted for one release with a note of the new name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from inspect import currentframe, signature
from typing import Any, ParamSpec, TypeVar

from flowtuple.errors import InvalidArgument

P = ParamSpec("P")
R = TypeVar("R")


def warn_old(old: str, new: str) -> None:
    """Warn that a spelling goes with the next release, and name the one that stays."""
    level, frame = 1, currentframe()
    # Python shows deprecations at the line of the user's own code: the first outside the package.
    while frame is not None and frame.f_globals.get("__name__", "").startswith(
        "flowtuple."
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{old} is going away; write {new}", DeprecationWarning, stacklevel=level
    )


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
            return function(*args, **_renamed(names, kwargs))

        return call

    return decorate


def _renamed(names: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with old keywords under their new names."""
    for new, old in names.items():
        if not is_dataclass(old):
            if old in arguments:
                warn_old(f"{old}=", f"{new}=")
                arguments[new] = arguments.pop(old)
            continue
        group = {
            f.name: arguments.pop(f.name) for f in fields(old) if f.name in arguments
        }
        if group:
            kind: Any = old
            warn_old(
                ", ".join(f"{name}=" for name in group), f"{new}={kind.__name__}(...)"
            )
            arguments[new] = replace(arguments.get(new) or kind(), **group)
    return arguments


def names_tree(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of a model take `tree=` of the last release, in place of `PATH:TREE`.

    A function of the model alone takes the tree by position, too.
    """
    model, *others = signature(function).parameters

    @wraps(function)
    def call(*args: Any, tree: str | None = None, **kwargs: Any) -> R:
        if tree is None and not others and len(args) > 1:
            args, tree = args[:1], list(args)[1]
        if tree is not None:
            warn_old("tree=", "PATH:TREE")
            if args:
                args = (f"{os.fspath(args[0])}:{tree}", *args[1:])
            elif model in kwargs:
                kwargs[model] = f"{os.fspath(kwargs[model])}:{tree}"
        return function(*args, **kwargs)

    typed: Callable[..., R] = call
    return typed


def moved(**functions: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function pass calls with an old keyword on to the function that replaces it.

    Args:
        functions: The function that took over, by keyword.

    Raises:
        InvalidArgument: On such a call with an argument that the other function does not take.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = signature(function).parameters

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> R:
            name = next((name for name in functions if kwargs.get(name)), None)
            kwargs = {
                k: v for k, v in kwargs.items() if k == name or k not in functions or v
            }
            if name is None:
                return function(*args, **kwargs)
            other = functions[name]
            warn_old(f"{function.__name__}({name}=...)", f"{other.__name__}({name}=...)")
            for key in own.keys() & kwargs.keys() - signature(other).parameters.keys():
                if kwargs.pop(key) is not own[key].default:
                    raise InvalidArgument(
                        f"`{key}=` does not go with `{name}=`; leave out one of the two"
                    )
            result: R = other(*args, **kwargs)
            return result

        return call

    return decorate
