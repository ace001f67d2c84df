"""A source of what is drawn: each step's rows from the lattice flow that learned them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowtuple.codec.column import TableCoding
from flowtuple.density.draw import column_key, draw
from flowtuple.density.events import Drawn
from flowtuple.density.pick import Distribution, Pick
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.context import Rows
from flowtuple.schema import Array
from flowtuple.simulation.program import Step
from flowtuple.simulation.recipe import Recipe
from flowtuple.simulation.truth import as_table

_FOLD = np.uint64(1 << 40)  # numbers of a fold begin here, above those of copies


class Draws:
    """Draws the rows of each step; what is drawn for an object depends on the seed, its event, its number and its fold.

    Args:
        recipe: What is simulated.
        codings: Lattices and flows by step.
        seed: From 0 to 2^63 - 1.
        event: Number of each event of the block among all that are simulated, shape (events,).
        fold: How often that event was simulated before, shape (events,).
    """

    def __init__(self, recipe: Recipe, codings: Mapping[str, TableCoding], seed: int, event: Array, fold: Array) -> None:
        self._recipe, self._codings, self._seed = recipe, codings, seed
        self._event, self._fold = event.astype(np.uint64), fold.astype(np.uint64)

    def __call__(self, step: Step, columns: Sequence[str]) -> dict[str, Array]:
        coding = self._codings.get(step.name)
        if coding is None and not len(step.event):  # nor was there any such object to learn from
            return {name: np.empty(0, self._recipe.dtype(name)) for name in columns}
        if not columns:
            return {}
        if coding is None:
            raise InvalidArgument(
                f"training met nothing like it: the model has no densities for {step.name!r}; train it on more"
            )
        given = as_table(step, {})
        rows = given.num_entries
        events = Drawn(step.name, coding, rows, self._pick(step), given, workers=1, repair=False)
        drawn = events.read(columns, 0, rows)
        return {name: drawn.data[name] for name in columns}

    def _pick(self, step: Step) -> Pick:
        event = self._event[step.event]
        number = step.number.astype(np.uint64) + _FOLD * self._fold[step.event]

        def pick(column: str, found: Distribution, rows: Rows, part: slice, first: int) -> Array:
            key, at = column_key(self._seed, step.name, column), rows.event[part] + first
            return draw(found.logits, found.starts, found.spans, found.banned, key, event[at], number[at])

        return pick
