"""How much has to be decoded for one column: the columns that it reads, those that these read, and so on, within a limit."""

from __future__ import annotations

from collections.abc import Iterable, Set

from flowtuple.lattice.context import Parent

MAX_ANCESTORS = 48  # so that reading one column of a wide table does not decode all of it


class Ancestry:
    """The ancestors of columns, gathered in coding order.

    Args:
        free: Names of counters, which are decoded for their collections anyway, and of given columns: they do not count.
        predicting: Names of columns that predictions read.
    """

    def __init__(self, free: Set[str], predicting: Set[str] = frozenset()) -> None:
        self._free, self._predicting = free, predicting
        self._above: dict[str, frozenset[str]] = {}
        self._with: dict[str, frozenset[str]] = {}

    def above(self, name: str) -> frozenset[str]:
        """All ancestors of a column known so far."""
        return self._above.get(name, frozenset())

    def limit(self, name: str) -> int:
        """Ancestors that a column may have: fewer for what a prediction reads, mostly beside others."""
        return MAX_ANCESTORS * 2 // 3 if name in self._predicting else MAX_ANCESTORS

    def needs(self, parent: Parent) -> frozenset[str]:
        """What has to be decoded to read a parent: its column, its references, and the ancestors of both."""
        column = self._with.get(parent.column, frozenset())
        return column | self._with[parent.through] if parent.through else column

    def has_room(self, parents: Iterable[Parent]) -> bool:
        """Whether all of these may be read together."""
        return (
            len(frozenset[str]().union(*(self.needs(parent) for parent in parents)))
            <= MAX_ANCESTORS
        )

    def add(self, name: str, parents: Iterable[Parent]) -> None:
        """Note what a column reads, beside what it was known to read."""
        above = self.above(name).union(*(self.needs(parent) for parent in parents)) - {name}
        self._above[name] = above
        self._with[name] = above | ({name} - self._free)
