"""Simulated events as a table that is made while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.comparison.folds import FOLD
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import (
    Table,
    TableSource,
    check_same_columns,
    concatenate,
    ranges,
    read_like,
)
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.simulation.block import Block, take_events
from flowtuple.simulation.out_of_range import flag_columns, flags, out_of_range
from flowtuple.simulation.sampler import Conditional, Draws
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import check_finite

BLOCK = 4096  # events made at a time by one thread


class Simulated:
    """Events simulated from generated ones, a `TableSource`: any range of them may be read, and is the same each time.

    Attributes:
        name: Name of the table.
        columns: Those of the generated events and the simulated ones, in the order of the events learned from; `fold` last,
            where events are simulated several times.
        num_entries: Events.
        strange: How many values of each given column lay outside what was met in training, of all events made so far.

    Args:
        recipe: What is simulated from what.
        codings: Lattices and flows by step.
        flows: Flows over rows by step, of steps that are not in `codings`.
        generated: Generated events; what else they hold is copied.
        seed: From 0 to 2^63 - 1.
        times: How often each event is simulated; copies follow one another.
        weight: A column of `generated` that is divided by `times`; empty for none.
        workers: Threads; `None` for one per core. The events do not depend on it.
        flag: Add columns that say which generated objects and events hold values outside of what was met in training.

    Raises:
        InvalidArgument: The generated events lack a column, or hold another type.
    """

    def __init__(
        self,
        spec: SimulationSpec,
        codings: Mapping[str, TableCoding],
        flows: Mapping[str, Conditional],
        generated: TableSource,
        seed: int,
        times: int = 1,
        weight: str = "",
        workers: int | None = None,
        flag: bool = False,
    ) -> None:
        if times < 1:
            raise InvalidArgument(f"events cannot be simulated {times} times; take 1 or more")
        if times > 1 and FOLD in {c.name for c in generated.columns}:
            raise InvalidArgument(
                f"column {FOLD!r} is there already: these events were simulated; simulate the generated ones"
            )
        _check_weight(weight, generated.columns, spec)
        check_same_columns(spec.given_columns, generated.columns, f"table {generated.name!r}")
        self._spec, self._codings, self._flows, self._generated = spec, codings, flows, generated
        self._seed, self._times, self._weight, self._workers = seed, times, weight, workers
        self.name, self.num_entries = generated.name, generated.num_entries * times
        self._copied = _copied(spec, generated.columns)
        self._flags = flag_columns(spec) if flag else ()
        for name in {c.name for c in self._flags} & {c.name for c in generated.columns}:
            raise InvalidArgument(
                f"column {name!r} is there already: leave out --flag, or simulate the generated events"
            )
        self.columns = (
            *_in_order(spec, self._copied),
            *self._flags,
            *((Column(FOLD, "int32"),) if times > 1 else ()),
        )
        self.out_of_range: dict[str, int] = {}

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Events `start` to `stop` of some columns and their counters."""
        stop = min(stop, self.num_entries)
        wanted = set(columns) | {c.counter for c in self.columns if c.name in columns}
        kept = tuple(c for c in self.columns if c.name in wanted)
        blocks = [(a + start, b + start) for a, b in ranges(max(0, stop - start), BLOCK)] or [
            (start, start)
        ]
        pieces = []
        for piece, counts in ordered_map(
            lambda block: self._block(kept, *block), blocks, self._workers
        ):
            pieces.append(piece)
            for name, count in counts.items():
                self.out_of_range[name] = self.out_of_range.get(name, 0) + count
        return concatenate(pieces)

    def _block(
        self, kept: tuple[Column, ...], start: int, stop: int
    ) -> tuple[Table, dict[str, int]]:
        """Some events, and how many values of each given column are strange."""
        first, last = start // self._times, -(-stop // self._times)
        index = np.arange(start, stop)
        copied = tuple(c for c in self._copied if c in kept or c.name in {k.counter for k in kept})
        opaque = self._generated.read([c.name for c in copied if c.is_opaque], first, last)
        spec, drawn = (
            self._spec,
            any(c.name in self._spec.simulated or c in self._flags for c in kept),
        )
        needed = tuple(
            {c.name: c for c in (*copied, *(spec.given_columns if drawn else ()))}.values()
        )
        plain = tuple(c for c in needed if not c.is_opaque)
        given = take_events(
            read_like(self._generated, plain, first, last), index // self._times - first
        )
        data: dict[str, Any] = dict(given.data)
        data |= {
            c.name: opaque.data[c.name][index // self._times - first] for c in copied if c.is_opaque
        }
        out_of_range: dict[str, int] = {}
        if drawn:
            made, out_of_range = self._simulated(given, index)
            data |= made
        if self._weight in data and self._times > 1:
            data[self._weight] = (data[self._weight] / self._times).astype(data[self._weight].dtype)
        data[FOLD] = (index % self._times).astype(np.int32)
        return Table(
            self.name, kept, stop - start, {c.name: data[c.name] for c in kept}
        ), out_of_range

    def _simulated(self, given: Table, index: Array) -> tuple[dict[str, Array], dict[str, int]]:
        spec = self._spec
        block = Block.of(given, spec.given)
        check_finite(block, spec, int(index[0]) // self._times if len(index) else 0)
        found = out_of_range(block, spec)
        counts = {name: self._count(block, name, outside, index) for name, outside in found.items()}
        event, fold = index // self._times, index % self._times
        run(block, spec, Draws(spec, self._codings, self._flows, self._seed, event, fold))
        out = {name: block.values[name] for name in spec.simulated if name in block.values}
        for target in spec.targets:
            dtype = spec.column(target.objects.counter).dtype
            out[target.objects.counter] = block.counts[target.objects.name].astype(dtype)
        return out | flags(block, spec, found), {
            name: count for name, count in counts.items() if count
        }

    def _count(self, block: Block, name: str, outside: Array, index: Array) -> int:
        """Values of a given column that lie outside, each generated event looked at once."""
        own = next((c.name for c in self._spec.given if name in c.columns), "")
        event = block.event(own) if own else np.arange(block.events)
        once = (index % self._times == 0)[event]
        return int((outside & once).sum())


def _check_weight(weight: str, columns: Sequence[Column], spec: SimulationSpec) -> None:
    for column in columns:
        if column.name == weight and (
            not column.is_float or column.counter is not None or column.shape
        ):
            raise InvalidArgument(
                f"column {weight!r} holds no weight of an event: it is {column.dtype}; name one of floats"
            )
    if weight in spec.simulated:
        raise InvalidArgument(
            f"column {weight!r} is simulated and is no weight of the generated events; name another"
        )


def _copied(spec: SimulationSpec, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns of the generated events that are handed on: all but what is simulated, counters under the recipe's names."""
    made, known = {*spec.simulated, *spec.left_out}, {c.name: c for c in spec.columns}
    counters = {c.counter for c in columns if c.counter is not None}
    kept = [
        known.get(c.name, c)
        for c in columns
        if c.name not in made and not (c.hidden and c.name in counters)
    ]
    kept = [c for c in kept if c.counter is None or c.counter not in made]
    by_name = {c.name: c for c in columns} | known
    hidden = {
        c.counter: by_name[c.counter]
        for c in kept
        if c.counter is not None and by_name[c.counter].hidden
    }
    return (*hidden.values(), *(c for c in kept if c.name not in hidden))


def _in_order(spec: SimulationSpec, copied: Sequence[Column]) -> tuple[Column, ...]:
    """Copied and simulated columns in the order of the events learned from; others where they stood among the copied ones."""
    rank = {c.name: k for k, c in enumerate(spec.columns)}
    made = [c for c in spec.columns if c.name in spec.simulated]
    placed: list[tuple[float, int, Column]] = []
    last = -1.0
    for number, column in enumerate(copied):
        last = float(rank.get(column.name, last))
        placed.append((last, number, column))
    placed += [(float(rank[c.name]), -1, c) for c in made]
    return tuple(column for _, _, column in sorted(placed, key=lambda p: p[:2]))
