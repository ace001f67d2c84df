"""Functions that numba compiles; their machine code is stored where a folder allows it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property, partial, update_wrapper
from typing import Any, TypeVar, cast

from flowtuple.runtime.lazy_packages import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Compiled:
    """A function that is compiled, and for which numba is imported, when it is first called.

    numba reads `_numba_type_` of what a compiled function calls.
    """

    def __init__(self, function: Callable[..., Any], fastmath: Collection[str]) -> None:
        update_wrapper(self, function)
        self.py_func = function
        self._options = {"nogil": True, "fastmath": set(fastmath)}

    @cached_property
    def dispatcher(self) -> Any:
        """The function as numba calls it."""
        try:
            made = numba.njit(cache=True, **self._options)(self.py_func)
        except RuntimeError:  # no folder for the machine code
            made = numba.njit(**self._options)(self.py_func)
        made._compile_for_args = partial(_compile_alone, made._compile_for_args)
        return made

    @property
    def _numba_type_(self) -> Any:
        return numba.typeof(self.dispatcher)

    def __call__(self, *arguments: Any) -> Any:
        return self.dispatcher(*arguments)


def _compile_alone(compile_: Callable[..., Any], *arguments: Any) -> Any:
    """Compile a function, or load its machine code, without numba's extensions by other packages.

    awkward and vector have some, whose import takes longer than all else; no function here has
    their types. numba loads them afterwards for functions of others.
    """
    entrypoints = numba.core.entrypoints
    with numba.core.compiler_lock.global_compiler_lock:
        loaded = entrypoints._already_initialized
        entrypoints._already_initialized = True
        try:
            return compile_(*arguments)
        finally:
            entrypoints._already_initialized = loaded


def compiled(fastmath: Collection[str] = ()) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function, which then runs without Python's lock.

    It is compiled when it is first called. numba stores the machine code next to the module, or in
    the home folder; where it can write neither, each process compiles the function again.

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
        return cast("_Function", _Compiled(function, fastmath))

    return compile_
