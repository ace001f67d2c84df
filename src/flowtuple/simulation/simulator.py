"""Simulated events as a table that is made while it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtuple.comparison.folds import FOLD
from flowtuple.data.schema import Array, Column
from flowtuple.data.schema_diff import check_same_columns, read_like
from flowtuple.data.table import Table, TableSource, concatenate, ranges
from flowtuple.errors import InvalidArgument
from flowtuple.lattice.walk import TableCoding
from flowtuple.runtime.threads import ordered_map
from flowtuple.simulation.block import Block, take_events
from flowtuple.simulation.out_of_range import flag_columns, flags, out_of_range
from flowtuple.simulation.sampler import Conditional, Sampler
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import check_finite

BLOCK = 4096  # events made at a time by one thread


class SimulatedTable:
    """Events simulated from generated ones, a `TableSource`.

    Any range of events may be read, and is the same each time; reading changes nothing.

    Attributes:
        name: Name of the table.
        columns: Columns of the generated events and simulated ones, in the order of the training
            events; `fold` last, where events are simulated several times.
        num_entries: Number of events.

    Args:
        spec: The simulation.
        codings: Lattices and flows by step.
        flows: Flows over rows by step, for steps that are not in `codings`.
        generated: Generated events; columns that are not simulated are copied.
        seed: From 0 to 2^63 - 1.
        times: How often each event is simulated; copies follow one another.
        weight: A column of `generated` that is divided by `times`; empty for none.
        workers: Threads; `None` for one per core. The events do not depend on it.
        flag: Add flags of generated objects and events with values outside of the training.

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
        names = {c.name for c in generated.columns}
        if times < 1:
            raise InvalidArgument(f"events cannot be simulated {times} times; take 1 or more")
        if times > 1 and FOLD in names:
            raise InvalidArgument(
                f"column {FOLD!r} is there already: these events were simulated; "
                "simulate the generated ones"
            )
        _check_weight(weight, generated.columns, spec)
        check_same_columns(
            spec.generated_columns, generated.columns, f"table {generated.name!r}"
        )
        self._spec, self._codings, self._flows, self._generated = (
            spec,
            codings,
            flows,
            generated,
        )
        self._seed, self._times, self._weight, self._workers = seed, times, weight, workers
        self.name, self.num_entries = generated.name, generated.num_entries * times
        self._copied = _copied(spec, generated.columns)
        self._flags = flag_columns(spec) if flag else ()
        for name in {c.name for c in self._flags} & names:
            raise InvalidArgument(
                f"column {name!r} is there already: leave out `flag=`, "
                "or simulate the generated events"
            )
        fold = (Column(FOLD, "int32"),) if times > 1 else ()
        self.columns = (*_in_order(spec, self._copied), *self._flags, *fold)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return events `start` to `stop` of some columns and their counters."""
        stop = min(stop, self.num_entries)
        wanted = set(columns) | {c.counter for c in self.columns if c.name in columns}
        chosen = tuple(c for c in self.columns if c.name in wanted)
        blocks = [(a + start, b + start) for a, b in ranges(max(0, stop - start), BLOCK)]
        pieces = ordered_map(
            lambda block: self._block(chosen, *block),
            blocks or [(start, start)],
            self._workers,
        )
        return concatenate(list(pieces))

    def count_out_of_range(self) -> dict[str, int]:
        """Count by generated column the values outside of the training, each event once."""

        def count(block: tuple[int, int]) -> Counter[str]:
            table = read_like(self._generated, self._spec.generated_columns, *block)
            outside = out_of_range(Block.of(table, self._spec.generated), self._spec)
            return Counter({name: int(values.sum()) for name, values in outside.items()})

        blocks = ranges(self._generated.num_entries, BLOCK)
        return dict(sum(ordered_map(count, blocks, self._workers), Counter[str]()))

    def _block(self, chosen: tuple[Column, ...], start: int, stop: int) -> Table:
        index = np.arange(start, stop)
        first, last = start // self._times, -(-stop // self._times)
        event = index // self._times - first
        simulated = any(c.name in self._spec.simulated or c in self._flags for c in chosen)
        counters = {c.counter for c in chosen}
        copied = [c for c in self._copied if c in chosen or c.name in counters]
        generated = self._spec.generated_columns if simulated else ()
        needed = {c.name: c for c in (*copied, *generated)}.values()
        plain = tuple(c for c in needed if not c.is_opaque)
        table = take_events(read_like(self._generated, plain, first, last), event)
        data: dict[str, Any] = dict(table.data)
        opaque = [c.name for c in copied if c.is_opaque]
        rows = self._generated.read(opaque, first, last).data
        data |= {name: rows[name][event] for name in opaque}
        if simulated:
            data |= self._simulate(table, index)
        if self._weight in data and self._times > 1:
            data[self._weight] = (data[self._weight] / self._times).astype(
                data[self._weight].dtype
            )
        data[FOLD] = (index % self._times).astype(np.int32)
        return Table(self.name, chosen, stop - start, {c.name: data[c.name] for c in chosen})

    def _simulate(self, generated: Table, index: Array) -> dict[str, Array]:
        """Return the simulated columns and the flags of some events."""
        spec = self._spec
        event, fold = index // self._times, index % self._times
        block = Block.of(generated, spec.generated)
        check_finite(block, spec, int(event[0]) if len(event) else 0)
        run(block, spec, Sampler(spec, self._codings, self._flows, self._seed, event, fold))
        out = {name: block.values[name] for name in spec.simulated if name in block.values}
        for target in spec.targets:
            counter = target.objects.counter
            out[counter] = block.counts[target.objects.name].astype(spec.dtype(counter))
        return out | (flags(block, spec) if self._flags else {})


def _check_weight(weight: str, columns: Sequence[Column], spec: SimulationSpec) -> None:
    for column in columns:
        single = column.is_float and column.counter is None and not column.shape
        if column.name == weight and not single:
            raise InvalidArgument(
                f"column {weight!r} holds no weight of an event: it is {column.dtype}; "
                "name one of floats"
            )
    if weight in spec.simulated:
        raise InvalidArgument(
            f"column {weight!r} is simulated and is no weight of the generated events; name another"
        )


def _copied(spec: SimulationSpec, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the generated columns without those to simulate, counters named as in the spec."""
    simulated, known = {*spec.simulated, *spec.left_out}, {c.name: c for c in spec.columns}
    counters = {c.counter for c in columns}
    copied = [
        known.get(c.name, c)
        for c in columns
        if c.name not in simulated and not (c.hidden and c.name in counters)
    ]
    copied = [c for c in copied if c.counter is None or c.counter not in simulated]
    by_name = {c.name: c for c in columns} | known
    used = {c.counter: by_name[c.counter] for c in copied if c.counter is not None}
    hidden = {name: c for name, c in used.items() if c.hidden}
    return (*hidden.values(), *(c for c in copied if c.name not in hidden))


def _in_order(spec: SimulationSpec, copied: Sequence[Column]) -> tuple[Column, ...]:
    """Sort copied and simulated columns as the training events had them.

    Columns that these did not have stay behind the copied column that they stood behind.
    """
    rank = {c.name: k for k, c in enumerate(spec.columns)}
    placed: list[tuple[int, int, Column]] = []
    last = -1
    for number, column in enumerate(copied):
        last = rank.get(column.name, last)
        placed.append((last, number, column))
    placed += [(rank[c.name], -1, c) for c in spec.columns if c.name in spec.simulated]
    return tuple(column for *_, column in sorted(placed, key=lambda place: place[:2]))
