"""`LatticeFlow`: for each column of a table its prediction, its bins, what it reads, and the conditioner p(symbol | parents).

Inside a bin the density is uniform, so the whole is a monotone piecewise-linear map x -> u with an explicit density,
column after column: an autoregressive normalizing flow on the lattice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.lattice.bins import APART, Bins
from flowtuple.lattice.context import Parent
from flowtuple.lattice.grid import ATOM
from flowtuple.lattice.network import Network
from flowtuple.lattice.prediction import ABSOLUTE, Prediction


@dataclass(frozen=True, eq=False)
class ColumnFlow:
    """The flow of one column.

    Attributes:
        bins: Its symbols: intervals of indices, or of residuals where the network codes those.
        parents: Inputs of the conditioner, columns that come before it in coding order, or itself at objects before.
        network: The conditioner; `None` for a column that is only predicted or only read by others.
        prediction: What its values should be, given others.
        residual: Whether the network codes residuals from the prediction; else it may only read what is predicted.
        scale: Intervals of indices that levels are counted in; `None` where these are the bins.
    """

    bins: Bins
    parents: tuple[Parent, ...] = ()
    network: Network | None = None
    prediction: Prediction | None = None
    residual: bool = False
    scale: Bins | None = None

    @property
    def levels(self) -> Bins:
        """What indices are read by: by other columns, and as what is predicted of this one."""
        return self.bins if self.scale is None else self.scale

    @cached_property
    def absolute(self) -> Array:
        """Indices, increasing, that have a symbol of their own among residuals."""
        if not self.residual:
            return np.empty(0, np.int64)
        points = self.bins.first[self.bins.first == self.bins.last]
        absolute: Array = points[(points >= APART) & (points < ATOM)] - ABSOLUTE
        return absolute

    @property
    def has_density(self) -> bool:
        """Whether values of the column have a probability: by a network or a prediction."""
        return self.network is not None or self.prediction is not None

    @property
    def inputs(self) -> tuple[Parent, ...]:
        """All that it reads, for its conditioner and for its prediction."""
        return self.parents + (self.prediction.inputs if self.prediction else ())

    def reads(self, name: str) -> bool:
        """Whether it reads a column."""
        return any(name in (p.column, p.through) for p in self.inputs)


@dataclass(frozen=True, eq=False)
class LatticeFlow:
    """The flows of one table's columns, by column name, in coding order; others are coded by other means."""

    columns: Mapping[str, ColumnFlow] = field(default_factory=dict)

    def coded(self, name: str) -> bool:
        """Whether the flow gives this column a density."""
        return name in self.columns and self.columns[name].network is not None

    @cached_property
    def level_columns(self) -> set[str]:
        """The columns whose levels conditioners read."""
        return {p.column for flow in self.columns.values() for p in flow.parents if p.column}

    @cached_property
    def value_columns(self) -> set[str]:
        """The columns whose values are needed by predictions and as references."""
        predicting = {
            p.column
            for flow in self.columns.values()
            if flow.prediction
            for p in flow.prediction.inputs
        }
        return predicting | {
            p.through for flow in self.columns.values() for p in flow.inputs if p.through
        }

    def ancestors(self, names: Iterable[str]) -> set[str]:
        """The columns that must be decoded to decode `names`, these included."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                if name in self.columns:
                    waiting.extend(
                        c for p in self.columns[name].inputs for c in (p.column, p.through) if c
                    )
        return found
