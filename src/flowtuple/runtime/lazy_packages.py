"""Packages whose import takes long: each is imported when an attribute of it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Package:
    """A package in the place of `import NAME`, whose modules need no import of their own.

    Unlike `importlib.util.LazyLoader` it is safe between threads in every Python, and leaves
    `sys.modules` as it is.
    """

    def __init__(self, name: str, *modules: str) -> None:
        self._name = name
        self._modules = modules

    def __getattr__(self, attribute: str) -> Any:
        if attribute in self._modules:
            return import_module(f"{self._name}.{attribute}")
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import asyncio

    import awkward
    import fsspec
    import numba
    import rich.cells
    import rich.console
    import rich.progress
    import rich.table
    import uproot
else:
    asyncio = _Package("asyncio")
    awkward = _Package("awkward")
    fsspec = _Package("fsspec")
    numba = _Package("numba")
    rich = _Package("rich", "cells", "console", "progress", "table")
    uproot = _Package("uproot")

__all__ = ["asyncio", "awkward", "fsspec", "numba", "rich", "uproot"]
