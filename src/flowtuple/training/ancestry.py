"""Ancestors of a column: all columns that must be decoded to read it, limited in number."""

from __future__ import annotations

from collections.abc import Iterable, Set

from flowtuple.lattice.context import Parent

MAX_ANCESTORS = 48  # reading one column of a wide table must not decode all of it


class Ancestry:
    """The ancestors of columns, gathered in coding order.

    Args:
        free: Names of columns that do not count: counters, which are decoded anyway, and
            external columns.
        predicting: Names of columns that predictions read.
    """

    def __init__(self, free: Set[str], predicting: Set[str] = frozenset()) -> None:
        self._free = free
        self._predicting = predicting
        self._ancestors: dict[str, frozenset[str]] = {}
        self._with_itself: dict[str, frozenset[str]] = {}

    def above(self, name: str) -> frozenset[str]:
        """Return the ancestors of a column gathered so far."""
        return self._ancestors.get(name, frozenset())

    def limit(self, name: str) -> int:
        """Return the largest number of ancestors that a column may have.

        A column that a prediction reads may have fewer, since most predictions read several.
        """
        return MAX_ANCESTORS * 2 // 3 if name in self._predicting else MAX_ANCESTORS

    def needs(self, parent: Parent) -> frozenset[str]:
        """Return all columns that must be decoded to read a parent."""
        needed = self._with_itself.get(parent.column, frozenset())
        return needed | self._with_itself[parent.through] if parent.through else needed

    def has_room(self, parents: Iterable[Parent]) -> bool:
        """Return whether the parents together stay within the limit."""
        needed = frozenset[str]().union(*(self.needs(parent) for parent in parents))
        return len(needed) <= MAX_ANCESTORS

    def add(self, name: str, parents: Iterable[Parent]) -> None:
        """Add parents of a column."""
        needed = self.above(name).union(*(self.needs(parent) for parent in parents))
        self._ancestors[name] = needed - {name}
        self._with_itself[name] = self._ancestors[name] | ({name} - self._free)
