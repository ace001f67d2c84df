"""`LatticeFlow`: for each column of a table, its bins, what it reads, and the conditioner that gives p(symbol | parents).

Inside a bin the density is uniform, so the whole is a monotone piecewise-linear map x -> u with an explicit density,
column after column: an autoregressive normalizing flow on the lattice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowtuple.lattice.bins import Bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.network import Network


@dataclass(frozen=True, eq=False)
class ColumnFlow:
    """The flow of one column.

    Attributes:
        bins: Its symbols; also what other columns read of it.
        parents: Inputs of the conditioner, columns that come before it in coding order.
        network: The conditioner; `None` for a column that is only read by others.
    """

    bins: Bins
    parents: tuple[Parent, ...] = ()
    network: Network | None = None


@dataclass(frozen=True, eq=False)
class LatticeFlow:
    """The flows of one table's columns, by column name; columns without one are coded by other means."""

    columns: Mapping[str, ColumnFlow] = field(default_factory=dict)

    def coded(self, name: str) -> bool:
        """Whether the flow gives this column a density."""
        return name in self.columns and self.columns[name].network is not None

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """The columns that must be decoded to decode `names`, these included."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                if self.coded(name):
                    waiting.extend(p.column for p in self.columns[name].parents if p.column)
        return found
