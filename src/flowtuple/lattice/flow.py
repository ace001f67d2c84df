"""`LatticeFlow`: for each column its bins, prediction, parents and conditioner p(symbol | parents).

The density is uniform inside a bin. So the whole is a monotone piecewise-linear map x -> u with an
explicit density, column after column: an autoregressive normalizing flow on the lattice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.acceptance import Acceptance
from flowtuple.lattice.bins import FIRST_ABSOLUTE, Bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.grid import ATOM
from flowtuple.lattice.network import Network
from flowtuple.lattice.prediction import ABSOLUTE, Prediction
from flowtuple.lattice.rules import Rule


@dataclass(frozen=True, eq=False)
class ColumnFlow:
    """The flow of one column.

    Attributes:
        bins: Symbols: intervals of indices, or of residuals where the network codes those.
        parents: Inputs of the conditioner: columns before it in coding order, or its own earlier
            objects.
        network: The conditioner; `None` for a column that is only predicted or only read by others.
        prediction: Expected value, from other columns.
        residual: Whether the network codes residuals from the prediction. Otherwise it can only
            read the prediction.
        scale: Intervals of indices for the levels; `None` where these are the bins.
    """

    bins: Bins
    parents: tuple[Parent, ...] = ()
    network: Network | None = None
    prediction: Prediction | None = None
    residual: bool = False
    scale: Bins | None = None

    @property
    def levels(self) -> Bins:
        """Bins that give the levels of the column and of its prediction."""
        return self.bins if self.scale is None else self.scale

    @cached_property
    def absolute(self) -> Array:
        """Indices, increasing, that have a symbol of their own among residuals."""
        if not self.residual:
            return np.empty(0, np.int64)
        points = self.bins.first[self.bins.first == self.bins.last]
        absolute: Array = points[(points >= FIRST_ABSOLUTE) & (points < ATOM)] - ABSOLUTE
        return absolute

    @cached_property
    def window(self) -> tuple[int, int] | None:
        """Smallest and largest residual, where other indices have bins of their own; else `None`.

        Such a column takes what others leave, or a part of it that is counted from zero.
        """
        first, last = self.bins.first, self.bins.last
        counted = first < FIRST_ABSOLUTE
        wide = (first < last) & ~counted & (first < ATOM)
        if not self.residual or not wide.any() or not counted.any():
            return None
        return int(first[counted].min()), int(last[counted].max())

    @property
    def has_density(self) -> bool:
        """True if values have a probability, by a network or a prediction."""
        return self.network is not None or self.prediction is not None

    @property
    def inputs(self) -> tuple[Parent, ...]:
        """All parents of the conditioner and of the prediction."""
        return self.parents + (self.prediction.inputs if self.prediction else ())

    @property
    def sources(self) -> set[str]:
        """Names of all columns that it reads; perhaps its own."""
        return {name for p in self.inputs for name in p.names}


@dataclass(frozen=True, eq=False)
class LatticeFlow:
    """Flows of one table's columns by name, in coding order; not all columns have one.

    Attributes:
        columns: The flows.
        rules: Rules that drawn events obey.
        acceptance: With which probability a drawn event is accepted; `None` for always.
    """

    columns: Mapping[str, ColumnFlow] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    acceptance: Acceptance | None = None

    def coded(self, name: str) -> bool:
        """Return True if the flow has a network for this column."""
        return name in self.columns and self.columns[name].network is not None

    def has_density(self, name: str) -> bool:
        """Return True if values of this column have a probability."""
        return name in self.columns and self.columns[name].has_density

    @cached_property
    def level_columns(self) -> set[str]:
        """Columns whose levels conditioners read."""
        return {
            p.column for flow in self.columns.values() for p in flow.parents if p.column
        }

    @cached_property
    def value_columns(self) -> set[str]:
        """Columns whose values predictions and features read, or which are references."""
        predicting = {
            name
            for flow in self.columns.values()
            if flow.prediction
            for p in flow.prediction.inputs
            for name in p.names
        }
        inputs = [p for flow in self.columns.values() for p in flow.inputs]
        featured = {name for p in inputs if p.feature is not None for name in p.names}
        return predicting | featured | {p.through for p in inputs if p.through}

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """Return the columns that must be decoded to decode `names`, including these."""
        ancestors: set[str] = set()
        waiting = set(names)
        while waiting:
            ancestors |= waiting
            flows = [self.columns[name] for name in waiting if name in self.columns]
            waiting = set().union(*(flow.sources for flow in flows)) - ancestors
        return ancestors
