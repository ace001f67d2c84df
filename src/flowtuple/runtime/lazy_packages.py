"""Packages whose import takes long: each is imported when an attribute of it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Package:
    """A package in the place of `import NAME`.

    Unlike `importlib.util.LazyLoader` it is safe between threads in every Python, and leaves
    `sys.modules` as it is.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import asyncio

    import awkward
    import fsspec
    import numba
    import uproot
else:
    asyncio = _Package("asyncio")
    awkward = _Package("awkward")
    fsspec = _Package("fsspec")
    numba = _Package("numba")
    uproot = _Package("uproot")

__all__ = ["asyncio", "awkward", "fsspec", "numba", "uproot"]
