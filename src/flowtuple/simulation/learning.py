"""From events that hold both, generated and reconstructed, to the tables that the densities of a simulation learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowtuple.errors import InvalidArgument
from flowtuple.progress import Progress
from flowtuple.schema import Array
from flowtuple.simulation.block import Block
from flowtuple.simulation.declare import fitted_recipe
from flowtuple.simulation.program import run
from flowtuple.simulation.recipe import Recipe
from flowtuple.simulation.truth import Truth, answers
from flowtuple.table import Table, TableSource, concatenate, ranges

STEP = 16384  # events at a time
FITTED = 65536  # events that thresholds and coefficients are taken from


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one step learns from: rows with conditions and what is to be drawn given these.

    Attributes:
        table: Conditions, then the columns to be drawn.
        given: Names of the conditions.
    """

    table: Table
    given: tuple[str, ...]


def lessons(source: TableSource, recipe: Recipe, progress: Progress) -> tuple[Recipe, list[Lesson], list[str]]:
    """The recipe with what only events tell, the rows of each step, and what a person should know.

    Raises:
        InvalidArgument: A value of a generated object's axes is not finite.
    """
    names = [c.name for c in recipe.columns]
    collections = [*recipe.given, *(t.objects for t in recipe.targets)]
    first = Block.of(source.read(names, 0, min(FITTED, source.num_entries)), collections)
    check_finite(first, recipe, 0)
    recipe = fitted_recipe(recipe, first)
    parts: dict[str, list[Table]] = {}
    asked: dict[str, set[str]] = {}
    astray: dict[str, int] = {}
    for start, stop in ranges(source.num_entries, STEP):
        true = Block.of(source.read(names, start, stop), collections)
        check_finite(true, recipe, start)
        count_astray(true, recipe, astray)
        truth = Truth(true, recipe)
        given = [name for name in true.values if name not in recipe.simulated]
        counts = {c.name: true.counts[c.name] for c in recipe.given}
        run(Block(true.events, counts, {name: true.values[name] for name in given}), recipe, truth)
        for name, table in truth.tables.items():
            parts.setdefault(name, []).append(table)
        asked = {step: set(columns) for step, columns in answers(true, recipe).items()}
        progress("arrange events", stop / source.num_entries, "")
    found = []
    for name, tables in parts.items():
        table = concatenate(tables)
        if asked[name] and table.num_entries:
            found.append(Lesson(table, tuple(c.name for c in table.columns if c.name not in asked[name])))
    notes = [
        f"column {name!r}: {count} values point to no object of their event and count as without a partner"
        for name, count in astray.items()
    ]
    return recipe, found, notes


def check_finite(block: Block, recipe: Recipe, first: int) -> None:
    """Refuse generated objects without a place.

    Raises:
        InvalidArgument: One has an axis, or what a response is counted from, that is NaN or infinite.
    """
    needed = {name: c.name for c in recipe.given for name in c.axes}
    needed |= {r.partner: t.partners for t in recipe.targets for r in t.responses}
    for name, collection in needed.items():
        bad = np.flatnonzero(~np.isfinite(block.values[name]))
        if len(bad):
            event = first + int(block.event(collection)[bad[0]])
            raise InvalidArgument(
                f"column {name!r}: {len(bad)} values are NaN or infinite, the first in event {event}; leave such objects out"
            )


def count_astray(block: Block, recipe: Recipe, counts: dict[str, int]) -> None:
    """Add up the references to partners that point outside."""
    for target in recipe.targets:
        if target.through:
            number, event = block.values[target.through].astype(np.int64), block.event(target.objects.name)
            outside = int(((number < -1) | (number >= block.counts[target.partners][event])).sum())
            if outside:
                counts[target.through] = counts.get(target.through, 0) + outside


def unfamiliar(values: Array, seen: Mapping[str, list[float]]) -> Array:
    """Which values of a given column lie outside what was met in training: bool of their shape."""
    if "values" in seen:
        return ~np.isin(values, np.array(seen["values"], np.int64))
    if not seen["range"]:
        return np.isfinite(values)
    low, high = seen["range"]
    return ~((values >= low) & (values <= high))
