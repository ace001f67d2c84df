"""Functions that numba compiles; their machine code is stored where a folder allows it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(fastmath: Collection[str] = ()) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function, which then runs without Python's lock.

    numba stores the machine code next to the module, or in the home folder; where it can write
    neither, each process compiles the function again.

    Args:
        fastmath: Liberties of LLVM with floating-point numbers, such as `contract`; none by
            default.

    Example:
        >>> @compiled()
        ... def double(x):
        ...     return 2 * x
        >>> double(21)
        42
    """

    def compile_(function: _Function) -> _Function:
        options = {"nogil": True, "fastmath": set(fastmath)}
        try:
            fast: _Function = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder for the machine code
            fast = numba.njit(**options)(function)
        return fast

    return compile_
