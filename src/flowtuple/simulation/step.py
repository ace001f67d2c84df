"""One step of the simulation: rows with conditions, and the columns to decide for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowtuple.data.flat_events import unfold
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Table

Conditions = dict[str, Array]
Distance = Callable[[Mapping[str, Array], Array], Array]

COPIES, EXTRAS = "copies", "extras"
"""Learned counts: reconstructed objects of a generated one, objects of an event without partner."""


@dataclass(frozen=True, eq=False)
class Step:
    """Rows of one step of the simulation, before their columns are decided.

    Attributes:
        name: Name of the step, such as `Jet response`.
        conditions: Columns that the densities may read, each of shape (n,).
        event: Event of each row in its block, shape (n,).
        number: Number of each row, unique within its event, shape (n,).
        columns: Names of the columns to draw.
        rows: Position of each row among all rows of the step, of which rounds take some; `None`
            for all.
        distance: Computes Delta R to the nearest object of the collection from drawn columns and
            from which rows are proposals still, as `Made.nearest`; `None` where rows have no place.
        ahead: The direction that the last column is counted from, an angle; `None` for no angle.
    """

    name: str
    conditions: Conditions
    event: Array
    number: Array
    columns: Sequence[str]
    rows: Array | None = None
    distance: Distance | None = None
    ahead: Array | None = None

    def take(self, index: Array) -> Step:
        """Return some of the rows, without what concerns all."""
        conditions = {name: content[index] for name, content in self.conditions.items()}
        return Step(
            self.name, conditions, self.event[index], self.number[index], self.columns
        )

    def table(self, drawn: Mapping[str, Array]) -> Table:
        """Return conditions and drawn columns as a flat table without meanings of columns."""
        data = {**self.conditions, **drawn}
        columns = tuple(
            Column(name, content.dtype.name) for name, content in data.items()
        )
        return Table(self.name, columns, len(self.event), data)


DrawSource = Callable[[Step], dict[str, Array]]
"""Decides the columns of a step's rows: returns them by name, each of shape (n,)."""


def count_objects(source: DrawSource, step: Step) -> tuple[Array, Array, Conditions]:
    """Decide how many objects each row has.

    Returns:
        The row of each object, its number there, and its conditions: the row's and the count.
    """
    (name,) = step.columns
    counts = source(step)[name]
    row, number = unfold(counts.astype(np.int64))
    seen = {**step.conditions, name: counts.astype(np.int16)}
    return row, number, {n: content[row] for n, content in seen.items()}
